-- What knows the engine, seen through moonfleet.codec: the scan for globals, dump and load, and arrays.
local codec = require("moonfleet.codec")

local function compile(text, env)
    return assert(load(text, "=fit.lua", "t", env or _G))
end

local function scan(text)
    local names, sets_global, sets_upvalue = codec.scan(compile(text))
    return table.concat(names, " "), sets_global, sets_upvalue
end

describe("the scan", function()
    it("finds the globals that a function reads", function()
        assert.equal("a b", (scan("return a + b.c")))
        assert.equal("print x", (scan("print(x)")))
        assert.equal("x", (scan("x = x + 1")))
        assert.equal("", (scan("local x = 1; return x")))
        assert.equal("", (scan("x = 1")))
        assert.equal("", (scan("return 'a', 1, 2.5, nil, true, false, ...")))
    end)

    it("finds those of inner functions, however deep", function()
        local names = scan("local l = a; return function() l = b; return function() return c, d, l end end")
        assert.equal("a b c d", names)
        local text = "return deep"
        for _ = 1, 60 do
            text = "return function() " .. text .. " end"
        end
        assert.equal("deep", (scan(text)))
    end)

    it("leaves a local _ENV out, and what hangs on it", function()
        assert.equal("setmetatable", (scan("local _ENV = setmetatable({}, {}); return a, function() return b end")))
        assert.equal("x", (scan("local y = x; local function f(_ENV) return a end; return f, y")))
    end)

    it("reports every string when the environment is used as a value", function()
        local names, sets_global = scan("local e = _ENV; return e.a, e.b")
        assert.equal("a b", names)
        assert.is_true(sets_global)
        assert.equal("_G a", (scan("return _G.a")))
        assert.equal("_G a", (scan("local g = _G; return function() return g.a end")))
        assert.truthy(scan("return _ENV['a' .. x], 'k'"):find("k", 1, true))
    end)

    it("finds long names and names past the 255th constant", function()
        local long = ("long"):rep(20)
        assert.truthy(scan("return " .. long):find(long, 1, true))
        local many = {}
        for i = 1, 300 do
            many[i] = i + 0.5
        end
        local names = scan("local t = {" .. table.concat(many, ",") .. "}; return last, t")
        assert.truthy(names:find("last", 1, true))
    end)

    it("goes by identity when names are stripped", function()
        local stripped = load(string.dump(compile("return a, b"), true))
        assert.same({ "a", "b" }, (codec.scan(stripped)))
    end)

    it("tells who sets globals and outer upvalues", function()
        local function traits(text)
            local _, sets_global, sets_upvalue = scan(text)
            return sets_global, sets_upvalue
        end
        assert.same({ false, false }, { traits("local x = 1; x = 2; return function() x = 3 end") })
        assert.same({ true, false }, { traits("x = 1") })
        assert.same({ true, false }, { traits("return function() function f() end end") })
        local n = 0
        local function set()
            n = n + 1
        end
        local function set_within()
            return function()
                return function()
                    n = n + 1
                end
            end
        end
        local function get()
            return n
        end
        assert.is_true((select(3, codec.scan(set))))
        assert.is_true((select(3, codec.scan(set_within))))
        assert.is_false((select(3, codec.scan(get))))
    end)

    it("takes the constants of every type in its stride", function()
        local text = "local t = { 1, 2.5, 'short', '" .. ("long"):rep(50) .. "', nil, true, false, 1 << 40, -0.0 }"
        assert.equal("a", (scan(text .. "; t[nil or 1] = a; return t")))
    end)
end)

describe("dump and load", function()
    local function reload(f)
        return codec.decode(codec.encode(f), true, {})
    end

    it("keep names, lines and the number of parameters", function()
        local f = reload(compile("return function(a, b, ...)\n local c = a\n return b\n end")())
        local info = debug.getinfo(f, "Su")
        assert.equal("fit.lua", info.short_src)
        assert.equal(1, info.linedefined)
        assert.equal(4, info.lastlinedefined)
        assert.equal(2, info.nparams)
        assert.is_true(info.isvararg)
        assert.equal("b", debug.getlocal(f, 2))
    end)

    it("leave no globals table in the first upvalue", function()
        local first -- luacheck: ignore 221
        local f = reload(function()
            return first
        end)
        assert.equal("first", (debug.getupvalue(f, 1)))
        assert.is_nil((select(2, debug.getupvalue(f, 1))))
    end)

    it("bring 255 upvalues", function()
        local parts = {}
        for block = 0, 1 do
            local names, values = {}, {}
            for i = 1, 127 do
                names[i] = ("v%d_%d"):format(block, i)
                values[i] = tostring(block * 1000 + i)
            end
            local list = table.concat(names, ",")
            parts[block] = { list, ("local %s = %s\n"):format(list, table.concat(values, ",")) }
        end
        -- 200 locals are the most of one function: the second half belongs to an inner one
        local text = ("%sreturn (function() %s return function() return %s, %s end end)()"):format(
            parts[0][2],
            parts[1][2],
            parts[0][1],
            parts[1][1]
        )
        local r = table.pack(reload(compile(text)())())
        assert.equal(254, r.n)
        assert.equal(1, r[1])
        assert.equal(1127, r[254])
    end)

    it("refuse what is no bytecode", function()
        local n = 1
        local bytes = codec.encode(function()
            return n
        end)
        for cut = 8, #bytes - 10 do
            local size = string.unpack("<I4", bytes, 4)
            local shorter = bytes:sub(1, 3) .. string.pack("<I4", cut - 7) .. bytes:sub(8, cut) .. bytes:sub(8 + size)
            assert.is_false((pcall(codec.decode, shorter)))
        end
        local other = bytes:sub(1, 2) .. "\5" .. bytes:sub(4)
        local _, message = pcall(codec.decode, other)
        assert.truthy(message:find("a function's upvalues do not match its bytecode", 1, true))
    end)
end)

describe("arrays", function()
    -- Reads like the codec's bulk path must, whatever lies between the numbers.
    local function check(t)
        local u = codec.decode(codec.encode(t))
        local n = 0
        for k, v in next, t do
            n = n + 1
            assert(rawequal(u[k], v) and math.type(u[k]) == math.type(v), k)
        end
        for _ in next, u do
            n = n - 1
        end
        assert.equal(0, n)
    end

    it("of runs of integers, floats and other values keep their order", function()
        local kinds = {
            function(i) return i end,
            function(i) return i + 0.5 end,
            function(i) return "s" .. i end,
            function() return true end,
        }
        for length = 1, 140 do
            for width = 1, 3 do
                local t = {}
                for i = 1, length do
                    t[i] = kinds[i // width % #kinds + 1](i)
                end
                check(t)
            end
        end
    end)

    it("that grew, shrank and have holes come out whole", function()
        local t = {}
        for i = 1, 300 do
            t[#t + 1] = i
            check(t)
        end
        for i = 300, 1, -1 do
            t[i] = nil
            if i % 3 == 0 then
                check(t)
            end
        end
        for i = 1, 100 do
            t[i] = i
        end
        for i = 1, 100, 7 do
            t[i] = nil
            check(t)
        end
        t = table.pack(nil, 2, nil, 4, nil, nil)
        check(t)
    end)
end)
