-- C modules that go wrong in a worker process, and how soon that is noticed. Each case names the row of the list of
-- faults that it provokes.
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

describe("a C module in a worker process", function()
    local folder, before, cpath

    setup(function()
        local pipe = io.popen("mktemp -d")
        folder = pipe:read("l")
        pipe:close()
        assert(program.compile("tests/support/crash.c", folder .. "/crash.so", "-shared -fPIC " .. program.lua_flags()))
        cpath = package.cpath
        package.cpath = folder .. "/?.so;" .. cpath
    end)
    teardown(function()
        package.cpath = cpath
        os.execute("rm -r " .. folder)
    end)
    before_each(function()
        before = mf.plan("processes", { workers = 2, grace = 0.2 })
    end)
    after_each(function()
        mf.plan(before)
    end)

    local function serves()
        for i = 1, 6 do
            assert.equal(i, H.value(mf.future(math.abs, -i)))
        end
    end

    -- A task that calls a function of the module.
    local function crash(options, name, ...)
        return mf.future(options, function(...)
            mf.progress(0.5)
            return require("crash")[name](...)
        end, ...), name
    end

    local function assert_lost(f, ...)
        local ok, err = H.result(f)
        assert.is_false(ok)
        assert.equal("lost", f:state())
        local text = tostring(err)
        for _, words in ipairs({ ... }) do
            if text:find(words, 1, true) then
                return
            end
        end
        error(text)
    end

    it("W6, W7: that crashes loses its future with the signal's name", function()
        -- A sanitizer catches some of these, writes what it has to say, and exits.
        local caught = fails.sanitized() and "exited with code" or "SIG"
        assert_lost(crash({}, "segfault"), "killed by SIGSEGV", caught)
        assert_lost(crash({}, "overflow"), "killed by SIGSEGV", caught)
        assert_lost(crash({}, "abort"), "killed by SIGABRT", caught)
        assert_lost(crash({}, "raise", 15), "killed by SIGTERM")
        assert_lost(crash({}, "raise", 9), "killed by SIGKILL (possibly out of memory)")
        assert_lost(crash({}, "raise", 35), "killed by signal 35")
        assert_lost(crash({}, "exit", 77), "exited with code 77")
        serves()
    end)

    it("W6: that crashes takes nobody along, and with retries is given up at last", function()
        local good = {}
        local bad = crash({ retries = 2 }, "segfault")
        for i = 1, 30 do
            good[i] = mf.future(math.abs, -i)
        end
        for i = 1, 30 do
            assert.equal(i, H.value(good[i]))
        end
        assert_lost(bad, "SIGSEGV", "exited with code")
    end)

    it("W10: that never returns is killed by a cancel or a time limit, whatever signals it takes", function()
        for _, stubborn in ipairs({ false, true }) do
            local f = mf.future(function(deaf)
                local module = require("crash")
                if deaf then
                    module.ignore()
                end
                mf.progress(0.5)
                module.spin(deaf)
            end, stubborn)
            H.eventually(function()
                return f:progress()
            end, "the task to run")
            assert.is_true(f:cancel())
            local g = crash({ timeout = 0.1 }, "spin", stubborn)
            local ok, _, info = H.result(g)
            assert.is_false(ok)
            assert.equal("timeout", info.kind)
            serves()
        end
    end)

    it("P4: that never returns and takes no signals ends with a killed master", function()
        local numbers, result = processes.run(([[
            package.cpath = %q .. package.cpath
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 1 })
            local f = mf.future(function()
                mf.progress(0.5, "process " .. io.open("/proc/self/stat"):read("a"):match("^%%d+"))
                require("crash").ignore()
                require("crash").spin(true)
            end)
            repeat f:wait(0.001) until f:progress()
            print((select(2, f:progress())))
            io.stdout:flush()
            f:wait(0.05)
            os.execute("kill -9 $PPID")]]):format(folder .. "/?.so;"))
        assert.equal(1, #numbers, result.err)
        local ok, err = pcall(processes.wait_until_gone, numbers)
        processes.kill(numbers)
        assert.is_true(ok, err)
    end)

    it("W20: that closes descriptors loses its future, or does no harm", function()
        assert_lost(crash({}, "close", 3, 100), "the connection to the master is broken", "closed its connection")
        assert_lost(mf.future(function()
            require("crash").close(3, 3)
            require("crash").spin()
        end), "closed its connection", "Bad file descriptor")
        serves()
        assert.equal(0, select("#", H.value(crash({}, "close", 0, 2))))
        serves()
    end)

    it("W19: that writes to its standard streams reaches the program's, with the worker's name", function()
        local r = program.run({ "-e", ([[
            package.cpath = %q .. package.cpath
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 2 })
            mf.value({ mf.future(function() require("crash").write(1, "one line\n") end),
                mf.future(function() require("crash").write(2, "half a line") end) })]]):format(folder .. "/?.so;") })
        assert.equal(0, r.code, r.err)
        assert.equal("", r.out)
        assert.matches("%[processes/%d%] one line\n", r.err)
        assert.matches("%[processes/%d%] half a line\n", r.err)
    end)

    it("W19: that writes 50 MB to its standard error ends all the same, and no message is hurt", function()
        local r = program.run({ "-e", ([[
            package.cpath = %q .. package.cpath
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 2 })
            local line = ("x"):rep(99) .. "\n"
            local function flood() return require("crash").write(2, line:rep(250000)) end
            local a, b = mf.future(flood), mf.future(flood)
            for i = 1, 20 do assert(mf.future(math.abs, -i):value() == i) end
            print(a:value(), b:value())]]):format(folder .. "/?.so;") }, { deadline = 100 })
        assert.equal("true\ttrue\n", r.out, r.err:sub(1, 300))
        local _, lines = r.err:gsub("%[processes/%d%] " .. ("x"):rep(99) .. "\n", "")
        assert.equal(500000, lines)
    end)

    it("W15: that has broken what its worker needs is lost with the next task, not with a value", function()
        local f = crash({}, "write", 3, "bytes that are no message")
        assert_lost(f, "broke the protocol: unknown message kind")
        serves()
    end)

    -- Not measured, but compared with what takes much longer: a task of five seconds goes on meanwhile.
    for name, how in pairs({
        ["SIGKILL"] = { "raise", 9 },
        ["SIGSEGV"] = { "segfault" },
        ["exit"] = { "exit", 3 },
        ["closed descriptors"] = { "close", 3, 3 },
    }) do
        it("W5: the end of a worker is noticed at once, while others work: " .. name, function()
            local slow = mf.future(H.busy, 5)
            H.eventually(function()
                return slow:state() == "running"
            end, "the long task to run")
            assert_lost(crash({}, table.unpack(how)), "processes/")
            assert.equal("running", slow:state())
            local f = crash({}, table.unpack(how)) -- and while the owner computes and does not wait
            H.eventually(function()
                return f:resolved()
            end, "the future to end")
            assert.equal("lost", f:state())
            assert.equal("running", slow:state())
            assert.is_true(slow:cancel())
        end)
    end
end)
