-- imap: the results of a map as they come, over inputs of any length. The loop that takes results drives the map: each
-- time it needs a chunk that is not there, new chunks are started and waited for. What is read ahead is bounded by
-- chunks, and by the option `ahead` in elements. Errors travel as values, so that all results in front of an error
-- are delivered before it is raised, whatever the chunks are.

local flights = require("moonfleet.flight")
local jobs = require("moonfleet.job")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")
local progress = require("moonfleet.progress")
local sources = require("moonfleet.source")

local M = {}

local BACKLOG = 16 -- chunks for each worker that are started and not delivered, at most
local CAP = 65536 -- elements in a chunk

local spec = options.merge(jobs.spec, { ordered = options.kinds.boolean, ahead = options.kinds.positive })

---@class moonfleet.Stream
---@field job moonfleet.Job
---@field flight moonfleet.Flight
---@field entry moonfleet.Entry? the chunk that is being delivered
---@field cursor integer position of its element that was delivered last
---@field delivered integer elements
local Stream = {}
Stream.__index = Stream

-- Elements that may still be read ahead; nil without a bound.
local function room(self)
    local ahead = self.job.given.ahead
    return ahead and ahead - (self.job.source.position - self.delivered)
end

local function feed(self)
    local flight = self.flight
    while self.more and flight.open < flight.limit and flight:count() < self.backlog do
        local most = room(self)
        if most and most <= 0 then
            return
        end
        self.more = self.job:launch(flight, most)
    end
end

-- The next chunk to deliver, resolved; nil at the end.
local function next_entry(self)
    local flight, bar = self.flight, self.bar
    while true do
        flight:sweep()
        feed(self)
        local head = flight:peek()
        if not head then
            return nil
        elseif self.ordered and head.done then
            return flight:take()
        end
        local entry = not self.ordered and flight:take_done()
        if entry then
            return entry
        end
        flight:wait(1, bar and bar.tick)
        if bar then
            bar:update(self.delivered, self.job.source.n, flight)
        end
    end
end

local function finish(self)
    if not self.ended then
        self.ended = true
        self.flight:cancel()
        plans.release(self.job.record)
        if self.bar then
            getmetatable(self.bar).__close(self.bar)
        end
    end
end

Stream.__close = finish

-- Makes the next chunk the one that is delivered. False at the end.
local function advance(self)
    local entry = next_entry(self)
    if not entry then
        return false
    end
    if self.bar then
        self.bar:make_room(entry.future)
    end
    self.results, self.failures, self.tracebacks = {}, {}, {}
    self.job:collect(entry, self.results, self.failures, self.tracebacks)
    self.entry, self.cursor = entry, entry.first - 1
    return true
end

-- One step of the loop: position, result and, when errors are collected, the error.
local function step(self)
    if self.ended then
        return nil
    end
    while not self.entry or self.cursor >= self.entry.last do
        if not advance(self) then
            finish(self)
            return nil
        end
    end
    local i = self.cursor + 1
    self.cursor, self.delivered = i, self.delivered + 1
    local failure = self.failures[i]
    if failure ~= nil and self.job.stop then
        finish(self)
        local future = self.entry.future
        self.job:raise(self.entry, i, failure, {
            kind = "error",
            traceback = self.tracebacks[i],
            worker = future:worker(),
            label = future.label,
        })
    end
    return i, self.results[i], failure
end

local function start(record, where, xs, fn, given)
    given = options.check(where, spec, given)
    local workers = record.plan.workers
    local request = {
        where = where,
        fn = options.func(where, fn),
        spec = spec,
        given = given,
        cap = given.ahead and math.max(1, given.ahead // (2 * workers)) or CAP,
        collect = true,
    }
    local job = jobs.new(record, sources.of(where, xs, "list"), request)
    plans.hold(record)
    local stream = setmetatable({
        job = job,
        flight = flights.new(record.pool, job.policy),
        ordered = given.ordered ~= false,
        backlog = BACKLOG * workers,
        more = true,
        cursor = 0,
        delivered = 0,
        ended = false,
        bar = progress.open(given.progress, job.source.n, given.label),
    }, Stream)
    local ok, err = pcall(job.settle, job)
    if not ok then
        finish(stream)
        error(err, 0)
    end
    return stream
end

---Options of `mf.imap`: those of a map without `combine`, and these.
---@class moonfleet.StreamOptions: moonfleet.MapOptions
---@field ordered boolean? false: results come as they are ready, not in the order of the elements
---@field ahead integer? elements that may be read and not delivered yet; otherwise some chunks for each worker

---Iterates over the results of a map while it runs: `for i, result in mf.imap(io.lines(path), fn) do`. The input may
---have no end: it is read ahead only so far. i is the element's position. Leaving the loop, by whatever way, cancels
---what is under way. An error in fn is raised when its element's turn comes; with `on_error = "collect"` it is the
---third loop variable instead.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(x: any): any
---@param given moonfleet.StreamOptions?
---@return fun(): integer?, any, any next
---@return nil
---@return nil
---@return table closing what the loop closes when it is left
function M.imap(xs, fn, given)
    local stream = start(plans.current(), "mf.imap", xs, fn, given)
    return function()
        return step(stream)
    end, nil, nil, stream
end

return M
