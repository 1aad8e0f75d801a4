-- Runs the program under test, or any command, as a child process with a deadline.
--
--     local program = require("tests.support.program")
--     local r = program.run({ "-e", "print(1)" }, { stdin = "", env = { LUA_INIT = "x = 1" } })
--     r.out, r.err, r.code      -- code is 124 when the deadline passed, 128 + n for death by signal n
local program = {}

program.path = os.getenv("MOONFLEET") or "build/moonfleet"

-- The same for whoever is in another folder.
program.absolute = program.path:sub(1, 1) == "/" and program.path or os.getenv("PWD") .. "/" .. program.path

-- The program of the same build with the hooks of runtime/hooks.h.
program.hooks = os.getenv("MOONFLEET_HOOKS") or "build/hooks/moonfleet"

local DEADLINE = 60 -- seconds; only ever reached by a program that hangs

local function quote(word)
    return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end
program.quote = quote

-- What the program looks at, so that a developer's own settings do not reach the tests.
local CLEARED = {
    "LUA_INIT",
    "LUA_INIT_5_4",
    "LUA_PATH",
    "LUA_PATH_5_4",
    "LUA_CPATH",
    "LUA_CPATH_5_4",
    "MOONFLEET_PLAN",
    "MOONFLEET_LOG",
}

local function environment(env)
    local words = { "env" }
    for _, name in ipairs(CLEARED) do
        words[#words + 1] = "-u " .. name
    end
    for name, value in pairs(env or {}) do
        words[#words + 1] = quote(name .. "=" .. value)
    end
    return table.concat(words, " ")
end

function program.read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
end

-- Whole or not at all: somebody may be waiting for it.
function program.write_file(path, text)
    local file = assert(io.open(path .. ".part", "wb"))
    assert(file:write(text))
    assert(file:close())
    assert(os.rename(path .. ".part", path))
end

-- One of the system's own files, which is there already and takes text as an order.
function program.write_control(path, text)
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
end

-- A fresh folder, and fn's results; the folder is removed whatever happens.
function program.with_folder(fn)
    local pipe = assert(io.popen("mktemp -d"))
    local folder = pipe:read("l")
    pipe:close()
    local results = table.pack(pcall(fn, folder))
    os.execute("rm -rf " .. quote(folder))
    if not results[1] then
        error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
end

-- Runs a shell command. options: stdin (text), env, folder (to run in), deadline (seconds).
function program.shell(command, options)
    options = options or {}
    return program.with_folder(function(folder)
        program.write_file(folder .. "/in", options.stdin or "")
        local line = ("cd %s && %s timeout -k 2 %d sh -c %s <%s/in >%s/out 2>%s/err"):format(
            quote(options.folder or "."),
            environment(options.env),
            options.deadline or DEADLINE,
            quote(command),
            folder,
            folder,
            folder
        )
        local _, how, code = os.execute(line)
        return {
            out = program.read_file(folder .. "/out"),
            err = program.read_file(folder .. "/err"),
            code = how == "signal" and 128 + code or code,
        }
    end)
end

-- The shell command that replaces the shell by the program (or options.program) with these arguments.
function program.command(args, path)
    local words = { "exec", quote(path or program.path) }
    for _, arg in ipairs(args) do
        words[#words + 1] = quote(arg)
    end
    return table.concat(words, " ")
end

-- Compiles a C file of tests/support; returns the path of what was made, or nil and what the compiler said.
function program.compile(source, path, flags, libraries)
    local command = "exec %s -std=gnu11 -O1 -Wall -Wextra %s -o %s %s %s"
    local compiler = os.getenv("CC") or "cc"
    local r = program.shell(command:format(compiler, flags or "", quote(path), source, libraries or ""))
    if r.code ~= 0 then
        return nil, r.err
    end
    return path
end

-- The flags for a C file that needs Lua's headers.
function program.lua_flags()
    return (program.shell([[
        for name in lua5.4 lua-5.4 lua54 lua; do
            pkg-config --atleast-version=5.4 $name && exec pkg-config --cflags $name
        done]]).out:gsub("%s+$", ""))
end

-- Runs the program. options as for shell, and program: another one to run in its place.
function program.run(args, options)
    return program.shell(program.command(args, options and options.program), options)
end

-- Runs a script given as text: a file of its own, named script.lua in an empty folder. More arguments may follow.
function program.script(text, args, options)
    return program.with_folder(function(folder)
        program.write_file(folder .. "/script.lua", text)
        local all = { "script.lua", table.unpack(args or {}) }
        local merged = { folder = folder }
        for key, value in pairs(options or {}) do
            merged[key] = value
        end
        return program.run(all, merged)
    end)
end

-- Is there such a command?
function program.has(command)
    return os.execute("command -v " .. quote(command) .. " >/dev/null 2>&1") == true
end

return program
