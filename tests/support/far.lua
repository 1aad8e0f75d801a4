-- A cluster over SSH for the specs of faults: real servers on this machine, each behind a relay that can be told to
-- damage, hold or delay what passes.
--
--     local far = require("tests.support.far").new()
--     far:with("libssh2", { heartbeat = 0.3 }, function(a, b) a:say("hold") ... end)   -- a plan of hosts a and b
--     far:close()
local mf = require("moonfleet")
local program = require("tests.support.program")
local relay = require("tests.support.relay")
local sshd = require("tests.support.sshd")

local far = {}
far.__index = far

far.transports = { "libssh2", "openssh" }

local function new_folder()
    local pipe <close> = io.popen("mktemp -d /tmp/mf-far-XXXXXX")
    return pipe:read("l")
end

-- Starts the servers a and b. directives: as for sshd:start.
function far.new(directives)
    local folder = new_folder()
    local self = setmetatable({ folder = folder, boxes = assert(relay.build(folder)), hosts = sshd.new() }, far)
    self.servers = { self.hosts:start("a", directives), self.hosts:start("b", directives) }
    return self
end

-- A relay to each server, and the level of a plan with two workers on each host behind it. Tasks find the server's name
-- in the variable NODE. options go on top of what fits for tests: a heartbeat of 0.3 s.
function far:level(transport, options)
    local level = self.hosts:level({}, transport, { workers = 2, heartbeat = 0.3, grace = 0.3 })
    level.program = program.absolute
    for key, value in pairs(options or {}) do
        level[key] = value
    end
    local relays, names = {}, {}
    for i, server in ipairs(self.servers) do
        relays[i] = self.boxes:to(self.hosts, server)
        names[i] = ("%s:%d"):format(relays[i].address, relays[i].port)
        level.hosts[i] = { host = relays[i].address, port = relays[i].port, env = { NODE = server.name } }
    end
    return level, relays, names
end

-- Calls fn(a, b), two relays that have names as the hosts have them, under such a plan.
function far:with(transport, options, fn)
    local level, relays, names = self:level(transport, options)
    for i, box in ipairs(relays) do
        box.host = names[i]
    end
    local ok, err = pcall(mf.with_plan, { level }, fn, relays[1], relays[2])
    if not ok then
        error(err, 0)
    end
end

function far:close()
    self.boxes:close()
    self.hosts:close()
    os.execute("rm -rf " .. program.quote(self.folder))
end

return far
