-- Lets calls of the program under test fail; see fails.c.
--
--     local shim = fails.build(folder)          -- nil, reason when this program cannot be run with it
--     program.run(args, { env = { LD_PRELOAD = shim, FAILS = "malloc 17 1" } })
local program = require("tests.support.program")

local fails = {}

-- Is the program built with a sanitizer, which replaces the same functions and changes what memory is used?
function fails.sanitized()
    local ok = os.execute("grep -q -e __asan_init -e __tsan_init " .. program.quote(program.path) .. " 2>/dev/null")
    return ok == true
end

-- Is it built with any sanitizer, so that what links to it must be built with that one, too?
function fails.instrumented()
    return fails.sanitized()
        or os.execute("grep -q __ubsan_handle_ " .. program.quote(program.path) .. " 2>/dev/null") == true
end

-- Does the program's sanitizer put signals off until the next system call, so that no loop can be interrupted?
function fails.delays_signals()
    return os.execute("grep -q __tsan_init " .. program.quote(program.path) .. " 2>/dev/null") == true
end

-- Compiles the library into folder; its path.
function fails.build(folder)
    if fails.sanitized() then
        return nil, "a sanitizer replaces the same functions"
    end
    return program.compile("tests/support/fails.c", folder .. "/fails.so", "-shared -fPIC", "-ldl")
end

-- fn(shim, folder), with the library built in a fresh folder; nothing under a sanitizer, which replaces the same
-- functions. It is for the program only, not for the commands around it.
function fails.with_shim(fn)
    program.with_folder(function(folder)
        local shim, why = fails.build(folder)
        if not shim then
            assert(fails.sanitized(), why)
            return
        end
        fn(shim, folder)
    end)
end

return fails
