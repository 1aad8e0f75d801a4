-- Reductions, running sums, quantiles, order, products: vm/lib_array_reduce.c and runtime/array_{reduce,partial,sort,
-- quantile,linear}.c.
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

local function close(expected, actual, tolerance)
    local bound = (tolerance or 1e-14) * math.max(1, math.abs(expected))
    if math.abs(expected - actual) > bound then
        error(("expected %.17g, got %.17g"):format(expected, actual), 2)
    end
end

-- Numbers without any pattern, the same in every run.
local function noise(n)
    local x, t = 12345, {}
    for i = 1, n do
        x = (x * 1103515245 + 12345) % 2147483648
        t[i] = x / 2147483648
    end
    return t
end

describe("reductions", function()
    it("of all elements give numbers", function()
        local a = array({ { 1, 5, 3 }, { 4, 2, 6 } })
        assert.equal(21, a:sum())
        assert.equal(720, a:prod())
        assert.equal(3.5, a:mean())
        assert.equal(3.5, a:var())
        close(math.sqrt(3.5), a:sd())
        close(35 / 12, a:var(nil, false, 0))
        assert.equal(1, a:min())
        assert.equal(6, a:max())
        assert.equal(1, a:argmin())
        assert.equal(6, a:argmax())
        assert.is_true(a:any())
        assert.is_true(a:all())
        assert.equal(2, a:gt(4):count())
        assert.equal(3.5, a:median())
    end)

    it("along an axis give arrays", function()
        local a = array({ { 1, 5, 3 }, { 4, 2, 6 } })
        assert.same({ 5.0, 7.0, 9.0 }, a:sum(1):totable())
        assert.same({ 9.0, 12.0 }, a:sum(2):totable())
        assert.same({ 9.0, 12.0 }, a:sum(-1):totable())
        assert.same({ 3.0, 4.0 }, a:mean(2):totable())
        assert.same({ 4.5, 4.5, 4.5 }, a:var(1):totable())
        assert.same({ 1.0, 2.0, 3.0 }, a:min(1):totable())
        assert.same({ 5.0, 6.0 }, a:max(2):totable())
        assert.same({ 1, 2, 1 }, a:argmin(1):totable())
        assert.same({ 2, 3 }, a:argmax(2):totable())
        assert.same({ 0, 1, 1 }, a:gt(4):any(1):totable())
        assert.same({ 1, 1 }, a:gt(4):count(2):totable())
        assert.same({ 0, 1 }, a:gt(1):all(2):totable())
        assert.same({ 4.0, 10.0, 18.0 }, a:prod(1):totable())
        assert.same({ 21.0 }, a:ravel():sum(1):totable())
    end)

    it("may keep the axis", function()
        local a = array({ { 1, 2, 3 }, { 4, 5, 6 } })
        assert.same({ 2, 1 }, a:mean(2, true).shape)
        assert.same({ { -1.0, 0.0, 1.0 }, { -1.0, 0.0, 1.0 } }, (a - a:mean(2, true)):totable())
        assert.same({ 1, 3 }, a:sum(1, true).shape)
    end)

    it("keep integers whole", function()
        local a = array({ { 200, 100 }, { 250, 1 } }, "u8")
        assert.equal("integer", math.type(a:sum()))
        assert.equal(551, a:sum())
        assert.equal("i64", a:sum(1).dtype)
        assert.same({ 450, 101 }, a:sum(1):totable())
        assert.equal(250, a:max())
        assert.equal("u8", a:max(1).dtype)
        assert.equal(137.75, a:mean())
        assert.equal(math.mininteger, array({ math.maxinteger, 1 }, "i64"):sum())
        assert.equal(math.maxinteger, array({ 3, math.maxinteger }, "i64"):max())
        assert.equal("integer", math.type(a:argmax()))
    end)

    it("agree for every length, layout and dtype", function()
        for _, n in ipairs({ 1, 2, 15, 16, 17, 31, 100, 1023, 1024, 1025, 2048, 5000 }) do
            local t = noise(n)
            local sum, least, greatest, at = 0, math.huge, -math.huge, nil
            for i, x in ipairs(t) do
                sum, least = sum + x, math.min(least, x)
                if x > greatest then
                    greatest, at = x, i
                end
            end
            local squares = 0
            for _, x in ipairs(t) do
                squares = squares + (x - sum / n) ^ 2
            end
            local plain = array(t)
            local apart = array.zeros(n, 3)
            apart:slice({}, 2):assign(plain)
            for _, a in ipairs({ plain, apart:slice({}, 2), plain:reshape(1, n, 1):transpose() }) do
                close(sum, a:sum(), 1e-13)
                assert.equal(plain:sum(), a:sum())
                assert.equal(plain:sd() == plain:sd() and plain:sd() or 0, n > 1 and a:sd() or 0)
                assert.equal(least, a:min())
                assert.equal(greatest, a:max())
                assert.equal(at, a:argmax())
                if n > 1 then
                    close(squares / (n - 1), a:var(), 1e-12)
                end
            end
            assert.equal(plain:sum(), apart:sum(1)[2])
            assert.equal(plain:max(), apart:max(1)[2])
            assert.equal(n, (plain:as("f32") * 0 + 1):sum())
            assert.equal(n * (n + 1) // 2, array.range(1, n, 1, "i32"):sum())
        end
    end)

    it("lose nothing where a plain loop does", function()
        local n = 1 << 20
        close(0.1 * n, array.full(n, 0.1):sum(), 3e-15) -- a plain loop is off by 5e-12
        local far = array.range(100000) + 1e9
        close(100000 * 100001 / 12, far:var(), 1e-12)
        assert.equal(0, array.full(1000, 0.1):var())
        assert.equal(1.0, array({ 1, 1e100, 1 }):cumsum()[1])
    end)

    it("pass NaN on", function()
        local a = array.ones(100)
        a[70] = 0 / 0
        for _, name in ipairs({ "sum", "mean", "var", "sd", "min", "max", "prod", "median" }) do
            local v = a[name](a)
            assert(v ~= v, name)
        end
        assert.equal(70, a:argmin())
        assert.equal(70, a:argmax())
        assert.is_true(array({ 0, 0 / 0 }):any())
        a[3] = 0 / 0
        assert.equal(3, a:argmax())
    end)

    it("have answers for no elements, or say so", function()
        local none = array(0)
        assert.equal(0, none:sum())
        assert.equal(1, none:prod())
        assert.is_false(none:any())
        assert.is_true(none:all())
        assert(none:mean() ~= none:mean() and none:var() ~= none:var() and none:median() ~= none:median())
        assert(array({ 1 }):var() ~= array({ 1 }):var())
        fails("there is no min of no elements", none.min, none)
        fails("there is no argmax of no elements", none.argmax, none)
        assert.same({ 0.0, 0.0 }, array.zeros(0, 2):sum(1):totable())
        assert.same({}, array.zeros(0, 2):sum(2):totable())
        fails("there is no max of no elements", function()
            array.zeros(0, 2):max(1)
        end)
        assert.same({}, array.zeros(0, 2):max(2):totable())
        fails("there is no axis 3 in an array with 2", function()
            array.zeros(2, 2):sum(3)
        end)
        fails("there is no axis 0", function()
            array.zeros(2, 2):sum(0)
        end)
    end)

    it("work along any axis of many", function()
        local a = array.range(2 * 3 * 4 * 5):reshape(2, 3, 4, 5)
        for axis = 1, 4 do
            local sums = a:sum(axis)
            local expected = { 2, 3, 4, 5 }
            table.remove(expected, axis)
            assert.same(expected, sums.shape)
            assert.equal(a:sum(), sums:sum())
        end
        assert.equal(a:get(1, 2, 3, 4) + a:get(2, 2, 3, 4), a:sum(1):get(2, 3, 4))
        assert.equal(a:get(1, 1, 1, 1), a:transpose():min(2):get(1, 1, 1))
    end)
end)

describe("running sums", function()
    it("go along an axis", function()
        local a = array({ { 1, 2, 3 }, { 4, 5, 6 } })
        assert.same({ { 1.0, 3.0, 6.0 }, { 4.0, 9.0, 15.0 } }, a:cumsum():totable())
        assert.same({ { 1.0, 2.0, 3.0 }, { 5.0, 7.0, 9.0 } }, a:cumsum(1):totable())
        assert.same({ 200, 400 }, array({ 200, 200 }, "u8"):cumsum():totable())
        assert.equal(0.1 * 10, array.full(10, 0.1):cumsum()[10])
        assert.same({}, array(0):cumsum():totable())
        local long = array.full(3000, 0.1):cumsum()
        close(300, long[3000], 1e-16)
        assert.same({ 1.0, math.huge, math.huge }, array({ 1, math.huge, 1 }):cumsum():totable())
    end)
end)

describe("quantiles", function()
    it("are R's type 7", function()
        -- quantile(c(3, 1, 4, 1, 5, 9, 2, 6), c(0, 0.1, 0.25, 0.5, 0.9, 1)) of R 4.2
        local a = array({ 3, 1, 4, 1, 5, 9, 2, 6 })
        local expected = { 1, 1, 1.75, 3.5, 6.8999999999999995, 9 }
        local q = a:quantile({ 0, 0.1, 0.25, 0.5, 0.9, 1 })
        for i, x in ipairs(expected) do
            assert.equal(x, q[i])
        end
        assert.equal(3.5, a:median())
        assert.equal(6.8999999999999995, a:quantile(0.9))
        assert.equal(9, a:quantile({ 1, 0 })[1])
        assert.equal(1, a:quantile({ 1, 0 })[2])
    end)

    it("go along an axis", function()
        local a = array({ { 1, 2, 3 }, { 6, 4, 5 } }, "i32")
        assert.same({ 3.5, 3.0, 4.0 }, a:median(1):totable())
        assert.same({ 2.0, 5.0 }, a:median(2):totable())
        assert.same({ { 1.0, 4.0 }, { 3.0, 6.0 } }, a:quantile({ 0, 1 }, 2):totable())
    end)

    it("are found in every order of elements", function()
        local n = 1001
        local orders = { array.range(n), array.range(n, 1, -1), array(noise(n)):order():as("f64"), array.ones(n) }
        for i, a in ipairs(orders) do
            assert.equal(i == 4 and 1 or 501, a:median())
            assert.equal(i == 4 and 1 or 251, a:quantile(0.25))
        end
        -- what defeats a median of three: https://www.cs.dartmouth.edu/~doug/mdmspe.pdf describes such orders
        local k, killer = 2000, {}
        for i = 1, k do
            killer[i] = i % 2 == 1 and i or k // 2 + i // 2
            killer[k + i] = 2 * i
        end
        local a = array(killer)
        assert.equal(a:sort()[k // 2 + 1], a:quantile((k // 2) / (2 * k - 1)))
    end)

    it("refuse other probabilities", function()
        fails("a quantile's probability must be from 0 to 1, not 1.5", function()
            array({ 1 }):quantile(1.5)
        end)
    end)
end)

describe("order", function()
    it("sorts along an axis, up and down", function()
        local a = array({ { 3, 1, 2 }, { 6, 5, 4 } })
        assert.same({ { 1.0, 2.0, 3.0 }, { 4.0, 5.0, 6.0 } }, a:sort():totable())
        assert.same({ { 3.0, 1.0, 2.0 }, { 6.0, 5.0, 4.0 } }, a:sort(1):totable())
        assert.same({ { 6.0, 5.0, 4.0 }, { 3.0, 1.0, 2.0 } }, a:sort(1, true):totable())
        assert.same({ { 2, 3, 1 }, { 3, 2, 1 } }, a:order():totable())
        assert.same({ 3.0, 1.0, 2.0 }, a[1]:totable())
    end)

    it("sorts every dtype, long and short", function()
        for _, n in ipairs({ 0, 1, 2, 48, 49, 1000, 70000 }) do
            local t = noise(n)
            for _, dtype in ipairs({ "f64", "f32", "i64", "i32", "u8" }) do
                local a = ((array(t) - 0.5) * 200 + (dtype == "u8" and 100 or 0))
                if dtype ~= "f64" and dtype ~= "f32" then
                    a = a:floor()
                end
                a = a:as(dtype)
                local expected = a:totable()
                table.sort(expected)
                assert.is_true(a:sort() == array(expected, dtype))
                assert.is_true(a:take(a:order()) == a:sort())
                assert.is_true(n == 0 or a:sort(1, true) == a:sort():slice(-1, 1, -1))
            end
        end
    end)

    it("keeps the order of equal elements, and puts NaN last", function()
        local nan = 0 / 0
        local a = array({ 2, nan, 1, 2, -nan, 1, -1 / 0, 1 / 0 })
        assert.same({ 7, 3, 6, 1, 4, 8, 2, 5 }, a:order():totable())
        assert.same({ 8, 1, 4, 3, 6, 7, 2, 5 }, a:order(1, true):totable())
        assert.same({ -math.huge, 1.0, 1.0, 2.0, 2.0, math.huge }, a:sort():slice(1, 6):totable())
        assert.equal(2, a:sort(1, true):slice(7, 8):isnan():sum())
        assert.same({ 1, 2, 3 }, array({ 0.0, -0.0, 0.0 }):order():totable())
        assert.same({ math.mininteger, -7, -1, 0, 5, math.maxinteger },
            array({ math.maxinteger, 0, 5, -7, math.mininteger, -1 }, "i64"):sort():totable())
    end)

    it("finds the different numbers", function()
        local values, counts = array({ { 3, 1 }, { 2, 3 } }):unique()
        assert.same({ 1.0, 2.0, 3.0 }, values:totable())
        assert.same({ 1, 1, 2 }, counts:totable())
        values, counts = array({ 0 / 0, -0.0, 0.0, 0 / 0 }):unique()
        assert.equal(2, #values)
        assert.same({ 2, 2 }, counts:totable())
        assert.equal("u8", (array({ 5, 5 }, "u8"):unique()).dtype)
        assert.equal(0, #(array(0):unique()))
    end)
end)

describe("products", function()
    local function slow(a, b)
        local m, k, n = a.shape[1], a.shape[2], b.shape[2]
        local c = array(m, n)
        for i = 1, m do
            for j = 1, n do
                local sum = 0
                for p = 1, k do
                    sum = sum + a:get(i, p) * b:get(p, j)
                end
                c:set(i, j, sum)
            end
        end
        return c
    end

    it("are those of matrices", function()
        for _, s in ipairs({ { 1, 1, 1 }, { 3, 4, 5 }, { 5, 1, 9 }, { 8, 300, 7 }, { 130, 17, 33 }, { 2, 3, 600 } }) do
            local a = array(noise(s[1] * s[2])):reshape(s[1], s[2])
            local b = (array(noise(s[2] * s[3])) - 0.5):reshape(s[2], s[3])
            local c, expected = a:dot(b), slow(a, b)
            assert.same({ s[1], s[3] }, c.shape)
            assert((c - expected):abs():max() < 1e-12)
            assert((a:transpose():copy():transpose():dot(b:transpose():copy():transpose()) - c):abs():max() < 1e-12)
            assert((b:transpose():dot(a:transpose()) - c:transpose()):abs():max() < 1e-12)
        end
    end)

    it("take vectors as rows and columns", function()
        local a, v = array({ { 1, 2, 3 }, { 4, 5, 6 } }), array({ 1, 0, -1 })
        assert.same({ -2.0, -2.0 }, a:dot(v):totable())
        assert.same({ -3.0, -3.0, -3.0 }, array({ 1, -1 }):dot(a):totable())
        assert.equal(14, a[1]:dot(array({ 1, 2, 3 })))
        assert.equal(10, a:transpose()[1]:dot(array({ 2, 2 })))
        local long = array(noise(10000))
        close((long * long):sum(), long:dot(long), 1e-14)
        assert.equal(0, array(0):dot(array(0)))
        assert.same({ { 0.0, 0.0 } }, array.zeros(1, 0):dot(array.zeros(0, 2)):totable())
    end)

    it("keep integers whole, and meet in a dtype", function()
        local a = array({ { 200, 100 } }, "u8")
        assert.same({ { 50000 } }, a:dot(a:transpose()):totable())
        assert.equal("i64", a:dot(a:transpose()).dtype)
        assert.same({ { 250.0 } }, a:dot(array({ { 0.5 }, { 1.5 } })):totable())
        assert.equal("f32", array.ones(2, 2, "f32"):dot(array.ones(2, 2, "f32")).dtype)
        assert.equal(math.maxinteger, array({ math.maxinteger }, "i64"):dot(array({ 1 }, "i64")))
    end)

    it("name shapes that do not agree", function()
        local a = array.zeros(2, 3)
        fails("cannot multiply shapes (2,3) and (2,3): 3 columns meet 2 rows", a.dot, a, a)
        fails("cannot multiply shapes (2,3) and (2): 3 columns meet 2 rows", a.dot, a, array.zeros(2))
        fails("there are products of one and two axes only", a.dot, a, array.zeros(3, 2, 2))
    end)
end)
