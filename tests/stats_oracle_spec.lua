-- mf.stats against R: figures that tests/data/stats.R has printed, and, where R is installed, what it prints now.
local mf = require("moonfleet")
local program = require("tests.support.program")

local stats = mf.stats
local figures = dofile("tests/data/stats_figures.lua")

-- Equal but for a few last digits: R sums in another order, and with longer numbers.
local function near(what, expected, got, tolerance)
    local scale = math.max(math.abs(expected), 1e-300)
    local close = math.abs(got - expected) <= (tolerance or 1e-13) * scale -- not so for NaN
    if not close then
        error(("%s: R has %.17g, not %.17g"):format(what, expected, got), 0)
    end
end

local function all_near(what, expected, got, tolerance)
    assert.equal(#expected, #got, what)
    for i = 1, #expected do
        near(what .. " " .. i, expected[i], got[i], tolerance)
    end
end

-- R's matrices are read column by column.
local function matrix_near(what, expected, got, tolerance)
    local flat = {}
    for j = 1, #got do
        for i = 1, #got do
            flat[#flat + 1] = got[i][j]
        end
    end
    all_near(what, expected, flat, tolerance)
end

local LONGLEY = { "GNP_deflator", "GNP", "Unemployed", "Armed_Forces", "Population", "Year", "Employed" }

local function longley(data)
    local columns = {}
    for i, name in ipairs(LONGLEY) do
        columns[i] = data.longley[name]
    end
    return columns
end

local function squares(x)
    local list = {}
    for i = 1, #x do
        list[i] = x[i] * x[i]
    end
    return list
end

local function first(list, n)
    return table.move(list, 1, n, 1, {})
end

local function check_moments(d)
    near("mean", d.mean[1], stats.mean(d.x))
    near("var", d.var[1], stats.var(d.x))
    near("sd", d.sd[1], stats.sd(d.x))
    near("cov", d.cov[1], stats.cov(d.x, d.y))
    near("cor", d.cor[1], stats.cor(d.x, d.y))
    matrix_near("cov of longley", d.cov_longley, stats.cov(longley(d)), 1e-12)
    matrix_near("cor of longley", d.cor_longley, stats.cor(longley(d)), 1e-12)
    near("weighted mean", d.weighted_mean[1], stats.mean(d.x, d.w))
    matrix_near("weighted cov", d.weighted_cov, stats.cov({ d.x, d.y }, nil, d.w))
    matrix_near("weighted cor", d.weighted_cor, stats.cor({ d.x, d.y }, nil, d.w))
    near("weighted var", d.weighted_cov[1], stats.var(d.x, d.w))
    near("weighted sd", d.weighted_cov[4] ^ 0.5, stats.sd(d.y, d.w))
end

local function check_order(d)
    assert.same(d.quantile, stats.quantile(d.x, d.p))
    assert.same(d.quantile_y, stats.quantile(d.y, d.p))
    for i, p in ipairs(d.p) do
        assert.equal(d.quantile[i], stats.quantile(d.x, p))
    end
    assert.same(d.median, { stats.median(d.x), stats.median(table.move(d.x, 2, #d.x, 1, {})), stats.median(d.y) })
    all_near("weighted quantile", d.weighted_quantile, stats.quantile(d.x, d.p, d.w))
    assert.equal(d.weighted_median[1], stats.median(d.y, d.w))
    assert.same(d.counts, stats.histogram(d.y, { edges = d.edges }).counts)
    assert.same(d.counts_even, stats.histogram(d.y, { bins = 10 }).counts)
    assert.equal(d.sturges[1], #stats.histogram(d.y).counts)
end

local function check_fit(what, expected, got, tolerance)
    for name, numbers in pairs(expected) do
        local mine = got[name]
        local list = type(mine) == "table" and first(mine, #numbers) or { mine }
        all_near(what .. " " .. name, numbers, list, tolerance)
    end
end

local function check_regressions(d)
    check_fit("line", d.line, stats.regression(d.y, d.x), 1e-11)
    check_fit("origin", d.origin, stats.regression(d.y, { d.x, squares(d.x) }, { intercept = false }), 1e-11)
    check_fit("weighted", d.weighted, stats.regression(d.y, { d.x, squares(d.x) }, { weights = d.w }), 1e-11)
    local columns = longley(d) -- famous for being nearly dependent
    local employed = table.remove(columns)
    check_fit("employment", d.employment, stats.regression(employed, columns), 1e-7)
end

-- Student's t through a regression's p-values would be a detour.
local function check_student(d)
    local student = require("moonfleet.core").stats().student
    for j, df in ipairs(d.student_df) do
        for i, t in ipairs(d.student_t) do
            local expected = d.student[(j - 1) * #d.student_t + i]
            if expected < 1e-290 then
                assert.is_true(student(t, df) < 1e-280)
            else
                near(("t %g, df %g"):format(t, df), expected, student(t, df), df < 1e5 and 1e-12 or 1e-9)
            end
        end
    end
end

local function check_all(data)
    check_moments(data)
    check_order(data)
    check_regressions(data)
    check_student(data)
end

describe("the figures of R", function()
    it("are moments of one variable and of two", function()
        check_moments(figures)
    end)

    it("are quantiles and counts", function()
        check_order(figures)
    end)

    it("are regressions", function()
        check_regressions(figures)
    end)

    it("are probabilities of Student's t", function()
        check_student(figures)
    end)
end)

describe("R itself", function()
    it("computes the same", function()
        if not program.has("Rscript") then
            pending("R is not installed")
            return
        end
        local result = program.shell("Rscript tests/data/stats.R")
        assert.equal(0, result.code, result.err)
        check_all(assert(load(result.out, "=R", "t", {}))())
    end)
end)
