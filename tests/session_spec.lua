-- What a Lua state that makes futures has: its runtime, remembered code, noted failures, and its end.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local H = require("tests.conformance.helper")

-- Resident memory in KiB.
local function resident()
    return tonumber(program.read_file("/proc/self/status"):match("VmRSS:%s*(%d+)"))
end

local function threads()
    return tonumber(program.read_file("/proc/self/status"):match("Threads:%s*(%d+)"))
end

describe("a session", function()
    it("starts no thread before there is a task", function()
        local r = program.script([[
            local core = require("moonfleet.core")
            local pool = core.pool("threads", { workers = 4 })
            local lazy = core.submit(pool, { lazy = true }, print)
            local file = io.open("/proc/self/status")
            print(file:read("a"):match("Threads:%s*(%d+)"), select(3, pool:counts()))]])
        assert.equal("1\t0\n", r.out)
    end)

    it("keeps nothing of futures that could not be made", function()
        local pool = core.pool("threads", { workers = 1 })
        local text = ("x"):rep(100000)
        local function big()
            return text
        end
        local co = coroutine.create(big)
        local function attempts(n)
            for _ = 1, n do
                assert.is_false((pcall(core.submit, pool, nil, big, co)))
                assert.is_false((pcall(core.submit, pool, nil, load("return ..."), text, co)))
                assert.is_false((pcall(pool.everywhere, pool, big, co)))
                assert.is_false((pcall(core.submit, pool, { worker = 7 }, big)))
            end
            collectgarbage()
            collectgarbage()
        end
        attempts(20)
        local before = resident()
        attempts(300)
        assert.is_true(fails.sanitized() or resident() - before < 20000)
        assert.equal("ok", H.value(core.submit(pool, nil, load("return 'ok'"))))
        pool:close()
    end)

    it("makes futures inside of what a future sends", function()
        -- The second message is built behind the first one, which is not complete yet.
        local pool = core.pool("sequential", {})
        local inner
        local value = setmetatable({}, {
            __save = function()
                inner = core.submit(pool, nil, load("return ..."), "inner", ("y"):rep(5000))
                return "saved"
            end,
            __load = load("return 'loaded ' .. ..."),
        })
        local text = ("x"):rep(5000)
        local ok, a, b, c = pcall(function()
            return H.value(core.submit(pool, nil, load("return ..."), text, value, text))
        end)
        if ok and inner then
            assert.same({ text, "loaded saved", text }, { a, b, c })
            assert.equal("inner", (H.value(inner)))
        end
        assert.equal(text, H.value(core.submit(pool, nil, load("return ..."), text)))
        pool:close()
    end)

    it("in a task is one of its own", function()
        local r = program.script([[
            local mf = require("moonfleet")
            mf.plan({ { "threads", workers = 2 }, { "threads", workers = 2 } })
            mf.seed(1)
            local double = load("return ... * 2")
            local function inner(x) return require("moonfleet").future(double, x):value() end
            local results = mf.map(mf.range(20), inner)
            print(results[20])]])
        assert.equal("40\n", r.out)
    end)

    it("leaves no thread when all pools are closed", function()
        local function use()
            for _ = 1, 20 do
                local pool = core.pool("threads", { workers = 3 })
                for _ = 1, 6 do
                    core.submit(pool, { timeout = 60 }, load("return 1"))
                end
                pool:close()
            end
        end
        use()
        local before = threads() -- the one that looks after time limits stays
        use()
        assert.equal(before, threads())
    end)

    it("gives pools that nobody holds any more back", function()
        local before = threads()
        for _ = 1, 50 do
            local pool = core.pool("threads", { workers = 1 })
            assert.equal(1, H.value(core.submit(pool, nil, load("return 1"))))
        end
        collectgarbage()
        collectgarbage()
        local other = core.pool("sequential", {})
        H.eventually(function()
            core.submit(other, nil, load("return 1")):value()
            return threads() <= before
        end, "the threads to end")
        other:close()
    end)
end)

describe("at the end of the program", function()
    local function run(code)
        return program.script("local core = require('moonfleet.core') local mf = require('moonfleet') "
            .. "local spin = load('while true do end') " .. code, nil, { deadline = 20 })
    end

    it("what still runs is cancelled, whoever holds it", function()
        local before = core.now()
        for _, code in ipairs({
            "mf.future(spin)",
            "f = mf.future(spin)",
            "for i = 1, 100 do mf.future(spin) end",
            "p = core.pool('threads', {}) core.submit(p, nil, spin)",
            "core.submit(core.pool('threads', {}), nil, spin)",
        }) do
            local r = run(code)
            assert.equal(0, r.code)
            assert.matches("^moonfleet: %d+ futures? w[ae][sr]e? still running and ha[sv]e? been cancelled\n$", r.err)
        end
        assert.is_true(core.now() - before < 10)
    end)

    it("finalizers may use what is left", function()
        local r = run([[
            local f, g = mf.future(load("return 5")), mf.future(spin)
            f:wait()
            setmetatable({}, { __gc = function()
                print(f:value(), f:state(), g:state(), g:cancel(), g:resolved())
                print(pcall(mf.future, spin))
                print(pcall(core.pool, "threads", {}))
                print(pcall(core.streams, 1))
                print(pcall(mf.map, { 1 }, spin))
            end })]])
        assert.equal(0, r.code)
        assert.matches("^5\tdone\tcancelled\tfalse\ttrue\n", r.out)
        local _, count = r.out:gsub("interpreter is closing", "")
        assert.equal(4, count, r.out .. r.err)
    end)

    it("os.exit leaves at once, with and without closing", function()
        local r = run("mf.future(spin) os.exit(5)")
        assert.equal(5, r.code)
        r = run("local f = mf.future(spin) f:wait(0.01) os.exit(6, true)")
        assert.equal(6, r.code)
    end)

    it("a lazy future that was never asked for does not count", function()
        local r = run("local f = mf.future({ lazy = true }, spin)")
        assert.equal("", r.err)
        assert.equal(0, r.code)
    end)
end)

describe("core.note", function()
    it("shows a traceback with the error it belongs to", function()
        local r = program.script("local core = require('moonfleet.core') core.note('x', 'remote words') error('x', 0)")
        assert.equal(1, r.code)
        assert.matches("^moonfleet: x\nremote words\nstack traceback:\n", r.err)
        r = program.script("local core = require('moonfleet.core') core.note('x', 'remote words') error('y', 0)")
        assert.is_nil(r.err:find("remote", 1, true))
        r = program.script("local core = require('moonfleet.core') core.note('x', 'w') core.note('x') error('x', 0)")
        assert.matches("^moonfleet: x\nstack traceback:\n", r.err)
        r = program.script("local core = require('moonfleet.core') local t = {} core.note(t, 'w') error(t)")
        assert.matches("^moonfleet: %(error object is a table value%)\nw\n", r.err)
    end)
end)
