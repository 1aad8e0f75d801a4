local codec = require("moonfleet.codec")

local function copy(...)
    return codec.decode(codec.encode(...))
end

-- A function of the program's own environment: in a spec file _ENV is busted's sandbox.
local function compile(text, ...)
    return assert(load(text, "=fit.lua"))(...)
end

local function reload(fn, env)
    return codec.decode(codec.encode(fn), true, env)
end

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
        local inner = "return function() return (function() return (function() return g_in end)() end)() end"
        assert.equal(1, run(inner, {}))
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
        local options = { globals = { g_h = compile("return function() return g_deep end") } }
        codec.decode(codec.encode_with(options, f), true, env)
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
                .. "'g_large' 20 KB, 'g_small' 13 bytes); pass large values as arguments, or raise globals_max",
            message
        )
        f = compile("return function(x) return x end")
        codec.encode_with({ globals_max = 1024 * 1024 }, f, _G.g_huge) -- arguments are free
        assert.same({ 1 }, copy({ 1 }))
    end)

    it("count together", function()
        local names = {}
        for i = 1, 10 do
            names[i] = "g_n" .. i
            _G[names[i]] = ("x"):rep(200 * 1024)
        end
        local f = compile("return function() return " .. table.concat(names, ", ") .. " end")
        local _, message = pcall(codec.encode_with, { globals_max = 1024 * 1024 }, f)
        assert.truthy(message:find("larger than 1.0 MB", 1, true))
        codec.encode_with({ globals_max = 3 * 1024 * 1024 }, f)
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
