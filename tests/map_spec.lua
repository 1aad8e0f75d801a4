local mf = require("moonfleet")
local chunks = require("moonfleet.chunks")
local H = require("tests.conformance.helper")

-- Runs a policy over n elements of equal cost, on workers that are so many seconds away (0 unless told); returns the
-- sizes of its chunks.
local function sizes(policy, n, seconds, trip)
    local list, left = {}, n
    while left > 0 do
        local size = policy:size(left)
        assert(size >= 1 and size <= left)
        list[#list + 1] = size
        left = left - size
        policy:learn(size, size * seconds, trip or 0)
    end
    return list
end

describe("the size of chunks", function()
    it("grows for tiny elements, so that a million need few chunks", function()
        local list = sizes(chunks.dynamic(2, 1000000), 1000000, 1e-7)
        assert.is_true(#list < 200)
        assert.is_true(list[1] <= 64)
    end)

    it("stays at one for long elements", function()
        for _, size in ipairs(sizes(chunks.dynamic(2, 100), 100, 0.1)) do
            assert.equal(1, size)
        end
    end)

    it("shrinks towards the end, so that workers end together", function()
        local list = sizes(chunks.dynamic(4, 10000), 10000, 1e-5)
        local last = 0
        for i = #list - 3, #list do
            last = last + list[i]
        end
        assert.is_true(last <= 4 * 50)
    end)

    it("shrinks when elements become longer", function()
        local policy = chunks.dynamic(2, 1000000)
        sizes(policy, 500000, 1e-7)
        policy:learn(10, 10, 0)
        assert.equal(1, policy:size(400000))
    end)

    it("holds as much work as the way of a chunk takes", function()
        local near, far = 0, 0
        for _, size in ipairs(sizes(chunks.dynamic(4, 1000000), 1000000, 1e-5)) do
            near = math.max(near, size)
        end
        for _, size in ipairs(sizes(chunks.dynamic(4, 1000000), 1000000, 1e-5, 0.1)) do
            far = math.max(far, size)
        end
        assert.is_true(near <= 501 and far >= 9999 and far <= 10001)
    end)

    it("survives a clock that has not moved", function()
        local policy = chunks.dynamic(2, nil)
        policy:learn(1, 0, 0)
        assert.is_true(policy:size(nil) >= 1)
    end)

    it("is what was asked for, or equal shares", function()
        assert.same({ 3, 3, 3, 1 }, sizes(chunks.fixed(3), 10, 1))
        assert.same({ 4, 3, 3 }, sizes(chunks.static(3), 10, 1))
        assert.same({ 1, 1 }, sizes(chunks.static(3), 2, 1))
    end)

    it("does not depend on time or workers in a fold", function()
        local list = sizes(chunks.blocks(10000, 100), 10000, 1)
        assert.same(list, sizes(chunks.blocks(10000, 100), 10000, 1e-6))
        assert.is_true(#list <= 256)
        local a, b = chunks.blocks(nil, 1), chunks.blocks(nil, 1)
        for i = 1, 1000 do
            a:learn(1, i, 0)
            assert(a:size(nil) == b:size(nil))
        end
    end)

    it("shrinks from the beginning when nothing will be measured", function()
        local list = sizes(chunks.guided(2), 1000, 1)
        assert.equal(125, list[1])
        assert.equal(1, list[#list])
        assert.is_true(#list < 100)
    end)
end)

-- The most chunks of a map that it has waited for at the same time, over those that two a worker would be.
local function depth(xs, fn, given)
    local core = require("moonfleet.core")
    local wait, most = core.wait, 0
    core.wait = function(futures, n, ...)
        most = math.max(most, n)
        return wait(futures, n, ...)
    end
    local ok, results = pcall(mf.map, xs, fn, given)
    core.wait = wait
    assert.is_true(ok, results)
    return most / (2 * mf.workers())
end

describe("the chunks that are under way", function()
    local function sleep(x)
        mf.sleep(0.002)
        return x
    end

    it("are many while they are short and their size is given", function()
        local many = depth(mf.range(5000), H.square, { chunk = 1 })
        assert.is_true(many > 1 and many <= 32, many)
        assert.is_true(depth(mf.range(5000), H.square, { timeout = 100 }) > 1)
    end)

    it("are two a worker when they are long, or follow the time of an element", function()
        assert.equal(1, depth(mf.range(40), sleep, { chunk = 1 }))
        assert.equal(1, depth(mf.range(100000), H.square))
    end)

    it("are two a worker where an iterator would be read ahead", function()
        local i = 0
        local function next_one()
            i = i + 1
            return i <= 5000 and i or nil
        end
        assert.equal(1, depth(next_one, H.square, { chunk = 1 }))
    end)

    it("do not hold back what is resolved when a long one comes", function()
        local gate = os.tmpname()
        local seen
        local function work(i)
            local limit = os.time() + 20
            while i == 3000 and io.open(gate) and os.time() < limit do
                mf.sleep(0.001)
            end
            return i
        end
        mf.map(mf.range(3000), work, { chunk = 1, combine = function(_, i)
            if i == 2999 then
                seen = os.remove(gate)
            end
            return i
        end })
        assert.is_true(seen)
    end)
end)

describe("a map", function()
    it("takes few chunks for many tiny elements", function()
        local core = require("moonfleet.core")
        local chunk, n = core.chunk, 0
        core.chunk = function(...)
            n = n + 1
            return chunk(...)
        end
        local ok, results = pcall(mf.map, mf.range(300000), H.square)
        core.chunk = chunk
        assert.is_true(ok, results)
        assert.equal(300000, results.n)
        assert.is_true(n < 1000)
    end)

    it("sees what a callable table holds", function()
        local times = setmetatable({ by = 3 }, {
            __call = function(self, x)
                return self.by * x
            end,
        })
        assert.same({ 3, 6, n = 2 }, mf.map({ 1, 2 }, times))
    end)

    it("does not change the table of its options", function()
        local given = { chunk = 2 }
        mf.map({ 1, 2, 3 }, H.square, given)
        assert.same({ chunk = 2 }, given)
    end)

    it("shows where on the worker an error came from, when it ends the program", function()
        local program = os.getenv("MOONFLEET") or arg[-1]
        local code = 'require("moonfleet").map({ 1, 2 }, function(x) error("bad") end, { label = "fit" })'
        local pipe = assert(io.popen(("'%s' -e '%s' 2>&1"):format(program, code)))
        local text = pipe:read("a")
        assert.is_nil((pipe:close()))
        H.has(text, "bad (element 1 of mf.map 'fit')")
        H.has(text, "remote traceback (worker ")
        H.has(text, "in function 'error'")
    end)

    it("refuses pairs of what is no table", function()
        H.has(H.failure(mf.map_pairs, 5, H.add), "mf.map_pairs: the input must be a table, not 5")
        H.has(H.failure(mf.replicate, -1, H.add), "mf.replicate: the number of calls must be an integer that is not")
    end)
end)
