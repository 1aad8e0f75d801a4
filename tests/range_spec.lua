local mf = require("moonfleet")
local range = require("moonfleet.range")
local H = require("tests.conformance.helper")

local function list(r)
    local all = {}
    for x in r do
        all[#all + 1] = x
    end
    for i, x in ipairs(r) do
        assert(all[i] == x)
    end
    assert(#all == #r)
    return all
end

describe("mf.range", function()
    it("counts up, down and by steps", function()
        assert.same({ 1, 2, 3 }, list(mf.range(3)))
        assert.same({ 2, 3, 4 }, list(mf.range(2, 4)))
        assert.same({ 1, 4, 7, 10 }, list(mf.range(1, 10, 3)))
        assert.same({ 1, 4, 7 }, list(mf.range(1, 9, 3)))
        assert.same({ 5, 3, 1 }, list(mf.range(5, 1, -2)))
        assert.same({ 7 }, list(mf.range(7, 7, 100)))
    end)

    it("may be empty", function()
        for _, r in ipairs({ mf.range(0), mf.range(2, 1), mf.range(1, 2, -1), mf.range(1.0, 0.5, 0.25) }) do
            assert.equal(0, #r)
            assert.is_nil(r[1])
            assert.same({}, list(r))
        end
    end)

    it("keeps integers integers", function()
        assert.equal("integer", math.type(mf.range(3)[2]))
        assert.equal("integer", math.type(mf.range(1, 3.5)[3]))
        assert.equal(3, #mf.range(1, 3.5))
        assert.equal("float", math.type(mf.range(1, 3, 1.0)[1]))
        assert.equal("float", math.type(mf.range(1.0, 3)[1]))
    end)

    it("includes the end that a float step falls on", function()
        assert.equal(11, #mf.range(0, 1, 0.1))
        assert.equal(4, #mf.range(0, 0.3, 0.1))
        assert.equal(10, #mf.range(0, 0.99, 0.1))
        assert.equal(1.0, mf.range(0, 1, 0.1)[11])
        assert.same({ 1.0, 0.75, 0.5 }, list(mf.range(1, 0.5, -0.25)))
    end)

    it("goes to the ends of the integers", function()
        local r = mf.range(math.maxinteger - 2, math.maxinteger)
        assert.same({ math.maxinteger - 2, math.maxinteger - 1, math.maxinteger }, list(r))
        assert.equal(3, #mf.range(math.mininteger, math.maxinteger, math.maxinteger))
        assert.equal(math.maxinteger, #mf.range(math.maxinteger))
        H.has(H.failure(mf.range, math.mininteger, math.maxinteger), "too many numbers")
        H.has(H.failure(mf.range, 0, 1e300), "too many numbers")
        H.has(H.failure(mf.range, 0.0, 1e300), "too many numbers")
    end)

    it("reads as nil outside", function()
        local r = mf.range(3)
        assert.is_nil(r[0])
        assert.is_nil(r[4])
        assert.is_nil(r[1.5])
        assert.is_nil(r.x)
        assert.equal(3, r.n)
    end)

    it("cannot be changed", function()
        H.has(H.failure(function()
            mf.range(3)[1] = 5
        end), "a range cannot be changed")
    end)

    it("compares and prints", function()
        assert.is_true(mf.range(1, 4, 2) == mf.range(1, 3, 2))
        assert.is_false(mf.range(3) == mf.range(4))
        assert.equal("mf.range(1, 3, 1)", tostring(mf.range(3)))
    end)

    it("wants finite numbers and a step", function()
        H.has(H.failure(mf.range), "mf.range: the end must be a finite number, not nil")
        H.has(H.failure(mf.range, "1", 2), 'mf.range: the start must be a finite number, not "1"')
        H.has(H.failure(mf.range, 1, 1 / 0), "the end must be a finite number, not inf")
        H.has(H.failure(mf.range, 1, 2, 0), "the step must not be zero")
        H.has(H.failure(mf.range, 1, 2, {}), "the step must be a finite number, not a table")
    end)

    it("crosses to a worker as a range", function()
        local kind, n, last = H.value(mf.future(function(r)
            return getmetatable(r) == require("moonfleet.range").metatable, #r, r[#r]
        end, mf.range(1, 1e9 // 1 | 0)))
        assert.same({ true, 1000000000, 1000000000 }, { kind, n, last })
        assert.equal(range.metatable, getmetatable(H.value(mf.future(mf.range, 5))))
    end)
end)
