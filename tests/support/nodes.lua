-- Clusters whose nodes are agents on this machine, and tasks that say where they run.
--
--     nodes.with({ "a", "b" }, { workers = 2 }, function() ... end)
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local nodes = {}

-- A plan of hosts of those names, or of tables that are taken as they are; each has its name in the variable NODE.
function nodes.plan(names, options)
    local hosts = {}
    for i, name in ipairs(names) do
        local host = {}
        for key, value in pairs(type(name) == "table" and name or { host = name }) do
            host[key] = value
        end
        host.env = host.env or {}
        host.env.NODE = host.host
        hosts[i] = host
    end
    local plan = { "cluster", hosts = hosts, transport = "local", grace = 0.3 }
    for key, value in pairs(options or {}) do
        plan[key] = value
    end
    return plan
end

-- Calls fn under such a plan.
function nodes.with(names, options, fn)
    mf.with_plan({ nodes.plan(names, options) }, fn)
end

-- Where the caller runs. A function for tasks.
function nodes.here()
    return os.getenv("NODE")
end

-- Starts a future on each worker (or on n of them), that says where it runs, waits until the file is there, and returns
-- what is in it. Returns a list of { future =, host =, pid = } when all of them run.
function nodes.occupy(path, options, n)
    local list = {}
    for i = 1, n or mf.workers() do
        local f = mf.future(options or {}, function()
            mf.progress(0.5, os.getenv("NODE") .. " " .. processes.pid())
            while true do
                local file <close> = io.open(path)
                if file then
                    return file:read("a")
                end
                os.execute("exec sleep 0.01")
            end
        end)
        list[i] = { future = f }
    end
    for _, item in ipairs(list) do
        H.eventually(function()
            item.future:wait(0.005)
            local _, text = item.future:progress()
            item.host, item.pid = (text or ""):match("^(%S+) (%d+)$")
            item.pid = tonumber(item.pid)
            return item.pid
        end, "a worker to be occupied")
    end
    return list
end

-- Opens the gate of occupy, and expects that what runs on that host (nil: on any) has lived to see it.
function nodes.open(gate, list, host)
    program.write_file(gate, "open")
    for _, item in ipairs(list) do
        if not host or item.host == host then
            local value = H.value(item.future)
            assert(value == "open", value)
        end
    end
end

-- Calls fn with each item of what occupy returns, and lets the workers go.
local function look(fn)
    program.with_folder(function(folder)
        local list = nodes.occupy(folder .. "/gate")
        for _, item in ipairs(list) do
            fn(item)
        end
        program.write_file(folder .. "/gate", "x")
        for _, item in ipairs(list) do
            H.value(item.future)
        end
    end)
end

-- The process of each node, by its name: what of threads is said by themselves, and of processes by their parents.
function nodes.pids()
    local pids = {}
    look(function(item)
        pids[item.host] = item.pid
    end)
    return pids
end

-- How many workers there are on each node now.
function nodes.counts()
    local counts = {}
    look(function(item)
        counts[item.host] = (counts[item.host] or 0) + 1
    end)
    return counts
end

-- Waits until tasks run on all these nodes.
function nodes.wait_for(...)
    for _, name in ipairs({ ... }) do
        H.eventually(function()
            local list = {}
            for i = 1, 8 do
                list[i] = mf.future({ retries = 5 }, function()
                    os.execute("exec sleep 0.01")
                    return os.getenv("NODE")
                end)
            end
            local seen = false
            for i = 1, 8 do
                seen = H.value(list[i]) == name or seen
            end
            return seen
        end, "node " .. name .. " to serve")
    end
end

-- Asserts that the future is lost for a reason with that text in it.
function nodes.assert_lost(f, text)
    local ok, err, info = H.result(f)
    assert(not ok and f:state() == "lost", "the future is " .. f:state())
    assert(info.kind == "lost" and err.kind == "lost")
    H.has(tostring(err), text)
end

function nodes.signal(pid, name)
    assert(os.execute(("kill -%s %d"):format(name, pid)))
end

return nodes
