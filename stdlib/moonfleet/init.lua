-- The module "moonfleet": a table whose functions live in submodules that are loaded when they are first used. The
-- functions are documented where they are defined.

local core = require("moonfleet.core")
local homes = require("moonfleet.names")
local options = require("moonfleet.options")

---@class moonfleet
---@field version string
local mf = { version = "0.1.0" }

---The number of cores this process may use: the least of its CPU affinity, its cgroup's CPU quota and what a scheduler
---allots (SLURM_CPUS_PER_TASK, OMP_NUM_THREADS and the like); at least 1. No errors.
---@return integer
function mf.cores()
    return core.cores()
end

---Seeds the random numbers of all futures and map elements made from now on. The same seed gives the same numbers under
---every plan, number of workers and chunk size. Anything but an integer is an error.
---@param seed integer
function mf.seed(seed)
    core.seed(options.argument("mf.seed", "the seed", options.kinds.integer, seed))
end

---Seconds of a clock that never goes back; its zero means nothing. No errors.
---@return number
function mf.now()
    return core.now()
end

---Does nothing for a while. In the meantime futures go on; in a task, cancelling ends it. Errors: a time that is no
---number or negative; Ctrl-C.
---@param seconds number how many seconds: not negative; may be infinite
function mf.sleep(seconds)
    core.sleep(options.argument("mf.sleep", "the time", options.kinds.patience, seconds))
end

-- What has been found stands beside the module's table and not in it, so that the codec sends these functions by the
-- names of their own modules: on the other side, this table may not have them yet.
local found = setmetatable({}, {
    __index = function(cache, name)
        local home = homes[name]
        if not home then
            return nil
        end
        local fn = require("moonfleet." .. home[1])
        if home[2] ~= false then
            fn = fn[home[2] or name]
        end
        cache[name] = fn
        return fn
    end,
})

return setmetatable(mf, { __index = found })
