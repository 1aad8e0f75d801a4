-- Builds the C module acts (see acts.c) and makes it loadable here and, as far as they take over search paths, in
-- workers.
--
--     local acts = require("tests.support.acts").load(folder)      -- raises when it cannot be compiled
local program = require("tests.support.program")

local acts = {}

local COMPILE = [[exec %s -std=gnu11 -O1 -Wall -Wextra -shared -fPIC \
    $(for n in lua5.4 lua-5.4 lua54 lua; do pkg-config --cflags $n 2>/dev/null && break; done) \
    -o %s tests/support/acts.c]]

-- Compiles the module into folder; the pattern for package.cpath.
function acts.build(folder)
    local command = COMPILE:format(os.getenv("CC") or "cc", program.quote(folder .. "/acts.so"))
    local r = program.shell(command)
    if r.code ~= 0 then
        error(r.err, 2)
    end
    return folder .. "/?.so"
end

-- The module.
function acts.load(folder)
    package.cpath = acts.build(folder) .. ";" .. package.cpath
    return require("acts")
end

return acts
