-- Ranges: evenly spaced numbers that are never materialised. Element i is start + (i - 1) * step, so that a range of
-- floats does not collect rounding errors as a loop of additions does.

local options = require("moonfleet.options")

local M = {}

---Evenly spaced numbers. Reads like a list (`r[i]`, `#r`, `ipairs(r)`), iterates as `for x in r do`, cannot be changed.
---@class moonfleet.Range
---@field start number
---@field stop number
---@field step number
---@field n integer how many numbers there are

local FUZZ = 1e-10 -- share of a step by which a float may miss the end and still count

M.metatable = { __name = "moonfleet.range" }

function M.metatable.__len(r)
    return r.n
end

function M.metatable.__index(r, i)
    if math.type(i) == "integer" and i >= 1 and i <= rawget(r, "n") then
        return rawget(r, "start") + (i - 1) * rawget(r, "step")
    end
    return nil
end

function M.metatable.__newindex()
    options.raise("mf.range: a range cannot be changed")
end

-- The iteration is stateless, so that one range can be read by several loops at once.
function M.metatable.__call(r, _, last)
    if last == nil then
        return r[1]
    end
    if math.type(last) == "integer" then
        return r[(last - r.start) // r.step + 2]
    end
    return r[math.floor((last - r.start) / r.step + 0.5) + 2]
end

function M.metatable.__eq(a, b)
    return a.n == b.n and (a.n == 0 or a.start == b.start and (a.n == 1 or a.step == b.step))
end

function M.metatable.__tostring(r)
    return ("mf.range(%s, %s, %s)"):format(r.start, r.stop, r.step)
end

local function finite(v)
    return type(v) == "number" and v == v and v - v == 0
end

local function too_long()
    options.raise("mf.range: there are too many numbers in the range")
end

local function count_integers(start, stop, step)
    if step < 0 then
        start, stop, step = stop, start, -step
    end
    if stop < start then
        return 0
    end
    local distance = stop - start -- unsigned
    local steps = ((distance >> 1) // step) << 1 -- as the manual's way to divide unsigned integers
    if not math.ult(distance - steps * step, step) then
        steps = steps + 1
    end
    if step < 0 or steps < 0 or steps == math.maxinteger then
        too_long()
    end
    return steps + 1
end

local function count_floats(start, stop, step)
    local steps = (stop - start) / step
    if steps < -FUZZ then
        return 0
    end
    local whole = math.tointeger(math.floor(steps + FUZZ))
    return whole and whole + 1 or too_long()
end

local function check_number(what, v)
    if not finite(v) then
        options.raise(("mf.range: %s must be a finite number, not %s"):format(what, options.describe(v)))
    end
end

---The numbers start, start + step, ... up to stop (which is one of them if a step falls on it). `mf.range(n)` is 1 to
---n. Integers stay integers; if start or step is a float, all numbers are floats.
---@param start number or, alone, the number of elements
---@param stop number?
---@param step number? 1 unless told; negative counts down; zero is an error
---@return moonfleet.Range
function M.new(start, stop, step)
    if stop == nil and step == nil then
        start, stop = 1, start
    end
    step = step == nil and 1 or step
    check_number("the start", start)
    check_number("the end", stop)
    check_number("the step", step)
    if step == 0 then
        options.raise("mf.range: the step must not be zero")
    end
    local n
    if math.type(start) == "integer" and math.type(step) == "integer" then
        local whole = step > 0 and math.floor(stop) or math.ceil(stop)
        if math.type(whole) ~= "integer" then
            too_long()
        end
        n = count_integers(start, whole, step)
    else
        start, step = start + 0.0, step + 0.0
        n = count_floats(start, stop, step)
    end
    return setmetatable({ start = start, stop = stop, step = step, n = n }, M.metatable)
end

return M
