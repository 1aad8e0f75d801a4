-- Arithmetic, functions, comparisons, selection: vm/lib_array_ops.c, runtime/array_ops.c and its kernels.
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

-- Lengths around the width of vectors and of pieces.
local LENGTHS = { 1, 3, 4, 7, 8, 15, 16, 17, 33, 511, 512, 513, 1025 }

describe("operators", function()
    it("compute element by element as Lua does", function()
        local cases = { { 7, 2 }, { -7, 2 }, { 7, -2 }, { -7, -2 }, { 0, 5 }, { 6, 3 } }
        for _, dtype in ipairs({ "f64", "i64", "i32" }) do
            local x, y = array(#cases, dtype), array(#cases, dtype)
            for i, c in ipairs(cases) do
                x[i], y[i] = c[1], c[2]
            end
            local sum, product, quotient, whole, rest = x + y, x * y, x / y, x // y, x % y
            for i = 1, #cases do
                local a, b = x[i], y[i]
                assert.equal(a + b, sum[i])
                assert.equal(a - b, (x - y)[i])
                assert.equal(a * b, product[i])
                assert.equal(a / b, quotient[i])
                assert.equal(a // b, whole[i])
                assert.equal(a % b, rest[i])
                assert.equal(a ^ b, (x ^ y)[i])
                assert.equal(-a, (-x)[i])
            end
        end
    end)

    it("are right for every length and layout", function()
        for _, n in ipairs(LENGTHS) do
            local x = array.range(n)
            local y = array.range(2 * n):slice(-1, 1, -2)
            local sum, product = x + y, (x * 2.5):as("f32") * y:as("f32")
            for i = 1, n do
                assert(sum[i] == i + 2 * (n - i + 1) and product[i] == i * 2.5 * (2 * (n - i + 1)))
            end
        end
    end)

    it("take numbers on either side", function()
        assert.same({ 9.0, 8.0 }, (10 - array({ 1, 2 })):totable())
        assert.same({ 0.5, 1.0 }, (array({ 1, 2 }) / 2):totable())
        assert.same({ 2.0, 4.0 }, (2 ^ array({ 1, 2 })):totable())
        assert.same({ 1, 0, 1 }, (array({ 3, 4, 5 }, "i64") % 2):totable())
    end)

    it("choose the dtype of the result", function()
        local function dtype(x, y)
            return (x + y).dtype
        end
        local function of(t)
            return array({ 1 }, t)
        end
        local expected = {
            { "u8", "u8", "u8" }, { "u8", "i32", "i32" }, { "i32", "i64", "i64" }, { "u8", "f32", "f32" },
            { "i32", "f32", "f64" }, { "i64", "f32", "f64" }, { "f32", "f64", "f64" }, { "i64", "f64", "f64" },
        }
        for _, e in ipairs(expected) do
            assert.equal(e[3], dtype(of(e[1]), of(e[2])))
            assert.equal(e[3], dtype(of(e[2]), of(e[1])))
        end
        assert.equal("u8", dtype(of("u8"), 1))
        assert.equal("f64", dtype(of("u8"), 1.0))
        assert.equal("f32", dtype(of("f32"), 1.5))
        assert.equal("f32", dtype(1, of("f32")))
        assert.equal("f64", (of("i32") / of("i32")).dtype)
        assert.equal("f32", (of("f32") ^ 2).dtype)
    end)

    it("wrap integers around in their width", function()
        assert.same({ 255, 4 }, (array({ 0, 5 }, "u8") - 1):totable())
        assert.same({ 144 }, (array({ 20 }, "u8") * 20):totable())
        assert.same({ -2147483648 }, (array({ 2147483647 }, "i32") + 1):totable())
        assert.same({ math.mininteger }, (array({ math.maxinteger }, "i64") + 1):totable())
        assert.same({ math.mininteger }, (array({ math.mininteger }, "i64") // -1):totable())
        assert.same({ 0 }, (array({ math.mininteger }, "i64") % -1):totable())
        assert.same({ -2147483648 }, (-array({ -2147483648 }, "i32")):totable())
        assert.same({ math.mininteger }, array({ math.mininteger }, "i64"):abs():totable())
    end)

    it("refuse integers that do not fit, and division by zero", function()
        fails("300 does not fit u8; convert the array with :as(\"i64\")", function()
            return array({ 1 }, "u8") + 300
        end)
        fails("attempt to perform 'n//0' (element [2,1])", function()
            return array({ { 1, 2 }, { 3, 4 } }, "i64") // array({ { 1, 1 }, { 0, 1 } }, "i64")
        end)
        fails("attempt to perform 'n%%0' (element [1])", function()
            return array({ 1 }, "u8") % 0
        end)
        assert.same({ math.huge }, (array({ 1 }) // 0):totable())
    end)

    it("broadcast shapes as numpy does", function()
        local a = array.range(6):reshape(2, 3)
        assert.same({ { 11.0, 22.0, 33.0 }, { 14.0, 25.0, 36.0 } }, (a + array({ 10, 20, 30 })):totable())
        assert.same({ { 11.0, 12.0, 13.0 }, { 24.0, 25.0, 26.0 } }, (a + array({ { 10 }, { 20 } })):totable())
        assert.same({ 4, 2, 3 }, (array.ones(4, 1, 1) * a).shape)
        assert.same({ 2, 0 }, (array.ones(2, 1) + array.ones(1, 0)).shape)
        local square = a:slice({}, { 1, 2 })
        assert.same({ { 2.0, 6.0 }, { 6.0, 10.0 } }, (square + square:transpose()):totable())
    end)

    it("name both shapes when they do not agree", function()
        local a = array.zeros(3, 4)
        fails("cannot add shapes (3,4) and (5): axis 2 has 4 elements and 5", function()
            return a + array.zeros(5)
        end)
        fails("cannot multiply shapes (2,1,3) and (4,3,4)", function()
            return array.zeros(2, 1, 3) * array.zeros(4, 3, 4)
        end)
        fails("number or array expected, got table", function()
            return a + {}
        end)
    end)

    it("write into an array that is given", function()
        local a, b = array.range(4), array.ones(4)
        assert.is_true(rawequal(b, a:add(1, b)))
        assert.same({ 2.0, 3.0, 4.0, 5.0 }, b:totable())
        a:mul(a, a)
        assert.same({ 1.0, 4.0, 9.0, 16.0 }, a:totable())
        a:slice(1, 3):add(a:slice(2, 4), a:slice(1, 3))
        assert.same({ 5.0, 13.0, 25.0, 16.0 }, a:totable())
        local c = array.range(4)
        c:slice(2, 4):add(c:slice(1, 3), c:slice(2, 4))
        assert.same({ 1.0, 3.0, 5.0, 7.0 }, c:totable())
        c:slice(-1, 1, -1):neg(c)
        assert.same({ -7.0, -5.0, -3.0, -1.0 }, c:totable())
        fails("the result has shape (4), and the array for it (3)", a.add, a, 1, array.zeros(3))
        fails("the result has dtype f64, and the array for it f32", a.add, a, 1, array.zeros(4, "f32"))
    end)

    it("combine bits of integers", function()
        local x, y = array({ 12, 10 }, "u8"), array({ 10, 6 }, "u8")
        assert.same({ 8, 2 }, (x & y):totable())
        assert.same({ 14, 14 }, (x | y):totable())
        assert.same({ 6, 12 }, (x ~ y):totable())
        assert.same({ 243, 245 }, (~x):totable())
        fails("bits can be combined in arrays of integers only, not in f64", function()
            return x & array({ 1, 2 })
        end)
        fails("bits can be turned over in arrays of integers only", function()
            return ~array({ 1 })
        end)
    end)
end)

describe("comparisons", function()
    it("give 0 and 1", function()
        local a, b = array({ 1, 2, 3 }), array({ 3, 2, 1 })
        assert.equal("u8", a:lt(b).dtype)
        assert.same({ 1, 0, 0 }, a:lt(b):totable())
        assert.same({ 1, 1, 0 }, a:le(b):totable())
        assert.same({ 0, 0, 1 }, a:gt(b):totable())
        assert.same({ 0, 1, 1 }, a:ge(b):totable())
        assert.same({ 0, 1, 0 }, a:eq(b):totable())
        assert.same({ 1, 0, 1 }, a:ne(b):totable())
        assert.same({ 1, 1 }, array({ 1, 255 }, "u8"):lt(300):totable())
        assert.same({ 0, 0, 1 }, array({ 0 / 0, 1, 2 }):gt(array({ 0, 0 / 0, 1 })):totable())
    end)

    it("take the lesser and the greater, and keep NaN", function()
        local a, b = array({ 1, 5, 0 / 0, 2 }), array({ 3, 4, 1, 0 / 0 })
        assert.same({ 1.0, 4.0 }, a:minimum(b):slice(1, 2):totable())
        assert.same({ 3.0, 5.0 }, a:maximum(b):slice(1, 2):totable())
        assert.same({ 0, 0, 1, 1 }, a:minimum(b):isnan():totable())
        assert.same({ 0, 0, 1, 1 }, a:maximum(b):isnan():totable())
        assert.same({ 2, 3 }, array({ 1, 3 }, "i64"):maximum(2):totable())
    end)
end)

describe("functions", function()
    it("are those of the math library", function()
        local x = array({ 0.1, 0.5, 0.9 })
        for _, name in ipairs({ "sqrt", "exp", "sin", "cos", "tan", "asin", "acos", "atan" }) do
            for i, y in ipairs(x[name](x)) do
                assert.equal(math[name](x[i]), y)
            end
        end
        for i, y in ipairs(x:log()) do
            assert.equal(math.log(x[i]), y)
        end
        assert(math.abs(array({ 1e-10 }):expm1()[1] - 1e-10) < 1e-19)
        assert(math.abs(array({ 1e-10 }):log1p()[1] - 1e-10) < 1e-19)
        assert.same({ 3.0 }, array({ 8 }):log2():totable())
        assert.same({ 3.0 }, array({ 1000 }):log10():totable())
        assert(math.abs(array({ 0.5 }):tanh()[1] - array({ 0.5 }):sinh()[1] / array({ 0.5 }):cosh()[1]) < 1e-15)
        assert.equal(math.atan(1, -2), array({ 1 }):atan2(-2)[1])
        assert.same({ 4.0 }, array.sqrt(array({ 16 }, "i32")):totable())
        assert.equal("f32", array({ 1 }, "f32"):exp().dtype)
        assert.equal("f64", array({ 1 }, "u8"):exp().dtype)
    end)

    it("round", function()
        local x = array({ -2.5, -1.5, -0.5, 0.5, 1.5, 2.7 })
        assert.same({ -3.0, -2.0, -1.0, 0.0, 1.0, 2.0 }, x:floor():totable())
        assert.same({ -2.0, -1.0, 0.0, 1.0, 2.0, 3.0 }, (x:ceil() + 0.0):totable())
        assert.same({ -2.0, -1.0, 0.0, 0.0, 1.0, 2.0 }, (x:trunc() + 0.0):totable())
        assert.same({ -2.0, -2.0, 0.0, 0.0, 2.0, 3.0 }, (x:round() + 0.0):totable())
        assert.same({ 5 }, array({ 5 }, "i64"):floor():totable())
    end)

    it("tell signs and numbers", function()
        assert.same({ 2.0, 0.0, 3.0 }, array({ -2, 0, 3 }):abs():totable())
        assert.same({ -1.0, 0.0, 1.0 }, array({ -2, 0, 3 }):sign():totable())
        assert.same({ -1, 0, 1 }, array({ -2, 0, 3 }, "i32"):sign():totable())
        assert.same({ 0, 1, 0 }, array({ 1, 0 / 0, 1 / 0 }):isnan():totable())
        assert.same({ 1, 0, 0 }, array({ 1, 0 / 0, 1 / 0 }):isfinite():totable())
        assert.same({ 1 }, array({ 1 }, "u8"):isfinite():totable())
    end)

    it("are right for every length and layout", function()
        for _, n in ipairs(LENGTHS) do
            local x = array.range(2 * n):slice(1, -1, 2)
            local roots, negative = x:sqrt(), -x:as("i32")
            for i = 1, n do
                assert(roots[i] == math.sqrt(2 * i - 1) and negative[i] == 1 - 2 * i)
            end
        end
    end)
end)

describe("where", function()
    it("chooses between arrays and numbers", function()
        local a = array({ 1, -2, 3 })
        assert.same({ 1.0, 0.0, 3.0 }, array.where(a:gt(0), a, 0):totable())
        assert.same({ 1, -1, 1 }, a:gt(0):where(1, -1):totable())
        assert.equal("i64", a:gt(0):where(1, -1).dtype)
        assert.equal("f64", a:gt(0):where(1, -1.5).dtype)
        assert.same({ { 1.0, 5.0 }, { 9.0, 9.0 } },
            array.where(array({ { 1 }, { 0 } }), array({ 1, 5 }), 9):totable())
        assert.same({ 1.0, 3.0 }, array.where(array({ 0.5, 0 }), 1.0, 3.0):totable())
        fails("cannot choose from shapes (3) and (2)", array.where, a, array({ 1, 2 }), 0)
    end)

    it("gives the places of what is not zero", function()
        assert.same({ 2, 3 }, array({ 0, 5, -1 }):where():totable())
        assert.same({ { 1, 2 }, { 2, 1 } }, array({ { 0, 1 }, { 1, 0 } }):places():totable())
        assert.same({ 0 }, array({ 0, 0 }):where().shape)
    end)
end)
