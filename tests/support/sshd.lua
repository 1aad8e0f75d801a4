-- Real SSH servers on this machine, with keys, configuration and home directories of their own; see sshd.sh. A server
-- ends with the test that has started it, however that ends.
--
--     local sshd = require("tests.support.sshd")
--     local hosts = sshd.new()                             -- a folder with the users' keys
--     local a = hosts:start("a", { "RekeyLimit 1M" })      -- lines of sshd_config
--     a.address, a.port, a.pid, a.home, a.log
--     ... { config = hosts.config, known_hosts = hosts.known_hosts, user = hosts.user } ...
--     hosts:close()                                        -- all servers and the folder
local program = require("tests.support.program")

local sshd = {}
sshd.__index = sshd

local DEADLINE = 60 -- seconds; only ever reached when something hangs

-- Waits until one of two files is there; whether it is the first.
local function await(good, bad)
    local loop = "n=0; while [ ! -e %s ] && [ ! -e %s ] && [ $n -lt %d ]; do sleep 0.02; n=$((n + 1)); done"
    local a, b = program.quote(good), program.quote(bad)
    return os.execute((loop .. "; [ -e %s ]"):format(a, b, DEADLINE * 50, a)) == true
end
sshd.await = await

local function read_line(path)
    local file = assert(io.open(path))
    local line = file:read("l")
    file:close()
    return line
end

local function output_of(command)
    local pipe = assert(io.popen(command))
    local line = pipe:read("l")
    pipe:close()
    return line
end

-- Makes the folder. types: more key types of users' keys, such as "rsa" (which takes seconds).
function sshd.new(types)
    local folder = output_of("mktemp -d /tmp/mf-sshd-XXXXXX")
    assert(os.execute(("sh tests/support/sshd.sh %s keys %s"):format(folder, types or "")))
    return setmetatable({
        folder = folder,
        config = folder .. "/config",
        known_hosts = folder .. "/known_hosts",
        user = output_of("id -un"),
        servers = {},
    }, sshd)
end

-- The path of a user's private key: "ed25519", "ecdsa", "locked" (passphrase "secret"), or a type given to new.
function sshd:key(name)
    return ("%s/id_%s"):format(self.folder, name)
end

-- Starts a server. host: of tests.support.net, to put it there; else it listens on 127.0.0.1.
function sshd:start(name, directives, host)
    local words = { "exec sh tests/support/sshd.sh", program.quote(self.folder), program.quote(name) }
    for _, directive in ipairs(directives or {}) do
        words[#words + 1] = program.quote(directive)
    end
    if host then
        words[#words + 1] = program.quote(("Netns %s %s"):format(host.namespace, host.address))
    end
    local own = self.folder .. "/" .. name
    os.remove(own .. "/ready")
    local server = { keeper = assert(io.popen(table.concat(words, " "), "w")), name = name }
    self.servers[name] = server
    assert(await(own .. "/ready", own .. "/failed"), "sshd does not start; see its text above")
    server.address = host and host.address or "127.0.0.1"
    server.port = math.tointeger(read_line(own .. "/port"))
    server.pid = math.tointeger(read_line(own .. "/pid"))
    server.home = own .. "/home"
    server.log = own .. "/log"
    return server
end

-- Ends a server and its sessions, at once and without a word to them.
function sshd:stop(server)
    if server.keeper then
        server.keeper:close()
        server.keeper = nil
    end
    self.servers[server.name] = nil
end

-- Makes the server known under another's address and port, too.
function sshd:know(server, other)
    local lines = {}
    for line in io.lines(self.known_hosts) do
        local key = line:match(("^%%[%s%%]:%d (.*)$"):format(server.address:gsub("%.", "%%."), server.port))
        if key then
            lines[#lines + 1] = ("[%s]:%d %s\n"):format(other.address, other.port, key)
        end
    end
    local file <close> = assert(io.open(self.known_hosts, "a"))
    assert(file:write(table.unpack(lines)))
end

-- The level of a plan with one worker on each of these servers, over that transport; more options go on top.
function sshd:level(servers, transport, more)
    local level = { "cluster", hosts = {}, transport = transport, workers = 1 }
    level.config, level.known_hosts = self.config, self.known_hosts
    for i, server in ipairs(servers) do
        level.hosts[i] = ("%s:%d"):format(server.address, server.port)
    end
    for key, value in pairs(more or {}) do
        level[key] = value
    end
    return level
end

function sshd:close()
    for _, server in pairs(self.servers) do
        if server.keeper then
            server.keeper:close()
        end
    end
    self.servers = {}
    os.execute("rm -rf " .. program.quote(self.folder))
end

return sshd
