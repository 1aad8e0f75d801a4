-- The embedding API: each part of tests/embed/api.c, a program with the library in it. The examples there are built
-- and run against an installed tree by install_spec.lua.
local program = require("tests.support.program")

local parts = {
    "values",
    "shapes",
    "errors",
    "functions",
    "output",
    "log",
    "memory",
    "exhaustion",
    "tickets",
    "loop",
    "nested",
    "several",
    "threads",
    "interrupt",
}

describe("a host", function()
    local host = program.absolute:gsub("[^/]*$", "") .. "tests/embed/api"

    for _, part in ipairs(parts) do
        it("uses the library: " .. part, function()
            local r = program.run({ part }, { program = host })
            assert.equal("", r.err)
            assert.equal("", r.out)
            assert.equal(0, r.code)
        end)
    end
end)
