local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function name_of_plan()
    return tostring(require("moonfleet").plan())
end

local function inner_names()
    local m = require("moonfleet")
    return name_of_plan(), m.future(name_of_plan):value(), m.future(function()
        return m.future(name_of_plan):value()
    end):value()
end

local function row(i)
    return require("moonfleet").map({ 1, 2, 3 }, function(j)
        return i * 10 + j
    end)
end

local function change_plan()
    local m = require("moonfleet")
    m.plan("sequential")
    m.plan("threads", { workers = 7 })
    return m.workers()
end

local function scoped()
    local m = require("moonfleet")
    local before = name_of_plan()
    local inside = m.with_plan("threads:3", function()
        return name_of_plan() .. "/" .. m.map({ 1, 2 }, H.square)[2]
    end)
    return before, inside, name_of_plan()
end

local function fail_inside(i)
    return require("moonfleet").map({ i }, function(x)
        error("deep " .. x, 0)
    end)
end

return function(t, backend)
    local it, assert = t.it, t.assert

    local function levels(second)
        return { backend.plan, second }
    end

    it("is sequential past the last level", function()
        local own, inner = H.value(mf.future(inner_names))
        assert.same({ "sequential", "sequential" }, { own, inner })
        assert.equal(1, H.value(mf.future(mf.workers)))
    end)

    it("gives a task's own futures the next level", function()
        local second = backend.inner or backend.level(2)
        mf.with_plan(levels(second), function()
            local own, inner, third = H.value(mf.future(inner_names))
            H.has(own, second[1])
            assert.equal("sequential", inner)
            assert.equal("sequential", third)
            local results = mf.map(mf.range(6), row)
            for i = 1, 6 do
                assert.same({ i * 10 + 1, i * 10 + 2, i * 10 + 3, n = 3 }, results[i])
            end
        end)
        mf.with_plan(levels("threads:2"), function()
            assert.same({ n = 1 }, { n = mf.map({ 1 }, row).n })
            local own, inner, third = H.value(mf.future(inner_names))
            assert.same({ "threads:2", "sequential", "sequential" }, { own, inner, third })
        end)
        mf.with_plan({ backend.plan, "threads:2", "threads:3" }, function()
            local own, inner, third = H.value(mf.future(inner_names))
            assert.same({ "threads:2;threads:3", "threads:3", "sequential" }, { own, inner, third })
        end)
    end)

    it("maps inside maps without a plan for it", function()
        local results = mf.map(mf.range(10), row)
        assert.same({ 101, 102, 103, n = 3 }, results[10])
    end)

    it("does not let a task's plan leak into the next task", function()
        for _ = 1, 4 do
            assert.equal(7, H.value(mf.future(change_plan)))
            assert.equal("sequential", H.value(mf.future(name_of_plan)))
        end
    end)

    it("scopes plans in a task", function()
        local before, inside, after = H.value(mf.future(scoped))
        assert.same({ "sequential", "threads:3/4", "sequential" }, { before, inside, after })
    end)

    it("names both elements of an error inside a map inside a map", function()
        local err = H.failure(mf.map, { 1, 2 }, fail_inside, { chunk = 2 })
        assert.equal("deep 1 (element 1 of mf.map) (element 1 of mf.map)", err)
    end)
end
