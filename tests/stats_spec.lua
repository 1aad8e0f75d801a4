-- What mf.stats takes and says. That its figures are right is for stats_oracle_spec.lua and tests/unit/stats_test.c.
local mf = require("moonfleet")

local stats = mf.stats

local function refusal(fn, ...)
    local ok, message = pcall(fn, ...)
    assert.is_false(ok)
    return (tostring(message):gsub("^[^:]+:%d+: ", ""))
end

local function is_nan(x)
    return x ~= x
end

describe("mf.stats", function()
    it("takes lists and ranges", function()
        assert.equal(2.5, stats.mean({ 1, 2, 3, 4 }))
        assert.equal(2.5, stats.mean({ 1, 2.0, 3, 4 }))
        assert.equal(500000.5, stats.mean(mf.range(1000000)))
        assert.equal(0.25, stats.mean(mf.range(0, 0.5, 0.125)))
        assert.equal(stats.var({ 1, 2, 3, 4 }), stats.var(mf.range(4)))
        assert.equal(2.5, stats.median(mf.range(4)))
        assert.same({ 1.0, 4.0 }, stats.quantile(mf.range(4), mf.range(0, 1)))
        assert.equal(1.0, stats.cor(mf.range(4), mf.range(10, 40, 10)))
        assert.equal(3.0, stats.mean({ 1, 2, 3 }, mf.range(0, 2)) + 1 / 3)
    end)

    it("takes arrays of any type and layout", function()
        local list = mf.rng(1):normal(10, 3, 600)
        local a, stats_of = mf.array(list), { "mean", "var", "sd", "median" }
        local wide = mf.array(600, 2)
        for i = 1, 600 do
            wide:set(i, 2, list[i])
        end
        for _, name in ipairs(stats_of) do
            assert.equal(stats[name](list), stats[name](a))
            assert.equal(stats[name](list), stats[name](a:reshape(20, 30)))
            assert.equal(stats[name](list), stats[name](wide:slice({}, { 2, 2 })))
        end
        assert.same(stats.quantile(list, { 0.1, 0.9 }), stats.quantile(a, mf.array({ 0.1, 0.9 })))
        assert.same(stats.summary(list), stats.summary(a))
        assert.equal(2.0, stats.mean(mf.array({ 1, 2, 3 }, "u8")))
        assert.equal(2.5, stats.mean(mf.array({ 1, 2, 3 }, "i32"), mf.array({ 0, 1, 1 }, "f32")))
        assert.same(stats.histogram(list, { bins = 4 }).counts, stats.histogram(a, { bins = 4 }).counts)
    end)

    it("takes the columns of an array for variables", function()
        local y, x = { 1, 3, 2, 5, 4, 6 }, { 1, 2, 3, 4, 5, 7 }
        local both = mf.array({ y, x }):transpose()
        assert.same(stats.cor({ y, x }), stats.cor(both))
        assert.same(stats.cov({ y, x }), stats.cov(both))
        assert.same(stats.regression(y, { x, y }, { intercept = false }).coefficients,
            stats.regression(y, mf.array({ x, y }):transpose(), { intercept = false }).coefficients)
        assert.same(stats.regression(y, x), stats.regression(mf.array(y), mf.array(x)))
    end)

    it("gives NaN for too few numbers, and for NaN", function()
        local nan = 0 / 0
        assert.is_true(is_nan(stats.mean({})))
        assert.is_true(is_nan(stats.var({ 1 })))
        assert.is_true(is_nan(stats.sd({})))
        assert.is_true(is_nan(stats.median({})))
        assert.is_true(is_nan(stats.quantile({}, 0.5)))
        assert.is_true(is_nan(stats.mean({ 1, nan })))
        assert.is_true(is_nan(stats.sd({ 1, nan })))
        assert.is_true(is_nan(stats.median({ 1, nan, 2 })))
        assert.is_true(is_nan(stats.cov({ 1, 2 }, { nan, 1 })))
        assert.is_true(is_nan(stats.cor({ 1, 2 }, { 1, 1 })))
        assert.equal(math.huge, stats.mean({ 1, math.huge }))
        assert.equal(7.0, stats.median({ 7 }))
    end)

    it("leaves what it reads as it is", function()
        local list = { 5, 1, 4, 2, 3 }
        assert.equal(3.0, stats.median(list))
        stats.quantile(list, { 0.1, 0.9 })
        stats.histogram(list)
        stats.regression(list, { 1, 2, 3, 4, 6 })
        assert.same({ 5, 1, 4, 2, 3 }, list)
    end)

    it("names the argument and the element that is wrong, and the user's line", function()
        assert.equal("mf.stats.mean: element 3 of x is a string, not a number", refusal(stats.mean, { 1, 2, "3" }))
        assert.equal("mf.stats.sd: element 2 of x is a table, not a number", refusal(stats.sd, { 1, {} }))
        assert.equal("mf.stats.mean: x must be a list, a range or an array of numbers, not a nil", refusal(stats.mean))
        assert.equal("mf.stats.mean: element 1 of the weights is a boolean, not a number",
            refusal(stats.mean, { 1 }, { true }))
        assert.equal("mf.stats.var: 2 weights for 1 numbers; there must be one for each",
            refusal(stats.var, { 1 }, { 1, 2 }))
        assert.equal("mf.stats.median: weight 1 must be finite and not negative, not -1.0",
            refusal(stats.median, { 1 }, { -1 }))
        assert.equal("mf.stats.quantile: p must be from 0 to 1, not 1.5", refusal(stats.quantile, { 1 }, 1.5))
        assert.equal("mf.stats.quantile: p must be a list, a range or an array of numbers, not a nil",
            refusal(stats.quantile, { 1 }))
        assert.equal("mf.stats.cov: x has 2 numbers, y has 1; there must be as many",
            refusal(stats.cov, { 1, 2 }, { 1 }))
        assert.equal("mf.stats.cor: element 2 of variable 2 of x is a string, not a number",
            refusal(stats.cor, { { 1, 2 }, { 1, "x" } }))
        assert.equal("mf.stats.cor: variable 2 of x has 1 numbers, the first has 2",
            refusal(stats.cor, { { 1, 2 }, { 1 } }))
        assert.equal("mf.stats.cov: x must be a list of variables, each a list of numbers", refusal(stats.cov, {}))
        local _, message = pcall(function()
            return 1 + stats.mean({ "x" })
        end)
        assert.matches("^tests/stats_spec.lua:%d+: mf.stats.mean: ", message)
        _, message = pcall(function()
            return 1 + stats.summary({ "x" }).n
        end)
        assert.matches("^tests/stats_spec.lua:%d+: mf.stats.summary: ", message)
    end)

    it("runs in tasks and crosses by name", function()
        assert.same({ 2.0, 1.0 }, mf.future(function(sd)
            return { mf.stats.mean({ 1, 2, 3 }), sd({ 1, 2, 3 }) }
        end, stats.sd):value())
    end)
end)

describe("matrices of covariances and correlations", function()
    it("are symmetric lists of rows", function()
        local m = stats.cov({ { 1, 2, 3 }, { 1, 4, 9 }, { 3, 1, 2 } })
        assert.equal(3, #m)
        for i = 1, 3 do
            for j = 1, 3 do
                assert.equal(m[i][j], m[j][i])
            end
        end
        assert.equal(1.0, m[1][1])
        assert.equal(4.0, m[1][2])
        assert.equal(1.0, stats.cor({ { 1, 2, 3 }, { 1, 4, 9 } })[2][2])
    end)
end)

describe("summaries", function()
    it("hold count, mean, variance, standard deviation and range", function()
        local sd = (5 / 3) ^ 0.5
        assert.same({ n = 4, mean = 2.5, var = 5 / 3, sd = sd, min = 1.0, max = 4.0 }, stats.summary(mf.range(4)))
        local empty = stats.summary({})
        assert.equal(0, empty.n)
        assert.is_true(is_nan(empty.mean) and is_nan(empty.var) and is_nan(empty.min))
        local one = stats.summary({ 3 })
        assert.equal(3.0, one.mean)
        assert.is_true(is_nan(one.sd))
    end)

    it("merge to that of all numbers", function()
        local g, all, pieces = mf.rng(1), {}, {}
        for i = 1, 20 do
            pieces[i] = g:normal(i * 10, i, i == 7 and 0 or i == 8 and 1 or 50)
            table.move(pieces[i], 1, #pieces[i], #all + 1, all)
        end
        local expected = stats.summary(all)
        local got = mf.mapreduce(pieces, mf.stats.summary, mf.stats.merge)
        assert.equal(expected.n, got.n)
        assert.equal(expected.min, got.min)
        assert.equal(expected.max, got.max)
        for _, name in ipairs({ "mean", "var", "sd" }) do
            assert.is_true(math.abs(got[name] / expected[name] - 1) < 1e-14)
        end
        assert.equal("mf.stats.merge: expected two summaries, as mf.stats.summary returns them",
            refusal(stats.merge, got, 5))
    end)
end)

describe("histograms", function()
    it("count in cells of equal width over the range", function()
        local h = stats.histogram({ 0, 1, 2, 3, 4, 4, 8 }, { bins = 4 })
        assert.same({ 2, 2, 2, 1 }, h.counts)
        assert.same({ 0.0, 2.0, 4.0, 6.0, 8.0 }, h.edges)
        assert.same({ 1 / 7, 1 / 7, 1 / 7, 1 / 14 }, h.density)
        assert.equal(0, h.outside)
    end)

    it("count between edges, and what lies outside", function()
        local h = stats.histogram({ -1, 0, 0.5, 1, 5, 9, 10, 11, 0 / 0 }, { edges = { 0, 1, 5, 10 } })
        assert.same({ 2, 1, 3 }, h.counts)
        assert.equal(3, h.outside)
        assert.equal(2, stats.histogram({ 1, 2, 3, 9 }, { range = { 0, 2 }, bins = 1 }).outside)
        assert.equal(2, stats.histogram(mf.range(9), { range = { 2.5, 7.5 }, bins = 5 }).outside // 2)
    end)

    it("have a cell for numbers that are all the same", function()
        local h = stats.histogram({ 5, 5, 5 }, { bins = 1 })
        assert.same({ 4.5, 5.5 }, h.edges)
        assert.same({ 3 }, h.counts)
    end)

    it("say what they cannot count", function()
        assert.equal("mf.stats.histogram: option 'bins' must be an integer from 1 to 100000000, not 0",
            refusal(stats.histogram, { 1 }, { bins = 0 }))
        assert.equal("mf.stats.histogram: options 'bins' and 'range' say nothing beside 'edges'",
            refusal(stats.histogram, { 1 }, { bins = 3, edges = { 1, 2 } }))
        assert.equal("mf.stats.histogram: the edges must ascend; edge 3 does not",
            refusal(stats.histogram, { 1 }, { edges = { 1, 2, 1.5 } }))
        assert.equal("mf.stats.histogram: there must be at least two edges",
            refusal(stats.histogram, { 1 }, { edges = { 1 } }))
        for _, list in ipairs({ {}, { 0 / 0 }, { 1, math.huge } }) do
            assert.equal("mf.stats.histogram: the numbers must be finite and at least one; or give option 'range'",
                refusal(stats.histogram, list))
        end
        assert.equal("mf.stats.histogram: option 'range' must be two numbers, the lesser first, not a table",
            refusal(stats.histogram, { 1 }, { range = { 2, 1 } }))
    end)
end)

describe("regressions", function()
    it("fit a line through points that lie on it", function()
        local r = stats.regression({ 5, 7, 9, 11 }, mf.range(4))
        assert.is_true(math.abs(r.coefficients[1] - 3) < 1e-12 and math.abs(r.coefficients[2] - 2) < 1e-12)
        assert.equal(2, r.df)
        assert.is_true(r.r_squared > 1 - 1e-12)
        assert.equal(4, #r.residuals)
    end)

    it("take one variable, a list of one, and several", function()
        local y, x = { 1, 3, 2, 5, 4 }, { 1, 2, 3, 4, 5 }
        assert.same(stats.regression(y, x), stats.regression(y, { x }))
        assert.same(stats.regression(y, x), stats.regression(y, mf.range(5)))
        assert.equal(3, #stats.regression(y, { x, { 1, 0, 0, 1, 0 } }).coefficients)
        assert.equal(1, #stats.regression(y, x, { intercept = false }).coefficients)
        local weighted = stats.regression(y, x, { weights = { 1, 1, 1, 1, 0 } })
        assert.same(stats.regression({ 1, 3, 2, 5 }, { 1, 2, 3, 4 }).coefficients, weighted.coefficients)
        assert.equal(2, weighted.df)
    end)

    it("have no errors when nothing is left over", function()
        local r = stats.regression({ 1, 3 }, { 1, 2 })
        assert.equal(0, r.df)
        assert.is_true(is_nan(r.sigma) and is_nan(r.standard_errors[1]) and is_nan(r.p_values[2]))
    end)

    it("say what they cannot fit", function()
        local y = { 1, 2, 4, 3 }
        local words = "mf.stats.regression: variable %d is a linear combination of %s before it; leave it out"
        assert.equal(words:format(2, "the intercept and those"),
            refusal(stats.regression, y, { { 1, 2, 3, 4 }, { 3, 5, 7, 9 } }))
        assert.equal(words:format(2, "those"),
            refusal(stats.regression, y, { { 1, 2, 3, 4 }, { 2, 4, 6, 8 } }, { intercept = false }))
        assert.equal(words:format(1, "the intercept and those"),
            refusal(stats.regression, y, { 7, 7, 7, 7 }))
        assert.equal("mf.stats.regression: y has 4 numbers, each variable has 3; there must be as many",
            refusal(stats.regression, y, { 1, 2, 3 }))
        assert.equal("mf.stats.regression: 2 observations are too few for 3 coefficients",
            refusal(stats.regression, { 1, 2 }, { { 1, 2 }, { 2, 1 } }))
        assert.equal("mf.stats.regression: all numbers must be finite; observation 2 is not",
            refusal(stats.regression, y, { 1, math.huge, 3, 5 }))
        assert.equal("mf.stats.regression: element 3 of y is a string, not a number",
            refusal(stats.regression, { 1, 2, "x", 4 }, { 1, 2, 3, 5 }))
        assert.equal("mf.stats.regression: element 2 of variable 1 of x is a string, not a number",
            refusal(stats.regression, y, { { 1, "2", 3, 4 } }))
        assert.equal("mf.stats.regression: x must be a list of variables, each a list of numbers",
            refusal(stats.regression, y, {}))
    end)
end)
