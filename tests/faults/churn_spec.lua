-- Workers that come, go, freeze and die while their pools work. Each case names the row of the list of faults that it
-- provokes.
local core = require("moonfleet.core")
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local pid = processes.pid

local function resident()
    return tonumber(program.read_file("/proc/self/status"):match("VmRSS:%s+(%d+) kB"))
end

local function descriptors()
    return select(2, program.shell("ls /proc/" .. pid() .. "/fd").out:gsub("\n", ""))
end

describe("worker processes", function()
    local before

    before_each(function()
        before = mf.plan("processes", { workers = 2, grace = 0.2 })
    end)
    after_each(function()
        mf.plan(before)
    end)

    it("W24: that are all dead are replaced, and what waits is done", function()
        local function report(goes_on)
            mf.progress(0.5, io.open("/proc/self/stat"):read("a"):match("^%d+"))
            goes_on()
        end
        local gates = { mf.future(report, H.spin), mf.future(report, H.spin) }
        local list = {}
        for i = 1, 50 do
            list[i] = mf.future(H.square, i)
        end
        for _, gate in ipairs(gates) do
            local number
            H.eventually(function()
                number = select(2, gate:progress())
                return number
            end, "both workers to run")
            os.execute("kill -9 " .. number)
        end
        for i = 1, 50 do
            assert.equal(i * i, H.value(list[i]))
        end
        assert.same({ "lost", "lost" }, { gates[1]:state(), gates[2]:state() })
    end)

    it("W27: that die while they work and are replaced lose nothing that may be tried again", function()
        program.with_folder(function(folder)
            local list = {}
            for i = 1, 300 do
                list[i] = mf.future({ retries = 2 }, function(k)
                    local file <close> = io.open(folder .. "/" .. k, "a")
                    if k % 10 == 0 and file:seek("end") < 2 then -- the first two times
                        file:write("x")
                        file:flush()
                        os.exit(1)
                    end
                    return k
                end, i)
                if i % 60 == 0 then
                    mf.plan("processes", { workers = i % 3 + 1 })
                end
            end
            for i = 1, 300 do
                assert.equal(i, H.value(list[i]))
            end
        end)
    end)

    it("W4, W27: that are killed from outside at any time leave each future one end", function()
        local r = program.shell(program.command({ "-e", [[
            local mf = require("moonfleet")
            mf.plan("processes", { workers = 2 })
            local pid = function() return tonumber(io.open("/proc/self/stat"):read("a"):match("^%d+")) end
            local list, ends, killed = {}, { done = 0, lost = 0 }, 0
            for round = 1, 40 do
                local victim = mf.future({ retries = 5 }, pid):value()
                for i = 1, 30 do list[i] = mf.future({ retries = i % 2 * 5 }, function(k)
                    for _ = 1, 20000 do end
                    return k
                end, i) end
                os.execute("kill -9 " .. victim)
                for i = 1, 30 do
                    assert(list[i]:wait(20), list[i]:state())
                    local state = list[i]:state()
                    ends[state] = ends[state] + 1
                    assert(state == "done" and list[i]:value() == i or state == "lost" and i % 2 == 0)
                end
            end
            assert(ends.done + ends.lost == 1200 and ends.lost <= 40)
            print("whole")]] }))
        assert.equal("whole\n", r.out, r.err)
    end)

    it("M7: that have tasks ahead when their pool is closed leave none without its end", function()
        local pool = core.pool("processes", { workers = 2, grace = 0.1 })
        for i = 1, 200 do -- so that tasks are known to be short
            assert.equal(i * i, H.value(core.submit(pool, nil, H.square, i)))
        end
        local list = {}
        for i = 1, 40 do
            list[i] = core.submit(pool, nil, H.spin)
        end
        H.eventually(function()
            return list[1]:state() == "running"
        end, "the first to run")
        pool:close()
        for i = 1, 40 do
            assert.equal("cancelled", list[i]:state())
        end
    end)

    it("R8: come and go, two hundred times, and leave descriptors and memory as they were", function()
        local function cycle(n)
            for i = 1, n do
                local pool = core.pool("processes", { workers = i % 2 + 1 })
                assert.equal(9, H.value(core.submit(pool, nil, H.square, 3)))
                pool:close()
            end
            collectgarbage()
            collectgarbage()
        end
        cycle(20)
        local fds, memory = descriptors(), resident()
        cycle(200)
        assert.is_true(descriptors() <= fds)
        assert.is_true(fails.sanitized() or resident() - memory < 10000, resident() - memory)
    end)

    it("R5: that are killed while they send much leave no descriptor and no memory", function()
        mf.plan("processes", { workers = 1 })
        local function send()
            local text = ("x"):rep(3000000)
            os.execute("(sleep 0.00$(($$ % 5)); kill -9 $PPID) &")
            local all = {}
            for i = 1, 20 do
                all[i] = text .. i
            end
            return all
        end
        local function round(n)
            for _ = 1, n do
                local f = mf.future(send)
                assert.is_true(f:wait(H.LIMIT))
                pcall(f.result, f)
            end
            mf.plan("processes", { workers = 1 })
            assert.equal(9, H.value(mf.future(H.square, 3)))
            collectgarbage()
            collectgarbage()
        end
        round(5)
        local fds, memory = descriptors(), resident()
        round(20)
        assert.is_true(descriptors() <= fds + 4)
        assert.is_true(fails.sanitized() or resident() - memory < 100000, resident() - memory)
    end)

    it("R10: are not taken for dead where fifty others want their core", function()
        local group = io.popen("echo $$; for i in $(seq 50); do (while :; do :; done) & done; wait")
        local leader = group:read("n")
        mf.plan("processes", { workers = 2, heartbeat = 1 })
        local list = {}
        for i = 1, 4 do
            list[i] = mf.future(H.busy, 0.3)
        end
        local ok, err = pcall(function()
            for i = 1, 4 do
                assert.is_true(list[i]:wait(60))
                assert.equal("done", list[i]:state())
            end
        end)
        os.execute(("kill -9 %d $(cat /proc/%d/task/*/children)"):format(leader, leader))
        group:close()
        assert.is_true(ok, err)
    end)
end)

describe("W11: a worker that is frozen", function()
    local freezer = "/sys/fs/cgroup/freezer"
    local frozen = os.execute("test -w " .. freezer .. "/cgroup.procs") and it or pending

    frozen("is lost, though it cannot even be killed, and its thawed self does no harm", function()
        local group = ("%s/moonfleet-%d"):format(freezer, pid())
        assert(os.execute("mkdir " .. group))
        local before = mf.plan("processes", { workers = 1, heartbeat = 0.1 })
        local number
        local ok, err = pcall(function()
            number = H.value(mf.future(pid))
            local f = mf.future(H.spin)
            H.eventually(function()
                return f:state() == "running"
            end, "the task to run")
            program.write_control(group .. "/cgroup.procs", tostring(number))
            program.write_control(group .. "/freezer.state", "FROZEN")
            local good, lost = H.result(f)
            assert.is_false(good)
            H.has(tostring(lost), "does not answer")
            assert.equal(9, H.value(mf.future(H.square, 3))) -- another worker has its place
            assert.is_true(processes.lives(number))
            program.write_control(group .. "/freezer.state", "THAWED")
            processes.wait_until_gone({ number })
            assert.equal(9, H.value(mf.future(H.square, 3)))
        end)
        program.write_control(group .. "/freezer.state", "THAWED")
        mf.plan(before)
        H.eventually(function()
            return os.execute("rmdir " .. group .. " 2>/dev/null")
        end, "the group to be empty")
        assert.is_true(ok, err)
    end)
end)
