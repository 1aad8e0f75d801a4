-- math.random in tasks.
local core = require("moonfleet.core")
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

-- What R 4.2 draws: future_lapply(1:200, function(i) runif(3), future.seed = seed) of future.apply 1.10.
local R = {
    [42] = {
        [1] = { 0.48943377235024815, 0.6661948935521157, 0.041600951844127383 },
        [2] = { 0.99454600174575314, 0.67054644447603751, 0.27004319875710303 },
        [3] = { 0.017542909516237021, 0.74689938066412498, 0.096062454623400836 },
        [50] = { 0.28552276929578191, 0.24257150186572049, 0.72318652724446686 },
        [200] = { 0.21524114086529178, 0.97300345622578621, 0.5385916843142059 },
    },
    [1] = {
        [1] = { 0.91583144489977064, 0.14848479742296924, 0.010783779491443685 },
        [3] = { 0.44582729151753636, 0.83413560863123437, 0.96892444149970181 },
        [200] = { 0.67013869909310009, 0.61887600871878912, 0.23948356062466761 },
    },
    [-5] = {
        [1] = { 0.24291237479210226, 0.54095205443865335, 0.63818195246668685 },
        [2] = { 0.55209856290288761, 0.85013506767062808, 0.3055997827473923 },
        [200] = { 0.78819804753763467, 0.85129710404896131, 0.61512476693511753 },
    },
    [2147483647] = {
        [1] = { 0.17685407325291244, 0.47328196546124507, 0.11977847174599818 },
        [200] = { 0.6599373161483002, 0.16508957285867801, 0.49582449140294793 },
    },
}

local draw_three = load("return { math.random(), math.random(), math.random() }")
local draw = load("return math.random()")
local draw_bits = load("return math.random(0)")

local function with_plan(name, options, fn)
    local level = { name }
    for key, value in pairs(options) do
        level[key] = value
    end
    return mf.with_plan({ level }, fn)
end

local PLANS = { { "threads", { workers = 2 } }, { "threads", { workers = 1 } }, { "sequential", {} } }

describe("a map with a seed", function()
    it("draws what R's future.apply draws, whatever the plan and the chunks are", function()
        for seed, expected in pairs(R) do
            for _, plan in ipairs(PLANS) do
                for _, chunk in ipairs({ 1, 7, 200 }) do
                    local got = with_plan(plan[1], plan[2], function()
                        return mf.map(mf.range(200), draw_three, { seed = seed, chunk = chunk })
                    end)
                    for element, numbers in pairs(expected) do
                        assert.same(numbers, got[element])
                    end
                end
            end
        end
    end)

    it("does not move the streams of the session", function()
        mf.seed(9)
        local expected = { H.value(mf.future(draw)), H.value(mf.future(draw)) }
        mf.seed(9)
        local first = H.value(mf.future(draw))
        mf.map(mf.range(10), draw, { seed = 1 })
        assert.same(expected, { first, H.value(mf.future(draw)) })
    end)
end)

describe("a future with a seed", function()
    it("draws what R's future draws", function()
        for _, plan in ipairs(PLANS) do
            with_plan(plan[1], plan[2], function()
                assert.same(R[42][1], H.value(mf.future({ seed = 42 }, draw_three)))
            end)
        end
    end)
end)

describe("the session's streams", function()
    it("are the same for every plan and number of workers", function()
        local seen
        for _, plan in ipairs(PLANS) do
            mf.seed(12345)
            local got = with_plan(plan[1], plan[2], function()
                local futures = {}
                for i = 1, 20 do
                    futures[i] = mf.future(draw_bits)
                end
                local list = mf.map(mf.range(30), draw_bits)
                for i = 20, 1, -1 do
                    list[30 + i] = H.value(futures[i])
                end
                return list
            end)
            seen = seen or got
            assert.same(seen, got)
        end
    end)

    it("differ from each other and from run to run", function()
        local seen, n = {}, 0
        for _ = 1, 3 do
            for _, x in ipairs(mf.map(mf.range(100), draw_bits)) do
                n = seen[x] and n or n + 1
                seen[x] = true
            end
        end
        assert.equal(300, n)
        local script = "print(require('moonfleet').future(load('return math.random(0)')):value())"
        local program = require("tests.support.program")
        assert.not_equal(program.script(script).out, program.script(script).out)
    end)

    it("give a task's own futures streams of their own", function()
        local nested = load([[
            local inner = require("moonfleet")
            local a, b = inner.future(load("return math.random(0)")), inner.future(load("return math.random(0)"))
            return math.random(0), a:value(), b:value(), table.concat(inner.map({ 1, 2 }, function()
                return math.random(0) end), " ")]])
        local function all(plan)
            mf.seed(3)
            return mf.with_plan(plan, function()
                local first, second = mf.future(nested), mf.future(nested)
                return { H.value(first) }, { H.value(second) }
            end)
        end
        local a, b = all({ { "threads", workers = 2 }, { "threads", workers = 2 } })
        local c, d = all("sequential")
        assert.same(a, c)
        assert.same(b, d)
        local seen = {}
        for _, list in ipairs({ a, b }) do
            for _, x in ipairs(list) do
                assert.is_nil(seen[x])
                seen[x] = true
            end
        end
    end)

    it("are reserved by number", function()
        core.seed(7)
        assert.equal(1, core.streams(3))
        assert.equal(4, core.streams(0))
        assert.equal(4, core.streams(1))
        core.seed(7)
        assert.equal(1, core.streams(1))
    end)

    it("jump ahead in any order", function()
        local pool = core.pool("sequential", {})
        local code = core.code(nil, draw_three)
        local function element(stream)
            local results = {}
            core.chunk(pool, code, { seed = 42, stream = stream }, "range", 1, 1, 1, 1):collect(results)
            return results[1]
        end
        for _, k in ipairs({ 200, 1, 50, 3, 2, 200 }) do
            assert.same(R[42][k], element(k))
        end
        pool:close()
    end)
end)

describe("math.random in a task", function()
    it("takes what math.random takes and says what it says", function()
        local calls = [[
            local list = {}
            for _, args in ipairs({ {}, { 10 }, { 3, 5 }, { 7, 7 }, { 0 }, { -3, -1 }, { 5.0 },
                    { math.mininteger, math.maxinteger }, { 0, math.maxinteger } }) do
                local ok, x = pcall(math.random, table.unpack(args))
                list[#list + 1] = tostring(ok) .. " " .. math.type(x)
            end
            for _, args in ipairs({ { -1 }, { 5, 3 }, { 1.5 }, { "x" }, { 1, 2, 3 }, { 2 ^ 53, 1 }, { {} },
                    { 1, {} } }) do
                list[#list + 1] = tostring(select(2, pcall(math.random, table.unpack(args))))
            end
            local function position() math.random(5, 3) end
            list[#list + 1] = select(2, pcall(position))
            return table.concat(list, "\n")]]
        assert.equal(load(calls)(), H.value(mf.future(load(calls))))
    end)

    it("draws uniformly", function()
        local counts, sum, low, high = H.value(mf.future({ seed = 5 }, load([[
            local counts, sum, low, high = {}, 0, 1, 0
            for i = 1, 60000 do
                local k = math.random(6)
                counts[k] = (counts[k] or 0) + 1
                local u = math.random()
                sum = sum + u
                low, high = math.min(low, u), math.max(high, u)
            end
            return counts, sum, low, high]])))
        assert.equal(6, #counts)
        for k = 1, 6 do
            assert.is_true(math.abs(counts[k] - 10000) < 500)
        end
        assert.is_true(math.abs(sum / 60000 - 0.5) < 0.005)
        assert.is_true(low > 0 and high < 1)
    end)

    it("reaches all integers of a large interval", function()
        local ors, ands = H.value(mf.future(load([[
            local ors, ands = 0, -1
            for i = 1, 2000 do
                local x = math.random(0)
                local y = math.random(math.mininteger, math.maxinteger)
                ors, ands = ors | x | y, ands & x & y
            end
            return ors, ands]])))
        assert.equal(-1, ors)
        assert.equal(0, ands)
    end)

    it("can be seeded by the task, for that task only", function()
        local seeded = load("math.randomseed(...) return math.random(0), math.random(0)")
        local pool = core.pool("threads", { workers = 1 })
        local a, b = H.value(core.submit(pool, { seed = 1 }, seeded, 99))
        local c, d = H.value(core.submit(pool, { seed = 2 }, seeded, 99))
        assert.same({ a, b }, { c, d })
        assert.not_equal(a, (H.value(core.submit(pool, nil, seeded, 100))))
        assert.not_equal(a, (H.value(core.submit(pool, nil, seeded, 99, 1))))
        assert.equal((H.value(core.submit(pool, nil, seeded, 3))), (H.value(core.submit(pool, nil, seeded, 3.0))))
        local plain = H.value(core.submit(pool, { seed = 4 }, draw_bits))
        assert.equal(plain, H.value(core.submit(pool, { seed = 4 }, draw_bits)))
        assert.same({ plain, plain }, H.value(core.submit(pool, { seed = 4 }, load([[
            local first = math.random(0)
            math.random()
            math.randomseed()
            return { first, math.random(0) }]]))))
        assert.is_false((H.result(core.submit(pool, nil, load("math.randomseed('x')")))))
        pool:close()
    end)

    it("does not draw from the program's own generator", function()
        math.randomseed(1)
        local expected = math.random(0)
        math.randomseed(1)
        H.value(mf.future(draw))
        mf.map(mf.range(10), draw)
        assert.equal(expected, math.random(0))
    end)
end)
