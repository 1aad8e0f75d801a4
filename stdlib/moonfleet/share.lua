-- Shares: values that are sent once and read by many tasks. The work is done in C (vm/lib_share.c, runtime/block.c).

local core = require("moonfleet.array_core")
local options = require("moonfleet.options")
local plans = require("moonfleet.plan")

local M = {}

---A value that tasks may read and nobody changes. It crosses to a worker once, however many tasks use it: as an
---argument, or captured by their functions. Errors: a method called on anything else.
---@class moonfleet.Share
local Share = core.share_methods

---The value. It is decoded when it is first asked for and kept as long as the share is; so it must not be changed: what
---changes it would be seen by other tasks of the same worker.
---@return any
Share.value = core.share_methods.value

---A copy that belongs to the caller.
---@return any
Share.copy = core.share_methods.copy

---Shares a value: it is sent once to a node (once to each worker process) and read there by every task, and its memory
---goes when nobody has the share any more and no task needs it.
---
---An array gives a read-only array with the same numbers, which are not copied: tasks in threads, forks and processes
---of this machine read the same memory. (To write to the original afterwards makes a copy of it first.) Any other
---value gives a share, whose `value()` is decoded once in each worker; arrays in it are read-only and are not copied
---either. A value that cannot be sent is an error that names its path.
---@param value any what can be sent to a task
---@return moonfleet.Array|moonfleet.Share # for an array one of the same shape, read-only
function M.share(value)
    local ok, result
    if core.is_array(value) then
        ok, result = pcall(core.share_array, value, plans.plan().name == "processes")
    else
        ok, result = pcall(core.share_value, value)
    end
    return ok and result or options.raise(result)
end

return M
