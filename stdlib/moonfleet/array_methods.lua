-- The methods of arrays. Most are functions of the core, which check their arguments; they are named and documented
-- here.

local core = require("moonfleet.array_core")
local options = require("moonfleet.options")
local text = require("moonfleet.array_text")

---An array. Axes, elements and places count from 1; a negative axis or index counts from the last.
---
---`a[i]` is a number where there is one axis, and otherwise a view of row i: no copy, what is written to it is
---written to the array. `a[i]` beyond the ends is nil, so that `ipairs(a)` ends; `a[i] = v` beyond them is an
---error. `#a` is the extent of the first axis.
---
---`+ - * / // % ^` and unary minus work element by element on arrays and numbers, `& | ~` on those of integers.
---Shapes are broadcast as in numpy: compared from the last axis on, and an axis of one element is stretched. Two
---arrays meet in the wider dtype (u8 < i32 < i64 < f32 < f64; i32 or i64 with f32 make f64). A number takes the
---array's dtype, but a float makes integers f64, and an integer must fit. `/` and `^` always give floats. Integer
---division and modulo by zero are errors, as in Lua.
---
---Errors: indices, axes and places that are not there, shapes that do not go together (both are named), numbers that do
---not fit the dtype, memory that is out.
---
---`a == b` is true when shapes and all elements are the same. Other comparisons are methods: `a:lt(b)` is an array
---of u8, 0 or 1.
---@class moonfleet.Array
---@field shape integer[] extents of the axes (a new table)
---@field dtype moonfleet.DType
---@field ndim integer how many axes there are
---@field size integer how many elements
---@operator add(number|moonfleet.Array): moonfleet.Array
---@operator sub(number|moonfleet.Array): moonfleet.Array
---@operator mul(number|moonfleet.Array): moonfleet.Array
---@operator div(number|moonfleet.Array): moonfleet.Array
---@operator idiv(number|moonfleet.Array): moonfleet.Array
---@operator mod(number|moonfleet.Array): moonfleet.Array
---@operator pow(number|moonfleet.Array): moonfleet.Array
---@operator unm: moonfleet.Array
---@operator len: integer
local Array = core.methods

-- Elements --------------------------------------------------------------------------------------------------------

---The element at one index for each axis.
---@param ... integer
---@return number # an integer or a float, as the dtype is
Array.get = core.get

---Sets the element at one index for each axis.
---@param ... number the indices, then the number, which must fit the dtype
---@return moonfleet.Array self
Array.set = core.set

---Writes a number, or an array that can be broadcast to this shape, over all elements. All must fit the dtype.
---@param x number|moonfleet.Array
---@return moonfleet.Array self
Array.assign = core.assign

---Another name for `assign`.
---@param x number|moonfleet.Array
---@return moonfleet.Array self
Array.fill = core.assign

---A copy that shares nothing with this array.
---@return moonfleet.Array
Array.copy = core.copy

---A copy of another dtype. Every number must fit it: round before converting floats to integers.
---@param dtype moonfleet.DType
---@return moonfleet.Array
Array.as = core.as

---The elements as nested tables.
---@return table # of numbers, or of tables of them, one level for each axis
Array.totable = core.totable

---The elements in row-major order as bytes, as this machine's memory has them.
---@return string
Array.bytes = core.bytes

---Writes a .npy file (version 1.0, row-major), which numpy's `load` reads. It gets its name when it is whole; on an
---error nothing is left of it.
---@param path string
---@return moonfleet.Array self
Array.save = core.save

---Adds to one element in one step, so that tasks that add to the same element of a shared array at the same time lose
---nothing. Integers wrap around.
---@param v number must fit the dtype
---@param ... integer one index for each axis
---@return number # what the element is then
Array.atomic_add = core.atomic_add

---Waits until that many callers, in any tasks, wait here for the same shared array; then all go on, and what they have
---written before is seen by all. There must be as many workers as callers, or they wait in vain.
---@param callers integer all say the same
---@param timeout number? seconds; when they pass, the wait ends in an error that says how many had come
Array.barrier = core.barrier

-- Views -----------------------------------------------------------------------------------------------------------

---A view of a part: no copy. `a:slice(first, last, step)` is of the first axis, both ends included; step may be
---left out, and negative to turn the order round. `a:slice({ 1, 10 }, { 2, 5 })` gives a range for each axis: `{
---first, last, step }`, `{}` for all of it; and a number, behind a first table, keeps that place only and drops the
---axis. A range of no elements is written `{ i, i - 1 }`; others must not leave the axis.
---@param first integer|table|nil
---@param last integer|table|nil
---@param step integer|table|nil
---@param ... integer|table
---@return moonfleet.Array
Array.slice = core.slice

---The same elements in row-major order under another shape: a view where that is possible, else a copy. One extent
---may be -1: what is left for it.
---@param ... integer|integer[]
---@return moonfleet.Array
Array.reshape = core.reshape

---All elements in row-major order as one axis: a view where that is possible, else a copy.
---@return moonfleet.Array
Array.ravel = core.ravel

---A view with the axes in another order; without arguments, in the reverse.
---@param ... integer the axes of this array, in the order in which the view has them
---@return moonfleet.Array
Array.transpose = core.transpose

---A view under a shape that this array can be broadcast to: axes of one element, and new ones in front, repeat what
---is there.
---@param ... integer|integer[]
---@return moonfleet.Array
Array.stretch = core.stretch

-- Parts -----------------------------------------------------------------------------------------------------------

---The places of the elements that are not zero: (n) for one axis, else (n,ndim) with the indices of one element in
---a row.
---@return moonfleet.Array # i64
Array.places = core.places

---The rows (or what another axis has) at some places: a copy.
---@param places moonfleet.Array of whole numbers, one axis
---@param axis integer? 1 unless told
---@return moonfleet.Array
Array.take = core.take

---The elements where a mask of this shape is not zero, as one axis; or the rows, for a mask of one axis with an
---element for each. A copy.
---@param mask moonfleet.Array
---@return moonfleet.Array
Array.filter = core.filter

---Element by element x where this array is not zero, else y; all three are broadcast. With no arguments, `places`.
---@param x number|moonfleet.Array|nil
---@param y number|moonfleet.Array|nil
---@return moonfleet.Array
function Array.where(a, x, y)
    local ok, result
    if x == nil and y == nil then
        ok, result = pcall(core.places, a)
    else
        ok, result = pcall(core.where, a, x, y)
    end
    return ok and result or options.raise(result)
end

-- Arithmetic ------------------------------------------------------------------------------------------------------

---The operators as functions: `a:add(b)` is `a + b`. With `out`, an array which must have the result's shape and
---dtype and may be one of the operands, the result is written there, and no memory is taken.
---@alias moonfleet.Operand number|moonfleet.Array
---@alias moonfleet.BinaryMethod fun(a: moonfleet.Array, b: moonfleet.Operand, out: moonfleet.Array?): moonfleet.Array

---`a + b`.
---@type moonfleet.BinaryMethod
Array.add = core.add
---`a - b`.
---@type moonfleet.BinaryMethod
Array.sub = core.sub
---`a * b`.
---@type moonfleet.BinaryMethod
Array.mul = core.mul
---`a / b`, always floats.
---@type moonfleet.BinaryMethod
Array.div = core.div
---`a // b`; of integers, division by zero is an error.
---@type moonfleet.BinaryMethod
Array.idiv = core.idiv
---`a % b`; of integers, modulo by zero is an error.
---@type moonfleet.BinaryMethod
Array.mod = core.mod
---`a ^ b`, always floats.
---@type moonfleet.BinaryMethod
Array.pow = core.pow
---`a & b`, of integers.
---@type moonfleet.BinaryMethod
Array.band = core.band
---`a | b`, of integers.
---@type moonfleet.BinaryMethod
Array.bor = core.bor
---`a ~ b`, of integers.
---@type moonfleet.BinaryMethod
Array.bxor = core.bxor

---The lesser of two, element by element; NaN if one of them is. (`min` and `max` are reductions.)
---@type moonfleet.BinaryMethod
Array.minimum = core.minimum
---The greater of two, element by element; NaN if one of them is.
---@type moonfleet.BinaryMethod
Array.maximum = core.maximum

---The angle of the point (b, a), as `math.atan(a, b)`.
---@type moonfleet.BinaryMethod
Array.atan2 = core.atan2

---Equal, element by element: u8, 0 or 1. Numbers are compared in the dtype in which the operands meet.
---@type moonfleet.BinaryMethod
Array.eq = core.eq
---Not equal: u8, 0 or 1.
---@type moonfleet.BinaryMethod
Array.ne = core.ne
---Less: u8, 0 or 1.
---@type moonfleet.BinaryMethod
Array.lt = core.lt
---Less or equal: u8, 0 or 1.
---@type moonfleet.BinaryMethod
Array.le = core.le
---Greater: u8, 0 or 1.
---@type moonfleet.BinaryMethod
Array.gt = core.gt
---Greater or equal: u8, 0 or 1.
---@type moonfleet.BinaryMethod
Array.ge = core.ge

---Functions of one number, element by element, with an array `out` for the result if wanted. Those that processors
---or integers have keep the dtype: neg, abs, sign, bnot, floor, ceil, trunc, round (halves to even). The others
---give floats. isnan and isfinite give u8.
---@alias moonfleet.UnaryMethod fun(a: moonfleet.Array, out: moonfleet.Array?): moonfleet.Array

---`-a`.
---@type moonfleet.UnaryMethod
Array.neg = core.neg
---Absolute values.
---@type moonfleet.UnaryMethod
Array.abs = core.abs
----1, 0 or 1.
---@type moonfleet.UnaryMethod
Array.sign = core.sign
---`~a`, of integers.
---@type moonfleet.UnaryMethod
Array.bnot = core.bnot
---Rounded down.
---@type moonfleet.UnaryMethod
Array.floor = core.floor
---Rounded up.
---@type moonfleet.UnaryMethod
Array.ceil = core.ceil
---Rounded towards zero.
---@type moonfleet.UnaryMethod
Array.trunc = core.trunc
---Rounded to the nearest integer, halves to the even one.
---@type moonfleet.UnaryMethod
Array.round = core.round
---Is it NaN? u8, 0 or 1.
---@type moonfleet.UnaryMethod
Array.isnan = core.isnan
---Is it neither infinite nor NaN? u8, 0 or 1.
---@type moonfleet.UnaryMethod
Array.isfinite = core.isfinite
---Square roots; NaN of negative numbers.
---@type moonfleet.UnaryMethod
Array.sqrt = core.sqrt
---e to the power of each.
---@type moonfleet.UnaryMethod
Array.exp = core.exp
---exp(x) - 1, exact for small x.
---@type moonfleet.UnaryMethod
Array.expm1 = core.expm1
---Natural logarithms.
---@type moonfleet.UnaryMethod
Array.log = core.log
---log(1 + x), exact for small x.
---@type moonfleet.UnaryMethod
Array.log1p = core.log1p
---Logarithms to the base 2.
---@type moonfleet.UnaryMethod
Array.log2 = core.log2
---Logarithms to the base 10.
---@type moonfleet.UnaryMethod
Array.log10 = core.log10
---Sines, of radians.
---@type moonfleet.UnaryMethod
Array.sin = core.sin
---Cosines, of radians.
---@type moonfleet.UnaryMethod
Array.cos = core.cos
---Tangents, of radians.
---@type moonfleet.UnaryMethod
Array.tan = core.tan
---Arc sines, in radians.
---@type moonfleet.UnaryMethod
Array.asin = core.asin
---Arc cosines, in radians.
---@type moonfleet.UnaryMethod
Array.acos = core.acos
---Arc tangents, in radians.
---@type moonfleet.UnaryMethod
Array.atan = core.atan
---Hyperbolic sines.
---@type moonfleet.UnaryMethod
Array.sinh = core.sinh
---Hyperbolic cosines.
---@type moonfleet.UnaryMethod
Array.cosh = core.cosh
---Hyperbolic tangents.
---@type moonfleet.UnaryMethod
Array.tanh = core.tanh

-- Reductions ------------------------------------------------------------------------------------------------------

---Reductions: of all elements to a number, or along an axis to an array without that axis. With `keep`, the axis
---stays with one element, so that the result can be broadcast with the array: `a - a:mean(2, true)`.
---
---Sums are taken in pairs, so that rounding errors stay small, and are the same for every layout. sum and prod of
---integers are i64 and wrap around, all other sums and means f64. var and sd divide by n - ddof, 1 unless told, as
---in R. min and max are NaN if an element is, and errors where there are no elements; argmin and argmax are the
---first place of the extreme. any, all and count ask what is not zero: booleans and a number, or along an axis u8
---and i64.
---@alias moonfleet.Reduction fun(a: moonfleet.Array, axis: integer?, keep: boolean?): number|moonfleet.Array

---The sum.
---@type moonfleet.Reduction
Array.sum = core.sum
---The product.
---@type moonfleet.Reduction
Array.prod = core.prod
---The mean.
---@type moonfleet.Reduction
Array.mean = core.mean
---The least element; an error where there are none.
---@type moonfleet.Reduction
Array.min = core.min
---The greatest element; an error where there are none.
---@type moonfleet.Reduction
Array.max = core.max
---The place of the least element, the first one of several.
---@type moonfleet.Reduction
Array.argmin = core.argmin
---The place of the greatest element, the first one of several.
---@type moonfleet.Reduction
Array.argmax = core.argmax
---Is any element not zero?
---@type fun(a: moonfleet.Array, axis: integer?, keep: boolean?): boolean|moonfleet.Array
Array.any = core.any
---Is no element zero?
---@type fun(a: moonfleet.Array, axis: integer?, keep: boolean?): boolean|moonfleet.Array
Array.all = core.all
---How many elements are not zero.
---@type moonfleet.Reduction
Array.count = core.count
---The variance, with n - ddof (1 unless told).
---@type fun(a: moonfleet.Array, axis: integer?, keep: boolean?, ddof: number?): number|moonfleet.Array
Array.var = core.var
---The standard deviation, with n - ddof (1 unless told).
---@type fun(a: moonfleet.Array, axis: integer?, keep: boolean?, ddof: number?): number|moonfleet.Array
Array.sd = core.sd

---Running sums along an axis (the last unless told), with compensated rounding; of the same shape, i64 or f64.
---@param axis integer?
---@return moonfleet.Array
Array.cumsum = core.cumsum

---Quantiles, interpolated as R's type 7 and numpy do, of all elements or along an axis. NaN where one is among
---them.
---@param p number|number[] probabilities from 0 to 1; of several, the result has an axis for them in front
---@param axis integer?
---@return number|moonfleet.Array
Array.quantile = core.quantile

---The middle of all elements, or along an axis.
---@param axis integer?
---@return number|moonfleet.Array
function Array.median(a, axis)
    local ok, result = pcall(core.quantile, a, 0.5, axis)
    return ok and result or options.raise(result)
end

-- Order -----------------------------------------------------------------------------------------------------------

---A sorted copy, along an axis (the last unless told). NaN come last.
---@param axis integer?
---@param descending boolean?
---@return moonfleet.Array
Array.sort = core.sort

---The places of the elements in sorted order, along an axis (the last unless told): `a:take(a:order())` is sorted.
---Equal elements keep their order; NaN come last.
---@param axis integer?
---@param descending boolean?
---@return moonfleet.Array # i64
Array.order = core.order

---The different numbers, sorted, and how often each occurs.
---@return moonfleet.Array values
---@return moonfleet.Array counts i64
Array.unique = core.unique

-- Products --------------------------------------------------------------------------------------------------------

---The product of matrices: (m,k) times (k,n) is (m,n). A vector (k) is a row on the left and a column on the right:
---(k) times (k,n) is (n), and of two vectors the result is a number. Integers give i64.
---@param b moonfleet.Array
---@return number|moonfleet.Array
Array.dot = core.dot

---Are shape and all elements the same? The dtypes may differ.
---@param b any
---@return boolean
Array.same = core.same

core.metatable.__tostring = text.show

return Array
