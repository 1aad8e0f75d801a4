-- Where the elements of a map come from: a list, a range, the pairs of a table, or an iterator. A source hands out
-- runs of consecutive elements in the form that core.chunk takes. Only iterators are read here; the rest is read by
-- the core, in place.

local core = require("moonfleet.core")
local options = require("moonfleet.options")
local range = require("moonfleet.range")

local M = {}

local PATIENCE = 0.005 -- seconds for which a chunk waits for a slow iterator to fill it

---@class moonfleet.Source
---@field kind "list"|"range"|"star"|"pairs"|"array"
---@field n integer? the number of elements; nil while an iterator has not ended
---@field position integer elements handed out so far
---@field a any
---@field b any
---@field read (fun(): any)? the iterator
---@field patient boolean? fill chunks from a slow iterator however long it takes
local Source = {}
Source.__index = Source

local function list_length(where, xs)
    local n = rawget(xs, "n")
    if n == nil then
        return #xs
    elseif math.type(n) ~= "integer" or n < 0 then
        local shown = options.describe(n)
        options.raise(("%s: the list's field n must be an integer that is not negative, not %s"):format(where, shown))
    end
    return n
end

-- A plain copy of a list whose elements only its metatable knows.
local function plain(where, xs)
    local meta = getmetatable(xs)
    if type(meta) ~= "table" or not (rawget(meta, "__index") or rawget(meta, "__len")) then
        return xs, list_length(where, xs)
    end
    local n, copy = list_length(where, xs), {}
    for i = 1, n do
        copy[i] = xs[i]
    end
    return copy, n
end

local function check_arguments(where, i, element)
    if type(element) ~= "table" then
        local shown = options.describe(element)
        options.raise(("%s: element %d of the list must be a table of arguments, not %s"):format(where, i, shown))
    end
end

local function new(fields)
    fields.position = 0
    return setmetatable(fields, Source)
end

---The source of any input that a map takes.
---@param where string
---@param xs any a list (with `n`, if it has holes), a range, an array (its elements or rows) or an iterator
---@param kind "list"|"star"
---@return moonfleet.Source
function M.of(where, xs, kind)
    local meta = getmetatable(xs)
    if meta == range.metatable and kind == "list" then
        return new({ kind = "range", n = xs.n, a = xs.start, b = xs.step, xs = xs })
    elseif type(xs) == "userdata" and kind == "list" and type(meta) == "table" and meta.__name == "moonfleet.array" then
        return new({ kind = "array", n = #xs, a = xs, xs = xs })
    elseif type(xs) == "function" or type(xs) ~= "string" and type(meta) == "table" and meta.__call then
        return new({ kind = kind, where = where, read = xs })
    elseif type(xs) ~= "table" then
        local shown = options.describe(xs)
        local expected = "a list, a range, an array or an iterator function"
        options.raise(("%s: the input must be %s, not %s"):format(where, expected, shown))
    end
    local list, n = plain(where, xs)
    if kind == "star" then
        for i = 1, n do
            check_arguments(where, i, list[i])
        end
    end
    return new({ kind = kind, n = n, a = list, xs = list })
end

---The numbers 1 to n.
---@param n integer
---@return moonfleet.Source
function M.count(n)
    return new({ kind = "range", n = n, a = 1, b = 1, xs = nil })
end

---Keys and values, in the order of two lists.
---@param keys any[]
---@param values any[]
---@param n integer
---@return moonfleet.Source
function M.pairs(keys, values, n)
    return new({ kind = "pairs", n = n, a = keys, b = values, xs = nil })
end

---The number of elements that are left, or nil when it is not known.
---@return integer?
function Source:left()
    return self.n and self.n - self.position
end

-- Reads up to size elements from the iterator; a slow one is not waited for long once there is something.
local function fill(self, size)
    local buffer, count = {}, 0
    local deadline = self.patient and math.huge or core.now() + PATIENCE
    local read = self.read
    repeat
        local element = read()
        if element == nil then
            self.n = self.position + count
            break
        end
        count = count + 1
        if self.kind == "star" then
            check_arguments(self.where, self.position + count, element)
        end
        buffer[count] = element
    until count >= size or core.now() > deadline
    return buffer, count
end

---Reads an iterator to its end, so that the number of elements is known.
function Source:materialise()
    if not self.n then
        self.patient = true
        self.a = fill(self, math.maxinteger)
        self.xs = self.a
    end
end

---Hands out the next elements.
---@param size integer how many, at most
---@return integer? first nil when there are none left
---@return integer? last
---@return any a
---@return any b
---@return integer offset of a
---@return table? buffer the elements, when they were read from an iterator
function Source:take(size)
    local left = self:left()
    if left == 0 then
        return nil
    end
    local first = self.position + 1
    if left then
        self.position = self.position + math.min(size, left)
        return first, self.position, self.a, self.b, 0, nil
    end
    local buffer, count = fill(self, size)
    if count == 0 then
        return nil
    end
    self.position = self.position + count
    return first, self.position, buffer, nil, first - 1, buffer
end

return M
