local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local set = load("cl_value = (...) return cl_value")
local get = load("return cl_value")

for _, given in ipairs({ { backend = "threads", workers = 2 }, { backend = "sequential" } }) do
    describe("a cluster of " .. given.backend, function()
        it("calls a function on every worker and keeps what it sets", function()
            local cl <close> = mf.cluster(given)
            assert.equal(given.workers or 1, cl:workers())
            local results = cl:call(set, 5)
            assert.equal(cl:workers(), results.n)
            for i = 1, results.n do
                assert.equal(5, results[i])
            end
            for _ = 1, 4 do
                assert.equal(5, H.value(cl:future(get)))
            end
            assert.is_nil(get())
        end)

        it("exports, maps and makes futures", function()
            local cl <close> = mf.cluster(given)
            cl:export({ cl_value = 7 })
            assert.equal(7, H.value(cl:future(get)))
            assert.same({ 7, 7, n = 2 }, cl:map({ 1, 2 }, get))
            assert.same({ 1, 4, n = 2 }, cl:map({ 1, 2 }, H.square, { chunk = 1 }))
            assert.equal("x", cl:future({ label = "x" }, H.square, 2).label)
        end)

        it("runs each call on another worker", function()
            local cl <close> = mf.cluster(given)
            local names = cl:call(load("return require('moonfleet.core').worker()"))
            local seen = {}
            for i = 1, names.n do
                assert.is_nil(seen[names[i]])
                seen[names[i]] = true
            end
        end)

        it("names the worker of an error", function()
            local cl <close> = mf.cluster(given)
            local err = H.failure(cl.call, cl, function()
                error("bad", 0)
            end)
            assert.equal("bad (worker 1 of cluster:call)", err)
            H.has(H.failure(cl.map, cl, { 1 }, function()
                error("bad", 0)
            end), "bad (element 1 of cluster:map)")
        end)

        it("cannot be used after it was closed", function()
            local cl = mf.cluster(given)
            local again
            do
                local scoped <close> = cl
                again = scoped
            end
            again:close()
            for _, name in ipairs({ "map", "future", "call", "export", "workers" }) do
                H.has(H.failure(cl[name], cl, {}, H.square), ("cluster:%s: the cluster is closed"):format(name))
            end
            assert.equal("cluster (closed)", tostring(cl))
        end)
    end)
end

describe("mf.cluster", function()
    it("cancels what runs when it is closed", function()
        local cl = mf.cluster(2)
        local running, queued = {}, cl:future({ priority = -1 }, H.square, 2)
        for i = 1, 2 do
            running[i] = cl:future(H.spin)
        end
        cl:close()
        for i = 1, 2 do
            assert.is_true(running[i]:wait(H.LIMIT))
            assert.is_false((running[i]:result()))
        end
        assert.is_true(queued:wait(H.LIMIT))
    end)

    it("takes a number or options", function()
        local cl <close> = mf.cluster(3)
        assert.equal(3, cl:workers())
        assert.equal("cluster (threads:3)", tostring(cl))
        local all <close> = mf.cluster()
        assert.equal(mf.cores(), all:workers())
    end)

    it("names wrong arguments", function()
        H.has(H.failure(mf.cluster, "x"), 'mf.cluster: expected a number of workers or options, not "x"')
        H.has(H.failure(mf.cluster, 0), "mf.cluster: option 'workers' must be a positive integer up to 4096, not 0")
        H.has(H.failure(mf.cluster, { backend = "warp" }), "mf.cluster: there is no plan 'warp'")
        H.has(H.failure(mf.cluster, { hosts = {} }), "mf.cluster: option 'hosts' names no host")
        H.has(H.failure(mf.cluster, { backend = "threads", hosts = { "a" } }), "mf.cluster: unknown option 'hosts'")
        local cl <close> = mf.cluster(1)
        H.has(H.failure(cl.export, cl, 5), "cluster:export: expected a table of names and values, not 5")
        H.has(H.failure(cl.export, cl, { 5 }), "cluster:export: names of globals are strings, not 1")
        H.has(H.failure(cl.call, cl, 5), "cluster:call: expected a function, not 5")
        H.has(H.failure(cl.map, {}, { 1 }, H.square), "cluster:map: expected a cluster, not a table")
    end)
end)

describe("mf.export and mf.everywhere", function()
    it("reach the workers that join later", function()
        mf.with_plan("threads:2", function()
            mf.export({ cl_value = "early" })
            mf.everywhere(load("cl_other = 'set'"))
            for _ = 1, 20 do
                assert.equal("early", H.value(mf.future(get)))
                assert.equal("set", H.value(mf.future(load("return cl_other"))))
            end
        end)
    end)

    it("replace a worker that was given up without losing them", function()
        mf.with_plan("threads:1", function()
            mf.export({ cl_value = "kept" })
            local f = mf.future(H.spin)
            f:cancel()
            assert.is_true(f:wait(H.LIMIT))
            assert.equal("kept", H.value(mf.future(get)))
        end)
    end)

    it("are forgotten when the plan changes", function()
        mf.with_plan("threads:1", function()
            mf.export({ cl_value = 1 })
        end)
        mf.with_plan("threads:1", function()
            assert.is_nil(H.value(mf.future(get)))
        end)
    end)

    it("name what is wrong", function()
        H.has(H.failure(mf.export, 5), "mf.export: expected a table of names and values, not 5")
        H.has(H.failure(mf.everywhere, 5), "mf.everywhere: expected a function, not 5")
        H.has(H.failure(mf.export, { co = coroutine.create(print) }), "cannot send a coroutine")
        H.has(H.failure(mf.everywhere, error, "bad", 0), "bad (worker 1 of mf.everywhere)")
    end)
end)
