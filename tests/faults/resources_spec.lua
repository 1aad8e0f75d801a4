-- What happens when file descriptors, memory or threads run out, and whether anything is used up over time. Each case
-- provokes one row of the list of faults, named by its number.
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local H = require("tests.conformance.helper")

-- Futures and maps of all kinds. On success it prints "whole".
local WORK = [[
    local mf = require("moonfleet")
    mf.plan("threads", { workers = 2 })
    local list = {}
    local function say(x) print("out") return { x, ("y"):rep(x * 1000) } end
    for i = 1, 4 do list[i] = mf.future({ label = "l" .. i }, say, i) end
    local sum = mf.future(function(a, b) return a[1] + b[1] end, list[1], list[2])
    local bad = mf.future(error, { code = 1 })
    local squares = mf.map(mf.range(20), function(x) return x * x end, { chunk = 3 })
    for i = 1, 4 do list[i]:value() end
    bad:result()
    if sum:value() == 3 and squares[20] == 400 then io.stderr:write("whole\n") end]]

describe("R1: file descriptors", function()
    local limited = program.has("prlimit") and it or pending
    limited("are not needed for workers, however few there are", function()
        for limit = 4, 12, 2 do
            local r = program.with_folder(function(folder)
                program.write_file(folder .. "/s.lua", WORK)
                local command = program.command({ folder .. "/s.lua" }):gsub("^exec ", "")
                return program.shell(("exec prlimit --nofile=%d %s"):format(limit, command), { deadline = 20 })
            end)
            assert.equal(0, r.code, r.err)
            assert.equal("whole\n", r.err)
        end
    end)

    limited("that a task has used up make its own calls fail, and come back", function()
        local r = program.shell("exec prlimit --nofile=16 " .. (program.command({ "-e", [[
            local mf = require("moonfleet")
            mf.plan("threads", { workers = 1 })
            print(mf.future(function()
                local files, file, err = {}, nil, nil
                repeat
                    file, err = io.open("/dev/null")
                    files[#files + 1] = file
                until not file
                return #files > 5, err
            end):value())
            print(mf.future(function()
                collectgarbage()
                collectgarbage()
                return io.open("/dev/null") ~= nil
            end):value())]] })
            :gsub("^exec ", "")), { deadline = 20 })
        assert.equal("true\t/dev/null: Too many open files\ntrue\n", r.out, r.err)
    end)
end)

-- Sweeps over the allocations of a piece of work: the n-th and the next ones fail, for growing n, until none of them is
-- reached. What was made by then is waited for each time, and closed.
local SWEEP = [[
    local core, mf = require("moonfleet.core"), require("moonfleet")
    local width, step = tonumber(arg[1]), tonumber(arg[2])
    local add = load("local a, b = ... return a + b")
    local text, record = ("x"):rep(3000), { 1, 2, { "three" } }

    local function submit_all(keep)
        local pool, list = core.pool("threads", { workers = 2 }), {}
        keep.pool, keep.list = pool, list
        for i = 1, 2 do
            list[#list + 1] = core.submit(pool, { label = "l" }, function(...)
                print("out", i)
                return text, record, ...
            end, i)
        end
        list[#list + 1] = core.submit(pool, { timeout = 5, retries = 1, priority = 2 }, add, 1, 2)
        list[#list + 1] = core.submit(pool, nil, add, list[3], list[3])
        list[#list + 1] = core.submit(pool, nil, error, { code = 1 })
        list[#list + 1] = core.submit(pool, nil, load("error(coroutine.create(print))"))
        list[#list + 1] = core.submit(pool, nil, load("return require('moonfleet').future(load('return 1')):value()"))
        local options, code = { collect = true }, core.code(nil, add)
        local chunk = core.chunk(pool, code, options, "pairs", 1, 4, { 1, 2, {}, 4 }, { 1, 2, 3, 4 })
        list[#list + 1] = chunk
        if core.wait(list, #list, nil, 20) < #list then os.exit(9) end
        chunk:collect({}, {}, {})
        for _, f in ipairs(list) do f:result() end
    end

    local function work(keep)
        submit_all(keep)
        mf.plan({ { "threads", workers = 1 } })
        mf.map(mf.range(5), function(i) return { i } end)
        mf.plan("sequential")
        mf.value(mf.future(add, 1, 2))
    end

    local n, failed = 1, 0
    while true do
        local keep = {}
        collectgarbage()
        local order = ("malloc %d %d"):format(n, width)
        local ok = pcall(function() os.getenv(order) work(keep) end)
        local seen = tonumber(os.getenv("off"))
        if keep.list and core.wait(keep.list, #keep.list, nil, 20) < #keep.list then os.exit(10) end
        for _, f in ipairs(keep.list or {}) do pcall(f.result, f) end
        if keep.pool then keep.pool:close() end
        if ok and seen < n then break end
        failed = failed + (ok and 0 or 1)
        n = n + step
    end
    local f = core.submit(core.pool("threads", {}), nil, add, 1, 2)
    if not f:wait(20) then os.exit(11) end
    io.stderr:write(f:value(), n > 1000 and (width == 1 or failed > 10) and " swept" or " not reached", "\n")
    os.exit(0, true)]]

describe("R2: allocations", function()
    for _, width in ipairs({ 1, 10 }) do
        it(("that fail, %d in a row, are an error, never a crash or a hang"):format(width), function()
            fails.with_shim(function(shim)
                local r = program.script(SWEEP, { width, 13 }, { env = { LD_PRELOAD = shim }, deadline = 60 })
                assert.equal(0, r.code, r.err:sub(-300))
                assert.equal("3 swept\n", r.err:sub(-8))
            end)
        end)
    end

    it("that fail while the program starts, works or ends are an error too", function()
        fails.with_shim(function(shim, folder)
            program.write_file(folder .. "/work.lua", WORK)
            -- One shell runs them all: a process for each n is what takes the time.
            local r = program.shell([[
                n=1 whole=0 failed=0
                while [ $whole -lt 3 ]; do
                    LD_PRELOAD=$SHIM FAILS="malloc $n 8" timeout -k 1 20 "$PROGRAM" work.lua >out 2>err
                    code=$?
                    if [ $code -gt 1 ]; then echo "exit code $code at $n"; cat err; exit 1; fi
                    if [ $code = 1 ] && ! [ -s err ]; then echo "no message at $n"; exit 1; fi
                    if [ $code = 0 ] && [ $n -gt 3000 ] && grep -q whole err; then whole=$((whole + 1)); fi
                    [ $code = 0 ] || failed=$((failed + 1))
                    n=$((n + 31 + n / 40))
                done
                [ $failed -gt 10 ] && echo swept]], {
                folder = folder,
                deadline = 60,
                env = { SHIM = shim, PROGRAM = program.path:sub(1, 1) == "/" and program.path
                    or os.getenv("PWD") .. "/" .. program.path },
            })
            assert.equal("swept\n", r.out, r.err)
        end)
    end)
end)

describe("R7: threads that cannot be started", function()
    local function run(order, code)
        return program.with_folder(function(folder)
            local shim, why = fails.build(folder)
            if not shim then
                assert.is_true(fails.sanitized(), why)
                return nil
            end
            return program.script(code, nil, { env = { LD_PRELOAD = shim, FAILS = order }, deadline = 30 })
        end)
    end

    it("are an error when there is none", function()
        local r = run("thread 1 0", [[
            local mf = require("moonfleet")
            local f = mf.future(load("return 1"))
            local ok, err, info = f:result()
            print(ok, info.kind, tostring(err))
            print(mf.with_plan("sequential", function() return mf.future(load("return 2")):value() end))
            os.getenv("off")
            print(mf.future(load("return 3")):value())]])
        if r then
            assert.equal(0, r.code, r.err)
            assert.matches("^false\tlost\tlost: cannot start a thread: [^\n]+\n2\n3\n$", r.out)
        end
    end)

    it("leave the work to those that were started", function()
        for _, order in ipairs({ "thread 2 0", "thread 3 0", "thread 1 1", "thread 2 1" }) do
            local r = run(order, [[
                local mf = require("moonfleet")
                mf.plan("threads", { workers = 4 })
                local work = load("local x = ... for i = 1, 100000 do end return x")
                local ok, results = pcall(mf.map, mf.range(40), work, { chunk = 1 })
                print(ok and results[40] or tostring(results))
                print(mf.future({ timeout = 20 }, load("return 5")):value())]])
            if r then
                assert.equal(0, r.code, r.err)
                assert.matches("^40\n5\n$", (r.out:gsub("^[^\n]*cannot start a thread[^\n]*\n", "40\n")))
            end
        end
    end)
end)

describe("R8: workers that come and go", function()
    it("leave descriptors, threads and memory as they were, two thousand times", function()
        local r = program.script([[
            local mf = require("moonfleet")
            local function count(folder)
                os.execute("ls /proc/$PPID/" .. folder .. " >counted") -- a pipe would be counted too, or half of it
                local file <close> = io.open("counted")
                local _, n = file:read("a"):gsub("\n", "")
                return n
            end
            local function resident()
                local file <close> = io.open("/proc/self/status")
                return tonumber(file:read("a"):match("VmRSS:%s*(%d+)"))
            end
            local one = load("return 1")
            local function cycle(n)
                for i = 1, n do
                    mf.plan("threads", { workers = i % 3 + 1 })
                    mf.future(one):value()
                end
                mf.plan("sequential")
                collectgarbage()
                collectgarbage()
                mf.future(one):value()
            end
            local function settle(want)
                local stop = mf.now() + 10
                while count("task") > want and mf.now() < stop do mf.future(one):value() end
            end
            cycle(200)
            settle(2)
            local fds, threads, memory = count("fd"), count("task"), resident()
            cycle(2000)
            settle(threads)
            print(count("fd") <= fds, count("task") <= threads, resident() - memory < 20000)
            print(fds, count("fd"), threads, count("task"), memory, resident())]], nil, { deadline = 60 })
        assert.equal(0, r.code, r.err)
        H.has(r.out, fails.sanitized() and "true\ttrue\t" or "true\ttrue\ttrue\n")
    end)
end)
