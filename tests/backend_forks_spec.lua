-- The plan forks beyond what it has in common with the others (tests/conformance/): what is inherited rather than sent,
-- of which moment it is, when creation waits, and how long workers stay.
local acts_builder = require("tests.support.acts")
local core = require("moonfleet.core")
local fails = require("tests.support.fails")
local lfs = require("lfs")
local mf = require("moonfleet")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local sequence = H.sequence
local N = 20000 -- elements of a table that is inherited
local large = sequence(N)

describe("a task of the plan forks", function()
    local before

    before_each(function()
        before = mf.plan("forks", { workers = 2 })
    end)

    after_each(function()
        mf.plan(before)
    end)

    it("is a process of its own if it refers to a module, and gone when it has ended", function()
        local first, second = H.value(mf.future(processes.pid)), H.value(mf.future(processes.pid))
        assert.not_equal(first, second)
        assert.not_equal(first, processes.pid())
        processes.wait_until_gone({ first, second })
    end)

    it("has large values as they were when it was made, and changes none of the owner's", function()
        local t, text = sequence(N), ("x"):rep(100000)
        local by_capture = mf.future(function()
            t[1], t[N + 1] = "the task's", 1
            return t[2], #t, #text
        end)
        local by_argument = mf.future(function(list, s) return list[2], #list, #s end, t, text)
        some_global = t -- luacheck: ignore 111
        local by_global = mf.future(function() return some_global[2], #some_global end) -- luacheck: ignore 113
        some_global = nil -- luacheck: ignore 111
        t[2], t[N] = "changed", nil
        assert.same({ 2, N + 1, 100000 }, { H.value(by_capture) })
        assert.same({ 2, N, 100000 }, { H.value(by_argument) })
        assert.same({ 2, N }, { H.value(by_global) })
        assert.same({ 1, "changed", N - 1 }, { t[1], t[2], #t })
    end)

    it("has them too inside of what is sent, and returns copies", function()
        local record = { list = sequence(N), name = "r", text = ("y"):rep(70000) }
        record.self = record
        local back = H.value(mf.future(function() return record end))
        assert.same({ N, "r", 70000 }, { #back.list, back.name, #back.text })
        assert.equal(back, back.self)
        assert.not_equal(record.list, back.list)
        local small, shared = { 1, 2, 3 }, { large, large }
        local a, b = H.value(mf.future(function() return small, shared[1] == shared[2] and shared[1] == large end))
        assert.same({ 1, 2, 3 }, a)
        assert.is_true(b)
    end)

    it("takes its time with deep and cyclic ones like with others", function()
        local deep = {}
        for _ = 1, 5000 do
            deep = { deep }
        end
        local cycle = sequence(N)
        cycle.cycle = cycle
        local depth, same = H.value(mf.future(function()
            local n, t = 0, deep
            while t[1] do
                n, t = n + 1, t[1]
            end
            return n, cycle.cycle == cycle
        end))
        assert.same({ 5000, true }, { depth, same })
    end)

    it("inherits user values that cannot be sent, but no coroutine", function()
        program.with_folder(function(folder)
            local acts = acts_builder.load(folder)
            local object, file = acts.object(folder .. "/notes", 7), io.open(folder .. "/data", "w+")
            file:write("content")
            file:seek("set")
            assert.same({ 7, "content", 7 }, { H.value(mf.future(function(o, list)
                return object:number(), list[1]:read("a"), o:number()
            end, object, { file })) })
            file:close()
            local co = coroutine.create(print)
            local function make()
                return mf.future(function() return co end)
            end
            H.has(H.failure(make), "cannot send a coroutine (upvalue 'co' of function at ")
            H.has(H.failure(mf.future, print, { a = { co } }), "cannot send a coroutine (argument 1.a[1])")
            H.has(tostring(H.failure(mf.value, { mf.future(function() return io.tmpfile() end) })),
                "cannot send a file handle (result 1)")
            object, package.loaded.acts = nil, nil
            collectgarbage()
            collectgarbage()
        end)
    end)

    it("finds modules with the owner's state in them", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/bf_module.lua",
                "local M = { set = 1 } function M.get() return M.set end return M")
            local path = package.path
            package.path = folder .. "/?.lua;" .. path
            local module = require("bf_module")
            module.set = 2
            assert.equal(2, H.value(mf.future(module.get)))
            assert.equal(2, H.value(mf.future(function()
                local set = module.get()
                module.set = 3
                return set
            end)))
            assert.equal(2, module.set)
            package.path, package.loaded.bf_module = path, nil
        end)
    end)

    it("has modules as they are when it is made, also right behind another task", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/bf_state.lua", "return { n = 0 }")
            local path = package.path
            package.path = folder .. "/?.lua;" .. path
            local module = require("bf_state")
            function of_module() return module.n end -- luacheck: ignore 111
            local one = mf.future(function() return 1 end)
            assert.equal(1, H.value(one)) -- else its worker may get the next one from the queue
            local ways = {
                captured = function() return mf.future(function() return module.n end) end,
                required = function() return mf.future(function() return require("bf_state").n end) end,
                loaded = function() return mf.future(function() return load("return require('bf_state').n")() end) end,
                environment = function() return mf.future(function() return _G.require("bf_state").n end) end,
                debugged = function()
                    return mf.future(function() return debug.getregistry()._LOADED.bf_state.n end)
                end,
                by_global = function() return mf.future(function() return of_module() end) end, -- luacheck: ignore 113
                by_argument = function() return mf.future(function(m) return m.n end, module) end,
                by_function = function()
                    return mf.future(function(f) return f() end, of_module) -- luacheck: ignore 113
                end,
                by_future = function() return mf.future(function(_, m) return m.n end, one, module) end,
                packages = function()
                    return mf.future({ packages = { "bf_state" } }, function()
                        for name, value in pairs(_ENV.package.loaded) do
                            if name == "bf_state" then
                                return value.n
                            end
                        end
                    end)
                end,
            }
            for name, make in pairs(ways) do
                for _ = 1, 20 do
                    assert.equal(4, H.value(mf.future(H.square, 2)))
                    module.n = module.n + 1
                    assert.equal(module.n, H.value(make()), name)
                end
            end
            for _ = 1, 20 do -- and everywhere
                assert.equal(2, H.value(mf.future(math.abs, -2)))
                module.n = module.n + 1
                assert.same({ module.n, module.n, n = 2 }, mf.everywhere(function() return module.n end))
            end
            package.path, package.loaded.bf_state = path, nil
            of_module = nil -- luacheck: ignore 111
        end)
    end)

    it("is where its creator is, also right behind another task", function()
        program.with_folder(function(folder)
            for i = 1, 2 do
                assert(lfs.mkdir(folder .. "/" .. i))
                program.write_file(folder .. "/" .. i .. "/mark", tostring(i))
            end
            local function mark() return io.open("mark"):read("n") end
            local here = lfs.currentdir()
            local back <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
                assert(lfs.chdir(here))
            end })
            for i = 1, 40 do
                assert(lfs.chdir(folder .. "/" .. i % 2 + 1))
                assert.equal(i % 2 + 1, H.value(mf.future(mark)))
            end
        end)
    end)

    it("goes to the worker of another short one before it, if it refers to no module", function()
        local function number() return io.open("/proc/self/stat"):read("n") end
        local function add(x) return number() + x - x end
        local last
        H.eventually(function() -- the machine may be busy for longer than a worker stays
            last = H.value(mf.future(number))
            return H.value(mf.future(add, 1.5)) == last
        end, "two tasks in one process")
        processes.wait_until_gone({ last })
    end)

    it("leaves when another process has to take its place", function()
        mf.plan("forks", { workers = 1 })
        local function number() return io.open("/proc/self/stat"):read("n") end
        for _ = 1, 20 do
            local first, second = H.value(mf.future(number)), H.value(mf.future(processes.pid))
            assert.not_equal(first, second)
            local t = sequence(N)
            assert.equal(N, H.value(mf.future(function() return #t end)))
        end
    end)

    it("leaves no worker behind that took its time", function()
        local function number(seconds, busy)
            busy(seconds)
            return io.open("/proc/self/stat"):read("n")
        end
        local function busy(seconds)
            local stop = os.clock() + seconds
            while os.clock() < stop do end -- luacheck: ignore 542
        end
        local seen = {}
        for _ = 1, 10 do
            local worker = H.value(mf.future(number, 0.02, busy))
            assert.is_nil(seen[worker])
            seen[worker] = true
        end
    end)

    it("has the standard globals, not the owner's", function()
        own_global = "owner's" -- luacheck: ignore 111
        local found = H.value(mf.future(function()
            local env = load("return _G")()
            return { env["own_" .. "global"] or "none", env.string == string, env._G == env }
        end))
        own_global = nil -- luacheck: ignore 111
        assert.same({ "none", true, true }, found)
        assert.is_true(H.value(mf.future(function()
            return package.loaded._G.print == print and debug.getregistry()[2] ~= nil and require("math") == math
        end)))
    end)

    it("may be made in a coroutine, and awaited there", function()
        local results, ended = {}, 0
        local function work(k)
            local t = sequence(N)
            local f = mf.future(function() return k + #t end)
            local g = mf.future(H.square, k)
            coroutine.yield()
            results[k] = f:await() + g:await()
            ended = ended + 1
        end
        local threads = {}
        for k = 1, 5 do
            threads[k] = coroutine.create(work)
        end
        H.eventually(function()
            for k = 1, 5 do
                if coroutine.status(threads[k]) ~= "dead" then
                    assert(coroutine.resume(threads[k], k))
                end
            end
            return ended == 5
        end, "all coroutines to end")
        for k = 1, 5 do
            assert.equal(k + N + k * k, results[k])
        end
    end)

    it("is sent everything if it does not start now", function()
        local t = sequence(N)
        local lazy = mf.future({ lazy = true }, function() return t[1], #t end)
        local first = mf.future(H.busy, 0.1)
        local after = mf.future(function(seconds) return seconds, t[1], #t end, first)
        t[1] = "changed"
        assert.same({ 1, N }, { H.value(lazy) })
        assert.same({ 0.1, 1, N }, { H.value(after) })
        local big = mf.future(sequence, N)
        assert.equal(2 * N, H.value(mf.future(function(a, b) return #a + #b end, big, big)))
        H.value(big)
        assert.equal(2 * N, H.value(mf.future(function(a) return #a + #t end, big))) -- its arguments are there
        local file <close> = io.tmpfile()
        H.has(H.failure(mf.future, { lazy = true }, function() return file end), "cannot send a file handle")
    end)

    it("is waited for when it needs a fork of its own, and only then", function()
        mf.plan("forks", { workers = 1 })
        local first = mf.future(H.busy, 0.3)
        local queued = {}
        for i = 1, 50 do
            queued[i] = mf.future(H.square, i)
        end
        assert.is_false(first:resolved())
        local t = sequence(N)
        local f = mf.future(function() return t[1] end) -- behind all the others
        assert.is_true(first:resolved() and queued[50]:resolved())
        t[1] = "changed"
        assert.equal(1, H.value(f))
        for i = 1, 50 do
            assert.equal(i * i, H.value(queued[i]))
        end
    end)

    it("runs to its end when nobody holds its future", function()
        program.with_folder(function(folder)
            local path = folder .. "/marks"
            for i = 1, 6 do
                mf.future(function()
                    local file = io.open(path, "a")
                    file:write(#large, " ", i, "\n")
                    file:close()
                end)
                collectgarbage()
            end
            H.eventually(function()
                mf.future(H.square, 1):wait(0)
                local n = 0
                for _ in io.lines(path) do
                    n = n + 1
                end
                return n == 6
            end, "all tasks to run")
        end)
    end)

    it("goes first when it has the higher priority, whatever it needs", function()
        mf.plan("forks", { workers = 1 })
        program.with_folder(function(folder)
            local path = folder .. "/order"
            local function mark(text)
                local file = io.open(path, "a")
                file:write(text)
                file:close()
            end
            local gate = mf.future(H.busy, 0.1)
            local list = { mf.future(mark, "b"), mf.future({ priority = 1 }, mark, "a"), mf.future(mark, "c") }
            mf.value(list)
            H.value(gate)
            assert.equal("abc", program.read_file(path))
        end)
    end)
end)

describe("forks and", function()
    local before

    before_each(function()
        before = mf.plan("forks", { workers = 2 })
    end)

    after_each(function()
        mf.plan(before)
    end)

    -- A sanitizer's allocator may stay locked for ever in a fork of a process with threads.
    local beside_threads = fails.sanitized() and pending or it

    beside_threads("threads and processes make forks of each other", function()
        local function inner()
            local m = require("moonfleet")
            local t = {}
            for i = 1, 20000 do
                t[i] = i
            end
            local f = m.future(function() return #t end)
            local mapped = m.map(t, function(x) return x + #t end)
            return m.plan().name, f:value(), mapped[20000]
        end
        for _, outer in ipairs({ "threads:2", "forks:2", "processes:2", "sequential" }) do
            for _, below in ipairs({ "threads:2", "forks:2", "processes:1" }) do
                mf.with_plan({ outer, below }, function()
                    local list = { mf.future(inner), mf.future(inner), mf.future(inner) }
                    for _, f in ipairs(list) do
                        assert.same({ below:match("%a+"), N, 2 * N }, { H.value(f) })
                    end
                    assert.equal(N, mf.map({ 1, 2 }, function() return select(2, inner()) end)[2])
                end)
            end
        end
    end)

    it("exports and calls everywhere reach every fork", function()
        mf.export({ exported = 5, list = { 1, 2, 3 } })
        local calls = mf.everywhere(function(value)
            string.marked = value -- luacheck: ignore 142 143
            return value + exported -- luacheck: ignore 113
        end, 17)
        assert.same({ 22, 22, n = 2 }, calls)
        for i = 1, 3 do
            assert.same({ 5, 3, 17 }, { H.value(mf.future(function()
                return exported, #list, string.marked -- luacheck: ignore 113 143
            end)) })
            local function add(x) return x + #large + 0 * exported end -- luacheck: ignore 113
            assert.equal(N + i, mf.map({ i }, add)[1])
        end
        assert.is_nil(string.marked) -- luacheck: ignore 143
    end)

    it("changes of the search path reach them, too", function()
        program.with_folder(function(folder)
            H.value(mf.future(H.square, 1))
            program.write_file(folder .. "/bf_late.lua", "return 'late'")
            local path = package.path
            package.path = folder .. "/?.lua;" .. path
            assert.equal("late", H.value(mf.future(function() return require("bf_late") end)))
            package.path = path
            assert.equal(25, H.value(mf.future(H.square, 5)))
        end)
    end)

    it("clusters have workers that stay, and are sent everything", function()
        local cluster <close> = mf.cluster({ backend = "forks", workers = 2 })
        local first = cluster:call(processes.pid)
        assert.not_equal(first[1], first[2])
        assert.same(first, cluster:call(processes.pid))
        cluster:call(load("count = 0")) -- the functions of this file have globals of their own
        cluster:call(load("count = count + 1"))
        cluster:export({ exported = 3 })
        assert.same({ 4, 4, n = 2 }, cluster:call(load("return count + exported")))
        assert.equal(N + 3, cluster:map({ 1, 2, 3 }, function(x) return x + #large end)[3])
        assert.same(first, cluster:call(processes.pid))
        H.has(H.failure(cluster.call, cluster, function(f) return f end, io.stdout), "cannot send a file handle")
        os.execute("kill -9 " .. first[1])
        processes.wait_until_gone({ first[1] })
        local second = cluster:call(processes.pid)
        assert.is_true(second[1] ~= first[1] and second[2] == first[2])
    end)

    it("plans that change keep what was promised", function()
        local list = {}
        for i = 1, 30 do
            if i % 10 == 1 then
                mf.plan("forks", { workers = i % 4 + 1 })
            end
            list[i] = mf.future(function() return i + #large end)
            list[30 + i] = mf.future(H.square, i)
        end
        mf.plan("threads", { workers = 1 })
        for i = 1, 30 do
            assert.equal(i + N, H.value(list[i]))
            assert.equal(i * i, H.value(list[30 + i]))
        end
    end)

    it("pools count their workers", function()
        local pool = core.pool("forks", { workers = 2 })
        local f, g = core.submit(pool, nil, H.busy, 0.2), core.submit(pool, nil, H.busy, 0.2)
        core.submit(pool, nil, H.square, 3)
        local queued, _, alive = pool:counts()
        assert.same({ 1, 2 }, { queued, alive })
        H.value(f)
        H.value(g)
        H.eventually(function()
            core.submit(pool, nil, H.square, 1):wait(0.01)
            return select(3, pool:counts()) <= 1
        end, "workers to leave")
        pool:close()
        assert.is_false((pcall(core.submit, pool, nil, H.square, 1)))
    end)
end)
