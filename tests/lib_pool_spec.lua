-- Pools as Lua objects.
local core = require("moonfleet.core")
local H = require("tests.conformance.helper")

local one = load("return 1")
local spin = load("while true do end")
local stuck = load("return (('a'):rep(24)):find(('a?'):rep(24) .. ('a'):rep(24))") -- in one C call

describe("core.backends", function()
    it("lists the names that core.pool takes", function()
        local names = core.backends()
        assert.is_true(#names >= 2)
        for _, name in ipairs(names) do
            local hosts = { { name = "here", host = "here", transport = "local" } }
            local pool = core.pool(name, { hosts = name == "cluster" and hosts or nil })
            assert.equal(name, pool:name())
            pool:close()
        end
        H.has(H.failure(core.pool, "magic", {}), "threads")
    end)
end)

describe("a pool", function()
    it("tells what it is", function()
        local pool = core.pool("threads", { workers = 3 })
        assert.same({ "threads", 3, true }, { pool:name(), pool:workers(), pool:asynchronous() })
        assert.same({ 0, 0, 0 }, { pool:counts() })
        pool:close()
        local s = core.pool("sequential", { workers = 1 })
        assert.same({ "sequential", 1, false }, { s:name(), s:workers(), s:asynchronous() })
        s:close()
    end)

    it("starts workers on demand, and no more than it has", function()
        local pool = core.pool("threads", { workers = 2 })
        local list = {}
        for i = 1, 5 do
            list[i] = core.submit(pool, nil, spin)
        end
        H.eventually(function()
            local queued, running, started = pool:counts()
            return queued == 3 and running == 2 and started == 2
        end, "two workers to be busy")
        for _, f in ipairs(list) do
            f:cancel()
        end
        assert.equal(5, core.wait(list, 5, nil, H.LIMIT))
        assert.equal(1, H.value(core.submit(pool, nil, one)))
        pool:close()
    end)

    it("runs a task at once when it is not asynchronous", function()
        local pool = core.pool("sequential", {})
        local f = core.submit(pool, nil, one)
        assert.equal("done", f:state())
        pool:close()
    end)

    it("is closed once, cancels what it has, and says so afterwards", function()
        local pool = core.pool("threads", { workers = 1 })
        local running, queued, lazy = core.submit(pool, nil, spin), core.submit(pool, nil, one),
            core.submit(pool, { lazy = true }, one)
        local waiting = core.submit(pool, nil, H.square, running)
        pool:close()
        pool:close()
        for _, f in ipairs({ running, queued, lazy, waiting }) do
            assert.equal("cancelled", f:state())
            local ok, _, info = f:result()
            assert.is_false(ok)
            assert.equal("cancelled", info.kind)
        end
        H.has(H.failure(core.submit, pool, nil, one), "closed")
        H.has(H.failure(pool.counts, pool), "closed")
        H.has(H.failure(pool.retire, pool), "closed")
        H.has(H.failure(pool.everywhere, pool, one), "closed")
        assert.equal("threads", pool:name())
    end)

    it("ends after its grace time though a task does not", function()
        local pool = core.pool("threads", { workers = 1, grace = 0.1 })
        local f = core.submit(pool, nil, stuck)
        H.eventually(function()
            return f:state() == "running"
        end, "the task to run")
        local before = core.now()
        pool:close()
        assert.is_true(core.now() - before < 2)
        assert.equal("cancelled", f:state())
    end)

    it("that is retired does what it has and lets its workers go", function()
        local pool = core.pool("threads", { workers = 2 })
        local list = {}
        for i = 1, 50 do
            list[i] = core.submit(pool, nil, H.square, i)
        end
        pool:retire()
        for i = 1, 50 do
            assert.equal(i * i, H.value(list[i]))
        end
        H.eventually(function()
            return select(3, pool:counts()) == 0
        end, "the workers to leave")
        pool:close()
    end)

    it("that nobody holds does what it has", function()
        local f
        do
            local pool = core.pool("threads", { workers = 1 })
            f = core.submit(pool, nil, load("for i = 1, 3000000 do end return 'end'"))
        end
        collectgarbage()
        collectgarbage()
        assert.equal("end", H.value(f))
    end)

    it("refuses what it cannot be", function()
        for _, n in ipairs({ 0, -1, 1 << 20, math.maxinteger, math.mininteger }) do
            assert.is_false((pcall(core.pool, "threads", { workers = n })), tostring(n))
        end
        for _, given in ipairs({ { workers = 1.5 }, { workers = "x" }, { grace = "x" }, { queue_bytes = {} } }) do
            assert.is_false((pcall(core.pool, "threads", given)))
        end
        assert.is_false((pcall(core.pool, "threads")))
        assert.is_false((pcall(core.pool)))
    end)

    it("makes submit wait while its queue is full", function()
        local pool = core.pool("threads", { workers = 1, queue_bytes = 1 << 16 })
        local text, list = ("x"):rep(1 << 14), {}
        local length = load("local s = ... for i = 1, 100000 do end return #s")
        for i = 1, 40 do
            list[i] = core.submit(pool, nil, length, text)
            assert.is_true((pool:counts()) <= 5)
        end
        for i = 1, 40 do
            assert.equal(1 << 14, H.value(list[i]))
        end
        pool:close()
    end)
end)

describe("pool:everywhere", function()
    for _, backend in ipairs({ "threads", "sequential" }) do
        it("runs once on each worker and on those that start later, under " .. backend, function()
            local pool = core.pool(backend, { workers = backend == "threads" and 3 or 1, grace = 0.1 })
            local n = pool:workers()
            local list = pool:everywhere(load("le_count = (le_count or 0) + ... return le_count"), 1)
            assert.equal(n, list.n)
            for i = 1, n do
                assert.equal(1, H.value(list[i]))
                assert.equal(backend .. "/" .. i, list[i]:worker())
            end
            for i = 1, n do
                assert.equal(1, H.value(core.submit(pool, { worker = i }, load("return le_count"))))
            end
            if backend == "threads" then
                -- A worker that is given up is replaced by one that has been set up as well.
                local f = core.submit(pool, { worker = 2, timeout = 0.05 }, stuck)
                assert.is_true(f:wait(H.LIMIT))
                assert.equal(1, H.value(core.submit(pool, { worker = 2 }, load("return le_count"))))
            end
            pool:close()
        end)
    end

    it("that fails makes workers that start later say so", function()
        local pool = core.pool("threads", { workers = 1, grace = 0.05 })
        local list = pool:everywhere(load("if not le_first then le_first = true error('no set-up') end"))
        assert.is_false((H.result(list[1])))
        local f = core.submit(pool, { timeout = 0.05 }, stuck)
        assert.is_true(f:wait(H.LIMIT))
        local ok, err, info = H.result(core.submit(pool, nil, one))
        assert.is_false(ok)
        assert.equal("lost", info.kind)
        H.has(tostring(err), "could not be set up")
        pool:close()
    end)

    it("names what cannot be sent", function()
        local pool = core.pool("threads", { workers = 1 })
        H.has(H.failure(pool.everywhere, pool, one, 1, coroutine.create(one)), "argument 2")
        assert.is_false((pcall(pool.everywhere, pool)))
        assert.is_false((pcall(pool.everywhere, pool, "x")))
        pool:close()
    end)
end)
