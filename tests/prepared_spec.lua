-- Code that workers keep between tasks: what is shared by the tasks of a map, and what never is.
local core = require("moonfleet.core")
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

-- A function whose captured values change as it runs.
local function make_counter()
    local n, t = 0, { 0 }
    return function()
        n = n + 1
        t[1] = t[1] + 1
        return n, t[1]
    end
end

describe("the function of a future", function()
    for _, backend in ipairs({ "threads", "sequential" }) do
        it("is fresh for each future, under " .. backend, function()
            local pool = core.pool(backend, { workers = 1 })
            local counter = make_counter()
            for _ = 1, 5 do
                assert.same({ 1, 1 }, { H.value(core.submit(pool, nil, counter)) })
            end
            counter()
            for _ = 1, 3 do
                assert.same({ 2, 2 }, { H.value(core.submit(pool, nil, counter)) })
            end
            pool:close()
        end)
    end

    it("leaves nothing to the next run, whatever it does", function()
        local pool = core.pool("threads", { workers = 1 })
        local codes = {
            "x = (x or 0) + 1 return x",
            "local t = _ENV t.x = (t.x or 0) + 1 return t.x",
            "_G.x = (_G.x or 0) + 1 return _G.x",
            "local s = 'x' _ENV[s] = (_ENV[s] or 0) + 1 return _ENV[s]",
            "return load('x = (x or 0) + 1 return x')()",
            "rawset(_G, 'x', (rawget(_G, 'x') or 0) + 1) return rawget(_G, 'x')",
            "local function inner() x = (x or 0) + 1 return x end return inner()",
            "local f = debug.getinfo(1, 'f').func local name, env = debug.getupvalue(f, 1) "
                .. "env.x = (env.x or 0) + 1 return env.x",
            "debug.getregistry()[2].x = (debug.getregistry()[2].x or 0) + 1 return debug.getregistry()[2].x",
            "require('debug').getregistry()[2].x = (x or 0) + 1 return require('debug').getregistry()[2].x",
            "local env = getmetatable(_ENV) and _ENV env.x = (env.x or 0) + 1 return env.x",
        }
        for _, code in ipairs(codes) do
            local fn = load(code)
            for _ = 1, 4 do
                assert.equal(1, H.value(core.submit(pool, nil, fn)), code)
            end
        end
        pool:close()
    end)

    it("sees each time what it captured and its globals at that time", function()
        local pool = core.pool("threads", { workers = 1 })
        local value = 0
        local get, get_global = function()
            return value
        end, load("return ps_value")
        for i = 1, 40 do
            value, _G.ps_value = i, i
            assert.equal(i, H.value(core.submit(pool, nil, get)))
            assert.equal(i, H.value(core.submit(pool, nil, get_global)))
        end
        _G.ps_value = nil
        pool:close()
    end)

    it("may be any of very many", function()
        local pool = core.pool("threads", { workers = 2 })
        local list = {}
        for i = 1, 500 do
            list[i] = core.submit(pool, nil, load(("return %d, ..."):format(i % 100)), i)
        end
        for i = 1, 500 do
            assert.same({ i % 100, i }, { H.value(list[i]) })
        end
        pool:close()
    end)

    it("may be of any size", function()
        local pool = core.pool("threads", { workers = 1 })
        for _, size in ipairs({ 10, 4000, 5000, 300000 }) do
            local text = ("x"):rep(size)
            local function length()
                return #text
            end
            for _ = 1, 3 do
                assert.equal(size, H.value(core.submit(pool, nil, length)))
            end
        end
        pool:close()
    end)
end)

describe("the function of a map", function()
    it("is the same for all elements of a chunk, and fresh for each chunk", function()
        for _, backend in ipairs({ "threads", "sequential" }) do
            local plan = { { backend, workers = backend == "threads" and 1 or nil } }
            mf.with_plan(plan, function()
                local counter = make_counter()
                for _ = 1, 2 do
                    assert.same({ 1, 1, 1, 1, 1, 1, n = 6 }, mf.map(mf.range(6), counter, { chunk = 1 }))
                    assert.same({ 1, 2, 3, 1, 2, 3, n = 6 }, mf.map(mf.range(6), counter, { chunk = 3 }))
                end
            end)
        end
    end)

    it("that is large is not decoded for every chunk, and its globals are still its own", function()
        local large = {}
        for i = 1, 200000 do
            large[i] = ("%d"):format(i)
        end
        local results = {}
        local pool = core.pool("threads", { workers = 1 })
        local code = core.code({ globals = { ps_given = 1 } }, load([[
            local large = ...
            return function(i)
                ps_seen, ps_given = (ps_seen or 0) + 1, ps_given + 1
                return { ps_seen, ps_given, large[i] }
            end]])(large))
        local chunks = {}
        local before = core.now()
        core.chunk(pool, code, nil, "range", 1, 1, 1, 1):collect(results)
        local first = core.now() - before
        before = core.now()
        for i = 2, 21 do
            chunks[i] = core.chunk(pool, code, nil, "range", i, i, 1, 1)
        end
        for i = 2, 21 do
            assert.is_true((chunks[i]:collect(results)))
            assert.same({ 1, 2, tostring(i) }, results[i])
        end
        assert.is_true(core.now() - before < 10 * first)
        pool:close()
    end)

    it("runs beside others", function()
        local pool = core.pool("threads", { workers = 2 })
        local codes, chunks = {}, {}
        for k = 1, 40 do
            codes[k] = core.code(nil, function(x)
                return k * 1000 + x
            end)
        end
        for i = 1, 10 do
            for k = 1, 40 do
                chunks[#chunks + 1] = { k, i, core.chunk(pool, codes[k], nil, "range", i, i, 1, 1) }
            end
        end
        for _, c in ipairs(chunks) do
            local results = {}
            assert.is_true((c[3]:collect(results)))
            assert.equal(c[1] * 1000 + c[2], results[c[2]])
        end
        pool:close()
    end)

    it("is let go of when the map is over", function()
        local pool = core.pool("threads", { workers = 1 })
        local probe = load([[
            collectgarbage()
            collectgarbage()
            return package.loaded.ps_alive]])
        H.value(core.submit(pool, nil, load("package.loaded.ps_alive = 0")))
        local captured = { ("x"):rep(1 << 20) }
        local code = core.code(nil, function()
            if not captured.token then
                package.loaded.ps_alive = package.loaded.ps_alive + 1
                captured.token = setmetatable({}, {
                    __gc = function()
                        package.loaded.ps_alive = package.loaded.ps_alive - 1
                    end,
                })
            end
        end)
        core.chunk(pool, code, nil, "range", 1, 5, 1, 1):collect({})
        assert.equal(1, H.value(core.submit(pool, nil, probe)))
        code = nil -- luacheck: ignore 311
        collectgarbage()
        collectgarbage()
        H.eventually(function()
            return H.value(core.submit(pool, nil, probe)) == 0
        end, "the worker to let go of the function")
        pool:close()
    end)

    it("has packages required once a worker", function()
        local results = mf.map(mf.range(4), function()
            return package.loaded["moonfleet.range"] ~= nil
        end, { packages = { "moonfleet.range" }, chunk = 1 })
        assert.same({ true, true, true, true, n = 4 }, results)
    end)
end)
