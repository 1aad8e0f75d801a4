-- What forks do to the process that they are forks of, and what becomes of them when it ends: each case names the row
-- of the list of faults that it provokes.
local acts_builder = require("tests.support.acts")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local SLOW = fails.sanitized() and 5 or 1 -- how much longer everything may take

local folder

setup(function()
    local pipe = assert(io.popen("mktemp -d"))
    folder = pipe:read("l")
    pipe:close()
    acts_builder.build(folder)
end)

teardown(function()
    os.execute("rm -rf " .. program.quote(folder))
end)

local PRELUDE = [[
    local mf = require("moonfleet")
    local acts = require("acts")
    local large = {} for i = 1, 20000 do large[i] = i end
    local folder = ]]

local function environment(plan)
    return { LUA_CPATH = folder .. "/?.so", LUA_PATH = folder .. "/?.lua;;", MOONFLEET_PLAN = plan or "forks:2" }
end

-- Runs a script in a program of its own; it finds the module acts, a large table, and a folder for its files.
local function script(text, options)
    options = options or {}
    local r = program.script(PRELUDE .. ("%q "):format(folder) .. text, nil, {
        env = environment(options.plan),
        stdin = options.stdin,
        deadline = options.deadline or 60,
    })
    assert.equal(options.code or 0, r.code, r.err)
    return r.out, r.err
end

describe("F7: streams of the owner", function()
    it("are written once, whatever they held when it forked", function()
        local out, err = script([[
            io.stdout:setvbuf("full") io.stderr:setvbuf("full")
            io.write("before ") io.stderr:write("errors ") acts.say("C ", "stdout")
            local f = mf.future(function() return #large end)
            io.write("between ")
            assert(f:value() == 20000)
            local n = mf.map(mf.range(10), function(x) return x end).n
            io.write("after ", n, "\n")]])
        assert.equal("before C between after 10\n", out)
        assert.equal("errors ", err)
    end)

    it("are not read by tasks, whose standard input is empty", function()
        local out = script([[
            local first = io.read("l")
            local function read() return io.read("l"), io.stdin:read("a") end
            local line, rest = mf.future(read):value()
            print(first, line, rest, io.read("l"), io.read("a"))]], { stdin = "one\ntwo\nthree" })
        assert.equal("one\tnil\t\ttwo\tthree\n", out)
    end)

    it("that tasks write to are files of both: nothing twice, nothing lost, in order", function()
        local out = script([[
            local log = io.open(folder .. "/log", "w")
            log:write("1 ")
            mf.future(function() log:write("2 ") end):value()
            log:write("3 ")
            mf.future(function(f) f:write("4 ") f:close() end, log):value()
            log:write("5 ")
            for i = 6, 8 do
                mf.map({ i }, function(x) log:write(x, large[1] == 1 and " " or "?") end)
            end
            package.loaded.log = { write = function(text) log:write(text) end } -- reached as a module's
            mf.future(function() require("log").write("9 ") end):value()
            log:write("end")
            log:close()
            print(io.open(folder .. "/log"):read("a"))]])
        assert.equal("1 2 3 4 5 6 7 8 9 end\n", out)
    end)

    it("are captured in a task, however it comes by them", function()
        program.write_file(folder .. "/keeper.lua",
            "local print, write, out, err = print, io.write, io.stdout, io.stderr "
                .. "return function() print('m1') write('m2 ') out:write('m3 ') err:write('m4 ') end")
        local out, err = script([[
            local print, write, stdout, stderr, keeper = print, io.write, io.stdout, io.stderr, require("keeper")
            io.output(folder .. "/output")
            io.write("owner ")
            local f = mf.future(function()
                print("u1", "x") write("u2 ") stdout:write("u3 ") stderr:write("u4 ")
                keeper()
                acts.say("c1 ", "stdout") acts.say("c2 ", "stderr")
                io.write("io ")
                io.output():write("o ")
                load("print('loaded')")()
                return #large
            end)
            f:wait()
            io.write("again")
            io.close()
            local out, err = f:output()
            stdout:write(out, "|", err, "|", io.open(folder .. "/output"):read("a"), "\n")]])
        assert.equal("u1\tx\nu2 u3 m1\nm2 m3 c1 io o loaded\n|u4 m4 c2 |owner again\n", out)
        assert.equal("", err)
    end)

    it("are captured too where the owner is itself a worker", function()
        local out, err = script([[
            local function outer()
                local inner = require("moonfleet")
                local keeper = require("keeper")
                assert(inner.plan().name == "forks")
                local f = inner.future(function()
                    print("inner") io.stderr:write("e ") keeper() acts.say("c ", "stdout")
                    return math.random(1 << 40), #large
                end)
                f:wait()
                return f:output()
            end
            for _, plan in ipairs({ "threads:1", "sequential", "forks:1" }) do
                mf.with_plan({ plan, "forks:2" }, function()
                    print(mf.future(outer):value())
                end)
            end]])
        assert.equal(("inner\nm1\nm2 m3 c \te m4 \n"):rep(3), out)
        assert.equal("", err)
    end)
end)

describe("F6: what the owner has open", function()
    it("is as it was when its forks have ended", function()
        local out = script([[
            local pipe = io.popen("cat >" .. folder .. "/cat", "w")
            pipe:write("a")
            local file = io.open(folder .. "/seek", "w+")
            file:write("0123456789") file:seek("set", 2)
            local others = mf.cluster({ backend = "processes", workers = 1 })
            assert(others:map({ 1 }, function(x) return x end)[1] == 1)
            assert(mf.future(function() return #large end):value() == 20000)
            assert(#mf.map(mf.range(4), function(x) return x end) == 4)
            pcall(mf.map, mf.range(4), function() os.exit(1) end)
            pipe:write("b")
            pipe:close()
            assert(others:map({ 1 }, function(x) return x end)[1] == 1)
            others:close()
            print(io.open(folder .. "/cat"):read("a"), file:read(3))]])
        assert.equal("ab\t234\n", out)
    end)

    it("leaves descriptors and processes as they were after very many", function()
        local out = script([[
            local function count()
                local pipe <close> = io.popen("ls /proc/" .. acts.pid() .. "/fd")
                return select(2, pipe:read("a"):gsub("\n", ""))
            end
            local function work(n)
                for i = 1, n do
                    mf.future(function() return i end):value()
                    mf.future(function() return #large end):value()
                    if i % 10 == 0 then mf.future(function() os.exit(1) end):result() end
                    if i % 10 == 5 then mf.future(function() while true do end end):cancel() end
                end
                mf.plan("forks", { workers = 2 })
                collectgarbage()
            end
            work(20)
            local before = count()
            work(100)
            local deadline, now = mf.now() + 20
            repeat now = count() until now <= before or mf.now() > deadline -- the last ones may just be ending
            print(now <= before)]])
        assert.equal("true\n", out)
    end)
end)

describe("F8: finalizers and exit handlers of the owner", function()
    it("do not run in a fork that ends, however it ends", function()
        local out = script([[
            local notes = folder .. "/notes"
            local alive = acts.object(notes, 5)
            global = acts.object(notes, 6)
            local mine = setmetatable({}, { __gc = function() io.open(notes, "a"):write("lua\n") end })
            acts.at_exit(notes)
            local exits = { os.exit, acts.exit }
            package.loaded.exits = exits
            assert(mf.future(function() return #large + alive:number() end):value() == 20005)
            assert(mf.future(function(o) return o:number() end, alive):value() == 5)
            for i = 1, 2 do
                local f = mf.future(function() require("exits")[i](i + 2) end)
                local _, err = f:result()
                assert(tostring(err):find("exited with code " .. i + 2, 1, true), tostring(err))
            end
            mf.future(function() os.exit(0, true) end):result()
            mf.future(function() collectgarbage() collectgarbage() return #large end):value()
            mf.future(function() acts.raise(9) end):result()
            mf.map(mf.range(10), function(x) return { x } end)
            local file = io.open(notes)
            print(file and file:read("a"), mine ~= nil)]])
        assert.equal("nil\ttrue\n", out)
        local notes = {}
        for line in io.lines(folder .. "/notes") do
            notes[#notes + 1] = line
        end
        table.sort(notes)
        assert.same({ "exit", "finalized", "finalized", "lua" }, notes) -- by the owner, at its own end
    end)
end)

describe("F5: threads in the owner", function()
    -- The C library's allocator is unlocked in a fork; a sanitizer's stays locked where another thread had locked it.
    local allocating = fails.sanitized() and pending or it

    allocating("do no harm, also when they run tasks", function()
        local out = script([[
            local sum = 0
            mf.with_plan("threads:2", function()
                local busy = mf.map_async(mf.range(2000), function(x)
                    local t = {}
                    for i = 1, 50 do t[i] = tostring(i) .. x end
                    return #t
                end, { chunk = 1 })
                mf.with_plan("forks:2", function()
                    for i = 1, 100 do
                        sum = sum + mf.future(function() return large[i] end):value() + mf.future(function(x)
                            local t = {}
                            for k = 1, 100 do t[k] = tostring(k) end
                            return x
                        end, i):value()
                    end
                end)
                assert(#busy:value() == 2000)
            end)
            print(sum)]])
        assert.equal("10100\n", out)
    end)
end)

describe("F9: forks in forks", function()
    it("work to the depth of the plan, and sequentially below it", function()
        local out = script([[
            local function depth()
                local inner = require("moonfleet")
                local name = inner.plan().name
                if name == "sequential" then return { name } end
                local below = inner.map({ 1, 2, 3 }, depth)
                return { name, below[1], below[3], #large }
            end
            mf.plan({ "forks:2", "forks:2", "forks:1" })
            local t, names = mf.future(depth):value(), {}
            while t do names[#names + 1] = t[1] t = t[3] end
            print(table.concat(names, " "))]])
        assert.equal("forks forks sequential\n", out)
    end)
end)

-- The end of the owner ---------------------------------------------------------------------------------------------

describe("F14: forks", function()
    -- Runs a program that starts two workers, one in a Lua loop and one in a C call, waits for them, and goes on with
    -- the code. Returns the workers' process numbers, and the result.
    local function workers_of(code, expected)
        local text = PRELUDE .. ("%q "):format(folder) .. [[
            local names = { folder .. "/w1", folder .. "/w2" }
            os.remove(names[1]) os.remove(names[2])
            local function begin(name, work)
                local file = io.open(name .. ".new", "w")
                file:write(acts.pid())
                file:close()
                os.rename(name .. ".new", name)
                work()
                return #large
            end
            local function spin() while true do end end
            local function stuck() return ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40)) end
            local list = { mf.future(begin, names[1], spin), mf.future(begin, names[2], stuck) }
            for _, name in ipairs(names) do
                local file
                repeat file = io.open(name) until file
                print("worker " .. file:read("a"))
                file:close()
            end
            io.stdout:flush()
            ]] .. code
        local r = program.script(text, nil, { env = environment("forks:2,grace=0.2"), deadline = 30 * SLOW })
        local numbers = {}
        for number in r.out:gmatch("worker (%d+)") do
            numbers[#numbers + 1] = tonumber(number)
        end
        assert.equal(2, #numbers, r.err)
        if expected then
            assert.equal(expected, r.code, r.err)
        end
        return numbers, r
    end

    local interrupted = fails.delays_signals() and pending or it

    for what, case in pairs({
        ["P4: when the script ends"] = { "", 0 },
        ["M6: when the script fails"] = { "error('over')", 1 },
        ["M7: after os.exit"] = { "os.exit(7)", 7 },
        ["M7: after os.exit that closes the state"] = { "os.exit(7, true)", 7 },
        ["M3: when the owner was terminated"] = { "acts.raise(15) while true do end", 143 },
        ["M3: when its terminal was closed"] = { "acts.raise(1) while true do end", 129 },
        ["M5: when the owner was killed"] = { "acts.raise(9)", 137 },
        ["M5: when the owner was killed by abort"] = { "acts.raise(6)", 134 },
    }) do
        if not (fails.sanitized() and what:find("abort")) then -- which sanitizers catch
            interrupted("are gone " .. what, function()
                processes.wait_until_gone((workers_of(case[1], case[2])))
            end)
        end
    end

    for what, code in pairs({
        ["a wait"] = "list[1]:value()",
        ["a loop"] = "while true do pcall(function() while true do end end) end",
        ["a map"] = "mf.map(mf.range(100), function() while true do pcall(spin) end end)",
        ["the creation of a future that needs a fork"] = "mf.future(function() return #large end)",
    }) do
        interrupted("are gone within a second after Ctrl-C in " .. what, function()
            local numbers, r = workers_of([[os.execute("(sleep 0.2; kill -INT " .. acts.pid() .. ") &") ]]
                .. "local interrupted_at = mf.now() + 0.2 setmetatable({}, { __gc = function() "
                .. "print('after', mf.now() - interrupted_at) end }) " .. code, 130)
            H.has(r.err, "interrupted!")
            assert.is_true(tonumber(r.out:match("after%s+([%d.]+)")) < 1 * SLOW, r.out)
            processes.wait_until_gone(numbers)
        end)
    end
end)
