-- Random numbers: generators as objects, their streams, and what they draw. `mf.rng` is this module, and is called to
-- make a generator; the C half is vm/lib_rng.c.

local core = require("moonfleet.core")
local options = require("moonfleet.options")

local kernels, metatable = core.rng()

---A generator of random numbers. Two kinds:
---
---"mrg32k3a" (the default), L'Ecuyer's combined multiple recursive generator: streams 2^127 numbers apart, and
---numbers equal to R's under RNGkind("L'Ecuyer-CMRG"), for every distribution here, to the last bit.
---
---"philox", Philox4x32-10: faster, above all for many numbers at once; normals and exponentials by the ziggurat
---method.
---
---Methods that draw take the distribution's parameters, then `n`, how many numbers are wanted: a list of n numbers,
---or, without n, one number. In the place of n may stand an array of f64 (for integers: of i64), which is filled and
---returned. Numbers drawn one by one are the same as those of a list or an array. A parameter that is left out
---(or nil) has the value that is named with it. A parameter out of its range is an error that names it.
---
---A generator is a value: sent to a task or captured by its function, it crosses as a copy, so that tasks that draw
---from copies of one generator all draw the same numbers. To give tasks numbers of their own, use
---`mf.rng.current()` in them.
---@class moonfleet.Rng
local Rng = {}

-- Distributions ---------------------------------------------------------------------------------------------------

---Uniform on (low, high); the ends never come.
---@param low number? 0 unless told; finite
---@param high number? 1 unless told; finite, at least low
---@param n integer|moonfleet.Array|nil
---@return number|number[]|moonfleet.Array
Rng.uniform = kernels.uniform

---Normal.
---@param mean number? 0 unless told; finite
---@param sd number? the standard deviation, 1 unless told; finite, not negative
---@param n integer|moonfleet.Array|nil
---@return number|number[]|moonfleet.Array
Rng.normal = kernels.normal

---Exponential; the mean is 1 / rate.
---@param rate number? 1 unless told; positive
---@param n integer|moonfleet.Array|nil
---@return number|number[]|moonfleet.Array
Rng.exponential = kernels.exponential

---Gamma; the mean is shape * scale.
---@param shape number positive
---@param scale number? 1 unless told; positive
---@param n integer|moonfleet.Array|nil
---@return number|number[]|moonfleet.Array
Rng.gamma = kernels.gamma

---Beta; the mean is a / (a + b).
---@param a number positive
---@param b number positive
---@param n integer|moonfleet.Array|nil
---@return number|number[]|moonfleet.Array
Rng.beta = kernels.beta

---How many of `size` trials succeed, each with that probability.
---@param size integer 0 to 2147483646
---@param probability number 0 to 1
---@param n integer|moonfleet.Array|nil
---@return integer|integer[]|moonfleet.Array
Rng.binomial = kernels.binomial

---Poisson.
---@param mean number 0 to 2^52
---@param n integer|moonfleet.Array|nil
---@return integer|integer[]|moonfleet.Array
Rng.poisson = kernels.poisson

---Integers from low to high, both included, all equally likely.
---@param low integer
---@param high integer at least low
---@param n integer|moonfleet.Array|nil
---@return integer|integer[]|moonfleet.Array
Rng.integers = kernels.integers

-- Streams and states ----------------------------------------------------------------------------------------------

---A new generator k streams further on: R's nextRNGStream. This one stays where it is.
---@param k integer? 1 unless told; not negative
---@return moonfleet.Rng
Rng.next_stream = kernels.next_stream

---A new generator k substreams further on: R's nextRNGSubStream. This one stays where it is.
---@param k integer? 1 unless told; not negative
---@return moonfleet.Rng
Rng.next_substream = kernels.next_substream

---Moves on by n uniform numbers, in no time however many.
---@param n integer? 1 unless told; not negative
---@return moonfleet.Rng self
Rng.skip = kernels.skip

---A new generator, or a list of n, seeded with numbers drawn from this one: for things that make things that draw,
---where streams counted from several places would meet.
---@param n integer?
---@return moonfleet.Rng|moonfleet.Rng[]
Rng.split = kernels.split

---A generator that will draw the same numbers.
---@return moonfleet.Rng
Rng.copy = kernels.copy

---"mrg32k3a" or "philox".
---@return string
Rng.kind = kernels.kind

---Where it stands, as a table of integers: for "mrg32k3a" a list of six (R's .Random.seed without its first
---number), for "philox" the fields key, substream and position; `kind` in both.
---@return table state for `set_state`, `mf.rng` and files
Rng.state = kernels.state

---Goes to where state() was called. The six numbers may also have the signs that R gives them. A state of the other
---kind is an error.
---@param state table as state() returned it
---@return moonfleet.Rng self
Rng.set_state = kernels.set_state

-- Samples ---------------------------------------------------------------------------------------------------------

local SAMPLE = {
    replace = options.kinds.boolean,
    weights = {
        expects = "a list, a range or an array of numbers",
        check = function(v)
            return type(v) == "table" or type(v) == "userdata"
        end,
    },
}

local function is_list(v)
    if type(v) == "table" then
        return true
    end
    local meta = type(v) == "userdata" and getmetatable(v)
    return type(meta) == "table" and meta.__len ~= nil
end

---Draws n elements of a list, a range or an array, or n of the integers 1 .. population: R's sample. All of them, in
---random order, unless told how many.
---@param population integer|any[]
---@param n integer?
---@param given { replace: boolean?, weights: number[]? }? replace: an element may come again; weights: in proportion to
---them, one for each element
---@return any[]
function Rng:sample(population, n, given)
    local o = options.check("sample", SAMPLE, given)
    local whole = math.type(population) and math.tointeger(population) -- 1e6 is whole too
    if whole then
        return kernels.indices(self, whole, n, o.replace, o.weights)
    elseif not is_list(population) then
        local words = "sample: the population must be an integer, a list, a range or an array, not "
        options.raise(words .. options.describe(population))
    end
    local chosen = kernels.indices(self, #population, n, o.replace, o.weights)
    for i = 1, #chosen do
        chosen[i] = population[chosen[i]]
    end
    return chosen
end

---Puts the elements of a list into random order, the one that sample(list) gives, and returns the list.
---@param list any[]
---@return any[] list
function Rng:shuffle(list)
    if not is_list(list) then
        options.raise("shuffle: expected a list, not " .. options.describe(list))
    end
    local order = self:sample(list)
    for i = 1, #list do
        list[i] = order[i]
    end
    return list
end

-- Making them -----------------------------------------------------------------------------------------------------

metatable.__index = Rng

---Generators of random numbers. Called, it makes one: `mf.rng(42)` or `mf.rng { seed = 42, kind = "philox" }`;
---without a seed it goes on with the current stream. An option that does not exist or has a wrong value is an error.
---@class moonfleet.rng
---@overload fun(given: integer|table|nil): moonfleet.Rng
local M = { metatable = metatable, methods = Rng }

local SPEC = {
    seed = options.kinds.integer,
    kind = options.one_of("mrg32k3a", "philox"),
    state = {
        expects = "a table that g:state() returned",
        check = function(v)
            return type(v) == "table"
        end,
    },
}

-- Without a seed, from the current stream, so that mf.seed makes these repeatable too.
local function unseeded(kind)
    return kernels.current(kind):split()
end

---A new generator. For generators that must be independent take streams of one seed, not neighbouring seeds: the
---states that R makes of those are related, and MRG32k3a's first numbers show it. `mf.rng(42)`, `mf.rng{ seed = 42,
---kind = "philox" }`, `mf.rng{ state = g:state() }`. Without a seed, it is seeded from the current stream: repeatable
---after mf.seed, and another one at each call.
---@param given integer|{ seed: integer?, kind: string?, state: table? }?
---@return moonfleet.Rng
local function new(_, given)
    if math.type(given) == "integer" then
        return kernels.seeded(nil, given)
    elseif given ~= nil and type(given) ~= "table" then
        options.raise("mf.rng: the seed must be an integer, not " .. options.describe(given))
    end
    local o = options.check("mf.rng", SPEC, given)
    if o.state then
        if o.seed or o.kind then
            options.raise("mf.rng: a state has its seed and kind in it; give option 'state' alone")
        end
        return kernels.from_state(o.state)
    elseif o.seed then
        return kernels.seeded(o.kind, o.seed)
    end
    return unseeded(o.kind)
end

---The stream that belongs to the running task (or element of a map), which is also math.random's there; outside of
---tasks, the numbers of mf.seed's seed itself (R's after set.seed with kind "L'Ecuyer-CMRG"). Every task has a stream
---of either kind. What this returns may be kept and captured: it stands for the stream of whatever task runs when it
---draws. Another kind is an error.
---@param kind "mrg32k3a"|"philox"|nil
---@return moonfleet.Rng
function M.current(kind)
    return kernels.current(kind)
end

return setmetatable(M, { __call = new })
