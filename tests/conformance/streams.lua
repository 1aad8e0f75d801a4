local mf = require("moonfleet")
local H = require("tests.conformance.helper")

-- An endless iterator, and a function that tells how far it was read.
local function endless()
    local i = 0
    return function()
        i = i + 1
        return i
    end, function()
        return i
    end
end

local function draw()
    return math.random(1 << 50)
end

local function bad_at_17(x)
    if x == 17 then
        error("bad", 0)
    end
    return x
end

return function(t)
    local it, assert = t.it, t.assert

    it("delivers results in order, with their positions", function()
        local expected = 0
        for i, y in mf.imap(mf.range(10, 1000), H.square) do
            expected = expected + 1
            assert(i == expected and y == (i + 9) ^ 2)
        end
        assert.equal(991, expected)
    end)

    it("delivers nils", function()
        local n = 0
        for i, y in mf.imap({ 1, 2, 3 }, function() end) do
            n = n + 1
            assert.equal(n, i)
            assert.is_nil(y)
        end
        assert.equal(3, n)
    end)

    it("delivers in any order when told so", function()
        local seen, n = {}, 0
        for i, y in mf.imap(mf.range(300), H.square, { ordered = false }) do
            assert(not seen[i] and y == i * i)
            seen[i], n = true, n + 1
        end
        assert.equal(300, n)
    end)

    it("reads an endless iterator only so far ahead", function()
        local read, position = endless()
        for i, y in mf.imap(read, H.square, { ahead = 5 }) do
            assert(y == i * i)
            assert(position() <= i + 5, "read too far ahead")
            if i == 200 then
                break
            end
        end
        read, position = endless()
        for i in mf.imap(read, H.square) do
            if i == 3 then
                break
            end
        end
        assert.is_true(position() < 1000000)
    end)

    it("can be taken from step by step, and ends once", function()
        local step = mf.imap({ 5, 6 }, H.square)
        assert.same({ 1, 25 }, { step() })
        assert.same({ 2, 36 }, { step() })
        assert.is_nil(step())
        assert.is_nil(step())
    end)

    it("delivers what comes before an error, whatever the chunks are", function()
        for _, given in ipairs({ {}, { chunk = 1 }, { chunk = 5 }, { chunk = 100 }, { ahead = 3 } }) do
            local n = 0
            local err = H.failure(function()
                for i in mf.imap(mf.range(50), bad_at_17, given) do
                    n = i
                end
            end)
            assert.equal("bad (element 17 of mf.imap)", err)
            assert.equal(16, n)
        end
    end)

    it("delivers errors as values when told so", function()
        local n = 0
        for i, y, err in mf.imap(mf.range(20), bad_at_17, { on_error = "collect" }) do
            n = n + 1
            assert.equal(i == 17 and "bad" or nil, err)
            assert.equal(i ~= 17 and i or nil, y)
        end
        assert.equal(20, n)
    end)

    it("raises the iterator's error", function()
        H.has(H.failure(function()
            for _ in mf.imap(function()
                error("cannot read")
            end, H.square) do
                error("there is no element")
            end
        end), "cannot read")
    end)

    it("draws the same random numbers as a map", function()
        mf.seed(1)
        local expected = mf.map(mf.range(40), draw)
        for _, given in ipairs({ {}, { chunk = 3 }, { ahead = 2 } }) do
            mf.seed(1)
            for i, y in mf.imap(endless(), draw, given) do
                assert(y == expected[i])
                if i == 40 then
                    break
                end
            end
        end
    end)

    it("survives a change of the plan in the loop", function()
        local sum, plan = 0, mf.plan()
        for i, y in mf.imap(mf.range(50), H.square, { chunk = 1 }) do
            if i == 3 then
                mf.plan("sequential")
            end
            sum = sum + y
        end
        mf.plan(plan)
        assert.equal(42925, sum)
    end)

    it("may start maps of its own in the loop", function()
        local sum = 0
        for _, y in mf.imap(mf.range(5), H.square) do
            sum = sum + mf.map({ y, y }, H.square, { combine = H.add })
        end
        assert.equal(2 * (1 + 16 + 81 + 256 + 625), sum)
    end)
end
