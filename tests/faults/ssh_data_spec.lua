-- What crosses a link over SSH: large values cross once a host, both ways at once, while keys are exchanged anew; what
-- a host does not take is not kept for it. Over both transports. Each case names the row of the list of faults that it
-- provokes, if there is one.
local fails = require("tests.support.fails")
local far = require("tests.support.far")
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local MB = 1 << 20

local function resident()
    return tonumber(program.read_file("/proc/self/status"):match("VmRSS:%s+(%d+) kB"))
end

for _, transport in ipairs(far.transports) do
    describe("over SSH by " .. transport, function()
        local there

        setup(function()
            there = far.new({ "RekeyLimit 1M" })
        end)

        teardown(function()
            there:close()
        end)

        -- Each of 40 tasks on each host reads what is 4 MB; that many bytes have gone to each, and not much more.
        local function assert_crosses_once(value, task)
            there:with(transport, { heartbeat = 5 }, function(a, b)
                local list, seen = {}, {}
                for i = 1, 40 do
                    list[i] = mf.future(task, value, i)
                end
                for i = 1, 40 do
                    local n, node = H.value(list[i])
                    assert.equal(4 * MB + i, n)
                    seen[node] = true
                end
                assert.same({ a = true, b = true }, seen)
                for _, box in ipairs({ a, b }) do
                    local up = box:count()
                    assert(up > 4 * MB and up < 5 * MB, up .. " bytes have gone to a host")
                end
            end)
        end

        it("a shared value crosses once a host", function()
            assert_crosses_once(mf.share(("s"):rep(4 * MB)), function(share, i)
                os.execute("exec sleep 0.02")
                return #share:value() + i, os.getenv("NODE")
            end)
        end)

        it("a shared array crosses once a host", function()
            local array = mf.array.zeros(MB // 2)
            array:fill(8)
            assert_crosses_once(mf.share(array), function(share, i)
                os.execute("exec sleep 0.02")
                return math.tointeger(share:sum()) + i, os.getenv("NODE")
            end)
        end)

        it("what a function refers to crosses once a host", function()
            local text = ("u"):rep(4 * MB)
            there:with(transport, { heartbeat = 5 }, function(a, b)
                local results = mf.map(mf.range(40), function(i)
                    os.execute("exec sleep 0.02")
                    return #text + i
                end, { chunk = 1 })
                assert.equal(4 * MB + 40, results[40])
                for _, box in ipairs({ a, b }) do
                    local up = box:count()
                    assert(up < 5 * MB, up .. " bytes have gone to a host")
                end
            end)
        end)

        it("N25, S23: much goes both ways at once, while the server asks for new keys", function()
            there:with(transport, { heartbeat = 5 }, function(a, b)
                local text, list = ("0123456789abcdef"):rep(MB // 8), {}
                for i = 1, 12 do
                    list[i] = mf.future(function(t)
                        return t .. i
                    end, text .. i)
                end
                for i = 1, 12 do
                    assert(text .. i .. i == H.value(list[i]))
                end
                for _, box in ipairs({ a, b }) do
                    local up, down = box:count()
                    assert(up > 2 * MB and down > 2 * MB)
                end
            end)
        end)

        it("N24: what slow hosts do not take yet waits in the queue, which holds no more than it may", function()
            there:with(transport, { heartbeat = 5, queue_bytes = 4 * MB }, function(a, b)
                H.value(mf.future(H.square, 1))
                a:say("delay 100")
                b:say("delay 100")
                local before, text, list, most = resident(), ("q"):rep(MB), {}, 0
                for i = 1, 60 do
                    list[i] = mf.future(function(t)
                        return #t
                    end, text .. i)
                    collectgarbage() -- the texts themselves are no queue
                    most = math.max(most, resident() - before)
                end
                assert(most < 40 * 1024 or fails.sanitized(), most .. " KB")
                for i = 1, 60 do
                    assert.equal(MB + #tostring(i), H.value(list[i]))
                end
            end)
        end)

        it("N24: what is sent to a host that is stopped meanwhile is done elsewhere", function()
            there:with(transport, { heartbeat = 0.3 }, function()
                local pids = nodes.pids()
                nodes.signal(pids.a, "STOP")
                local text, list = ("q"):rep(MB), {}
                for i = 1, 30 do
                    list[i] = mf.future({ retries = 2 }, function(t)
                        return #t
                    end, text .. i)
                end
                for i = 1, 30 do
                    assert.equal(MB + #tostring(i), H.value(list[i]))
                end
                os.execute("kill -9 " .. pids.a)
            end)
        end)
    end)
end
