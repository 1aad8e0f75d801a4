-- How the prompt shows values.
local mf = require("moonfleet")
local pretty = require("moonfleet.pretty")
local H = require("tests.conformance.helper")

local show = pretty.text

describe("a value is shown", function()
    it("as what one would write", function()
        assert.equal("nil", show(nil))
        assert.equal("1.5", show(1.5))
        assert.equal("-7", show(-7))
        assert.equal("false", show(false))
        assert.equal([["a\n\"b\"\\\t\0\x07é\xFF"]], show('a\n"b"\\\t\0\aé\xFF'))
        assert.equal([["\x001"]], show("\0" .. "1"))
        assert.equal('{ 1, 2, "c", [7] = {}, n = 3, [true] = 1 }', show({ 1, 2, "c", n = 3, [7] = {}, [true] = 1 }))
        assert.equal('{ ["end"] = 1, ["two words"] = 2, word = 3 }', show({ word = 3, ["end"] = 1, ["two words"] = 2 }))
        assert.equal("{}", show({}))
    end)

    it("with functions by place and parameters", function()
        assert.matches("^function%(a, b, %.%.%.%) at .*pretty_spec%.lua:%d+$", show(function(a, b, ...)
            return a, b, ...
        end))
        assert.matches("^function: C", show(print))
    end)

    it("in several lines when one is too short", function()
        local t = { name = ("x"):rep(30), list = { ("y"):rep(30), 1 } }
        assert.equal(
            ('{\n  list = { "%s", 1 },\n  name = "%s"\n}'):format(("y"):rep(30), ("x"):rep(30)),
            show(t, 60)
        )
        assert.not_matches("\n", show(t, 200))
    end)

    it("with cycles and shared tables", function()
        local t = { x = {} }
        t.self, t.x.up = t, t
        local text = "{ self = <cycle: the table 1 level up>, x = { up = <cycle: the table 2 levels up> } }"
        assert.equal(text, show(t, 200))
        local shared = { 1 }
        assert.equal("{ { 1 }, { 1 } }", show({ shared, shared }))
    end)

    it("cut, and says how much is left out", function()
        local long = {}
        for i = 1, 1000 do
            long[i] = i
        end
        H.has(show(long), "60,\n  ... 940 more\n}")
        H.has(show(("x"):rep(5000)), '"... (4000 of 5000 bytes left out)')
        H.has(show({ ("x"):rep(5000) }), '"... (4800 of 5000 bytes left out)')
        local names = {}
        for i = 1, 100000 do
            names["k" .. i] = i
        end
        H.has(show(names), "... 99940 more")
        local deep = {}
        for _ = 1, 100 do
            deep = { deep }
        end
        H.has(show(deep), "{ ... }")
        local wide = {}
        for i = 1, 60 do
            wide[i] = long
        end
        local _, lines = show(wide):gsub("\n", "")
        assert.is_true(lines < 400, lines)
    end)

    it("in time, however large", function()
        local huge = {}
        for i = 1, 1200000 do
            huge[i .. ""] = i
        end
        assert.matches("%.%.%. more than %d+ more", show(huge))
        local row = { mf.array.zeros(1000, 1000) }
        assert.matches("array %(1000,1000%) f64", show(row))
    end)

    it("in its own words where it has some, without running anything else", function()
        local boom = function()
            error("ran")
        end
        assert.equal("me", show(setmetatable({}, { __tostring = function() return "me" end })))
        assert.equal("{ me }", show({ setmetatable({}, { __tostring = function() return "me" end }) }))
        H.has(show(setmetatable({}, { __tostring = boom })), "its __tostring failed: ")
        local guarded = { __index = boom, __len = boom, __pairs = boom, __metatable = 1 }
        assert.equal("{ 1 }", show(setmetatable({ 1 }, guarded)))
        assert.equal("thing { 1 }", show(setmetatable({ 1 }, { __name = "thing" })))
        assert.matches("^file %(0x", show(io.stdout))
    end)

    it("with what is known of futures", function()
        local f = mf.future({ label = "fit" }, load("return 1"))
        f:wait()
        assert.matches("^future %d+ 'fit': done %(threads/%d+, [%d.]+ m?s%)$", show(f))
        local g = mf.map_async({ 1, 2, 3 }, load("return ..."), { label = "all" })
        g:wait()
        assert.matches("^future of a map 'all': done %(3 of 3, [%d.]+ m?s%)$", show(g))
        assert.matches("^{ future %d+: ", show({ mf.future({ lazy = true }, print) }))
    end)

    it("with the shape and the elements of arrays", function()
        assert.equal(tostring(mf.array({ 1, 2 })), show(mf.array({ 1, 2 })))
        assert.equal("{ array (2) f64 ... }", show({ mf.array({ 1, 2 }) }))
    end)
end)

describe("a time is shown", function()
    it("in a unit that fits", function()
        assert.equal("0.25 ms", pretty.seconds(0.00025))
        assert.equal("12 ms", pretty.seconds(0.0123))
        assert.equal("1.50 s", pretty.seconds(1.5))
        assert.equal("2:05", pretty.seconds(125))
        assert.equal("1:01:05", pretty.seconds(3665))
    end)
end)
