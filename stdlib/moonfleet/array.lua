-- The module mf.array: how arrays are made. What can be done with one stands in array_methods.lua. The work is done in
-- C (vm/lib_array*.c, runtime/array*.c).

local core = require("moonfleet.array_core")
local methods = require("moonfleet.array_methods")
local options = require("moonfleet.options")
local ranges = require("moonfleet.range")

---Arrays: numbers of one type in one or more dimensions, kept together and worked on as a whole. Called, it makes
---one: `mf.array({ { 1, 2 }, { 3, 4 } })` from a table, `mf.array(2, 3)` of zeros. Every method is a function here
---as well: `mf.array.sqrt(a)` is `a:sqrt()`.
---
---Shapes are given as extents, up to 8 of them, or a table of these; (2,3) in texts. Errors: a shape or dtype that
---does not exist, a number that does not fit the dtype, a file that cannot be read, memory that is out.
---@class moonfleet.array
---@overload fun(x: table|moonfleet.Array|moonfleet.Range|integer, ...): moonfleet.Array
local M = {}

-- Calls a function of the core; its errors point at who called this library.
local function call(fn, ...)
    local ok, result = pcall(fn, ...)
    if not ok then
        options.raise(result)
    end
    return result
end

---The types of numbers: 8-byte floats (what Lua's floats are, and what is meant where nothing is said), 4-byte
---floats, and integers of 8 bytes (Lua's), 4 bytes and 1 byte (0 to 255).
---
---Integers wrap around at the ends of their type, as Lua's do. A number that is stored must fit: a float that
---becomes an integer must be whole, and an integer within the range of the type; otherwise it is an error, never a
---change.
---@alias moonfleet.DType "f64"|"f32"|"i64"|"i32"|"u8"

---Zeros: `zeros(10)`, `zeros(3, 4)`, `zeros({ 3, 4 }, "i32")`.
---@param ... integer|integer[]|moonfleet.DType the extents of up to 8 axes, or a table of them; then the dtype
---@return moonfleet.Array
M.zeros = core.zeros

---Ones, with the arguments of `zeros`.
---@param ... integer|integer[]|moonfleet.DType
---@return moonfleet.Array
M.ones = core.ones

---One number everywhere.
---@param shape integer|integer[]
---@param value number
---@param dtype moonfleet.DType?
---@return moonfleet.Array
M.full = core.full

---A square matrix with ones on its diagonal.
---@param n integer
---@param dtype moonfleet.DType?
---@return moonfleet.Array # (n,n)
M.eye = core.eye

---Evenly spaced numbers, both ends included as in a `for` loop; see `mf.range`.
---@param start number or, alone, the number of elements: 1 to start
---@param stop number?
---@param step number? 1 unless told
---@param dtype moonfleet.DType?
---@return moonfleet.Array
function M.range(start, stop, step, dtype)
    local r = ranges.new(start, stop, step)
    return call(core.evenly, r.n, r.start, r.step, dtype)
end

---n evenly spaced numbers from first to last, both included.
---@param first number
---@param last number
---@param n integer
---@param dtype moonfleet.DType?
---@return moonfleet.Array
M.linspace = core.linspace

---The numbers of a table; tables in it are rows, and so on. All rows must be as long as the first.
---@param t table of numbers, or of tables of them, one level for each axis
---@param dtype moonfleet.DType?
---@return moonfleet.Array
M.from_table = core.from_table

---The numbers that a string of bytes holds, as this machine's memory has them (`a:bytes()` gives them back).
---@param bytes string
---@param dtype moonfleet.DType?
---@param ... integer|integer[] the shape; without, one axis of as many as there are
---@return moonfleet.Array
M.from_bytes = core.from_bytes

---One array behind the other along an axis; the other axes must agree. The dtype is the one in which theirs meet.
---@param list moonfleet.Array[]
---@param axis integer? 1 unless told
---@return moonfleet.Array
M.concatenate = core.concatenate

---Options of `mf.array.load`.
---@class moonfleet.LoadOptions
---@field map "read"|"private"|nil map the file instead of reading it: its numbers are loaded as they are looked at.
---"read": a write is an error; "private": what is written stays in this program

local load_spec = { map = options.one_of("read", "private") }

---Reads a .npy file, which numpy's `save` writes. Numbers of kinds that are no dtype are widened to one; a file in
---column order gives an array with turned axes. Mapped, a file must have a dtype as it is, and should not change
---meanwhile.
---@param path string
---@param given moonfleet.LoadOptions?
---@return moonfleet.Array
function M.load(path, given)
    local where = "mf.array.load"
    options.argument(where, "the path", options.kinds.string, path)
    given = options.check(where, load_spec, given)
    if given.map then
        return call(core.map, path, given.map == "private")
    end
    return call(core.load, path)
end

---Zeros in memory that tasks write to, with the arguments of `zeros`: whoever gets this array, in threads, forks and
---processes of this machine, reads and writes the same numbers. Nothing orders what tasks do with it but `atomic_add`
---and `barrier`. It is gone when nobody has it any more.
---@param ... integer|integer[]|moonfleet.DType
---@return moonfleet.Array
M.shared = core.shared

---Is it an array?
---@param v any
---@return boolean
M.is_array = core.is_array

local function make(_, x, ...)
    if core.is_array(x) then
        return call(core.as, x, (...) or x.dtype)
    elseif getmetatable(x) == ranges.metatable then
        return call(core.evenly, x.n, x.start, x.step, (...))
    elseif type(x) == "table" then
        return call(core.from_table, x, (...))
    elseif math.type(x) == "integer" then
        return call(core.zeros, x, ...)
    end
    options.raise(("mf.array: expected a table, an array, a range or a shape, not %s"):format(options.describe(x)))
end

return setmetatable(M, { __index = methods, __call = make })
