local mf = require("moonfleet")
local suite = require("tests.conformance.suite")

local t = { describe = describe, it = it, assert = assert, before_each = before_each, after_each = after_each }

for _, backend in ipairs(require("tests.conformance.backends")) do
    describe("plan " .. backend.name, function()
        local before
        setup(function()
            before = mf.plan({ backend.plan })
        end)
        teardown(function()
            mf.plan(before)
        end)
        suite(backend, t)
    end)
end
