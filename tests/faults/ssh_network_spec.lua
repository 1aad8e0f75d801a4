-- Clusters over SSH in a network of their own, where that is allowed: links that are cut, hosts that start anew while
-- nobody can tell the master, bad cables. Over both transports. Each case names the row of the list of faults that it
-- provokes.
local far = require("tests.support.far")
local mf = require("moonfleet")
local net = require("tests.support.net")
local nodes = require("tests.support.nodes")
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")
local H = require("tests.conformance.helper")

-- Calls fn(network, servers, start) with two hosts that have such links; start(i, directives) starts server i again.
local function with_network(wire, fn)
    local n, reason = net.new(2, wire)
    if not n then
        assert(reason:find("not permitted") or reason:find("not found") or reason:find("/dev/net/tun"), reason)
        return -- not allowed here
    end
    local hosts, servers = sshd.new(), {}
    local function start(i, directives)
        servers[i] = hosts:start(i == 1 and "a" or "b", directives, n.hosts[i])
    end
    local ok, err = pcall(function()
        start(1)
        start(2)
        fn(n, servers, start, hosts)
    end)
    hosts:close()
    n:close()
    assert(ok, err)
end

local function level(hosts, servers, transport, options)
    local made = hosts:level({}, transport, { workers = 2, heartbeat = 0.3, grace = 0.3 })
    made.program = program.absolute
    for key, value in pairs(options or {}) do
        made[key] = value
    end
    for i, server in ipairs(servers) do
        made.hosts[i] = { host = server.address, port = server.port, env = { NODE = server.name } }
    end
    return { made }
end

local function assert_lost(list, words)
    for _, item in ipairs(list) do
        if item.host == "a" then
            local ok, err = H.result(item.future)
            assert(not ok and item.future:state() == "lost")
            local found = false
            for _, word in ipairs(words) do
                found = found or tostring(err):find(word, 1, true)
            end
            assert(found, tostring(err))
        end
    end
end

for _, transport in ipairs(far.transports) do
    describe("a host with an address of its own, over SSH by " .. transport, function()
        it("N1, N3: whose link is cut for a moment loses nothing; for good, what it ran, and it comes back", function()
            with_network(nil, function(n, servers, _, hosts)
                mf.with_plan(level(hosts, servers, transport, { heartbeat = 0.5 }), function()
                    program.with_folder(function(folder)
                        local list = nodes.occupy(folder .. "/gate")
                        n:cut(n.hosts[1])
                        mf.wait({ list[1].future }, { timeout = 0.4 })
                        n:mend(n.hosts[1])
                        nodes.open(folder .. "/gate", list)
                        os.remove(folder .. "/gate")
                        list = nodes.occupy(folder .. "/gate")
                        n:cut(n.hosts[1])
                        assert_lost(list, { "does not answer" })
                        for i = 1, 10 do
                            local f = mf.future(H.square, i)
                            program.write_file(folder .. "/gate", "open")
                            assert.equal(i * i, H.value(f))
                        end
                        n:mend(n.hosts[1])
                        nodes.wait_for("a", "b")
                    end)
                end)
            end)
        end)

        it("N2: whose link is cut while much is on its way loses what it ran; the rest is done elsewhere", function()
            with_network(nil, function(n, servers, _, hosts)
                mf.with_plan(level(hosts, servers, transport), function()
                    local text, list = ("z"):rep(4 << 20), {}
                    for i = 1, 16 do
                        list[i] = mf.future({ retries = 3 }, function(t)
                            return #t
                        end, text .. i)
                    end
                    n:cut(n.hosts[1])
                    for i = 1, 16 do
                        assert.equal(#text + #tostring(i), H.value(list[i]))
                    end
                    n:mend(n.hosts[1])
                    nodes.wait_for("a", "b")
                end)
            end)
        end)

        it("N6: that starts anew, unseen, has lost what it ran, and serves again", function()
            with_network(nil, function(n, servers, start, hosts)
                mf.with_plan(level(hosts, servers, transport, { heartbeat = 2 }), function()
                    program.with_folder(function(folder)
                        local list = nodes.occupy(folder .. "/gate")
                        n:cut(n.hosts[1])
                        hosts:stop(servers[1])
                        n:reboot(n.hosts[1])
                        start(1, { "Port " .. servers[1].port })
                        assert_lost(list, { "reset by peer", "Broken pipe", "does not answer" })
                        program.write_file(folder .. "/gate", "open")
                        nodes.wait_for("a", "b")
                    end)
                end)
            end)
        end)
    end)
end

describe("bad cables", function()
    local folder, wire

    setup(function()
        local pipe <close> = io.popen("mktemp -d /tmp/mf-wire-XXXXXX")
        folder = pipe:read("l")
        wire = program.compile("tests/support/wire.c", folder .. "/wire")
    end)

    teardown(function()
        os.execute("rm -rf " .. folder)
    end)

    for name, arguments in pairs({
        ["N9: that take 100 ms there and back and lose one frame of a hundred"] = "50 10 0 0",
        ["N10: that repeat frames and change their order"] = "1 0 100 100",
    }) do
        for _, transport in ipairs(far.transports) do
            it(name .. " make it slow only, over SSH by " .. transport, function()
                assert(wire, "wire.c does not compile")
                with_network(wire .. " " .. arguments, function(_, servers, _, hosts)
                    mf.with_plan(level(hosts, servers, transport, { heartbeat = 5 }), function()
                        local results = mf.map(mf.range(200), H.square)
                        for i = 1, 200 do
                            assert.equal(i * i, results[i])
                        end
                        local text = ("0123456789abcdef"):rep(1 << 14)
                        for i = 1, 4 do
                            local f = mf.future(function(t)
                                return t .. i
                            end, text)
                            assert(text .. i == H.value(f))
                        end
                    end)
                end)
            end)
        end
    end
end)
