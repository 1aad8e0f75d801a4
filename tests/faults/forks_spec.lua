-- What becomes of futures, pool and processes under the plan forks when things go wrong: each case names the row of the
-- list of faults that it provokes.
local acts_builder = require("tests.support.acts")
local mf = require("moonfleet")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local folder, acts

-- A table that is inherited rather than sent.
local large = {}
for i = 1, 20000 do
    large[i] = i
end

local function stuck()
    return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40))
end

setup(function()
    local pipe = assert(io.popen("mktemp -d"))
    folder = pipe:read("l")
    pipe:close()
    acts = acts_builder.load(folder)
end)

teardown(function()
    os.execute("rm -rf " .. program.quote(folder))
end)

-- Runs a script in a program of its own; it finds the module acts.
local function script(text, options)
    options = options or {}
    options.env = options.env or {}
    options.env.LUA_CPATH = folder .. "/?.so"
    options.env.MOONFLEET_PLAN = options.env.MOONFLEET_PLAN or "forks:2,grace=0.2"
    return program.script("local mf = require('moonfleet') " .. text, nil, options)
end

local function assert_serves()
    local results = mf.map(mf.range(20), H.square, { chunk = 1 })
    assert.equal(20, results.n)
    assert.equal(400, results[20])
    assert.equal(#large, H.value(mf.future(function() return #large end)))
end

local function assert_lost(f, how)
    local ok, err, info = H.result(f)
    assert.is_false(ok)
    assert.equal("lost", f:state())
    assert.equal("lost", info.kind)
    assert.equal("lost", err.kind)
    H.has(tostring(err), how)
    H.has(tostring(err), f:worker())
end

describe("a fork that dies", function()
    local before

    before_each(function()
        before = mf.plan("forks", { workers = 2, grace = 0.2 })
    end)

    after_each(function()
        mf.plan(before)
    end)

    local signals = { SIGKILL = 9, SIGSEGV = 11, SIGABRT = 6, SIGTERM = 15 }
    if fails.sanitized() then
        signals.SIGSEGV, signals.SIGABRT = nil, nil -- sanitizers catch these and exit
    end
    for how, signal in pairs(signals) do
        it("W5-W7: loses its future with the signal's name, and no other: " .. how, function()
            local first, second = mf.future(H.square, 7), mf.future(function() return #large end)
            assert_lost(mf.future(function() acts.raise(signal) end), "killed by " .. how)
            assert_lost(mf.future(function() acts.raise(large[signal]) end), "killed by " .. how)
            assert.equal(49, H.value(first))
            assert.equal(#large, H.value(second))
            assert_serves()
        end)
    end

    it("W7: by a C stack that overflows", function()
        local f = mf.future(function()
            local deep = ("(?"):rep(190)
            local function again(s)
                return string.gsub(s, ".", function() return again(s) end)
            end
            return again(deep)
        end)
        assert.is_false((H.result(f))) -- Lua's own limit ends it: an error, not a death
        assert.equal("failed", f:state())
        assert_serves()
    end)

    it("W3, F4: by os.exit loses its future with the exit code", function()
        local exit = os.exit
        assert_lost(mf.future(function() os.exit(3) end), "exited with code 3")
        assert_lost(mf.future(function() os.exit(0) end), "exited with code 0")
        assert_lost(mf.future(function() exit(true, true) end), "exited with code 0")
        assert_lost(mf.future(function() return pcall(exit, large[7]) end), "exited with code 7")
        assert_lost(mf.future(function() coroutine.wrap(os.exit)(8) end), "exited with code 8")
        assert_serves()
    end)

    it("says what it last wrote to its stderr", function()
        local f = mf.future(function()
            os.execute("echo 'disk on fire' >&2")
            os.exit(4)
        end)
        assert_lost(f, "disk on fire")
    end)

    it("W4: while a map has nothing for it costs nothing but its replacement", function()
        local seen, pids = {}, {}
        for _, result in mf.imap(mf.range(1, 8), function(x)
            return { x + #large, acts.pid() }
        end, { chunk = 1, ahead = 1 }) do
            seen[#seen + 1] = result[1] - #large
            pids[result[2]] = true
            if #seen % 3 == 0 then
                os.execute("kill -9 " .. result[2])
                H.eventually(function() return not processes.lives(result[2]) end, "the worker to die")
            end
        end
        assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, seen)
        local workers = 0
        for _ in pairs(pids) do
            workers = workers + 1
        end
        assert.equal(3, workers)
    end)

    it("P3: is not tried again unless retries were asked for", function()
        local function once(path)
            local file = io.open(path, "a")
            file:write("x")
            file:close()
            if io.open(path):read("a") == "x" then
                os.exit(1)
            end
            return "survived"
        end
        local function once_with(path)
            return once(path) .. #large
        end
        for i, task in ipairs({ once, once_with }) do
            local marks = folder .. "/marks" .. i
            assert_lost(mf.future(task, marks), "exited with code 1")
            os.remove(marks)
            H.has(H.value(mf.future({ retries = 1 }, task, marks)), "survived")
            os.remove(marks)
        end
    end)

    it("W14: every time is given up after its retries, and the others finish", function()
        local bad = mf.future({ retries = 3 }, function() os.exit(9) end)
        local worse = mf.future({ retries = 10 }, function() os.exit(large[9]) end)
        local good = mf.map(mf.range(50), H.square, { chunk = 1 })
        assert.equal(2500, good[50])
        assert_lost(bad, "exited with code 9")
        assert_lost(worse, "exited with code 9")
    end)

    it("does not take what is queued along", function()
        local futures = {}
        for i = 1, 60 do
            futures[i] = mf.future(function(k)
                if k % 20 == 0 then
                    os.exit(5)
                end
                return k
            end, i)
        end
        for i = 1, 60 do
            if i % 20 == 0 then
                assert_lost(futures[i], "exited with code 5")
            else
                assert.equal(i, H.value(futures[i]))
            end
        end
    end)

    it("ends a map with the element's name, or its error among the others", function()
        local err = H.failure(mf.map, mf.range(20), function(x)
            if x == 13 then
                os.exit(6)
            end
            return x + #large
        end, { chunk = 1 })
        H.has(tostring(err), "exited with code 6")
        H.has(tostring(err), "element 13 of mf.map")
        local results, errors = mf.map(mf.range(20), function(x)
            if x == 13 then
                os.exit(6)
            end
            return x
        end, { chunk = 1, on_error = "collect" })
        assert.same({ 12, nil, 14 }, { results[12], results[13], results[14] })
        H.has(tostring(errors[13]), "exited with code 6")
        assert.equal(1, errors.n)
        assert_serves()
    end)

    it("W11: or stops is killed when its time is over", function()
        local f = mf.future({ timeout = 0.2 }, function() acts.raise(19) end)
        local ok, err = H.result(f)
        assert.is_false(ok)
        assert.equal("timeout", err.kind)
        assert_serves()
    end)

    it("W11: or stops is lost after three heartbeats, with its first task and later", function()
        mf.plan("forks", { workers = 2, heartbeat = 0.1 })
        assert_lost(mf.future(function() acts.raise(19) end), "does not answer")
        assert.equal(0.5, H.value(mf.future(H.busy, 0.5))) -- one that only works is not lost
        local _, errors = mf.map(mf.range(8), function(x)
            if x == 8 then
                acts.raise(19)
            end
            return H.busy(0.05)
        end, { chunk = 1, on_error = "collect" })
        assert.equal(1, errors.n)
        H.has(tostring(errors[8]), "does not answer")
        assert.equal(0.5, H.value(mf.future(H.busy, 0.5)))
        assert_serves()
    end)

    it("or stops when it is asked to leave does not keep its place", function()
        mf.plan("forks", { workers = 1, grace = 0.2 })
        local pid = H.value(mf.future(function()
            local own = acts.pid()
            os.execute(("(sleep 0.05; kill -STOP %d) >/dev/null 2>&1 &"):format(own)) -- no matter which is first
            return own
        end))
        assert_serves()
        assert.is_false(processes.lives(pid))
    end)

    it("W8: in a loop is interrupted, and killed when it does not care", function()
        for _, task in ipairs({ H.spin, H.spin_in_pcall, H.spin_in_coroutine, stuck }) do
            local _, err = H.result(mf.future({ timeout = 0.2 }, task))
            assert.equal("timeout", err.kind)
            local f = mf.future(function()
                mf.progress(0.5)
                return #large + #task()
            end)
            H.eventually(function() return f:progress() end, "the task to run")
            assert.is_true(f:cancel())
            assert.equal("cancelled", f:state())
            assert_serves()
        end
    end)

    it("W10: in one long C call is killed when it is cancelled, and its place serves at once", function()
        mf.plan("forks", { workers = 1, grace = 0.2 })
        local f = mf.future(function()
            mf.progress(0.5, tostring(acts.pid()))
            return stuck()
        end)
        H.eventually(function() return f:progress() end, "the task to run")
        local worker = math.tointeger(select(2, f:progress()))
        assert.is_true(f:cancel())
        assert_serves()
        assert.is_false(processes.lives(worker))
    end)

    it("W26: a cancel never hits the next task, and there is one outcome", function()
        mf.plan("forks", { workers = 1 })
        local counts = { done = 0, cancelled = 0 }
        for i = 1, 300 do
            local f, g = mf.future(H.square, i), mf.future(H.square, i + 1)
            if i % 3 == 0 then
                f:wait(0)
            elseif i % 3 == 1 then
                H.busy(i * 1e-6)
            end
            f:cancel()
            assert.equal((i + 1) ^ 2, H.value(g))
            assert.is_true(f:wait(H.LIMIT))
            counts[f:state()] = counts[f:state()] + 1
        end
        assert.equal(300, counts.done + counts.cancelled)
    end)
end)

describe("results of a fork", function()
    local before

    setup(function()
        before = mf.plan("forks", { workers = 2 })
    end)

    teardown(function()
        mf.plan(before)
    end)

    it("F2: may be larger than any pipe", function()
        local a, b = mf.future(function() return ("x"):rep(100000000) end),
            mf.future(function() return ("y"):rep(100000000), large end)
        local y, list = H.value(b)
        assert.equal(100000000, #y)
        assert.equal(#large, #list)
        assert.equal(("x"):rep(100), H.value(a):sub(-100))
    end)

    it("F10: are there though a process that it has left holds its descriptors open", function()
        local f = mf.future(function()
            mf.progress(0.5, tostring(acts.twin()))
            os.exit(3)
        end)
        assert_lost(f, "exited with code 3")
        local twin = math.tointeger(select(2, f:progress()))
        H.eventually(function() return not processes.lives(twin) end, "what it has left to be gone")
        assert.equal("hi\n", H.value(mf.future(function()
            local pipe = io.popen("sleep 1000 >/dev/null 2>&1 & echo hi")
            local text = pipe:read("l") .. "\n"
            return text
        end)))
        assert_serves()
    end)

    it("F11: that are random differ, and repeat after a seed", function()
        local function draw()
            return { math.random(1 << 40), math.random() }
        end
        mf.seed(5)
        local first = mf.value({ mf.future(draw), mf.future(draw) })
        local map = mf.map(mf.range(10), draw)
        mf.seed(5)
        local again = mf.value({ mf.future(draw), mf.future(draw) })
        assert.same(first, again)
        assert.same(map, mf.map(mf.range(10), draw, { chunk = 3 }))
        assert.not_equal(first[1][1], first[2][1])
        mf.seed(5)
        mf.with_plan("threads:1", function()
            assert.same(first, mf.value({ mf.future(draw), mf.future(draw) }))
        end)
    end)

    it("F11: differ too where a module has kept the library's function", function()
        program.write_file(folder .. "/acts_random.lua", "local random, seed = math.random, math.randomseed "
            .. "return { draw = function() return random(1 << 40) end, seed = seed }")
        local path = package.path
        package.path = folder .. "/?.lua;" .. path
        local module = require("acts_random")
        mf.plan("forks", { workers = 2 }) -- workers know search paths from their pool's beginning
        local function draw()
            return { module.draw(), math.random(1 << 40) }
        end
        mf.seed(6)
        local map = mf.map(mf.range(8), draw, { chunk = 1 })
        mf.seed(6)
        assert.same(map, mf.with_plan("threads:2", function()
            return mf.map(mf.range(8), draw, { chunk = 3 })
        end))
        local seen = {}
        for i = 1, 8 do
            assert.is_nil(seen[map[i][1]])
            assert.is_nil(seen[map[i][2]])
            seen[map[i][1]], seen[map[i][2]] = true, true
        end
        package.path, package.loaded.acts_random = path, nil
    end)
end)

describe("F3, W16: a fork that dies in the middle of its result", function()
    it("is lost, and there is no part of a value", function()
        local r = script([[
            local lost = 0
            for _, size in ipairs({ 1, 1000, 200000, 10000000 }) do
                local f, g = mf.future(string.rep, "x", size), mf.future({ retries = 1 }, string.rep, "y", size)
                local ok, text, info = f:result()
                if not ok then
                    assert(info.kind == "lost" and f:state() == "lost", f:state())
                    assert(tostring(text):find("killed by SIGKILL", 1, true), tostring(text))
                    lost = lost + 1
                else
                    assert(text == ("x"):rep(size))
                end
                assert(g:result() == ok) -- the second try ends in the same way
            end
            print(lost)]], { program = program.hooks, env = { MF_TEST_AGENT_CUT = 20 } })
        assert.same({ 0, "4\n" }, { r.code, r.out }, r.err)
        -- A large result takes 80 bytes of the stream: 32 show the board (area.h), the others say where it lies.
        for cut, lost in pairs({ [1] = 4, [16] = 4, [27] = 4, [40] = 3, [60] = 3, [100] = 2, [100000] = 1 }) do
            r = script("local lost = 0 for _, size in ipairs({ 1, 1000, 200000, 300000 }) do "
                .. "lost = lost + (mf.future(string.rep, 'x', size):result() and 0 or 1) end print(lost)",
                { program = program.hooks, env = { MF_TEST_AGENT_CUT = cut } })
            assert.same({ 0, lost .. "\n" }, { r.code, r.out }, r.err)
        end
    end)
end)

describe("F1: a fork that cannot be made", function()
    local function with_shim(text, options)
        local shim, reason = fails.build(folder)
        if not shim then
            return pending(reason)
        end
        local r = script(text, { env = { LD_PRELOAD = shim, MOONFLEET_PLAN = options } })
        assert.equal(0, r.code, r.err)
        return r.out
    end

    it("loses what needs it, and says why; later ones work again", function()
        local out = with_shim([[
            local large = {} for i = 1, 20000 do large[i] = i end
            os.getenv("twin 1 2")
            for _, task in ipairs({ function() return 1 end, function() return #large end }) do
                local f = mf.future(task)
                local ok, err, info = f:result()
                print(ok, info.kind, err)
            end
            print(mf.future(function() return #large end):value())
            os.getenv("twin 1 0")
            print(pcall(mf.map, { 1, 2, 3 }, function(x) return x end))
            os.getenv("off")
            print(#mf.map({ 1, 2, 3 }, function(x) return x end))]])
        local why = "cannot fork a worker: Resource temporarily unavailable"
        assert.equal(("false\tlost\tlost: %s\n"):format(why):rep(2) .. "20000\n"
            .. ("false\tlost: %s (element 1 of mf.map)\n3\n"):format(why), out)
    end)

    it("leaves the work to the others that there are", function()
        local out = with_shim([[
            local large = {} for i = 1, 20000 do large[i] = i end
            local function slow(x) local stop = mf.now() + 0.2 while mf.now() < stop do end return x end
            local first = mf.future(slow, "first")
            os.getenv("twin 1 0")
            local second = mf.future(slow, "second")
            print(first:value(), second:value(), first:worker() == second:worker())
            os.getenv("off")
            first = mf.future(slow, "first")
            os.getenv("twin 1 1")
            second = mf.future(function() return #large end) -- waits until it can have a fork of its own
            os.getenv("off")
            print(first:value(), second:value())]], "forks:3")
        assert.equal("first\tsecond\ttrue\nfirst\t20000\n", out)
    end)

    it("for want of descriptors says so, and works when there are some", function()
        if not program.has("prlimit") then
            return pending("no prlimit")
        end
        local said, whole = 0, 0
        for limit = 4, 24, 2 do
            local code = [[
                local mf = require("moonfleet")
                mf.plan("forks", { workers = 2 })
                local ok, err = pcall(function()
                    local f = mf.future(function() return 42 end)
                    return f:value() + mf.map({ 1, 2, 3 }, function(x) return x end)[3]
                end)
                print(ok and "whole" or "said: " .. tostring(err))]]
            local command = program.command({ "-e", code }):gsub("^exec ", "")
            local r = program.shell(("exec prlimit --nofile=%d %s"):format(limit, command), { deadline = 20 })
            assert.equal(0, r.code, r.err)
            assert.matches("^whole\n$", r.out:find("Too many open files", 1, true) and "whole\n" or r.out)
            said = said + (r.out:find("^said") and 1 or 0)
            whole = whole + (r.out:find("^whole") and 1 or 0)
        end
        assert.is_true(said > 0 and whole > 0)
    end)
end)

describe("F12, F13: a host that thinks all children are its own", function()
    it("may take them away: values come, and deaths are seen", function()
        local r = script([[
            local acts = require("acts")
            local start = mf.now()
            repeat -- the library may be faster than its host
                local f = mf.future(function() os.exit(3) end)
                local pid = acts.reap()
                local err = tostring(select(2, f:result()))
                assert(pid > 0 or err:find("exited with code 3") or err:find("how is unknown"), err)
                if pid > 0 then print(err) end
            until pid > 0 or mf.now() > start + 20
            local g = mf.future(function() return 7 end)
            print(g:value())
            acts.reap()
            print(#mf.map(mf.range(10), function(x) return x end, { chunk = 1 }))]])
        assert.equal(0, r.code, r.err)
        assert.matches("^lost: worker forks/%d ended, how is unknown\n7\n10\n$", r.out)
    end)

    it("may ignore SIGCHLD", function()
        local r = script([[
            local acts = require("acts")
            acts.children("ignore")
            print(mf.future(function() return 7 end):value())
            print((select(2, mf.future(function() os.exit(3) end):result())))
            print(#mf.map(mf.range(10), function(x) return x end, { chunk = 1 }))
            local f = mf.future(function() while true do end end)
            f:cancel()
            print(mf.future({ retries = 1 }, function() return 8 end):value())]])
        assert.equal(0, r.code, r.err)
        assert.matches("^7\nlost: worker forks/%d ended, how is unknown\n10\n8\n$", r.out)
    end)
end)
