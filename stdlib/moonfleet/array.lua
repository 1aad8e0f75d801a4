local core = require("moonfleet.array_core")
local M = {}
for k, v in pairs(core) do if type(v) == "function" then M[k] = v; core.methods[k] = v end end
return M
