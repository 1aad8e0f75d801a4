-- Nothing is left behind: neither workers nor what their tasks have started, however the program ends and however a
-- worker does. Each case names the row of the list of faults that it provokes.
local mf = require("moonfleet")
local processes = require("tests.support.processes")

-- The program that is to end. Each of its two workers starts two processes, says so and goes on as it is told.
local PROGRAM = [[
    local mf = require("moonfleet")
    mf.plan("BACKEND", { workers = 2, grace = 0.2 })
    local function start(goes_on)
        local pid = io.open("/proc/self/stat"):read("a"):match("^%d+")
        local pipe = io.popen("echo $$; exec sleep 1000")
        local behind = io.popen("sleep 1000 >/dev/null 2>&1 & echo $!")
        mf.progress(0.5, ("process %s process %s process %s"):format(pid, pipe:read("l"), behind:read("l")))
        behind:close()
        if goes_on == "in Lua" then while true do end end
        if goes_on == "in C" then return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40)), pipe end
        if goes_on == "stopped" then os.execute("kill -STOP $PPID") while true do end end
        package.loaded.kept = pipe -- closing it would wait for the process
    end
    local list = {}
    for i = 1, 2 do list[i] = mf.future(start, "GOES_ON") end
    for i = 1, 2 do
        local text
        repeat list[i]:wait(0.001) text = select(2, list[i]:progress()) until text
        print(text)
    end
    io.stdout:flush()
    ENDS]]

local function code(backend, goes_on, ends)
    return (PROGRAM:gsub("BACKEND", backend):gsub("GOES_ON", goes_on):gsub("ENDS", ends))
end

local ENDS = processes.ends

for _, backend in ipairs(processes.backends) do
    describe("P4, M5: when the program ends with " .. backend, function()
        local function assert_nothing_left(text, n)
            local numbers, result = processes.run(text:gsub("BACKEND", backend), { deadline = 30 })
            assert.equal(n, #numbers, result.err)
            local ok, err = pcall(processes.wait_until_gone, numbers)
            processes.kill(numbers)
            assert.is_true(ok, err)
        end

        for name, ends in pairs(ENDS) do
            it(name .. ", no worker and no process of its tasks is left", function()
                assert_nothing_left(code(backend, "in Lua", ends), 6)
            end)

            it(name .. ", nor while the workers are in long C calls", function()
                assert_nothing_left(code(backend, "in C", ends), 6)
            end)
        end

        it("by SIGKILL, nor while the workers are stopped", function()
            assert_nothing_left(code(backend, "stopped", ENDS["by SIGKILL"]), 6)
        end)

        it("by SIGKILL, nor what idle workers have left running", function()
            assert_nothing_left(code(backend, "at once", "mf.wait(list) " .. ENDS["by SIGKILL"]), 6)
        end)

        it("by itself, nor what idle workers have left running", function()
            assert_nothing_left(code(backend, "at once", "mf.wait(list)"), 6)
        end)

        it("no worker of a cluster by hand is left", function()
            local cluster = [[
                local mf = require("moonfleet")
                local cl = mf.cluster({ backend = "BACKEND", workers = 2 })
                local function pid() return io.open("/proc/self/stat"):read("a"):match("^%d+") end
                for _, pid in ipairs(cl:call(pid)) do
                    print("process " .. pid)
                end
                io.stdout:flush()
                ]]
            assert_nothing_left(cluster, 2)
            assert_nothing_left(cluster .. ENDS["by SIGKILL"], 2)
        end)

        it("no worker of a worker is left", function()
            local nested = [[
                local mf = require("moonfleet")
                local function pid() return io.open("/proc/self/stat"):read("a"):match("^%d+") end
                mf.plan({ { "BACKEND", workers = 1 }, { "BACKEND", workers = 2 } })
                local f = mf.future(function()
                    local inner = require("moonfleet")
                    local list = inner.map({ 1, 2 }, pid, { chunk = 1 })
                    inner.progress(0.5, ("process %s process %s process %s"):format(pid(), list[1], list[2]))
                    while true do end
                end)
                repeat f:wait(0.001) until f:progress()
                print((select(2, f:progress())))
                io.stdout:flush()
                ]]
            assert_nothing_left(nested, 3)
            assert_nothing_left(nested .. ENDS["by SIGKILL"], 3)
        end)
    end)

    describe("W21: when a worker of " .. backend .. " ends, what its tasks have started ends with it:", function()
        local before

        before_each(function()
            before = mf.plan(backend, { workers = 1, grace = 0.2 })
        end)
        after_each(function()
            mf.plan(before)
        end)

        -- A task that has started a process in two ways, with open pipes and sockets, and its processes' numbers.
        local function start(options, goes_on)
            local f = mf.future(options, function()
                local pipe = io.popen("echo $$; exec sleep 1000")
                local behind = io.popen("sleep 1000 >/dev/null & echo $!")
                mf.progress(0.5, ("%d %d"):format(pipe:read("n"), behind:read("n")))
                behind:close()
                return goes_on(), pipe
            end)
            local text
            repeat
                f:wait(0.001)
                text = select(2, f:progress())
            until text
            local a, b = text:match("(%d+) (%d+)")
            return f, { tonumber(a), tonumber(b) }
        end

        local function stuck()
            return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40))
        end

        local function assert_gone(numbers)
            local ok, err = pcall(processes.wait_until_gone, numbers)
            processes.kill(numbers)
            assert.is_true(ok, err)
            assert.equal(5, mf.future(math.abs, -5):value())
        end

        it("by cancel", function()
            local f, numbers = start({}, stuck)
            assert.is_true(f:cancel())
            assert_gone(numbers)
        end)

        it("by a time limit", function()
            local f, numbers = start({ timeout = 0.3 }, stuck)
            assert.equal("timeout", select(3, f:result()).kind)
            assert_gone(numbers)
        end)

        it("by kill -9", function()
            local f, numbers = start({}, function()
                os.execute("kill -9 $PPID")
            end)
            assert.equal("lost", select(3, f:result()).kind)
            assert_gone(numbers)
        end)

        it("by os.exit", function()
            local f, numbers = start({}, function()
                os.exit(0)
            end)
            assert.equal("lost", select(3, f:result()).kind)
            assert_gone(numbers)
        end)

        it("by silence", function()
            mf.plan(backend, { workers = 1, heartbeat = 0.1 })
            local f, numbers = start({}, function()
                os.execute("kill -STOP $PPID")
                while true do -- the thread may run on for a moment
                    math.abs(1)
                end
            end)
            assert.equal("lost", select(3, f:result()).kind)
            assert_gone(numbers)
        end)

        it("by another plan, though its interpreter cannot be closed", function()
            local _, numbers = start({}, function()
                package.loaded.kept = io.popen("exec sleep 1000") -- closing it waits for its process
            end)
            mf.plan(backend, { workers = 1 })
            assert_gone(numbers)
        end)
    end)
end
