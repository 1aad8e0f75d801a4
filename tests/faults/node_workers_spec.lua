-- What becomes of a node when its tasks go wrong: workers that die, that do not stop, that start processes. Each case
-- names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local pid = processes.pid

local function stuck()
    return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40))
end

-- Busy for seconds in one call, but not for ever, since a thread that is in one cannot be ended.
local function long_call()
    return ("a"):rep(23):find(("a?"):rep(23) .. ("a"):rep(23))
end

-- A future that has said that it runs.
local function running(options, fn)
    local f = mf.future(options, function()
        mf.progress(0.5)
        return fn()
    end)
    H.eventually(function()
        f:wait(0.001)
        return f:progress()
    end, "the task to run")
    return f
end

local function assert_serves()
    local results = mf.map(mf.range(40), H.square, { chunk = 1 })
    for i = 1, 40 do
        assert.equal(i * i, results[i])
    end
    assert.same({ a = 2, b = 2 }, nodes.counts())
end

describe("a worker process of a node that dies", function()
    local plan = { workers = 2, isolate = true }

    local signals = { KILL = "killed by SIGKILL", SEGV = "killed by SIGSEGV", ABRT = "killed by SIGABRT",
        TERM = "killed by SIGTERM" }
    if fails.sanitized() then
        signals.SEGV, signals.ABRT = nil, nil -- sanitizers catch these and exit
    end
    for name, words in pairs(signals) do
        it("W5-W7: loses its future only, and is replaced: " .. name, function()
            nodes.with({ "a", "b" }, plan, function()
                local other = running({}, function()
                    return H.busy(0.3)
                end)
                local f = mf.future(function(signal)
                    os.execute("kill -" .. signal .. " $PPID")
                    os.execute("exec sleep 1000")
                end, name)
                local _, err = H.result(f)
                nodes.assert_lost(f, words)
                assert.matches("worker processes/%d " .. words .. ".* %(host [ab]%)", tostring(err))
                assert.equal(0.3, H.value(other))
                assert_serves()
            end)
        end)
    end

    it("W3: by os.exit, says with what code", function()
        nodes.with({ "a", "b" }, plan, function()
            for _, code in ipairs({ 0, 3 }) do
                nodes.assert_lost(mf.future(os.exit, code), "exited with code " .. code)
            end
            assert_serves()
        end)
    end)

    it("says what it last wrote to its stderr", function()
        nodes.with({ "a" }, plan, function()
            nodes.assert_lost(mf.future(function()
                os.execute("echo 'disk on fire' >&2")
                os.exit(4)
            end), "disk on fire")
        end)
    end)

    it("P3, W14: is tried again only where that was asked for, and given up at last", function()
        nodes.with({ "a", "b" }, plan, function()
            local path = os.tmpname()
            local function mark(file, most)
                local f <close> = io.open(file, "a+")
                f:write("x")
                f:flush()
                f:seek("set")
                if #f:read("a") <= most then
                    os.exit(1)
                end
                return "survived"
            end
            nodes.assert_lost(mf.future(mark, path, 1), "exited with code 1")
            assert.equal("survived", H.value(mf.future({ retries = 1 }, mark, path, 1)))
            nodes.assert_lost(mf.future({ retries = 3 }, mark, path, 1000), "exited with code 1")
            local file <close> = io.open(path)
            assert.equal(("x"):rep(1 + 1 + 4), file:read("a"))
            os.remove(path)
        end)
    end)

    it("leaves the node as it was", function()
        nodes.with({ "a" }, plan, function()
            local function node()
                return H.value(mf.future(function()
                    return io.open("/proc/self/stat"):read("a"):match("^%d+ %(.*%) %a (%d+)")
                end))
            end
            local before = node()
            for _ = 1, 5 do
                nodes.assert_lost(mf.future(os.exit, 1), "exited with code 1")
            end
            assert.equal(before, node())
            assert.not_equal(before, tostring(H.value(mf.future(pid))))
        end)
    end)

    it("and was set up is replaced by one that is set up", function()
        nodes.with({ "a", "b" }, plan, function()
            mf.export({ exported = "here" })
            for _ = 1, 4 do
                nodes.assert_lost(mf.future(os.exit, 1), "exited with code 1")
            end
            for _ = 1, 12 do
                assert.equal("here", H.value(mf.future(load("return exported"))))
            end
        end)
    end)

    it("W4: while it is idle costs nothing but its replacement", function()
        nodes.with({ "a" }, { workers = 1, isolate = true }, function()
            local first = H.value(mf.future(pid))
            nodes.signal(first, "KILL")
            H.eventually(function()
                return not processes.lives(first)
            end, "the worker to die")
            assert.not_equal(first, H.value(mf.future(pid)))
        end)
    end)

    it("W11: or falls silent is lost after three heartbeats of its node", function()
        nodes.with({ "a" }, { workers = 1, isolate = true }, function()
            local f = mf.future({ timeout = 0.5 }, function()
                os.execute("kill -STOP $PPID")
                return H.spin() -- the thread may run on for a moment
            end)
            local _, err = H.result(f)
            assert.equal("timeout", err.kind)
            assert.equal(4, H.value(mf.future(H.square, 2)))
        end)
    end)
end)

for _, kind in ipairs({ "threads", "processes" }) do
    local isolate = kind == "processes"

    describe("a task that does not end, on a node of " .. kind .. ",", function()
        local plan = { workers = 2, isolate = isolate, grace = 0.2 }

        for what, fn in pairs({ ["a loop"] = H.spin, ["a loop in pcall"] = H.spin_in_pcall,
            ["a loop in a coroutine"] = H.spin_in_coroutine }) do
            it("W8, W9: is cancelled: " .. what, function()
                nodes.with({ "a", "b" }, plan, function()
                    local list = {}
                    for i = 1, 4 do
                        list[i] = running({}, fn)
                    end
                    for i = 1, 4 do
                        assert.is_true(list[i]:cancel())
                        assert.equal("cancelled", list[i]:state())
                    end
                    assert_serves()
                end)
            end)

            it("W8, W9: is ended by its time limit: " .. what, function()
                nodes.with({ "a", "b" }, plan, function()
                    local f = mf.future({ timeout = 0.1 }, fn)
                    local ok, err = H.result(f)
                    assert.same({ false, "timeout" }, { ok, err.kind })
                    assert_serves()
                end)
            end)
        end

        it("W10: in one long C call is cancelled, and its slot serves on", function()
            nodes.with({ "a", "b" }, plan, function()
                local list = {}
                for i = 1, 4 do
                    list[i] = running({}, isolate and stuck or long_call)
                end
                for i = 1, 4 do
                    assert.is_true(list[i]:cancel())
                end
                assert_serves()
            end)
        end)

        it("W10: in one long C call is ended by its time limit, and its slot serves on", function()
            nodes.with({ "a", "b" }, plan, function()
                local list = {}
                for i = 1, 4 do
                    list[i] = mf.future({ timeout = 0.1 }, isolate and stuck or long_call)
                end
                for i = 1, 4 do
                    local ok, err = H.result(list[i])
                    assert.same({ false, "timeout" }, { ok, err.kind })
                end
                assert_serves()
            end)
        end)

        it("W10: in one long C call takes nothing of its slot's next task's time", function()
            nodes.with({ "a" }, { workers = 1, isolate = isolate, grace = 1.5 }, function()
                local f = running({}, function()
                    return ("a"):rep(26):find(("a?"):rep(26) .. ("a"):rep(26)) -- for several seconds, but not for ever
                end)
                assert.is_true(f:cancel())
                assert.equal(4, H.value(mf.future({ timeout = 1 }, H.square, 2)))
            end)
        end)

        it("W26: is cancelled in a race with its end, and has one outcome", function()
            nodes.with({ "a", "b" }, plan, function()
                local counts = { done = 0, cancelled = 0 }
                local n = fails.sanitized() and 500 or 3000
                for i = 1, n do
                    local f = mf.future(H.square, i)
                    local g = i % 3 == 0 and mf.future(H.square, i)
                    for k = 1, i % 700 do
                        counts.k = k
                    end
                    if i % 2 == 0 then
                        f:wait(0)
                    end
                    local changed = f:cancel()
                    assert(f:state() == (changed and "cancelled" or "done"), f:state())
                    counts[f:state()] = counts[f:state()] + 1
                    if g then
                        assert(H.value(g) == i * i)
                    end
                end
                assert.equal(n, counts.done + counts.cancelled)
                assert_serves()
            end)
        end)
    end)
end

describe("W21: what a task on a node has started", function()
    local function start()
        local pipe = io.popen("echo $$; exec sleep 1000")
        local behind = io.popen("sleep 1000 >/dev/null & echo $!")
        mf.progress(0.5, ("%d %d"):format(pipe:read("n"), behind:read("n")))
        behind:close()
        package.loaded.kept = pipe
    end

    local function numbers_of(f)
        local a, b
        H.eventually(function()
            f:wait(0.001)
            a, b = (select(2, f:progress()) or ""):match("(%d+) (%d+)")
            return a
        end, "the processes to start")
        return { tonumber(a), tonumber(b) }
    end

    local function assert_gone(numbers)
        local ok, err = pcall(processes.wait_until_gone, numbers)
        processes.kill(numbers)
        assert.is_true(ok, err)
    end

    it("ends with a worker process that is killed", function()
        nodes.with({ "a" }, { workers = 1, isolate = true, grace = 0.2 }, function()
            local f = mf.future(function()
                start()
                return stuck()
            end)
            local numbers = numbers_of(f)
            f:cancel()
            assert_gone(numbers)
            assert.equal(4, H.value(mf.future(H.square, 2)))
        end)
    end)

    for _, signal in ipairs({ "KILL", "TERM" }) do
        it("ends with its node: " .. signal, function()
            for _, isolate in ipairs({ true, false }) do
                nodes.with({ "a" }, { workers = 1, isolate = isolate }, function()
                    local f = mf.future(start)
                    local numbers = numbers_of(f)
                    H.value(f)
                    local node = H.value(mf.future(function(processes_too)
                        local stat = io.open("/proc/self/stat"):read("a")
                        return tonumber(stat:match(processes_too and "^%d+ %(.*%) %a (%d+)" or "^%d+"))
                    end, isolate))
                    nodes.signal(node, signal)
                    H.eventually(function()
                        return not processes.lives(node)
                    end, "the node to die")
                    assert.equal(4, H.value(mf.future(H.square, 2))) -- whoever makes it sees that the node is gone
                    assert_gone(numbers)
                end)
            end
        end)
    end
end)
