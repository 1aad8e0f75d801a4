-- Nodes that do not keep to the protocol, at first or later, and nodes that cannot be started. Each case names the
-- row of the list of faults that it provokes.
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local peer = require("tests.support.peer")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local function assert_serves()
    for i = 1, 20 do
        assert.equal(i * i, H.value(mf.future({ retries = 2 }, H.square, i)))
    end
end

-- The words of a plan that cannot be opened because of a host, which runs that program.
local function refusal(path, options)
    local given = { host = "a", program = path, workers = 1 }
    for key, value in pairs(options or {}) do
        given[key] = value
    end
    local err = H.failure(nodes.with, { given, "b" }, { heartbeat = 0.2 }, mf.workers)
    H.has(err, "plan cluster: not all hosts could be started:\n  a: ")
    assert.is_nil(err:find("\n  b: ", 1, true), err)
    return err
end

local function shell_agent(folder, code)
    local path = folder .. "/agent"
    program.write_file(path, "#!/bin/sh\n" .. code .. "\n")
    assert(os.execute("chmod +x " .. program.quote(path)))
    return path
end

local function shell_refusal(code, options)
    return program.with_folder(function(folder)
        return refusal(shell_agent(folder, code), options)
    end)
end

describe("a node that cannot be started", function()
    it("N13: because it speaks another protocol, shows the beginning of that", function()
        H.has(shell_refusal([[printf 'HTTP/1.1 400 Bad\r\n\033[31m'; exec cat]]),
            [[a: broke the protocol: not Moonfleet's protocol; it begins with "HTTP/1.1 400 Bad\x0d\n\x1b[31m"]])
        H.has(shell_refusal([[printf 'Welcome to host a\n'; exec cat]]), [[it begins with "Welcome to host a\n"]])
        H.has(shell_refusal("printf 'hm'; exit 0"), [[it begins with "hm"]])
    end)

    it("S19: because it never stops talking", function()
        H.has(shell_refusal("exec yes"), [[it begins with "y\ny\n]])
        H.has(shell_refusal("trap '' TERM PIPE; yes; yes; while :; do sleep 0.1; done"), [[it begins with "y\ny\n]])
    end)

    it("N20: because it says nothing, or not enough, in time", function()
        H.has(shell_refusal("exec sleep 1000", { timeout = 0.3 }), "a: did not say hello in time")
        H.has(shell_refusal("printf 'Moo'; exec sleep 1000", { timeout = 0.3 }), "a: did not say hello in time")
        H.has(shell_refusal("echo 'waiting for a licence' >&2; exec sleep 1000", { timeout = 0.3 }),
            "a: did not say hello in time (it said: waiting for a licence)")
    end)

    it("W18: because it ends at once, says how, and what it last said", function()
        H.has(shell_refusal("exit 5"), "a: exited with code 5")
        H.has(shell_refusal("kill -9 $$"), "a: killed by SIGKILL")
        H.has(shell_refusal("echo 'no space left' >&2; exit 1"), "a: exited with code 1 (it said: no space left)")
    end)

    it("W18: because there is no such program", function()
        H.has(refusal("/no/such/program"), "a: cannot start /no/such/program: No such file or directory")
        H.has(refusal("/etc/passwd"), "a: cannot start /etc/passwd: Permission denied")
        H.has(refusal("/"), "a: cannot start /: Permission denied")
    end)

    it("N17: because it has another version, names both", function()
        peer.with_agent('peer.send("HELLO", 0, peer.hello({ version = 99, program = "9.9.9" })) peer.receive()',
            function(path)
                local err = refusal(path)
                for _, part in ipairs({ "99", "9.9.9", "0.1.0" }) do
                    H.has(err, part)
                end
            end)
    end)

    it("N18: because its Lua has other numbers, or is another Lua", function()
        for field, value in pairs({ integer = 4, number = 4, lua = 503, codec = 77 }) do
            peer.with_agent(('peer.send("HELLO", 0, peer.hello({ %s = %d })) peer.receive()'):format(field, value),
                function(path)
                    H.has(refusal(path), tostring(value == 503 and "5.3" or value))
                end)
        end
    end)

    it("N14: because it begins with another message", function()
        for _, code in ipairs({
            'peer.send("RESULT", 1, peer.result(1))',
            'peer.send("PONG", 1, "")',
            'peer.send("HELLO", 0, peer.hello() .. "x")',
            'peer.send("BYE", 0, "no")',
        }) do
            peer.with_agent(code .. " peer.receive()", function(path)
                local err = refusal(path)
                assert(err:find("a: broke the protocol: ", 1, true) or err:find("a: was refused: ", 1, true), err)
            end)
        end
    end)

    it("because it says why it cannot do what it is asked", function()
        peer.with_agent('peer.send("HELLO", 0, peer.hello()) peer.await("INIT") peer.send("BYE", 0, "no licence")',
            function(path)
                H.has(refusal(path), "(it said: no licence)")
            end)
    end)

    it("N20: because it greets and then says nothing", function()
        peer.with_agent('peer.send("HELLO", 0, peer.hello()) while peer.receive() do end', function(path)
            H.has(refusal(path), "a: does not answer")
        end)
    end)

    it("because of its folder", function()
        H.has(refusal(nil, { dir = "/no/such/folder" }),
            "(it said: cannot work in folder '/no/such/folder' (option 'dir'): No such file or directory)")
        H.has(refusal(nil, { dir = "/etc/passwd" }), "Not a directory")
    end)

    it("is named beside all others; nobody is left running", function()
        local err = H.failure(nodes.with, {
            { host = "a", program = "/no/such/program" }, "b", { host = "c", dir = "/no/such/folder" },
            { host = "d", program = "/bin/false" },
        }, { workers = 1, env = { TAG_OF_TEST = "strange nodes" } }, mf.workers)
        local a, c = err:find("\n  a: cannot start /no/such/program", 1, true), err:find("\n  c: .*option 'dir'")
        local d = err:find("\n  d: exited with code 1", 1, true)
        assert.is_true(a ~= nil and c ~= nil and d ~= nil and a < c and c < d, err)
        assert.is_nil(err:find("\n  b: ", 1, true))
    end)

    it("is gone without when min_workers says so, with a warning", function()
        local r = program.run({ "-e", [[
            local mf = require("moonfleet")
            mf.plan("cluster", { hosts = { { "a", program = "/bin/false" }, "b", "c" }, transport = "local",
                workers = 2, min_workers = 4 })
            print(mf.workers(), #mf.map(mf.range(20), function(x) return x end))]] })
        assert.equal("4\t20\n", r.out)
        H.has(r.err, "going on with 4 workers; not there:\n  a: exited with code 1")
    end)

    it("is an error when fewer than min_workers are there", function()
        local err = H.failure(nodes.with, { { host = "a", program = "/bin/false" }, "b" },
            { workers = 2, min_workers = 3 }, mf.workers)
        H.has(err, "not all hosts could be started; option 'min_workers' asks for 3, there are 2:\n  a: exited")
    end)

    it("does not come into the way of what follows", function()
        refusal("/bin/false")
        nodes.with({ "a" }, { workers = 1 }, assert_serves)
    end)
end)

describe("a node that stops making sense", function()
    -- Runs code as the agent of host a, while host b works honestly.
    local function with_strange(code, fn, options, behind)
        peer.with_agent("peer.join() " .. code, function(path)
            nodes.with({ { host = "a", program = path }, "b" }, options or { workers = 1 }, fn)
        end, behind)
    end

    -- Two tasks, one for each; what becomes of them. Returns why the one that was lost was lost.
    local function one_lost()
        local first, second = mf.future({ output = "discard" }, H.square, 3), mf.future(H.square, 3)
        local why
        for _, f in ipairs({ first, second }) do
            local ok, value = H.result(f)
            if not ok then
                assert.is_nil(why)
                assert.equal("lost", f:state())
                why = tostring(value)
            else
                assert.equal(9, value)
            end
        end
        return why
    end

    for what, case in pairs({
        ["N14: junk"] = { 'peer.send_bytes("garbage that is no message")', "unknown message kind" },
        ["N15: an impossible length"] = { 'peer.send_bytes(string.pack("<I4BBI2I8", 3, 10, 0, 0, id))', "length 3" },
        ["N21: a result of another task"] = { 'peer.send("RESULT", id + 99, peer.result(1))', "RESULT" },
        ["a second HELLO"] = { 'peer.send("HELLO", 0, peer.hello())', "HELLO" },
        ["a message for agents"] = { 'peer.send("TASK", id, "x")', "TASK" },
        ["N21: output of another task"] = { 'peer.send("OUTPUT", id + 99, "\\1text")', "OUTPUT" },
        ["a result of no kind"] = { 'peer.send("RESULT", id, string.pack("<BI8", 9, 0))', "RESULT" },
        ["N5: half a message"] = { 'peer.send_bytes(peer.frame("RESULT", id, peer.result(9)):sub(1, 20)) os.exit(4)',
            "exited with code 4" },
        ["the end of its streams"] = { "os.exit(0)", "was lost: ", "exec sleep 1000 <&- >&-" },
        ["a body beside the stream"] = { 'peer.send("RESULT", id, string.pack("<i8i8", 100, 0), 2)', "" },
    }) do
        it("loses what it ran, and nothing else: " .. what, function()
            with_strange("local id = peer.task() " .. case[1] .. " while peer.receive() do end", function()
                local why = one_lost()
                assert.is_string(why)
                H.has(why, "host a ")
                H.has(why, case[2])
                assert_serves()
            end, nil, case[3])
        end)
    end

    it("N22: after its result: the result stands", function()
        with_strange([[
            while true do
                local id = peer.task()
                peer.send("RESULT", id, peer.result("first"))
                peer.send("RESULT", id, peer.result("second"))
            end]], function()
            local seen = {}
            for _ = 1, 10 do
                local f = mf.future({ retries = 3 }, H.square, 3)
                local value = H.value(f)
                seen[value] = true
            end
            assert.is_true(seen.first and not seen.second)
            assert_serves()
        end)
    end)

    it("while it is idle loses nothing", function()
        for _, code in ipairs({ "peer.send_bytes('garbage that is no message')", "os.exit(3)" }) do
            with_strange("os.execute('sleep 0.1') " .. code .. " while peer.receive() do end", function()
                for _ = 1, 5 do
                    local list = {}
                    for i = 1, 10 do
                        list[i] = mf.future({ retries = 3 }, H.square, i)
                    end
                    for i = 1, 10 do
                        assert.equal(i * i, H.value(list[i]))
                    end
                end
            end)
        end
    end)

    it("has its tasks run elsewhere where that was asked for", function()
        with_strange("peer.task() peer.send_bytes('garbage that is no message') peer.receive()", function()
            for i = 1, 20 do
                assert.equal(i * i, H.value(mf.future({ retries = 3 }, H.square, i)))
            end
        end)
    end)

    it("N16: claims much and sends it slowly: is lost", function()
        with_strange([[
            local id = peer.task()
            peer.send_bytes(string.pack("<I4BBI2I8", 1 << 30, 10, 0, 0, id))
            while true do
                peer.send_bytes("x")
                os.execute("sleep 0.01")
            end]], function()
            H.has(one_lost(), "host a does not answer")
            assert_serves()
        end, { workers = 1, heartbeat = 0.2 })
    end)

    it("N23: floods its master starves nobody", function()
        for _, message in ipairs({
            'peer.frame("PONG", 0, "")', 'peer.frame("OUTPUT", id, "\\1text")',
            'peer.frame("PROGRESS", id, ("<d"):pack(0.5) .. "text")',
        }) do
            with_strange("local id = peer.task() local flood = (" .. message .. "):rep(1000) "
                .. "while true do peer.send_bytes(flood) end", function()
                local flood, honest = {}, 0
                for i = 1, 2 do
                    flood[i] = mf.future({ output = "discard" }, H.square, 3)
                end
                for i = 1, 50 do
                    assert.equal(i, H.value(mf.future(math.abs, -i)))
                end
                for i = 1, 2 do
                    honest = honest + (flood[i]:resolved() and 1 or 0)
                    flood[i]:cancel()
                end
                assert.equal(1, honest)
            end)
        end
    end)

    it("leaves no process", function()
        local pid
        with_strange([[
            io.open(arg[0] .. ".pid", "w"):write(io.open("/proc/self/stat"):read("a"):match("^%d+")):close()
            peer.task()
            peer.send_bytes("garbage that is no message")
            os.execute("exec sleep 1000")]], function()
            local path = mf.plan().options.hosts[1].program:gsub("agent$", "peer.lua.pid")
            assert.is_string(one_lost())
            pid = tonumber(program.read_file(path))
            processes.wait_until_gone({ pid })
        end)
    end)
end)
