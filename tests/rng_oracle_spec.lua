-- mf.rng against R: figures that tests/data/rng.R has printed, and, where R with future.apply is installed, all
-- numbers of the same cases as R draws them now.
local mf = require("moonfleet")
local program = require("tests.support.program")

local figures = dofile("tests/data/rng_figures.lua")

-- As in the R script: small whole numbers, many of them equal.
local function weights(n)
    local list = {}
    for i = 1, n do
        list[i] = i * 37 % 11 + 1
    end
    return list
end

local function draw(data, seed, text)
    local env = { n = data.n, g = mf.rng(seed), weights = weights }
    return assert(load("return " .. text, "=" .. text, "t", env))()
end

-- Equal as numbers: R's are all floats here.
local function check(what, expected, got)
    if expected ~= got then
        error(("%s: R has %.17g (%a), not %.17g (%a)"):format(what, expected, expected, got, got), 0)
    end
end

local function check_cases(data)
    assert(#data.cases > 100)
    for seed, case in ipairs(data.cases) do
        local got = draw(data, seed, case.draw)
        for k, expected in ipairs(case.values) do
            local i = case.at and case.at[k] or k
            check(("%s, number %d"):format(case.draw, i), expected, got[i])
        end
        assert.equal(case.at and case.at[#case.at] or #case.values, #got)
    end
end

local function check_state(expected, generator)
    expected.kind = "mrg32k3a"
    assert.same(expected, generator:state())
end

local function check_streams(data)
    for seed, states in pairs(data.streams) do
        local g = mf.rng(seed)
        check_state(states.stream, g:next_stream())
        check_state(states.third, g:next_stream(3))
        check_state(states.third, g:next_stream():next_stream(2))
        check_state(states.substream, g:next_substream())
        check_state(states.start, g)
    end
end

-- The element that the R script's function `each` draws.
local function each(i)
    local g, all = require("moonfleet").rng.current(), {}
    local function add(x)
        if type(x) == "table" then
            table.move(x, 1, #x, #all + 1, all)
        else
            all[#all + 1] = x
        end
    end
    add(g:uniform(nil, nil, 1))
    add(math.random())
    add(g:normal(i, 2, 3))
    add(g:exponential(1, 2))
    add(g:gamma(2.5, 1, 2))
    add(g:gamma(0.4, 3))
    add(g:beta(2, 3, 2))
    add(g:binomial(100, 0.4, 2))
    add(g:poisson(50, 2))
    add(g:poisson(3))
    add(g:sample(10, 4))
    add(g:sample(i + 1, 3, { replace = true }))
    add(g:sample(3, 2, { replace = true, weights = { 1, 2, 3 } }))
    add(g:uniform())
    return all
end

local function check_elements(data, plan, chunk)
    for seed, expected in pairs(data.elements) do
        local got = mf.with_plan(plan, function()
            return mf.map(mf.range(5), each, { seed = seed, chunk = chunk })
        end)
        for i, numbers in ipairs(expected) do
            assert.equal(#numbers, #got[i])
            for k, number in ipairs(numbers) do
                check(("element %d, number %d"):format(i, k), number, got[i][k])
            end
        end
    end
end

local function check_maps(data)
    local plans = {
        "sequential", { { "threads", workers = 2 } }, { { "forks", workers = 2 } }, { { "processes", workers = 2 } },
    }
    for _, plan in ipairs(plans) do
        for _, chunk in ipairs({ 1, 2, 5 }) do
            check_elements(data, plan, chunk)
        end
    end
end

local function has_r()
    local test = "Rscript -e 'stopifnot(requireNamespace(\"future.apply\", quietly = TRUE))' >/dev/null 2>&1"
    return os.execute(test) == true
end

describe("the figures of R", function()
    it("are what each distribution draws, to the last bit", function()
        check_cases(figures)
    end)

    it("are the states of streams and substreams", function()
        check_streams(figures)
    end)

    it("are what the elements of a map draw, under every plan and in every chunk", function()
        check_maps(figures)
    end)

    it("are what the program draws after mf.seed", function()
        mf.seed(42)
        assert.same(mf.rng(42):normal(0, 1, 5), mf.rng.current():normal(0, 1, 5))
    end)
end)

describe("R itself", function()
    it("draws all the same numbers", function()
        if not has_r() then
            pending("R with future.apply is not installed")
            return
        end
        local result = program.shell("Rscript tests/data/rng.R all", { deadline = 100 })
        assert.equal(0, result.code, result.err)
        local data = assert(load(result.out, "=R", "t", {}))()
        check_cases(data)
        check_streams(data)
        check_elements(data, "sequential", 1)
    end)
end)
