-- Live values: what a fork inherits rather than is sent, and how long the lists of them live.
local mf = require("moonfleet")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local LIMIT = 65536 -- bytes that a value may take to be sent
local PAIR = 16 -- that a pair of a table counts for

local function array(n, value)
    local t = {}
    for i = 1, n do
        t[i] = value or i
    end
    return t
end

local before

setup(function()
    before = mf.plan("forks", { workers = 1 })
end)

teardown(function()
    mf.plan(before)
end)

-- Does a function that has captured these values refer to the owner's memory? Then it needs a fork of its own, and the
-- only worker is busy.
local function inherited(...)
    local first, values = mf.future(H.busy, 0.05), table.pack(...)
    local a, b, c = values[1], values[2], values[3]
    local f = mf.future(function() return a, b, c end)
    local waited = first:resolved()
    f:wait()
    assert.equal("done", f:state())
    H.value(first)
    return waited
end

describe("what is large", function()
    it("counts from a number of pairs on", function()
        assert.is_false(inherited(array(LIMIT // PAIR - 1)))
        assert.is_true(inherited(array(LIMIT // PAIR)))
        local named = {}
        for i = 1, 3000 do
            named[("key%05d"):format(i)] = true
        end
        assert.is_true(inherited(named)) -- 24 bytes each, the keys included
    end)

    it("counts from a number of bytes on", function()
        assert.is_false(inherited(("x"):rep(LIMIT - 1)))
        assert.is_true(inherited(("x"):rep(LIMIT)))
        assert.is_true(inherited(array(70, ("x"):rep(1000))))
        assert.is_false(inherited(("x"):rep(LIMIT - 1), ("y"):rep(LIMIT - 1), ("z"):rep(LIMIT - 1)))
    end)

    it("is measured with all that it holds, each part once", function()
        local part = array(1000)
        assert.is_false(inherited({ part, part, part, part, { part, part } }))
        assert.is_true(inherited({ array(1000), array(1000), array(1000), { array(1000), array(1000) } }))
        local cycle = array(3000)
        cycle.cycle = { cycle }
        assert.is_false(inherited(cycle))
    end)

    it("need not be looked for in the depths", function()
        local shallow, deep = { 1 }, { 1 }
        for _ = 1, 90 do
            shallow = { shallow }
        end
        for _ = 1, 110 do
            deep = { deep }
        end
        assert.is_false(inherited(shallow))
        assert.is_true(inherited(deep)) -- as if it were
    end)

    it("is a string wherever it is, and a table where a function, or an argument, has it", function()
        assert.is_true(inherited({ name = "n", text = ("x"):rep(LIMIT) }))
        local large = array(5000)
        local function inner() return #large end
        assert.is_true(inherited(inner))
        local first = mf.future(H.busy, 0.05)
        local f = mf.future(function(t) return #t end, large)
        assert.is_true(first:resolved())
        assert.equal(5000, H.value(f))
        H.value(first)
    end)

    it("is found without calling anything of the user's", function()
        local function fail()
            error("called")
        end
        local strange = setmetatable(array(5000), { __index = fail, __len = fail, __pairs = fail, __eq = fail })
        assert.is_true(inherited(strange))
        local small = setmetatable({ 1 }, { __pairs = fail, __len = fail })
        assert.is_false(inherited(small))
    end)

    it("is not, in values of the same kind that have a way to be sent", function()
        local class = {}
        class.__save = function(object) return #object.data end
        class.__load = function(n) return setmetatable({ n = n }, class) end
        local object = setmetatable({ data = array(5000) }, class)
        assert.equal(5000, H.value(mf.future(function() return object.n or #object.data end)))
    end)
end)

describe("lists of live values", function()
    -- The table that holds them weakly.
    local function lists()
        for key, value in pairs(debug.getregistry()) do
            local meta = type(key) == "userdata" and type(value) == "table" and getmetatable(value)
            if meta and meta.__mode == "v" and math.type(value[0]) == "integer" then
                return value
            end
        end
    end

    it("are let go of with the futures and maps that have them", function()
        local large = array(5000)
        local kept = mf.future(function() return #large end)
        for _ = 1, 10 do
            H.value(mf.future(function() return #large end))
            mf.map({ 1, 2 }, function(x) return x + #large end)
        end
        collectgarbage()
        collectgarbage()
        local n = 0
        for key in pairs(lists()) do
            n = n + (key ~= 0 and 1 or 0)
        end
        assert.equal(1, n)
        assert.equal(5000, H.value(kept))
    end)

    it("that are gone make a task that needs them again fail, and say why", function()
        program.with_folder(function(folder)
            local large, mark = array(5000), folder .. "/mark"
            local function die_once()
                local file = io.open(mark, "a")
                file:write("x")
                file:close()
                H.busy(0.1)
                os.exit(#large == 5000 and 1 or 2)
            end
            local after
            do
                local f = mf.future({ retries = 1 }, die_once)
                after = mf.future({ retries = 0 }, function(x) return x end, f)
            end
            collectgarbage()
            collectgarbage()
            local ok, err = H.result(after)
            assert.is_false(ok)
            H.has(err, "what the task refers to is gone: nobody held its future")
            assert.equal("x", program.read_file(mark))
        end)
    end)
end)
