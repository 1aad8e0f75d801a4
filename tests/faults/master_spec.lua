-- What happens when the program itself is interrupted, killed, fails, or is used in odd ways. Each case provokes one
-- row of the list of faults, named by its number.
local core = require("moonfleet.core")
local mf = require("moonfleet")
local program = require("tests.support.program")
local fails = require("tests.support.fails")
local terminal = require("tests.support.terminal")
local H = require("tests.conformance.helper")

local PLANS = { "threads:2", "processes:2" }
local SLOW = fails.sanitized() and 5 or 1 -- how much longer everything may take
local STUCK = "(('a'):rep(30)):find(('a?'):rep(30) .. ('a'):rep(30))"

local drive = terminal.drive
local on_terminal = terminal.there_is and it or pending
local interrupted = terminal.interrupts and it or pending

local SCRIPTS = {
    ["a loop"] = "print('rea' .. 'dy') while true do end",
    ["a wait for a future"] = "local f = require('moonfleet').future(function() while true do end end) "
        .. "print('rea' .. 'dy') f:value()",
    ["a map"] = "print('rea' .. 'dy') require('moonfleet').map(require('moonfleet').range(100), "
        .. "function() while true do pcall(function() while true do end end) end end)",
    ["a map in this thread"] = "require('moonfleet').plan('sequential') print('rea' .. 'dy') "
        .. "require('moonfleet').map({ 1, 2 }, function() while true do end end)",
    ["a queue of futures"] = "local mf = require('moonfleet') for i = 1, 1000 do mf.future(function() "
        .. "while true do end end) end print('rea' .. 'dy') while true do end",
}

describe("M1: Ctrl-C", function()
    for name, code in pairs(SCRIPTS) do
        interrupted("in " .. name .. " of a script ends it with code 130 within a second", function()
            local r = drive({ "-e", code }, "see 'ready'; type_in '\\003'; finish")
            assert.equal(130, r.code, r.out)
            H.has(r.out, "interrupted!")
            assert.is_true(r.ms < 1500 * SLOW, r.ms)
        end)
    end

    interrupted("with a worker in a long C call too", function()
        local r = drive({ "-e", ("local f = require('moonfleet').future(function() return %s end) "
            .. "print('rea' .. 'dy') f:value()"):format(STUCK) }, "see 'ready'; type_in '\\003'; finish")
        assert.equal(130, r.code, r.out)
        assert.is_true(r.ms < 2500 * SLOW, r.ms)
    end)

    interrupted("at the REPL returns to the prompt", function()
        local r = drive({ "-i" }, [[
            see '^> '
            type_in 'mf = require("moonfleet")\n'
            type_in 'f = mf.future(load("while true do end"))\n'
            type_in 'print("rea" .. "dy") f:value()\n'
            see 'ready'
            type_in '\003'
            see 'interrupted!'
            type_in 'f:cancel() mf.future(load("return 6 * 7")):value()\n'
            type_in 'print(mf.map({ 21 }, load("return 2 * ..."))[1] == 42 and "go" .. "es on")\n'
            see 'goes on'
            type_in '\004'
            finish]])
        assert.equal(0, r.code, r.out)
    end)
end)

describe("M2: Ctrl-C again and again", function()
    interrupted("kills a program that does not listen to the first", function()
        local r = drive({ "-e", "local n = 0 pcall(function() print('rea' .. 'dy') while true do end end) "
            .. "print('aga' .. 'in') while io.popen('sleep 1'):close() do end" },
            "see 'ready'; type_in '\\003'; see 'again'; type_in '\\003'; finish")
        assert.equal(130, r.code, r.out)
    end)

    on_terminal("does no harm at the prompt, a hundred times", function()
        local r = drive({ "-i" }, [[
            see '^> '
            i=0
            while [ $i -lt 100 ]; do type_in '\003'; i=$((i + 1)); done
            type_in '\n'
            type_in 'print("st" .. "ill here")\n'
            see 'still here'
            type_in '\004'
            finish]])
        assert.equal(0, r.code, r.out)
    end)

    interrupted("ends a script once, a hundred times", function()
        local r = drive({ "-e", SCRIPTS["a map"] }, [[
            see 'ready'
            i=0
            while [ $i -lt 100 ]; do type_in '\003' 2>/dev/null || break; i=$((i + 1)); done
            finish]])
        assert.equal(130, r.code, r.out)
        assert.is_true(r.ms < 1500 * SLOW, r.ms)
    end)
end)

describe("M3: the program's end from outside", function()
    local BUSY = "local mf = require('moonfleet') for i = 1, 50 do mf.future(function() while true do end end) end "
        .. "print('ready') io.stdout:flush() while true do end"

    for name, code in pairs({ TERM = 143, HUP = 129 }) do
        it("SIG" .. name .. " ends it at once", function()
            local r = program.shell([[
                folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
                mkfifo "$folder/out"
                (]] .. program.command({ "-e", BUSY }) .. [[) >"$folder/out" 2>&1 &
                read line <"$folder/out"
                kill -]] .. name .. [[ $!
                wait $! 2>/dev/null
                exit $?]], { deadline = 20 })
            assert.equal(code, r.code)
        end)
    end

    on_terminal("a terminal that is closed ends it", function()
        local r = drive({ "-e", BUSY }, [[
            see 'ready'
            kill -KILL $terminal
            wait $terminal 2>/dev/null
            while kill -0 $(cat "$folder/pid") 2>/dev/null; do sleep 0.01; done
            exit 0]], 20)
        assert.equal(0, r.code)
    end)
end)

describe("the end of a script with futures running", function()
    local LOOPS = "local mf = require('moonfleet') for i = 1, 20 do mf.future(function() while true do end end) end "

    it("M6: an error gives its message and code 1 in bounded time", function()
        local before = core.now()
        for _, plan in ipairs({ "threads:1", "threads:4", "processes:2" }) do
            local r = program.script(LOOPS .. "error('the end')", nil, { env = { MOONFLEET_PLAN = plan } })
            assert.equal(1, r.code)
            assert.matches("^moonfleet: script.lua:1: the end\nstack traceback:", r.err)
            H.has(r.err, "20 futures were still running and have been cancelled")
        end
        assert.is_true(core.now() - before < 5 * SLOW)
    end)

    it("M7: os.exit leaves with its code", function()
        for code, expected in pairs({ ["0"] = 0, ["3"] = 3, ["true, true"] = 0, ["4, true"] = 4, ["false"] = 1 }) do
            for _, plan in ipairs(PLANS) do
                local r = program.script(LOOPS .. "os.exit(" .. code .. ")", nil,
                    { deadline = 20, env = { MOONFLEET_PLAN = plan } })
                assert.equal(expected, r.code, r.err)
            end
        end
    end)

    it("M7: its end cancels them, with a warning", function()
        for _, plan in ipairs(PLANS) do
            local r = program.script(LOOPS, nil, { deadline = 20, env = { MOONFLEET_PLAN = plan } })
            assert.equal(0, r.code)
            assert.equal("moonfleet: 20 futures were still running and have been cancelled\n", r.err)
        end
    end)

    for _, pair in ipairs({ "threads threads", "threads processes", "processes threads", "processes processes" }) do
        it("M8: states inside of states end with it: " .. pair, function()
            local outer, inner = pair:match("(%S+) (%S+)")
            local r = program.script(([[
                local mf = require("moonfleet")
                mf.plan({ { "%s", workers = 2 }, { "%s", workers = 2 } })
                local function nest()
                    local inner = require("moonfleet")
                    local list = {}
                    for i = 1, 4 do list[i] = inner.future(function() while true do end end) end
                    list[1]:wait(0.02)
                    print("inner runs")
                    list[1]:value()
                end
                local a, b = mf.future({ output = "live" }, nest), mf.future(nest)
                while not a:output():find("inner") and not a:wait(0.01) and not b:output():find("inner") do end
                b:cancel()
                local function late() pcall(a.value, a) pcall(mf.future, nest) end
                setmetatable({}, { __gc = late })]]):format(outer, inner), nil, { deadline = 20 })
            assert.equal(0, r.code, r.err)
            assert.matches("cancelled\n$", r.err)
        end)
    end
end)

describe("M11: standard output that is closed or full", function()
    local PRINT = "local mf = require('moonfleet') mf.map(mf.range(2000), function(i) print(('x'):rep(500)) end) "
        .. "for i = 1, 2000 do print(('y'):rep(500)) end"

    local function code_of(redirection, code)
        local r = program.shell("set -e; rm -f code; (" .. program.command({ "-e", code }) .. ") " .. redirection,
            { deadline = 20 })
        return r.code, r
    end

    it("by head ends the program quietly", function()
        local r = program.shell("{ (" .. program.command({ "-e", PRINT }) .. "); echo $? >&2; } | head -n 1",
            { deadline = 20 })
        assert.equal(("x"):rep(500) .. "\n", r.out)
        assert.equal("141\n", r.err)
    end)

    it("by the shell, or a full disk, is as in lua5.4", function()
        for _, redirection in ipairs({ ">&-", ">/dev/full" }) do
            local code, r = code_of(redirection, PRINT)
            assert.equal(0, code)
            assert.equal("", r.err)
        end
        local _, r = code_of(">/dev/full", "io.stdout:setvbuf('no') io.stderr:write(tostring(io.write('x')))")
        assert.equal("nil", r.err)
    end)
end)

describe("M12: an error in a callback", function()
    it("is reported once, and all goes on", function()
        for _ = 1, 3 do
            local err = H.failure(mf.map, mf.range(50), H.square, {
                chunk = 5,
                combine = function()
                    error("in combine")
                end,
            })
            local _, count = tostring(err):gsub("in combine", "")
            assert.equal(1, count)
            pcall(mf.map, mf.range(50), H.square, {
                progress = function()
                    error("in progress")
                end,
            })
            H.has(H.failure(function()
                for _ in mf.as_completed({ mf.future(H.square, 1), mf.future(H.square, 2) }) do
                    error("in loop")
                end
            end), "in loop")
            H.has(H.failure(mf.map, function()
                error("in iterator")
            end, H.square), "in iterator")
            assert.equal(16, mf.map({ 4 }, H.square)[1])
        end
    end)
end)

describe("M13: waiting in a worker", function()
    it("of one worker, for its own futures, is no deadlock", function()
        for _, plan in ipairs({ "threads:1", "sequential", "processes:1" }) do
            local r = program.script([[
                local mf = require("moonfleet")
                local function depth(n)
                    if n == 0 then return 0 end
                    local inner = require("moonfleet")
                    return 1 + inner.future(depth, n - 1):value() + #inner.map({ 1, 2 }, function(x) return x end) - 2
                end
                print(mf.future(depth, 5):value())]], nil, { env = { MOONFLEET_PLAN = plan }, deadline = 30 })
            assert.equal("5\n", r.out, r.err)
        end
    end)

    it("with as many waiting tasks as workers is no deadlock", function()
        for _, backend in ipairs({ "threads", "processes" }) do
            local r = program.script(([[
                local mf = require("moonfleet")
                mf.plan({ { "BACKEND", workers = 2 }, { "BACKEND", workers = 1 } })
                local list = {}
                for i = 1, 8 do
                    list[i] = mf.future(function()
                        local inner = require("moonfleet")
                        return inner.future(function() return i end):value()
                    end)
                end
                local sum = 0
                for i = 8, 1, -1 do sum = sum + list[i]:value() end
                print(sum)]]):gsub("BACKEND", backend), nil, { deadline = 30 })
            assert.equal("36\n", r.out, r.err)
        end
    end)
end)

describe("M14: futures that nobody waits for", function()
    for _, plan in ipairs(PLANS) do
        it("run, and leave nothing behind: " .. plan, function()
            local r = program.script([[
                local mf = require("moonfleet")
                local function resident()
                    return tonumber(io.open("/proc/self/status"):read("a"):match("VmRSS:%s*(%d+)"))
                end
                local text = ("x"):rep(10000)
                local function drop(n)
                    for i = 1, n do
                        mf.future(function(s) return s .. i end, text)
                        if i % 100 == 0 then collectgarbage() mf.future(load("return 1")):value() end
                    end
                end
                drop(1000)
                local before = resident()
                drop(10000)
                print(resident() - before < 30000, resident() - before)]], nil,
                { deadline = 60, env = { MOONFLEET_PLAN = plan } })
            assert.equal(0, r.code, r.err)
            if not fails.sanitized() then
                assert.matches("^true", r.out)
            end
        end)
    end
end)

describe("M15: odd time limits", function()
    for _, backend in ipairs({ "threads", "processes" }) do
        it("are defined: " .. backend, function()
            mf.with_plan({ { backend, workers = 1 } }, function()
                local f = mf.future(H.spin)
                for _, seconds in ipairs({ 0, 1e-300 }) do
                    assert.is_false(f:wait(seconds))
                    assert.equal("timeout", H.failure(f.value, f, seconds).kind)
                    assert.equal(0, #mf.wait({ f }, { timeout = seconds }))
                end
                assert.is_false(f:wait(-1))
                assert.is_false((pcall(f.wait, f, 0 / 0)))
                for _, bad in ipairs({ 0 / 0, -1, 0, "1" }) do
                    assert.is_false((pcall(mf.future, { timeout = bad }, H.square, 2)), tostring(bad))
                end
                f:cancel()
                for _, long in ipairs({ 1e9, 1e300, 1 / 0 }) do
                    local g = mf.future({ timeout = long }, H.square, 3)
                    assert.is_true(g:wait(long))
                    assert.equal(9, g:value(long))
                end
            end)
        end)
    end
end)

describe("M16: very many tasks", function()
    for _, plan in ipairs(PLANS) do
        it("wait in the queue and their results unread, in bounded memory: " .. plan, function()
            local r = program.script([[
                local mf = require("moonfleet")
                local function resident()
                    return tonumber(io.open("/proc/self/status"):read("a"):match("VmRSS:%s*(%d+)"))
                end
                local square, list = load("local x = ... return x * x"), {}
                local gates = { mf.future(load("while true do end")), mf.future(load("while true do end")) }
                local before = resident()
                for i = 1, 100000 do list[i] = mf.future(square, i) end
                local bytes = (resident() - before) * 1024 / 100000
                gates[1]:cancel()
                gates[2]:cancel()
                mf.wait(list, { timeout = 100 })
                local after = (resident() - before) * 1024 / 100000
                local sum = 0
                for i = 1, 100000 do sum = sum + list[i]:value() end
                print(sum, bytes < 1000, after < 1000, bytes, after)]], nil,
                { deadline = 100, env = { MOONFLEET_PLAN = plan } })
            assert.equal(0, r.code, r.err)
            assert.matches("^333338333350000\t", r.out)
            if not fails.sanitized() then
                assert.matches("\ttrue\ttrue\t", r.out)
            end
        end)
    end
end)
