-- Nodes are not left behind: neither their agents, nor worker processes, nor what tasks have started, however the
-- program ends. Each case names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

-- The program that is to end. Each of its four workers on two nodes starts two processes, says so and goes on as it is
-- told. Lines "process N" are printed for all that shall be gone.
local PROGRAM = [[
    local mf = require("moonfleet")
    mf.plan("cluster", { hosts = { "a", "b" }, transport = "local", workers = 2, grace = 0.2, OPTIONS })
    local function start(goes_on)
        local stat = io.open("/proc/self/stat"):read("a")
        local own, parent = stat:match("^(%d+) %(.*%) %a (%d+)")
        local pipe = io.popen("echo $$; exec sleep 1000")
        local behind = io.popen("sleep 1000 >/dev/null 2>&1 & echo $!")
        mf.progress(0.5, ("%s %s %s %s"):format(own, parent, pipe:read("l"), behind:read("l")))
        behind:close()
        if goes_on == "in Lua" then while true do end end
        if goes_on == "in C" then return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40)), pipe end
        package.loaded.kept = { pipe, package.loaded.kept }
        os.execute("exec sleep 0.2")
    end
    local list, stop, me = {}, "kill -STOP", io.open("/proc/self/stat"):read("a"):match("^%d+")
    for i = 1, 4 do list[i] = mf.future(start, "GOES_ON") end
    for i = 1, 4 do
        local text
        repeat list[i]:wait(0.001) text = select(2, list[i]:progress()) until text
        for number in text:gmatch("%d+") do if number ~= me then print("process " .. number) end end
        local own, parent = text:match("(%d+) (%d+)")
        stop = stop .. " " .. own .. (parent ~= me and " " .. parent or "")
    end
    io.stdout:flush()
    ENDS]]

local function code(options, goes_on, ends)
    local words = { OPTIONS = options, GOES_ON = goes_on, ENDS = ends }
    return (PROGRAM:gsub("%u[%u_]+", words))
end

local ENDS = { ["by another plan"] = "mf.plan('threads') for i = 1, 4 do list[i]:cancel() end" }
for name, ends in pairs(processes.ends) do
    ENDS[name] = ends
end

-- Stops all nodes and workers, until all their threads have stopped: what comes then is not in a race with that.
local STOP = [[
    os.execute(stop)
    for number in stop:gmatch("%d+") do
        repeat
            local running <close> = io.popen("grep -L 'State:.T' /proc/" .. number .. "/task/*/status")
        until running:read("a") == ""
    end
    ]]

local function assert_gone(numbers, text)
    assert.is_true(#numbers >= 10, text)
    local ok, err = pcall(processes.wait_until_gone, numbers)
    processes.kill(numbers)
    assert.is_true(ok, err)
end

local function assert_nothing_left(text)
    local numbers, result = processes.run(text, { deadline = 30 })
    assert_gone(numbers, result.err)
end

for _, options in ipairs({ "isolate = false", "isolate = true" }) do
    describe("P4, S27: when the program ends, with " .. options .. ",", function()
        for name, ends in pairs(ENDS) do
            it(name .. ", no node, worker or process of a task is left", function()
                assert_nothing_left(code(options, "in Lua", ends))
            end)

            it(name .. ", nor while the workers are in long C calls", function()
                assert_nothing_left(code(options, "in C", ends))
            end)
        end

        -- A worker that closes its state waits for the process there; a signal has to reach it.
        local waiting = fails.delays_signals() and pending or it

        waiting("by itself, nor what idle workers have left running", function()
            assert_nothing_left(code(options, "at once", "mf.wait(list)"))
        end)

        waiting("by SIGKILL, nor what idle workers have left running", function()
            assert_nothing_left(code(options, "at once", "mf.wait(list) " .. ENDS["by SIGKILL"]))
        end)

        it("by SIGKILL, nor while nodes and workers are stopped", function()
            assert_nothing_left(code(options, "in Lua", STOP .. ENDS["by SIGKILL"]))
        end)

        it("by itself, nor while nodes and workers are stopped", function()
            assert_nothing_left(code(options, "in Lua", STOP))
        end)
    end)
end

describe("P4: when the program ends", function()
    it("no node of a cluster by hand is left", function()
        for _, ends in ipairs({ "", ENDS["by SIGKILL"] }) do
            local numbers, result = processes.run([[
                local mf = require("moonfleet")
                local cl = mf.cluster({ hosts = { "a", "b" }, transport = "local", workers = 2, isolate = true })
                for _, pids in ipairs(cl:call(function()
                    return { io.open("/proc/self/stat"):read("a"):match("^(%d+) %(.*%) %a (%d+)") }
                end)) do
                    print("process " .. pids[1] .. " process " .. pids[2])
                end
                io.stdout:flush()
                ]] .. ends)
            assert.equal(8, #numbers, result.err)
            local ok, err = pcall(processes.wait_until_gone, numbers)
            processes.kill(numbers)
            assert.is_true(ok, err)
        end
    end)

    it("no node of a node is left", function()
        for _, ends in ipairs({ "", ENDS["by SIGKILL"] }) do
            local numbers, result = processes.run([[
                local mf = require("moonfleet")
                local function level(name)
                    return { "cluster", hosts = { name }, transport = "local", workers = 1, isolate = true }
                end
                mf.plan({ level("a"), level("b") })
                local f = mf.future(function()
                    local inner = require("moonfleet")
                    local function ids() return io.open("/proc/self/stat"):read("a"):match("^(%d+) %(.*%) %a (%d+)") end
                    local a, b = ids()
                    local c, d = inner.future(ids):value()
                    inner.progress(0.5, ("process %s process %s process %s process %s"):format(a, b, c, d))
                    while true do end
                end)
                repeat f:wait(0.001) until f:progress()
                print((select(2, f:progress())))
                io.stdout:flush()
                ]] .. ends)
            assert.equal(4, #numbers, result.err)
            local ok, err = pcall(processes.wait_until_gone, numbers)
            processes.kill(numbers)
            assert.is_true(ok, err)
        end
    end)

    it("while its nodes are being started, none is left", function()
        program.with_folder(function(folder)
            local agent = "#!/bin/sh\necho process $$ >>%s/pids\nexec sleep 1000\n"
            program.write_file(folder .. "/agent", agent:format(folder))
            assert(os.execute("chmod +x " .. folder .. "/agent"))
            for _, signal in ipairs({ "KILL", "INT", "TERM" }) do
                program.write_file(folder .. "/pids", "")
                local r = program.shell(([[
                    %s -e %s &
                    until [ $(wc -l <%s/pids) = 2 ]; do sleep 0.01; done
                    kill -%s $!
                    wait]]):format(program.quote(program.absolute), program.quote(([[
                    local mf = require("moonfleet")
                    mf.plan("cluster", { hosts = { "a", "b" }, transport = "local", program = "%s/agent" })
                    mf.workers()]]):format(folder)), folder, signal), { deadline = 20 })
                local numbers = {}
                for number in program.read_file(folder .. "/pids"):gmatch("process (%d+)") do
                    numbers[#numbers + 1] = tonumber(number)
                end
                assert.equal(2, #numbers, r.err)
                local ok, err = true, nil
                if signal == "INT" then -- else nobody is left to end a program that does not look at its streams
                    ok, err = pcall(processes.wait_until_gone, numbers)
                end
                processes.kill(numbers)
                assert.is_true(ok, err)
            end
        end)
    end)
end)

describe("a node that hears nothing of its master", function()
    -- Stops the master for some time in which its nodes, by their patience, end by themselves.
    for _, goes_on in ipairs({ "in Lua", "at once" }) do
        it("S28: ends by itself, " .. (goes_on == "at once" and "while it is idle" or "while tasks run"), function()
            for _, options in ipairs({ "isolate = false, heartbeat = 0.05", "isolate = true, heartbeat = 0.05" }) do
                program.with_folder(function(folder)
                    program.write_file(folder .. "/script.lua", code(options, goes_on, [[
                        mf.wait(list, { timeout = 0.5 })
                        io.open(arg[1] .. "/ready", "w"):write(me):close()
                        if not pcall(mf.value, list) then print("lost") end
                        io.open(arg[1] .. "/lost", "w"):close()
                        print(mf.future({ retries = 3 }, math.abs, -5):value())]]))
                    local r = program.shell(([[
                        FOLDER=%s
                        %s $FOLDER/script.lua $FOLDER >$FOLDER/out &
                        until [ -s $FOLDER/ready ]; do sleep 0.01; done
                        kill -STOP $!
                        for pid in $(sed -n 's/^process //p' $FOLDER/out); do
                            n=0
                            while grep -q 'State:.[^ZX]' /proc/$pid/status 2>/dev/null; do
                                sleep 0.05; n=$((n + 1))
                                [ $n -lt 400 ] || { echo "$pid still lives"; break; }
                            done
                        done
                        kill -CONT $!
                        wait
                        cat $FOLDER/out]]):format(program.quote(folder), program.quote(program.absolute)),
                        { deadline = 60 })
                    assert.is_nil(r.out:find("still lives", 1, true), r.out)
                    assert.matches("\n5\n$", r.out)
                    assert.equal(goes_on == "in Lua", r.out:find("lost\n", 1, true) ~= nil)
                end)
            end
        end)
    end

    it("M4: for less than that goes on, and nothing is lost", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/script.lua", [[
                local mf = require("moonfleet")
                mf.plan("cluster", { hosts = { "a", "b" }, transport = "local", workers = 2, heartbeat = 0.2 })
                local list = {}
                for i = 1, 4 do
                    list[i] = mf.future(function() os.execute("exec sleep 1.5") return i end)
                end
                mf.wait(list, { timeout = 0.2 })
                io.open(arg[1] .. "/ready", "w"):write("x"):close()
                print(mf.value(list)[4])]])
            local r = program.shell(([[
                FOLDER=%s
                %s $FOLDER/script.lua $FOLDER >$FOLDER/out &
                until [ -s $FOLDER/ready ]; do sleep 0.01; done
                kill -STOP $!
                sleep 1
                kill -CONT $!
                wait
                cat $FOLDER/out]]):format(program.quote(folder), program.quote(program.absolute)))
            assert.equal("4\n", r.out, r.err)
        end)
    end)
end)

describe("S24: nodes that come and go", function()
    it("leave no descriptor, no process and no memory with their master", function()
        local r = program.run({ "-e", [[
            local mf = require("moonfleet")
            local function count(command)
                local pipe <close> = io.popen(command)
                local n = 0
                for _ in pipe:lines() do n = n + 1 end
                return n
            end
            local function look() -- when all nodes have ended
                local stop = mf.now() + 20
                repeat until count("ps -o pid= --ppid $PPID") <= 1 or mf.now() > stop
                for _ = 1, 3 do -- plans are let go of when the program does something next
                    collectgarbage()
                    mf.future(math.abs, 1):value()
                end
                local status = io.open("/proc/self/status"):read("a")
                return count("ls /proc/$PPID/fd"), tonumber(status:match("VmRSS:%s+(%d+)"))
            end
            local fds, memory
            for i = 1, 40 do
                mf.plan("cluster", { hosts = { "a", "b" }, transport = "local", workers = 1, isolate = i % 2 == 0 })
                if i % 3 == 0 then
                    mf.future(function() os.execute("kill -9 $PPID") end):result()
                end
                assert(#mf.map({ 1, 2, 3 }, math.abs, { chunk = 1, retries = 5 }) == 3)
                mf.plan("sequential")
                mf.future(math.abs, 1):value()
                if i == 10 then fds, memory = look() end
            end
            local last_fds, last_memory = look()
            print(last_fds - fds, last_memory - memory)]] }, { deadline = 60 })
        local fds, memory = r.out:match("^(%-?%d+)\t(%-?%d+)\n$")
        assert.is_string(fds, r.out .. r.err)
        assert.is_true(tonumber(fds) <= 3, fds) -- of what the last plan has not let go of yet
        assert.is_true(fails.sanitized() or tonumber(memory) < 8000, memory)
    end)
end)

describe("a plan that is replaced", function()
    it("leaves no node behind, though the last task was cancelled", function()
        local numbers, result = processes.run([[
            local mf = require("moonfleet")
            for _, isolate in ipairs({ true, false }) do
                mf.plan("cluster", { hosts = { "a" }, transport = "local", workers = 1, isolate = isolate })
                local f = mf.future(function()
                    local own, parent = io.open("/proc/self/stat"):read("a"):match("^(%d+) %(.*%) %a (%d+)")
                    mf.progress(0.5, own .. " " .. (isolate and parent or own))
                    while true do end
                end)
                repeat f:wait(0.001) until f:progress()
                for number in select(2, f:progress()):gmatch("%d+") do print("process " .. number) end
                f:cancel()
                mf.plan("sequential")
            end
            io.stdout:flush()
            local stop = mf.now() + 20
            repeat
                local left = 0
                mf.future(math.abs, 1):value()
                for line in io.popen("ps -o stat= --ppid $PPID"):lines() do
                    left = left + (line:find("^Z") and 0 or 1)
                end
            until left <= 1 or mf.now() > stop
            print(mf.now() < stop and "alone" or "not alone")]])
        assert.equal(4, #numbers, result.err)
        processes.kill(numbers)
        H.has(result.out, "\nalone\n")
    end)
end)
