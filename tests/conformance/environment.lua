local mf = require("moonfleet")
local H = require("tests.conformance.helper")

-- These are globals on purpose: they are what the cases are about.
-- luacheck: globals cf_number cf_table cf_helper cf_leak cf_changed cf_exported cf_state

local function read_number()
    return cf_number
end

local function call_helper(x)
    return cf_helper(x)
end

local function leak()
    cf_leak = (cf_leak or 0) + 1
    return cf_leak
end

local function inner()
    return (function()
        return cf_table.deep
    end)()
end

return function(t)
    local it, assert = t.it, t.assert

    t.after_each(function()
        cf_number, cf_table, cf_helper, cf_leak, cf_changed = nil, nil, nil, nil, nil
    end)

    it("finds the globals that a function names, in inner functions too", function()
        cf_number, cf_table = 42, { deep = "yes" }
        assert.equal(42, H.value(mf.future(read_number)))
        assert.equal("yes", H.value(mf.future(inner)))
    end)

    it("finds the globals of functions that a function calls", function()
        cf_number = 10
        cf_helper = load("local x = ... return x + cf_number")
        assert.equal(15, H.value(mf.future(call_helper, 5)))
        assert.same({ 11, 12, n = 2 }, mf.map({ 1, 2 }, call_helper))
    end)

    it("takes globals as they are when the future is made", function()
        cf_number = "then"
        local f = mf.future(read_number)
        cf_number = "now"
        assert.equal("then", H.value(f))
    end)

    it("does not let a task's globals leak into the next or to the owner", function()
        local list = {}
        for i = 1, 8 do
            list[i] = mf.future(leak)
        end
        for _, f in ipairs(list) do
            assert.equal(1, H.value(f))
        end
        assert.is_nil(cf_leak)
        assert.same({ 1, 1, 1, n = 3 }, mf.map(mf.range(3), leak, { chunk = 1 }))
    end)

    it("adds and overrides globals by name and value", function()
        cf_number = 1
        assert.equal(7, H.value(mf.future({ globals = { cf_number = 7 } }, read_number)))
        assert.equal(1, cf_number)
        assert.same({ 7, n = 1 }, mf.map({ 1 }, read_number, { globals = { cf_number = 7 } }))
    end)

    it("adds globals from a list of names", function()
        cf_number = 3
        local dynamic = load("return _ENV['cf_' .. 'number']")
        assert.equal(3, H.value(mf.future({ globals = { "cf_number" } }, dynamic)))
        H.has(H.failure(mf.future, { globals = { "cf_unknown" } }, dynamic), "'cf_unknown', which is not a global")
    end)

    it("looks for no globals when told so", function()
        cf_number = 3
        assert.is_nil(H.value(mf.future({ globals = false }, read_number)))
    end)

    it("limits the size of what it finds", function()
        cf_table = { deep = ("x"):rep(100000) }
        H.has(H.failure(mf.future, { globals_max = 5000 }, inner), "'cf_table'")
        H.has(H.failure(mf.map, { 1 }, inner, { globals_max = 5000 }), "'cf_table'")
        assert.equal(100000, #H.value(mf.future({ globals_max = 200000 }, inner)))
    end)

    it("requires packages before the function runs", function()
        local loaded = load("return package.loaded['moonfleet.range'] ~= nil")
        assert.is_true(H.value(mf.future({ packages = { "moonfleet.range" } }, loaded)))
        local ok, err = H.result(mf.future({ packages = { "cf.no.such.module" } }, loaded))
        assert.is_false(ok)
        H.has(tostring(err), "cf.no.such.module")
    end)

    it("exports globals to all workers of the plan", function()
        cf_exported = { 1, 2, 3 }
        local sum = load("local s = 0 for _, x in ipairs(cf_exported) do s = s + x end return s")
        mf.export({ cf_exported = cf_exported })
        assert.equal(6, H.value(mf.future(sum)))
        assert.equal(6, mf.map({ 1 }, sum)[1])
        cf_exported = { 10 }
        assert.equal(10, H.value(mf.future(sum)))
        cf_exported = nil
    end)

    it("runs a function on every worker and keeps the globals that it sets", function()
        local set = load("cf_state = (...) return cf_state")
        assert.same({ n = mf.workers() }, { n = mf.everywhere(set, 5).n })
        local get = load("return cf_state")
        for _ = 1, 4 do
            assert.equal(5, H.value(mf.future(get)))
        end
    end)
end
