-- Futures as Lua objects: what can be asked of them, and what they say to wrong questions.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local identity = load("return ...")
local spin = load("while true do end")

describe("a future", function()
    local pool

    setup(function()
        pool = core.pool("threads", { workers = 1 })
    end)
    teardown(function()
        pool:close()
    end)

    it("has states, in their order", function()
        local gate = core.submit(pool, nil, spin)
        local waiting = core.submit(pool, nil, identity, gate)
        local queued = core.submit(pool, nil, identity, 1)
        local lazy = core.submit(pool, { lazy = true }, identity, 2)
        assert.same({ "created", "queued", "created" }, { waiting:state(), queued:state(), lazy:state() })
        H.eventually(function()
            return gate:state() == "running"
        end, "the task to run")
        assert.is_nil(gate:elapsed())
        assert.equal("threads/1", gate:worker())
        assert.is_nil(queued:worker())
        assert.is_false(gate:resolved())
        gate:cancel()
        assert.equal("cancelled", gate:state())
        assert.equal(1, H.value(queued))
        assert.equal("done", queued:state())
        assert.equal("cancelled", waiting:state())
        assert.equal("created", lazy:state())
        assert.is_false(lazy:resolved())
        assert.equal(2, H.value(lazy))
        assert.equal("failed", (function()
            local f = core.submit(pool, nil, error)
            f:wait(H.LIMIT)
            return f:state()
        end)())
    end)

    it("tells how long its task took", function()
        local f = core.submit(pool, nil, load("local now = require('moonfleet.core').now local stop = now() + 0.05 "
            .. "while now() < stop do end"))
        H.value(f)
        assert.is_true(f:elapsed() >= 0.05 and f:elapsed() < 5)
    end)

    it("has a label, and prints as it", function()
        local f = core.submit(pool, { label = "fit" }, identity)
        H.value(f)
        assert.equal("fit", f.label)
        assert.equal("future 'fit' (done)", tostring(f))
        local g = core.submit(pool, nil, identity)
        H.value(g)
        assert.is_nil(g.label)
        assert.matches("^future %d+ %(done%)$", tostring(g))
        assert.is_nil(g.no_such_field)
        assert.is_nil(g[1])
        assert.is_false((pcall(function()
            g.label = "x"
        end)))
    end)

    it("waits as long as it is told", function()
        local f = core.submit(pool, nil, spin)
        for _, seconds in ipairs({ 0, -1, -1 / 0, 1e-9, 0.02 }) do
            local before = core.now()
            assert.is_false(f:wait(seconds))
            assert.is_true(core.now() - before >= math.max(seconds, 0))
            local err = H.failure(f.value, f, seconds)
            assert.equal("timeout", err.kind)
            assert.equal(0, core.wait({ f }, 1, nil, seconds))
        end
        assert.is_false((pcall(f.wait, f, 0 / 0)))
        assert.is_false((pcall(f.value, f, 0 / 0)))
        assert.is_false((pcall(core.wait, { f }, 1, nil, 0 / 0)))
        assert.is_false((pcall(f.wait, f, "long")))
        f:cancel()
        for _, seconds in ipairs({ 1 / 0, 1e300, 1e18, 0, -1 }) do
            assert.is_true(f:wait(seconds))
        end
        local g = core.submit(pool, nil, identity, 1)
        assert.is_true(g:wait(1e300))
    end)

    it("is one of several to wait for", function()
        local gate = core.submit(pool, { timeout = 5 }, spin)
        local list = { gate, core.submit(pool, nil, identity, 1), core.submit(pool, nil, identity, 2) }
        assert.equal(0, core.wait(list, 3, 1, 0.01))
        assert.equal(0, core.wait(list, 3, 0))
        assert.equal(0, core.wait(list, 3, -5))
        assert.equal(0, core.wait({}, 0))
        gate:cancel()
        assert.is_true(core.wait(list, 3, 1, H.LIMIT) >= 1)
        assert.equal(3, core.wait(list, 3, 100, H.LIMIT))
        assert.is_false((pcall(core.wait, list, 4)))
        assert.is_false((pcall(core.wait, list, -1)))
        for _, n in ipairs({ 1 << 61, (1 << 61) + 1, math.maxinteger, 1 << 40 }) do
            assert.is_false((pcall(core.wait, list, n)))
        end
    end)

    it("may be pinned to a worker that there is", function()
        local three = core.pool("threads", { workers = 3 })
        for i = 3, 1, -1 do
            local f = core.submit(three, { worker = i }, identity)
            H.value(f)
            assert.equal("threads/" .. i, f:worker())
        end
        assert.is_false((pcall(core.submit, three, { worker = 4 }, identity)))
        assert.is_false((pcall(core.submit, three, { worker = -1 }, identity)))
        three:close()
    end)

    it("goes before others of lower priority", function()
        local gate, order = core.submit(pool, nil, spin), {}
        H.eventually(function()
            return gate:state() == "running"
        end, "the task to run")
        local note = load("local l = package.loaded l.lf_order = (l.lf_order or '') .. ... return l.lf_order")
        for _, x in ipairs({ { 0, "c" }, { -5, "e" }, { 7, "a" }, { 0, "d" }, { 7, "b" } }) do
            order[#order + 1] = core.submit(pool, { priority = x[1] }, note, x[2])
        end
        gate:cancel()
        assert.equal(5, core.wait(order, 5, nil, H.LIMIT))
        assert.equal("abcde", H.value(core.submit(pool, nil, load("return package.loaded.lf_order"))))
    end)

    it("runs on when nobody holds it", function()
        core.submit(pool, nil, load("package.loaded.lf_ran = true"))
        collectgarbage()
        assert.is_true(H.value(core.submit(pool, nil, load("return package.loaded.lf_ran"))))
        for _ = 1, 100 do
            core.submit(pool, { lazy = true }, spin)
        end
        collectgarbage()
        collectgarbage()
        assert.equal(1, H.value(core.submit(pool, nil, identity, 1)))
        assert.equal(0, (pool:counts()))
    end)

    it("that is unresolved is sent only as an argument of its own", function()
        local gate = core.submit(pool, nil, spin)
        H.has(H.failure(core.submit, pool, nil, identity, { gate }), "it is not resolved yet")
        H.has(H.failure(core.submit, pool, nil, function()
            return gate
        end), "upvalue 'gate'")
        gate:cancel()
        gate:wait(H.LIMIT)
    end)

    it("has as methods what is in core.methods", function()
        core.methods.lf_test = function(f, x)
            return f:value() + x
        end
        local f = core.submit(pool, nil, identity, 1)
        f:wait(H.LIMIT)
        assert.equal(3, f:lf_test(2))
        core.methods.lf_test = nil
        assert.is_nil(f.lf_test)
    end)
end)

describe("core.is_future", function()
    it("knows futures from all else", function()
        local pool = core.pool("sequential", {})
        assert.is_true(core.is_future(core.submit(pool, nil, identity)))
        for _, v in ipairs({ 1, "x", {}, print, io.stdout, pool, setmetatable({}, core.future_metatable) }) do
            assert.is_false(core.is_future(v))
        end
        assert.is_false(core.is_future())
        pool:close()
    end)
end)

-- Calls every function that the core has with arguments drawn from a heap of values. Each call may fail, and the
-- program has to be alive and well afterwards.
local WRONG = [[
    local core, backend, seed, calls = require("moonfleet.core"), arg[1], tonumber(arg[2]), tonumber(arg[3])
    math.randomseed(seed)
    local identity = load("return ...")
    local pool, sequential = core.pool(backend, { workers = 2 }), core.pool("sequential", {})
    local closed = core.pool("threads", {})
    closed:close()
    local done, bad = core.submit(pool, nil, identity, 1, 2), core.submit(pool, nil, error, "x")
    local code = core.code(nil, identity)
    local chunk = core.chunk(pool, code, nil, "list", 1, 3, { 1, 2, 3 })
    local collected = core.chunk(pool, code, { collect = true }, "range", 1, 3, 1, 1)
    core.wait({ done, bad, chunk, collected }, 4, nil, 10)
    collected:collect({}, {}, {})
    local values = {
        false, true, 0, 1, -1, 3, 2.5, 0 / 0, 1 / 0, -1 / 0, 1e300, -1e300, "", "x", "threads", "list", "range", "star",
        "pairs", {}, { 1, 2, 3 }, { done, bad }, { n = 3 }, { mode = "fold" }, { mode = "mapfold" }, { mode = "each" },
        { label = "x", retries = -1, timeout = -3 }, { retries = 0 / 0, timeout = 0 / 0, priority = 1e300 },
        { worker = 1e300 }, { worker = 3 }, { worker = -1 }, { worker = 1 }, { output = "x" }, { output = 7 },
        { mode = 7 }, { collect = true, offset = -7 }, { globals = { x = print } },
        { globals = 7, skip = 8, packages = 9 },
        { packages = { "nope" } }, { lazy = true }, { setup = true }, { seed = 1.5 }, { seed = 7 }, { workers = 2 },
        { workers = 0 }, { true, "label", 1, n = 1 }, { false, 1, {}, {}, {}, n = 3 }, { n = -1 },
        setmetatable({}, { __index = error, __name = 1 }), print, identity, coroutine.create(print), io.stdout,
        pool, sequential, closed, done, bad, code, chunk, collected, core, core.methods, string,
    }
    local functions = {}
    local function add(t, what)
        for name, fn in pairs(t) do
            if type(fn) == "function" and name ~= "close" and name ~= "retire" and name ~= "sleep" then
                functions[#functions + 1] = { what .. "." .. name, fn }
            end
        end
    end
    add(core, "core")
    add(core.methods, "methods")
    add(core.future_metatable, "future")
    add(getmetatable(pool), "pool")
    add(getmetatable(pool).__index, "pool methods")
    add(getmetatable(code), "code")
    table.sort(functions, function(a, b) return a[1] < b[1] end)
    local raised = 0
    for i = 1, calls do
        local fn, args, n = functions[math.random(#functions)], {}, math.random(0, 8)
        for k = 1, n do
            if math.random(8) > 1 then args[k] = values[math.random(#values)] end
        end
        if fn[1]:find("__gc") and core.is_future(args[1]) or args[1] == pool and fn[1] == "pool.__gc" then
            args[1] = bad
        end
        local ok = pcall(fn[2], table.unpack(args, 1, n))
        raised = raised + (ok and 0 or 1)
    end
    assert(raised > calls / 4)
    local f = core.submit(core.pool(backend, { workers = 1 }), nil, identity, "alive")
    f:wait(20)
    print(f:value())
    os.exit(0, true)]]

describe("wrong arguments", function()
    for _, backend in ipairs({ "threads", "sequential" }) do
        it("never do more than raise an error, under " .. backend, function()
            for seed = 1, 4 do
                local r = program.script(WRONG, { backend, seed, 8000 }, { deadline = 50 })
                assert.equal(0, r.code, ("seed %d: %s"):format(seed, r.err))
                assert.equal("alive\n", r.out:sub(-6))
            end
        end)
    end
end)
