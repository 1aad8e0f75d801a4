-- How hosts of a cluster are written, what a plan makes of them, and how wrong ones are named. Nothing is started.
local hosts = require("moonfleet.hosts")
local mf = require("moonfleet")
local plans = require("moonfleet.plan")
local H = require("tests.conformance.helper")

local function list(given, defaults)
    return hosts.list("here", given, defaults or {})
end

local function refused(text, given, defaults)
    local err = H.failure(list, given, defaults)
    assert.equal("here: " .. text, (err:gsub("^[^:]*:%d+: ", "")))
end

describe("a host's name", function()
    it("may have a user and a port, and may be an address", function()
        local cases = {
            ["a"] = { host = "a" },
            ["a.example.org"] = { host = "a.example.org" },
            ["bob@a"] = { host = "a", user = "bob" },
            ["a:2222"] = { host = "a", port = 2222 },
            ["bob@a:2222"] = { host = "a", user = "bob", port = 2222 },
            ["bob@realm@a:1"] = { host = "a", user = "bob@realm", port = 1 },
            ["10.0.0.1:22"] = { host = "10.0.0.1", port = 22 },
            ["::1"] = { host = "::1" },
            ["[::1]"] = { host = "::1" },
            ["[::1]:65535"] = { host = "::1", port = 65535 },
            ["bob@fe80::1%eth0"] = { host = "fe80::1%eth0", user = "bob" },
            ["bob@[fe80::1%eth0]:22"] = { host = "fe80::1%eth0", user = "bob", port = 22 },
            ["[a]:22"] = { host = "a", port = 22 },
        }
        for text, expected in pairs(cases) do
            assert.same({ expected }, list({ text }), text)
            assert.same({ expected }, list({ { host = text } }), text)
            assert.same({ expected }, list({ { text } }), text)
        end
    end)

    it("is refused when it cannot be one", function()
        local how = " is no host; write name, user@name, name:port or [address]:port"
        for _, text in ipairs({ "a:", "a:b", "bob@a:b", "[::1", "::1]", "[::1]22", "[::1]:", "[[::1]]:2" }) do
            refused(("%q"):format(text) .. how, { text })
        end
        for _, text in ipairs({ "", "@", "a@", "@a", "bob@:22", "[]:22" }) do
            refused(("%q"):format(text) .. " names no host", { text })
        end
    end)

    it("is told as it is written", function()
        for _, text in ipairs({ "a", "bob@a", "bob@a:2222", "a:1", "::1", "[::1]:22", "bob@[::1]:22", "bob@::1" }) do
            assert.equal(text, hosts.name(list({ text })[1]))
        end
    end)
end)

describe("a list of hosts", function()
    it("may be a text, with commas, blanks or + between them", function()
        for _, text in ipairs({ "a,bob@b:22,::1", "a bob@b:22 ::1", " a, bob@b:22\n::1 ", "a+bob@b:22+::1" }) do
            assert.same({ { host = "a" }, { host = "b", user = "bob", port = 22 }, { host = "::1" } }, list(text))
        end
    end)

    it("takes what is said of all hosts for those that say nothing else", function()
        local made = list({ "a", { host = "b", user = "eve", isolate = false } },
            { user = "bob", isolate = true, workers = 3, dir = "/tmp" })
        assert.same({
            { host = "a", user = "bob", isolate = true, workers = 3, dir = "/tmp" },
            { host = "b", user = "eve", isolate = false, workers = 3, dir = "/tmp" },
        }, made)
    end)

    it("lets a field win over the name", function()
        local given = { host = "bob@a:22", user = "eve", port = 23 }
        assert.same({ { host = "a", user = "eve", port = 23 } }, list({ given }))
    end)

    it("leaves what it was given as it was", function()
        local given, defaults = { host = "bob@a:22" }, { workers = 2 }
        list({ given }, defaults)
        assert.same({ host = "bob@a:22" }, given)
        assert.same({ workers = 2 }, defaults)
    end)

    it("gives a host that is named again more workers", function()
        assert.same({ { host = "a", workers = 3 } }, list({ "a", "a", "a" }))
        assert.same({ { host = "a", workers = 2 }, { host = "b" } }, list({ "a", "b", "a" }))
        assert.same({ { host = "a", workers = 5 } }, list({ { "a", workers = 4 }, "a" }))
        assert.same({ { host = "a", workers = 5 } }, list({ "a", { "a", workers = 4 } }))
        assert.same({ { host = "a", workers = 6 } }, list({ "a", "a" }, { workers = 3 }))
        local apart = list({ "a", "bob@a", "a:22", { "a", transport = "local" } })
        assert.equal(4, #apart)
        refused("host 'a' is named with more than 1024 workers", { { "a", workers = 1000 }, { "a", workers = 25 } })
    end)

    it("without a name means this machine where no SSH is used", function()
        assert.same({ { host = "localhost", transport = "local", workers = 2 } },
            list({ { transport = "local", workers = 2 } }))
        refused("a host's table has no field 'host'", { { workers = 2 } })
    end)

    it("names what is wrong with it", function()
        refused("option 'hosts' must be a list of hosts, not 5", 5)
        refused("option 'hosts' names no host", {})
        refused("option 'hosts' names no host", " , ")
        refused("a host must be a name or a table, not 5", { "a", 5 })
        refused('option \'hosts\' has a field "host"; each host is a name or a table in a list', { host = "a" })
        refused('option \'hosts\' has a field "workers"; each host is a name or a table in a list',
            { "a", workers = 2 })
        refused("unknown option 'wokers'; did you mean 'workers'?", { { "a", wokers = 2 } })
        refused("unknown option 'hosts'; did you mean 'host'?", { { hosts = "a" } })
    end)

    it("names each field that is wrong", function()
        local wrong = {
            host = { 5, "a string" },
            user = { {}, "a string" },
            port = { 0, "a port from 1 to 65535" },
            workers = { 0, "a positive integer up to 1024" },
            identity = { {}, "the path of a private key, or a list of such" },
            program = { 5, "a string" },
            env = { "x", "a table of names and strings" },
            dir = { true, "a string" },
            isolate = { "yes", "true or false" },
            timeout = { 0, "a positive number of seconds" },
            transport = { "telnet" },
            accept_new = { 1, "true or false" },
            upload = { 1, "true or false" },
            config = { 5, "a string" },
            known_hosts = { 5, "a string" },
            ssh = { 5, "a string" },
            node_build = { 5, "a string" },
        }
        for name, case in pairs(wrong) do
            local host = { host = "a" }
            host[name] = case[1]
            local text = H.failure(list, { host })
            H.has(text, ("here: option '%s' must be "):format(name))
            H.has(text, case[2] or '"local"')
        end
        local names = { ["a=b"] = "x", [""] = "x", ["1a"] = "x", a = "x\0y", b = 5, [1] = "x" }
        for name, value in pairs(names) do
            local env = { [name] = value }
            refused("option 'env' must be a table of names and strings, not a table", { { "a", env = env } })
        end
        for _, port in ipairs({ 65536, 1.5, "22" }) do
            H.has(H.failure(list, { { "a", port = port } }), "option 'port' must be a port from 1 to 65535")
        end
        refused("option 'port' must be a port from 1 to 65535, not 65536", "a:65536")
        H.has(H.failure(list, "a:99999999999999999999999"), "option 'port' must be a port from 1 to 65535")
        H.has(H.failure(list, { { "a", identity = { "k", 5 } } }), "option 'identity' must be the path")
    end)
end)

describe("a plan with hosts", function()
    local function text(...)
        return tostring(plans.make("here", ...))
    end

    it("has a text that makes the same plan, as far as names tell it", function()
        assert.equal("cluster,hosts=a+bob@[::1]:22", text("cluster", { hosts = { "a", "bob@[::1]:22" } }))
        assert.equal("cluster:2,hosts=a,isolate=true,min_workers=1,transport=local", text("cluster",
            { hosts = "a", workers = 2, min_workers = 1, isolate = true, transport = "local", env = { A = "x" } }))
        for _, spec in ipairs({ "cluster,hosts=a", "cluster:3,hosts=a+b@c:22+::1,transport=local",
            "cluster,heartbeat=0.5,hosts=a;threads:2" }) do
            assert.equal(spec, text(spec))
        end
    end)

    it("takes hosts from a text", function()
        local plan = plans.make("here", "cluster:2,hosts=a+bob@b:22,transport=local")
        assert.same({ { host = "a", workers = 2, transport = "local" },
            { host = "b", user = "bob", port = 22, workers = 2, transport = "local" } }, plan[1].hosts)
        assert.is_nil(plan.workers) -- nobody knows before they have been asked
    end)

    it("can be made of the levels of another one", function()
        local plan = plans.make("here", { { "cluster", hosts = { "a", "a", { "b@c:22", workers = 3 } } }, "threads:2" })
        local again = plans.make("here", { plan[1], plan[2] })
        assert.same(plan[1].hosts, again[1].hosts)
        assert.same({ { host = "a", workers = 2 }, { host = "c", user = "b", port = 22, workers = 3 } }, again[1].hosts)
    end)

    it("names its own wrong options", function()
        local wrong = {
            workers = { 0, "a positive integer up to 1024" },
            min_workers = { 0, "a positive integer up to 4096" },
            heartbeat = { 0, "a positive number of seconds" },
            grace = { -1, "a number of seconds that is not negative" },
            queue_bytes = { 0, "a positive integer" },
            hosts = { 5, "a list of hosts" },
        }
        for name, case in pairs(wrong) do
            local given = { hosts = { "a" } }
            given[name] = case[1]
            H.has(H.failure(mf.plan, "cluster", given), ("mf.plan: option '%s' must be %s"):format(name, case[2]))
        end
        H.has(H.failure(mf.plan, "cluster"), "mf.plan: option 'hosts' must be a list of hosts, not nil")
        for _, given in ipairs({ { "cluster", workers = 2 }, "cluster:2" }) do
            H.has(H.failure(mf.plan, given), "mf.plan: option 'hosts' must be a list of hosts, not nil")
        end
        H.has(H.failure(mf.plan, "threads", { hosts = { "a" } }), "mf.plan: unknown option 'hosts'")
    end)
end)

describe("the core's table of a host", function()
    it("has a name, a list of keys, and may upload unless told", function()
        local made = hosts.for_core(list({ "bob@a:22", { "b", identity = "k", upload = false },
            { "c", identity = { "k", "l" } } }))
        assert.same({ "bob@a:22", "b", "c" }, { made[1].name, made[2].name, made[3].name })
        assert.same({ true, false, true }, { made[1].upload, made[2].upload, made[3].upload })
        assert.is_nil(made[1].identities)
        assert.same({ "k" }, made[2].identities)
        assert.same({ "k", "l" }, made[3].identities)
    end)
end)
