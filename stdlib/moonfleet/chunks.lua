-- How many elements go into the next chunk of a map. The dynamic policy starts with probes, keeps a smoothed time per
-- element and aims at chunks of a few milliseconds, so that the cost of a chunk vanishes behind its work, or of as much
-- time as a chunk's way to its worker and back takes; towards the end chunks shrink with what is left, so that all
-- workers end together.

local M = {}

local TARGET = 0.005 -- seconds of work a chunk should hold, at least
local LEAST = 0.1 -- of that, below which a chunk is not worth its way, even at the end
local GROWTH = 8 -- the most by which a chunk may outgrow the largest one measured
local PROBE = 64 -- elements in the first chunks of a huge map, at most
local HUGE = 20000 -- elements of a map for each element of its first chunks

---@class moonfleet.Policy
---@field size fun(self, left: integer?): integer elements for the next chunk; left is nil when it is not known
---@field learn fun(self, count: integer, seconds: number, trip: number) what a chunk took to run, and for its way

local Dynamic = {}
Dynamic.__index = Dynamic

function Dynamic:size(left)
    local size = math.min(self.wanted, self.cap)
    if left then
        local share = (left + 2 * self.workers - 1) // (2 * self.workers)
        local least = self.each and LEAST * self.target // self.each or 1
        size = math.min(size, math.max(share, least), left)
    end
    return math.max(1, math.floor(size))
end

function Dynamic:learn(count, seconds, trip)
    local each = math.max(seconds, 1e-9) / count
    self.each = self.each and (self.each + each) / 2 or each
    self.target = math.max(TARGET, trip)
    self.wanted = math.min(self.target / self.each, math.max(self.wanted, GROWTH * count))
end

local Fixed = {}
Fixed.__index = Fixed

function Fixed:size(left)
    return left and math.min(self.count, left) or self.count
end

function Fixed:learn() end

local Static = setmetatable({}, { __index = Fixed })
Static.__index = Static

function Static:size(left)
    local size = (left + self.shares - 1) // self.shares
    self.shares = math.max(1, self.shares - 1)
    return size
end

---Chunks that follow the measured time of an element.
---@param workers integer
---@param n integer? elements in all, if known
---@param cap integer? the most elements in a chunk
---@return moonfleet.Policy
function M.dynamic(workers, n, cap)
    local probe = n and math.max(1, math.min(PROBE, n // HUGE)) or 1
    return setmetatable({ workers = workers, wanted = probe, cap = cap or math.maxinteger }, Dynamic)
end

---Chunks of count elements each.
---@param count integer
---@return moonfleet.Policy
function M.fixed(count)
    return setmetatable({ count = count }, Fixed)
end

---As many chunks as workers, equal up to one element. Needs a known length.
---@param workers integer
---@return moonfleet.Policy
function M.static(workers)
    return setmetatable({ shares = workers }, Static)
end

local Guided = setmetatable({}, { __index = Fixed })
Guided.__index = Guided

function Guided:size(left)
    return math.max(1, left // (4 * self.workers))
end

---Shrinking chunks, for a map whose chunks are all queued before anything is measured.
---@param workers integer
---@return moonfleet.Policy
function M.guided(workers)
    return setmetatable({ workers = workers }, Guided)
end

local Blocks = setmetatable({}, { __index = Fixed })
Blocks.__index = Blocks

local BLOCKS = 256 -- of a fold, at most, when the length is known

function Blocks:size(left)
    if self.block then
        return math.min(self.block, left)
    end
    local size = 1 + self.position // BLOCKS
    self.position = self.position + size
    return size
end

---Chunks of a fold. Their boundaries depend on nothing but the number of elements (or, when that is not known, the
---position), so that a sum of floats is the same under every plan.
---@param n integer? elements in all, if known
---@param least integer the fewest elements that are worth a chunk
---@return moonfleet.Policy
function M.blocks(n, least)
    local block = n and math.max(least, (n + BLOCKS - 1) // BLOCKS)
    return setmetatable({ block = block, position = 0 }, Blocks)
end

return M
