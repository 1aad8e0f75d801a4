-- Real SSH servers for specs, each with keys, configuration and home of its own: see sshd.sh.
--
--     local farm <close> = sshd.farm()
--     local server = farm:start("a", "MaxSessions 1")      -- more arguments: lines of sshd_config
--     server.port, server:stop()
--     farm.options                                         -- of a plan, so that nothing of the developer's is used
local program = require("tests.support.program")

local sshd = {}

local LIMIT = 30 -- seconds

local Server = {}
Server.__index = Server

function Server:stop()
    if self.pipe then
        self.pipe:close()
        self.pipe = nil
    end
end

local Farm = {}
Farm.__index = Farm

function Farm:start(name, ...)
    local words = { "exec sh tests/support/sshd.sh", program.quote(self.folder), program.quote(name) }
    for _, directive in ipairs({ ... }) do
        words[#words + 1] = program.quote(directive)
    end
    words[#words + 1] = ">" .. program.quote(self.folder .. "/" .. name .. ".out") .. " 2>&1"
    local server = setmetatable({ folder = self.folder .. "/" .. name }, Server)
    server.pipe = assert(io.popen(table.concat(words, " "), "w"))
    self.servers[#self.servers + 1] = server
    local waits = ("timeout %d sh -c 'until [ -e %s/ready ] || [ -e %s/failed ]; do sleep 0.02; done'"):format(
        LIMIT, server.folder, server.folder)
    if not os.execute(waits) or not io.open(server.folder .. "/ready") then
        error("the SSH server did not come up: " .. program.read_file(self.folder .. "/" .. name .. ".out"))
    end
    server.port = assert(math.tointeger(tonumber(program.read_file(server.folder .. "/port"))))
    return server
end

function Farm:close()
    for _, server in ipairs(self.servers) do
        server:stop()
    end
    os.execute("rm -rf " .. program.quote(self.folder))
end

Farm.__close = Farm.close

function sshd.farm()
    local pipe = assert(io.popen("mktemp -d"))
    local folder = pipe:read("l")
    pipe:close()
    return setmetatable({
        folder = folder,
        servers = {},
        options = { config = folder .. "/config", known_hosts = folder .. "/known_hosts" },
    }, Farm)
end

-- Options of a plan on these servers, over that transport; more go on top.
function Farm:plan(servers, transport, more)
    local plan = { "cluster", hosts = {}, transport = transport, workers = 1 }
    for i, server in ipairs(servers) do
        plan.hosts[i] = "127.0.0.1:" .. server.port
    end
    for _, options in ipairs({ self.options, more or {} }) do
        for key, value in pairs(options) do
            plan[key] = value
        end
    end
    return plan
end

return sshd
