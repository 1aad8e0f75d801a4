-- System calls that fail under the master and under its worker processes, one at a time: what cannot be hidden is an
-- error in words, never a crash or a hang. Each case names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

-- Futures and a map, with results in the stream and beside it. Ends with "whole", or with an error.
local WORK = [[
    local mf = require("moonfleet")
    mf.plan("processes", { workers = 2 })
    local options, list = { retries = 3, output = "discard" }, {}
    local function say(x) print("out") return { x, ("y"):rep(x * 150000) } end
    for i = 1, 4 do list[i] = mf.future(options, say, i) end
    local sum = mf.future(options, function(a, b) return a[1] + b[1] end, list[1], list[2])
    local bad = mf.future(options, error, { code = 1 })
    local squares = mf.map(mf.range(20), function(x) return x * x end, { chunk = 3, retries = 3 })
    local function value(f) assert(f:wait(30), f:state()) return f:value() end
    for i = 1, 4 do assert(#value(list[i])[2] == i * 150000) end
    assert(value(sum) == 3 and squares.n == 20 and squares[20] == 400)
    assert(bad:wait(30) and (bad:state() == "failed" or bad:state() == "lost"))
    io.stderr:write("whole\n")]]

-- Runs the work once for each number from first to last, under the command prefix, in which N stands for the number.
-- Returns how many runs were whole, and fails unless the others ended with code 1 and an error in words.
local function sweep(prefix, first, last)
    local r = program.with_folder(function(folder)
        program.write_file(folder .. "/work.lua", WORK)
        return program.shell(([[
            n=%d whole=0
            while [ $n -le %d ]; do
                timeout -k 1 60 %s %s work.lua >out 2>err
                code=$?
                if [ $code = 0 ] && grep -q whole err; then
                    whole=$((whole + 1))
                elif [ $code != 1 ] || ! grep -q '^moonfleet: ..*: ' err; then
                    echo "number $n, exit code $code: $(cat err)"
                    exit 1
                fi
                n=$((n + 1))
            done
            echo $whole]]):format(first, last, prefix:gsub("%f[%w]N%f[%W]", "$n"), program.quote(program.path)),
            { folder = folder, deadline = 500 })
    end)
    assert.equal(0, r.code, r.out .. r.err)
    return tonumber(r.out)
end

describe("R3: a call that fails", function()
    local function under(shim, order)
        return ('env LD_PRELOAD=%s FAILS="%s"'):format(shim, order)
    end

    local EINTR, EAGAIN, ENOMEM, ECONNRESET, ENOBUFS, ENOSPC = 4, 11, 12, 104, 105, 28

    it("only for now is invisible", function()
        fails.with_shim(function(shim)
            local cases = {
                recvmsg = { EINTR, EAGAIN },
                sendmsg = { EINTR, EAGAIN, ENOBUFS },
                ppoll = { EINTR, ENOMEM },
            }
            for call, errors in pairs(cases) do
                for _, number in ipairs(errors) do
                    local order = ("%s N 1 %d"):format(call, number)
                    assert.equal(15, sweep(under(shim, order), 1, 15), order)
                end
            end
        end)
    end)

    it("while memory is made for large messages sends them in the stream", function()
        fails.with_shim(function(shim)
            for call, number in pairs({ memfd_create = ENOSPC, posix_fallocate = ENOSPC, pwrite = ENOSPC }) do
                local order = ("%s N 0 %d"):format(call, number) -- all from the N-th on
                assert.equal(4, sweep(under(shim, order), 1, 4), order)
            end
        end)
    end)

    it("for good costs a worker, and another one does its work", function()
        fails.with_shim(function(shim)
            local cases = { recvmsg = ECONNRESET, sendmsg = ECONNRESET, read = 5, write = 5, mmap = ENOMEM }
            for call, number in pairs(cases) do
                local order = ("%s N 1 %d"):format(call, number)
                local whole = sweep(under(shim, order), 1, 20)
                assert.is_true(whole >= 12, order .. ": " .. whole) -- the first few fail in every worker
            end
        end)
    end)

    it("while a worker is started says so", function()
        fails.with_shim(function(shim)
            local try = [[
                local mf = require("moonfleet")
                local f = mf.future(math.abs, -1)
                assert(f:wait(30))
                local ok, err, info = f:result()
                print(ok, f:state(), info.kind, tostring(err))
                os.getenv("off") -- for the shim: from now on no call fails
                print(pcall(function() return mf.future(math.abs, -2):value() end))]]
            for call, words in pairs({
                fork = "fork: Resource temporarily unavailable",
                socketpair = "socketpair: Too many open files",
                pipe2 = "pipe: Too many open files",
                eventfd = "cannot make the event loop's descriptor: Too many open files",
            }) do
                local order = ("os.getenv('%s 1 0') "):format(call) -- here, since other programs start this one
                local r = program.run({ "--plan", "processes:2", "-e", order .. try }, { env = { LD_PRELOAD = shim } })
                assert.equal(0, r.code, r.err)
                assert.matches("^false\tlost\tlost\tlost: ", r.out)
                H.has(r.out, words)
                assert.matches("\ntrue\t2\n$", r.out)
            end
        end)
    end)

    it("while a further worker is started leaves the work to the others", function()
        fails.with_shim(function(shim)
            for _, order in ipairs({ "fork 2 0", "socketpair 2 0", "pipe2 3 0", "fork 2 1" }) do
                assert.equal(1, sweep(under(shim, order), 1, 1), order)
            end
        end)
    end)

    it("N28: with a signal every millisecond is invisible", function()
        fails.with_shim(function(shim)
            assert.equal(5, sweep(under(shim, "alarm 1000 0"), 1, 5))
        end)
    end)

    it("W25: nothing, but the clock on the wall jumps: no false time limits", function()
        fails.with_shim(function(shim)
            for _, plan in ipairs({ "processes:2", "threads:2" }) do
                local r = program.run({ "--plan", plan, "-e", [[
                    local mf = require("moonfleet")
                    assert(math.abs(os.time() - os.time()) > 3600, "the clock does not jump")
                    local function busy(seconds)
                        local now = require("moonfleet").now
                        local stop = now() + seconds
                        while now() < stop do end
                        return seconds
                    end
                    local list = {}
                    for i = 1, 6 do list[i] = mf.future({ timeout = 60 }, busy, 0.05) end
                    for i = 1, 6 do assert(list[i]:wait(60)) assert(list[i]:value(60) == 0.05) end
                    local slow = mf.future({ timeout = 0.2 }, function() while true do end end)
                    assert(not slow:wait(0.01))
                    assert(slow:wait(60))
                    print(select(3, slow:result()).kind)]] },
                    { env = { LD_PRELOAD = shim, FAILS = "clock 0 0" } })
                assert.equal("timeout\n", r.out, r.err)
            end
        end)
    end)
end)

describe("R1: file descriptors", function()
    local limited = program.has("prlimit") and it or pending

    limited("that are too few for workers are an error, and enough of them do", function()
        local whole = sweep("prlimit --nofile=N", 4, 33)
        assert.is_true(whole >= 10, whole)
    end)

    limited("that a task has used up are its own trouble", function()
        local r = program.shell("exec prlimit --nofile=24 " .. program.command({ "--plan", "processes:1", "-e", [[
            local mf = require("moonfleet")
            local function pid() return io.open("/proc/self/stat"):read("a"):match("^%d+") end
            local function use_up()
                local files, file, err = {}, nil, nil
                repeat
                    file, err = io.open("/dev/null")
                    files[#files + 1] = file
                until not file
                return #files > 5, err, ("x"):rep(1000000)
            end
            local worker = mf.future(pid):value()
            local some, err, text = mf.future(use_up):value()
            print(some, err, #text)
            mf.future(collectgarbage):value()
            mf.future(collectgarbage):value()
            print(mf.future(function() return io.open("/dev/null") ~= nil end):value())
            print(mf.future(pid):value() == worker)]] }):gsub("^exec ", ""), { deadline = 30 })
        assert.equal("true\t/dev/null: Too many open files\t1000000\ntrue\ntrue\n", r.out, r.err)
    end)
end)

describe("R9: an environment without TMPDIR and HOME", function()
    it("is enough", function()
        for _, words in ipairs({ "env -i", "env -i TMPDIR=/nowhere HOME=/nowhere" }) do
            assert.equal(1, sweep(words, 1, 1))
        end
    end)
end)
