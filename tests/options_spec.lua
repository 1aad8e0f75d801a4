local options = require("moonfleet.options")
local H = require("tests.conformance.helper")

local spec = { label = options.kinds.string, retries = options.kinds.count, mode = options.one_of("a", "b") }

describe("options.check", function()
    it("returns what is right, and an empty table for nothing", function()
        local given = { label = "x", retries = 0, mode = "b" }
        assert.equal(given, options.check("f", spec, given))
        assert.same({}, options.check("f", spec, nil))
    end)

    it("names function, option, kind and value", function()
        H.has(H.failure(options.check, "f", spec, { label = 1 }), "f: option 'label' must be a string, not 1")
        H.has(H.failure(options.check, "f", spec, { retries = -1 }), "must be an integer that is not negative, not -1")
        H.has(H.failure(options.check, "f", spec, { mode = "c" }), [[must be "a" or "b", not "c"]])
        H.has(H.failure(options.check, "f", spec, 5), "f: the options must be a table, not 5")
        H.has(H.failure(options.check, "f", spec, { [5] = 1 }), "f: names of options are strings, not 5")
    end)

    it("suggests the nearest names, or lists all", function()
        H.has(H.failure(options.check, "f", spec, { retry = 1 }), "unknown option 'retry'; did you mean 'retries'?")
        H.has(H.failure(options.check, "f", spec, { Label = 1 }), "did you mean 'label'?")
        H.has(H.failure(options.check, "f", spec, { x = 1 }), "the options are 'label', 'mode', 'retries'")
    end)

    it("points at the caller", function()
        local line = debug.getinfo(1, "l").currentline + 2
        local err = H.failure(function()
            options.check("f", spec, { label = 1 })
        end)
        H.has(err, ("options_spec.lua:%d: f: option"):format(line))
    end)
end)

describe("the kinds of options", function()
    local cases = {
        { "positive", { 1, math.maxinteger }, { 0, -1, 1.0, "1", true } },
        { "count", { 0, 5 }, { -1, 0.5, "0" } },
        { "integer", { -5, 0 }, { 1.0, "1" } },
        { "seconds", { 0.1, 5, 1 / 0 }, { 0, -1, 0 / 0, "1" } },
        { "patience", { 0, 0.5 }, { -1, 0 / 0, "1" } },
        { "names", { {}, { "a", "b" } }, { "a", { 1 }, { a = "b" }, { "a", [3] = "c" } } },
        { "globals", { false, {}, { a = 1 }, { "a", b = 2 } }, { true, 5, { 5 }, { [true] = 1 } } },
        { "progress", { true, false, print }, { 1, "x", {} } },
        { "callable", { print, setmetatable({}, { __call = print }) }, { {}, "x", 5 } },
    }
    for _, case in ipairs(cases) do
        it("accept and refuse: " .. case[1], function()
            local kind = options.kinds[case[1]]
            for _, good in ipairs(case[2]) do
                assert.is_true(kind.check(good), options.describe(good))
            end
            for _, bad in ipairs(case[3]) do
                assert.is_false(kind.check(bad), options.describe(bad))
            end
        end)
    end
end)

describe("options.describe", function()
    it("shows a value in a few words", function()
        assert.equal('"x"', options.describe("x"))
        assert.equal('"a\\nb"', options.describe("a\nb"))
        assert.equal(('"%s..."'):format(("y"):rep(37)), options.describe(("y"):rep(100)))
        assert.equal("5", options.describe(5))
        assert.equal("nil", options.describe(nil))
        assert.equal("a table", options.describe({}))
        assert.equal("a moonfleet.range", options.describe(require("moonfleet.range").new(3)))
        assert.equal("a function", options.describe(print))
    end)
end)

describe("options.globals", function()
    it("looks names up in the function's own environment", function()
        local fn = load("return op_x", "chunk", "t", { op_x = 5 })
        assert.same({ op_x = 5, op_y = 6 }, options.globals("f", { "op_x", op_y = 6 }, fn))
        H.has(H.failure(options.globals, "f", { "op_z" }, fn), "option 'globals' names 'op_z', which is not a global")
    end)

    it("leaves the other forms alone", function()
        assert.is_nil(options.globals("f", nil, print))
        assert.is_false(options.globals("f", false, print))
        local named = { a = 1 }
        assert.equal(named, options.globals("f", named, print))
    end)
end)
