-- System calls and allocations that fail, one at a time, in a program whose workers are forks: what cannot be hidden is
-- an error in words, never a crash or a hang. Each case names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local program = require("tests.support.program")

-- Futures and a map, with values that are inherited, and results in the stream and beside it. Ends with "whole", or
-- with an error.
local WORK = [[
    local mf = require("moonfleet")
    mf.plan("forks", { workers = 2, grace = 0.2 })
    local options, list, large = { retries = 3, output = "discard" }, {}, {}
    for i = 1, 5000 do large[i] = i end
    local function say(x) print("out") return { x, ("y"):rep(x * 150000) } end
    for i = 1, 4 do list[i] = mf.future(options, say, i) end
    list[5] = mf.future(options, function() return #large end)
    local sum = mf.future(options, function(a, b) return a[1] + b[1] end, list[1], list[2])
    local bad = mf.future(options, error, { code = 1 })
    local squares = mf.map(mf.range(20), function(x) return x * x end, { chunk = 3, retries = 3 })
    local last = mf.map(large, function(x) return large[x] end, { chunk = 2500, retries = 3 })
    local function value(f) assert(f:wait(30), f:state()) return f:value() end
    for i = 1, 4 do assert(#value(list[i])[2] == i * 150000) end
    assert(value(list[5]) == 5000 and value(sum) == 3)
    assert(squares.n == 20 and squares[20] == 400 and last[5000] == 5000)
    assert(bad:wait(30) and (bad:state() == "failed" or bad:state() == "lost"))
    io.stderr:write("whole\n")]]

-- Runs the work once for each number from first to last by step; in the order of the shim, N stands for the number.
-- Returns how many runs were whole, and fails unless the others ended with code 1 and an error in words.
local function sweep(shim, order, first, last, step)
    local r = program.with_folder(function(folder)
        program.write_file(folder .. "/work.lua", WORK)
        return program.shell(([[
            n=%d whole=0
            while [ $n -le %d ]; do
                timeout -k 1 60 env LD_PRELOAD=%s FAILS="%s" %s work.lua >out 2>err
                code=$?
                if [ $code = 0 ] && grep -q whole err; then
                    whole=$((whole + 1))
                elif [ $code != 1 ] || ! grep -q '^moonfleet: ..*' err; then
                    echo "number $n, exit code $code: $(cat err)"
                    exit 1
                fi
                n=$((n + %d))
            done
            echo $whole]]):format(first, last, shim, order:gsub("%f[%w]N%f[%W]", "$n"), program.quote(program.path),
            step or 1), { folder = folder, deadline = 500 })
    end)
    assert.equal(0, r.code, order .. ": " .. r.out .. r.err)
    return tonumber(r.out)
end

local EINTR, EAGAIN, ENOMEM, ECONNRESET, ENOBUFS, ENOSPC = 4, 11, 12, 104, 105, 28

describe("R3: a call that fails, where workers are forks,", function()
    it("only for now is invisible", function()
        fails.with_shim(function(shim)
            for call, errors in pairs({
                recvmsg = { EINTR, EAGAIN },
                sendmsg = { EINTR, EAGAIN, ENOBUFS },
                ppoll = { EINTR, ENOMEM },
            }) do
                for _, number in ipairs(errors) do
                    assert.equal(8, sweep(shim, ("%s N 1 %d"):format(call, number), 1, 8))
                end
            end
        end)
    end)

    it("while memory is made for large messages sends them in the stream", function()
        fails.with_shim(function(shim)
            for call, number in pairs({ memfd_create = ENOSPC, posix_fallocate = ENOSPC, pwrite = ENOSPC }) do
                assert.equal(2, sweep(shim, ("%s N 0 %d"):format(call, number), 1, 2)) -- all from the N-th on
            end
        end)
    end)

    it("for good costs a worker, and another one does its work", function()
        fails.with_shim(function(shim)
            for call, number in pairs({ recvmsg = ECONNRESET, sendmsg = ECONNRESET, read = 5, write = 5 }) do
                sweep(shim, ("%s N 1 %d"):format(call, number), 1, 12)
            end
        end)
    end)

    it("while a worker is forked is told, or hidden by the others", function()
        fails.with_shim(function(shim)
            for _, call in ipairs({ "twin", "socketpair", "pipe2", "eventfd" }) do
                sweep(shim, call .. " N 1", 1, 6)
                sweep(shim, call .. " N 0", 1, 3)
            end
        end)
    end)
end)

describe("R2: allocations that fail, where workers are forks,", function()
    it("are an error or cost no more than a future", function()
        fails.with_shim(function(shim)
            sweep(shim, "malloc N 1", 1500, 9000, 211)
            sweep(shim, "malloc N 8", 1600, 9000, 433)
        end)
    end)
end)

describe("R1: file descriptors that run out, where workers are forks,", function()
    it("are an error in words, or enough", function()
        if not program.has("prlimit") then
            return pending("no prlimit")
        end
        local whole, said = 0, 0
        for limit = 4, 40, 3 do
            local r = program.with_folder(function(folder)
                program.write_file(folder .. "/work.lua", WORK)
                local command = program.command({ folder .. "/work.lua" }):gsub("^exec ", "")
                return program.shell(("exec prlimit --nofile=%d %s"):format(limit, command), { deadline = 60 })
            end)
            if r.code == 0 and r.err == "whole\n" then
                whole = whole + 1
            else
                assert.equal(1, r.code, r.err)
                assert.matches("^moonfleet: ", r.err)
                said = said + 1
            end
        end
        assert.is_true(whole > 0 and said > 0, whole .. " " .. said)
    end)
end)
