-- Hosts with addresses of their own: network namespaces on a bridge, where the machine allows that; see net.sh. They go
-- with the test that has made them, however that ends.
--
--     local net = require("tests.support.net")
--     local n = net.new(2)           -- nil, reason when it is not allowed here
--     hosts:start("a", {}, n.hosts[1])       -- tests.support.sshd; the host has namespace, address, link
--     n:cut(n.hosts[1])  n:mend(n.hosts[1])
--     n:close()
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")

local net = {}
net.__index = net

function net.new(count)
    local pipe = assert(io.popen("mktemp -d /tmp/mf-net-XXXXXX"))
    local folder = pipe:read("l")
    pipe:close()
    local command = ("exec sh tests/support/net.sh %s %d"):format(folder, count)
    local self = setmetatable({ folder = folder, hosts = {}, keeper = assert(io.popen(command, "w")) }, net)
    if not sshd.await(folder .. "/hosts", folder .. "/failed") then
        local file = io.open(folder .. "/log")
        local reason = file and file:read("a") or "no answer"
        if file then
            file:close()
        end
        self:close()
        return nil, reason
    end
    for line in io.lines(folder .. "/hosts") do
        local namespace, address, link = line:match("^(%S+) (%S+) (%S+)$")
        self.hosts[#self.hosts + 1] = { namespace = namespace, address = address, link = link }
    end
    return self
end

-- From now on nothing passes, in either direction, and nobody is told.
function net:cut(host)
    assert(self.keeper and os.execute(("ip link set %s down"):format(host.link)))
end

function net:mend(host)
    assert(self.keeper and os.execute(("ip link set %s up"):format(host.link)))
end

function net:close()
    if self.keeper then
        self.keeper:close()
        self.keeper = nil
        os.execute("rm -rf " .. program.quote(self.folder))
    end
end

return net
