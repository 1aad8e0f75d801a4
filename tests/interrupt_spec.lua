-- Stopping Lua code that runs: what an interrupt reaches, what it leaves behind, and what it must not touch.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local H = require("tests.conformance.helper")

local reaching = fails.delays_signals() and pending or it
local GRACE = 0.2 -- seconds that a pool gives a task which does not stop

local function pool_of(workers, backend)
    return core.pool(backend or "threads", { workers = workers, grace = GRACE })
end

local function state_in_time(f)
    assert.is_true(f:wait(H.LIMIT))
    return f:state()
end

-- Runs fn on the pool's worker until it is interrupted; how long that worker stays busy afterwards is measured by what
-- the next task sees: its hook, and whether it runs in the same Lua state.
local function interrupt(pool, fn, ...)
    H.value(core.submit(pool, nil, load("package.loaded.interrupt_mark = true")))
    local f = core.submit(pool, { timeout = 0.03 }, fn, ...)
    assert.equal("failed", state_in_time(f))
    local _, _, info = f:result()
    assert.equal("timeout", info.kind)
    local hook, same = H.value(core.submit(pool, nil, load("return debug.gethook(), package.loaded.interrupt_mark")))
    assert.is_nil(hook)
    return same == true
end

-- Each spins for ever in its own way.
local SPIN = "local function spin() while true do end end "
local REACHED = {
    ["a loop"] = "spin()",
    ["a loop in pcall in a loop"] = "while true do pcall(spin) end",
    ["a loop in a coroutine"] = "while true do coroutine.wrap(spin)() end",
    ["a coroutine in pcall in a coroutine"] = [[
        while true do
            pcall(coroutine.wrap(function()
                while true do pcall(coroutine.wrap(function() while true do pcall(spin) end end)) end
            end))
        end]],
    ["coroutines resumed in turn"] = [[
        local function yielder() while true do coroutine.yield() end end
        local a, b = coroutine.create(yielder), coroutine.wrap(yielder)
        while true do pcall(coroutine.resume, a) pcall(b) end]],
    ["a coroutine that was made before"] = [[
        local later = coroutine.create(spin)
        pcall(coroutine.wrap(spin))
        coroutine.resume(later)]],
    ["xpcall with a handler"] = "while true do xpcall(spin, debug.traceback) end",
    ["a __close method"] = "local x <close> = setmetatable({}, { __close = spin }) spin()",
    ["a __close method while a coroutine is closed"] = [[
        local co = coroutine.create(function()
            local x <close> = setmetatable({}, { __close = spin })
            coroutine.yield()
        end)
        coroutine.resume(co)
        coroutine.close(co)]],
    ["a __close method of a wrapped coroutine that failed"] = [[
        coroutine.wrap(function()
            local x <close> = setmetatable({}, { __close = spin })
            error("x")
        end)()]],
    ["a metamethod"] = "tostring(setmetatable({}, { __tostring = spin }))",
    ["a callback of string.gsub"] = "return (('a'):rep(1000):gsub('.', spin))",
    ["a comparison of table.sort"] = [[
        local t = {}
        for i = 1, 100000 do t[i] = i end
        while true do table.sort(t, function(a, b) return a > b end) end]],
    ["a reader of load"] = "load(spin)",
    ["a task that has a hook of its own"] = "debug.sethook(function() end, 'l') while true do pcall(spin) end",
    ["tail calls"] = "local function f() return f() end f()",
    ["a loop over an iterator"] = "for _ in function() return 1 end do end",
    ["a goto"] = "::again:: goto again",
}

describe("an interrupt", function()
    local pool

    setup(function()
        pool = pool_of(1)
    end)
    teardown(function()
        pool:close()
    end)

    for name, code in pairs(REACHED) do
        reaching("stops " .. name, function()
            assert.is_true(interrupt(pool, load(SPIN .. code)), "the worker had to be replaced")
        end)
    end

    reaching("leaves a worker that it cannot reach to its replacement", function()
        -- In a message handler of the interrupt's own error, and in __gc methods, Lua permits no hook.
        assert.is_false(interrupt(pool, load(SPIN .. "while true do xpcall(spin, function() "
            .. "package.loaded.interrupt_stop = true for i = 1, 1 << 27 do end end) end")))
        assert.is_false(interrupt(pool, load("for i = 1, 10 do setmetatable({}, { __gc = function() "
            .. "for i = 1, 1 << 27 do end end }) end collectgarbage() while true do end")))
        assert.is_true(interrupt(pool, load("while true do end")))
    end)

    reaching("lets __close methods finish", function()
        assert.is_true(interrupt(pool, load([[
            package.loaded.closed = 0
            local function note()
                for i = 1, 1000 do end
                package.loaded.closed = package.loaded.closed + 1
            end
            local meta = { __close = note }
            local a <close> = setmetatable({}, meta)
            coroutine.wrap(function()
                local b <close> = setmetatable({}, meta)
                coroutine.wrap(function()
                    local c <close> = setmetatable({}, meta)
                    while true do end
                end)()
            end)()]])))
        assert.equal(3, H.value(core.submit(pool, nil, load("return package.loaded.closed"))))
    end)

    reaching("lets __gc methods finish", function()
        assert.is_true(interrupt(pool, load([[
            package.loaded.collected = false
            local x = setmetatable({}, { __gc = function()
                for i = 1, 300000 do end
                package.loaded.collected = true
            end })
            while true do end]])))
        H.value(core.submit(pool, nil, load("collectgarbage() collectgarbage()")))
        assert.is_true(H.value(core.submit(pool, nil, load("return package.loaded.collected"))))
    end)

    reaching("makes a blocking read return", function()
        local f = core.submit(pool, { timeout = 0.05 }, load([[
            local pipe = io.popen("exec sleep 2")
            package.loaded.kept_pipe = pipe
            return pipe:read("a")]]))
        local before = core.now()
        assert.equal("failed", state_in_time(f))
        H.value(core.submit(pool, nil, load("return 1")))
        assert.is_true(core.now() - before < 1.5)
    end)
end)

describe("a cancel", function()
    it("that comes late does not hit the next task", function()
        local pool = pool_of(1)
        local short = load("local n = 0 for i = 1, ... do n = n + i end return n")
        for i = 1, 1500 do
            local f = core.submit(pool, nil, short, i % 300)
            local g = core.submit(pool, nil, short, 100)
            if i % 3 ~= 0 then
                f:wait(0)
            end
            f:cancel()
            if not g:wait(H.LIMIT) or g:state() ~= "done" or g:value() ~= 5050 then
                error("the next task was hit: " .. g:state())
            end
            if f:state() ~= "cancelled" and f:state() ~= "done" then
                error("the task ended as " .. f:state())
            end
        end
        pool:close()
    end)

    it("interrupts what runs and nothing else", function()
        local pool = pool_of(2)
        local spin, short = load("while true do end"), load("for i = 1, 2000000 do end return 'whole'")
        for _ = 1, 20 do
            local f, g = core.submit(pool, nil, spin), core.submit(pool, nil, short)
            H.eventually(function()
                return f:state() == "running" and g:state() ~= "queued"
            end, "both tasks to run")
            assert.is_true(f:cancel())
            assert.equal("whole", H.value(g))
        end
        pool:close()
    end)
end)

describe("coroutines", function()
    it("work and fail as in lua5.4", function()
        local lines = {
            [[print(select("#", coroutine.resume(coroutine.create(function(...) return ... end), 1, nil)))]],
            [[print(coroutine.resume(coroutine.create(function() error("x") end)))]],
            [[local co = coroutine.create(print) coroutine.resume(co) print(coroutine.resume(co))]],
            [[print(pcall(coroutine.resume, 1))]],
            [[print(pcall(coroutine.wrap, 1))]],
            [[print(pcall(coroutine.wrap(function() error("x") end)))]],
            [[print(pcall(coroutine.wrap(function() local x <close> = setmetatable({}, { __close = function(_, e)
                print("closed", e) error("y", 0) end }) error("x") end)))]],
            [[local f = coroutine.wrap(print) f(1) print(pcall(f))]],
            [[print(pcall(coroutine.close, 1))]],
            [[print(pcall(coroutine.close, coroutine.running()))]],
            [[local co co = coroutine.create(function() return pcall(coroutine.wrap(function()
                coroutine.close(co) end)) end) print(coroutine.resume(co))]],
            [[local co = coroutine.create(print) print(coroutine.close(co), coroutine.status(co))]],
            [[local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function()
                error("z", 0) end }) coroutine.yield() end)
              coroutine.resume(co) print(coroutine.close(co)) print(coroutine.status(co))]],
            [[local co = coroutine.create(error) coroutine.resume(co, "e") print(coroutine.close(co))]],
            [[local co = coroutine.wrap(function(...) local t = { ... } while true do
                t = { coroutine.yield(table.unpack(t)) } end end) print(co(1, 2), co(), co(nil, 3))]],
            [[print(coroutine.isyieldable(), coroutine.wrap(coroutine.isyieldable)())]],
            [[local function f(n) return n == 0 and 0 or coroutine.wrap(f)(n - 1) end print(f(100))]],
            [[local function f() return coroutine.wrap(f)() end local ok, e = pcall(f)
              print(ok, (e:gsub("^.*: ", "")))]],
        }
        local text = table.concat(lines, "\n")
        local expected = program.has("lua5.4") and program.script(text, {}, { program = "lua5.4" })
        local got = program.script(text)
        assert.equal(0, got.code, got.err)
        if expected then
            assert.equal(expected.out, got.out)
        end
    end)
end)

describe("os.exit in a task", function()
    local EXITS = {
        ["at the top"] = "os.exit(3)",
        ["in pcall"] = "pcall(os.exit, 3) while true do end",
        ["in a loop of pcalls"] = "while true do pcall(os.exit, 3) end",
        ["in a coroutine"] = "coroutine.wrap(function() os.exit(3) end)() while true do end",
        ["in pcall in coroutines"] = [[
            pcall(coroutine.wrap(function()
                pcall(coroutine.wrap(function() pcall(os.exit, 3) while true do end end))
                while true do end
            end))
            while true do end]],
    }
    for _, backend in ipairs({ "threads", "sequential" }) do
        for name, code in pairs(EXITS) do
            it(("ends only the task: %s, %s"):format(name, backend), function()
                local pool = pool_of(1, backend)
                local f = core.submit(pool, nil, load(code))
                assert.equal("failed", state_in_time(f))
                local ok, err, info = f:result()
                assert.is_false(ok)
                H.has(err, "os.exit(3) was called in a task")
                assert.equal("error", info.kind)
                assert.is_nil(H.value(core.submit(pool, nil, load("return debug.gethook()"))))
                pool:close()
            end)
        end
    end

    it("takes what os.exit takes", function()
        local pool = pool_of(1)
        for code, number in pairs({ ["true"] = 0, ["false"] = 1, [""] = 0, ["7, true"] = 7 }) do
            local _, err = H.result(core.submit(pool, nil, load(("os.exit(%s)"):format(code))))
            H.has(err, ("os.exit(%d)"):format(number))
        end
        local _, err = H.result(core.submit(pool, nil, load("os.exit('x')")))
        H.has(err, "number expected, got string")
        pool:close()
    end)
end)
