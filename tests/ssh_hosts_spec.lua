-- The test hosts themselves: servers that start, let the tests' user in and end with their keeper; links that are cut.
local net = require("tests.support.net")
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")

-- Runs a command on a server by the ssh program.
local function on(hosts, server, command, options)
    local line = ("exec ssh -F %s -o BatchMode=yes %s -p %d %s %s"):format(
        hosts.config,
        options or "",
        server.port,
        server.address,
        program.quote(command)
    )
    return program.shell(line)
end

describe("test hosts", function()
    local hosts

    before_each(function()
        hosts = sshd.new()
    end)

    after_each(function()
        hosts:close()
    end)

    it("let the tests' user in, each with a home of its own", function()
        local a = hosts:start("a")
        local b = hosts:start("b", { "ForceCommand echo forced" })
        local r = on(hosts, a, "echo $HOME $XDG_CACHE_HOME")
        assert.are.equal(("%s %s/.cache\n"):format(a.home, a.home), r.out)
        assert.are.equal(0, r.code)
        assert.are.equal("forced\n", on(hosts, b, "echo hello").out)
        assert.are_not.equal(a.port, b.port)
    end)

    it("touch nothing of the developer's", function()
        local a = hosts:start("a")
        local r = on(hosts, a, "true", "-v")
        assert.is_nil(r.err:find(os.getenv("HOME") .. "/.ssh/", 1, true))
        assert.are.equal(0, r.code)
    end)

    it("end when they are stopped, with their sessions", function()
        local a = hosts:start("a")
        hosts:stop(a)
        assert.are.equal(255, on(hosts, a, "true").code)
        assert.is_nil(os.execute(("kill -0 %d 2>/dev/null"):format(a.pid)))
    end)

    it("have addresses of their own, and links that can be cut, where that is allowed", function()
        local n = net.new(2)
        if not n then
            return -- not allowed here
        end
        local good, err = pcall(function()
            local a = hosts:start("a", {}, n.hosts[1])
            local b = hosts:start("b", {}, n.hosts[2])
            assert.are_not.equal(a.address, b.address)
            assert.are.equal("hello\n", on(hosts, a, "echo hello").out)
            n:cut(n.hosts[1])
            assert.are.equal(255, on(hosts, a, "true", "-o ConnectTimeout=1").code)
            assert.are.equal("hello\n", on(hosts, b, "echo hello").out)
            n:mend(n.hosts[1])
            assert.are.equal("hello\n", on(hosts, a, "echo hello").out)
        end)
        n:close()
        assert.is_nil(os.execute(("ip link show %s 2>/dev/null"):format(n.hosts[1].link)))
        assert.is_true(good, err)
    end)
end)
