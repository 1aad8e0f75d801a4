local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function counter(n)
    local i = 0
    return function()
        i = i + 1
        return i <= n and i or nil
    end
end

local function odd_or_nil(x)
    return x % 2 == 1 and x or nil
end

local function is_odd(x)
    return x % 2 == 1
end

local function draw()
    return math.random(1 << 50)
end

local function uneven(x)
    if x % 10 == 0 then
        H.busy(0.005)
    end
    return x
end

return function(t)
    local it, assert = t.it, t.assert

    it("keeps order and position", function()
        assert.same({ 1, 4, 9, n = 3 }, mf.map({ 1, 2, 3 }, H.square))
        local results = mf.map({ 1, 2, 3, 4 }, odd_or_nil)
        assert.same({ 1, nil, 3, nil, n = 4 }, results)
    end)

    it("takes lists with holes, ranges and iterators", function()
        assert.same({ "number", "nil", "nil", n = 3 }, mf.map({ 1, nil, nil, n = 3 }, type))
        assert.same({ 1, 9, 25, n = 3 }, mf.map(mf.range(1, 5, 2), H.square))
        assert.same({ 2.25, 6.25, n = 2 }, mf.map(mf.range(1.5, 2.5), H.square))
        local results = mf.map(counter(1000), H.square)
        assert.equal(1000, results.n)
        assert.equal(1000000, results[1000])
        local list = setmetatable({}, {
            __len = function()
                return 3
            end,
            __index = function(_, i)
                return i * 10
            end,
        })
        assert.same({ 100, 400, 900, n = 3 }, mf.map(list, H.square))
    end)

    it("takes inputs without elements", function()
        local function none() end
        for _, xs in ipairs({ {}, { n = 0 }, mf.range(0), mf.range(1, 0), none }) do
            assert.same({ n = 0 }, mf.map(xs, H.square))
            assert.same({ n = 0 }, mf.filter(xs, H.square))
            assert.equal(0, mf.each(xs, H.square))
            assert.is_nil(mf.reduce(xs, H.add))
            assert.equal(5, mf.reduce(xs, H.add, 5))
            assert.equal(5, mf.mapreduce(xs, H.square, H.add, 5))
            assert.is_nil(mf.map(xs, H.square, { combine = H.add }))
            assert.same({ n = 0 }, H.value(mf.map_async(xs, H.square)))
            for _ in mf.imap(xs, H.square) do
                error("there is no element")
            end
        end
        assert.same({ n = 0 }, mf.starmap({}, H.add))
        assert.same({}, mf.map_pairs({}, H.add))
        assert.same({ n = 0 }, mf.replicate(0, H.square))
        assert.same({ n = 0 }, (mf.map({}, H.square, { on_error = "collect" })))
    end)

    it("gives the same for every chunk size and schedule", function()
        local expected = mf.map(mf.range(100), H.square, { chunk = 1 })
        local all = { { chunk = 7 }, { chunk = 1000 }, { schedule = "static" }, { schedule = "dynamic" } }
        for _, given in ipairs(all) do
            assert.same(expected, mf.map(mf.range(100), H.square, given))
        end
        assert.same(expected, mf.map(mf.range(100), H.square, { timeout = 60 }))
    end)

    it("maps very many small and some uneven elements", function()
        local results = mf.map(mf.range(200000), H.square)
        assert.equal(200000, results.n)
        for i = 1, results.n, 997 do
            assert(results[i] == i * i)
        end
        local same = mf.map(mf.range(100), uneven)
        for i = 1, 100 do
            assert(same[i] == i)
        end
    end)

    it("folds the results in their order", function()
        local function join(acc, x)
            return acc .. "," .. x
        end
        assert.equal("1,2,3,4,5,6,7,8,9,10", mf.map(mf.range(10), tostring, { combine = join, chunk = 3 }))
        assert.equal("1", mf.map({ 1 }, tostring, { combine = join }))
    end)

    it("unpacks lists of arguments", function()
        assert.same({ 3, 7, n = 2 }, mf.starmap({ { 1, 2 }, { 3, 4 } }, H.add))
        local function count(...)
            return select("#", ...)
        end
        assert.same({ 0, 3, n = 2 }, mf.starmap({ {}, { nil, nil, nil, n = 3 } }, count))
        local lists = counter(5)
        local results = mf.starmap(function()
            local i = lists()
            return i and { i, i }
        end, H.add)
        assert.same({ 2, 4, 6, 8, 10, n = 5 }, results)
        H.has(H.failure(mf.starmap, { { 1 }, 2 }, H.add), "mf.starmap: element 2 of the list must be a table")
    end)

    it("maps the pairs of a table", function()
        local function show(k, v)
            return ("%s=%s"):format(k, v)
        end
        local results = mf.map_pairs({ a = 1, b = 2, [3] = "c", [true] = 4 }, show)
        assert.same({ a = "a=1", b = "b=2", [3] = "3=c", [true] = "true=4" }, results)
    end)

    it("filters in order", function()
        assert.same({ 1, 3, 5, n = 3 }, mf.filter({ 1, 2, 3, 4, 5 }, is_odd))
        assert.same({ 1, 3, n = 2 }, mf.filter(mf.range(4), is_odd, { chunk = 1 }))
        local kept = mf.filter(counter(1000), is_odd)
        assert.equal(500, kept.n)
        assert.equal(999, kept[500])
    end)

    it("counts the elements of each", function()
        assert.equal(3, mf.each({ 5, 6, 7 }, H.square))
        assert.equal(1000, mf.each(counter(1000), H.square))
    end)

    it("replicates", function()
        assert.same({ 1, 4, 9, n = 3 }, mf.replicate(3, H.square))
    end)

    it("gives each element random numbers of its own, whatever the chunks are", function()
        mf.seed(42)
        local expected = mf.replicate(50, draw, { chunk = 1 })
        local seen = {}
        for i = 1, 50 do
            assert(not seen[expected[i]])
            seen[expected[i]] = true
        end
        for _, given in ipairs({ { chunk = 7 }, { schedule = "static" }, {} }) do
            mf.seed(42)
            assert.same(expected, mf.replicate(50, draw, given))
        end
        mf.seed(42)
        assert.same(expected, mf.map(counter(50), draw))
        mf.seed(42)
        assert.same(expected, H.value(mf.map_async(mf.range(50), draw)))
        assert.same(mf.map({ 1, 2 }, draw, { seed = 7 }), mf.map({ 1, 2 }, draw, { seed = 7, chunk = 1 }))
        mf.seed(42)
        assert.same(expected[1], H.value(mf.future(draw)))
    end)

    it("makes a future of a whole map", function()
        local f = mf.map_async(mf.range(1000), H.square, { label = "all" })
        assert.equal("all", f.label)
        local results = H.value(f)
        assert.equal(1000, results.n)
        assert.equal(1000000, results[1000])
        assert.equal("done", f:state())
        assert.is_true(f:resolved())
        assert.equal("number", type(f:elapsed()))
        local ok, again = f:result()
        assert.is_true(ok)
        assert.equal(results, again)
        assert.equal(55, H.value(mf.map_async(counter(10), function(x)
            return x
        end, { combine = H.add })))
    end)

    it("tells a function how far it is", function()
        local last, total
        local calls = 0
        mf.map(mf.range(10), H.square, {
            chunk = 3,
            progress = function(done, of)
                assert(not last or done > last)
                last, total, calls = done, of, calls + 1
            end,
        })
        assert.same({ 10, 10 }, { last, total })
        assert.is_true(calls >= 1 and calls <= 4)
    end)

    it("names an input it cannot read", function()
        local expected = "mf.map: the input must be a list, a range, an array or an iterator function"
        H.has(H.failure(mf.map, 5, H.square), expected)
        H.has(H.failure(mf.map, { n = -1 }, H.square), "the list's field n must be an integer that is not negative")
        H.has(H.failure(mf.map, counter(3), H.square, { schedule = "static" }), 'schedule "static" needs a list')
    end)
end
