-- Worker processes that do not keep to the protocol: each loses its future with words that say what was wrong, and
-- nothing else happens. Each case names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local peer = require("tests.support.peer")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local GREET = 'peer.send("HELLO", 0, peer.hello()) '

-- Runs a future on a worker that runs this code; asserts that it is lost, and returns why.
local function lost(code, options)
    local text
    peer.with(code, function(plan)
        mf.with_plan({ plan }, function()
            local f = mf.future({ output = "discard" }, math.abs, -1)
            local ok, err, info = H.result(f)
            assert.is_false(ok, code)
            assert.equal("lost", f:state())
            assert.equal("lost", info.kind)
            text = tostring(err)
        end)
    end, options)
    assert.equal(7, H.value(mf.future(math.abs, -7))) -- the program works on
    return text
end

describe("a greeting", function()
    it("N13: that is another protocol's is shown, with escapes", function()
        local text = lost([[peer.send_bytes("HTTP/1.1 400 Bad\r\n\27[31m") peer.receive()]])
        H.has(text, [[not Moonfleet's protocol; it begins with "HTTP/1.1 400 Bad\x0d\n\x1b[31m"]])
        H.has(lost([[peer.send("HELLO", 0, peer.hello({ magic = "BooF" })) peer.receive()]]),
            "not Moonfleet's protocol")
    end)

    it("N13: that never comes is an error at the end of the stream", function()
        H.has(lost("os.exit(5)"), "exited with code 5")
        H.has(lost("peer.send_bytes('MooF') os.exit(5)"), 'it begins with "MooF"')
    end)

    it("N17: of another version is refused with both versions", function()
        local text = lost('peer.send("HELLO", 0, peer.hello({ version = 99, program = "9.9.9" })) peer.receive()')
        H.has(text, "99")
        H.has(text, "9.9.9")
        H.has(text, "0.1.0")
    end)

    it("N18: of a Lua with other numbers, of another Lua or codec is refused in words", function()
        for field, value in pairs({ integer = 4, number = 4, lua = 503, codec = 77 }) do
            local text = lost(('peer.send("HELLO", 0, peer.hello({ %s = %d })) peer.receive()'):format(field, value))
            H.has(text, tostring(value == 503 and "5.3" or value))
        end
    end)

    it("N16: that does not come in time is waited for no longer", function()
        local half = "peer.send_bytes(peer.frame('HELLO', 0, peer.hello()):sub(1, 50))"
        for _, code in ipairs({ "peer.receive()", half }) do
            peer.with(code .. " while true do os.execute('sleep 1') end", function(plan)
                local r = program.run({ "-e", ([[
                    local mf = require("moonfleet")
                    mf.plan("processes", { workers = 1, program = os.getenv("AGENT") })
                    local f = mf.future(math.abs, -1)
                    assert(f:wait(%d))
                    print(select(2, f:result()))]]):format(H.LIMIT) },
                    { program = program.hooks, env = { MF_TEST_HELLO_MS = 100, AGENT = plan.program } })
                H.has(r.out, "did not say hello in time")
            end)
        end
    end)

    it("N14: that is another message, or is cut short, is refused", function()
        for _, code in ipairs({
            'peer.send("RESULT", 1, peer.result(1))',
            'peer.send("HELLO", 0, "")',
            'peer.send("HELLO", 0, peer.hello():sub(1, 50))',
            'peer.send("HELLO", 0, peer.hello() .. "x")',
            'peer.send("HELLO", 0, ("x"):rep(257))',
            'peer.send("BYE", 0, "no")',
        }) do
            H.has(lost(code .. " peer.receive()"), "worker processes/1 ")
        end
    end)
end)

describe("a message", function()
    local function refused(code)
        local text = lost(GREET .. "local id, body = peer.await('TASK') " .. code .. " while peer.receive() do end")
        assert.is_nil(text:find("exited with code", 1, true), text)
        return text
    end

    it("N14: with bytes that do not belong there ends the link", function()
        H.has(refused('peer.send_bytes("garbage that is no message") '), "unknown message kind")
        H.has(refused('peer.send(99, id, "") '), "unknown message kind 99")
        H.has(refused('peer.send("RESULT", id, peer.result(1):sub(1, 5)) '), "RESULT message was refused")
        H.has(refused('peer.send("HELLO", 0, peer.hello()) '), "HELLO message was refused")
        H.has(refused('peer.send("TASK", id, body) '), "TASK message was refused")
        H.has(refused('peer.send("OUTPUT", id, "") '), "OUTPUT message was refused")
        H.has(refused('peer.send("PROGRESS", id, "123") '), "PROGRESS message was refused")
        H.has(refused('peer.send("FETCH", id, ("x"):rep(1000)) '), "FETCH message was refused")
        H.has(refused('peer.send("RESULT", id, string.pack("<I8I8", 9, 0)) '), "RESULT message was refused")
        H.has(refused('local f = peer.frame("OUTPUT", id, "\\1x") peer.send_bytes(f .. f:sub(3)) '), "message")
    end)

    it("N15: of impossible length is refused before memory is taken for it", function()
        for _, length in ipairs({ 0, 11, 0xffffffff }) do
            local text = refused(('peer.send_bytes(string.pack("<I4BBI2I8", %d, 10, 0, 0, id)) '):format(length))
            H.has(text, "impossible length " .. length)
        end
        for _, size in ipairs({ "0", "1 << 62", "-1", "1 << 40" }) do
            H.has(refused(('peer.send("RESULT", id, string.pack("<i8i8", %s, 0), 2) '):format(size)), "shared memory")
            H.has(refused(('peer.send("RESULT", id, string.pack("<i8i8", %s, 0), 3) '):format(size)), "descriptor")
        end
    end)

    it("N16: that claims much and comes slowly takes no memory, and its sender is lost", function()
        local function resident()
            return tonumber(program.read_file("/proc/self/status"):match("VmRSS:%s+(%d+) kB"))
        end
        collectgarbage()
        local before = resident()
        local text = lost(GREET .. [[
            local id = peer.await("TASK")
            peer.send_bytes(string.pack("<I4BBI2I8", 1 << 30, 10, 0, 0, id))
            while true do
                peer.send_bytes("x")
                os.execute("sleep 0.01")
            end]], { heartbeat = 0.1 })
        H.has(text, "does not answer")
        assert.is_true(fails.sanitized() or resident() - before < 50000)
    end)

    it("N21: about a task that was never sent, or is over, is refused", function()
        for _, kind in ipairs({ "RESULT", "OUTPUT", "PROGRESS" }) do
            local body = ({ RESULT = "peer.result(1)", OUTPUT = '"\\1text"', PROGRESS = '("<d"):pack(0.5)' })[kind]
            H.has(refused(('peer.send("%s", id + 1, %s) '):format(kind, body)), kind .. " message was refused")
        end
    end)

    it("N22: that gives a second result is refused; the first one stands", function()
        peer.with(GREET .. [[
            local id = peer.await("TASK")
            peer.send("RESULT", id, peer.result("first"))
            peer.send("RESULT", id, peer.result("second"))
            peer.serve("none")]], function(plan)
            mf.with_plan({ plan }, function()
                local f = mf.future(math.abs, -1)
                assert.equal("first", H.value(f))
                local g = mf.future({ retries = 3 }, math.abs, -1) -- which another worker of the kind begins
                assert.is_true(g:wait(H.LIMIT))
                assert.equal("first", f:value())
            end)
        end)
    end)

    it("N21: may answer the tasks sent ahead only in their order", function()
        peer.with(GREET .. [[
            for i = 1, 50 do peer.send("RESULT", peer.await("TASK"), peer.result(i)) end
            local first, second = peer.await("TASK"), peer.await("TASK")
            peer.send("RESULT", second, peer.result("wrong"))
            peer.serve("never")]], function(plan)
            mf.with_plan({ plan }, function()
                for i = 1, 50 do
                    assert.equal(i, H.value(mf.future(math.abs, -i)))
                end
                local list = {}
                for i = 1, 10 do
                    list[i] = mf.future(math.abs, -i)
                end
                local states = {}
                for i = 1, 10 do
                    assert.is_true(list[i]:wait(H.LIMIT))
                    states[list[i]:state()] = true
                    assert.is_true(not (list[i]:result()) or list[i]:value() ~= "wrong")
                end
                assert.is_true(states.lost)
            end)
        end)
    end)

    it("N11: with any bit changed does no harm", function()
        peer.with([[
            local frame = peer.frame("HELLO", 0, peer.hello())
            local at = tonumber(io.open(arg[0] .. ".at"):read("a"))
            local function send(text)
                if at < #text * 8 then
                    local i = at // 8 + 1
                    text = text:sub(1, i - 1) .. string.char(text:byte(i) ~ 1 << at % 8) .. text:sub(i + 1)
                end
                at = at - #text * 8
                if at < 0 then at = 1 << 60 end
                peer.send_bytes(text)
            end
            local whole = at >= #frame * 8
            send(frame)
            if not whole then os.exit(0) end
            local id = peer.await("TASK")
            send(peer.frame("RESULT", id, peer.result({ 1, "text", { x = 2.5 } })))
            peer.await("TASK")]], function(plan)
            local at_path, states = plan.program:gsub("agent$", "peer.lua.at"), {}
            for at = 0, 200 * 8, fails.sanitized() and 31 or 7 do
                program.write_file(at_path, tostring(at))
                mf.with_plan({ plan }, function()
                    local f = mf.future({ timeout = 0.3 }, math.abs, -1)
                    assert.is_true(f:wait(H.LIMIT), "bit " .. at)
                    pcall(f.result, f)
                    states[f:state()] = (states[f:state()] or 0) + 1
                end)
            end
            assert.is_true(states.lost > 5 and states.done > 5)
        end)
        assert.equal(7, H.value(mf.future(math.abs, -7)))
    end)

    it("N23: that comes again and again starves nobody", function()
        for _, message in ipairs({
            'peer.frame("PONG", 0, "")',
            'peer.frame("OUTPUT", id, "\\1text")',
            'peer.frame("PROGRESS", id, ("<d"):pack(0.5) .. "text")',
        }) do
            peer.with(GREET .. 'local id = peer.await("TASK") local flood = (' .. message .. "):rep(1000) "
                .. "while true do peer.send_bytes(flood) end", function(plan)
                local before = mf.plan({ { "processes", workers = 1 } })
                local honest = mf.plan({ plan })
                local flood = mf.future({ output = "discard" }, math.abs, -1)
                mf.plan(honest)
                for i = 1, 50 do
                    assert.equal(i, H.value(mf.future(math.abs, -i)))
                end
                assert.is_true(flood:cancel())
                assert.equal("cancelled", flood:state())
                mf.plan(before)
            end)
        end
    end)
end)

describe("a worker", function()
    it("W17: that says why it cannot serve is tried three times, and nothing is lost for another reason", function()
        local text = lost(GREET .. 'peer.send("BYE", 0, "no licence for this host") peer.await("TASK")',
            { grace = 0.02 })
        H.has(text, "no licence for this host")
    end)

    it("W17: that could not serve once loses nothing", function()
        peer.with([[
            local mark = arg[0] .. ".mark"
            local first = not io.open(mark)
            io.open(mark, "w"):close()
            peer.send("HELLO", 0, peer.hello())
            if first then
                peer.send("BYE", 0, "not yet")
                os.exit(1)
            end
            peer.serve("served")]], function(plan)
            mf.with_plan({ plan }, function()
                local f, g = mf.future(math.abs, -1), mf.future(math.abs, -1)
                assert.equal("served", H.value(f))
                assert.equal("served", H.value(g))
            end)
        end)
    end)
end)
