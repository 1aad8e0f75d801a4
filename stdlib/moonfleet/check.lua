-- moonfleet check: looks whether hosts can be used, step by step, and how fast they are, without running a script.

local core = require("moonfleet.core")
local hosts = require("moonfleet.hosts")

local M = {}

local TRIPS = 50
local BYTES = 4 << 20

local function median(values)
    table.sort(values)
    return values[(#values + 1) // 2]
end

local function echo(x)
    return x
end

local function describe()
    return _VERSION, require("moonfleet").version
end

-- Seconds that one future on that worker takes, and its values.
local function time(pool, worker, fn, ...)
    local start = core.now()
    local f = core.submit(pool, { worker = worker }, fn, ...)
    local values = table.pack(f:value())
    return core.now() - start, values
end

-- What is to be known of a host that is here.
local function measure(pool, worker)
    local _, versions = time(pool, worker, describe)
    local trips = {}
    for i = 1, TRIPS do
        trips[i] = time(pool, worker, echo, i)
    end
    local latency = median(trips)
    local bytes = ("x"):rep(BYTES)
    local seconds = math.max(1e-9, time(pool, worker, echo, bytes) - latency)
    return {
        latency = ("%.2f ms"):format(1e3 * latency),
        bandwidth = ("%.0f MB/s"):format(2 * BYTES / seconds / 1e6),
        version = ("%s, %s"):format(versions[2], versions[1]),
    }
end

local line = "%-24s %6s %9s %10s %10s  %s"

local function show(pool, host)
    if host.state ~= "here" then
        print(line:format(host.name, "-", "-", "-", "-", "FAILED"))
        print("    " .. hosts.reason(host):gsub("\n", "\n    "))
        return false
    end
    local ok, seen = pcall(measure, pool, host.first)
    if not ok then
        print(line:format(host.name, host.workers, "-", "-", "-", "FAILED"))
        print("    " .. tostring(seen))
        return false
    end
    local start = ("%.2f s"):format(host.seconds)
    print(line:format(host.name, host.workers, start, seen.latency, seen.bandwidth, seen.version))
    if host.text ~= "" then
        print("    " .. hosts.reason(host))
    end
    return true
end

---Checks hosts and prints a line for each: its workers, the time that connecting took, the time of a round trip, what
---goes both ways, and the versions there; or in which step it failed, and why.
---@param names string[] hosts as for `--hosts`
---@param defaults moonfleet.Host? what is to be said of all of them
---@return integer code 0 when all can be used, else 1
function M.main(names, defaults)
    local ok, list = pcall(hosts.list, "check", { table.unpack(names) }, defaults or {})
    if not ok then
        core.complain((list:gsub("^[^:]*:%d+: ", "")))
        return 1
    end
    local pool <close> = setmetatable({ core.pool("cluster", { hosts = hosts.for_core(list) }) }, {
        __close = function(box)
            box[1]:close()
        end,
    })
    pool[1]:open()
    print(line:format("host", "cores", "start", "latency", "both ways", "version"))
    local good = true
    for _, host in ipairs(pool[1]:hosts()) do
        good = show(pool[1], host) and good
    end
    return good and 0 or 1
end

return M
