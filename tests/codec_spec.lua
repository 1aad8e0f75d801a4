local codec = require("moonfleet.codec")
local same = require("tests.support.same")

local function copy(...)
    return codec.decode(codec.encode(...))
end

local function bits(x)
    return math.type(x) == "float" and string.pack("<d", x) or x
end

-- The message of the error that encoding must raise.
local function refusal(...)
    local ok, message = pcall(codec.encode, ...)
    assert.is_false(ok)
    return message
end

describe("scalars", function()
    it("keep every bit", function()
        local nan = string.unpack("<d", string.pack("<I8", 0x7FF8DEADBEEF0001))
        local values = { 0.0, -0.0, 1.0, 0.1, 1 / 0, -1 / 0, nan, -nan, 2 ^ 53, 5e-324, 1e308 }
        for _, x in ipairs(values) do
            local y = copy(x)
            assert.equal("float", math.type(y))
            assert.equal(bits(x), bits(y))
            assert.equal(bits(x), bits(copy({ x })[1]))
            assert.equal(bits(x), bits(copy({ k = x }).k))
        end
    end)

    it("keep integers of every size", function()
        for shift = 0, 63 do
            for _, x in ipairs({ 1 << shift, (1 << shift) - 1, -(1 << shift), -(1 << shift) - 1, ~(1 << shift) }) do
                assert.equal("integer", math.type(copy(x)))
                assert.equal(x, copy(x))
                assert.equal(x, copy({ x })[1])
                assert.equal(x, copy({ [x] = x })[x])
            end
        end
    end)

    it("take the least room", function()
        assert.equal(2, #codec.encode(0))
        assert.equal(2, #codec.encode(127))
        assert.equal(3, #codec.encode(-128))
        assert.equal(4, #codec.encode(128))
        assert.equal(6, #codec.encode(40000))
        assert.equal(10, #codec.encode(1 << 40))
        assert.equal(10, #codec.encode(1.5))
    end)

    it("come in order, nils included", function()
        local r = table.pack(copy(nil, true, false, nil, 1, "x", nil))
        assert.equal(7, r.n)
        assert.same({ nil, true, false, nil, 1, "x", nil, n = 7 }, r)
        assert.equal(0, select("#", copy()))
    end)

    it("are strings of any bytes", function()
        local all = {}
        for i = 0, 255 do
            all[i + 1] = string.char(i)
        end
        local bytes = table.concat(all)
        for _, s in ipairs({ "", "a", "\0", bytes, bytes:rep(1000), ("x"):rep(40), ("x"):rep(41), "\xff\xfe" }) do
            assert.equal(s, copy(s))
            assert.equal(s, copy({ s, s })[2])
            assert.equal(s, copy({ [s] = s })[s])
        end
    end)

    it("are sent once when they are keys or long", function()
        local long = ("long"):rep(100)
        local records = {}
        for i = 1, 100 do
            records[i] = { a_key_that_takes_room = i, text = long }
        end
        assert.is_true(#codec.encode(records) < 2000)
        assert.same(records, copy(records))
    end)

    it("tell strings apart that the caller drops between values", function()
        -- each long string and each table dies before the next is made, and may get its address
        local i = 0
        local r = { codec.decode(codec.encode_each(function()
            collectgarbage()
            i = i + 1
            if i <= 200 then
                local line = ("line %3d "):format(i):rep(10)
                return i % 2 == 0 and { line } or line
            end
        end)) }
        assert.equal(200, #r)
        for k = 1, 200 do
            local line = ("line %3d "):format(k):rep(10)
            assert.same(k % 2 == 0 and { line } or line, r[k])
        end
    end)
end)

describe("tables", function()
    it("keep cycles and shared references", function()
        local t = { name = "t" }
        t.self, t[1], t.sub = t, t, { up = t }
        t.again = t.sub
        t[t] = t
        local u = copy(t)
        assert.is_true(rawequal(u, u.self) and rawequal(u, u[1]) and rawequal(u, u.sub.up) and rawequal(u, u[u]))
        assert.is_true(rawequal(u.sub, u.again))
        assert.is_false(rawequal(u, t))
    end)

    it("keep identity between the values of one message", function()
        local t = {}
        local a, b = copy(t, { t })
        assert.is_true(rawequal(a, b[1]))
        local c, d = copy({}, {})
        assert.is_false(rawequal(c, d))
    end)

    it("keep holes and trailing nils out", function()
        for _, t in ipairs({
            { 1, nil, 3 },
            { nil, nil, 3 },
            { n = 3, nil, 2, nil },
            { [2] = 2, [4] = 4, [1000000] = 1 },
            { [0] = 0, 1, [-1] = -1 },
            { false, nil, false },
        }) do
            same(t, copy(t))
        end
    end)

    it("keep keys of every type", function()
        local key = {}
        local t = { [1.5] = 1, [true] = 2, [false] = 3, [key] = 4, [math.mininteger] = 5, [""] = 6, ["1"] = 7, [1] = 8 }
        t[print] = 9
        local u = copy(t, key)
        assert.equal(9, u[print])
        assert.equal(8, u[1])
        assert.equal(7, u["1"])
        local n = 0
        for k, v in pairs(u) do
            n = n + 1
            if type(k) == "table" then
                assert.equal(4, v)
            else
                assert.equal(t[k], v)
            end
        end
        assert.equal(9, n)
    end)

    it("whose integer keys lie in the hash part come out whole", function()
        for _, order in ipairs({ "up", "down", "odd first" }) do
            for n = 1, 70 do
                local t = codec.decode("\0\x0b\0\x08\x0d") -- an empty table with room for 128 keys in its hash
                t.x, t.y, t[2.5] = "x", "y", "z"
                for i = 1, n do
                    local k = order == "up" and i or order == "down" and n + 1 - i or (i * 2 - 1 <= n and i * 2 - 1)
                    t[k or (i - (n + 1) // 2) * 2] = { i }
                end
                same(t, copy(t))
                assert.is_true(#codec.encode(t) < 40 + 7 * n) -- nothing twice
            end
        end
    end)

    it("whose border lies past the array part come out whole", function()
        for n = 1, 40 do
            local t = { 1, 2, 3, 4, x = 1, y = 2, z = 3, w = 4, v = 5 }
            t.x, t.y, t.z = nil, nil, nil
            for i = 5, n do
                t[i] = i % 3 == 0 and i + 0.5 or i
            end
            same(t, copy(t))
            t[n // 2] = nil
            same(t, copy(t))
        end
    end)

    it("are read raw: no metamethod runs", function()
        local function trap()
            error("a metamethod ran")
        end
        local mt = {}
        for _, name in ipairs({ "index", "newindex", "pairs", "len", "eq", "call", "tostring", "concat" }) do
            mt["__" .. name] = trap
        end
        local u = copy(setmetatable({ 1, 2, x = 3 }, mt))
        setmetatable(u, nil)
        assert.same({ 1, 2, x = 3 }, u)
    end)

    it("are refused when a key cannot be sent", function()
        assert.equal(
            "cannot send a coroutine (argument 1.a (a key))",
            refusal({ a = { [coroutine.create(print)] = 1 } })
        )
    end)
end)

describe("random values", function()
    local rnd = math.random
    local known
    local value

    local scalars = {
        function() return rnd(-3, 40) end,
        function() return rnd(0) end,
        function() return rnd() * 10 ^ rnd(-20, 20) end,
        function() return rnd(1, 20) + 0.0 end,
        function() return ("k%d"):format(rnd(1, 30)) end,
        function() return ("long %d "):format(rnd(1, 30)):rep(rnd(5, 20)) end,
        function() return rnd(2) == 1 end,
    }

    local function scalar()
        return scalars[rnd(#scalars)]()
    end

    local function fill(t, depth)
        for i = 1, rnd(0, 6) do
            t[i] = value(depth - 1)
        end
        for _ = 1, rnd(0, 5) do
            local key = rnd(5) == 1 and value(depth - 1) or scalar()
            if key ~= nil and key == key then
                t[key] = value(depth - 1)
            end
        end
        if rnd(4) == 1 then
            t[rnd(1, 8)] = nil
        end
        return t
    end

    function value(depth)
        local dice = rnd(10)
        if dice == 1 and #known > 0 then
            return known[rnd(#known)]
        elseif dice <= 5 and depth > 0 then
            local t = {}
            known[#known + 1] = t
            if rnd(6) == 1 then
                setmetatable(t, known[rnd(#known)])
            end
            return fill(t, depth)
        elseif dice == 6 then
            return nil
        end
        return scalar()
    end

    it("come back equal, with cycles, sharing, holes and metatables", function()
        for seed = 1, 3000 do
            math.randomseed(seed)
            known = {}
            local t = { value(4), value(3), value(2) }
            local ok, why = pcall(same, t, copy(t))
            assert(ok, ("seed %d: %s"):format(seed, why))
            ok, why = pcall(same, t, codec.decode(codec.encode(t), false))
            assert(ok, ("seed %d, untrusted: %s"):format(seed, why))
        end
    end)
end)

describe("depth", function()
    local function nest(levels, how)
        local t = {}
        for _ = 2, levels do
            t = how(t)
        end
        return t
    end

    local function levels(t, key)
        local n = 0
        while t do
            t, n = t[key], n + 1
        end
        return n
    end

    it("of 100,000 tables is fine, in arrays and in fields", function()
        assert.equal(100000, levels(copy(nest(100000, function(t) return { t } end)), 1))
        assert.equal(100000, levels(copy(nest(100000, function(t) return { x = t } end)), "x"))
    end)

    it("of 100,000 tables is fine inside a coroutine", function()
        local n
        coroutine.wrap(function()
            n = levels(copy(nest(100000, function(t) return { t } end)), 1)
        end)()
        assert.equal(100000, n)
    end)

    it("of a million is an error of the sender that shows the path", function()
        for _, how in ipairs({
            function(t) return { x = t } end,
            function(t) return setmetatable({}, t) end,
            function(t) return { [t] = 1 } end,
            function(t) return function() return t end end,
        }) do
            local message = refusal(nest(1000000, how))
            assert.truthy(message:find("cannot send a value nested deeper than 100000 levels (", 1, true))
            assert.is_true(#message < 1000)
        end
    end)

    it("is counted by the reader too", function()
        local bytes = "\0" .. ("\x0b\1\0"):rep(200000)
        local ok, message = pcall(codec.decode, bytes)
        assert.is_false(ok)
        assert.truthy(message:find("malformed message: values are nested too deep", 1, true))
    end)
end)

describe("__save and __load", function()
    local Point = { __name = "Point" }
    Point.__save = function(p) return { p.x, p.y } end
    Point.__load = function(v) return setmetatable({ x = v[1], y = v[2], loaded = true }, Point) end

    setup(function()
        package.preload.point = function() return Point end
        require("point")
    end)

    teardown(function()
        package.preload.point, package.loaded.point = nil, nil
    end)

    it("carry a value of a named type", function()
        local p = setmetatable({ x = 1, y = 2.5 }, Point)
        local q, list = copy(p, { p, p })
        assert.is_true(q.loaded and rawequal(getmetatable(q), Point))
        assert.equal(2.5, q.y)
        assert.is_true(rawequal(q, list[1]) and rawequal(q, list[2]))
    end)

    it("carry a value of a type without a name, with its loader", function()
        local mt = {}
        mt.__save = function(o) return o.n end
        mt.__load = function(n) return { n = n + 1 } end
        local a, b = copy(setmetatable({ n = 1 }, mt), setmetatable({ n = 10 }, mt))
        assert.equal(2, a.n)
        assert.equal(11, b.n)
    end)

    it("report what goes wrong, with the path", function()
        local mt = { __load = print }
        local o = { p = setmetatable({}, mt) }
        mt.__save = function() return nil, "still open" end
        assert.equal("cannot send a table (argument 1.p): still open", refusal(o))
        mt.__save = function() error("broken", 0) end
        assert.equal("cannot send a table (argument 1.p): broken", refusal(o))
        mt.__save = function() error({}) end
        assert.truthy(refusal(o):find("^cannot send a table %(argument 1.p%): table: "))
        mt.__save = function(p) return { p } end
        assert.truthy(refusal(o):find("a value whose __save returns something that holds the value itself", 1, true))
        mt.__save = function() return { coroutine.create(print) } end
        assert.equal("cannot send a coroutine (argument 1.p (its __save)[1])", refusal(o))
        mt.__load = nil
        assert.equal("cannot send a table (argument 1.p): its metatable has __save but no function __load", refusal(o))
    end)

    it("may use the codec themselves", function()
        local mt = {}
        mt.__save = function(o) return codec.encode(o.inner, setmetatable({ x = 1 }, Point)) end
        mt.__load = function(bytes) return { inner = codec.decode(bytes) } end
        local inner = { 1, { 2 } }
        local o = setmetatable({ inner = inner }, mt)
        local r = copy({ "before", o, "after", o })
        assert.same({ 1, { 2 } }, r[2].inner)
        assert.equal("after", r[3])
        assert.is_true(rawequal(r[2], r[4]))
    end)

    it("leave no trace of the collector being stopped", function()
        local mt = { __load = print }
        local o = setmetatable({}, mt)
        mt.__save = function()
            assert(not collectgarbage("isrunning"))
            error("x")
        end
        refusal(o)
        assert.is_true(collectgarbage("isrunning"))
        mt.__save = function() return 1 end
        codec.encode(o)
        assert.is_true(collectgarbage("isrunning"))
        collectgarbage("stop")
        codec.encode(o)
        assert.is_false(collectgarbage("isrunning"))
        collectgarbage("restart")
    end)

    it("keep what was saved apart from what was saved before", function()
        local mt = { __load = function(v) return v[1] end }
        mt.__save = function(o)
            collectgarbage()
            return { ("text %d "):format(o.n):rep(20), {} }
        end
        local list = {}
        for i = 1, 50 do
            list[i] = setmetatable({ n = i }, mt)
        end
        local r = copy(list)
        for i = 1, 50 do
            assert.equal(("text %d "):format(i):rep(20), r[i])
        end
    end)

    it("survive a table that changes meanwhile", function()
        local list, mt = {}, { __load = function(v) return v end }
        mt.__save = function()
            for i = 1, #list do
                list[i] = nil
            end
            for i = 1, 100 do
                list["k" .. i] = i
            end
            collectgarbage()
            return 1
        end
        for _, size in ipairs({ 2, 10, 1000 }) do
            list = {}
            for i = 1, size do
                list[i] = setmetatable({}, mt)
            end
            local ok, bytes = pcall(codec.encode, list)
            if ok then
                assert.equal("table", type(codec.decode(bytes)))
            end
            assert.same({ 1 }, copy({ 1 }))
        end
    end)
end)

describe("the collector", function()
    it("may run at any moment of a decode and of an encode", function()
        collectgarbage("setpause", 0)
        collectgarbage("setstepmul", 10000)
        local t = {}
        for i = 1, 300 do
            local final = setmetatable({}, { __gc = function() t.n = i end })
            t[i] = { i, { k = "v" .. i }, function() return t, i end, final }
        end
        for _ = 1, 5 do
            local u = copy(t)
            assert.equal("v300", u[300][2].k)
            assert.is_true(rawequal(u, (u[7][3]())))
        end
        collectgarbage("setpause", 200)
        collectgarbage("setstepmul", 100)
    end)

    it("frees what failed messages held", function()
        local function round()
            for _ = 1, 200 do
                pcall(codec.encode, { { {} }, coroutine.create(print) })
                pcall(codec.decode, "\0\x0b\1\0\x0b\1\0\x0a\x05abc")
            end
            collectgarbage()
            collectgarbage()
            return collectgarbage("count")
        end
        round()
        local before = round()
        assert.is_true(round() - before < 20)
    end)
end)
