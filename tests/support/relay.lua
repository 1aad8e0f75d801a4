-- A middle box between this machine and a test server (tests.support.sshd), which does to connections what it is told;
-- see relay.c. It ends with the test that has started it.
--
--     local boxes = relay.build(folder)                -- nil, reason when it cannot be compiled
--     local r = boxes:to(hosts, server)                -- can be used as a server: r.address, r.port, r.name
--     r:say("hold")
--     local up, down = r:count()
--     boxes:close()
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")

local boxes, relay = {}, {}
boxes.__index, relay.__index = boxes, relay

function relay.build(folder)
    local path, reason = program.compile("tests/support/relay.c", folder .. "/relay")
    if not path then
        return nil, reason
    end
    return setmetatable({ path = path, folder = folder, open = {} }, boxes)
end

local function await(path, what)
    assert(sshd.await(path, "/nonexistent"), "the relay does not " .. what)
end

-- A relay to a server, whose keys it is known by.
function boxes:to(hosts, server)
    local folder = ("%s/relay-%d"):format(self.folder, #self.open + 1)
    assert(os.execute("mkdir " .. program.quote(folder)))
    local command = ("exec %s %s %d %s"):format(self.path, server.address, server.port, folder)
    local keeper = assert(io.popen(command, "w"))
    local self_ = setmetatable({ keeper = keeper, folder = folder, said = 0 }, relay)
    await(folder .. "/port", "start")
    self_.address, self_.name = "127.0.0.1", server.name
    self_.port = math.tointeger(tonumber(program.read_file(folder .. "/port")))
    hosts:know(server, self_)
    self.open[#self.open + 1] = self_
    return self_
end

function boxes:close()
    for _, box in ipairs(self.open) do
        box.keeper:close()
    end
    self.open = {}
end

local OBEYED = [[
    n=0
    until [ "$(cat %s 2>/dev/null)" = %d ]; do
        sleep 0.01
        n=$((n + 1))
        [ $n -lt 3000 ] || exit 1
    done]]

-- Gives a command, and waits until it is obeyed.
function relay:say(command)
    self.said = self.said + 1
    self.keeper:write(command, "\n")
    self.keeper:flush()
    assert(os.execute(OBEYED:format(program.quote(self.folder .. "/done"), self.said)), "the relay does not obey")
end

-- The bytes that have come from clients, and from the server.
function relay:count()
    self:say("count")
    local up, down = program.read_file(self.folder .. "/count"):match("^(%d+) (%d+)")
    return math.tointeger(tonumber(up)), math.tointeger(tonumber(down))
end

return relay
