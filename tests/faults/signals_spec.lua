-- Signals and terminals under the plans processes and forks: the program ends, or goes on, and so do its workers. Each
-- case names the row of the list of faults that it provokes.
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local terminal = require("tests.support.terminal")
local H = require("tests.conformance.helper")

local on_terminal = terminal.there_is and it or pending
local interrupted = terminal.interrupts and it or pending

local SOON = fails.sanitized() and 30000 or 6000 -- milliseconds; all that is waited for never ends by itself

local STUCK = "return ('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40))"
local READY = "print('rea' .. 'dy') io.stdout:flush() "
local LOOP = "while true do end "
-- Two workers that run this code, as the program knows.
local RUNNING = [[
    local mf = require('moonfleet')
    local list = {}
    for i = 1, 2 do list[i] = mf.future(function() mf.progress(0.5) CODE end) end
    for i = 1, 2 do repeat list[i]:wait(0.001) until list[i]:progress() end
]]

local function running(code)
    return (RUNNING:gsub("CODE", function()
        return code
    end))
end

local SCRIPTS = {
    ["a loop"] = running(LOOP) .. READY .. LOOP,
    ["a wait for a future"] = running(LOOP) .. READY .. "list[1]:value()",
    ["a wait for workers in long C calls"] = running(STUCK) .. READY .. "list[1]:value()",
    ["a loop, while workers are in long C calls that had a long grace time"] =
        "require('moonfleet').plan('BACKEND', { workers = 2, grace = 100 }) " .. running(STUCK) .. READY .. LOOP,
    ["a loop, while several plans have workers in long C calls"] = running(STUCK)
        .. "for i = 1, 3 do require('moonfleet').plan('BACKEND', { workers = 2 }) " .. running(STUCK) .. " end "
        .. READY .. LOOP,
    ["a map"] = READY .. "require('moonfleet').map(require('moonfleet').range(100), function() " .. LOOP .. "end)",
    ["a queue of futures"] = "local mf = require('moonfleet') for i = 1, 1000 do mf.future(function() " .. LOOP
        .. " end) end " .. READY .. LOOP,
}

-- fn(env): programs with this environment must leave no process.
local function leaves_nothing(backend, fn)
    local tag = "moonfleet-test-" .. processes.pid() .. "-" .. tostring({}):match("0x%x+")
    fn({ MF_TEST_TAG = tag, MOONFLEET_PLAN = backend .. ":2" })
    local left = processes.tagged("MF_TEST_TAG=" .. tag)
    local ok, err = pcall(processes.wait_until_gone, left)
    processes.kill(left)
    assert.is_true(ok, err)
end

for _, backend in ipairs(processes.backends) do
    describe("M1: Ctrl-C with " .. backend, function()
        for name, code in pairs(SCRIPTS) do
            interrupted("in " .. name .. " of a script ends it with code 130, soon, and all workers", function()
                leaves_nothing(backend, function(env)
                    local r = terminal.drive({ "-e", (code:gsub("BACKEND", backend)) },
                        "see 'ready'; type_in '\\003'; finish", 60, env)
                    assert.equal(130, r.code, r.out)
                    H.has(r.out, "interrupted!")
                    assert.is_true(r.ms < SOON, r.ms)
                end)
            end)
        end

        interrupted("at the REPL returns to the prompt, and the workers serve on", function()
            leaves_nothing(backend, function(env)
                local r = terminal.drive({ "-i" }, [[
                    see '^> '
                    type_in 'mf = require("moonfleet")\n'
                    type_in 'f = mf.future(load("while true do end"))\n'
                    type_in 'print("rea" .. "dy") f:value()\n'
                    see 'ready'
                    type_in '\003'
                    see 'interrupted!'
                    type_in 'f:cancel() print(mf.map({ 21 }, load("return 2 * ..."))[1] == 42 and "go" .. "es on")\n'
                    see 'goes on'
                    type_in '\004'
                    finish]], 60, env)
                assert.equal(0, r.code, r.out)
            end)
        end)
    end)

    describe("M2: Ctrl-C again and again with " .. backend, function()
        interrupted("ends a script once, a hundred times", function()
            leaves_nothing(backend, function(env)
                local r = terminal.drive({ "-e", SCRIPTS["a wait for workers in long C calls"] }, [[
                    see 'ready'
                    i=0
                    while [ $i -lt 100 ]; do type_in '\003' 2>/dev/null || break; i=$((i + 1)); done
                    finish]], 60, env)
                assert.equal(130, r.code, r.out)
                assert.is_true(r.ms < SOON, r.ms)
            end)
        end)

        on_terminal("does no harm at the prompt, and idle workers never notice", function()
            leaves_nothing(backend, function(env)
                local r = terminal.drive({ "-i" }, [[
                    see '^> '
                    type_in 'mf, six = require("moonfleet"), load("return 6 * 7")\n'
                    type_in 'print(mf.future(six):value() == 42 and "wo" .. "rks")\n'
                    see 'works'
                    i=0
                    while [ $i -lt 30 ]; do type_in '\003'; i=$((i + 1)); done
                    type_in '\n'
                    type_in 'print(mf.future(six):value() == 42 and "st" .. "ill works")\n'
                    see 'still works'
                    type_in '\004'
                    finish]], 60, env)
                assert.equal(0, r.code, r.out)
            end)
        end)
    end)

    describe("M3: the program's end from outside with " .. backend, function()
        for name, code in pairs({ TERM = 143, HUP = 129, QUIT = 131 }) do
            for _, work in ipairs({ LOOP, STUCK }) do
                it("by SIG" .. name .. " ends the workers too: " .. work, function()
                    leaves_nothing(backend, function(env)
                        -- the shell ignores SIGQUIT in what it puts into the background
                        local command = program.command({ "-e", running(work) .. READY .. LOOP })
                            :gsub("^exec ", "exec env --default-signal=QUIT ")
                        local r = program.shell([[
                            ulimit -c 0
                            folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
                            mkfifo "$folder/out"
                            (]] .. command .. [[) >"$folder/out" 2>&1 &
                            read line <"$folder/out"
                            kill -]] .. name .. [[ $!
                            wait $! 2>/dev/null
                            exit $?]], { deadline = 60, env = env })
                        assert.equal(code, r.code, r.err)
                    end)
                end)
            end
        end

        on_terminal("by a terminal that is closed ends the workers too", function()
            leaves_nothing(backend, function(env)
                local r = terminal.drive({ "-e", running(STUCK) .. READY .. LOOP }, [[
                    see 'ready'
                    kill -KILL $terminal
                    wait $terminal 2>/dev/null
                    while kill -0 $(cat "$folder/pid") 2>/dev/null; do sleep 0.01; done
                    exit 0]], 60, env)
                assert.equal(0, r.code)
            end)
        end)
    end)

    describe("M4: a program with " .. backend .. " that is stopped and continued", function()
        it("loses no worker, though it has heard of none for long", function()
            leaves_nothing(backend, function(env)
                local r = program.shell([[
                    folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
                    mkfifo "$folder/out"
                    (]] .. program.command({ "-e", (([[
                        local mf = require("moonfleet")
                        mf.plan("BACKEND", { workers = 2, heartbeat = 0.1 })
                        local function busy()
                            local stop = mf.now() + 1
                            while mf.now() < stop do end
                            return 21
                        end
                        local a, b = mf.future(busy), mf.future(busy)
                        repeat a:wait(0.01) until a:state() == "running" and b:state() == "running"
                        print("ready")
                        io.stdout:flush()
                        print(a:value() + b:value())]]):gsub("BACKEND", backend)) }) .. [[) >"$folder/out" 2>&1 &
                    {
                        read line
                        kill -STOP $!
                        sleep 0.6 # six heartbeats
                        kill -CONT $!
                        cat
                    } <"$folder/out"
                    wait $!]], { deadline = 60, env = env })
                assert.equal("42\n", r.out, r.err)
            end)
        end)

        it("finds what its workers have done meanwhile", function()
            leaves_nothing(backend, function(env)
                local r = program.shell([[
                    folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
                    mkfifo "$folder/out"
                    (]] .. program.command({ "-e", (([[
                        local mf = require("moonfleet")
                        mf.plan("BACKEND", { workers = 2 })
                        local list = {}
                        for i = 1, 20 do list[i] = mf.future(function() return ("x"):rep(100000) end) end
                        print("ready")
                        io.stdout:flush()
                        local n = 0
                        for i = 1, 20 do n = n + #list[i]:value() end
                        print(n)]]):gsub("BACKEND", backend)) }) .. [[) >"$folder/out" 2>&1 &
                    {
                        read line
                        kill -STOP $!
                        sleep 0.2
                        kill -CONT $!
                        cat
                    } <"$folder/out"
                    wait $!]], { deadline = 60, env = env })
                assert.equal("2000000\n", r.out, r.err)
            end)
        end)
    end)

    describe("M11: standard output that is closed by head with " .. backend, function()
        it("ends the program quietly, and its workers", function()
            leaves_nothing(backend, function(env)
                local r = program.shell("{ (" .. program.command({ "-e", [[
                    local mf = require("moonfleet")
                    local list = {}
                    for i = 1, 2 do list[i] = mf.future(function() mf.progress(0.5) while true do end end) end
                    for i = 1, 2 do repeat list[i]:wait(0.001) until list[i]:progress() end
                    while true do print(("x"):rep(500)) end]] }) .. "); echo $? >&2; } | head -n 1",
                    { deadline = 60, env = env })
                assert.equal(("x"):rep(500) .. "\n", r.out)
                assert.equal("141\n", r.err)
            end)
        end)
    end)
end
