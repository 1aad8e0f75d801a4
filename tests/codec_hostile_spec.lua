local codec = require("moonfleet.codec")
local same = require("tests.support.same")

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
        local required
        package.preload.trap = function()
            required = true
            return {}
        end
        local trap = require("trap")
        local bytes = codec.encode(trap)
        package.loaded.trap, required = nil, false
        local message = hostile(bytes)
        assert.truthy(message:find("module 'trap' owns was sent by name, but the module is not loaded", 1, true))
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

    it("carries arrays whose numbers are all there", function()
        local array = require("moonfleet.array")
        local a = array.range(6):reshape(2, 3)
        local bytes = codec.encode(a)
        assert.is_true(a == codec.decode(bytes, false))
        for n = 2, #bytes - 1 do
            assert.truthy(hostile(bytes:sub(1, n)):find("malformed message: ", 1, true))
        end
        local head = bytes:sub(1, 2) -- the header byte and the tag
        local function varint(n)
            local t = {}
            repeat
                t[#t + 1] = string.char(n & 127 | (n > 127 and 128 or 0))
                n = n >> 7
            until n == 0
            return table.concat(t)
        end
        for _, case in ipairs({
            { "\7\1\1", "an array of an unknown kind" }, -- dtype
            { "\0\0", "an array of an unknown kind" }, -- dimensions
            { "\0\9", "an array of an unknown kind" },
            { "\64\1\1", "an array of an unknown kind" }, -- flags
            { "\0\1" .. varint(1 << 60), "an array's shape is too large" },
            { "\0\2" .. varint(1 << 40) .. varint(1 << 40), "an array's shape is too large" },
            { "\0\1" .. varint(1 << 40), "an array's numbers pass the end" },
            { "\16\1\1\0\0\0", "memory that the message does not hold" },
        }) do
            assert.truthy(hostile(head .. case[1]):find(case[2], 1, true))
        end
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
        local one = 1
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
            ["no upvalue where one must be"] = { codec.encode(function() return one end):sub(1, -3) .. "\0" },
        }
        for what, list in pairs(cases) do
            for _, bytes in ipairs(list) do
                local ok, message = pcall(codec.decode, bytes)
                assert.is_false(ok, ("%s: %q was accepted"):format(what, bytes))
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
