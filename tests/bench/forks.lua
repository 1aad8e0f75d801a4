-- Rows of the benchmark for the plan forks: what a fork costs, and what it does not copy.
--
-- Called with what bench.lua has: floor(name), memory(what, unit), round_trip, map_elements. Returns a list of rows.
local LARGE = 400 -- MB, the table that memory.lua maps over

local mf = require("moonfleet")

-- A task that refers to a module has to see what it is now, and gets a fork of its own; most others need none when they
-- are so short.
local function futures_of_a_module()
    local trips = 500
    local function trivial(x)
        return require and x
    end
    local start = mf.now()
    for i = 1, trips do
        mf.future(trivial, i):value()
    end
    return 1e6 / trips * (mf.now() - start)
end

return function(tools)
    return {
        {
            name = "forks: future", unit = "us", measure = tools.round_trip, rounds = 9, warm = "forks", ratio = 2,
            floor = function() return tools.floor("fork_wait") end,
        },
        {
            name = "forks: future of a module", unit = "us", measure = futures_of_a_module, rounds = 9,
            warm = "forks", ratio = 2, floor = function() return tools.floor("fork_wait") end,
        },
        {
            name = "forks: map x + 1, each", unit = "ns", measure = tools.map_elements, warm = "forks", at_most = 120,
            floor = function() return tools.floor("sum_integer") end,
        },
        {
            name = "forks: copied of 400 MB, each", unit = "MB", rounds = 3, at_most = 0.05 * LARGE,
            measure = function() return tools.memory("inherited", 1 << 20) end,
        },
    }
end
