-- Prints how much memory one thing takes, in bytes: the growth of this process's private memory by many of them,
-- divided by their number. A process of its own, since memory freed earlier would be used again and hide the growth.
--
--   moonfleet tests/bench/memory.lua queued      a trivial future in the queue, held in a list
--   moonfleet tests/bench/memory.lua worker      a started, idle worker of the plan threads
--   moonfleet tests/bench/memory.lua process     the same of the plan processes: that process's own private memory
--   moonfleet tests/bench/memory.lua inherited   what a fork has copied that has read its part of a table of 400 MB
local mf = require("moonfleet")
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local private_bytes = dofile(here .. "common.lua").private_bytes

local FUTURES, WORKERS = 100000, 16
local LARGE = 25000000 -- elements of 16 bytes

local function settled_bytes()
    collectgarbage()
    collectgarbage()
    return private_bytes()
end

local what = {}

function what.queued()
    mf.plan("threads", { workers = 1 })
    local function trivial(x)
        return x
    end
    mf.future(trivial, 1):value()
    local busy = mf.future(function()
        while true do
        end
    end)
    repeat
    until busy:state() == "running"

    local held = {}
    for i = 1, FUTURES do
        held[i] = false -- the list itself is not what we measure
    end
    local before = settled_bytes()
    for i = 1, FUTURES do
        held[i] = mf.future(trivial, i)
    end
    local grown = settled_bytes() - before
    assert(held[1]:state() == "queued" and held[FUTURES]:state() == "queued", "the futures are not all in the queue")
    for i = 1, FUTURES do
        held[i]:cancel()
    end
    busy:cancel()
    return grown / FUTURES
end

function what.worker()
    local before = settled_bytes()
    local cluster = mf.cluster(WORKERS)
    cluster:call(function()
        return true
    end)
    local grown = settled_bytes() - before
    cluster:close()
    return grown / WORKERS
end

function what.process()
    mf.plan("processes", { workers = 1 })
    local worker = mf.future(function()
        return math.tointeger(io.open("/proc/self/stat"):read("n"))
    end):value()
    return private_bytes(worker)
end

function what.inherited()
    local xs = {}
    for i = 1, LARGE do
        xs[i] = i
    end
    mf.plan("forks", { workers = 2 })
    return mf.mapreduce(xs, function(x)
        return x % (LARGE // 16) == 0 and private_bytes() or 0
    end, math.max)
end

print(assert(what[arg[1]], "usage: moonfleet tests/bench/memory.lua queued|worker|process|inherited")())
