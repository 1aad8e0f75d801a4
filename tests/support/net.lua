-- Hosts with addresses of their own: network namespaces on a bridge, where the machine allows that; see net.sh. They go
-- with the test that has made them, however that ends.
--
--     local net = require("tests.support.net")
--     local n = net.new(2)           -- nil, reason when it is not allowed here
--     local n = net.new(2, folder .. "/wire 50 10 0 0")     -- with bad links; see wire.c, which it is made of
--     hosts:start("a", {}, n.hosts[1])       -- tests.support.sshd; the host has namespace, address, link
--     n:cut(n.hosts[1])  n:mend(n.hosts[1])  n:reboot(n.hosts[1])
--     n:close()
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")

local net = {}
net.__index = net

function net.new(count, wire)
    local pipe = assert(io.popen("mktemp -d /tmp/mf-net-XXXXXX"))
    local folder = pipe:read("l")
    pipe:close()
    local command = ("exec sh tests/support/net.sh %s %d %s"):format(folder, count, wire or "")
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

local REBOOT = [[
    set -e
    card=$(ip -n NAMESPACE -o link show eth0 | sed 's/.*ether \([^ ]*\) .*/\1/')
    ip link del LINK
    ip netns del NAMESPACE
    ip netns add NAMESPACE
    ip link add LINK type veth peer name eth0 address "$card" netns NAMESPACE
    ip link set LINK master BRIDGE
    ip link set LINK up
    ip -n NAMESPACE addr add ADDRESS/24 dev eth0
    ip -n NAMESPACE link set lo up
    ip -n NAMESPACE link set eth0 up]]

-- The host starts anew, as if somebody had pulled its plug: it knows nothing of its connections, and nobody is told.
-- What ran there must have ended.
function net:reboot(host)
    local words = { LINK = host.link, NAMESPACE = host.namespace, ADDRESS = host.address }
    words.BRIDGE = program.read_file(self.folder .. "/bridge"):match("%S+")
    assert(self.keeper and os.execute((REBOOT:gsub("%u+", words))))
end

function net:close()
    if self.keeper then
        self.keeper:close()
        self.keeper = nil
        os.execute("rm -rf " .. program.quote(self.folder))
    end
end

return net
