-- map_async: a future of a whole map. All chunks are queued at once, in shrinking sizes, since nobody is there to feed
-- the workers later. The object has the methods of a future; its state is made up of the states of its chunks. An
-- error in one chunk cancels the others as soon as somebody looks or waits.

local core = require("moonfleet.core")
local chunks = require("moonfleet.chunks")
local errors = require("moonfleet.error")
local flights = require("moonfleet.flight")
local futures = require("moonfleet.future")
local jobs = require("moonfleet.job")
local maps = require("moonfleet.map")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")
local sources = require("moonfleet.source")

local M = {}

---The future of a whole map, with the methods of a future. `elapsed` is the sum over its tasks in seconds, `state`
---that of the map as a whole, and `value` gives what `mf.map` would have returned. Errors: as for moonfleet.Future;
---the error of an element names it.
---@class moonfleet.MapFuture: moonfleet.Future
---@field label string?
local MapFuture = futures.map_future
MapFuture.__index = MapFuture

local spec = options.merge(maps.spec)
spec.progress = nil

-- Takes note of what has ended; an error ends the rest. True when nothing is open any more.
local function look(self)
    local flight = self.flight
    flight:sweep()
    if flight.open > 0 and flight.failed and self.job.stop then
        flight:cancel()
        flight:sweep()
    end
    return flight.open == 0
end

function MapFuture:resolved()
    return look(self)
end

function MapFuture:wait(timeout)
    self.asked = true
    local deadline = timeout and core.now() + timeout
    while not look(self) do
        local left = deadline and deadline - core.now()
        if left and left <= 0 then
            return false
        end
        self.flight:wait(1, left)
    end
    return true
end

-- What value and result hand out: ok, then results and errors, or the error and what is known about it. Made once.
local function answer(self)
    if not self.answer then
        self.final = self:state()
        self.answer = table.pack(pcall(maps.results_of, self.job, function(job, take)
            job:drain(self.flight, take)
        end))
    end
    return self.answer
end

function MapFuture:value(timeout)
    if not self:wait(timeout) then
        error(errors.new({ kind = "timeout", message = "the map is not resolved yet", label = self.label }), 2)
    end
    local got = answer(self)
    if not got[1] then
        errors.raise(got[2], self.job.info)
    end
    return table.unpack(got, 2, got.n)
end

function MapFuture:result()
    self:wait()
    local got = answer(self)
    if not got[1] then
        return false, got[2], self.job.info
    end
    return table.unpack(got, 1, got.n)
end

function MapFuture:cancel()
    return self.flight:cancel()
end

-- The state of a map none of whose chunks is open: that of the first that did not end well, if errors are not values;
-- chunks that were cancelled because of another's error come last.
local function end_state(self)
    local state = "done"
    for _, task in ipairs(self.job.stop and self.tasks or {}) do
        local own = task:state()
        if own ~= "done" and (state == "done" or state == "cancelled") then
            state = own
        end
    end
    return state
end

function MapFuture:state()
    if self.final then
        return self.final
    elseif look(self) then
        return end_state(self)
    end
    for _, task in ipairs(self.tasks) do
        if task:state() ~= "queued" then
            return "running"
        end
    end
    return "queued"
end

function MapFuture:elapsed()
    if not look(self) then
        return nil
    end
    local seconds = 0
    for _, task in ipairs(self.tasks) do
        seconds = seconds + (task:elapsed() or 0)
    end
    return seconds
end

MapFuture.await = core.methods.await

---What the prompt shows of it.
---@return { label: string?, state: string, seconds: number, done: integer, total: integer } facts seconds since it was
---made, or until it was seen to be resolved; done and total in elements
function MapFuture:facts()
    local state = self:state()
    if not self.ended and self.flight.open == 0 then
        self.ended = core.now()
    end
    return {
        label = self.label,
        state = state,
        seconds = (self.ended or core.now()) - self.began,
        done = self.flight.finished,
        total = self.job.source.n,
    }
end

function MapFuture:__tostring()
    return ("future of a map (%s)"):format(self:state())
end

---Adds the tasks that are not resolved to a list that the core can wait on.
---@param list userdata[]
function MapFuture:open_tasks(list)
    table.move(self.flight.futures, 1, self.flight.open, #list + 1, list)
end

---Like `mf.map`, but does not wait: returns a future of the results. An iterator is read to its end first. Errors of
---fn are raised by the future's `value()`; those of the arguments here.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(x: any): any
---@param given moonfleet.MapOptions? without `progress`
---@return moonfleet.MapFuture
function M.map_async(xs, fn, given)
    local where, record = "mf.map_async", plans.current()
    fn = options.func(where, fn)
    given = options.check(where, spec, given)
    local source = sources.of(where, xs, "list")
    source:materialise()
    local guided = not (given.chunk or given.schedule or given.timeout)
    local policy = guided and chunks.guided(record.plan.workers) or nil
    local job = jobs.new(record, source, { where = where, fn = fn, spec = spec, given = given, policy = policy })
    local flight, tasks = flights.new(record.pool, job.policy), {}
    local hold <close> = jobs.hold(record) -- luacheck: ignore 211
    job:settle()
    while job:launch(flight) do
        tasks[flight.open] = flight.futures[flight.open]
    end
    local future = setmetatable({ job = job, flight = flight, tasks = tasks, label = given.label }, MapFuture)
    future.began = core.now()
    if futures.observe then
        futures.observe(future)
    end
    return future
end

return M
