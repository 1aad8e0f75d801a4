-- Arrays that tasks write to: vm/lib_array_shared.c, runtime/array_shared.c.
local mf = require("moonfleet")
local H = require("tests.conformance.helper")
local sanitizers = require("tests.support.fails")

local array = mf.array

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

describe("mf.array.shared", function()
    it("is zeros of any shape and dtype, and is written like any array", function()
        local a = array.shared(2, 3, "i32")
        assert.same({ { 0, 0, 0 }, { 0, 0, 0 } }, a:totable())
        a[1] = array({ 1, 2, 3 }, "i32")
        a:slice({ 2, 2 }, { 2, 3 }):fill(7)
        assert.same({ { 1, 2, 3 }, { 0, 7, 7 } }, a:totable())
        assert.equal(3, #array.shared({ 3 }))
        fails("cannot share an array of shape (0)", array.shared, 0)
        fails("there is no dtype 'f2'", array.shared, 1, "f2")
        fails("memory that tasks write to (mf.array.shared) is shared already", mf.share, a)
    end)

    it("adds in one step, and says what the element is then", function()
        for _, dtype in ipairs({ "f64", "f32", "i64", "i32", "u8" }) do
            local a = array.shared(2, 2, dtype)
            assert.equal(3, a:atomic_add(3, 2, 1))
            assert.equal(5, a:atomic_add(2, -1, 1))
            assert.same({ { 0, 0 }, { 5, 0 } }, a:as("i64"):totable())
        end
        assert.equal(0, array({ 255 }, "u8"):atomic_add(1, 1))
        local s = mf.share(array({ 1 }))
        fails("shared array is read-only; use :copy()", s.atomic_add, s, 1, 1)
        local a = array.shared(2, "i32")
        fails("1.5 has no integer representation", a.atomic_add, a, 1.5, 1)
        fails("index 3 is out of range: axis 1 has 2 elements", a.atomic_add, a, 1, 3)
    end)

    -- The thread sanitizer cannot follow forks of a program with threads.
    local plans = sanitizers.delays_signals() and { "threads", "processes" } or { "threads", "processes", "forks" }

    for _, plan in ipairs(plans) do
        describe("under plan " .. plan, function()
            local before

            before_each(function()
                before = mf.plan(plan, { workers = 2 })
            end)

            after_each(function()
                mf.plan(before)
            end)

            it("loses no addition", function()
                local a = array.shared(3)
                mf.each(mf.range(4), function()
                    for _ = 1, 5000 do
                        a:atomic_add(1, 1)
                        a:atomic_add(0.5, 2)
                        a:slice(3, 3):atomic_add(-1, 1)
                    end
                end, { chunk = 1 })
                assert.same({ 20000.0, 10000.0, -20000.0 }, a:totable())
            end)

            it("has a barrier that orders what tasks write", function()
                local a, rounds = array.shared(2, "i64"), 50
                local function turn(me, other)
                    for i = 1, rounds do
                        a[me] = i
                        a:barrier(2, 20)
                        if a[other] ~= i then
                            return ("round %d: %d"):format(i, a[other])
                        end
                        a:barrier(2, 20)
                    end
                    return "good"
                end
                local f, g = mf.future(turn, 1, 2), mf.future(turn, 2, 1)
                assert.equal("good", H.value(f))
                assert.equal("good", H.value(g))
            end)

            it("gives a task that is cancelled back at the barrier", function()
                local a = array.shared(1)
                local f = mf.future(function()
                    a:atomic_add(1, 1)
                    a:barrier(2)
                end)
                H.eventually(function()
                    return a:atomic_add(0, 1) == 1
                end, "the task to start")
                assert.is_true(f:cancel())
                H.eventually(function() -- its place is free again: nobody else is there
                    local ok, err = pcall(a.barrier, a, 2, 0.001)
                    return not ok and err:find("only 1 of 2 came", 1, true)
                end, "the cancelled task to leave the barrier")
            end)
        end)
    end

    it("says how many came to a barrier in time", function()
        local a = array.shared(1)
        fails("barrier: only 1 of 3 came within 0.01 s", a.barrier, a, 3, 0.01)
        a:barrier(1)
        fails("a barrier needs an array made by mf.array.shared", function()
            array(1):barrier(1)
        end)
        fails("must be positive", a.barrier, a, 0)
    end)
end)
