-- Clusters over SSH whose connections are damaged, cut, stalled or slow on their way: what becomes of the futures, and
-- how the host comes back. Over both transports. Each case names the row of the list of faults that it provokes.
local far = require("tests.support.far")
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local function assert_serves(n)
    for i = 1, n do
        assert.equal(i * i, H.value(mf.future({ retries = 3 }, H.square, i)))
    end
end

-- The reason for which a future is lost, which names that host.
local function loss(f, box)
    local ok, err, info = H.result(f)
    assert(not ok and f:state() == "lost" and info.kind == "lost", "the future is " .. f:state())
    H.has(tostring(err), "host " .. box.host .. " ")
    return tostring(err)
end

-- Occupies all workers and does something to a's link: what runs there is lost, for a reason with one of these words;
-- what runs on b is not; what is queued runs; a comes back when its link is good again.
local function damage(there, transport, command, words)
    there:with(transport, nil, function(a)
        program.with_folder(function(folder)
            local list = nodes.occupy(folder .. "/gate")
            local queued = mf.future(H.square, 12)
            a:say(command)
            for _, item in ipairs(list) do
                if item.host == "a" then
                    local text, found = loss(item.future, a), false
                    for _, word in ipairs(words) do
                        found = found or text:find(word, 1, true)
                    end
                    assert(found, text)
                end
            end
            a:say("pass")
            nodes.open(folder .. "/gate", list, "b")
            assert.equal(144, H.value(queued))
            nodes.wait_for("a", "b")
            assert_serves(10)
        end)
    end)
end

-- What the transports say when the server has gone, and when what has come from it is not what it sent. A length that
-- was damaged may have the one side wait for the rest of a packet, so that the heartbeat ends it.
local SILENT = "does not answer"
local CLOSED = { "closed by the other side", "closed by remote host", "Broken pipe", "reset by peer" }
local REFUSED = { SILENT, table.unpack(CLOSED) }
local DAMAGED = {
    SILENT, "libssh2 error -4", "message authentication code incorrect", "Corrupted MAC", "bad packet length",
    "padding error",
}

for _, transport in ipairs(far.transports) do
    describe("a link over SSH by " .. transport, function()
        local there

        setup(function()
            there = far.new()
        end)

        teardown(function()
            there:close()
        end)

        for _, case in ipairs({
            { "N4: that is reset", "rst down 0", { "reset by peer", "Broken pipe", "closed by remote host" } },
            { "N5: that ends in the middle of a message", "fin down 3", CLOSED },
            { "N7: that leads into a hole", "hold", { SILENT } },
            { "N12: a bit of which is changed, on its way here", "flip down 5", DAMAGED },
            { "N12: a bit of which is changed, on its way there", "flip up 5", REFUSED },
            { "N14: with bytes that are repeated", "repeat down 70", DAMAGED },
            { "N14: with bytes that do not belong there", "insert up 0", REFUSED },
        }) do
            it(case[1] .. ", loses what runs on its host, and only that; the host comes back", function()
                damage(there, transport, case[2], case[3])
            end)
        end

        it("N3: that is silent for less than the limit, loses nothing", function()
            there:with(transport, { heartbeat = 5 }, function(a)
                local list = {}
                for i = 1, 40 do
                    list[i] = mf.future(function()
                        os.execute("exec sleep 0.05")
                        return i
                    end)
                end
                H.value(list[1])
                a:say("hold")
                mf.wait(list, { timeout = 0.5 })
                a:say("pass")
                for i = 1, 40 do
                    assert.equal(i, H.value(list[i]))
                end
            end)
        end)

        it("N8: that lets one byte through at a time, is only slow", function()
            there:with(transport, { heartbeat = 5 }, function(a, b)
                a:say("trickle")
                b:say("trickle")
                local text = ("x"):rep(1000)
                local results = mf.map(mf.range(100), function(i)
                    return text .. i
                end, { chunk = 1 })
                for i = 1, 100 do
                    assert.equal(text .. i, results[i])
                end
            end)
        end)

        it("N9: that takes 100 ms there and back, is only slow", function()
            there:with(transport, { heartbeat = 5 }, function(a, b)
                a:say("delay 50")
                b:say("delay 50")
                local results = mf.map(mf.range(200), H.square)
                for i = 1, 200 do
                    assert.equal(i * i, results[i])
                end
                local text = ("y"):rep(1 << 20)
                assert.equal(text, H.value(mf.future(function()
                    return text
                end)))
            end)
        end)

        it("N2: that goes silent with much on its way, loses what runs there; the rest is run elsewhere", function()
            there:with(transport, { heartbeat = 0.3 }, function(a)
                local text, list = ("z"):rep(4 << 20), {}
                for i = 1, 16 do
                    list[i] = mf.future({ retries = 3 }, function()
                        return #text + i
                    end)
                end
                a:say("hold")
                for i = 1, 16 do
                    assert.equal(#text + i, H.value(list[i]))
                end
                a:say("pass")
                nodes.wait_for("a", "b")
            end)
        end)
    end)
end
