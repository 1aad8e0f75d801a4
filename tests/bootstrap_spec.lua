-- scripts/bootstrap.lua against R 4.2.2: the same resamples (future_sapply with future.seed = 42 and sample.int), so
-- the same intervals, but for last digits.
local mf = require("moonfleet")
local program = require("tests.support.program")
local bootstrap = dofile("scripts/bootstrap.lua")

-- estimate, standard error, limits; of 500 resamples
local R = {
    { 70.897058823529406, 0.82207131935651645, 69.325275735294127, 72.547794117647058 },
    { 76, 1.0282945976514311, 73.5, 77 },
    { 13.594973789999397, 0.37638314057616201, 12.766678705444694, 14.255038426212405 },
    { 0.90081116832181307, 0.0089467767844341115, 0.88310128698747314, 0.91616303289061585 },
    { 10.729641395133504, 0.29159929521138445, 10.150635137403665, 11.32781560570146 },
}

local function near(expected, got)
    assert.is_true(math.abs(got / expected - 1) < 1e-11, ("expected %.16g, got %.16g"):format(expected, got))
end

describe("the bootstrap", function()
    local x, y = bootstrap.read()

    it("finds R's intervals, under every plan", function()
        assert.equal(272, #x)
        for _, plan in ipairs({ "sequential", { { "threads", workers = 2 } } }) do
            local intervals = mf.with_plan(plan, function()
                return bootstrap.intervals(x, y, 500, { seed = 42 })
            end)
            for k, expected in ipairs(R) do
                local row = intervals[k]
                assert.equal(bootstrap.names[k], row.name)
                near(expected[1], row.estimate)
                near(expected[2], row.error)
                near(expected[3], row.low)
                near(expected[4], row.high)
            end
        end
    end)

    it("is printed by the program", function()
        local r = program.run({ "-j", "2", "scripts/bootstrap.lua", "500" })
        assert.equal(0, r.code, r.err)
        assert.matches("\nslope +10%.7296 +0%.2916   10%.1506 to 11%.3278\n", r.out)
        assert.matches("\n500 resamples of 272 eruptions on 2 workers: %d+%.%d%d s\n$", r.out)
        r = program.run({ "scripts/bootstrap.lua", "x" })
        assert.equal(2, r.code)
        assert.equal("usage: moonfleet scripts/bootstrap.lua [RESAMPLES [SEED]]\n", r.err)
    end)
end)
