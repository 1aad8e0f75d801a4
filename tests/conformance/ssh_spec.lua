-- The conformance suite on clusters of two hosts that are reached by SSH, over both transports.
local mf = require("moonfleet")
local sshd = require("tests.support.sshd")
local suite = require("tests.conformance.suite")

local t = { describe = describe, it = it, assert = assert, before_each = before_each, after_each = after_each }

describe("plan cluster over SSH", function()
    local hosts, servers

    setup(function()
        hosts = sshd.new()
        servers = { hosts:start("a"), hosts:start("b") }
    end)

    teardown(function()
        hosts:close()
    end)

    for _, transport in ipairs({ "libssh2", "openssh" }) do
        describe("by " .. transport, function()
            local before
            -- a node that was given its program has no SSH of its own
            local backend = { name = "cluster", asynchronous = true, inner = { "processes", workers = 2 } }

            function backend.level(n)
                local used = n == 1 and { servers[1] } or servers
                return hosts:level(used, transport, { workers = math.max(1, n // 2) })
            end

            setup(function()
                backend.plan = backend.level(2)
                before = mf.plan({ backend.plan })
            end)

            teardown(function()
                mf.plan(before)
            end)

            suite(backend, t)
        end)
    end
end)
