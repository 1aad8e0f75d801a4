-- Hosts that cannot be started over SSH, each with its reason, and hosts that are strange and start all the same.
-- Through the whole program and over both transports; the steps themselves have tests of their own
-- (tests/unit/launch_ssh_*.c). Each case names the row of the list of faults that it provokes.
local far = require("tests.support.far")
local mf = require("moonfleet")
local peer = require("tests.support.peer")
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")
local terminal = require("tests.support.terminal")
local H = require("tests.conformance.helper")

local hosts, good

local TOO_FEW = "ForceCommand exec prlimit --nofile=3:3 $SSH_ORIGINAL_COMMAND"

local function name_of(server)
    return ("%s:%d"):format(server.address, server.port)
end

-- A plan of this server and a good one. options are those of the strange one.
local function plan(server, transport, options, more)
    local strange = { host = server.address, port = server.port }
    for key, value in pairs(options or {}) do
        strange[key] = value
    end
    local level = hosts:level({}, transport, { program = program.absolute })
    level.hosts = { strange, name_of(good) }
    for key, value in pairs(more or {}) do
        level[key] = value
    end
    return { level }
end

-- The host cannot be started, for a reason with one of these words; and where that is allowed, the other serves
-- without.
local function assert_refused(server, transport, words, options)
    local err = H.failure(mf.with_plan, plan(server, transport, options), mf.workers)
    H.has(err, "plan cluster: not all hosts could be started:\n  " .. name_of(server) .. ": ")
    assert.is_nil(err:find("\n  " .. name_of(good) .. ": ", 1, true), err)
    local found = false
    for _, word in ipairs(type(words) == "table" and words or { words }) do
        found = found or err:find(word, 1, true)
    end
    assert(found, err)
    assert.is_nil(err:gsub("\n", ""):find("%c"), err) -- nothing that would change a terminal
end

local function assert_serves(server, transport, options)
    mf.with_plan(plan(server, transport, options), function()
        assert.equal(2, mf.workers())
        for i = 1, 10 do
            assert.equal(i * i, H.value(mf.future(H.square, i)))
        end
    end)
end

local function with_server(directives, fn)
    local server = hosts:start("strange", directives)
    local ok, err = pcall(fn, server)
    hosts:stop(server)
    assert(ok, err)
end

-- A file of known hosts for the strange one and the good one: the good one's lines, and what edit makes of the others.
local function known(server, edit)
    local path, lines = hosts.folder .. "/known_own", {}
    local prefix = ("[%s]:%d "):format(server.address, server.port)
    for line in io.lines(hosts.known_hosts) do
        if line:sub(1, #prefix) == prefix then
            line = edit(line, line:match("^%S+ (%S+)"))
        end
        lines[#lines + 1] = line
    end
    program.write_file(path, table.concat(lines, "\n") .. "\n")
    return path
end

-- What is different on each of these servers, and what is said of it; nil: nothing, it serves.
local SERVERS = {
    { "S12: that lets this user not in", { "DenyUsers *" }, { "The server takes: publickey", "Permission denied" } },
    { "S18: whose shell talks at first, serves",
        { "ForceCommand echo welcome; echo to all >&2; eval exec $SSH_ORIGINAL_COMMAND" } },
    { "S19: that talks without end", { "ForceCommand yes 'what a host'" }, "without end" },
    { "S21: that takes its time, serves", { "ForceCommand sleep 1; eval exec $SSH_ORIGINAL_COMMAND" } },
    { "S22: that has no shell for this user", { "ForceCommand echo This account is not available.; exit 1" },
        "exited with code 1" },
    { "S30: that allows too few descriptors", { TOO_FEW }, "exited with code" },
    { "S32: whose words would change the terminal", { [[ForceCommand printf '\033[31mred\n' >&2; exit 5]] },
        "?[31mred" },
}

for _, transport in ipairs(far.transports) do
    describe("a host over SSH by " .. transport, function()
        local plain

        setup(function()
            hosts = sshd.new()
            good, plain = hosts:start("good"), hosts:start("plain")
        end)

        teardown(function()
            hosts:close()
        end)

        for _, case in ipairs(SERVERS) do
            it(case[1], function()
                with_server(case[2], function(server)
                    if case[3] then
                        assert_refused(server, transport, case[3])
                    else
                        assert_serves(server, transport)
                    end
                end)
            end)
        end

        it("S1: that is not known is refused, and added where that was asked for", function()
            local path = known(plain, function()
                return "# nothing"
            end)
            local before = program.read_file(path)
            assert_refused(plain, transport, { "is not known", "host key is known" }, { known_hosts = path })
            assert.equal(before, program.read_file(path))
            assert_serves(plain, transport, { known_hosts = path, accept_new = true })
            assert_serves(plain, transport, { known_hosts = path })
            assert.equal(before, program.read_file(path):sub(1, #before))
        end)

        it("S2: whose key has changed is refused, also where new ones are accepted", function()
            local other = program.read_file(hosts.folder .. "/good/host_ed25519.pub"):match("^%S+ %S+")
            local path = known(plain, function(line)
                return line:match("^%S+ ") .. other
            end)
            for _, accept in ipairs({ false, true }) do
                assert_refused(plain, transport, "HAS CHANGED", { known_hosts = path, accept_new = accept })
            end
        end)

        it("S3, S5: that is known by another type of key, between lines that make no sense, serves", function()
            local path = known(plain, function(line, type)
                return type == "ssh-ed25519" and "\1\2 garbage\r\nhost only\n" .. line or ("x"):rep(20000)
            end)
            assert_serves(plain, transport, { known_hosts = path })
        end)

        it("S4: whose key is revoked is refused", function()
            local path = known(plain, function(line)
                return line .. "\n@revoked " .. line
            end)
            assert_refused(plain, transport, { "is revoked", "REVOKED" }, { known_hosts = path })
        end)

        it("S8: whose user's key is locked, is refused where there is no terminal", function()
            program.with_folder(function(folder)
                local config = program.read_file(hosts.config):gsub("id_ed25519", "id_locked")
                program.write_file(folder .. "/config", config)
                local words = { "passphrase", "Permission denied" }
                assert_refused(plain, transport, words, { config = folder .. "/config" })
            end)
        end)

        it("S16: without that program is refused, with its exit code", function()
            local path = "/nowhere/moonfleet"
            assert_refused(plain, transport, path .. " exited with code 127", { program = path })
            assert_refused(plain, transport, "exited with code 126", { program = "/etc/passwd" })
        end)

        it("S17, N17: whose program has another version is refused before any task, with both versions", function()
            local code = 'peer.send("HELLO", 0, peer.hello({ version = 99, program = "9.9.9" })) peer.receive()'
            peer.with_agent(code, function(path)
                local here = path .. "-here" -- the agent is a script that needs this folder
                local line = "#!/bin/sh\ncd %s && exec %s\n"
                program.write_file(here, line:format(program.quote(os.getenv("PWD")), path))
                assert(os.execute("chmod +x " .. here))
                assert_refused(plain, transport, "9.9.9", { program = here })
                assert_refused(plain, transport, "0.1.0", { program = here })
            end)
        end)

        it("S20: where something else writes to its stderr meanwhile, serves, and that is shown", function()
            with_server({ "ForceCommand (echo from behind >&2) & eval exec $SSH_ORIGINAL_COMMAND" }, function(server)
                assert_serves(server, transport)
            end)
        end)

        it("S25: behind a jump host that does not forward is refused", function()
            with_server({ "AllowTcpForwarding no" }, function(gate)
                program.with_folder(function(folder)
                    local text = "%s\nHost gate\nHostName %s\nPort %d\n" ..
                        "Host target\nHostName %s\nPort %d\nProxyJump gate\n"
                    program.write_file(folder .. "/config", text:format(program.read_file(hosts.config), gate.address,
                        gate.port, plain.address, plain.port))
                    local level = plan(plain, transport)
                    level[1].hosts = { { host = "target", config = folder .. "/config" } }
                    local err = H.failure(mf.with_plan, level, mf.workers)
                    H.has(err, "\n  target: ")
                    assert(err:find("gate", 1, true) or err:find("open failed", 1, true), err)
                end)
            end)
        end)

        it("S31: that could be mistaken for an option or a command is refused before anything is called", function()
            for _, name in ipairs({ "-oProxyCommand=touch x", "a b", "$(touch x)", "a'b" }) do
                local level = hosts:level({}, transport)
                level.hosts = { { host = name } }
                H.has(H.failure(mf.with_plan, { level }, mf.workers), "host")
            end
            assert.is_nil(io.open("x"))
        end)

        it("N26: that is not there is refused: nobody listens, nobody has that name", function()
            assert_refused({ address = "127.0.0.1", port = 1 }, transport, "refused")
            local level = plan(plain, transport)
            level[1].hosts[1] = "no-such-host.invalid"
            H.has(H.failure(mf.with_plan, level, mf.workers), "no-such-host.invalid: ")
        end)

        it("that cannot be started is done without where that is allowed", function()
            with_server({ "ForceCommand exit 3" }, function(server)
                mf.with_plan(plan(server, transport, nil, { min_workers = 1 }), function()
                    assert.equal(1, mf.workers())
                    assert.equal(49, H.value(mf.future(H.square, 7)))
                end)
            end)
        end)
    end)
end

describe("a password", function()
    setup(function()
        hosts = sshd.new()
    end)

    teardown(function()
        hosts:close()
    end)

    for name, directives in pairs({
        ["password"] = { "PasswordAuthentication yes" },
        ["keyboard-interactive"] = { "UsePAM yes", "KbdInteractiveAuthentication yes" },
    }) do
        it("is asked for at a terminal, until it is the right one: " .. name, function()
            if not terminal.there_is or not program.has("perl") or hosts.user ~= "root" then
                return -- not possible here
            end
            if program.shell("exec unshare -m true").code ~= 0 then
                return -- not allowed here
            end
            directives[#directives + 1] = "Secret open sesame"
            directives[#directives + 1] = "PubkeyAuthentication no"
            local server = hosts:start(name, directives)
            program.with_folder(function(folder)
                program.write_file(folder .. "/script.lua", ([[
                    local mf = require("moonfleet")
                    mf.plan("cluster", { hosts = { "%s" }, workers = 1, transport = "libssh2", config = "%s",
                        known_hosts = "%s", program = "%s" })
                    print("the answer: " .. mf.future(function() return 6 * 7 end):value())]]):format(name_of(server),
                    hosts.config, hosts.known_hosts, program.absolute))
                local r = terminal.drive({ folder .. "/script.lua" }, [[
                    see 'assword'
                    type_in 'open barley\n'
                    until [ "$(grep -c 'assword' "$folder/screen")" -ge 2 ]; do sleep 0.01; done
                    type_in 'open sesame\n'
                    see 'the answer: 42'
                    finish]])
                assert.equal(0, r.code, r.out .. r.err)
                assert.is_nil(r.out:find("open", 1, true), r.out)
            end)
        end)
    end
end)
