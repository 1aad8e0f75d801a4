-- Maps of the plan forks: what the workers have of the elements and of what the function has captured, and of which
-- moment that is, whatever is changed here meanwhile and whoever else needs workers.
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local sequence = H.sequence
local N = 20000
local large = sequence(N)

describe("a map of the plan forks", function()
    local before

    before_each(function()
        before = mf.plan("forks", { workers = 2 })
    end)

    after_each(function()
        mf.plan(before)
    end)

    it("has its list, not a copy of it, whatever kind of list that is", function()
        local list = sequence(N)
        local results = mf.map(list, function(x) return x + 1 end)
        assert.same({ N, 2, N + 1 }, { results.n, results[1], results[N] })

        local holes = { n = N }
        for i = 1, N, 2 do
            holes[i] = i
        end
        results = mf.map(holes, function(x) return x or false end)
        assert.same({ N, 1, false, N - 1, false }, { results.n, results[1], results[2], results[N - 1], results[N] })

        local pairs_of, named = {}, {}
        for i = 1, N do
            pairs_of[i] = { i, i, n = 2 }
            named["k" .. i] = i
        end
        assert.equal(2 * N, mf.starmap(pairs_of, function(a, b) return a + b end)[N])
        assert.equal("k" .. N .. N, mf.map_pairs(named, function(k, v) return k .. v end)["k" .. N])
        assert.equal(N // 2, #mf.filter(list, function(x) return x % 2 == 0 end))
        assert.equal(N * (N + 1) // 2, mf.reduce(list, function(a, b) return a + b end))
        assert.equal(N * (N + 1), mf.mapreduce(list, function(x) return 2 * x end, function(a, b) return a + b end))
        mf.each(list, function(x) assert(x <= N) end)
        assert.equal(N + 1, mf.map(mf.range(N), function(x) return x + list[1] end)[N])
        assert.equal(N, mf.replicate(3, function() return #list end)[3])
    end)

    it("does not change what its elements are here", function()
        local list = {}
        for i = 1, N do
            list[i] = { i }
        end
        local results = mf.map(list, function(t)
            t[1] = t[1] + 1
            return t
        end)
        assert.same({ 1, 2 }, { list[1][1], results[1][1] })
        assert.not_equal(list[1], results[1])
    end)

    it("reads iterators here, and elements that are large", function()
        local i = 0
        local results = mf.map(function()
            i = i + 1
            return i <= 50 and sequence(i == 25 and N or i) or nil
        end, function(t) return #t + #large end)
        assert.same({ 50, 1 + N, 2 * N, 50 + N }, { results.n, results[1], results[25], results[50] })
    end)

    it("has the values of the moment when it goes on by itself", function()
        local t, list = sequence(N), sequence(N)
        local f = mf.map_async(mf.range(100), function(k) return t[k] end)
        local g = mf.map_async(list, function(x) return x + t[1] end)
        for k = 1, 100 do
            t[k], list[k] = "changed", "changed"
        end
        local a, b = H.value(f), H.value(g)
        for k = 1, 100 do
            assert.equal(k, a[k])
            assert.equal(k + 1, b[k])
        end
    end)

    -- A task that takes that long and returns t[k].
    local function slow(t, seconds)
        return function(k)
            H.busy(seconds)
            return t[k]
        end
    end

    for what, seconds in pairs({ short = 0, ["not so short"] = 0.002 }) do
        it("has them too while the loop over its results changes what it needs, and makes futures: " .. what, function()
            local t, sum = sequence(N), 0
            for k, x in mf.imap(mf.range(60), slow(t, seconds), { chunk = 1, ahead = 6 }) do
                assert.equal(k, x)
                t[k + 1] = "changed"
                sum = sum + H.value(mf.future(function() return #large end))
            end
            assert.equal(60 * N, sum)
        end)
    end

    it("has them too beside other maps that go on by themselves", function()
        local t, list = sequence(N), {}
        for k, x in mf.imap(mf.range(20), slow(t, 0.001), { chunk = 1, ahead = 6 }) do
            assert.equal(k, x)
            t[k + 1] = "changed"
            local u = sequence(N)
            list[k] = mf.map_async(mf.range(6), slow(u, 0.001), { chunk = 1 })
            for i = 1, 6 do
                u[i] = "changed"
            end
        end
        for _, f in ipairs(list) do
            assert.same({ 1, 2, 3, 4, 5, 6, n = 6 }, H.value(f))
        end
    end)

    it("has them too while what combines its results changes what it needs, and makes futures", function()
        local t = sequence(N)
        local sum = mf.map(mf.range(40), slow(t, 0.001), { chunk = 1, combine = function(a, b)
            t[40] = "changed"
            return a + b + #H.value(mf.future(function() return #large > 0 and "" end))
        end })
        assert.equal(20 * 41, sum)
    end)

    it("keeps its workers until it has ended", function()
        local seen, n = {}, 0
        local function where() return large[1] and processes.pid() end
        for _, worker in mf.imap(mf.range(40), where, { chunk = 1, ahead = 1 }) do
            n = n + (seen[worker] and 0 or 1)
            seen[worker] = true
        end
        assert.is_true(n <= 2, n)
        for worker in pairs(seen) do
            processes.wait_until_gone({ worker })
        end
    end)
end)
