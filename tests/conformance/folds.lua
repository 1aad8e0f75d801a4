local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function join(a, b)
    return a .. b
end

local function third(x)
    return x / 3
end

local function letters(n)
    local list = {}
    for i = 1, n do
        list[i] = string.char(97 + i % 26)
    end
    return list
end

local function reader(list)
    local i = 0
    return function()
        i = i + 1
        return list[i]
    end
end

-- Sums of floats, whose last bits show any other grouping.
local function sums()
    local xs = {}
    for i = 1, 5000 do
        xs[i] = 1 / i
    end
    return {
        mf.reduce(xs, H.add),
        mf.reduce(reader(xs), H.add),
        mf.mapreduce(xs, third, H.add),
        mf.mapreduce(reader(xs), third, H.add, 0.1),
    }
end

return function(t)
    local it, assert = t.it, t.assert

    it("folds in order", function()
        for _, n in ipairs({ 1, 2, 3, 10, 1000 }) do
            local list = letters(n)
            local expected = table.concat(list)
            assert.equal(expected, mf.reduce(list, join))
            assert.equal("<" .. expected, mf.reduce(list, join, "<"))
            assert.equal(expected, mf.reduce(reader(list), join))
            assert.equal(expected:upper(), mf.mapreduce(list, string.upper, join))
            assert.equal("<" .. expected, mf.mapreduce(reader(list), tostring, join, "<"))
        end
        assert.equal(500500, mf.reduce(mf.range(1000), H.add))
        assert.equal(385, mf.mapreduce(mf.range(10), H.square, H.add))
    end)

    it("groups by the number of elements only", function()
        local here = sums()
        local other = mf.with_plan("sequential", sums)
        assert.same(other, here)
    end)

    it("takes options but none that would move the boundaries", function()
        assert.equal(6, mf.reduce({ 1, 2, 3 }, H.add, nil, { label = "sum", retries = 1 }))
        H.has(H.failure(mf.reduce, {}, H.add, nil, { chunk = 5 }), "mf.reduce: unknown option 'chunk'")
        H.has(H.failure(mf.mapreduce, {}, H.add, 5), "mf.mapreduce: expected a function that reduces, not 5")
    end)
end
