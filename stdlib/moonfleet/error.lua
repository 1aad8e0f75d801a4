-- The error objects of the runtime: what is raised when a task times out, is cancelled or loses its worker. Errors
-- that a task raises itself are never wrapped in one. The metatable is a field of this module, so that the codec
-- sends it by name and an object keeps its type on its way from worker to worker.

local core = require("moonfleet.core")

local M = {}

---What a runtime failure raises. `tostring` gives the message.
---@class moonfleet.Error
---@field kind "timeout"|"cancelled"|"lost"|string
---@field message string
---@field label string? of the future
---@field worker string? name of the worker that ran the task, such as "threads/2"
---@field element any? position of the map's element, where it is known

M.metatable = {
    __name = "moonfleet.error",
    __tostring = function(e)
        return tostring(e.message)
    end,
}

---Makes an error object of a table with its fields; the table itself becomes the object.
---@param fields { kind: string, message: string, label: string?, worker: string?, element: any? }
---@return moonfleet.Error
function M.new(fields)
    return setmetatable(fields, M.metatable)
end

---Is v an error object of the runtime?
---@param v any
---@return boolean
function M.is(v)
    return type(v) == "table" and getmetatable(v) == M.metatable
end

---Raises a task's error again, so that the program's message shows where on the worker it came from.
---@param err any
---@param info { traceback: string?, worker: string?, node: string?, label: string? }? what is known about it
function M.raise(err, info)
    if info and info.traceback then
        local label = info.label and (", '%s'"):format(info.label) or ""
        local lines = info.traceback:match("\n.*") or ""
        local node = info.node and " on " .. info.node or ""
        core.note(err, ("remote traceback (worker %s%s%s):%s"):format(info.worker or "?", node, label, lines))
    end
    error(err, 0)
end

return M
