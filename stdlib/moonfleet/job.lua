-- One map at work: what is sent with its chunks, how errors are named, and the loop that keeps the workers fed. The
-- kinds of maps (map.lua, reduce.lua, iterate.lua, async.lua) differ in how the chunks' results are put together.

local core = require("moonfleet.core")
local chunks = require("moonfleet.chunks")
local errors = require("moonfleet.error")
local flights = require("moonfleet.flight")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")
local progress = require("moonfleet.progress")

local M = {}

local ENDLESS = 1 << 32 -- random streams set aside for an iterator, so that what runs meanwhile gets others

---The options of everything that works on elements.
M.spec = options.merge(options.task, {
    chunk = options.kinds.positive,
    schedule = options.one_of("dynamic", "static"),
    progress = options.kinds.progress,
    on_error = options.one_of("stop", "collect"),
})

---What a kind of map asks for.
---@class moonfleet.JobRequest
---@field where string the function as users write it
---@field fn function
---@field fold function? second function of mode "mapfold"
---@field mode string? of core.chunk
---@field spec table the options that are allowed
---@field given table? the user's options
---@field policy moonfleet.Policy? in place of the one that the options ask for
---@field cap integer? the most elements in a chunk
---@field collect boolean? errors are values, whatever on_error says
---@field waits boolean? the caller waits for the map, so that what it works on does not change meanwhile

---@class moonfleet.Job
---@field where string
---@field record moonfleet.Record
---@field source moonfleet.Source
---@field given table the user's options
---@field policy moonfleet.Policy
---@field stop boolean the first error ends the map
---@field still boolean no code of the user's runs here before all chunks are made
---@field keys any[]? names of the elements, if not their positions
---@field info table? about the error that was raised
local Job = {}
Job.__index = Job

local function choose_policy(job, request)
    local given, source = job.given, job.source
    local workers = job.record.plan.workers
    if request.policy then
        return request.policy
    elseif given.chunk then
        return chunks.fixed(given.chunk)
    elseif given.schedule == "static" then
        if not source.n then
            options.raise(("%s: schedule \"static\" needs a list or a range, not an iterator"):format(job.where))
        end
        return chunks.static(workers)
    elseif given.timeout then
        return chunks.fixed(1)
    end
    return chunks.dynamic(workers, source.n, request.cap)
end

---Checks what retries depend on.
---@param where string
---@param given table
function M.check_retries(where, given)
    if given.retry_on and not given.retries then
        options.raise(where .. ": option 'retry_on' needs option 'retries', the number of times to try again")
    end
end

-- The options that travel with each chunk; offset and timeout are set for each anew.
local function chunk_options(given, request, stop)
    return {
        label = given.label,
        retries = given.retries,
        retry_on_error = given.retry_on == "error",
        output = given.output,
        priority = given.priority,
        seed = given.seed,
        mode = request.mode,
        collect = request.collect or not stop,
    }
end

---@param record moonfleet.Record
---@param source moonfleet.Source
---@param request moonfleet.JobRequest
---@return moonfleet.Job
function M.new(record, source, request)
    local where = request.where
    local given = options.check(where, request.spec, request.given)
    M.check_retries(where, given)
    local stop = given.on_error ~= "collect"
    local job = setmetatable({ where = where, record = record, source = source, given = given, stop = stop }, Job)
    job.still = request.waits and not (source.read or given.combine or type(given.progress) == "function")
    job.policy = choose_policy(job, request)
    job.code = core.code({
        globals = options.globals(where, given.globals, request.fn),
        globals_max = given.globals_max,
        skip = record.exports,
        packages = given.packages,
    }, request.fn, request.fold, record.pool, request.waits and source.a or nil, request.waits and source.b or nil)
    job.chunk = chunk_options(given, request, stop)
    job.chunk.stream = given.seed and 1 or core.streams(source.n or ENDLESS)
    return job
end

---Where workers are forks: sees that they have what the function has captured as it is now, although code of the
---user's will run before the last chunk is made. The record is held.
function Job:settle()
    if not self.still then
        local workers = self.record.plan.workers
        core.provide(self.record.pool, self.code, math.min(workers, self.source.n or workers))
        self.chunk.stale = true
    end
end

---Starts the next chunk.
---@param flight moonfleet.Flight
---@param most integer? elements, at most
---@return boolean started false when there are no more elements
function Job:launch(flight, most)
    local source, chunk = self.source, self.chunk
    local size = self.policy:size(source:left())
    local first, last, a, b, offset, buffer = source:take(most and math.min(size, most) or size)
    if not first then
        return false
    end
    chunk.offset = offset
    if self.given.timeout then
        chunk.timeout = self.given.timeout * (last - first + 1)
    end
    flight:add(core.chunk(self.record.pool, self.code, chunk, source.kind, first, last, a, b), first, last, buffer)
    return true
end

---The element's name in messages.
---@param position integer
---@return any
function Job:name(position)
    if self.keys then
        return self.keys[position]
    end
    return position
end

-- "element 17 of mf.map 'fit'"
local function place(job, entry, position)
    local what = job.where
    if job.given.label then
        what = ("%s '%s'"):format(what, job.given.label)
    end
    if position then
        local name = job:name(position)
        local shown = type(name) == "string" and options.describe(name) or tostring(name)
        return ("element %s of %s"):format(shown, what)
    end
    return ("elements %d to %d of %s"):format(entry.first, entry.last, what)
end

---Raises the error of an element with its name: appended to a string or to an error of the runtime, while any other
---value is raised as it is. The worker's traceback is kept for the program's message.
---@param entry moonfleet.Entry
---@param position integer? nil when the error is not about one element
---@param err any
---@param info table? what the core tells about it; kept as the job's info
function Job:raise(entry, position, err, info)
    if not position and entry.first == entry.last then
        position = entry.first
    end
    local where = place(self, entry, position)
    if type(err) == "string" then
        err = ("%s (%s)"):format(err, where)
    elseif errors.is(err) then
        err.message = ("%s (%s)"):format(err.message, where)
        err.element = position and self:name(position)
    end
    self.info = info
    errors.raise(err, info)
end

-- An error that nil stands for, in a table of errors.
local function present(err)
    if err == nil then
        return errors.new({ kind = "error", message = "nil" })
    end
    return err
end

---Takes a chunk's results. With a table failures, the errors of its elements go there; without, they are raised.
---@param entry moonfleet.Entry resolved
---@param results table?
---@param failures table?
---@param tracebacks table? position -> traceback of the elements that failed
---@return any value of a fold
function Job:collect(entry, results, failures, tracebacks)
    local seen = failures and (tracebacks or {})
    local ok, value, err, info = entry.future:collect(results, failures, seen)
    if not failures then
        if not ok then
            self:raise(entry, value, err, info)
        end
        return value
    end
    if not ok then
        for i = entry.first, entry.last do
            failures[i], seen[i] = present(err), info and info.traceback or ""
        end
    end
    for i in pairs(seen) do
        failures[i] = present(failures[i])
    end
    return value
end

-- An error has been seen: ends what still runs, hands over what comes before the error, and raises it.
local function give_up(job, flight, take)
    flight:cancel()
    flight:wait()
    local cancelled
    for _ = 1, flight:count() do
        local entry = flight:take()
        if entry.ok then
            take(entry)
        else
            local _, position, err, info = entry.future:collect()
            if not (info and info.kind == "cancelled") then
                job:raise(entry, position, err, info)
            end
            cancelled = cancelled or { entry, position, err, info }
        end
    end
    job:raise(table.unpack(cancelled, 1, 4))
end

local function advance(job, flight, take)
    local entry = flight:peek()
    while entry and entry.done and (entry.ok or not job.stop) do
        take(flight:take())
        entry = flight:peek()
    end
    if flight.failed and job.stop then
        give_up(job, flight, take)
    end
end

---Hands over the chunks of a map that has been launched as a whole.
---@param flight moonfleet.Flight
---@param take fun(entry: moonfleet.Entry)
function Job:drain(flight, take)
    while flight:count() > 0 do
        flight:wait(1)
        advance(self, flight, take)
    end
end

-- Releases a record when a scope ends.
local Hold = {
    __close = function(hold)
        plans.release(hold.record)
    end,
}

---Holds the record until the end of the scope.
---@param record moonfleet.Record
function M.hold(record)
    plans.hold(record)
    return setmetatable({ record = record }, Hold)
end

---Runs the map to its end: feeds the workers, and hands the chunks to take in the order of their elements.
---@param take fun(entry: moonfleet.Entry)
function Job:run(take)
    local hold <close> = M.hold(self.record) -- luacheck: ignore 211
    self:settle()
    local deep = not self.source.read and (self.given.chunk or self.given.timeout) ~= nil
    local flight <close> = flights.new(self.record.pool, self.policy, deep)
    local bar <close> = progress.open(self.given.progress, self.source.n, self.given.label)
    local function take_quietly(entry)
        bar:make_room(entry.future)
        take(entry)
    end
    local visit = bar and take_quietly or take
    local more = true
    while more or flight:count() > 0 do
        while more and flight.open < flight.limit do
            more = self:launch(flight)
        end
        flight:wait_for_some(bar and bar.tick)
        advance(self, flight, visit)
        if bar then
            bar:update(flight.finished, self.source.n, flight)
        end
    end
end

---How many errors were collected goes into n.
---@param failures table
---@return table failures
function M.count_errors(failures)
    local n = 0
    for _ in pairs(failures) do
        n = n + 1
    end
    failures.n = n
    return failures
end

return M
