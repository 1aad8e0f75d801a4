-- The chunks of one map that are under way. Entries stand in the order of their elements; open ones, which are not
-- resolved yet, also stand in a small array that the core can wait on. Chunks resolve in any order and are taken in
-- the order of their elements, so that output appears as if the map had been a loop.
--
-- Two chunks a worker are under way, as a rule. Where chunks must be short, since their size is given, that would be a
-- round trip for each; so then more stand ahead of the workers. Where many are under way, results are taken note of in
-- batches, so that a task costs the same under ten workers and a thousand.

local core = require("moonfleet.core")

local M = {}

local SPAN = 0.001 -- seconds: of work ahead of a worker, beside a trip; for a batch of results
local MANY, BATCHES = 16, 8 -- so many open chunks, or more, are looked at in batches, each so large a part of them
local DEPTH = 32 -- times the usual number of chunks, at most

---@class moonfleet.Entry one chunk under way
---@field future userdata
---@field first integer position of its first element
---@field last integer position of its last element
---@field buffer table? the elements, where they were read from an iterator
---@field done boolean resolved
---@field ok boolean resolved, and not by an error, a cancellation or a loss

---@class moonfleet.Flight
---@field limit integer open chunks, at most
---@field shallow integer the same while chunks are long, or nothing is known of them
---@field deep boolean? the limit follows the time of a chunk
---@field each number? seconds of a chunk, smoothed
---@field open integer
---@field failed boolean a chunk has not ended well
---@field finished integer elements of resolved chunks
local Flight = {}
Flight.__index = Flight

---@param pool userdata
---@param policy moonfleet.Policy learns from the chunks
---@param deep boolean? more chunks may be under way while they are short
---@return moonfleet.Flight
function M.new(pool, policy, deep)
    local shallow = pool:asynchronous() and 2 * pool:workers() or 1
    return setmetatable({
        limit = shallow,
        shallow = shallow,
        deep = deep and shallow > 1,
        pool = pool,
        policy = policy,
        entries = {},
        head = 1,
        tail = 0,
        waiting = {},
        futures = {},
        open = 0,
        failed = false,
        finished = 0,
    }, Flight)
end

---@param future userdata
---@param first integer
---@param last integer
---@param buffer table?
function Flight:add(future, first, last, buffer)
    local entry = { future = future, first = first, last = last, buffer = buffer, done = false, ok = false }
    self.tail = self.tail + 1
    self.entries[self.tail] = entry
    self.open = self.open + 1
    self.waiting[self.open] = entry
    self.futures[self.open] = future
end

local function learn(self, count, seconds)
    local trip = self.pool:trip()
    self.policy:learn(count, seconds, trip)
    if self.deep then
        self.each = ((self.each or seconds) + seconds) / 2
        local depth = (SPAN + trip) // math.max(self.each, 1e-9)
        self.limit = self.shallow * math.floor(math.max(1, math.min(DEPTH, depth)))
    end
end

-- Takes note of an entry that is resolved.
local function settle(self, entry)
    local count = entry.last - entry.first + 1
    local future = entry.future
    entry.done = true
    self.finished = self.finished + count
    entry.ok = future:state() == "done"
    if entry.ok then
        learn(self, count, future:elapsed() or 0)
    else
        self.failed = true
    end
end

---Takes note of what is resolved, without waiting.
function Flight:sweep()
    local kept = 0
    local waiting, futures = self.waiting, self.futures
    local n = self.open
    for i = 1, n do
        local entry = waiting[i]
        if futures[i]:resolved() then
            settle(self, entry)
        else
            kept = kept + 1
            waiting[kept], futures[kept] = entry, entry.future
        end
    end
    for i = kept + 1, n do
        waiting[i], futures[i] = nil, nil
    end
    self.open = kept
end

---Waits until at least count open chunks (all when nil) are resolved, or the time is over.
---@param count integer?
---@param timeout number? seconds
function Flight:wait(count, timeout)
    if self.open > 0 then
        core.wait(self.futures, self.open, count, timeout)
        self:sweep()
    end
end

---Waits until some open chunk is resolved, or the time is over. Where many are under way, which takes time to look
---at, it waits for a moment longer for more.
---@param timeout number? seconds
function Flight:wait_for_some(timeout)
    local open = self.open
    if open >= MANY then
        self:wait(open // BATCHES, SPAN)
    end
    if self.open == open then
        self:wait(1, timeout)
    end
end

---The number of chunks that have not been taken.
---@return integer
function Flight:count()
    return self.tail - self.head + 1
end

---The oldest chunk that has not been taken, resolved or not.
---@return moonfleet.Entry?
function Flight:peek()
    return self.entries[self.head]
end

---Takes the oldest chunk out.
---@return moonfleet.Entry?
function Flight:take()
    local entry = self.entries[self.head]
    if entry then
        self.entries[self.head] = nil
        self.head = self.head + 1
    end
    return entry
end

---Takes any resolved chunk out, the oldest first. Chunks behind it move up.
---@return moonfleet.Entry?
function Flight:take_done()
    for i = self.head, self.tail do
        local entry = self.entries[i]
        if entry.done then
            table.move(self.entries, self.head, i - 1, self.head + 1)
            self.entries[self.head] = nil
            self.head = self.head + 1
            return entry
        end
    end
    return nil
end

---Cancels all that is open, the youngest first, so that no worker picks up what is about to be cancelled.
---@return boolean changed whether there was anything to cancel
function Flight:cancel()
    local changed = false
    for i = self.open, 1, -1 do
        changed = self.futures[i]:cancel() or changed
    end
    return changed
end

function Flight:__close()
    self:cancel()
end

return M
