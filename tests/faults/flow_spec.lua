-- Much at once: large messages both ways, and workers that take nothing. Each case names the row of the list of faults
-- that it provokes.
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local function resident()
    return tonumber(program.read_file("/proc/self/status"):match("VmRSS:%s+(%d+) kB"))
end

describe("worker processes", function()
    local before

    before_each(function()
        before = mf.plan("processes", { workers = 2, grace = 0.2 })
    end)
    after_each(function()
        mf.plan(before)
    end)

    it("N25: and their master may send each other much at once", function()
        local code = [[
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 2 })
            local text, list = ("abcdefgh"):rep(SIZE / 8), {}
            for i = 1, 8 do list[i] = mf.future(function(s) return s, #s end, text .. i) end
            for i = 1, 8 do
                assert(list[i]:wait(60), list[i]:state())
                local s, n = list[i]:value()
                assert(n == SIZE + 1 and s == text .. i)
            end
            print("whole")]]
        assert.equal("whole\n", program.run({ "-e", (code:gsub("SIZE", "20000000")) }).out)
        -- and through the socket, where no memory can be passed beside it
        fails.with_shim(function(shim)
            local r = program.run({ "-e", (code:gsub("SIZE", "8000000")) },
                { env = { LD_PRELOAD = shim, FAILS = "memfd_create 1 0" } })
            assert.equal("whole\n", r.out, r.err)
        end)
    end)

    it("N24: that take nothing cost no unbounded memory: creation waits, then they are lost", function()
        mf.plan("processes", { workers = 1, heartbeat = 0.1, queue_bytes = 5000000 })
        local text, start = ("x"):rep(1000000), resident()
        local stopped = mf.future(function(s)
            os.execute("kill -STOP $PPID")
            while s do -- the thread may run on for a moment
                math.abs(1)
            end
        end, text)
        local list = {}
        for i = 1, 100 do
            list[i] = mf.future(function(s, k)
                return #s + k
            end, text, i)
        end
        for i = 1, 100 do
            assert.equal(1000000 + i, H.value(list[i]))
        end
        assert.is_false((H.result(stopped)))
        assert.equal("lost", stopped:state())
        collectgarbage()
        assert.is_true(fails.sanitized() or resident() - start < 60000, resident() - start)
    end)
end)
