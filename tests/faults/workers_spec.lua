-- What happens when tasks and workers go wrong. Each case provokes one row of the list of faults, named by its number.
local core = require("moonfleet.core")
local errors = require("moonfleet.error")
local mf = require("moonfleet")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local H = require("tests.conformance.helper")

-- Busy in one call of the C library: for seconds with n = 30, and at most for some tenths with n = 22.
local STUCK = "return (('a'):rep(%d)):find(('a?'):rep(%d) .. ('a'):rep(%d))"

local function stuck(n)
    return load(STUCK:format(n, n, n))
end

local function serves(pool)
    for i = 1, 2 * pool:workers() do
        assert.equal(i * i, H.value(core.submit(pool, nil, H.square, i)))
    end
end

local BACKENDS = { "threads", "sequential" }

for _, backend in ipairs({ "threads", "sequential", "processes" }) do
    describe("a task's errors under " .. backend, function()
        local pool

        setup(function()
            pool = core.pool(backend, { workers = 1 })
        end)
        teardown(function()
            pool:close()
        end)

        it("W1: a string comes with position, traceback and the task's label", function()
            local ok, err, info = H.result(core.submit(pool, { label = "fit" }, load("error('x')", "=w1.lua")))
            assert.is_false(ok)
            assert.equal("w1.lua:1: x", err)
            assert.same({ "error", "fit", backend .. "/1" }, { info.kind, info.label, info.worker })
            H.has(info.traceback, "w1.lua:1: in ")
            serves(pool)
        end)

        it("W2: any other value comes as it is, or by its words", function()
            local cases = {
                ["error({ code = 1 })"] = function(e)
                    return e.code == 1
                end,
                ["error(nil)"] = function(e)
                    return e == nil
                end,
                ["error(io.stdout)"] = function(e)
                    return e:find("^file %(") ~= nil
                end,
                ["error(setmetatable({ io.stdout }, { __tostring = function() error('again') end }))"] = function(e)
                    return e == "(error object is a table value)"
                end,
                ["error(setmetatable({ 7 }, { __tostring = function() error('again') end }))"] = function(e)
                    return e[1] == 7
                end,
            }
            for code, right in pairs(cases) do
                local ok, err, info = H.result(core.submit(pool, nil, load(code)))
                assert.is_false(ok)
                assert.is_true(right(err), code)
                assert.equal("error", info.kind)
            end
            serves(pool)
        end)

        if backend ~= "processes" then -- where it ends the worker; see processes_spec.lua
            it("W3: os.exit ends the task, not the program", function()
                local caught = "pcall(os.exit, 3) while true do end"
                for _, code in ipairs({ "os.exit(0)", "os.exit(3)", "os.exit(true, true)", caught }) do
                    local ok, err = H.result(core.submit(pool, nil, load(code)))
                    assert.is_false(ok)
                    H.has(err, "was called in a task")
                end
                serves(pool)
            end)
        end

        it("W14: a task that always fails is given up after its retries, and others finish", function()
            program.with_folder(function(folder)
                local bad = core.submit(pool, { retries = 3, retry_on_error = true },
                    load("local f = io.open(..., 'a') f:write('x') f:close() os.exit(1)"), folder .. "/attempts")
                local good = core.submit(pool, nil, H.square, 3)
                assert.is_false((H.result(bad)))
                assert.equal(9, H.value(good))
                assert.equal("xxxx", program.read_file(folder .. "/attempts"))
                local once = core.submit(pool, { retries = 3 },
                    load("local f = io.open(..., 'a') f:write('y') f:close() error('x')"), folder .. "/once")
                assert.is_false((H.result(once)))
                assert.equal("y", program.read_file(folder .. "/once"))
            end)
        end)

        it("W22: an error while a task is decoded is the task's, and the worker lives", function()
            local ok, err, info
            program.with_folder(function(folder)
                local path = package.path
                program.write_file(folder .. "/w22_module.lua", "return { get = function() return 22 end }")
                package.path = folder .. "/?.lua;" .. path -- which the pool's workers do not know
                local get = require("w22_module").get
                ok, err, info = H.result(core.submit(pool, nil, get))
                package.path, package.loaded.w22_module = path, nil
            end)
            assert.is_false(ok)
            assert.equal("error", info.kind)
            H.has(err, "w22_module")
            serves(pool)
            ok, err = H.result(core.submit(pool, { packages = { "w22.nothing" } }, H.square, 2))
            assert.is_false(ok)
            H.has(err, "w22.nothing")
            serves(pool)
        end)

        it("W23: __gc and __close that raise or exit do not change a result", function()
            local codes = {
                "setmetatable({}, { __gc = function() error('late') end }) return 1",
                "setmetatable({}, { __gc = function() os.exit(3) end }) return 1",
                "kept = setmetatable({}, { __gc = error }) return 1",
                "package.loaded.w23 = setmetatable({}, { __gc = error }) return 1",
            }
            for _, code in ipairs(codes) do
                assert.equal(1, H.value(core.submit(pool, nil, load(code))), code)
                H.result(core.submit(pool, nil, load("collectgarbage() collectgarbage()")))
                serves(pool)
            end
            local ok, err = H.result(core.submit(pool, nil, load(
                "local x <close> = setmetatable({}, { __close = function() error('closing', 0) end }) return 1")))
            assert.same({ false, "closing" }, { ok, err })
            serves(pool)
        end)
    end)
end

describe("tasks that do not end", function()
    local endless = {
        ["W8: a loop"] = "while true do end",
        ["W9: a loop in pcall"] = "local function f() while true do end end while true do pcall(f) end",
        ["W9: a loop in a coroutine"] = "while true do coroutine.wrap(function() while true do end end)() end",
        ["W9: a loop that takes its hook off"] = "while true do pcall(function() debug.sethook() while true do "
            .. "for i = 1, 1 << 24 do end error('stop', 0) end end) end",
    }
    for _, backend in ipairs({ "threads", "processes" }) do
        for name, code in pairs(endless) do
            it(name .. " is ended by its time limit: " .. backend, function()
                local pool = core.pool(backend, { workers = 1, grace = 0.1 })
                local before = core.now()
                local ok, err, info = H.result(core.submit(pool, { timeout = 0.05 }, load(code)))
                assert.is_false(ok)
                assert.equal(errors.metatable, getmetatable(err))
                assert.equal("timeout", info.kind)
                serves(pool)
                assert.is_true(core.now() - before < 10)
                pool:close()
            end)
        end
    end

    it("W10: an endless C call is reported, its worker replaced, and the program ends", function()
        local before = core.now()
        local r = program.script(([[
            local mf = require("moonfleet")
            mf.plan("threads", { workers = 2, grace = 0.1 })
            local f = mf.future({ timeout = 0.1, label = "stuck" }, function() %s end)
            local ok, err, info = f:result()
            print(ok, info.kind, err)
            print(mf.map(mf.range(100), function(x) return x end)[100])
            local g = mf.future(function() %s end)
            g:wait(0.05)
            g:cancel()
            print(g:state(), mf.future(function() return "served" end):value())]])
            :format(STUCK:format(30, 30, 30), STUCK:format(30, 30, 30)), nil, { deadline = 20 })
        assert.equal(0, r.code, r.err)
        assert.equal("false\ttimeout\ttimeout of future 'stuck': no result within 0.1 s\n"
            .. "100\ncancelled\tserved\n", r.out)
        assert.is_true(core.now() - before < 10)
    end)

    it("W10: so it is in a worker that the end of the program finds stuck", function()
        local before = core.now()
        local r = program.script(("require('moonfleet').future(function() %s end):wait(0.05)")
            :format(STUCK:format(30, 30, 30)), nil, { deadline = 20 })
        assert.equal(0, r.code, r.err)
        assert.equal("moonfleet: 1 future was still running and has been cancelled\n", r.err)
        assert.is_true(core.now() - before < 10)
    end)

    for _, backend in ipairs({ "threads", "processes" }) do
        it("W24: when all workers are stuck, waiting futures still get workers: " .. backend, function()
            local pool = core.pool(backend, { workers = 2, grace = 0.05 })
            local bad, good = {}, {}
            for i = 1, 2 do
                bad[i] = core.submit(pool, { timeout = 0.05 }, stuck(22))
            end
            for i = 1, 20 do
                good[i] = core.submit(pool, nil, H.square, i)
            end
            for i = 1, 20 do
                assert.equal(i * i, H.value(good[i]))
            end
            for i = 1, 2 do
                assert.is_true(bad[i]:wait(H.LIMIT))
            end
            pool:close()
        end)
    end
end)

describe("W12: memory that runs out in Lua", function()
    local limited = program.has("prlimit") and not fails.sanitized() and it or pending
    for _, backend in ipairs(BACKENDS) do
        limited("is the task's error, and the worker serves on: " .. backend, function()
            local r = program.shell("prlimit --as=400000000 " .. program.command({ "-e", [[
                local mf = require("moonfleet")
                local f = mf.future(function()
                    local t = {}
                    for i = 1, 100 do t[i] = ("x"):rep(1 << 24) .. i end
                end)
                print(f:result())
                print(mf.future(function() return #(("x"):rep(1 << 24)) end):value())]] }):gsub("^exec ", ""),
                { env = { MOONFLEET_PLAN = backend } })
            assert.equal(0, r.code, r.err)
            assert.matches("^false\tnot enough memory\ttable: [^\n]*\n16777216\n$", r.out)
        end)
    end
end)

for _, backend in ipairs({ "threads", "processes" }) do
    describe("cancel and resize under " .. backend, function()
        it("W26: a cancel that races with completion leaves one outcome", function()
            local pool = core.pool(backend, { workers = 2 })
            local counts = { done = 0, cancelled = 0 }
            for i = 1, 10000 do
                local f = core.submit(pool, nil, H.square, i)
                local changed
                if i % 4 == 0 then
                    changed = f:cancel()
                elseif i % 4 == 1 then
                    f:wait(0)
                    changed = f:cancel()
                elseif i % 4 == 2 then
                    local g = core.submit(pool, nil, H.square, i)
                    changed = f:cancel()
                    g:cancel()
                else
                    for k = 1, i % 400 do
                        changed = k
                    end
                    changed = f:cancel() and changed ~= false
                end
                local state = f:state()
                if state ~= "done" and not (state == "cancelled" and changed) or f:cancel() then
                    error(("future %d is %s, and cancel returned %s"):format(i, state, tostring(changed)))
                end
                counts[state] = counts[state] + 1
                local ok, value = f:result()
                if ok ~= (state == "done") or ok and value ~= i * i then
                    error(("future %d is %s, but its result is another"):format(i, state))
                end
            end
            assert.equal(10000, counts.done + counts.cancelled)
            serves(pool)
            pool:close()
        end)

        it("W27: plans that change while tasks run lose no task", function()
            local plan = mf.plan()
            local list = {}
            for i = 1, 300 do
                if i % 3 == 1 then
                    mf.plan(backend, { workers = i % 4 + 1, grace = 0.05 })
                end
                if i % 50 == 0 then
                    list[i] = mf.future({ timeout = 0.02 }, stuck(25))
                else
                    list[i] = mf.future(H.square, i)
                end
            end
            for i = 1, 300 do
                assert.is_true(list[i]:wait(H.LIMIT), tostring(i))
                assert.equal(i % 50 ~= 0, (list[i]:result()))
            end
            mf.plan(plan)
        end)
    end)
end
