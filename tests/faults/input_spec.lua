-- What happens to odd values, scripts and bytes. Each case provokes one row of the list of faults, named by its number.
local mf = require("moonfleet")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local identity = load("return ...")

local function nest(depth)
    local t = { "bottom" }
    for _ = 1, depth do
        t = { t }
    end
    return t
end

local function depth_of(t)
    local n = 0
    while type(t[1]) == "table" do
        t, n = t[1], n + 1
    end
    return n, t[1]
end

describe("I1: nesting", function()
    it("works to ten thousand levels, both ways", function()
        for _, depth in ipairs({ 127, 128, 129, 10000 }) do
            local n, bottom = depth_of(H.value(mf.future(identity, nest(depth))))
            assert.same({ depth, "bottom" }, { n, bottom })
            local made = load("local t = { 'bottom' } for _ = 1, ... do t = { t } end return t")
            assert.equal(depth, (depth_of(H.value(mf.future(made, depth)))))
        end
    end)

    it("past the limit is the sender's error", function()
        local deep = nest(1000000)
        local ok, err = pcall(mf.future, identity, deep)
        if ok then
            assert.equal(1000000, (depth_of(H.value(err))))
        else
            H.has(tostring(err), "argument 1")
        end
        local f = mf.future(load("local t = {} for _ = 1, 1000000 do t = { t } end return t"))
        local done, result = H.result(f)
        if done then
            assert.equal("table", type(result))
        else
            H.has(tostring(result), "result 1")
        end
        assert.equal(4, H.value(mf.future(H.square, 2)))
    end)

    it("of functions and of metatables is nesting like any other", function()
        local fn = load("return 'bottom'")
        for _ = 1, 1000 do
            local inner = fn
            fn = function()
                return inner()
            end
        end
        assert.is_function(H.value(mf.future(identity, fn)))
        local t = {}
        for _ = 1, 1000 do
            t = setmetatable({}, t)
        end
        local n, m = 0, getmetatable(H.value(mf.future(identity, t)))
        while m do
            n, m = n + 1, getmetatable(m)
        end
        assert.equal(1000, n)
    end)
end)

describe("I2: cycles and shared parts", function()
    it("stay what they are", function()
        local a, b = {}, { name = "b" }
        a.a, a.b, a[b], b.a = a, b, a, a
        local r = H.value(mf.future(identity, { a, a.b, a }))
        assert.equal(r[1], r[3])
        assert.equal(r[1], r[1].a)
        assert.equal(r[2], r[1].b)
        assert.equal(r[1], r[2].a)
        assert.equal(r[1], r[1][r[2]])
        setmetatable(a, a)
        r = H.value(mf.future(identity, a))
        assert.equal(r, getmetatable(r))
        local first, second = H.value(mf.future(identity, a, a))
        assert.equal("table", type(first))
        assert.equal("table", type(second))
        local function self()
            return self
        end
        r = H.value(mf.future(identity, self))
        assert.equal(r, r())
    end)
end)

describe("I6: values that cannot cross", function()
    local co = coroutine.create(identity)
    local lines = io.lines(program.path, 1)
    local cases = {
        { co, "coroutine" },
        { io.tmpfile(), "file" },
        { lines, "function" },
        { coroutine.wrap(identity), "function" },
        { string.gmatch("a", "a"), "function" },
    }

    it("are named with their type and path, and nothing is sent", function()
        for _, case in ipairs(cases) do
            local value, word = case[1], case[2]
            local ways = {
                ["argument 2"] = function()
                    return mf.future(identity, 1, value)
                end,
                ["argument 1.list[2]"] = function()
                    return mf.future(identity, { list = { 1, value } })
                end,
                ["upvalue 'value'"] = function()
                    return mf.future(function()
                        return value
                    end)
                end,
                ["element 3"] = function()
                    return mf.map({ 1, 2, value }, identity)
                end,
            }
            for path, way in pairs(ways) do
                local err = H.failure(way)
                H.has(err, path)
                H.has(err, "cannot send")
                H.has(err, word)
            end
        end
        assert.equal(4, H.value(mf.future(H.square, 2)))
    end)

    it("are named in a result and in a global", function()
        local ok, err = H.result(mf.future(load("return { deep = { io.tmpfile() } }")))
        assert.is_false(ok)
        H.has(err, "result 1.deep[1]")
        _G.i6_global = { co }
        err = H.failure(mf.future, load("return i6_global"))
        H.has(err, "i6_global")
        H.has(err, "coroutine")
        _G.i6_global = nil
    end)
end)

describe("I7: functions", function()
    it("cross with upvalues, recursion, varargs and without debug information", function()
        local function even(n)
            return n == 0 or not even(n - 1)
        end
        assert.is_true(H.value(mf.future(even, 100)))
        local count = 10
        local function get()
            return count
        end
        local function set(n)
            count = n
        end
        assert.equal(3, H.value(mf.future(function()
            set(3)
            return get()
        end)))
        assert.equal(10, count)
        assert.equal(3, H.value(mf.future(load("return select('#', ...)"), nil, nil, nil)))
        local stripped = load(string.dump(load("local a, b = ... return a + b"), true))
        assert.equal(5, H.value(mf.future(stripped, 2, 3)))
        local ok, err = H.result(mf.future(load(string.dump(load("error('x')"), true))))
        assert.is_false(ok)
        assert.equal("x", err)
    end)

    it("keep another environment than the globals", function()
        local env = { y = 5 }
        local fn = load("y = y + 1 return y", "=env", "t", env)
        assert.equal(6, H.value(mf.future(fn)))
        assert.equal(5, env.y)
        local sandboxed = load("local _ENV = { z = 7 } return function() return z end")()
        assert.equal(7, H.value(mf.future(sandboxed)))
    end)
end)

-- The same bytes as a script, as standard input and as lua5.4 takes them.
local function both(text)
    return program.with_folder(function(folder)
        program.write_file(folder .. "/s.lua", text)
        local results = {}
        for i, path in ipairs({ program.path, "lua5.4" }) do
            local r = program.run({ "s.lua" }, {
                folder = folder,
                program = path:find("^/") and path or i == 1 and os.getenv("PWD") .. "/" .. path or path,
                deadline = 20,
            })
            r.err = r.err:gsub("^lua5.4:", "moonfleet:")
            local s = program.run({}, { stdin = text, program = path, deadline = 20 })
            results[i] = { r.code, r.out, r.err, s.out }
            if i == 1 then -- lua5.4 forgets that its standard input failed
                assert.equal(r.code, s.code)
            end
        end
        return results[1], results[2]
    end)
end

local beside = program.has("lua5.4") and it or pending

describe("I13: bytecode", function()
    local bytes = string.dump(load("print('from bytecode')"))

    beside("as a script is taken as lua5.4 takes it", function()
        local ours, theirs = both(bytes)
        assert.same(theirs, ours)
        ours, theirs = both(bytes:sub(1, 30))
        assert.equal(theirs[1], ours[1])
        assert.equal(1, ours[1])
        ours, theirs = both("\27Lua is not what follows")
        assert.equal(theirs[1], ours[1])
        assert.equal(1, ours[1])
    end)

    it("is not taken as typed text", function()
        local r = program.run({ "-i" }, { stdin = "\27Lua\n1 + 1\n", deadline = 20 })
        assert.equal(0, r.code)
        H.has(r.out, "2\n")
        assert.is_true(#r.err > 0)
        r = program.run({ "-i" }, { stdin = bytes:gsub("\n", " ") .. "\n1 + 1\n", deadline = 20 })
        assert.equal(0, r.code)
        assert.is_nil(r.out:find("from bytecode", 1, true))
    end)
end)

describe("I15: scripts of odd form", function()
    local braces = ("{"):rep(150) .. ("}"):rep(150)
    local scripts = {
        ["a byte order mark"] = "\xEF\xBB\xBFprint(1)",
        ["CRLF line ends"] = "print(1)\r\nprint(2)\r\nerror('x')\r\n",
        ["a # line"] = "#!/usr/bin/env something\nprint(1) error('x')",
        ["a byte order mark and a # line"] = "\xEF\xBB\xBF# x\nprint(1)",
        ["only a # line"] = "# nothing",
        ["nothing"] = "",
        ["a NUL"] = "print('a\0b') print(#'\0')",
        ["a NUL out of a string"] = "print(1) \0 print(2)",
        ["nested braces"] = "local t = " .. braces .. " print(#t)",
        ["too many nested braces"] = "local t = " .. ("{"):rep(250) .. ("}"):rep(250) .. " print(#t)",
        ["too many nested parentheses"] = "print(" .. ("("):rep(250) .. "1" .. (")"):rep(250) .. ")",
        ["a line of 10 MB"] = "local s = '" .. ("x"):rep(10 << 20) .. "' print(#s)",
        ["no end"] = "print(1) do",
        ["a string without its end"] = "print('x",
        ["bytes that are no text"] = "\255\254\253",
        ["too many locals"] = (function()
            local list = {}
            for i = 1, 201 do
                list[i] = "local x" .. i .. " = " .. i
            end
            return table.concat(list, "\n")
        end)(),
    }
    for name, text in pairs(scripts) do
        beside("run as in lua5.4: " .. name, function()
            local ours, theirs = both(text)
            assert.same(theirs, ours)
        end)
    end

    it("run in tasks as well", function()
        local text = "local s = '" .. ("x"):rep(1 << 20) .. "' return #s"
        assert.equal(1 << 20, H.value(mf.future(load(text))))
        assert.equal(1 << 20, H.value(mf.future(function(code)
            return load(code)()
        end, text)))
    end)
end)
