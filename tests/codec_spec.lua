local codec = require("moonfleet.codec")
local same = require("tests.support.same")

local function copy(...)
    return codec.decode(codec.encode(...))
end

local function bits(x)
    return math.type(x) == "float" and string.pack("<d", x) or x
end

-- A function of the program's own environment: in a spec file _ENV is busted's sandbox.
local function compile(text, ...)
    return assert(load(text, "=fit.lua"))(...)
end

-- The message of the error that encoding must raise.
local function refusal(...)
    local ok, message = pcall(codec.encode, ...)
    assert.is_false(ok)
    return message
end

local function reload(fn, env)
    return codec.decode(codec.encode(fn), true, env)
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
        -- each long string dies before the next is made, and may get its address
        local function lines(i)
            if i <= 200 then
                return ("line %3d "):format(i):rep(10), lines(i + 1)
            end
        end
        local r = { copy(lines(1)) }
        for i = 1, 200 do
            assert.equal(("line %3d "):format(i):rep(10), r[i])
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

describe("functions", function()
    it("bring their upvalues, whatever stands first", function()
        local n, s, t = 7, "s", { 1 }
        local f = copy(function() return n, s, t end)
        local a, b, c = f()
        assert.equal(7, a)
        assert.equal("s", b)
        assert.same({ 1 }, c)
        local unset
        assert.is_nil(copy(function() return unset end)())
    end)

    it("share upvalues within a message, over values and closures", function()
        local n = 0
        local function inc() n = n + 1 end
        local function get() return n end
        local i, g = copy(inc, get)
        i()
        i()
        assert.equal(2, g())
        assert.equal(0, get())
        local o = copy({ inc = inc, get = get })
        o.inc()
        assert.equal(1, o.get())
    end)

    it("do not share what was separate", function()
        local function counter()
            local n = 0
            return function()
                n = n + 1
                return n
            end
        end
        local a, b = copy(counter(), counter())
        a()
        assert.equal(2, a())
        assert.equal(1, b())
    end)

    it("recurse, alone and together", function()
        local function fact(n) return n < 2 and 1 or n * fact(n - 1) end
        assert.equal(3628800, copy(fact)(10))
        local even
        local function odd(n)
            if n == 0 then return false end
            return even(n - 1)
        end
        function even(n)
            if n == 0 then return true end
            return odd(n - 1)
        end
        assert.is_true(copy(even)(10))
    end)

    it("keep varargs, inner functions, lines and names", function()
        assert.same({ 3, 1, 2, 3 }, { copy(function(...) return select("#", ...), ... end)(1, 2, 3) })
        local make = copy(function(x) return function(y) return x + y end end)
        assert.equal(5, make(2)(3))
        local f = reload(compile("return function(t)\n  return t.x.y\nend"))
        local _, message = pcall(f, {})
        assert.equal("fit.lua:2: attempt to index a nil value (field 'x')", message)
    end)

    it("are the same function when they are met again", function()
        local function f() end
        local a, b = copy(f, { f })
        assert.is_true(rawequal(a, b[1]))
    end)

    it("work when stripped", function()
        local stripped = load(string.dump(compile("return function() return tostring(12) end"), true))
        debug.setupvalue(stripped, 1, _G)
        assert.equal("12", reload(stripped, {})())
    end)

    it("of other environments keep them together", function()
        local env = setmetatable({ base = 10 }, { __index = _G })
        local set = load("x = ...", "=set", "t", env)
        local get = load("return x, base, tostring(1)", "=get", "t", env)
        local s, g = copy(set, get)
        s(5)
        local x, base, one = g()
        assert.equal(5, x)
        assert.equal(10, base)
        assert.equal("1", one)
        assert.is_nil(_G.x)
        assert.is_nil(env.x)
    end)

    it("of two environments keep them apart", function()
        local one = load("return v", "=one", "t", { v = 1 })
        local two = load("return v", "=two", "t", { v = 2 })
        local three = load("return v", "=three", "t", _G)
        local a, b, c = copy({ two, one }, one, three)
        assert.equal(2, a[1]())
        assert.equal(1, a[2]())
        assert.equal(1, b())
        assert.is_nil(c())
    end)
end)

describe("names", function()
    local saved = { path = package.path, loaded = {} }
    local folder

    local function write(name, text)
        local file = assert(io.open(folder .. "/" .. name .. ".lua", "w"))
        file:write(text)
        file:close()
    end

    setup(function()
        local pipe = io.popen("mktemp -d")
        folder = pipe:read("l")
        pipe:close()
        package.path = folder .. "/?.lua;" .. package.path
        write("shape", "local S = { area = function() return 1 end, sub = { deep = { f = function() end } } }\n"
            .. "S.__index = S\nS.sub.deep.deeper = { g = function() end }\nreturn S\n")
    end)

    teardown(function()
        package.path = saved.path
        os.execute("rm -r " .. folder)
        package.loaded.shape, package.loaded.loose = nil, nil
    end)

    it("carry library functions and tables", function()
        for _, v in ipairs({ print, string.format, math, math.sin, coroutine, table.concat, io.open, require, _G }) do
            assert.is_true(rawequal(v, copy(v)))
            assert.is_true(rawequal(v, copy({ v, v })[2]))
        end
        local sin = math.sin
        assert.is_true(rawequal(math.sin, select(2, debug.getupvalue(copy(function() return sin end), 1))))
    end)

    it("carry modules, what is in them, and metatables", function()
        local shape = require("shape")
        for _, v in ipairs({ shape, shape.area, shape.sub, shape.sub.deep, shape.sub.deep.f }) do
            assert.is_true(rawequal(v, copy(v)))
        end
        assert.is_false(rawequal(shape.sub.deep.deeper.g, copy(shape.sub.deep.deeper.g)))
        local object = copy(setmetatable({ w = 2 }, shape))
        assert.is_true(rawequal(shape, getmetatable(object)))
        assert.equal(2, rawget(object, "w"))
    end)

    it("load the module on the other side", function()
        local shape = require("shape")
        local bytes = codec.encode(shape.area, setmetatable({}, shape))
        package.loaded.shape = nil
        local area, object = codec.decode(bytes)
        assert.is_false(rawequal(shape, package.loaded.shape))
        assert.is_true(rawequal(package.loaded.shape.area, area))
        assert.is_true(rawequal(package.loaded.shape, getmetatable(object)))
    end)

    it("tell what is missing", function()
        local bytes = codec.encode(require("shape").sub.deep)
        package.loaded.shape = { sub = 5 }
        local _, message = pcall(codec.decode, bytes)
        assert.truthy(message:find("module 'shape' has no field 'deep' here", 1, true))
        package.loaded.shape = nil
        os.rename(folder .. "/shape.lua", folder .. "/hidden.lua")
        _, message = pcall(codec.decode, bytes)
        os.rename(folder .. "/hidden.lua", folder .. "/shape.lua")
        assert.truthy(message:find("module 'shape' owns", 1, true))
        assert.truthy(message:find("cannot be loaded here: module 'shape' not found", 1, true))
    end)

    it("do not carry a module that require could not find again", function()
        local loose = { f = function() return "loose" end, data = { 1 } }
        package.loaded.loose = loose
        assert.is_false(rawequal(loose, copy(loose)))
        assert.equal("loose", copy(loose.f)())
        assert.same({ 1 }, copy(loose.data))
    end)

    it("notice a module that is loaded later, and one that was replaced", function()
        copy(function() end)
        write("late", "return { f = function() end }")
        local late = require("late")
        assert.is_true(rawequal(late.f, copy(late.f)))
        package.loaded.late = { f = late.f }
        assert.is_true(rawequal(late.f, copy(late.f)))
        assert.is_false(rawequal(late, copy(late)))
        package.loaded.late.f = print
        assert.is_false(rawequal(late.f, copy(late.f)))
        package.loaded.late = nil
    end)

    it("do not carry globals of the script's own", function()
        _G.mine = { x = 1 }
        _G.own_function = function() return 5 end
        codec.forget()
        assert.is_false(rawequal(_G.mine, copy(_G.mine)))
        assert.equal(5, copy(_G.own_function)())
        _G.mine, _G.own_function = nil, nil
    end)
end)

describe("what cannot be sent", function()
    it("is named by its path", function()
        local co = coroutine.create(print)
        local file = io.tmpfile()
        assert.equal("cannot send a coroutine (argument 1)", refusal(co))
        assert.equal("cannot send a file handle (argument 2.log[3])", refusal(1, { log = { 1, 2, file } }))
        assert.equal('cannot send a file handle (argument 1["a b"][1.5][true])', refusal({ ["a b"] = { [1.5] = { [true] = file } } }))
        assert.equal("cannot send a file handle (argument 1[2])", refusal({ 1, file, n = 2 }))
        assert.equal("cannot send a coroutine (argument 1 (its metatable).x)", refusal(setmetatable({}, { x = co })))
        file:close()
    end)

    it("is named by its upvalue", function()
        local f = compile("local co = coroutine.create(print)\nreturn function()\n return co end")
        assert.equal("cannot send a coroutine (upvalue 'co' of function at fit.lua:2)", refusal(f))
        f = compile("local cfg = { log = { io.tmpfile() } }\nreturn function() return cfg end")
        assert.equal("cannot send a file handle (upvalue 'cfg'.log[1] of function at fit.lua:2)", refusal({ f }))
    end)

    it("is named as a global", function()
        _G.handle = { io.tmpfile() }
        assert.equal("cannot send a file handle (global 'handle'[1])", refusal(compile("return function() return handle end")))
        _G.handle = nil
    end)

    it("includes light and unknown userdata and C functions without a name", function()
        assert.equal("cannot send a C function that no loaded module owns (argument 1)", refusal(coroutine.wrap(print)))
        assert.equal("cannot send a C function that no loaded module owns (argument 1.x)", refusal({ x = ("x"):gmatch(".") }))
        local light = debug.upvalueid(function() return refusal end, 1)
        assert.equal("cannot send a light userdata (argument 1)", refusal(light))
    end)

    it("leaves the codec as it was", function()
        local bad = { { x = 1, coroutine.create(print) } }
        for _ = 1, 100 do
            refusal(bad, 1)
            assert.same({ { x = 1 } }, copy({ { x = 1 } }))
        end
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

describe("globals", function()
    -- Encodes a function of the real globals and decodes it into env; returns what it gives, env and the flags.
    local function run(text, env, ...)
        local bytes = codec.encode(compile(text))
        local f = codec.decode(bytes, true, env)
        return f(...), codec.flags(bytes)
    end

    after_each(function()
        for name in pairs(_G) do
            if name:find("^g_") then
                _G[name] = nil
            end
        end
    end)

    it("that the function names are bound directly in the task's environment", function()
        _G.g_n, _G.g_unused = 5, 6
        local env = {}
        assert.equal(7.0, run("return function() return g_n + math.sqrt(4) end", env))
        assert.same({ g_n = 5, math = math }, env)
    end)

    it("are followed through functions, tables and upvalues", function()
        _G.g_one = compile("return function(x) return g_two.f(x) + 1 end")
        _G.g_two = { f = compile("local h = function(x) return g_three * x end\nreturn function(x) return h(x) end") }
        _G.g_three = 10
        local env = {}
        local f = reload(compile("return function(x) return g_one(x) end"), env)
        _G.g_one, _G.g_two, _G.g_three = nil, nil, nil
        assert.equal(31, f(3))
        assert.equal(10, env.g_three)
    end)

    it("that recurse through each other end", function()
        _G.g_even = compile("return function(n) return n == 0 or g_odd(n - 1) end")
        _G.g_odd = compile("return function(n) return n ~= 0 and g_even(n - 1) end")
        assert.is_true(run("return function() return g_even(10) end", {}))
    end)

    it("are those of inner functions too, and of long names and many constants", function()
        local long = "g_" .. ("long"):rep(20)
        _G.g_in, _G[long], _G.g_last = 1, 2, 3
        assert.equal(1, run("return function() return (function() return (function() return g_in end)() end)() end", {}))
        assert.equal(2, run("return function() return " .. long .. " end", {}))
        local many = { "return function() local t = { " }
        for i = 1, 400 do
            many[#many + 1] = ("%d.5, "):format(i)
        end
        many[#many + 1] = "} return g_last end"
        assert.equal(3, run(table.concat(many), {}))
    end)

    it("reached through _G, _ENV or a local are found by their constants", function()
        _G.g_x, _G.g_y, _G.g_z, _G.g_u = 1, 2, 3, 4
        assert.equal(1, run("return function() return _G.g_x end", {}))
        assert.equal(2, run("return function() local e = _ENV return e.g_y end", {}))
        assert.equal(3, run("return function() local e = _ENV return (function() return e.g_z end)() end", {}))
        assert.equal(4, run("local g = _G return function() return g.g_u end", {}))
    end)

    it("are left out when a local shadows them", function()
        _G.g_s = 1
        local env = {}
        run("return function() local g_s = 2 return g_s end", env)
        run("return function() local _ENV = { g_s = 3 } return g_s end", env)
        assert.is_nil(env.g_s)
    end)

    it("give _G the task's environment", function()
        local env = {}
        local f = reload(compile("return function() _G.g_set = 1 return _G, _ENV end"), env)
        local g, e = f()
        assert.is_true(rawequal(g, env) and rawequal(e, env))
        assert.equal(1, env.g_set)
        assert.is_nil(_G.g_set)
    end)

    it("do not travel when they are the worker's own", function()
        _G.g_mine = 1
        local bytes = codec.encode(compile("return function() return print, string, g_mine end"))
        assert.is_true(#bytes < 250)
        local old = _G.print
        _G.print = function() return "mine" end
        local env = {}
        local f = codec.decode(codec.encode(compile("return function() return print() end")), true, env)
        _G.print = old
        assert.equal("mine", f())
        assert.is_false(rawequal(env.print, old))
    end)

    it("are snapshots", function()
        _G.g_snap = { 1 }
        local bytes = codec.encode(compile("return function() return g_snap[1] end"))
        _G.g_snap[1] = 2
        assert.equal(1, codec.decode(bytes, true, {})())
    end)

    it("share what they share", function()
        _G.g_t = { 1 }
        local env = {}
        local f, t = codec.decode(codec.encode(compile("return function() return g_t end"), _G.g_t), true, env)
        assert.is_true(rawequal(f(), t) and rawequal(t, env.g_t))
    end)

    it("can be added and overridden", function()
        _G.g_a = 1
        local env = {}
        local f = compile("return function() return g_a end")
        codec.decode(codec.encode_with({ globals = { g_a = 2, g_b = { 3 }, print = print } }, f), true, env)
        assert.equal(2, env.g_a)
        assert.same({ 3 }, env.g_b)
        assert.is_true(rawequal(print, env.print))
    end)

    it("given by hand are followed", function()
        _G.g_deep = 9
        local f = compile("return function() return load end")
        local env = {}
        codec.decode(codec.encode_with({ globals = { g_h = compile("return function() return g_deep end") } }, f), true, env)
        assert.equal(9, env.g_h())
    end)

    it("can be turned off", function()
        _G.g_off = 1
        local env = {}
        local f = compile("return function() return g_off end")
        codec.decode(codec.encode_with({ scan = false, globals = { g_on = 1 } }, f), true, env)
        assert.same({ g_on = 1 }, env)
    end)

    it("that the workers have already are named only", function()
        _G.g_have = { ("x"):rep(1000) }
        local f = compile("return function() return g_have end")
        local bytes = codec.encode_with({ skip = { g_have = _G.g_have } }, f)
        assert.is_true(#bytes < 300)
        local env = {}
        assert.is_true(rawequal(_G.g_have, codec.decode(bytes, true, env)()))
        assert.is_true(#codec.encode_with({ skip = { g_have = { 1 } } }, f) > 1000)
    end)

    it("over the limit are an error that lists the largest", function()
        _G.g_small, _G.g_large, _G.g_huge = "x", ("x"):rep(20000), { ("x"):rep(3000000) }
        local f = compile("return function() return g_small, g_large, g_huge end")
        local ok, message = pcall(codec.encode_with, { globals_max = 1024 * 1024 }, f)
        assert.is_false(ok)
        assert.equal(
            "the globals that the function needs are larger than 1.0 MB (the largest: 'g_huge' 2.9 MB and more, "
                .. "'g_large' 20 KB, 'g_small' 15 bytes); pass large values as arguments, or raise globals_max",
            message
        )
        codec.encode_with({ globals_max = 1024 * 1024 }, f, _G.g_huge) -- arguments are free
        assert.same({ 1 }, copy({ 1 }))
    end)

    it("over the limit are noticed before all of them is written", function()
        _G.g_list = {}
        for i = 1, 1000 do
            _G.g_list[i] = { ("x"):rep(100) .. i }
        end
        _G.g_list[1001] = coroutine.create(print) -- never reached
        local f = compile("return function() return g_list end")
        local _, message = pcall(codec.encode_with, { globals_max = 10000 }, f)
        assert.truthy(message:find("larger than 9.8 KB", 1, true))
    end)

    it("of another environment are looked up there, with its metamethods", function()
        local env = setmetatable({ a = 1 }, {
            __index = function(_, name)
                if name == "forbidden" then
                    error("no such thing")
                end
                return name == "virtual" and 2 or _G[name]
            end,
        })
        local f = load("return a, virtual, tostring(3), pcall(function() return forbidden end)", "=f", "t", env)
        local a, virtual, three, ok, forbidden = copy(f)()
        assert.same({ 1, 2, "3", true }, { a, virtual, three, ok })
        assert.is_nil(forbidden)
    end)

    it("of the spec's own sandbox work", function()
        local f = reload(function(x) return math.floor(x), tostring(x), type(describe) end, {})
        local floor, text, d = f(2.5)
        assert.equal(2, floor)
        assert.equal("2.5", text)
        assert.is_string(d)
    end)

    describe("in a result", function()
        it("stay out of the caller's globals", function()
            _G.g_r = 1
            local bytes = codec.encode(compile("return function(v) if v then g_r = v end return g_r, print end"))
            _G.g_r = 2
            local f = codec.decode(bytes)
            assert.equal(1, (f()))
            assert.is_true(rawequal(print, select(2, f())))
            assert.equal(2, _G.g_r)
        end)

        it("that brings none are the caller's own", function()
            local f = copy(compile("return function(v) g_w = v return g_w end"))
            f(3)
            assert.equal(3, _G.g_w)
        end)

        it("of a task are those of the task's environment", function()
            local env = { math = math, g_task = 8 }
            local f = load("return g_task, math.pi, _ENV", "=f", "t", env)
            local bytes = codec.encode_with({ env = env }, f)
            assert.is_true(codec.flags(bytes).globals)
            local n, pi, e = codec.decode(bytes)()
            assert.equal(8, n)
            assert.equal(math.pi, pi)
            assert.equal(8, rawget(e, "g_task"))
        end)
    end)
end)

describe("the flags", function()
    local function closed(...)
        return codec.flags(codec.encode(...)).closed
    end

    it("say when decoding once is enough", function()
        local n, t = 1, {}
        assert.is_true(closed(1, "x", nil))
        assert.is_true(closed(function(x) return x + n end))
        assert.is_true(closed(compile("return function(x) local y = 0 local function f() y = y + x end f() return y end")))
        assert.is_true(closed(compile("return function(x) return math.sqrt(x), string.format('%d', x) end")))
        assert.is_true(closed(print, math))
        assert.is_false(closed({}))
        assert.is_false(closed(function() return t end))
        assert.is_false(closed(function() n = n + 1 end))
        assert.is_false(closed(function() return function() n = 2 end end))
        assert.is_false(closed(compile("return function() g_count = 1 end")))
        assert.is_false(closed(compile("return function() _G.g_count = 1 end")))
        assert.is_false(closed(compile("return function() return function() _ENV.g_count = 1 end end")))
        assert.is_false(closed(_G))
        n = n + 1
    end)

    it("look at functions reached through globals", function()
        _G.g_f = compile("local n = 0 return function() n = n + 1 return n end")
        assert.is_false(closed(compile("return function() return g_f() end")))
        _G.g_f = compile("return function() return 1 end")
        assert.is_true(closed(compile("return function() return g_f() end")))
        _G.g_f = nil
    end)

    it("tell of globals", function()
        assert.is_false(codec.flags(codec.encode(compile("return function() return print end"))).globals)
        _G.g_v = 1
        assert.is_true(codec.flags(codec.encode(compile("return function() return g_v end"))).globals)
        _G.g_v = nil
    end)
end)

describe("a message from a peer that is not trusted", function()
    local function hostile(bytes)
        local ok, message = pcall(codec.decode, bytes, false)
        assert.is_false(ok)
        return message
    end

    it("carries data", function()
        local t = { 1, "x", { 2.5 }, k = "v" }
        t.t = t
        same(t, codec.decode(codec.encode(t), false))
    end)

    it("carries no functions", function()
        assert.truthy(hostile(codec.encode(function() end)):find("a function from a peer that is not trusted", 1, true))
        assert.truthy(hostile(codec.encode({ print })):find("a function by name from a peer", 1, true))
        assert.truthy(hostile(codec.encode(os.execute)):find("malformed message: ", 1, true))
    end)

    it("names only what is loaded", function()
        assert.is_true(rawequal(math, codec.decode(codec.encode(math), false)))
        local required = false
        package.preload.trap = function()
            required = true
            return {}
        end
        local trap = require("trap")
        local bytes = codec.encode(trap)
        package.loaded.trap, required = nil, false
        assert.truthy(hostile(bytes):find("module 'trap' owns was sent by name, but the module is not loaded here", 1, true))
        assert.is_false(required)
        codec.decode(bytes, true)
        assert.is_true(required)
        package.loaded.trap, package.preload.trap = nil, nil
    end)

    it("calls only the __load of a named owner", function()
        local mt = { __save = function() return 1 end }
        mt.__load = function(v) return { v } end
        local o = setmetatable({}, mt)
        assert.truthy(hostile(codec.encode(o)):find("malformed message: ", 1, true))
        package.preload.owner = function() return mt end
        require("owner")
        assert.same({ 1 }, codec.decode(codec.encode(o), false))
        package.loaded.owner, package.preload.owner = nil, nil
    end)

    it("sets no finaliser", function()
        local mt = { __gc = true }
        package.preload.final = function() return mt end
        require("final")
        assert.truthy(hostile(codec.encode(setmetatable({}, mt))):find("a metatable with a finaliser", 1, true))
        package.loaded.final, package.preload.final = nil, nil
    end)

    it("does not write globals", function()
        assert.truthy(hostile("\0\x80\x15\0\1x\x81"):find("a global without leave", 1, true))
        assert.is_nil(rawget(_G, "x"))
    end)
end)

describe("a malformed message", function()
    local function samples()
        local t = { 1, 2.5, "x", ("long"):rep(20), { a = 1, b = { 2 } }, [1.5] = true }
        t.self = t
        local n = 0
        local mt = { __save = function() return { 1 } end, __load = function(v) return v end }
        return {
            codec.encode(t, setmetatable({}, { __index = t })),
            codec.encode(print, math, _G),
            codec.encode(setmetatable({}, mt), 1),
            codec.encode(function() n = n + 1 return n, string.rep, t end),
        }
    end

    it("that was cut anywhere is an error", function()
        for _, bytes in ipairs(samples()) do
            for i = 0, #bytes - 1 do
                local cut = bytes:sub(1, i)
                local ok, message = pcall(codec.decode, cut, true, {})
                assert(not ok or i > 0)
                if not ok then
                    assert.truthy(tostring(message):find("malformed message: ", 1, true))
                end
                pcall(codec.decode, cut, false)
            end
        end
    end)

    it("with a changed byte is an error or a value, never a crash", function()
        for _, bytes in ipairs(samples()) do
            for i = 1, #bytes do
                for _, byte in ipairs({ 0, 1, 11, 14, 16, 19, 20, 127, 128, 255 }) do
                    pcall(codec.decode, bytes:sub(1, i - 1) .. string.char(byte) .. bytes:sub(i + 1), false)
                end
            end
        end
    end)

    it("of every known kind says what is wrong", function()
        local cases = {
            ["the end came too early"] = { "", "\0\3", "\0\7abc" },
            ["an unknown flag"] = { "\x40\0" },
            ["an unknown tag"] = { "\0\x7f", "\0\x0d", "\0\x10", "\0\x15" },
            ["a length passes the end"] = { "\0\8\5abc", "\0\8\xff\xff\xff\xff\x0f" },
            ["a number is too large"] = { "\0\8\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" },
            ["a table's size passes the end"] = { "\0\x0b\xff\xff\xff\x7f\0", "\0\x0b\0\xff\x0d" },
            ["a reference to a string that was not there"] = { "\0\9\0" },
            ["a reference to an object that was not there"] = { "\4\x0e\0", "\0\x0b\x01\0\x0e\0\x0d" },
            ["a table key that is nil or not a number"] = {
                "\0\x0b\0\0\0\0\x0d",
                "\0\x0b\0\0\7\0\0\0\0\0\0\xf8\x7f\x80\x0d",
            },
            ["a metatable that is no table"] = { "\0\x0b\0\0\x0c\x81\x0d" },
            ["something after a metatable"] = { "\0\x0b\0\0\x0c\x0b\0\0\x0d\x81\x81\x0d" },
            ["too many fields in a name"] = { "\0\x12\4\1x" },
            ["an environment's number is too large"] = { "\0\x14\xff\xff\xff\xff\xff\x01" },
            ["no __load for a user value"] = { "\0\x13\x0b\0\0\x0d\x81" },
            ["a reference to an unfinished object"] = { "\4\x13\x0b\0\0\x0d\x0e\0" },
            ["no upvalue where one must be"] = { codec.encode(function() return samples end):sub(1, -4) .. "\0\0\0\0" },
        }
        for what, list in pairs(cases) do
            for _, bytes in ipairs(list) do
                local ok, message = pcall(codec.decode, bytes)
                assert.is_false(ok)
                assert.truthy(message:find("malformed message: " .. what, 1, true), what .. " against " .. message)
            end
        end
    end)

    it("cannot claim more memory than it has bytes", function()
        local bytes = "\0" .. ("\x0b\xff\xff\x03\x20"):rep(20000) -- each header claims all that is left, twice
        collectgarbage()
        collectgarbage("stop")
        local before = collectgarbage("count")
        pcall(codec.decode, bytes .. ("\0"):rep(65535))
        local grown = collectgarbage("count") - before
        collectgarbage("restart")
        assert.is_true(grown < 20000, grown)
    end)
end)

describe("the collector", function()
    it("may run at any moment of a decode and of an encode", function()
        collectgarbage("setpause", 0)
        collectgarbage("setstepmul", 10000)
        local t = {}
        for i = 1, 300 do
            t[i] = { i, { k = "v" .. i }, function() return t, i end, setmetatable({}, { __gc = function() t.n = i end }) }
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
