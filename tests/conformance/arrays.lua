local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array
local LARGE = 40000 -- elements that are not copied into a message: their bytes are a block of their own

return function(t, backend)
    local it, assert = t.it, t.assert

    local function call(fn, ...)
        return H.value(mf.future(fn, ...))
    end

    it("sends arrays of every dtype there and back", function()
        for _, dtype in ipairs({ "f64", "f32", "i64", "i32", "u8" }) do
            local a = array({ { 1, 2, 3 }, { 4, 5, 250 } }, dtype)
            local b, kind, sum = call(function(x)
                return x, x.dtype, x:sum()
            end, a)
            assert.equal(dtype, kind)
            assert.equal(a:sum(), sum)
            assert.is_true(b == a and b.dtype == dtype)
        end
    end)

    it("sends numbers as they are, and arrays without any", function()
        local odd = array({ 0 / 0, 1 / 0, -1 / 0, -0.0, 5e-324 })
        local back = call(function(x)
            return x
        end, odd)
        assert.equal(odd:bytes(), back:bytes())
        assert.same({ 0, 3 }, call(function(x)
            return x
        end, array.zeros(0, 3)).shape)
    end)

    it("sends views, small and large, as arrays of their own", function()
        for _, n in ipairs({ 12, LARGE }) do
            local a = array.range(n):reshape(n // 4, 4)
            local view = a:slice({ -1, 1, -1 }, { 2, 3 }):transpose()
            local back = call(function(x)
                return x
            end, view)
            assert.is_true(back == view)
            assert.same(view.shape, back.shape)
        end
    end)

    it("keeps what a task writes out of the owner's arrays, and the other way round", function()
        for _, n in ipairs({ 3, LARGE }) do
            local a = array.range(n)
            local f = mf.future(function(x)
                x[1] = -1
                a[2] = -2
                return x[1], x[2], a[2], x:slice(1, 2):sum()
            end, a)
            a[3] = 7
            assert.same({ -1.0, 2.0, -2.0, 1.0 }, { H.value(f) })
            assert.same({ 1.0, 2.0, 7.0 }, a:slice(1, 3):totable())
        end
    end)

    it("gives each task the array as it was when the task was made", function()
        local a, futures = array.zeros(LARGE), {}
        for i = 1, 5 do
            a[1] = i
            futures[i] = mf.future(function()
                return a[1]
            end)
        end
        for i = 1, 5 do
            assert.equal(i, H.value(futures[i]))
        end
    end)

    it("sends one array twice in a message as one", function()
        local a = array.range(LARGE)
        assert.same({ true, 9.0 }, { call(function(x, y)
            x[1] = 9
            return rawequal(x, y), y[1]
        end, a, a) })
    end)

    it("returns large results and lets the owner write to them", function()
        local a = call(function(n)
            return require("moonfleet").array.range(n) * 2
        end, LARGE)
        a[1] = 5
        assert.same({ 5.0, 4.0, 2.0 * LARGE }, { a[1], a[2], a[LARGE] })
    end)

    it("passes very large ones there and back", function()
        local a = array.range(1000000)
        local b, c = call(function(x)
            return x * 2, x
        end, a)
        b[1], c[2] = -1, -2
        assert.same({ -1.0, 4.0, 1.0, -2.0 }, { b[1], b[2], c[1], c[2] })
        assert.equal(2e6, b[1000000])
        assert.equal(2, a[2])
    end)

    it("passes arrays from future to future", function()
        local f = mf.future(function(n)
            return require("moonfleet").array.ones(n)
        end, LARGE)
        local g = mf.future(function(x)
            return x:sum() + 1
        end, f)
        assert.equal(LARGE + 1, H.value(g))
    end)

    it("maps over elements and rows", function()
        local squares = mf.map(array.range(1000), H.square)
        assert.equal(1000, squares.n)
        assert.equal(999 * 999, squares[999])
        for _, rows in ipairs({ 50, LARGE // 2 }) do
            local m = array.range(2 * rows):reshape(rows, 2)
            local sums = mf.map(m, function(row)
                return row[1] + row[2]
            end)
            assert.equal(rows, sums.n)
            assert.equal(4.0 * rows - 1, sums[rows])
        end
    end)

    it("maps over rows that a function changes, and leaves the owner's", function()
        local m = array.range(2 * LARGE):reshape(LARGE, 2)
        local sums = mf.map(m:slice(1, 100), function(row)
            row[1] = 0
            return row:sum()
        end)
        assert.equal(200, sums[100])
        assert.equal(199, m[100][1])
    end)

    it("filters, folds and streams arrays", function()
        local a = array.range(100)
        assert.same({ 99.0, 100.0 }, { table.unpack(mf.filter(a, function(x)
            return x > 98
        end)) })
        assert.equal(5050.0, mf.reduce(a, function(x, y)
            return x + y
        end))
        local sum = 0
        for _, y in mf.imap(a, H.square) do
            sum = sum + y
        end
        assert.equal(338350.0, sum)
    end)

    it("shares an array that nobody can write to", function()
        for _, n in ipairs({ 3, LARGE }) do
            local a = array.range(n)
            local s = mf.share(a)
            local sums = mf.map({ 1, 2, 3, 4 }, function(i)
                return s[i % 3 + 1]
            end, { chunk = 1 })
            assert.same({ 2.0, 3.0, 1.0, 2.0, n = 4 }, sums)
            local ok, err = H.result(mf.future(function()
                s[1] = 5
            end))
            assert.is_false(ok)
            H.has(err, "shared array is read-only; use :copy()")
            assert.equal(5, call(function()
                local mine = s:copy()
                mine[1] = 5
                return mine[1]
            end))
            a[1] = 8
            assert.equal(1, s[1])
        end
    end)

    it("shares other values, decoded once a worker", function()
        local s = mf.share({ names = { "a", "b" }, x = array.range(LARGE) })
        local results = mf.map({ 1, 2, 3, 4 }, function(i)
            local value = s:value()
            assert(rawequal(value, s:value()))
            return value.names[i % 2 + 1] .. value.x[i]
        end, { chunk = 1 })
        assert.same({ "b1.0", "a2.0", "b3.0", "a4.0", n = 4 }, results)
        H.has(select(2, H.result(mf.future(function()
            s:value().x[1] = 0
        end))), "shared array is read-only; use :copy()")
        assert.equal(LARGE, #s:value().x)
    end)

    it("gives shares back", function()
        local s, v = mf.share(array.range(LARGE)), mf.share({ "x" })
        local t1, t2 = call(function()
            return s, v
        end)
        assert.equal(s:sum(), t1:sum())
        assert.equal("x", t2:value()[1])
        H.has(H.failure(function()
            t1[1] = 1
        end), "shared array is read-only")
    end)

    if backend.name == "cluster" then
        it("refuses memory that only one machine can share", function()
            local a = array.shared(3)
            local ok, err = H.result(mf.future(function()
                return a[1]
            end))
            assert.is_false(ok)
            H.has(tostring(err), "memory that only one machine can share")
        end)
        return
    end

    it("lets tasks write to an array made for that", function()
        local a, counts = array.shared(LARGE), array.shared(2, "i64")
        mf.each(mf.range(4), function(i)
            a[i] = i * 10
            for _ = 1, 1000 do
                counts:atomic_add(1, 1)
                counts:atomic_add(-1, 2)
            end
        end, { chunk = 1 })
        assert.same({ 10.0, 20.0, 30.0, 40.0 }, a:slice(1, 4):totable())
        assert.same({ 4000, -4000 }, counts:totable())
    end)
end
