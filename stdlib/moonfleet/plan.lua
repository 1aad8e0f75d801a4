-- Plans: how and where futures are resolved. A plan is a list of levels, { name, workers = n, ... } each; a task's
-- own futures use the levels behind the first. The plan in force is a record: the plan, its pool (opened at the first
-- use), and what was exported to its workers. A record that is replaced is retired: its outstanding futures finish,
-- and the pool is let go when no map of this state works on it any more.
--
-- In a worker, a plan that a task sets lasts until that task ends: the next one starts from the worker's own again.

local core = require("moonfleet.core")
local hosts = require("moonfleet.hosts")
local options = require("moonfleet.options")

local M = {}

local SEQUENTIAL, CLUSTER = "sequential", "cluster"

local kinds = options.kinds

local MOST = 4096 -- workers of one pool

local worker_count = {
    expects = ("a positive integer up to %d"):format(MOST),
    check = options.integer_in(1, MOST).check,
}

-- The options of each backend. One line for a new one.
local specs = {
    sequential = {
        workers = {
            expects = "1 with the plan sequential",
            check = function(v)
                return v == 1
            end,
        },
    },
    threads = { workers = worker_count, queue_bytes = kinds.positive, grace = kinds.patience },
    forks = {
        workers = worker_count,
        queue_bytes = kinds.positive,
        grace = kinds.patience,
        heartbeat = kinds.seconds,
    },
    processes = {
        workers = worker_count,
        queue_bytes = kinds.positive,
        grace = kinds.patience,
        heartbeat = kinds.seconds,
        program = kinds.string,
    },
    cluster = options.merge(hosts.spec, {
        hosts = {
            expects = "a list of hosts",
            check = function(v)
                return type(v) == "table" or type(v) == "string"
            end,
        },
        queue_bytes = kinds.positive,
        grace = kinds.patience,
        heartbeat = kinds.seconds,
        min_workers = worker_count,
    }),
}

---One level of a plan: the backend's name, and its options as fields.
---@class moonfleet.Level
---@field [1] string the backend's name
---@field workers integer?

---An inspectable plan, as `mf.plan()` returns it; `tostring` gives a SPEC that makes the same plan.
---@class moonfleet.Plan
---@field name string of the first level's backend
---@field workers integer? of the first level; nil for hosts that have not been started
---@field options table of the first level
---@field [integer] moonfleet.Level

M.metatable = { __name = "moonfleet.plan" }

-- Hosts are names, as far as names tell them. Other tables have no text: nil.
local function option_text(name, value)
    if name ~= "hosts" then
        return type(value) ~= "table" and tostring(value) or nil
    end
    local texts = {}
    for i, host in ipairs(value) do
        texts[i] = hosts.name(host)
    end
    return table.concat(texts, "+")
end

local function level_text(level)
    local parts, names = {}, {}
    for name in pairs(level) do
        if name ~= 1 and name ~= "workers" then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    parts[1] = level[1] == SEQUENTIAL and SEQUENTIAL
        or level.workers and ("%s:%d"):format(level[1], level.workers)
        or level[1]
    for _, name in ipairs(names) do
        local text = option_text(name, level[name])
        parts[#parts + 1] = text and ("%s=%s"):format(name, text)
    end
    return table.concat(parts, ",")
end

function M.metatable.__tostring(plan)
    local texts = {}
    for i, level in ipairs(plan) do
        texts[i] = level_text(level)
    end
    return table.concat(texts, ";")
end

local function known_backends()
    local known = {}
    for _, name in ipairs(core.backends()) do
        known[name] = true
    end
    return known
end

-- A checked copy of one level.
local function make_level(where, name, given)
    if type(name) ~= "string" then
        options.raise(("%s: a plan's name must be a string, not %s"):format(where, options.describe(name)))
    elseif not known_backends()[name] then
        local names = table.concat(core.backends(), ", ")
        options.raise(("%s: there is no plan '%s'; the plans are: %s"):format(where, name, names))
    end
    options.check(where, specs[name], given)
    local level = { name, workers = name == SEQUENTIAL and 1 or name ~= CLUSTER and core.cores() or nil }
    for key, value in pairs(given) do
        level[key] = value
    end
    if name == CLUSTER then
        level.hosts = hosts.list(where, given.hosts, given)
    end
    return level
end

local function typed(text)
    if text == "true" or text == "false" then
        return text == "true"
    end
    return math.tointeger(text) or tonumber(text) or text
end

-- One level of a SPEC: name[:workers][,key=value...]
local function parse_level(where, text)
    local name, rest = text:match("^%s*([%a_][%w_]*)(.-)%s*$")
    if not name then
        options.raise(("%s: %s does not begin with the name of a plan"):format(where, options.describe(text)))
    end
    local given = {}
    local workers, tail = rest:match("^:([^,]*)(.*)$")
    if workers then
        given.workers, rest = typed(workers), tail
    end
    for item in rest:gmatch("[^,]+") do
        local key, value = item:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
        if not key then
            local shown = options.describe(item)
            options.raise(("%s: expected key=value in the plan, not %s"):format(where, shown))
        end
        given[key] = typed(value)
    end
    return make_level(where, name, given)
end

local function parse(where, spec)
    local levels = {}
    for text in (spec .. ";"):gmatch("(.-);") do
        levels[#levels + 1] = parse_level(where, text)
    end
    return levels
end

local function level_of(where, item)
    if type(item) == "string" then
        return parse_level(where, item)
    elseif type(item) ~= "table" then
        local shown = options.describe(item)
        options.raise(("%s: a level of a plan must be a table or a string, not %s"):format(where, shown))
    end
    local given = {}
    for key, value in pairs(item) do
        if key ~= 1 then
            given[key] = value
        end
    end
    return make_level(where, item[1], given)
end

local function make_plan(levels)
    local first = {}
    for key, value in pairs(levels[1]) do
        if key ~= 1 then
            first[key] = value
        end
    end
    levels.name, levels.options = levels[1][1], first
    levels.workers = not levels[1].hosts and levels[1].workers or nil -- of hosts it is not known before they are here
    return setmetatable(levels, M.metatable)
end

-- Is it one level, { name, workers = n }, and not a list of them?
local function is_level(plan)
    return getmetatable(plan) ~= M.metatable
        and type(plan[1]) == "string"
        and plan[1]:find("^[%w_]+$") ~= nil
        and plan[2] == nil
end

local function check_list(where, plan)
    for key in pairs(getmetatable(plan) == M.metatable and {} or plan) do
        if math.type(key) ~= "integer" then
            local shown = options.describe(key)
            options.raise(("%s: %s stands beside the levels; put it into the table of a level"):format(where, shown))
        end
    end
end

---Makes a plan of a name with options, a SPEC, a level, a list of levels, or another plan.
---@param where string for messages
---@param plan string|table
---@param given table?
---@return moonfleet.Plan
function M.make(where, plan, given)
    if type(plan) == "string" then
        if given == nil then
            return make_plan(parse(where, plan))
        end
        return make_plan({ make_level(where, plan, given) })
    elseif type(plan) ~= "table" then
        options.raise(("%s: the plan must be a name or a table, not %s"):format(where, options.describe(plan)))
    elseif given ~= nil then
        options.raise(("%s: options go with the name of a plan, or into its table"):format(where))
    elseif is_level(plan) then
        return make_plan({ level_of(where, plan) })
    elseif #plan == 0 then
        options.raise(("%s: the plan has no level; write { \"threads\", workers = 2 }"):format(where))
    end
    check_list(where, plan)
    local levels = {}
    for i, item in ipairs(plan) do
        levels[i] = level_of(where, item)
    end
    return make_plan(levels)
end

---What futures and maps are made on.
---@class moonfleet.Record
---@field plan moonfleet.Plan
---@field pool userdata? opened by M.open
---@field path string? package.path as the workers know it
---@field cpath string? package.cpath, likewise
---@field exports table<string, any>? globals that the workers have
---@field defaults table? options of a plain future
---@field users integer maps and iterators at work
---@field lasting boolean? workers stay until the pool is closed
---@field retired boolean

---@param plan moonfleet.Plan
---@return moonfleet.Record
function M.record(plan)
    return { plan = plan, users = 0, retired = false }
end

local function remaining_levels(plan)
    if #plan < 2 then
        return nil
    end
    local rest = {}
    for i = 2, #plan do
        rest[i - 1] = plan[i]
    end
    return rest
end

---Opens the record's pool if that has not been done.
---@param record moonfleet.Record
---@return moonfleet.Record record
function M.open(record)
    if not record.pool then
        local plan = record.plan
        local level = plan[1]
        local pool = core.pool(level[1], {
            workers = not level.hosts and level.workers or nil,
            hosts = level.hosts and hosts.for_core(level.hosts),
            queue_bytes = level.queue_bytes,
            grace = level.grace,
            heartbeat = level.heartbeat,
            program = level.program or level[1] == "processes" and core.program() or nil,
            lasting = record.lasting,
            nested = remaining_levels(plan),
        })
        if level.hosts then
            hosts.assemble("plan cluster", pool, level.min_workers)
            plan.workers = pool:workers()
        end
        record.pool = pool
        record.path, record.cpath = package.path, package.cpath
    end
    return record
end

local function let_go(record)
    if record.retired and record.users == 0 and record.pool then
        record.pool:retire()
    end
end

local function retire(record)
    record.retired = true
    let_go(record)
end

---Says that a map works on the record, so that a change of the plan does not take its pool away.
---@param record moonfleet.Record
function M.hold(record)
    record.users = record.users + 1
    M.open(record).pool:hold()
end

---Ends what M.hold began.
---@param record moonfleet.Record
function M.release(record)
    record.users = record.users - 1
    record.pool:let_go()
    let_go(record)
end

local home = core.instance() -- another one in a fork of the process in which this was loaded
local configured -- levels that the program's options ask for
local current -- the record in force
local own, changed_in -- in a worker: its own record while a task's is in force, and that task

local function from_environment()
    local spec = os.getenv("MOONFLEET_PLAN")
    return spec and spec ~= "" and parse("MOONFLEET_PLAN", spec) or nil
end

local function first_plan()
    if core.task() then
        return M.make("nested plan", core.nested() or { { SEQUENTIAL } })
    end
    return make_plan(configured or from_environment() or { { "threads", workers = core.cores() } })
end

local function in_force()
    if home ~= core.instance() then -- the plan of the fork's owner is not its own
        home = core.instance()
        configured, current, own, changed_in = nil, nil, nil, nil
    end
    if not current then
        current = M.record(first_plan())
    elseif changed_in and changed_in ~= core.task() then
        retire(current)
        current, own, changed_in = own, nil, nil
    end
    return current
end

-- Puts a record in force and returns the one that was; the caller retires that one or keeps it.
local function put(record)
    local before = in_force()
    if core.task() and not changed_in then
        own, changed_in = before, core.task()
    end
    current = record
    return before
end

local function set_paths(path, cpath)
    package.path, package.cpath = path, cpath
end

-- Workers took over the search paths as they were when the pool was opened.
local function follow_paths(record)
    record.path, record.cpath = package.path, package.cpath
    record.pool:path(record.path)
    record.pool:everywhere(set_paths, record.path, record.cpath)
end

---The record in force, its pool open.
---@return moonfleet.Record
function M.current()
    local record = in_force()
    if not record.pool then
        M.open(record)
    elseif record.path ~= package.path or record.cpath ~= package.cpath then
        follow_paths(record)
    end
    return record
end

---Reads or sets the plan: `mf.plan()`; `mf.plan("threads", { workers = 4 })`; `mf.plan("threads:4;sequential")`, the
---SPEC of `--plan` and MOONFLEET_PLAN, whose grammar is `name[:workers][,key=value...]` with levels separated by `;`;
---`mf.plan { { "threads", workers = 2 }, { "threads", workers = 2 } }`, nested; or a plan that this function returned.
---
---Setting a plan retires the workers of the one before: its outstanding futures finish, its exports are forgotten. In
---a task the plan lasts until the task ends.
---
---Options of `threads`, `forks`, `processes` and `cluster`: `workers` (default `mf.cores()`), `queue_bytes` (bytes of
---queued tasks past which creation waits), `grace` (seconds that a cancelled task has to end). Of the last three also
---`heartbeat` (seconds between two questions to a worker that works; one that leaves three without an answer is lost;
---default 5), and of `processes` `program` (path of the moonfleet program that workers are; default the running one;
---in a Lua or a host that is none: what MOONFLEET_PROGRAM names, or is installed with the library, or is on PATH).
---
---`cluster` takes `hosts` (a list of moonfleet.Host, or names separated by commas), `min_workers` (to go on with so
---many when not all hosts can be started; otherwise that is an error that lists each host's reason), and the fields of
---moonfleet.Host as defaults for all hosts; `workers` is for each host, all its cores unless told.
---@param plan string|table|moonfleet.Plan|nil nil reads
---@param given table? options, only with a name
---@return moonfleet.Plan plan the current one when reading, the previous one when setting
function M.plan(plan, given)
    if plan == nil and given == nil then
        return in_force().plan
    end
    local record = M.record(M.make("mf.plan", plan, given))
    local before = put(record)
    if before ~= own then
        retire(before)
    end
    return before.plan
end

local Scope = {
    __close = function(scope)
        local inner = in_force()
        if inner ~= scope.outer then
            retire(inner)
        end
        current = scope.outer
        if current == own then
            own, changed_in = nil, nil
        end
    end,
}

---Calls fn with a plan in force and restores the plan before afterwards, also after an error. The workers of the plan
---before are kept; those of the inner plan leave when its futures are finished.
---@param plan string|table|moonfleet.Plan as for `mf.plan`
---@param fn fun(...): ...
---@param ... any arguments of fn
---@return any ... what fn returns
function M.with_plan(plan, fn, ...)
    local record = M.record(M.make("mf.with_plan", plan))
    fn = options.func("mf.with_plan", fn)
    local scope <close> = setmetatable({ outer = put(record) }, Scope) -- luacheck: ignore 211
    return fn(...)
end

---The number of workers that the current plan has; 1 under `sequential`. Under `cluster` the hosts are started first,
---and the workers count of those that have been there; when too few can be started, that is an error that lists them.
---@return integer
function M.workers()
    local record = in_force()
    if record.plan.options.hosts then
        record.plan.workers = M.open(record).pool:workers()
    end
    return record.plan.workers
end

---What the program's options `--plan`, `--hosts`, `-j` and `--seed` ask for; they win over MOONFLEET_PLAN.
---@param given { plan: string?, hosts: string?, workers: integer?, seed: integer? }
function M.configure(given)
    local levels = given.plan and parse("--plan", given.plan)
    if given.hosts then
        if levels then
            options.raise("--hosts: option --plan is given, too; write --plan 'cluster,hosts=a+b'")
        end
        levels = { level_of("--hosts", { CLUSTER, hosts = given.hosts, workers = given.workers }) }
    elseif given.workers then
        options.argument("-j", "the number of workers", worker_count, given.workers)
        levels = levels or from_environment() or { { "threads" } }
        if levels[1][1] == SEQUENTIAL and not given.plan then
            levels[1] = { "threads" }
        end
        levels[1].workers = given.workers
        levels[1] = level_of("-j", levels[1])
    end
    if levels then
        configured, current = levels, nil
    end
    if given.seed then
        core.seed(options.argument("--seed", "the seed", kinds.integer, given.seed))
    end
end

return M
