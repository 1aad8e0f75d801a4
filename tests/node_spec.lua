-- What nodes do for their tasks, with workers that are threads and workers that are processes: output, progress,
-- modules, folder and environment, plans of their own, large and many values.
local core = require("moonfleet.core")
local fails = require("tests.support.fails")
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

-- A script that begins with a plan of hosts a and b; options are Lua text.
local function with_plan(options, text)
    return ([[
        local mf = require("moonfleet")
        mf.plan("cluster", { hosts = { { "a", env = { NODE = "a" } }, { "b", env = { NODE = "b" } } },
            transport = "local", workers = 2, %s })
        ]]):format(options) .. text
end

local function resident(pid, what)
    return tonumber(program.read_file(("/proc/%s/status"):format(pid)):match(what .. ":%s+(%d+) kB"))
end

for _, kind in ipairs({ "threads", "processes" }) do
    local isolate = kind == "processes"
    local options = "isolate = " .. tostring(isolate)
    local plan = { workers = 2, isolate = isolate }

    describe("output of a node of " .. kind, function()
        it("is relayed in the order of the futures", function()
            local r = program.script(with_plan(options, [[
                local list = {}
                for i = 1, 40 do
                    list[i] = mf.future(function()
                        os.execute("exec sleep 0.0" .. i % 3)
                        io.write("<", i, ">")
                        io.stderr:write("(", i, ")")
                    end)
                end
                for i = 1, 40 do list[i]:value() end]]))
            local out, err = {}, {}
            for i = 1, 40 do
                out[i], err[i] = ("<%d>"):format(i), ("(%d)"):format(i)
            end
            assert.equal(table.concat(out), r.out)
            assert.equal(table.concat(err), r.err)
        end)

        it("is live where that was asked for, with the worker's name", function()
            program.with_folder(function(folder)
                program.write_file(folder .. "/script.lua", with_plan(options, [[
                    mf.future({ output = "live" }, function(folder)
                        print("first")
                        while not io.open(folder .. "/gate") do os.execute("exec sleep 0.01") end
                        print("last")
                    end, arg[1]):value()]]))
                local r = program.shell(([[
                    FOLDER=%s
                    %s $FOLDER/script.lua $FOLDER >$FOLDER/out &
                    until grep -q first $FOLDER/out; do sleep 0.01; done
                    >$FOLDER/gate
                    wait
                    cat $FOLDER/out]]):format(program.quote(folder), program.quote(program.absolute)))
                assert.matches("^%[cluster/%d%] first\n%[cluster/%d%] last\n$", r.out)
            end)
        end)

        it("of a program that a task has started is shown with the host's name", function()
            local r = program.script(with_plan(options, [[
                mf.future(function() os.execute("echo to stderr >&2; echo to stdout") end):value()
                mf.future(function() os.execute("exec sleep 0.2") end):value()]]))
            assert.matches("%[[ab]%] [^\n]*to stderr\n", r.err)
            assert.matches("%[[ab]%] [^\n]*to stdout\n", r.err)
            assert.equal("", r.out)
        end)

        it("W19: may be 100 MB, which its node does not keep", function()
            nodes.with({ "a" }, plan, function()
                local f = mf.future({ output = "discard" }, function()
                    local text = ("x"):rep(99) .. "\n"
                    for _ = 1, 1000000 do
                        io.write(text)
                    end
                    return processes.pid(), io.open("/proc/self/stat"):read("a"):match("^%d+ %(.*%) %a (%d+)")
                end)
                local own, parent = H.value(f)
                local node = isolate and parent or own
                assert.is_true(fails.sanitized() or resident(node, "VmHWM") < 60000, resident(node, "VmHWM"))
                assert.is_true(fails.sanitized() or resident(own, "VmHWM") < 60000, resident(own, "VmHWM"))
            end)
        end)

        it("W19: waits when its master does not read, and so do the tasks that print", function()
            program.with_folder(function(folder)
                local text = [[
                    local folder = arg[1]
                    local pids = mf.map({ 1, 2, 3, 4 }, function()
                        os.execute("exec sleep 0.05")
                        local stat = io.open("/proc/self/stat"):read("a")
                        return stat:match(ISOLATE and "^%d+ %(.*%) %a (%d+)" or "^%d+")
                    end, { chunk = 1 })
                    local list = {}
                    for i = 1, 4 do
                        list[i] = mf.future({ output = "discard" }, function()
                            local text = ("x"):rep(999) .. "\n"
                            for k = 1, 50000 do
                                io.write(text)
                                if k == 100 then io.open(folder .. "/begun" .. i, "w"):close() end
                            end
                            return i
                        end)
                    end
                    local out = io.open(folder .. "/pids", "w")
                    out:write(io.open("/proc/self/stat"):read("a"):match("^%d+"), " ", table.concat(pids, " "))
                    out:close()
                    for i = 1, 4 do list[i]:value() end
                    print("done")]]
                text = text:gsub("ISOLATE", tostring(isolate))
                program.write_file(folder .. "/script.lua", with_plan(options, text))
                local r = program.shell(([[
                    FOLDER=%s
                    %s $FOLDER/script.lua $FOLDER >$FOLDER/out &
                    until [ -s $FOLDER/pids ] && [ -e $FOLDER/begun1 ]; do sleep 0.01; done
                    read master nodes <$FOLDER/pids
                    kill -STOP $master
                    sleep 1
                    for pid in $nodes; do grep VmHWM /proc/$pid/status; done
                    kill -CONT $master
                    wait
                    cat $FOLDER/out]]):format(program.quote(folder), program.quote(program.absolute)))
                assert.matches("done\n$", r.out)
                local n = 0
                for kb in r.out:gmatch("VmHWM:%s+(%d+) kB") do
                    n = n + 1
                    assert.is_true(fails.sanitized() or tonumber(kb) < 60000, kb)
                end
                assert.equal(4, n)
            end)
        end)
    end)

    describe("progress on a node of " .. kind, function()
        it("is that of the task that reports it", function()
            nodes.with({ "a", "b" }, plan, function()
                program.with_folder(function(folder)
                    local list = {}
                    for i = 1, 4 do
                        list[i] = mf.future(function()
                            mf.progress(i / 10, "task " .. i)
                            while not io.open(folder .. "/gate") do
                                os.execute("exec sleep 0.01")
                            end
                        end)
                    end
                    for i = 1, 4 do
                        H.eventually(function()
                            list[i]:wait(0.001)
                            return list[i]:progress()
                        end, "progress")
                        assert.same({ i / 10, "task " .. i }, { list[i]:progress() })
                    end
                    program.write_file(folder .. "/gate", "")
                    for i = 1, 4 do
                        H.value(list[i])
                    end
                end)
            end)
        end)
    end)

    describe("a module that a node of " .. kind .. " lacks", function()
        -- Runs code in a program whose package.path leads from its own folder, where its nodes are not.
        local function with_modules(files, text)
            return program.with_folder(function(folder)
                assert(os.execute(("mkdir %s/far %s/near"):format(folder, folder)))
                for name, content in pairs(files) do
                    program.write_file(folder .. "/far/" .. name, content)
                end
                program.write_file(folder .. "/script.lua", 'package.path = "./far/?.lua"\n'
                    .. with_plan(options .. (", dir = %q"):format(folder .. "/near"), text))
                return program.run({ "script.lua" }, { folder = folder, program = program.absolute })
            end)
        end

        it("comes from the master, once asked for, by all its workers", function()
            local one = "local name = ... return { answer = function() return 42, name end }"
            local r = with_modules({ ["one.lua"] = one }, [[
                for i = 1, 12 do
                    local list = {}
                    for k = 1, 4 do list[k] = mf.future(function() return require("one").answer() end) end
                    for k = 1, 4 do io.write((list[k]:value()), " ") end
                end
                print(mf.future(function() return select(2, require("one").answer()) end):value())]])
            assert.equal(("42 "):rep(48) .. "one\n", r.out, r.err)
        end)

        it("comes with what it requires itself, and when it is required in a plan's later path", function()
            local r = with_modules({ ["one.lua"] = "return require('two') + 1", ["two.lua"] = "return 1",
                ["three.txt"] = "return 3" }, [[
                print((mf.future(function() return require("one") end):value()))
                package.path = "./far/?.txt"
                print((mf.future(function() return require("three") end):value()))]])
            assert.equal("2\n3\n", r.out, r.err)
        end)

        it("and nobody has is an error that says where was looked", function()
            local r = with_modules({}, [[print(pcall(mf.future(require, "nowhere.at_all").value,
                mf.future(require, "nowhere.at_all")))]])
            H.has(r.out, "module 'nowhere.at_all' not found")
        end)

        it("and that cannot be loaded is an error that names its file", function()
            local r = with_modules({ ["bad.lua"] = "return return", ["raises.lua"] = "error('at load')" }, [[
                print(mf.future(require, "bad"):result())
                print(mf.future(require, "raises"):result())
                print(mf.future(math.abs, -1):value())]])
            H.has(r.out, "./far/bad.lua:1: ")
            H.has(r.out, "./far/raises.lua:1: at load")
            H.has(r.out, "\n1\n")
        end)

        it("is asked for by many workers at once, while tasks are cancelled and die", function()
            local large = "return #'" .. ("x"):rep(300000) .. "'"
            local text = [[
                local list = {}
                for i = 1, 60 do
                    list[i] = mf.future({ retries = 9 }, function()
                        if i % 10 == 0 and ISOLATE and not io.open("mark" .. i) then
                            io.open("mark" .. i, "w"):close()
                            os.execute("(sleep 0.00" .. i // 10 .. "; kill -9 $PPID) &")
                        end
                        package.loaded.one, package.loaded.large = nil, nil
                        return require("one") + require("large")
                    end)
                    if i % 7 == 0 then list[i]:cancel() end
                end
                for i = 1, 60 do
                    assert(list[i]:wait(20), list[i]:state())
                    assert(list[i]:state() == "cancelled" or list[i]:value() == 300001)
                end
                print("all")]]
            local r = with_modules({ ["one.lua"] = "return 1", ["large.lua"] = large },
                (text:gsub("ISOLATE", tostring(isolate))))
            assert.equal("all\n", r.out, r.err)
        end)
    end)

    describe("folder and environment of a node of " .. kind, function()
        it("are those that its host was given", function()
            program.with_folder(function(folder)
                local real = io.popen("cd " .. program.quote(folder) .. " && pwd -P"):read("l")
                local host = { host = "a", dir = folder, env = { MINE = "of a\n=x", EMPTY = "" } }
                nodes.with({ host, "b" }, plan, function()
                    local seen = {}
                    for i = 1, 12 do
                        seen[i] = mf.future(function()
                            os.execute("exec sleep 0.01")
                            local where = io.popen("pwd -P"):read("l")
                            return os.getenv("NODE"), where, os.getenv("MINE"), os.getenv("EMPTY")
                        end)
                    end
                    local hosts = {}
                    for i = 1, 12 do
                        local name, dir, mine, empty = H.value(seen[i])
                        hosts[name] = true
                        if name == "a" then
                            assert.same({ real, "of a\n=x", "" }, { dir, mine, empty })
                        else
                            assert.not_equal(real, dir)
                            assert.same({}, { mine, empty })
                        end
                    end
                    assert.same({ a = true, b = true }, hosts)
                end)
            end)
        end)
    end)

    describe("a plan within a plan of nodes of " .. kind, function()
        local function sum_of_squares(n)
            local sum = 0
            for _, x in ipairs(mf.map(mf.range(n), H.square, { chunk = 1 })) do
                sum = sum + x
            end
            return sum, tostring(mf.plan()), mf.workers()
        end

        local levels = {
            threads = { { "threads", workers = 3 }, "threads:3", 3 },
            processes = { { "processes", workers = 2 }, "processes:2", 2 },
            cluster = { { "cluster", hosts = { "x", "y" }, transport = "local", workers = 1 },
                "cluster:1,hosts=x+y,transport=local", 2 },
        }
        for name, case in pairs(levels) do
            it("works: " .. name, function()
                mf.with_plan({ nodes.plan({ "a", "b" }, plan), case[1] }, function()
                    local list = {}
                    for i = 1, 6 do
                        list[i] = mf.future(sum_of_squares, 10)
                    end
                    for i = 1, 6 do
                        assert.same({ 385, case[2], case[3] }, { H.value(list[i]) })
                    end
                end)
            end)
        end

        it("past the last level is sequential", function()
            nodes.with({ "a" }, plan, function()
                assert.same({ 385, "sequential", 1 }, { H.value(mf.future(sum_of_squares, 10)) })
            end)
        end)

        it("may be such a plan in a worker of this machine", function()
            mf.with_plan({ { "threads", workers = 1 }, nodes.plan({ "a", "b" }, plan) }, function()
                local sum, _, workers = H.value(mf.future(sum_of_squares, 10))
                assert.same({ 385, 4 }, { sum, workers })
            end)
        end)
    end)

    describe("values of a node of " .. kind, function()
        it("may be 64 MB, both ways, as argument, upvalue and dependency", function()
            nodes.with({ "a", "b" }, plan, function()
                local text = ("0123456789abcdef"):rep(4 << 20)
                local f = mf.future(function(t)
                    return t .. "!"
                end, text)
                local g = mf.future(function(t)
                    return #t, #text, t:sub(-2)
                end, f)
                assert.same({ #text + 1, #text, "f!" }, { H.value(g) })
                assert.is_true(H.value(f) == text .. "!")
            end)
        end)

        it("may be many: 20,000 futures", function()
            nodes.with({ "a", "b" }, plan, function()
                local list, n = {}, fails.sanitized() and 3000 or 20000
                for i = 1, n do
                    list[i] = mf.future(H.square, i)
                end
                for i = 1, n do
                    if H.value(list[i]) ~= i * i then
                        error("wrong result of future " .. i)
                    end
                end
            end)
        end)

        it("of a map come in their order", function()
            nodes.with({ "a", "b" }, plan, function()
                local results = mf.map(mf.range(5000), H.square)
                for i = 1, 5000 do
                    assert(results[i] == i * i)
                end
            end)
        end)
    end)
end

describe("a failure on a node", function()
    it("says which node it was, and so does the program's message", function()
        nodes.with({ "a", "b" }, { workers = 1 }, function()
            program.with_folder(function(folder)
                for _, item in ipairs(nodes.occupy(folder .. "/gate", { timeout = 0.2 })) do
                    local ok, _, info = H.result(item.future)
                    assert.is_false(ok)
                    assert.same({ "timeout", item.host }, { info.kind, info.node })
                end
            end)
            local list, seen = {}, {}
            for i = 1, 20 do
                list[i] = mf.future(function()
                    os.execute("exec sleep 0.01")
                    error(os.getenv("NODE"), 0)
                end)
            end
            for i = 1, 20 do
                local _, err, info = H.result(list[i])
                assert.equal(err, info.node)
                seen[err] = true
            end
            assert.same({ a = true, b = true }, seen)
        end)
        local r = program.script(with_plan("", "mf.future({ label = 'fit' }, function() error('x') end):value()"))
        assert.matches("remote traceback %(worker cluster/%d on [ab], 'fit'%):", r.err)
        local _, _, info = H.result(mf.future(error, "here"))
        assert.is_nil(info.node)
    end)
end)

describe("a node whose workers do not take the same time", function()
    it("does not let the others wait for the slowest", function()
        nodes.with({ "a" }, { workers = 3 }, function()
            program.with_folder(function(folder)
                local long = mf.future(function()
                    while not io.open(folder .. "/gate") do
                        os.execute("exec sleep 0.01")
                    end
                end)
                for i = 1, 300 do
                    assert.equal(i * i, H.value(mf.future(H.square, i)))
                end
                local list = {}
                for i = 1, 3000 do
                    list[i] = mf.future(H.square, i)
                end
                for i = 1, 3000 do
                    assert.equal(i * i, H.value(list[i]))
                end
                assert.is_false(long:resolved())
                program.write_file(folder .. "/gate", "")
                H.value(long)
            end)
        end)
    end)

    it("does not let others wait behind a task for a busy worker", function()
        nodes.with({ "a" }, { workers = 2, isolate = true }, function()
            program.with_folder(function(folder)
                local pool, pinned = require("moonfleet.plan").current().pool, {}
                local long = nodes.occupy(folder .. "/gate", nil, 1)[1].future
                for worker = 1, 2 do -- one of them is busy
                    pinned[worker] = core.submit(pool, { worker = worker }, H.square, worker)
                    pinned[worker + 2] = core.submit(pool, { worker = worker }, H.square, worker + 2)
                end
                for i = 1, 200 do
                    assert.equal(i * i, H.value(mf.future(H.square, i)))
                end
                H.eventually(function()
                    return pinned[1]:resolved() and pinned[3]:resolved()
                        or pinned[2]:resolved() and pinned[4]:resolved()
                end, "the tasks for the idle worker to be done")
                local busy = pinned[1]:resolved() and 2 or 1
                assert.is_false(long:resolved() or pinned[busy]:resolved() or pinned[busy + 2]:resolved())
                pinned[busy]:cancel()
                program.write_file(folder .. "/gate", "x")
                assert.equal("x", H.value(long))
                assert.equal((busy + 2) ^ 2, H.value(pinned[busy + 2]))
            end)
        end)
    end)

    it("gives back what stands behind a long task when another node has nothing to do", function()
        nodes.with({ "a", "b" }, { workers = 1 }, function()
            mf.map(mf.range(2000), H.square, { chunk = 1 }) -- now tasks are known to be short
            program.with_folder(function(folder)
                local function wait()
                    while not io.open(folder .. "/gate") do
                        os.execute("exec sleep 0.01")
                    end
                end
                local list = {}
                for i = 1, 60 do
                    list[i] = i == 7 and mf.future(wait) or mf.future(H.square, i)
                end
                for i = 1, 60 do
                    assert.equal(i ~= 7 and i * i or nil, i ~= 7 and H.value(list[i]) or nil)
                end
                assert.is_false(list[7]:resolved())
                program.write_file(folder .. "/gate", "")
                H.value(list[7])
            end)
        end)
    end)
end)

describe("N24: a node that is stopped for a while", function()
    it("does not make its master's memory grow, and loses nothing", function()
        nodes.with({ "a" }, { workers = 2 }, function()
            local pid = nodes.pids().a
            nodes.signal(pid, "STOP")
            local list = {}
            for i = 1, 10000 do
                list[i] = mf.future(string.len, ("x"):rep(1000) .. i)
            end
            collectgarbage()
            local before = resident("self", "VmRSS")
            mf.wait({ list[1] }, { timeout = 2 })
            local after = resident("self", "VmRSS")
            assert.is_false(list[10000]:resolved())
            nodes.signal(pid, "CONT")
            for i = 1, 10000 do
                assert.equal(1000 + #tostring(i), H.value(list[i]))
            end
            assert.is_true(fails.sanitized() or after - before < 4000, ("%d kB"):format(after - before))
        end)
    end)
end)

describe("N8, N9: a node behind a slow link", function()
    -- A program that is the agent, with its input or output at 16 KB in 20 ms.
    local function slow(folder, direction)
        local throttle = ([[
            { while dd bs=16384 count=1 >%s/some 2>/dev/null && [ -s %s/some ]; do
                cat %s/some
                sleep 0.02
            done; }]]):gsub("%%s", folder)
        local agent = program.quote(program.absolute) .. ' "$@"'
        local line = direction == "in" and throttle .. " | " .. agent .. " | cat" or agent .. " | " .. throttle
        program.write_file(folder .. "/agent", "#!/bin/sh\n" .. line .. "\n")
        assert(os.execute("chmod +x " .. folder .. "/agent"))
        return folder .. "/agent"
    end

    for _, direction in ipairs({ "in", "out" }) do
        it("is not given up while a long message is on its way: " .. direction, function()
            program.with_folder(function(folder)
                local host, n = { host = "a", program = slow(folder, direction) }, 1 << 20
                nodes.with({ host }, { workers = 1, heartbeat = 0.2 }, function()
                    if direction == "in" then
                        assert.equal(n, H.value(mf.future(string.len, ("x"):rep(n))))
                    else
                        assert.equal(n, #H.value(mf.future(string.rep, "x", n)))
                    end
                end)
            end)
        end)
    end
end)

describe("mf.workers", function()
    it("counts those of all nodes", function()
        nodes.with({ "a", { host = "b", workers = 3 }, "c", "c" }, { workers = 2 }, function()
            assert.equal(2 + 3 + 4, mf.workers())
            assert.same({ a = 2, b = 3, c = 4 }, nodes.counts())
        end)
        nodes.with({ "a", "a", "a" }, nil, function()
            assert.equal(3, mf.workers())
        end)
    end)

    it("counts a host's cores unless told", function()
        nodes.with({ "a" }, nil, function()
            assert.equal(mf.cores(), mf.workers())
        end)
    end)
end)
