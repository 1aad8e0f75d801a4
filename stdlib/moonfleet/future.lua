-- Single futures and lists of them. What a future can do by itself is C; here are its creation and checks, and what
-- needs several futures. A list may hold futures of whole maps (async.lua), which the core does not know: waiting on
-- such a list goes through the chunks of those maps.

local core = require("moonfleet.core")
local jobs = require("moonfleet.job")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")

local M = {}

local submit, current = core.submit, plans.current

---Metatable of the futures of whole maps; async.lua fills it.
M.map_future = { __name = "moonfleet.map_future" }

---Called with every new future of a map, where somebody wants to know of them (the prompt).
---@type fun(f: moonfleet.MapFuture)?
M.observe = nil

local spec = options.merge(options.task, { lazy = options.kinds.boolean })

---The value of a task, unresolved or resolved. Times are in seconds. No method waits for ever on a worker that is gone:
---what becomes of its futures is the state lost.
---
---Errors: a method raises what it says it raises, and an error that names the argument when that has the wrong type; a
---wait that Ctrl-C ends raises "interrupted!". What a task raises itself is the same value here; where the task is
---not at fault it is a moonfleet.Error, whose kind is timeout, cancelled or lost.
---@class moonfleet.Future
---@field label string? as the options gave it
local Future = core.methods

---Waits until the task has ended, prints what it has printed, and returns its values. Raises its error, whose
---traceback is shown with the program's message, or an error of kind timeout when the time is over: the future goes
---on then.
---@param timeout number? seconds; as long as it takes unless told
---@return any ... all values of the task
Future.value = core.methods.value

---Like `value()`, but an error of the task is a result and not raised.
---@return boolean ok whether the task has ended with values
---@return any ... its values; or the error and a table with kind, label, worker, node (of a cluster), traceback and
---element (of a map)
Future.result = core.methods.result

---Has the task ended? Never waits; a lazy future starts when it is asked. No errors.
---@return boolean
Future.resolved = core.methods.resolved

---Waits until the task has ended, or the time is over. Raises no error of the task.
---@param timeout number? seconds; as long as it takes unless told
---@return boolean resolved
Future.wait = core.methods.wait

---Cancels the task: it is not started, or stopped at its next instruction. Never waits, no errors.
---@return boolean changed whether that changed anything
Future.cancel = core.methods.cancel

---created, queued, sent, running, done, failed, cancelled or lost. Never waits, no errors.
---@return string
Future.state = core.methods.state

---What the task has written by now, or in all when it has ended; nothing of what is relayed live. No errors.
---@return string out bytes for stdout
---@return string err bytes for stderr
Future.output = core.methods.output

---How long the task ran (its last run, where there were several). No errors.
---@return number? seconds nil while it has not ended
Future.elapsed = core.methods.elapsed

---The worker that runs it, or ran it last, such as "threads/2". No errors.
---@return string? name nil before it runs
Future.worker = core.methods.worker

---What the task has said of itself by mf.progress. No errors.
---@return number? fraction 0 to 1; nil if it has said nothing
---@return string? text
Future.progress = core.methods.progress

---Options of a future. All may be left out.
---@class moonfleet.FutureOptions
---@field label string?
---@field seed integer? of the task's random numbers
---@field timeout number? seconds the task may run
---@field retries integer? how often it is run again when its worker is lost
---@field retry_on "lost"|"error"|nil "error": also when it ended in an error
---@field globals table|false|nil added to the globals that are found: names and values, or a list of names; false:
---no global is looked for
---@field globals_max integer? bytes that found globals may have; 500 MB unless told
---@field packages string[]? modules that are required before the function runs
---@field output "relay"|"live"|"discard"|nil where the task's output goes: here when the value is collected, here at
---once with the worker's name in front, or nowhere
---@field lazy boolean? the task does not start until somebody asks for it
---@field priority integer? higher goes first

local function with_options(record, where, first, fn, ...)
    if type(first) ~= "table" or getmetatable(first) and options.callable(first) then
        return submit(record.pool, record.defaults, options.func(where, first, "a function or options"), fn, ...)
    end
    local given = options.check(where, spec, first)
    jobs.check_retries(where, given)
    fn = options.func(where, fn, "a function behind the options")
    return submit(record.pool, {
        label = given.label,
        seed = given.seed,
        timeout = given.timeout,
        retries = given.retries,
        retry_on_error = given.retry_on == "error",
        globals = options.globals(where, given.globals, fn),
        globals_max = given.globals_max,
        skip = record.exports,
        packages = given.packages,
        output = given.output,
        lazy = given.lazy,
        priority = given.priority,
    }, fn, ...)
end

---A future on a given record.
---@param record moonfleet.Record
---@param where string
---@return moonfleet.Future
function M.future_on(record, where, first, ...)
    return with_options(record, where, first, ...)
end

---Makes a future: `mf.future(fn, ...)` or `mf.future(options, fn, ...)`. The task runs fn with copies of the arguments
---on a worker of the plan, with the values that fn's upvalues and globals have now. A future among the arguments is a
---dependency: the task starts when it is done and gets its value. Creation does not wait for a worker (under `forks` it
---does), but for room when more than the plan's `queue_bytes` are queued.
---
---Errors: an option that does not exist or has a wrong value, and a value that cannot be sent, which is named by its
---path. What fn raises is raised by `value()`.
---@param first function|moonfleet.FutureOptions
---@param ... any
---@return moonfleet.Future
function M.future(first, ...)
    local record = current()
    if type(first) == "function" then
        return submit(record.pool, record.defaults, first, ...)
    end
    return with_options(record, "mf.future", first, ...)
end

---Like `value()`, for coroutines: where the running coroutine can yield, it yields this future until it is resolved,
---so that whoever resumes it can do something else; elsewhere it waits. Raises the task's error.
---@return any ... the task's values
function Future:await()
    self:wait(0)
    while not self:resolved() and coroutine.isyieldable() do
        coroutine.yield(self)
    end
    return self:value()
end

-- The length of a list of futures, and whether there are futures of maps among them.
local function check_list(where, list)
    if type(list) ~= "table" then
        options.raise(("%s: expected a list of futures, not %s"):format(where, options.describe(list)))
    end
    local n = rawget(list, "n") or #list
    local maps = false
    for i = 1, n do
        local f = list[i]
        if not core.is_future(f) then
            if getmetatable(f) ~= M.map_future then
                local shown = options.describe(f)
                options.raise(("%s: element %d of the list must be a future, not %s"):format(where, i, shown))
            end
            maps = true
        end
    end
    return n, maps
end

local function deadline_after(timeout)
    return timeout and core.now() + timeout
end

local function time_left(deadline)
    return deadline and math.max(0, deadline - core.now())
end

-- core.wait for lists with futures of maps: waits for any of the tasks that are unresolved, until enough are.
local function wait_with_maps(list, n, count, timeout)
    local deadline = deadline_after(timeout)
    while true do
        local resolved, tasks = 0, {}
        for i = 1, n do
            local f = list[i]
            if f:resolved() then
                resolved = resolved + 1
            elseif core.is_future(f) then
                tasks[#tasks + 1] = f
            else
                f:open_tasks(tasks)
            end
        end
        if resolved >= count or deadline and core.now() >= deadline then
            return resolved
        end
        core.wait(tasks, #tasks, 1, time_left(deadline))
    end
end

-- Waits until count of list[1..n] are resolved; returns how many are.
local function wait_for(list, n, maps, count, timeout)
    if maps then
        return wait_with_maps(list, n, count, timeout)
    end
    return core.wait(list, n, count, timeout)
end

---The values of several futures, the first one of each. Raises the first error in the order of the list; the other
---futures run on.
---@param list moonfleet.Future[]|moonfleet.Future a list (its field n counts, if there is one), or a single future
---@param timeout number? seconds for all of them
---@return table values with n
function M.value(list, timeout)
    if timeout ~= nil then
        options.argument("mf.value", "the timeout", options.kinds.patience, timeout)
    end
    if core.is_future(list) or getmetatable(list) == M.map_future then
        return list:value(timeout)
    end
    local n = check_list("mf.value", list)
    local deadline = deadline_after(timeout)
    local values = { n = n }
    for i = 1, n do
        values[i] = (list[i]:value(time_left(deadline)))
    end
    return values
end

local wait_spec = { count = options.kinds.positive, timeout = options.kinds.patience }

---Waits until some futures are resolved, or until the time is over. Raises none of their errors.
---@param list moonfleet.Future[]
---@param given { count: integer?, timeout: number? }? count: how many to wait for (all unless told); timeout: seconds
---@return moonfleet.Future[] done with n, in the order of the list
---@return moonfleet.Future[] pending with n, in the order of the list
function M.wait(list, given)
    given = options.check("mf.wait", wait_spec, given)
    local n, maps = check_list("mf.wait", list)
    wait_for(list, n, maps, math.min(given.count or n, n), given.timeout)
    local done, pending = { n = 0 }, { n = 0 }
    for i = 1, n do
        local side = list[i]:resolved() and done or pending
        side.n = side.n + 1
        side[side.n] = list[i]
    end
    return done, pending
end

-- The futures of a list that have not been handed out. Resolved ones stay in the array until half of it is stale, so
-- that handing out all of n costs the order of n steps here; the search begins at the oldest, where tasks that run in
-- the order of their creation end first.
local Pending = {}
Pending.__index = Pending

local function pending_of(where, list)
    local n, maps = check_list(where, list)
    local futures, positions = table.move(list, 1, n, 1, {}), {}
    for i = 1, n do
        positions[i] = i
    end
    local pending = { futures = futures, positions = positions, n = n, maps = maps, left = n, oldest = 1, gone = {} }
    return setmetatable(pending, Pending)
end

local function compact(self)
    local kept = 0
    for i = 1, self.n do
        if not self.gone[i] then
            kept = kept + 1
            self.futures[kept], self.positions[kept] = self.futures[i], self.positions[i]
        end
    end
    for i = kept + 1, self.n do
        self.futures[i], self.positions[i] = nil, nil
    end
    self.n, self.oldest, self.gone = kept, 1, {}
end

-- The first resolved future that was not handed out, in array[from..to].
local function find(self, from, to)
    for i = from, to do
        if not self.gone[i] and self.futures[i]:resolved() then
            return i
        end
    end
    return nil
end

local GLANCE = 8 -- of the oldest are looked at before the core is asked

function Pending:next()
    if self.left == 0 then
        return nil
    elseif self.n > 16 and self.left * 2 < self.n then
        compact(self)
    end
    local i = find(self, self.oldest, math.min(self.n, self.oldest + GLANCE))
    if not i then
        wait_for(self.futures, self.n, self.maps, self.n - self.left + 1)
        i = find(self, self.oldest, self.n)
    end
    self.gone[i] = true
    self.left = self.left - 1
    while self.gone[self.oldest] do
        self.oldest = self.oldest + 1
    end
    return self.futures[i], self.positions[i]
end

---Iterates over futures as they are resolved: `for future, i in mf.as_completed(list) do`. i is the position in the
---list. Raises none of their errors.
---@param list moonfleet.Future[]
---@return fun(): moonfleet.Future?, integer?
function M.as_completed(list)
    local pending = pending_of("mf.as_completed", list)
    return function()
        return pending:next()
    end
end

---Waits for the first of several futures that is resolved and returns its values, or raises its error.
---@param list moonfleet.Future[]
---@param given { cancel: boolean? }? cancel: the others are cancelled
---@return any ...
function M.race(list, given)
    given = options.check("mf.race", { cancel = options.kinds.boolean }, given)
    local pending = pending_of("mf.race", list)
    if pending.n == 0 then
        options.raise("mf.race: the list is empty, so no future can be the first")
    end
    local winner = pending:next()
    if given.cancel then
        for i = 1, pending.n do
            if list[i] ~= winner then
                list[i]:cancel()
            end
        end
    end
    return winner:value()
end

return M
