local mf = require("moonfleet")
local errors = require("moonfleet.error")
local H = require("tests.conformance.helper")

local function assert_serves(assert)
    for i = 1, 2 * mf.workers() do
        assert.equal(i * i, H.value(mf.future(H.square, i)))
    end
end

return function(t, backend)
    local it, assert = t.it, t.assert

    it("leaves a resolved future as it is", function()
        local f = mf.future(H.square, 3)
        H.value(f)
        assert.is_false(f:cancel())
        assert.equal("done", f:state())
        assert.equal(9, f:value())
    end)

    if not backend.asynchronous then
        return
    end

    local function started(fn, ...)
        local f = mf.future(fn, ...)
        H.eventually(function()
            return f:state() == "running"
        end, "the task to run")
        return f
    end

    for _, name in ipairs({ "spin", "spin_in_pcall", "spin_in_coroutine" }) do
        it("interrupts a running task: " .. name, function()
            local f = started(H[name])
            assert.is_true(f:cancel())
            local ok, err, info = H.result(f)
            assert.is_false(ok)
            assert.equal(errors.metatable, getmetatable(err))
            assert.equal("cancelled", err.kind)
            assert.equal("cancelled", info.kind)
            assert.equal("cancelled", f:state())
            assert.is_false(f:cancel())
            assert_serves(assert)
        end)
    end

    it("drops queued tasks", function()
        local gates, queued = {}, {}
        for i = 1, mf.workers() do
            gates[i] = started(H.spin)
        end
        for i = 1, 100 do
            queued[i] = mf.future(H.spin)
            local state = queued[i]:state()
            assert.is_true(state == "queued" or state == "sent", state)
        end
        for i = 100, 1, -1 do
            assert.is_true(queued[i]:cancel())
            assert.equal("cancelled", queued[i]:state())
        end
        for _, f in ipairs(gates) do
            f:cancel()
            assert.is_true(f:wait(H.LIMIT))
        end
        assert_serves(assert)
    end)

    it("cancels what depends on a cancelled future", function()
        local first = started(H.spin)
        local second = mf.future(H.add, first, 1)
        first:cancel()
        local ok = H.result(second)
        assert.is_false(ok)
        assert_serves(assert)
    end)

    it("ends exactly once when a cancel races with the end", function()
        for _ = 1, 500 do
            local f = mf.future(H.square, 2)
            local changed = f:cancel()
            assert.is_true(f:wait(H.LIMIT))
            local state = f:state()
            assert(state == "done" or changed and state == "cancelled", state)
        end
        assert_serves(assert)
    end)

    it("cancels a map that is a future", function()
        local f = mf.map_async({ 1, 2, 3, 4, 5, 6 }, H.spin)
        assert.is_false(f:wait(0.01))
        assert.is_false(f:resolved())
        assert.is_true(f:cancel())
        assert.is_true(f:wait(H.LIMIT))
        assert.equal("cancelled", f:state())
        assert.equal("cancelled", H.failure(f.value, f).kind)
        assert_serves(assert)
    end)

    it("cancels a map whose consumer has left", function()
        for i in mf.imap(mf.range(1000000), H.square) do
            if i == 2 then
                break
            end
        end
        assert.is_false(pcall(function()
            for _ in mf.imap(mf.range(1000000), H.square) do
                error("leave")
            end
        end))
        local endless = mf.imap(function()
            return 1
        end, H.square)
        assert.equal(1, (endless()))
        assert_serves(assert)
    end)

    it("keeps tasks of a plan that was replaced", function()
        local f
        mf.with_plan({ backend.level(1) }, function()
            f = mf.future(H.busy, 0.02)
        end)
        assert.equal(0.02, H.value(f))
    end)
end
