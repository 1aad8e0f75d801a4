-- Maps that wait: map, starmap, map_pairs, filter, each, replicate. Each comes in two forms: of the current plan, and
-- on a given record (for clusters).

local jobs = require("moonfleet.job")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")
local sources = require("moonfleet.source")

local M = {}

local with_combine = options.merge(jobs.spec, { combine = options.kinds.callable })

---Options of a map. All may be left out.
---@class moonfleet.MapOptions
---@field chunk integer? elements in a task; otherwise it follows the measured time of an element
---@field schedule "dynamic"|"static"|nil "static": one equal share a worker
---@field seed integer? element i draws its random numbers from stream i of this seed
---@field progress boolean|fun(done: integer, total: integer?)|nil true: a bar on stderr, if that is a terminal
---@field combine (fun(acc: any, result: any): any)? folds the results, in order, where the map was called
---@field on_error "stop"|"collect"|nil "stop": the first error ends the map and is raised, with the element's position
---@field timeout number? seconds an element may take; a chunk of n elements may take n times that, and without
---`chunk` each element is a task of its own
---@field retries integer? how often a chunk is run again when its worker is lost
---@field retry_on "lost"|"error"|nil "error": also when it ended in an error
---@field label string? names the map in messages and in the progress bar
---@field globals table|false|nil added to the globals that are found: names and values, or a list of names
---@field globals_max integer? bytes that found globals may have; 500 MB unless told
---@field packages string[]? modules that are required before the function runs
---@field output "relay"|"live"|"discard"|nil
---@field priority integer? higher goes first

-- Folds the results of a job here, in the order of the elements.
local function folded(job, drive, combine, failures)
    local acc, begun
    drive(job, function(entry)
        local part = {}
        job:collect(entry, part, failures)
        for i = entry.first, entry.last do
            if not (failures and failures[i] ~= nil) then
                if begun then
                    acc = combine(acc, part[i])
                else
                    acc, begun = part[i], true
                end
            end
        end
    end)
    return acc
end

---Puts the results of a job together as its options ask for.
---@param job moonfleet.Job
---@param drive fun(job: moonfleet.Job, take: fun(entry: moonfleet.Entry))? Job.run unless told
---@return any results
---@return table? errors
local function results_of(job, drive)
    drive = drive or job.run
    local failures = not job.stop and {} or nil
    local combine = job.given.combine
    local results
    if combine then
        results = folded(job, drive, combine, failures)
    else
        results = {}
        drive(job, function(entry)
            job:collect(entry, results, failures)
        end)
        results.n = job.source.n
    end
    if failures then
        return results, jobs.count_errors(failures)
    end
    return results
end

---@param record moonfleet.Record
---@param where string
function M.map_on(record, where, xs, fn, given)
    local request = { where = where, waits = true, fn = options.func(where, fn), spec = with_combine, given = given }
    return results_of(jobs.new(record, sources.of(where, xs, "list"), request))
end

---Calls fn for every element on the workers of the plan and returns the results in order: `results[i] = fn(xs[i])`,
---`results.n` elements in all; a result nil stays nil.
---
---The first error stops the map: what still runs is cancelled and the error is raised, a string with the element's
---position appended. With `on_error = "collect"` all elements run, and a second table holds the errors by position.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any a list (its field n counts, if there is one), a range,
---an array (its elements, or views of its rows), or an iterator that ends with nil
---@param fn fun(x: any): any runs in a copy of itself: what it changes outside stays unchanged here
---@param given moonfleet.MapOptions?
---@return any results a table with n; with `combine` the folded value
---@return table<integer, any>? errors with `on_error = "collect"`; errors.n counts them
function M.map(xs, fn, given)
    return M.map_on(plans.current(), "mf.map", xs, fn, given)
end

---Like `mf.map`, errors included, but each element is a table of arguments: `results[i] = fn(table.unpack(xs[i]))`.
---@param xs any[][]|fun(): any[]? a list of argument lists (with `n`, if they have holes), or an iterator of such
---@param fn fun(...): any
---@param given moonfleet.MapOptions?
---@return any results
---@return table<integer, any>? errors
function M.starmap(xs, fn, given)
    local where = "mf.starmap"
    local request = { where = where, waits = true, fn = options.func(where, fn), spec = with_combine, given = given }
    return results_of(jobs.new(plans.current(), sources.of(where, xs, "star"), request))
end

-- An order of keys that does not change from run to run, as far as keys have one.
local function before(a, b)
    local kind_a, kind_b = type(a), type(b)
    if kind_a ~= kind_b then
        return kind_a < kind_b
    elseif kind_a == "number" or kind_a == "string" then
        return a < b
    end
    return kind_a == "boolean" and a and not b
end

local function by_key(results, keys)
    local keyed = {}
    for i, key in ipairs(keys) do
        keyed[key] = results[i]
    end
    return keyed
end

---Calls fn for every key and value of a table: `results[key] = fn(key, value)`.
---@param t table whose keys and values can be sent
---@param fn fun(key: any, value: any): any
---@param given moonfleet.MapOptions? without `combine`
---@return table<any, any> results
---@return table<any, any>? errors by key, with `on_error = "collect"`; a count is not among them
function M.map_pairs(t, fn, given)
    local where = "mf.map_pairs"
    fn = options.func(where, fn)
    if type(t) ~= "table" then
        options.raise(("%s: the input must be a table, not %s"):format(where, options.describe(t)))
    end
    local keys, values = {}, {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys, before)
    for i, key in ipairs(keys) do
        values[i] = t[key]
    end
    local request = { where = where, waits = true, fn = fn, spec = jobs.spec, given = given }
    local job = jobs.new(plans.current(), sources.pairs(keys, values, #keys), request)
    job.keys = keys
    local results, failures = results_of(job)
    return by_key(results, keys), failures and by_key(failures, keys)
end

---Keeps the elements for which fn returns a true value, in order.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(x: any): any
---@param given moonfleet.MapOptions? without `combine`
---@return any[] kept with n
---@return table<integer, any>? errors by position, with `on_error = "collect"`
function M.filter(xs, fn, given)
    local where = "mf.filter"
    local request = { where = where, fn = options.func(where, fn), mode = "filter", spec = jobs.spec, given = given }
    request.waits = true
    local job = jobs.new(plans.current(), sources.of(where, xs, "list"), request)
    local failures = not job.stop and {} or nil
    local kept, n = {}, 0
    job:run(function(entry)
        local flags = {}
        job:collect(entry, flags, failures)
        local from, offset = entry.buffer or job.source.xs, entry.buffer and entry.first - 1 or 0
        for i = entry.first, entry.last do
            if flags[i] then
                n = n + 1
                kept[n] = from[i - offset]
            end
        end
    end)
    kept.n = n
    return kept, failures and jobs.count_errors(failures)
end

---Calls fn for every element and drops the results.
---@param xs any[]|moonfleet.Range|moonfleet.Array|fun(): any
---@param fn fun(x: any)
---@param given moonfleet.MapOptions? without `combine`
---@return integer count of the elements
---@return table<integer, any>? errors by position, with `on_error = "collect"`
function M.each(xs, fn, given)
    local where = "mf.each"
    local request = { where = where, fn = options.func(where, fn), mode = "each", spec = jobs.spec, given = given }
    request.waits = true
    local job = jobs.new(plans.current(), sources.of(where, xs, "list"), request)
    local failures = not job.stop and {} or nil
    job:run(function(entry)
        job:collect(entry, nil, failures)
    end)
    return job.source.n, failures and jobs.count_errors(failures)
end

---Calls fn n times and returns the results in order, as `mf.map` over 1 to n does. The natural form of a simulation:
---each call has random numbers of its own. Errors are as in `mf.map`.
---@param n integer
---@param fn fun(i: integer): any
---@param given moonfleet.MapOptions?
---@return any results
---@return table<integer, any>? errors
function M.replicate(n, fn, given)
    local where = "mf.replicate"
    options.argument(where, "the number of calls", options.kinds.count, n)
    local request = { where = where, waits = true, fn = options.func(where, fn), spec = with_combine, given = given }
    return results_of(jobs.new(plans.current(), sources.count(n), request))
end

M.spec, M.results_of = with_combine, results_of

return M
