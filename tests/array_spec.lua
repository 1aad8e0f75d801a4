-- Making arrays, and using them as tables: vm/lib_array_make.c, vm/lib_array_index.c, stdlib/moonfleet/array.lua.
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

describe("mf.array", function()
    it("takes tables, nested up to 8 deep", function()
        assert.same({ 1.0, 2.5, 3.0 }, array({ 1, 2.5, 3 }):totable())
        local a = array({ { 1, 2, 3 }, { 4, 5, 6 } }, "i32")
        assert.same({ 2, 3 }, a.shape)
        assert.equal("i32", a.dtype)
        assert.equal(2, a.ndim)
        assert.equal(6, a.size)
        assert.equal(2, #a)
        assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, a:totable())
        assert.same({ 1, 1, 1, 1, 1, 1, 1, 1 }, array({ { { { { { { { 5 } } } } } } } }).shape)
        assert.same({ 0 }, array({}).shape)
    end)

    it("takes shapes, ranges and arrays", function()
        assert.same({ { 0.0, 0.0 }, { 0.0, 0.0 } }, array(2, 2):totable())
        assert.same({ 0, 0 }, array(2, "u8"):totable())
        assert.same({ 1, 4, 7 }, array(mf.range(1, 9, 3), "i64"):totable())
        local a = array({ 1, 2 })
        local b = array(a)
        b[1] = 5
        assert.equal(1, a[1])
        assert.equal("i32", array(a, "i32").dtype)
    end)

    it("says where a table is no array", function()
        fails("the table is ragged: [2] has 1 elements and the first of its kind 2", array, { { 1, 2 }, { 3 } })
        fails("the table has a string at [2][1], where a number must be", array, { { 1, 2 }, { "x", 3 } })
        fails("the table has a number at [2], where a table of 2 must be", array, { { 1, 2 }, 3 })
        fails("1.5 has no integer representation (at [2])", array, { 1, 1.5 }, "i64")
        fails("256 does not fit u8 (at [1][2])", array, { { 1, 256 } }, "u8")
        fails("expected a table, an array, a range or a shape, not \"x\"", array, "x")
        fails("tables nested more than 8 deep", array, { { { { { { { { { 1 } } } } } } } } })
        fails("there is no dtype 'f16'; there are f64, f32, i64, i32, u8", array, { 1 }, "f16")
    end)

    it("fills arrays with one number", function()
        assert.same({ { 1.0, 1.0, 1.0 } }, array.ones(1, 3):totable())
        assert.same({ 7, 7 }, array.full(2, 7, "i64"):totable())
        assert.same({ { 0.5 }, { 0.5 } }, array.full({ 2, 1 }, 0.5):totable())
        assert.same({ { 1, 0 }, { 0, 1 } }, array.eye(2, "u8"):totable())
        assert.same({ 0, 3 }, array.zeros(0, 3).shape)
        local none = array.zeros(1 << 55, 0, 1 << 55)
        assert.equal(0, none:sum() + none:slice(3, 9, 2).size + #none:transpose():copy()[1]:ravel())
        fails("300 does not fit u8", array.full, 2, 300, "u8")
        fails("a shape has no negative numbers", array.zeros, -1)
        fails("a shape is made of integers", array.zeros, 1.5)
        fails("a shape has at most 8 axes", array.zeros, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        fails("too large", array.zeros, math.maxinteger, 16)
        fails("not enough memory for an array of shape (1000000,1000000,100)", array.zeros, 1000000, 1000000, 100)
    end)

    it("makes evenly spaced numbers, exact where they are integers", function()
        assert.same({ 1.0, 2.0, 3.0 }, array.range(3):totable())
        assert.same({ 5, 3, 1 }, array.range(5, 1, -2, "i64"):totable())
        assert.same({ math.maxinteger - 1, math.maxinteger },
            array.range(math.maxinteger - 1, math.maxinteger, 1, "i64"):totable())
        assert.same({ 0.0, 0.25, 0.5, 0.75, 1.0 }, array.linspace(0, 1, 5):totable())
        assert.equal(0.1, array.linspace(0.3, 0.1, 7)[7])
        assert.same({ 2.0 }, array.linspace(2, 3, 1):totable())
        assert.equal(0, #array.linspace(2, 3, 0))
    end)

    it("takes bytes and gives them back", function()
        local a = array.from_bytes(("<i4i4i4i4"):pack(1, -2, 3, 4), "i32", 2, 2)
        assert.same({ { 1, -2 }, { 3, 4 } }, a:totable())
        assert.equal(("<i4i4i4i4"):pack(1, 3, -2, 4), a:transpose():bytes())
        assert.same({ 97, 98 }, array.from_bytes("ab", "u8"):totable())
        assert.equal(0, #array.from_bytes("", "f64"))
        fails("9 bytes do not make shape (1) of f64", array.from_bytes, "123456789")
        fails("8 bytes do not make shape (2) of f64", array.from_bytes, "12345678", "f64", 2)
    end)
end)

describe("an array as a table", function()
    local a

    before_each(function()
        a = array({ { 1, 2, 3 }, { 4, 5, 6 } })
    end)

    it("gives numbers of its type, rows as views, and nil beyond the ends", function()
        assert.equal("float", math.type(array({ 1 })[1]))
        assert.equal("integer", math.type(array({ 1 }, "u8")[1]))
        assert.equal(0.5, array({ 0.5 }, "f32")[1.0])
        assert.same({ 4.0, 5.0, 6.0 }, a[2]:totable())
        a[2][3] = 60
        assert.equal(60, a:get(2, 3))
        for _, i in ipairs({ 0, 3, -1, 1.5 }) do
            assert.is_nil(a[i])
        end
        assert.is_nil(a.nonsense)
        assert.is_nil(a[true])
    end)

    it("takes numbers and rows", function()
        a[1] = 9
        assert.same({ 9.0, 9.0, 9.0 }, a[1]:totable())
        a[2] = array({ 7, 8, 9 }, "i64")
        assert.same({ 7.0, 8.0, 9.0 }, a[2]:totable())
        a[1] = a[2]
        assert.equal(9, a[1][3])
        local b = array({ 1, 2 }, "i64")
        b[1] = 3.0
        assert.equal(3, b[1])
    end)

    it("refuses what does not fit", function()
        local b = array(2, "u8")
        local function set(x, i, v)
            x[i] = v
        end
        fails("index 3 is out of range: the array has 2 elements", set, b, 3, 1)
        fails("index 0 is out of range: the array has 2 rows", set, a, 0, 1)
        fails("256 does not fit u8", set, b, 1, 256)
        fails("-1 does not fit u8", set, b, 1, -1)
        fails("1.5 has no integer representation", set, b, 1, 1.5)
        fails("nan has no integer representation", set, b, 1, math.abs(0 / 0))
        fails("1e+300 does not fit u8", set, b, 1, 1e300)
        fails("cannot assign shape (2) to shape (3)", set, a, 1, array({ 1, 2 }))
        fails("number expected, got string", set, b, 1, "1")
        fails("an array has no field 'x' to set", set, b, "x", 1)
        assert.same({ 0, 0 }, b:totable())
    end)

    it("is walked by ipairs and pairs", function()
        local sum = 0
        for i, row in ipairs(a) do
            sum = sum + i * row:sum()
        end
        assert.equal(36, sum)
        local list = {}
        for i, v in pairs(a[2]) do
            list[i] = v
        end
        assert.same({ 4.0, 5.0, 6.0 }, list)
        assert.equal("1.0 2.0 3.0", table.concat(a[1]:totable(), " "))
    end)

    it("gives and sets elements by all their indices", function()
        assert.equal(6, a:get(2, 3))
        assert.equal(6, a:get(-1, -1))
        assert.is_true(rawequal(a, a:set(1, 2, 20)))
        assert.equal(20, a[1][2])
        fails("an element of this array has 2 indices, not 1", a.get, a, 1)
        fails("index 4 is out of range: axis 2 has 3 elements", a.get, a, 1, 4)
        fails("index 0 is out of range: axis 1 has 2 elements", a.set, a, 0, 1, 5)
        assert.equal(1, array({ 1, 2 }):get(1))
    end)

    it("is assigned to as a whole", function()
        a:assign(array({ 1, 2, 3 }))
        assert.same({ { 1.0, 2.0, 3.0 }, { 1.0, 2.0, 3.0 } }, a:totable())
        a:slice({}, { 2, 3 }):fill(0)
        assert.same({ { 1.0, 0.0, 0.0 }, { 1.0, 0.0, 0.0 } }, a:totable())
        local b = array.range(5)
        b:slice(2, 5):assign(b:slice(1, 4))
        assert.same({ 1.0, 1.0, 2.0, 3.0, 4.0 }, b:totable())
        fails("2.5 has no integer representation (element [1,2])", function()
            array({ { 1, 1 } }, "i32"):assign(array({ 1, 2.5 }))
        end)
    end)

    it("has its own copy when asked for one", function()
        local b = a:copy()
        b[1] = 0
        assert.equal(6, a[1]:sum())
        assert.equal("f32", a:as("f32").dtype)
        assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, a:as("u8"):totable())
        fails("0.5 has no integer representation (element [2])", function()
            array({ 1, 0.5 }):as("i64")
        end)
        assert.same({ -3, 2 }, array({ -2.6, 1.5 }):round():as("i64"):totable())
    end)

    it("is compared as a whole by ==", function()
        assert.is_true(a == array({ { 1, 2, 3 }, { 4, 5, 6 } }, "u8"))
        assert.is_false(a == array({ { 1, 2, 3 }, { 4, 5, 7 } }))
        assert.is_false(a == a[1])
        assert.is_false(array({ 0 / 0 }) == array({ 0 / 0 }))
        assert.is_true(array.is_array(a) and not array.is_array({}))
        fails("arrays are compared with methods", function()
            return a < a
        end)
    end)

    it("is garbage that is collected in time", function()
        local before = collectgarbage("count")
        for _ = 1, 200 do
            array.zeros(4000000)
        end
        assert(collectgarbage("count") < before + 10000) -- and memory is not out
    end)
end)

describe("an array's text", function()
    it("has shape, dtype and elements", function()
        assert.equal("array (2,3) f64\n[[  1.0,   2.5,   3.0],\n [ -4.0, 1e+20,   nan]]",
            tostring(array({ { 1, 2.5, 3 }, { -4, 1e20, 0 / 0 } })))
        assert.equal("array (3) u8\n[ 1, 20,  3]", tostring(array({ 1, 20, 3 }, "u8")))
        assert.equal("array (0) f64\n[]", tostring(array(0)))
    end)

    it("leaves out the middle of what is large", function()
        assert.equal("array (1000) i64\n[   1,    2,    3, ...,  998,  999, 1000]",
            tostring(array.range(1, 1000, 1, "i64")))
        local text = tostring(array.zeros(300, 400, 500))
        assert(#text < 2000 and text:find("...,\n", 1, true))
    end)
end)
