-- Memory that runs out in the master and in its worker processes. Each case names the row of the list of faults that it
-- provokes.
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

describe("R2: allocations that fail one after the other", function()
    -- The n-th one and those behind it fail while a pool starts, works and is closed, for growing n until none fails.
    local SWEEP = [==[
        local core, mf = require("moonfleet.core"), require("moonfleet")
        local width, step = tonumber(arg[1]), tonumber(arg[2])
        local add, loud = load("local a, b = ... return a + b"), load("print('out') return (...):rep(100000)")

        local function work(keep)
            local list = {}
            local pool = core.pool("processes", { workers = 2, grace = 0.2 })
            keep.pool, keep.list = pool, list
            for i = 1, 2 do list[#list + 1] = core.submit(pool, { label = "l", retries = 1 }, loud, "abcd") end
            list[#list + 1] = core.submit(pool, { timeout = 20, priority = 2 }, add, 1, 2)
            list[#list + 1] = core.submit(pool, nil, add, list[3], list[3])
            list[#list + 1] = core.submit(pool, nil, error, { code = 1 })
            local options, code = { collect = true }, core.code(nil, add)
            list[#list + 1] = core.chunk(pool, code, options, "pairs", 1, 4, { 1, 2, {}, 4 }, { 1, 2, 3, 4 })
            if core.wait(list, #list, nil, 20) < #list then os.exit(9) end
            for _, f in ipairs(list) do f:result() end
        end

        local function count(command)
            os.execute("(" .. command .. ") >counted") -- through a file, as a pipe would be counted too
            local file <close> = io.open("counted")
            return select(2, file:read("a"):gsub("[^\n]+", ""))
        end
        local function left() -- descriptors, and processes with the shell that counts them
            return count("ls /proc/$PPID/fd"), count([=[
                for status in $(grep -ls "^PPid:[[:space:]]*$PPID$" /proc/[0-9]*/status); do
                    grep -qs "^State:[[:space:]]*Z" $status || echo $status
                done]=])
        end

        local first = {}
        work(first)
        first.pool:close()
        local fds, children = left()
        local n, failed = 1, 0
        while true do
            local keep = {}
            collectgarbage()
            local order = ("malloc %d %d"):format(n, width)
            local ok = pcall(function() os.getenv(order) work(keep) end)
            local seen = tonumber(os.getenv("off"))
            if keep.list and core.wait(keep.list, #keep.list, nil, 20) < #keep.list then os.exit(10) end
            local sum = keep.list and keep.list[4]
            if sum and sum:state() == "done" and sum:value() ~= 6 then os.exit(11) end
            for _, f in ipairs(keep.list or {}) do pcall(f.result, f) end
            if keep.pool then keep.pool:close() end
            if ok and seen < n then break end
            failed = failed + (ok and 0 or 1)
            n = n + step
        end
        local more_fds, more_children = left()
        if more_fds > fds or more_children > children then
            io.stderr:write(more_fds - fds, " descriptors, ", more_children - children, " processes too many: ")
        end
        mf.plan("processes", { workers = 2 })
        local swept = n > 60 and failed > 10
        io.stderr:write(mf.future(add, 1, 2):value(), swept and " swept" or " not reached", "\n")]==]

    for _, width in ipairs({ 1, 8 }) do
        it(("in the master, %d in a row, are an error, never a crash or a hang"):format(width), function()
            fails.with_shim(function(shim)
                local r = program.script(SWEEP, { width, 1 }, { env = { LD_PRELOAD = shim }, deadline = 100 })
                assert.equal(0, r.code, r.err:sub(-300))
                assert.equal("3 swept\n", r.err:match("[^\n]*\n$"))
            end)
        end)
    end

    it("in the workers cost no more than their futures", function()
        fails.with_shim(function(shim, folder)
            program.write_file(folder .. "/agent", "#!/bin/sh\n"
                .. "FAILS=$AGENT_FAILS LD_PRELOAD=$SHIM exec \"$PROGRAM\" \"$@\"\n")
            program.write_file(folder .. "/work.lua", [[
                local mf = require("moonfleet")
                mf.plan("processes", { workers = 2, program = "./agent", grace = 0.2 })
                local list, done = {}, 0
                for i = 1, 4 do
                    list[i] = mf.future({ retries = 1, output = "discard" }, function(x)
                        print("text")
                        return x * x, { x, ("y"):rep(x * 100000) }
                    end, i)
                end
                for i = 1, 4 do
                    assert(list[i]:wait(30), list[i]:state())
                    local ok, square, t = list[i]:result()
                    if ok then assert(square == i * i and t[1] == i and #t[2] == i * 100000) done = done + 1 end
                end
                mf.plan("sequential")
                print("ended", done)]])
            local r = program.shell([[
                chmod +x agent
                n=1 whole=0 some=0
                while [ $n -lt 2500 ]; do
                    AGENT_FAILS="malloc $n 1" timeout -k 1 60 "$PROGRAM" work.lua >out 2>err
                    code=$?
                    if [ $code != 0 ] || ! grep -q ended out; then
                        echo "number $n, exit code $code: $(cat err)"; exit 1
                    fi
                    if grep -q 'ended.4' out; then whole=$((whole + 1)); else some=$((some + 1)); fi
                    n=$((n + 11 + n / 30))
                done
                echo $whole $some]], { folder = folder, deadline = 200, env = {
                SHIM = shim,
                PROGRAM = program.absolute,
            } })
            local whole, some = r.out:match("^(%d+) (%d+)\n$")
            assert.is_true(whole ~= nil and tonumber(whole) > 5 and tonumber(some) > 5, r.out .. r.err)
        end)
    end)
end)

describe("W12: a memory limit", function()
    local limited = program.has("prlimit") and not fails.sanitized() and it or pending

    limited("that is reached in Lua is the task's error, and the worker serves on", function()
        local r = program.shell("exec prlimit --as=400000000 " .. program.command({ "--plan", "processes:1", "-e", [[
            local mf = require("moonfleet")
            local function pid() return io.open("/proc/self/stat"):read("a"):match("^%d+") end
            local worker = mf.future(pid):value()
            local ok, err, info = mf.future(function()
                local t = {}
                for i = 1, 100 do t[i] = ("x"):rep(1 << 24) .. i end
            end):result()
            print(ok, err, info.kind)
            print(mf.future(function() return #(("x"):rep(1 << 24)) end):value())
            print(mf.future(pid):value() == worker)]] }):gsub("^exec ", ""))
        assert.equal("false\tnot enough memory\terror\n16777216\ntrue\n", r.out, r.err)
    end)

    limited("that is reached with a result is an error too", function()
        local r = program.shell("exec prlimit --as=400000000 " .. program.command({ "--plan", "processes:1", "-e", [[
            local mf = require("moonfleet")
            local ok, err = mf.future(function() return ("x"):rep(250000000) end):result()
            print(ok, #tostring(ok and "" or err) > 5)
            print(mf.future(math.abs, -4):value())]] }):gsub("^exec ", ""))
        assert.matches("^false\ttrue\n4\n$", r.out, r.err)
    end)

    local cgroup = "/sys/fs/cgroup/memory"
    local has_groups = os.execute("test -w " .. cgroup .. "/memory.limit_in_bytes 2>/dev/null")
    local grouped = has_groups and not fails.sanitized() and it or pending

    grouped("W13: of the system ends a worker with a note of it", function()
        local group = ("%s/moonfleet-%d"):format(cgroup, processes.pid())
        assert(os.execute("mkdir " .. group))
        local before = mf.plan("processes", { workers = 1 })
        local ok, err = pcall(function()
            program.write_control(group .. "/memory.limit_in_bytes", "30000000")
            local f = mf.future(function(path)
                local file = io.open(path .. "/cgroup.procs", "w")
                file:write("0\n")
                file:close()
                local t = {}
                for i = 1, 1000 do
                    t[i] = ("x"):rep(1000000) .. i
                end
                return t
            end, group)
            local good, lost = H.result(f)
            assert.is_false(good)
            H.has(tostring(lost), "killed by SIGKILL (possibly out of memory)")
            assert.equal(4, H.value(mf.future(math.abs, -4)))
        end)
        mf.plan(before)
        os.execute("rmdir " .. group)
        assert.is_true(ok, err)
    end)
end)
