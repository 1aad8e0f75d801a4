-- scripts/calc_mean.lua against what R 4.2.2 with future.apply prints for the call in its heading, with 1e5 numbers.
local mf = require("moonfleet")
local program = require("tests.support.program")
local calc = dofile("scripts/calc_mean.lua")

local R = {
    { mean = 100.0629982119402, sd = 14.9943097670474, min = 32.7170448057278, max = 165.1500488461909 },
    { mean = 100.0001178924846, sd = 14.9866887659998, min = 34.6118451201217, max = 163.8214289799751 },
    { mean = 100.0692182226690, sd = 14.9843735166298, min = 36.0052173315369, max = 163.9640870687543 },
}

local function near(expected, got)
    assert.is_true(math.abs(got / expected - 1) < 1e-13, ("expected %.16g, got %.16g"):format(expected, got))
end

describe("the means of normals", function()
    it("are R's, under every plan", function()
        local plans = { "sequential", { { "threads", workers = 2 } }, { { "processes", workers = 2 } } }
        local seen
        for _, plan in ipairs(plans) do
            local summaries, all = mf.with_plan(plan, function()
                return calc.run(3, 100000, { seed = 42 })
            end)
            for i, expected in ipairs(R) do
                for name, figure in pairs(expected) do
                    near(figure, summaries[i][name])
                end
            end
            assert.equal(300000, all.n)
            near((R[1].mean + R[2].mean + R[3].mean) / 3, all.mean)
            assert.equal(R[1].max, tonumber(("%.13f"):format(all.max)))
            seen = seen or summaries
            assert.same(seen, summaries)
        end
    end)

    it("are printed by the program", function()
        local r = program.run({ "-j", "2", "scripts/calc_mean.lua", "3", "100000" })
        assert.equal(0, r.code, r.err)
        assert.matches("\n   1 +100%.062998 +14%.994310 +32%.7170 +165%.1500\n", r.out)
        assert.matches("\n all +100%.044111 ", r.out)
        assert.matches("\n3 x 100000 numbers on 2 workers: %d+%.%d%d s\n$", r.out)
        r = program.run({ "scripts/calc_mean.lua", "0" })
        assert.equal(2, r.code)
        assert.equal("usage: moonfleet scripts/calc_mean.lua [TASKS [NUMBERS]]\n", r.err)
    end)
end)
