-- Clusters by hand, and what prepares workers: exports and calls on every worker. A cluster is a record of its own
-- (see plan.lua), outside the plan.

local core = require("moonfleet.core")
local errors = require("moonfleet.error")
local futures = require("moonfleet.future")
local maps = require("moonfleet.map")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")

local M = {}

-- Waits for one future a worker and returns their first values, raising an error with the worker's number.
local function gather(where, list)
    local values, n = {}, #list
    for i = 1, n do
        local ok, value, info = list[i]:result()
        if not ok then
            if type(value) == "string" then
                value = ("%s (worker %d of %s)"):format(value, i, where)
            end
            errors.raise(value, info)
        end
        values[i] = value
    end
    values.n = n
    return values
end

-- Runs on each worker, in its base environment.
local function assign(values)
    for name, value in pairs(values) do
        _G[name] = value
    end
end

local function export_on(record, where, values)
    if type(values) ~= "table" then
        options.raise(("%s: expected a table of names and values, not %s"):format(where, options.describe(values)))
    end
    for name in pairs(values) do
        if type(name) ~= "string" then
            options.raise(("%s: names of globals are strings, not %s"):format(where, options.describe(name)))
        end
    end
    gather(where, record.pool:everywhere(assign, values))
    local exports = record.exports or {}
    for name, value in pairs(values) do
        exports[name] = value
    end
    record.exports, record.defaults = exports, { skip = exports }
end

---Gives globals to all workers of the current plan, those that join later too, until the plan is changed. A function
---that names such a global finds it on the worker; it is not sent with each task, as long as it is the same value here.
---Errors: a name that is no string, a value that cannot be sent.
---@param values table<string, any>
function M.export(values)
    export_on(plans.current(), "mf.export", values)
end

---Calls fn once on every worker of the current plan, and first of all on those that join later, which those of a host
---that is away do when it comes back: the place to load modules and data. Globals that fn sets stay for the worker's
---later tasks. The first error of fn on a worker is raised here.
---@param fn fun(...): any
---@param ... any arguments of fn
---@return any[] results the first value of each call, with n
function M.everywhere(fn, ...)
    fn = options.func("mf.everywhere", fn)
    return gather("mf.everywhere", plans.current().pool:everywhere(fn, ...))
end

---Workers of one's own, beside those of the plan. Closes itself at the end of its scope when it is declared `<close>`.
---Errors: methods raise the first error of what they run, and one that says so when the cluster is closed.
---@class moonfleet.Cluster
local Cluster = {}
Cluster.__index = Cluster
Cluster.__name = "moonfleet.cluster"

local function record_of(self, method)
    if getmetatable(self) ~= Cluster then
        options.raise(("cluster:%s: expected a cluster, not %s"):format(method, options.describe(self)))
    elseif not self.record then
        options.raise(("cluster:%s: the cluster is closed"):format(method))
    end
    return self.record
end

---Gives globals to all workers.
---@param values table<string, any>
function Cluster:export(values)
    export_on(record_of(self, "export"), "cluster:export", values)
end

---Calls fn once on every worker that is there. Globals that it sets stay for the worker's later tasks.
---@param fn fun(...): any
---@param ... any
---@return any[] results the first value of each call, in the order of the workers, with n
function Cluster:call(fn, ...)
    local record = record_of(self, "call")
    fn = options.func("cluster:call", fn)
    local list = {}
    for i, worker in ipairs(record.pool:present()) do
        list[i] = core.submit(record.pool, { worker = worker, setup = true, skip = record.exports }, fn, ...)
    end
    return gather("cluster:call", list)
end

---`mf.map` on the cluster's workers.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(x: any): any
---@param given moonfleet.MapOptions?
---@return any results
---@return table<integer, any>? errors
function Cluster:map(xs, fn, given)
    return maps.map_on(record_of(self, "map"), "cluster:map", xs, fn, given)
end

---`mf.future` on the cluster's workers.
---@param first function|moonfleet.FutureOptions
---@param ... any
---@return moonfleet.Future
function Cluster:future(first, ...)
    return futures.future_on(record_of(self, "future"), "cluster:future", first, ...)
end

---How many workers it has.
---@return integer workers
function Cluster:workers()
    return record_of(self, "workers").pool:workers()
end

---Ends the workers; what they still run is cancelled. Closing twice does no harm; any other use is an error.
function Cluster:close()
    local record = getmetatable(self) == Cluster and self.record or nil
    self.record = nil
    if record then
        record.pool:close()
    end
end

Cluster.__close = Cluster.close

function Cluster:__tostring()
    return self.record and ("cluster (%s)"):format(self.record.plan) or "cluster (closed)"
end

---Starts a cluster: `mf.cluster(4)`, `mf.cluster { hosts = { "a", "b" } }`, or `mf.cluster { backend = "processes",
---workers = 4 }`, with the options that a plan of that backend takes. The backend is `threads` unless told, or
---`cluster` where there are hosts. Workers that are forks are made when they are first needed, and stay: later tasks
---find the modules as they were then, and are sent all else. Errors: an option that the backend does not take, hosts
---that cannot be started.
---@param given integer|table|nil nil: `mf.cores()` workers
---@return moonfleet.Cluster
function M.cluster(given)
    local where = "mf.cluster"
    if math.type(given) == "integer" then
        given = { workers = given }
    elseif given ~= nil and type(given) ~= "table" then
        options.raise(("%s: expected a number of workers or options, not %s"):format(where, options.describe(given)))
    end
    local level = {}
    for name, value in pairs(given or {}) do
        level[name] = value
    end
    local backend = level.backend == nil and (level.hosts and "cluster" or "threads") or level.backend
    level.backend = nil
    local plan = plans.make(where, backend, level)
    local record = plans.record(plan)
    record.lasting = true
    return setmetatable({ record = plans.open(record) }, Cluster)
end

return M
