-- Generators as objects. That MRG32k3a's numbers are R's is for rng_oracle_spec.lua, that distributions are what they
-- are called for tests/unit/rng_laws_test.c.
local mf = require("moonfleet")
local codec = require("moonfleet.codec")

local PLANS = {
    "sequential", { { "threads", workers = 2 } }, { { "forks", workers = 2 } }, { { "processes", workers = 2 } },
}
local KINDS = { "mrg32k3a", "philox" }

-- What fn raises, without the position.
local function refusal(fn, ...)
    local ok, message = pcall(fn, ...)
    assert.is_false(ok)
    return (tostring(message):gsub("^[^:]+:%d+: ", ""))
end

local function both(seed)
    return { mf.rng({ seed = seed, kind = "mrg32k3a" }), mf.rng({ seed = seed, kind = "philox" }) }
end

describe("mf.rng", function()
    it("makes generators of a seed and a kind", function()
        assert.equal("mrg32k3a", mf.rng(1):kind())
        assert.equal("mrg32k3a", mf.rng({ seed = 1 }):kind())
        assert.equal("philox", mf.rng({ seed = 1, kind = "philox" }):kind())
        assert.same(mf.rng(1):state(), mf.rng({ seed = 1, kind = "mrg32k3a" }):state())
        assert.not_equal(mf.rng(1):uniform(), mf.rng(2):uniform())
        assert.equal("mf.rng: philox", tostring(mf.rng({ seed = 1, kind = "philox" })))
        assert.equal("mf.rng: mrg32k3a, the current stream", tostring(mf.rng.current()))
    end)

    it("takes seeds of 64 bits", function()
        local seen = {}
        for _, seed in ipairs({ 0, 1, -1, math.maxinteger, math.mininteger, 1 << 32 }) do
            for _, g in ipairs(both(seed)) do
                local x = g:uniform()
                assert.is_nil(seen[x])
                seen[x] = true
            end
        end
    end)

    it("seeds those without a seed from the session's", function()
        for _, kind in ipairs(KINDS) do
            mf.seed(5)
            local a, b = mf.rng({ kind = kind }):uniform(), mf.rng({ kind = kind }):uniform()
            mf.seed(5)
            assert.equal(a, mf.rng({ kind = kind }):uniform())
            assert.not_equal(a, b)
        end
        mf.seed(6)
        local x = mf.rng():uniform()
        mf.seed(6)
        assert.equal(x, mf.rng():uniform())
    end)

    it("says what it cannot make", function()
        assert.equal("mf.rng: the seed must be an integer, not 1.5", refusal(mf.rng, 1.5))
        assert.equal('mf.rng: the seed must be an integer, not "x"', refusal(mf.rng, "x"))
        assert.equal("mf.rng: option 'kind' must be \"mrg32k3a\" or \"philox\", not \"mt\"",
            refusal(mf.rng, { kind = "mt" }))
        assert.equal("mf.rng: option 'seed' must be an integer, not 1.5", refusal(mf.rng, { seed = 1.5 }))
        assert.equal("mf.rng: unknown option 'sed'; did you mean 'seed'?", refusal(mf.rng, { sed = 1 }))
        assert.equal('mf.rng: the kind must be "mrg32k3a" or "philox", not mt', refusal(mf.rng.current, "mt"))
        local ok, message = pcall(function()
            mf.rng(1.5)
        end)
        assert.is_false(ok)
        assert.matches("^tests/rng_spec.lua:%d+: mf.rng: ", message)
    end)
end)

describe("a generator", function()
    local function draws(g)
        return {
            g:uniform(), g:normal(), g:exponential(), g:gamma(2), g:beta(2, 3), g:binomial(9, 0.5), g:poisson(4),
            g:integers(1, 6), g:uniform(2, 3), g:normal(5, 2), g:exponential(7), g:gamma(2, 5),
        }
    end

    it("draws single numbers of the right type", function()
        for _, g in ipairs(both(3)) do
            local types = {}
            for i, x in ipairs(draws(g)) do
                types[i] = math.type(x)
            end
            assert.equal("float float float float float integer integer integer float float float float",
                table.concat(types, " "))
        end
    end)

    it("draws lists, which hold what single draws give", function()
        local calls = {
            { "uniform" }, { "uniform", -1, 2 }, { "normal" }, { "normal", 3, 4 }, { "exponential" },
            { "exponential", 2 }, { "gamma", 2 }, { "gamma", 0.5, 2 }, { "beta", 0.5, 3 }, { "binomial", 100, 0.4 },
            { "poisson", 3 }, { "poisson", 40 }, { "integers", -5, 1 << 40 },
        }
        local parameters = { uniform = 2, normal = 2, gamma = 2, beta = 2, binomial = 2, integers = 2 }
        for _, call in ipairs(calls) do
            local name = call[1]
            local count = parameters[name] or 1
            for k, g in ipairs(both(8)) do
                local one, args = both(8)[k], { call[2], call[3] }
                args[count + 1] = 700
                local list = g[name](g, table.unpack(args, 1, count + 1))
                assert.equal(700, #list)
                for i = 1, 700 do
                    assert.equal(one[name](one, call[2], call[3]), list[i])
                end
                args[count + 1] = 0
                assert.same({}, g[name](g, table.unpack(args, 1, count + 1)))
            end
        end
    end)

    it("takes whole floats for counts and bounds", function()
        local g = mf.rng(1)
        assert.equal(1000, #g:normal(0, 1, 1e3))
        assert.equal("integer", math.type(g:integers(1.0, 1e3)))
        assert.equal(100, #g:sample(1e2))
        assert.equal(mf.rng(1):skip(1e3):uniform(), mf.rng(1):skip(1000):uniform())
    end)

    it("fills arrays with the same numbers, whatever their layout", function()
        for k, g in ipairs(both(8)) do
            local expected = both(8)[k]:normal(3, 2, 1200)
            local a = mf.array(1200)
            assert.equal(a, g:copy():normal(3, 2, a))
            assert.same(expected, a:totable())
            a = mf.array(40, 30)
            assert.same(expected, g:copy():normal(3, 2, a):reshape(1200):totable())
            local wide = mf.array(2400)
            g:copy():normal(3, 2, wide:slice(1, 2400, 2))
            assert.equal(expected[1200], wide[2399])
            assert.equal(0.0, wide[2400])
            g:copy():normal(3, 2, wide:slice(1200, 1, -1))
            assert.equal(expected[1], wide[1200])
            for _, call in ipairs({ { "uniform", 0, 1 }, { "gamma", 2, 1 }, { "binomial", 9, 0.5 } }) do
                local list = both(3)[k][call[1]](both(3)[k], call[2], call[3], 50)
                local same = both(3)[k][call[1]](both(3)[k], call[2], call[3], mf.array(50))
                for i = 1, 50 do
                    assert.equal(list[i] + 0.0, same[i])
                end
            end
            local dice = mf.array.zeros(100, "i64")
            assert.same(both(2)[k]:integers(1, 6, 100), both(2)[k]:integers(1, 6, dice):totable())
            assert.same(both(2)[k]:integers(1, 6, 3), both(2)[k]:integers(1, 6, dice:slice(1, 5, 2)):totable())
        end
    end)

    it("says which arrays it cannot fill", function()
        local g = mf.rng(1)
        local words = "only an array of %s whose elements lie at one distance can be filled"
        assert.equal("normal: " .. words:format("f64"), refusal(g.normal, g, 0, 1, mf.array.zeros(3, "i64")))
        local corner = mf.array(4, 4):slice({ 1, 2 }, { 1, 2 })
        assert.equal("normal: " .. words:format("f64"), refusal(g.normal, g, 0, 1, corner))
        assert.equal("integers: " .. words:format("i64"), refusal(g.integers, g, 0, 1, mf.array(3)))
        local shared = mf.share(mf.array({ 1, 2, 3 }))
        assert.equal("shared array is read-only; use :copy()", refusal(g.normal, g, 0, 1, shared))
        assert.equal(2.0, mf.stats.mean(shared))
        require("tests.support.program").with_folder(function(folder)
            mf.array(3):save(folder .. "/a.npy")
            local mapped = mf.array.load(folder .. "/a.npy", { map = "read" })
            assert.matches("read%-only", refusal(g.normal, g, 0, 1, mapped))
        end)
    end)

    it("names the parameter that is wrong, and the user's line", function()
        local g = mf.rng(1)
        assert.equal("normal: the sd must be finite and not negative, not -1", refusal(g.normal, g, 0, -1))
        assert.equal("normal: the mean must be a number, not x", refusal(g.normal, g, "x"))
        assert.equal("normal: the mean must be a number, not 1", refusal(g.normal, g, "1"))
        assert.equal("gamma: the shape must be a number, not nil", refusal(g.gamma, g))
        assert.equal("beta: the second shape must be a number, not nil", refusal(g.beta, g, 1))
        assert.equal("poisson: the mean must be from 0 to 2^52, not -1", refusal(g.poisson, g, -1))
        assert.equal("uniform: how many numbers must be an integer, not 2.5", refusal(g.uniform, g, 0, 1, 2.5))
        assert.equal("uniform: how many numbers must be from 0 to 2147483647, not -1", refusal(g.uniform, g, 0, 1, -1))
        assert.equal("integers: there is no integer from 2 to 1", refusal(g.integers, g, 2, 1))
        assert.equal("integers: the least number must be an integer, not 1.5", refusal(g.integers, g, 1.5, 2))
        assert.equal("integers: the greatest number must be an integer, not nil", refusal(g.integers, g, 1))
        local words = "mf.rng: this is a method of generators, and was called on a number "
        assert.equal(words .. "(write g:normal(), not g.normal())",
            refusal(g.normal, 5))
        assert.matches("called on a userdata", refusal(g.normal, io.stdout))
        local _, message = pcall(function()
            return 1 + g:normal(0, -1)
        end)
        assert.matches("^tests/rng_spec.lua:%d+: normal: ", message)
    end)

    it("is copied with its place", function()
        for _, g in ipairs(both(4)) do
            g:normal(0, 1, 7)
            local c = g:copy()
            assert.same(draws(g), draws(c))
        end
    end)

    it("tells its state, and goes back to it", function()
        for _, g in ipairs(both(4)) do
            g:normal(0, 1, 5)
            local state = g:state()
            local expected = draws(g)
            assert.equal(g, g:set_state(state))
            assert.same(expected, draws(g))
            assert.same(expected, draws(mf.rng({ state = state })))
        end
        local signed = mf.rng(42):state() -- as R has it
        for i = 1, 6 do
            signed[i] = (signed[i] ~ 0x80000000) - 0x80000000
        end
        assert.same(mf.rng(42):state(), mf.rng({ state = signed }):state())
    end)

    it("refuses what is no state", function()
        local g, p = table.unpack(both(1))
        assert.equal("mf.rng: the state must be a table that g:state() returned, not a number",
            refusal(g.set_state, g, 1))
        assert.equal('mf.rng: the state is one of kind "philox", the generator\'s kind is "mrg32k3a"',
            refusal(g.set_state, g, p:state()))
        assert.equal("mf.rng: each of the six numbers of the state must be an integer, not nil",
            refusal(g.set_state, g, { 1, 2, 3 }))
        assert.equal("mf.rng: number 2 of the state must be from 0 to 4294967086, not 4294967087",
            refusal(g.set_state, g, { 1, 4294967087, 3, 4, 5, 6 }))
        assert.equal("mf.rng: number 6 of the state must be from 0 to 4294944442, not -1",
            refusal(g.set_state, g, { 1, 2, 3, 4, 5, -1 }))
        assert.equal("mf.rng: the first three numbers of the state must not all be 0, nor the last three",
            refusal(g.set_state, g, { 1, 2, 3, 0, 0, 0 }))
        assert.equal("mf.rng: substream of the state must be from 0 to 4294967295, not -1",
            refusal(p.set_state, p, { kind = "philox", key = 1, substream = -1, position = 0 }))
        assert.equal("mf.rng: a state has its seed and kind in it; give option 'state' alone",
            refusal(mf.rng, { state = g:state(), seed = 1 }))
        assert.equal(mf.rng(1):uniform(), g:uniform())
    end)

    it("skips numbers as if it had drawn them", function()
        for k, g in ipairs(both(9)) do
            local list = both(9)[k]:uniform(0, 1, 1000)
            for _, n in ipairs({ 0, 1, 15, 16, 17, 900 }) do
                local c = g:copy()
                assert.equal(c, c:skip(n))
                assert.equal(list[n + 1], c:uniform())
            end
        end
        assert.equal("skip: the count must be an integer that is not negative, not -1",
            refusal(mf.rng(1).skip, mf.rng(1), -1))
    end)

    it("has streams and substreams that are new generators and leave it alone", function()
        for k, g in ipairs(both(9)) do
            local seen = {}
            for _, other in ipairs({ g, g:next_stream(), g:next_stream(2), g:next_substream(), g:next_substream(2),
                    g:next_stream():next_substream() }) do
                local x = other:copy():uniform()
                assert.is_nil(seen[x])
                seen[x] = true
            end
            assert.same(g:next_stream(5):state(), g:next_stream(2):next_stream(3):state())
            assert.same(g:next_substream(5):state(), g:next_substream(2):next_substream(3):state())
            assert.same(g:next_stream():next_substream():state(), g:next_substream():next_stream():state())
            assert.same(g:state(), g:next_stream(0):state())
            assert.equal(both(9)[k]:uniform(), g:uniform())
        end
    end)

    it("splits into others", function()
        for k, g in ipairs(both(2)) do
            local seen, list = {}, g:split(50)
            list[51] = g:split()
            list[52] = g
            for _, child in ipairs(list) do
                local x = child:uniform()
                assert.is_nil(seen[x])
                seen[x] = true
            end
            assert.same({}, g:split(0))
            assert.equal(both(2)[k]:split():uniform(), both(2)[k]:split(3)[1]:uniform())
        end
    end)
end)

describe("samples", function()
    it("are of integers, lists and ranges", function()
        for _, g in ipairs(both(7)) do
            local seen = {}
            for _, x in ipairs(g:sample({ "a", "b", "c" })) do
                seen[x] = true
            end
            assert.same({ a = true, b = true, c = true }, seen)
            for _, x in ipairs(g:sample(mf.range(10, 30, 10), 2)) do
                assert.is_true(x == 10 or x == 20 or x == 30)
            end
            assert.equal(3, #g:sample(5, 3))
            assert.equal(7.0, g:sample(mf.array({ 7, 7, 7 }), 2)[2])
            assert.not_equal(1, g:sample(3, 1, { weights = mf.array({ 0, 1, 2 }, "i32") })[1])
            assert.same({}, g:sample(5, 0))
            assert.same({}, g:sample({}))
            assert.equal("integer", math.type(g:sample(5, 3)[1]))
            local same = g:sample({ "x" }, 4, { replace = true })
            assert.same({ "x", "x", "x", "x" }, same)
            assert.same({ 2, 2, 2 }, g:sample(3, 3, { replace = true, weights = { 0, 1, 0 } }))
            assert.not_equal(1, g:sample(3, 1, { weights = mf.range(0, 2) })[1])
        end
    end)

    it("say what cannot be drawn", function()
        local g = mf.rng(1)
        assert.equal("sample: 4 different elements cannot be drawn from 3; with replace = true they need not differ",
            refusal(g.sample, g, 3, 4))
        assert.equal("sample: 1 different elements cannot be drawn from 0", refusal(g.sample, g, {}, 1))
        assert.equal("sample: the number of elements must be from 0 to 2147483647, not -1", refusal(g.sample, g, -1))
        assert.equal("sample: how many numbers must be an integer, not 1.5", refusal(g.sample, g, 3, 1.5))
        assert.equal("sample: 2 weights for 3 elements; there must be one for each",
            refusal(g.sample, g, 3, 2, { weights = { 1, 2 } }))
        assert.equal("sample: weight 2 must be finite and not negative, not -1.0",
            refusal(g.sample, g, 3, 2, { weights = { 1, -1, 2 } }))
        assert.equal("sample: 2 elements cannot be drawn when 1 of the weights are positive",
            refusal(g.sample, g, 3, 2, { weights = { 0, 1, 0 } }))
        assert.equal("sample: element 2 of weights is a string, not a number",
            refusal(g.sample, g, 3, 2, { weights = { 1, "2", 3 } }))
        assert.equal('sample: the population must be an integer, a list, a range or an array, not "abc"',
            refusal(g.sample, g, "abc", 2))
        assert.equal("sample: unknown option 'weight'; did you mean 'weights'?",
            refusal(g.sample, g, 3, 2, { weight = 1 }))
        assert.matches("^shuffle: expected a list, not 5$", refusal(g.shuffle, g, 5))
    end)

    it("put a list into the order that sample gives", function()
        for k, g in ipairs(both(5)) do
            local list = {}
            for i = 1, 100 do
                list[i] = i
            end
            assert.equal(list, g:shuffle(list))
            assert.same(both(5)[k]:sample(100), list)
            local a = both(5)[k]:shuffle(mf.array.range(1, 100, 1, "i64"))
            assert.same(list, a:totable())
        end
    end)
end)

describe("the current stream", function()
    it("is the seed's own outside of tasks", function()
        mf.seed(11)
        assert.equal(mf.rng(11):uniform(), mf.rng.current():uniform())
        assert.equal(mf.rng({ seed = 11, kind = "philox" }):uniform(), mf.rng.current("philox"):uniform())
        local here = mf.rng.current()
        mf.seed(12)
        assert.equal(mf.rng(12):uniform(), here:uniform())
    end)

    it("is math.random's in a task", function()
        local numbers = mf.future({ seed = 4 }, function()
            local g = mf.rng.current()
            local list = { math.random(), g:uniform(), math.random() }
            math.randomseed(3)
            list[4] = g:uniform()
            list[5] = mf.rng(3):uniform()
            list[6] = mf.rng.current("philox"):uniform()
            list[7] = mf.rng({ seed = 3, kind = "philox" }):uniform()
            math.randomseed()
            list[8] = g:uniform()
            return list
        end):value()
        local plain = mf.future({ seed = 4 }, function()
            return { math.random(), math.random(), math.random() }
        end):value()
        assert.same(plain, { numbers[1], numbers[2], numbers[3] })
        assert.equal(numbers[4], numbers[5])
        assert.equal(numbers[6], numbers[7])
        assert.equal(numbers[1], numbers[8])
    end)

    it("is another one for every element, of either kind, the same under every plan and in every chunk", function()
        local captured, fast = mf.rng.current(), mf.rng.current("philox")
        local function each()
            return { captured:uniform(), fast:normal(), fast:uniform(), captured:normal() }
        end
        local expected
        for _, plan in ipairs(PLANS) do
            for _, chunk in ipairs({ 1, 4, 20 }) do
                local got = mf.with_plan(plan, function()
                    return mf.map(mf.range(20), each, { seed = 42, chunk = chunk })
                end)
                expected = expected or got
                assert.same(expected, got)
            end
        end
        local seen = {}
        for i = 1, 20 do
            for k = 1, 4 do
                assert.is_nil(seen[expected[i][k]])
                seen[expected[i][k]] = true
            end
        end
    end)

    it("of philox has the task's stream for its key", function()
        local function state()
            return mf.rng.current("philox"):state()
        end
        local got = mf.map(mf.range(3), state, { seed = 42 })
        for i = 1, 3 do
            assert.same(mf.rng({ seed = 42, kind = "philox" }):next_stream(i):state(), got[i])
        end
    end)

    it("can be set and split, for that task only", function()
        local first, second = mf.future({ seed = 1 }, function()
            local g = mf.rng.current()
            g:set_state(mf.rng(99):state())
            return g:uniform(), math.random()
        end):value()
        assert.same(mf.rng(99):uniform(0, 1, 2), { first, second })
        local children = mf.map(mf.range(10), function()
            return mf.rng.current():split():uniform()
        end, { seed = 1 })
        table.sort(children)
        for i = 2, 10 do
            assert.is_true(children[i] > children[i - 1])
        end
    end)
end)

describe("generators that cross", function()
    it("draw on from where they were, as copies", function()
        for _, plan in ipairs(PLANS) do
            for _, g in ipairs(both(13)) do
                g:normal(0, 1, 3)
                local expected = g:copy():normal(0, 1, 5)
                mf.with_plan(plan, function()
                    local numbers, back = mf.future(function(given)
                        return given:normal(0, 1, 5), given
                    end, g):value()
                    assert.same(expected, numbers)
                    local mine = g:copy()
                    mine:normal(0, 1, 5)
                    assert.same(mine:state(), back:state())
                    assert.same(expected, mf.future(function()
                        return g:normal(0, 1, 5)
                    end):value())
                end)
                assert.same(expected, g:normal(0, 1, 5))
            end
        end
    end)

    it("are refused when their bytes are not a state", function()
        local bytes = codec.encode(mf.rng(1))
        assert.equal(mf.rng(1):uniform(), codec.decode(bytes):uniform())
        local load_it = getmetatable(mf.rng(1)).__load
        assert.matches("mf.rng: the state must be a table", refusal(load_it, 7))
        assert.matches("mf.rng: the kind must be", refusal(load_it, "mt"))
        assert.matches("must be an integer", refusal(load_it, { 1, 2, {} }))
        assert.equal("mf.rng: mrg32k3a, the current stream", tostring(codec.decode(codec.encode(mf.rng.current()))))
    end)

    it("cross with their methods and the module by name", function()
        local value = mf.future(function(rng, normal)
            return normal(rng(3))
        end, mf.rng, mf.rng(1).normal):value()
        assert.equal(mf.rng(3):normal(), value)
        assert.same(mf.rng(3):sample(5), mf.future(function(sample)
            return sample(mf.rng(3), 5)
        end, mf.rng(1).sample):value())
    end)
end)
