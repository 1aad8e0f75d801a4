local codec = require("moonfleet.codec")

local function copy(...)
    return codec.decode(codec.encode(...))
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

describe("functions", function()
    it("bring their upvalues, whatever stands first", function()
        local n, s, t = 7, "s", { 1 }
        local f = copy(function() return n, s, t end)
        local a, b, c = f()
        assert.equal(7, a)
        assert.equal("s", b)
        assert.same({ 1 }, c)
        local unset -- luacheck: ignore 221
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

    it("share each of many upvalues with the right one", function()
        local a, b, c = 1, 2, 3
        local function set(x, y, z) a, b, c = x, y, z end
        local function back() return c, b, a end
        local s, g, m = copy(set, back, function() return b end)
        s(7, 8, 9)
        assert.same({ 9, 8, 7 }, { g() })
        assert.equal(8, m())
        assert.same({ 3, 2, 1 }, { back() })
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

    it("do not carry what a field held before", function()
        local shape = require("shape")
        local old = shape.area
        assert.is_true(rawequal(old, copy(old)))
        shape.area = function() return 2 end
        local now = copy(old)
        assert.is_false(rawequal(now, shape.area))
        assert.equal(1, now())
        shape.area = old
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
        local t = { ["a b"] = { [1.5] = { [true] = file } } }
        assert.equal('cannot send a file handle (argument 1["a b"][1.5][true])', refusal(t))
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
        local f = compile("return function() return handle end")
        assert.equal("cannot send a file handle (global 'handle'[1])", refusal(f))
        _G.handle = nil
    end)

    it("includes light and unknown userdata and C functions without a name", function()
        local message = "cannot send a C function that no loaded module owns (argument 1"
        assert.equal(message .. ")", refusal(coroutine.wrap(print)))
        assert.equal(message .. ".x)", refusal({ x = ("x"):gmatch(".") }))
        local light = debug.upvalueid(function() return refusal end, 1)
        assert.equal("cannot send a light userdata (argument 1)", refusal(light))
    end)

    it("leaves the codec as it was", function()
        local bad = { { x = 1, coroutine.create(print) } }
        for _ = 1, 100 do
            refusal(bad, 1)
            assert.equal(0, codec.unfinished())
            assert.same({ { x = 1 } }, copy({ { x = 1 } }))
        end
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
        local own = "return function(x) local y = 0 local function f() y = y + x end f() return y end"
        assert.is_true(closed(compile(own)))
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

    it("tell of modules, and of what finds them", function()
        local function modules(...)
            return codec.flags(codec.encode(...)).modules
        end
        local function body(text)
            return modules(compile("return function(x) " .. text .. " end"))
        end
        assert.is_false(modules(1, "require", { load = 1 }, print, string, math.floor, io.write, coroutine.create))
        assert.is_false(body("return tostring(x), string.format('%d', x), os.time(), setmetatable({}, {})"))
        assert.is_false(body("return own_global"))
        for _, name in ipairs({ "require", "load", "loadfile", "dofile", "package", "debug", "_G" }) do
            assert.is_true(body("return " .. name), name)
            assert.is_true(body("local a = x return function() return " .. name .. ", a end"), name)
        end
        assert.is_true(body("return _ENV"))
        assert.is_true(modules(require("moonfleet")))
        assert.is_true(modules(require("moonfleet").map))
        assert.is_true(modules({ { debug.getinfo } }))
        assert.is_true(modules({ require }))
        assert.is_true(modules(_G))
        _G.g_f = compile("return function() return require('x') end")
        assert.is_true(body("return g_f()"))
        _G.g_f = nil
        string.g_trim = compile("return function() end") -- luacheck: ignore 142
        codec.forget() -- now it is one of the library's
        assert.is_true(modules(string.g_trim)) -- luacheck: ignore 143
        string.g_trim = nil -- luacheck: ignore 142
        codec.forget()
    end)

    it("tell of globals", function()
        assert.is_false(codec.flags(codec.encode(compile("return function() return print end"))).globals)
        _G.g_v = 1
        assert.is_true(codec.flags(codec.encode(compile("return function() return g_v end"))).globals)
        _G.g_v = nil
    end)
end)
