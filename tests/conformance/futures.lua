local mf = require("moonfleet")
local core = require("moonfleet.core")
local H = require("tests.conformance.helper")

local function fail(text)
    error(text, 0)
end

return function(t, backend)
    local it, assert = t.it, t.assert

    it("tells its state, label, worker and time", function()
        local f = mf.future({ label = "one" }, H.square, 3)
        assert.equal("one", f.label)
        assert.equal(9, H.value(f))
        assert.is_true(f:resolved())
        assert.equal("done", f:state())
        assert.equal("number", type(f:elapsed()))
        H.has(f:worker(), backend.name)
        assert.is_nil(mf.future(H.square, 1).label)
    end)

    it("collects 10,000 futures backwards", function()
        local list = {}
        for i = 1, 10000 do
            list[i] = mf.future(H.square, i)
        end
        for i = 10000, 1, -1 do
            assert(H.value(list[i]) == i * i)
        end
    end)

    it("drops the result of a future that nobody holds", function()
        for i = 1, 1000 do
            mf.future(H.square, i)
        end
        collectgarbage()
        assert.equal(9, H.value(mf.future(H.square, 3)))
    end)

    it("starts a lazy future when it is asked for", function()
        local f = mf.future({ lazy = true }, H.square, 4)
        assert.equal("created", f:state())
        assert.equal(16, H.value(f))
        local never = mf.future({ lazy = true }, H.spin)
        assert.is_true(never:cancel())
        assert.equal("cancelled", never:state())
    end)

    it("gives the value of a future among the arguments", function()
        local a = mf.future(H.square, 3)
        local b = mf.future(H.add, a, 1)
        local c = mf.future(H.add, b, a)
        assert.equal(19, H.value(c))
    end)

    it("runs a chain of dependencies in its order", function()
        local f = mf.future(H.square, 1)
        for _ = 1, 200 do
            f = mf.future(H.add, f, 1)
        end
        assert.equal(201, H.value(f))
    end)

    it("gives it too when it was read before, with its error if it failed", function()
        local first = mf.future(function() return { 1, 2, 3 }, "second" end)
        local none, bad = mf.future(function() end), mf.future(error, { code = 7 })
        assert.equal(3, #H.value(first))
        H.value(none)
        assert.is_false((H.result(bad)))
        assert.equal(6, H.value(mf.future(function(a, b) return #a + #b end, first, first)))
        assert.is_true(H.value(mf.future(function(a) return a == nil end, none)))
        local ok, err = H.result(mf.future(function(a) return a end, bad))
        assert.same({ false, 7 }, { ok, err.code })
        local resolved = H.value(mf.future(function()
            local inner = mf.future(H.square, 4)
            inner:wait()
            return inner
        end))
        assert.equal(25, H.value(mf.future(function(a) return a + 9 end, resolved)))
        assert.same({ { 1, 2, 3 }, "second" }, { first:value() })
    end)

    it("starts a lazy dependency", function()
        local lazy = mf.future({ lazy = true }, H.square, 5)
        assert.equal(26, H.value(mf.future(H.add, lazy, 1)))
    end)

    it("fails when a dependency fails, with its error", function()
        local bad = mf.future(fail, "no input")
        local ok, err = H.result(mf.future(H.add, bad, 1))
        assert.is_false(ok)
        H.has(tostring(err), "no input")
    end)

    it("refuses an unresolved future that is captured in another way", function()
        local f = mf.future({ lazy = true }, H.square, 3)
        H.has(tostring(H.failure(mf.future, function()
            return f
        end)), "future")
        H.has(tostring(H.failure(mf.future, H.add, { f }, 1)), "future")
        f:cancel()
    end)

    it("yields itself in a coroutine until it is resolved", function()
        local f = mf.future(H.busy, 0.02)
        local co = coroutine.create(function()
            return f:await(), "done"
        end)
        local value, last
        repeat
            local ok, a, b = coroutine.resume(co)
            assert.is_true(ok, a)
            if coroutine.status(co) == "suspended" then
                assert.equal(f, a)
                assert.is_true(a:wait(H.LIMIT))
            end
            value, last = a, b
        until coroutine.status(co) == "dead"
        assert.equal(0.02, value)
        assert.equal("done", last)
        assert.equal(0.02, f:await())
    end)

    it("raises its error from await", function()
        H.has(H.failure(function()
            mf.future(fail, "in await"):await()
        end), "in await")
    end)

    it("takes options and a function that is a table", function()
        local callable = setmetatable({ n = 5 }, {
            __call = function(self, x)
                return self.n + x
            end,
        })
        assert.equal(7, H.value(mf.future(callable, 2)))
        assert.equal(8, H.value(mf.future({ label = "x" }, callable, 3)))
    end)

    it("carries what a task says about itself", function()
        local f = mf.future(function()
            mf.progress(0.5, "half")
        end)
        H.value(f)
        local fraction, text = f:progress()
        assert.equal(0.5, fraction)
        assert.equal("half", text)
    end)

    it("sleeps for as long as it is told, here and in tasks", function()
        local function naps()
            local start = mf.now()
            mf.sleep(0.01)
            return mf.now() - start
        end
        assert.is_true(naps() >= 0.01)
        assert.is_true(H.value(mf.future(naps)) >= 0.01)
        assert.matches("mf.sleep: the time must be a number of seconds", H.failure(mf.sleep, -1))
        assert.matches("not true", H.failure(mf.sleep, true))
    end)

    it("waits with a timeout", function()
        local f = mf.future(H.square, 2)
        assert.is_true(f:wait(H.LIMIT))
        assert.is_true(f:wait(0))
        assert.equal(4, f:value(0))
    end)

    if backend.asynchronous then
        it("gives up waiting but lets the task run", function()
            local f = mf.future(H.spin)
            assert.is_false(f:wait(0))
            assert.is_false(f:wait(0.01))
            assert.equal("timeout", H.failure(f.value, f, 0.01).kind)
            assert.is_false(f:resolved())
            assert.is_true(f:cancel())
            assert.is_true(f:wait(H.LIMIT))
        end)

        it("goes on while its creator sleeps", function()
            local path = os.tmpname()
            local f = mf.future(function()
                return os.remove(path)
            end)
            H.eventually(function()
                mf.sleep(0.001)
                return not io.open(path)
            end, "the file to go")
            assert.is_true(H.value(f))
        end)

        it("ends a task that sleeps when it is cancelled, or its time is over", function()
            local f = mf.future(mf.sleep, 1000)
            H.eventually(function()
                return f:state() == "running"
            end, "the task to run")
            assert.is_true(f:cancel())
            assert.is_true(f:wait(H.LIMIT))
            assert.equal("timeout", H.failure(H.value, mf.future({ timeout = 0.01 }, mf.sleep, 1000)).kind)
        end)

        it("runs what has a higher priority first", function()
            mf.with_plan({ backend.level(1) }, function()
                local gate = mf.future(H.busy, 0.1)
                H.eventually(function()
                    return gate:state() == "running"
                end, "the gate to run")
                local low = mf.future({ priority = -1 }, core.now)
                local middle = mf.future(core.now)
                local high = mf.future({ priority = 5 }, core.now)
                assert.is_true(H.value(high) < H.value(middle))
                assert.is_true(H.value(middle) < H.value(low))
            end)
        end)
    end
end
