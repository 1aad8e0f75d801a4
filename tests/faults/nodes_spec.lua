-- What becomes of futures when nodes die, fall silent or talk nonsense, and how nodes come back. Each case names the
-- row of the list of faults that it provokes.
local core = require("moonfleet.core")
local hosts = require("moonfleet.hosts")
local mf = require("moonfleet")
local nodes = require("tests.support.nodes")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local function assert_serves()
    local results = mf.map(mf.range(40), H.square, { chunk = 1 })
    assert.equal(40, results.n)
    for i = 1, 40 do
        assert.equal(i * i, results[i])
    end
end

-- Occupies all workers, ends node a by that signal, and looks at what becomes of everybody's futures.
local function end_node(name, words, options)
    nodes.with({ "a", "b" }, options, function()
        program.with_folder(function(folder)
            local list = nodes.occupy(folder .. "/gate")
            local queued, before = {}, {}
            for i = 1, 10 do
                queued[i] = mf.future(H.square, i)
            end
            for _, item in ipairs(list) do
                if item.host == "a" then
                    before[#before + 1] = item.pid
                end
            end
            assert.equal(2, #before)
            nodes.signal(before[1], name)
            for _, item in ipairs(list) do
                if item.host == "a" then
                    nodes.assert_lost(item.future, "host a " .. words)
                end
            end
            nodes.open(folder .. "/gate", list, "b")
            for i = 1, 10 do
                assert.equal(i * i, H.value(queued[i]))
            end
            processes.wait_until_gone(before)
            nodes.wait_for("a", "b")
            assert.same({ a = 2, b = 2 }, nodes.counts())
        end)
    end)
end

describe("a node that ends while it works", function()
    local two = { workers = 2 }

    it("W5: by SIGKILL loses what it ran, with its name; others never notice; it comes back", function()
        end_node("KILL", "killed by SIGKILL", two)
    end)

    it("by SIGTERM likewise", function()
        end_node("TERM", "killed by SIGTERM", two)
    end)

    it("W11, N24: is stopped and does not answer any more", function()
        end_node("STOP", "does not answer", { workers = 2, heartbeat = 0.2 })
    end)

    it("P3: has its tasks run elsewhere where that was asked for", function()
        nodes.with({ "a", "b" }, two, function()
            program.with_folder(function(folder)
                local list = nodes.occupy(folder .. "/gate", { retries = 1 })
                for _, item in ipairs(list) do
                    if item.host == "a" then
                        nodes.signal(item.pid, "KILL")
                        break
                    end
                end
                nodes.open(folder .. "/gate", list)
            end)
        end)
    end)
end)

-- 400 short tasks, each of which leaves a mark; the 100th does something to its node and never ends by itself: a signal
-- may reach its thread later than the shell's end does. Every mark is there once, save for a few that are lost.
local function count_runs(options, what, most)
    nodes.with({ "a", "b" }, options, function()
        mf.map(mf.range(2000), H.square, { chunk = 1 }) -- now tasks are known to be short
        program.with_folder(function(folder)
            local list, lost = {}, 0
            for i = 1, 400 do
                list[i] = mf.future(function(k)
                    local file <close> = io.open(folder .. "/marks", "a")
                    file:write(k, "\n")
                    file:close()
                    if k == 100 then
                        what()
                        while true do
                            math.abs(1)
                        end
                    end
                    return k
                end, i)
            end
            local marks, allowed = {}, {}
            for i = 1, 400 do
                assert.is_true(list[i]:wait(H.LIMIT), list[i]:state())
                if list[i]:state() == "lost" then
                    lost, allowed[i] = lost + 1, true
                else
                    assert.equal(i, list[i]:value())
                end
            end
            for line in io.lines(folder .. "/marks") do
                local i = tonumber(line)
                assert.is_nil(marks[i], "task " .. i .. " was run again")
                marks[i] = true
            end
            for i = 1, 400 do
                assert.is_true(marks[i] or allowed[i], "task " .. i .. " was not run")
            end
            assert.is_true(lost >= 1 and lost <= most, lost .. " are lost")
        end)
        assert_serves()
    end)
end

describe("P3: what was sent to a node ahead of time is run once, and elsewhere, when the node", function()
    it("is killed", function()
        count_runs({ workers = 2 }, function()
            os.execute("kill -KILL $PPID")
        end, 2)
    end)

    it("leaves by itself", function()
        count_runs({ workers = 2, isolate = true }, function()
            os.execute("kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat)")
        end, 2)
    end)

    it("is stopped", function()
        count_runs({ workers = 2, heartbeat = 0.2 }, function()
            os.execute("kill -STOP $PPID")
        end, 2)
    end)
end)

describe("a node that ends while it is idle", function()
    for name, options in pairs({ KILL = {}, TERM = {}, STOP = { heartbeat = 0.2 } }) do
        it("W4: costs no future: " .. name, function()
            options.workers = 1
            nodes.with({ "a", "b" }, options, function()
                local pids = nodes.pids()
                nodes.signal(pids.a, name)
                if name == "STOP" then
                    processes.wait_until_gone({ pids.a })
                else
                    H.eventually(function()
                        return not processes.lives(pids.a)
                    end, "the node to die")
                end
                local list = {}
                for i = 1, 20 do
                    list[i] = mf.future(H.square, i)
                end
                for i = 1, 20 do
                    assert.equal(i * i, H.value(list[i]))
                end
                nodes.wait_for("a", "b")
            end)
        end)
    end

    it("W4: and was the only one is started again for the next future", function()
        nodes.with({ "a" }, { workers = 2 }, function()
            for _ = 1, 3 do
                local pid = nodes.pids().a
                nodes.signal(pid, "KILL")
                H.eventually(function()
                    return not processes.lives(pid)
                end, "the node to die")
                assert_serves()
            end
        end)
    end)
end)

describe("a node that comes back", function()
    it("has been set up like the others, by calls from before and meanwhile", function()
        nodes.with({ "a", "b" }, { workers = 2 }, function()
            mf.everywhere(function(value)
                local marks = require("string") -- a table that stays in the worker
                marks.value, marks.calls = value, (marks.calls or 0) + 1
            end, 17)
            mf.export({ early = "early" })
            local pid = nodes.pids().a
            nodes.signal(pid, "KILL")
            H.eventually(function()
                return not processes.lives(pid)
            end, "the node to die")
            mf.export({ late = "late" })
            nodes.wait_for("a", "b")
            program.with_folder(function(folder)
                local list = nodes.occupy(folder .. "/gate")
                program.write_file(folder .. "/gate", "x")
                for _, item in ipairs(list) do
                    H.value(item.future)
                end
            end)
            local seen = {}
            for _ = 1, 40 do
                local host, value, calls, first, second = H.value(mf.future(function()
                    os.execute("exec sleep 0.01")
                    local marks = require("string")
                    return os.getenv("NODE"), marks.value, marks.calls, early, late -- luacheck: ignore 113
                end))
                assert.same({ 17, 1, "early", "late" }, { value, calls, first, second })
                seen[host] = true
                if seen.a and seen.b then
                    break
                end
            end
        end)
    end)

    it("has been set up by any number of calls", function()
        nodes.with({ "a" }, { workers = 1 }, function()
            for i = 1, 150 do
                mf.export({ [("name%d"):format(i)] = i })
            end
            local pid = nodes.pids().a
            nodes.signal(pid, "KILL")
            H.eventually(function()
                return not processes.lives(pid)
            end, "the node to die")
            assert.equal(1 + 150, H.value(mf.future(load("return name1 + name150"))))
        end)
    end)

    it("has the same workers, by number, as far as others have not taken them", function()
        local list = hosts.list("here", nodes.plan({ "a", "b" }).hosts, { transport = "local", workers = 1 })
        local pool = core.pool("cluster", { hosts = hosts.for_core(list) })
        pool:open()
        assert.equal(2, pool:workers())
        local function where(i)
            return H.value(core.submit(pool, { worker = i }, function()
                return os.getenv("NODE"), processes.pid()
            end))
        end
        local first, pid = where(1)
        local second = where(2)
        assert.not_equal(first, second)
        nodes.signal(pid, "KILL")
        H.eventually(function()
            return not processes.lives(pid)
        end, "the node to die")
        nodes.assert_lost(core.submit(pool, { worker = 1 }, H.square, 2), "its worker's host is gone")
        H.eventually(function()
            local f = core.submit(pool, { worker = 1 }, nodes.here)
            assert.is_true(f:wait(H.LIMIT))
            return f:state() == "done" and f:value() == first
        end, "the node to come back")
        assert.equal(second, (where(2)))
        assert.equal(2, pool:workers())
        pool:close()
    end)
end)

describe("W24: when no node is left", function()
    -- A program that is the agent the first n times; then it does something else.
    local function agent(folder, n, otherwise)
        local path = folder .. "/agent"
        local text = '#!/bin/sh\necho x >>%s/starts\n[ $(wc -l <%s/starts) -le %d ] && exec %s "$@"\n%s\n'
        program.write_file(path, text:format(folder, folder, n, program.quote(program.absolute), otherwise))
        assert(os.execute("chmod +x " .. program.quote(path)))
        return path
    end

    local function starts(folder)
        return #program.read_file(folder .. "/starts") // 2
    end

    for what, case in pairs({
        ["that cannot be started again"] = { "echo no more licences >&2; exit 3", "no more licences" },
        ["that says something else"] = { "printf 'MooF'; exit 3", 'it begins with "MooF"' },
        ["that says nothing"] = { "exec sleep 1000", "did not say hello in time" },
    }) do
        it("futures fail, with the reason, and soon: one " .. what, function()
            program.with_folder(function(folder)
                local host = { host = "a", program = agent(folder, 1, case[1]), timeout = 1 }
                nodes.with({ host }, { workers = 2 }, function()
                    local list = nodes.occupy(folder .. "/gate")
                    local queued = {}
                    for i = 1, 20 do
                        queued[i] = mf.future(H.square, i)
                    end
                    nodes.signal(list[1].pid, "KILL")
                    for _, item in ipairs(list) do
                        nodes.assert_lost(item.future, "host a killed by SIGKILL")
                    end
                    for i = 1, 20 do
                        nodes.assert_lost(queued[i], "no host of the cluster is left: host a ")
                    end
                    nodes.assert_lost(mf.future(H.square, 1), case[2])
                    assert.is_true(starts(folder) < 15)
                end)
            end)
        end)
    end

    it("but one comes back, futures that wait are run there", function()
        program.with_folder(function(folder)
            nodes.with({ "a", "b" }, { workers = 2 }, function()
                local list, killed, queued = nodes.occupy(folder .. "/gate"), {}, {}
                for i = 1, 20 do
                    queued[i] = mf.future(H.square, i)
                end
                for _, item in ipairs(list) do
                    if not killed[item.pid] then
                        nodes.signal(item.pid, "KILL")
                    end
                    killed[item.pid] = true
                end
                for _, item in ipairs(list) do
                    nodes.assert_lost(item.future, "killed by SIGKILL")
                end
                for i = 1, 20 do
                    assert.equal(i * i, H.value(queued[i]))
                end
            end)
        end)
    end)

    it("and it takes several tries to come back, it does", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/starts", "x\n")
            local path = folder .. "/agent"
            program.write_file(path, ("#!/bin/sh\necho x >>%s/starts\ncase $(wc -l <%s/starts) in 3) exit 5;; esac\n"
                .. "exec %s \"$@\"\n"):format(folder, folder, program.quote(program.absolute)))
            assert(os.execute("chmod +x " .. program.quote(path)))
            nodes.with({ { host = "a", program = path }, "b" }, { workers = 1 }, function()
                nodes.signal(nodes.pids().a, "KILL")
                nodes.wait_for("a")
                assert.equal(4, starts(folder))
            end)
        end)
    end)
end)
