local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function identity(...)
    return ...
end

local function send(...)
    return H.value(mf.future(identity, ...))
end

local function bits(x)
    return string.pack("<d", x)
end

local point = setmetatable({}, { __name = "a local metatable" })

local function fact(n)
    return n <= 1 and 1 or n * fact(n - 1)
end

local function make_counter()
    local n = 0
    return function()
        n = n + 1
        return n
    end, function()
        return n
    end
end

return function(t)
    local it, assert = t.it, t.assert

    it("carries nil, booleans, numbers and strings exactly", function()
        for _, v in ipairs({ true, false, 0, -1, math.maxinteger, math.mininteger, 1.5, 1e308, "", "a\0b\255\r\n" }) do
            local back = send(v)
            assert.equal(v, back)
            assert.equal(math.type(v), math.type(back))
        end
        assert.is_nil(send(nil))
        assert.equal("float", math.type(send(3.0)))
        assert.equal("integer", math.type(send(3)))
    end)

    it("keeps the bits of floats", function()
        local payload = string.unpack("<d", "\1\0\0\0\0\0\xf8\x7f")
        for _, v in ipairs({ -0.0, 1 / 0, -1 / 0, 0 / 0, -(0 / 0), payload, 5e-324 }) do
            assert.equal(bits(v), bits(send(v)))
        end
    end)

    it("returns all values, nils among them and at the end", function()
        local got = table.pack(send(1, nil, "x", nil, nil))
        assert.same({ 1, nil, "x", n = 5 }, got)
        assert.equal(0, select("#", send()))
        local ok = table.pack(H.result(mf.future(identity, nil, 2, nil)))
        assert.same({ true, nil, 2, nil, n = 4 }, ok)
    end)

    it("gives the same values every time it is asked", function()
        local f = mf.future(identity, 1, nil)
        assert.equal(2, select("#", H.value(f)))
        assert.equal(2, select("#", f:value()))
        assert.equal(3, select("#", f:result()))
    end)

    it("carries tables with any keys, cycles and shared parts", function()
        local shared = { 1 }
        local v = { 1, nil, 3, x = shared, y = shared, [true] = "b", [2.5] = "f", [-7] = "i" }
        v.self = v
        v[shared] = "key"
        local back = send(v)
        assert.equal(back, back.self)
        assert.equal(back.x, back.y)
        assert.equal("key", back[back.x])
        assert.equal("b", back[true])
        assert.equal("f", back[2.5])
        assert.equal("i", back[-7])
        assert.equal(3, back[3])
        assert.is_nil(back[2])
    end)

    it("copies: what the task changes is not changed here", function()
        local v = { 1 }
        local back = H.value(mf.future(function(x)
            x[1] = 2
            return x
        end, v))
        assert.equal(1, v[1])
        assert.equal(2, back[1])
        assert.not_equal(v, back)
    end)

    it("keeps the identity of a module's metatable and copies others", function()
        local errors = require("moonfleet.error")
        local back = send(errors.new({ kind = "mine", message = "text" }))
        assert.equal(errors.metatable, getmetatable(back))
        assert.equal("text", tostring(back))
        assert.equal("a local metatable", getmetatable(send(point)).__name)
    end)

    it("carries closures with their upvalues, recursion and shared cells", function()
        assert.equal(120, H.value(mf.future(fact, 5)))
        local inc, get = make_counter()
        inc()
        local n, m = H.value(mf.future(function()
            inc()
            inc()
            return get(), inc()
        end))
        assert.equal(3, n)
        assert.equal(4, m)
        assert.equal(1, get())
    end)

    it("takes the values of upvalues when the future is made", function()
        local x = "then"
        local f = mf.future(function()
            return x
        end)
        x = "now"
        assert.equal("then", H.value(f))
        assert.equal("now", x)
    end)

    it("sends library functions and modules by name", function()
        assert.equal(math.floor, send(math.floor))
        assert.equal(string, send(string))
        assert.equal(mf, send(mf))
        assert.equal(4.0, H.value(mf.future(math.sqrt, 16)))
    end)

    it("returns functions that work here", function()
        local add = H.value(mf.future(function(n)
            return function(x)
                return x + n
            end
        end, 10))
        assert.equal(15, add(5))
    end)

    it("names what cannot be sent by its path", function()
        local co = coroutine.create(identity)
        local err = H.failure(mf.future, function()
            return co
        end)
        H.has(err, "cannot send a coroutine")
        H.has(err, "upvalue 'co'")
        H.has(H.failure(mf.future, identity, 1, { log = { co } }), "argument 2.log[1]")
        H.has(H.failure(mf.map, { 1, { co } }, identity, { chunk = 2 }), "element 2")
    end)

    it("fails the future when the result cannot be sent", function()
        local ok, err = H.result(mf.future(function()
            return { inner = coroutine.create(print) }
        end))
        assert.is_false(ok)
        H.has(tostring(err), "cannot send a coroutine")
        assert.equal(1, send(1))
    end)

    it("carries a large string and a long list", function()
        local s = ("0123456789abcdef"):rep(1 << 16)
        assert.equal(s, send(s))
        local list = {}
        for i = 1, 100000 do
            list[i] = i
        end
        local back = send(list)
        assert.equal(100000, #back)
        assert.equal(77777, back[77777])
    end)

    -- Sizes on both sides of where bodies are handed over in another way, and where memory comes from somewhere else.
    it("carries bodies of all sizes, again and again, while some are held", function()
        local held, texts = {}, {}
        for i, size in ipairs({ 1 << 18, (1 << 18) + 1, 3000000, 33 << 20, 400000 }) do
            texts[i] = (tostring(i) .. "23456789abcdef"):rep(size // 15 + 1):sub(1, size)
            assert.is_true(send(texts[i]) == texts[i], size)
            held[i] = mf.future(function(given)
                return { given.text, #given.text }
            end, { text = texts[i] })
        end
        for i, f in ipairs(held) do
            local back = f:value()
            assert.is_true(back[1] == texts[i] and back[2] == #texts[i], i)
        end
        assert.is_true(mf.future(function(a, b)
            return a[1] .. b
        end, held[3], texts[3]):value() == texts[3] .. texts[3])
    end)
end
