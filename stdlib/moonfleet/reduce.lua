-- Folds. Each chunk folds its own elements on a worker, and the chunks' values are folded here, in order. Chunk
-- boundaries depend on the number of elements only, so that a fold of floats gives the same bits under every plan.

local chunks = require("moonfleet.chunks")
local jobs = require("moonfleet.job")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")
local sources = require("moonfleet.source")

local M = {}

-- Boundaries are not for the user to choose, and a fold with holes is no fold.
local spec = options.merge(jobs.spec)
spec.chunk, spec.schedule, spec.on_error = nil, nil, nil

local function fold(request, xs, combine, init, least)
    local source = sources.of(request.where, xs, "list")
    source.patient, request.waits = true, true
    request.spec, request.policy = spec, chunks.blocks(source.n, least(source.n or 0))
    local job = jobs.new(plans.current(), source, request)
    local acc, begun = init, init ~= nil
    job:run(function(entry)
        local value = job:collect(entry)
        if begun then
            acc = combine(acc, value)
        else
            acc, begun = value, true
        end
    end)
    return acc
end

---Folds the elements with fn, which must be associative: `fn(fn(fn(init, x1), x2), x3)` up to the grouping, which
---depends only on how many elements there are. fn runs on the workers and, for the workers' values, here.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(acc: any, x: any): any
---@param init any? used once, in front of the first element; nil: the first element starts
---@param given moonfleet.MapOptions? without `chunk`, `schedule`, `combine`, `on_error`
---@return any value init when there are no elements
function M.reduce(xs, fn, init, given)
    local where = "mf.reduce"
    fn = options.func(where, fn)
    return fold({ where = where, fn = fn, mode = "fold", given = given }, xs, fn, init, function(n)
        return math.max(2, math.ceil(math.sqrt(n)))
    end)
end

---Maps the elements and folds the results: `reduce(reduce(map(x1), map(x2)), map(x3))` up to the grouping, which
---depends only on how many elements there are.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param map fun(x: any): any
---@param reduce fun(acc: any, y: any): any associative; runs on the workers and, for the workers' values, here
---@param init any? used once, in front of the first value; nil: the first value starts
---@param given moonfleet.MapOptions? without `chunk`, `schedule`, `combine`, `on_error`
---@return any value init when there are no elements
function M.mapreduce(xs, map, reduce, init, given)
    local where = "mf.mapreduce"
    map = options.func(where, map, "a function that maps")
    reduce = options.func(where, reduce, "a function that reduces")
    local request = { where = where, fn = map, fold = reduce, mode = "mapfold", given = given }
    return fold(request, xs, reduce, init, function()
        return 1
    end)
end

return M
