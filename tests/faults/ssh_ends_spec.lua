-- Clusters over SSH whose sessions end or stop, and masters that end: nothing hangs, and nothing is left on any host.
-- Over both transports. Each case names the row of the list of faults that it provokes.
local far = require("tests.support.far")
local nodes = require("tests.support.nodes")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local function children_of(pid)
    local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
    local list = {}
    for number in (file and file:read("a") or ""):gmatch("%d+") do
        list[#list + 1] = math.tointeger(tonumber(number))
    end
    if file then
        file:close()
    end
    return list
end

-- Sends a signal to all sessions of the server; returns them.
local function signal_sessions(server, name)
    local list = children_of(server.pid)
    assert(#list > 0)
    for _, pid in ipairs(list) do
        nodes.signal(pid, name)
    end
    return list
end

-- Occupies all workers and sends a signal to a's sessions: what runs there is lost for that reason, and a comes back.
local function end_sessions(there, transport, name, words)
    there:with(transport, nil, function(a)
        program.with_folder(function(folder)
            local list = nodes.occupy(folder .. "/gate")
            local sessions, agents = signal_sessions(there.servers[1], name), {}
            for _, item in ipairs(list) do
                if item.host == "a" then
                    nodes.assert_lost(item.future, "host " .. a.host .. " " .. words)
                    agents[1] = item.pid
                end
            end
            nodes.open(folder .. "/gate", list, "b")
            nodes.wait_for("a", "b")
            processes.wait_until_gone(agents) -- by itself, though its session may be stopped
            for _, pid in ipairs(sessions) do
                os.execute(("kill -CONT %d 2>/dev/null"):format(pid))
            end
        end)
    end)
end

-- A program that occupies all workers of a cluster of these hosts, tells their agents, waits for a file and then does
-- as it is told.
local MASTER = [[
    local mf = require("moonfleet")
    mf.plan("cluster", { hosts = { HOSTS }, config = "CONFIG", known_hosts = "KNOWN", transport = "TRANSPORT",
        program = "PROGRAM", workers = 2, grace = 0.2, heartbeat = 0.2 })
    local list = {}
    for i = 1, 4 do
        list[i] = mf.future(function()
            mf.progress(0.5, io.open("/proc/self/stat"):read("a"):match("^%d+"))
            while true do end
        end)
    end
    for i = 1, 4 do
        repeat list[i]:wait(0.001) until list[i]:progress()
        print("agent " .. select(2, list[i]:progress()))
    end
    print("ready")
    io.stdout:flush()
    while not io.open(arg[1]) do mf.wait(list, { timeout = 0.01 }) end
    ENDS]]

-- Starts that program; its number, those of its agents, those of its own children (which the program ssh is), and the
-- relays.
local function start_master(there, transport, folder, ends)
    local level, relays, names = there:level(transport)
    local words = {
        HOSTS = ('"%s", "%s"'):format(names[1], names[2]),
        CONFIG = level.config,
        KNOWN = level.known_hosts,
        TRANSPORT = transport,
        PROGRAM = level.program,
        ENDS = ends,
    }
    program.write_file(folder .. "/script.lua", (MASTER:gsub("%u[%u_]+", words)))
    program.write_file(folder .. "/out", "")
    local command = "%s %s/script.lua %s/go >%s/out 2>%s/err </dev/null & echo $!"
    local pipe <close> = io.popen(command:format(program.absolute, folder, folder, folder, folder))
    local master, agents = math.tointeger(tonumber(pipe:read("l"))), {}
    H.eventually(function()
        return program.read_file(folder .. "/out"):find("ready", 1, true) or not processes.lives(master)
    end, "the master to start its tasks")
    for number in program.read_file(folder .. "/out"):gmatch("agent (%d+)") do
        agents[#agents + 1] = math.tointeger(tonumber(number))
    end
    assert(#agents == 4, program.read_file(folder .. "/err"))
    return master, agents, children_of(master), relays
end

local function assert_gone(list)
    local ok, err = pcall(processes.wait_until_gone, list)
    processes.kill(list)
    assert.is_true(ok, err)
end

for _, transport in ipairs(far.transports) do
    describe("over SSH by " .. transport, function()
        local there

        setup(function()
            there = far.new()
        end)

        teardown(function()
            there:close()
        end)

        it("S24: a session that is killed loses what runs on its host, and only that; the host comes back", function()
            end_sessions(there, transport, "KILL", transport == "libssh2" and "was lost: " or "exited with code 255")
        end)

        it("S24: a session that is stopped likewise, after three heartbeats; its agent ends", function()
            end_sessions(there, transport, "STOP", "does not answer")
        end)

        for name, ends in pairs({
            ["S27: is killed"] = "os.execute('kill -KILL $PPID') while true do end",
            ["P4: ends by itself"] = "os.exit(0)",
            ["P4: ends by an error"] = "error('over')",
            ["P4: is ended by SIGTERM"] = "os.execute('kill -TERM $PPID') while true do end",
        }) do
            it("when the master " .. name .. ", nothing is left, though its tasks never end", function()
                program.with_folder(function(folder)
                    local master, agents, children = start_master(there, transport, folder, ends)
                    program.write_file(folder .. "/go", "")
                    assert_gone({ master })
                    assert_gone(agents)
                    assert_gone(children)
                end)
            end)
        end

        it("S28: when the links are cut and then the master is killed, nothing is left", function()
            program.with_folder(function(folder)
                local master, agents, children, relays = start_master(there, transport, folder, "")
                for _, box in ipairs(relays) do
                    box:say("hold")
                end
                nodes.signal(master, "KILL")
                assert_gone({ master })
                assert_gone(agents) -- by their own patience
                for _, box in ipairs(relays) do
                    box:say("pass") -- else ssh has a patience of its own, which is longer than this test may take
                end
                assert_gone(children)
            end)
        end)
    end)
end
