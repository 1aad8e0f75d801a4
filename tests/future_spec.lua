local mf = require("moonfleet")
local core = require("moonfleet.core")
local errors = require("moonfleet.error")
local H = require("tests.conformance.helper")

describe("moonfleet", function()
    it("has its functions, and nothing that is not there yet", function()
        for _, name in ipairs({
            "plan", "with_plan", "cores", "workers", "future", "value", "wait", "as_completed", "race", "map", "imap",
            "starmap", "map_pairs", "filter", "each", "reduce", "mapreduce", "replicate", "map_async", "range",
            "cluster", "export", "everywhere", "seed", "progress", "now", "share",
        }) do
            assert.equal("function", type(mf[name]), name)
        end
        assert.equal("0.1.0", mf.version)
        assert.equal("function", type(mf.array.zeros))
        assert.is_nil(mf.no_such_thing)
    end)

    it("has a clock that does not go back", function()
        local a = mf.now()
        assert.is_true(mf.now() >= a)
    end)

    it("wants an integer as seed", function()
        H.has(H.failure(mf.seed, "x"), 'mf.seed: the seed must be an integer, not "x"')
    end)
end)

describe("moonfleet.error", function()
    it("makes objects that print as their message", function()
        local e = errors.new({ kind = "lost", message = "the worker died" })
        assert.equal("the worker died", tostring(e))
        assert.is_true(errors.is(e))
        assert.is_false(errors.is({}))
        assert.is_false(errors.is("lost"))
    end)
end)

describe("mf.as_completed", function()
    it("hands out a long list without asking the core about each", function()
        local list = {}
        for i = 1, 10000 do
            list[i] = mf.future(H.square, i)
        end
        mf.wait(list, { timeout = H.LIMIT })
        local calls, wait = 0, core.wait
        core.wait = function(...)
            calls = calls + 1
            return wait(...)
        end
        local n = 0
        for _ in mf.as_completed(list) do
            n = n + 1
        end
        core.wait = wait
        assert.equal(10000, n)
        assert.is_true(calls < 100)
    end)

    it("leaves the list as it is", function()
        local list = { mf.future(H.square, 1), mf.future(H.square, 2), n = 2 }
        local first = list[1]
        for _ in mf.as_completed(list) do
            list[1] = first
        end
        assert.equal(first, list[1])
        assert.equal(2, list.n)
    end)
end)

describe("await", function()
    it("lets one thread of Lua look after several futures", function()
        local log = {}
        local function worker(name, n)
            return coroutine.create(function()
                for i = 1, n do
                    local y = mf.future(H.square, i):await()
                    log[#log + 1] = name .. y
                end
            end)
        end
        local running = { worker("a", 3), worker("b", 3) }
        while #running > 0 do
            for i = #running, 1, -1 do
                local ok, f = coroutine.resume(running[i])
                assert.is_true(ok, f)
                if coroutine.status(running[i]) == "dead" then
                    table.remove(running, i)
                else
                    assert.is_true(f:wait(H.LIMIT))
                end
            end
        end
        table.sort(log)
        assert.same({ "a1", "a4", "a9", "b1", "b4", "b9" }, log)
    end)
end)
