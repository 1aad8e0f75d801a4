-- The embedding API: each part of tests/embed/api.c and tasks.c, programs with the library in them. The examples there
-- are built and run against an installed tree by install_spec.lua.
local program = require("tests.support.program")

local parts = {
    api = { "values", "shapes", "errors", "output", "log", "memory", "exhaustion", "nested" },
    tasks = { "functions", "forks", "tickets", "loop", "several", "threads", "stuck", "interrupt" },
}

describe("a host", function()
    for name, list in pairs(parts) do
        local host = program.absolute:gsub("[^/]*$", "") .. "tests/embed/" .. name
        for _, part in ipairs(list) do
            it("uses the library: " .. part, function()
                local r = program.run({ part }, { program = host })
                assert.equal("", r.err)
                assert.equal("", r.out)
                assert.equal(0, r.code)
            end)
        end
    end
end)
