-- What becomes of futures, pool and processes when worker processes die: each case names the fault it provokes.
local mf = require("moonfleet")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local pid, lives = processes.pid, processes.lives

-- Tasks end their own worker: the shell that os.execute starts has the worker as its parent.
local function die(signal)
    os.execute("kill -" .. signal .. " $PPID")
    while true do
        math.abs(1)
    end
end

local function square(x)
    return x * x
end

describe("a worker process that dies", function()
    local before

    before_each(function()
        before = mf.plan("processes", { workers = 2, grace = 0.2 })
    end)

    after_each(function()
        mf.plan(before)
    end)

    local function assert_serves()
        local results = mf.map(mf.range(20), square, { chunk = 1 })
        assert.equal(20, results.n)
        assert.equal(400, results[20])
    end

    local function assert_lost(f, how)
        local ok, err, info = f:result()
        assert.is_false(ok)
        assert.equal("lost", f:state())
        assert.equal("lost", info.kind)
        assert.equal("lost", err.kind)
        H.has(tostring(err), how)
        H.has(tostring(err), f:worker())
    end

    local signals = { KILL = "SIGKILL", SEGV = "SIGSEGV", ABRT = "SIGABRT", TERM = "SIGTERM" }
    if fails.sanitized() then
        signals.SEGV, signals.ABRT = nil, nil -- sanitizers catch these and exit
    end
    for signal, how in pairs(signals) do
        it("W5-W7: loses its future with the signal's name: " .. how, function()
            local other = mf.future(square, 7)
            assert_lost(mf.future(die, signal), how)
            assert.equal(49, other:value())
            assert_serves()
        end)
    end

    it("W3: by os.exit loses its future with the exit code", function()
        assert_lost(mf.future(function() os.exit(3) end), "exited with code 3")
        assert_lost(mf.future(function() os.exit(0) end), "exited with code 0")
        assert_serves()
    end)

    it("says what it last wrote to its stderr", function()
        local f = mf.future(function()
            os.execute("echo 'disk on fire' >&2")
            os.exit(4)
        end)
        assert_lost(f, "disk on fire")
    end)

    it("W4: while it is idle costs nothing but its replacement", function()
        local first = mf.future(pid):value()
        os.execute("kill -9 " .. first)
        H.eventually(function() return not lives(first) end, "the worker to die")
        assert_serves()
        assert.not_equal(first, mf.future(pid):value())
    end)

    it("P3: is not tried again unless retries were asked for", function()
        local marks = os.tmpname()
        local function once(path)
            local file = io.open(path, "a")
            file:write("x")
            file:close()
            if io.open(path):read("a") == "x" then
                os.exit(1)
            end
            return "survived"
        end
        assert_lost(mf.future(once, marks), "exited with code 1")
        os.remove(marks)
        assert.equal("survived", mf.future({ retries = 1 }, once, marks):value())
        os.remove(marks)
    end)

    it("W14: every time is given up after its retries, and the others finish", function()
        local bad = mf.future({ retries = 3 }, function() os.exit(9) end)
        local good = mf.map(mf.range(50), square, { chunk = 1 })
        assert.equal(2500, good[50])
        assert_lost(bad, "exited with code 9")
    end)

    it("does not take what was sent ahead along", function()
        mf.map(mf.range(2000), square, { chunk = 1 }) -- now tasks are known to be short
        local futures = {}
        for i = 1, 200 do
            futures[i] = mf.future(function(k)
                if k == 100 then
                    os.exit(5)
                end
                return k
            end, i)
        end
        for i = 1, 200 do
            if i == 100 then
                assert_lost(futures[i], "exited with code 5")
            else
                assert.equal(i, futures[i]:value())
            end
        end
    end)

    it("is replaced by one that has been set up like it", function()
        mf.everywhere(function(value)
            local marks = require("string") -- a table that stays in the worker
            marks.value, marks.calls = value, (marks.calls or 0) + 1
        end, 17)
        local function look()
            local marks = require("string")
            return marks.value, marks.calls
        end
        assert.same({ 17, 1 }, { mf.future(look):value() })
        for _ = 1, 3 do
            assert_lost(mf.future(die, "KILL"), "SIGKILL")
        end
        for _ = 1, 4 do
            assert.same({ 17, 1 }, { mf.future(look):value() })
        end
    end)

    it("does not keep the code of maps that are over", function()
        -- What the system could take at any time (pages.h) does not count.
        local function held(number)
            mf.future(collectgarbage):value()
            mf.future(collectgarbage):value()
            local sums = io.open(("/proc/%d/smaps_rollup"):format(number)):read("a")
            return tonumber(sums:match("Private_Dirty:%s+(%d+) kB"))
        end
        mf.plan("processes", { workers = 1 })
        local worker, early = mf.future(pid):value(), nil
        for i = 1, 40 do
            local large = ("x"):rep(2000000) .. i
            assert.equal(#large, mf.map({ 1 }, function() return #large end)[1])
            collectgarbage()
            if i == 10 then
                early = held(worker)
            end
        end
        assert.is_true(fails.sanitized() or held(worker) - early < 30000)
    end)

    it("W11: or stops answering is killed when its time is over", function()
        local f = mf.future({ timeout = 0.3 }, die, "STOP")
        local _, err = f:result()
        assert.equal("timeout", err.kind)
        assert_serves()
    end)

    it("W11: or stops answering is lost after three heartbeats", function()
        mf.plan("processes", { workers = 2, heartbeat = 0.1 })
        assert_lost(mf.future(die, "STOP"), "does not answer")
        assert.equal(0.5, mf.future(H.busy, 0.5):value()) -- one that only works is not lost
        assert_serves()
    end)

    it("W10: in one long C call is killed when it is cancelled", function()
        mf.plan("processes", { workers = 1, grace = 0.2 })
        local worker = mf.future(pid):value()
        local f = mf.future(function()
            mf.progress(0.5)
            return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40))
        end)
        H.eventually(function() return f:progress() end, "the task to run")
        assert.is_true(f:cancel())
        assert_serves()
        assert.is_false(lives(worker))
    end)

    it("W18: of a program that cannot be run says its path and why", function()
        program.with_folder(function(folder)
            local cases = {
                { "no_right", "#!/bin/sh\nexit 0\n", "Permission denied" },
                { "no_program", "neither a program nor a script\n", "Exec format error", "x" },
                { "no_shell", "#!/no/such/shell\n", "No such file or directory", "x" },
            }
            for _, case in ipairs(cases) do
                local path = folder .. "/" .. case[1]
                program.write_file(path, case[2])
                if case[4] then
                    os.execute("chmod +x " .. path)
                end
                mf.plan("processes", { workers = 2, program = path })
                local _, err = H.result(mf.future(square, 1))
                H.has(tostring(err), path)
                H.has(tostring(err), case[3])
            end
        end)
    end)

    it("W17, W18: before it can greet makes the plan say so and stop trying", function()
        mf.plan("processes", { workers = 2, program = "/bin/false" })
        assert.equal("lost", select(3, mf.future(square, 1):result()).kind)
        mf.plan("processes", { workers = 2, program = "/no/such/program" })
        local _, err = mf.future(square, 1):result()
        H.has(tostring(err), "/no/such/program")
        H.has(tostring(err), "No such file or directory")
    end)
end)

describe("worker processes", function()
    it("fetch a module that they lack from where the task comes from", function()
        local code = [[
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 1 })
            local name = os.tmpname()
            os.remove(name)
            os.execute("mkdir " .. name)
            local file = io.open(name .. "/far_module.lua", "w")
            file:write("return { answer = function() return 42 end }")
            file:close()
            package.path = name .. "/?.lua"
            print(mf.future(function()
                package.path = "./nowhere/?.lua"
                return require("far_module").answer()
            end):value())
            os.execute("rm -r " .. name)
        ]]
        assert.equal("42\n", program.run({ "-e", code }).out)
    end)
end)
