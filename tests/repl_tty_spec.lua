-- The prompt and its terminal: what is pasted into it, what happens to it, and in what state it is left.
local program = require("tests.support.program")
local terminal = require("tests.support.terminal")
local processes = require("tests.support.processes")
local H = require("tests.conformance.helper")

local has_editor = terminal.there_is
    and terminal.drive({ "-i" }, "see '^> '; type_in '\\004'; finish").out:find("2004h", 1, true) ~= nil
local on_terminal = has_editor and it or pending

-- Drives a prompt, leaves it by Ctrl-D and returns what the screen showed.
local function session(script, env)
    local r = terminal.drive({ "-i" }, "prompts 1\n" .. script .. "\nat_prompt; type_in '\\004'; finish", 60, env)
    assert.equal(0, r.code, r.out)
    return r.out
end

describe("input at the prompt", function()
    on_terminal("may be pasted: lines, tabs and all, which wait for Enter", function()
        local out = session([[
            type_in '\033[200~for i = 1, 2 do\r\tprint("pa" .. "sted", i)\rend\r\033[201~'; see 'end'
            type_in '\n'; see '^pasted	1'; see '^pasted	2']])
        assert.not_matches("Display all", out)
    end)

    on_terminal("may have a paste that never ends, and be dropped", function()
        session([[
            type_in '\033[200~x = 1\r'
            type_in '\003'; prompts 2
            type_in 'x\n'; see '^nil']])
    end)

    on_terminal("may be very long", function()
        session([[
            line=$(head -c 100000 /dev/zero | tr '\0' x)
            type_in "#'$line'\\n"; see '^100000'; prompts 2
            type_in "\\033[200~#'$line$line'\\033[201~\\n"; see '^200000']])
    end)

    on_terminal("may have any bytes, in a paste and typed", function()
        session([[
            type_in '#"\377\303\251\200"\n'; see '^4'; prompts 2
            type_in '("\377\303\251"):byte(1, -1)\n'; see '^255	195	169'; prompts 3
            type_in '\033[200~#"\001\002\033\377\303"\033[201~\n'; see '^5'; prompts 4
            head -c 3000 /dev/urandom | tr -d '\003\004\015\012\021\023\026\032\034\000\033' >&3
            type_in '\003'; prompts 5
            type_in '6 * 7\n'; see '^42']])
    end)

    on_terminal("may be edited", function()
        session([[
            type_in '1 + 1\001(\005) * 21\n'; see '^42'; prompts 2
            type_in '"x"y\177\n'; see '^"x"']])
    end)

    on_terminal("may end in the middle of a line: the program leaves with its workers", function()
        program.with_folder(function(folder)
            local r = terminal.drive({ "-i" }, [[
                prompts 1
                type_in 'mf.plan("processes", { workers = 1 }) f = mf.future(load "while true do end")\n'; prompts 2
                type_in 'for i = 1, 2 do\n'; see '^>> '; prompts 3
                type_in 'print('
                pid=$(cat "$folder/pid")
                kill -9 $terminal
                while [ -n "$(cut -d' ' -f3 /proc/$pid/stat 2>/dev/null | tr -d Z)" ]; do sleep 0.01; done
                exit 0]], 60, { MOONFLEET_TEST_MARK = folder })
            assert.equal(0, r.code, r.out)
            processes.wait_until_gone(processes.tagged("MOONFLEET_TEST_MARK=" .. folder))
        end)
    end)
end)

describe("the terminal", function()
    local kept = "handle_segv=0:handle_abort=0" -- for sanitizers, which have handlers of their own
    local modes = "stty -a | grep ' icanon' | grep -q ' echo ' && echo restored; "

    local ways = {
        { "type_in '\\004'", 0 },
        { "type_in 'os.exit(3)\\n'", 3 },
        { "type_in 'half'; see half; kill -TERM $pid", 143 },
        { "type_in 'half'; see half; kill -HUP $pid", 129 },
        { "type_in 'half'; see half; kill -SEGV $pid", 139 },
        { "type_in 'half'; see half; kill -ABRT $pid", 134 },
    }
    for _, way in ipairs(ways) do
        on_terminal("is left as it was after " .. way[1], function()
            program.with_folder(function(folder)
                local inner = ("echo $$ >%s/pid; %s"):format(folder, program.command({ "-i" }))
                local command = ("sh -c %s; echo code $?; %s"):format(program.quote(inner), modes)
                local script = ("prompts 1; pid=$(cat %s/pid); %s; see '^restored'; finish"):format(folder, way[1])
                local r = terminal.run(command, script, 60, { ASAN_OPTIONS = kept, TSAN_OPTIONS = kept })
                assert.equal(0, r.code, r.out)
                H.has(r.out, "code " .. way[2])
                H.has(r.out, "\27[?2004l")
            end)
        end)
    end

    on_terminal("is given back while the program is stopped, and taken again", function()
        local command = "set -m; " .. program.command({ "-i" }):gsub("^exec ", "") .. "; " .. modes .. "fg >/dev/null"
        local r = terminal.run(command, [[
            prompts 1
            type_in '20 + '; see '> 20 + '
            type_in '\032'; see '^restored'; prompts 2
            type_in '22\n'; see '^42'; at_prompt
            type_in '\004'
            finish]], 60)
        assert.equal(0, r.code, r.out)
    end)

    on_terminal("may be taken by others meanwhile", function()
        session([[
            type_in '20 + '; see '> 20 + '
            pid=$(cat "$folder/pid")
            kill -STOP $pid; until [ "$(cut -d' ' -f3 /proc/$pid/stat)" = T ]; do sleep 0.01; done
            stty sane </proc/$pid/fd/0
            kill -CONT $pid $terminal; until stty -a </proc/$pid/fd/0 | grep -q ' -icanon'; do sleep 0.01; done
            type_in '22\n'; see '^42']])
    end)

    on_terminal("may change its size", function()
        local out = session([[
            pid=$(cat "$folder/pid")
            stty cols 60 rows 10 </proc/$pid/fd/0
            kill -WINCH $pid
            type_in '#"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"'; see 'a"'
            stty cols 30 rows 10 </proc/$pid/fd/0
            kill -WINCH $pid
            type_in ' + 1\n'; see '^82'; prompts 2
            type_in '{ "aaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbb" }\n'; see '^  "aaaaaaaaaaaaaaaaaa",$']])
        assert.is_string(out)
    end)

    local without = terminal.interrupts and it or pending
    for _, name in ipairs({ "dumb", "", "no-such-terminal" }) do
        without(("may be '%s'"):format(name), function()
            local r = terminal.drive({ "-i" }, [[
                see '^> $'
                type_in '{ 1, "a" }\n'; see '^{ 1, "a" }'; see '^> $'
                type_in '_[2], mf ~= nil\n'; see '^"a"	true'; see '^> $'
                type_in 'for i = 1, 1 do\n'; see '^>> $'
                type_in 'print("in" .. "side") end\n'; see '^inside'; see '^> $'
                type_in 'f = mf.future({ label = "fit" }, load "return 1") mf.wait({ f }, { timeout = 9 })\n'
                type_in 'g = mf.future({ label = "other" }, load "error \\"bad\\"") repeat until #jobs() == 0\n'
                see "future 2 'other': failed"
                type_in 'half'; see half; type_in '\003'; see '^> $'
                type_in '6 * 7\n'; see '^42'; see '^> $'; type_in '"the end"\n'; see '^"the end"'; see '^> $'
                type_in '\004'
                finish]], 60, { TERM = name })
            assert.equal(0, r.code, r.out)
            assert.is_nil(r.out:find("\27", 1, true))
        end)
    end
end)

describe("a program that is not at a prompt", function()
    local check = "print(mf, help, jobs, _)"

    it("has none of its globals", function()
        assert.equal("nil\tnil\tnil\tnil\n", program.run({ "-e", check }).out)
        assert.equal("nil\tnil\tnil\tnil\n", program.script(check).out)
        assert.equal("nil\tnil\tnil\tnil\n", program.run({}, { stdin = check }).out)
        assert.equal("nil\tnil\tnil\tnil\n", program.run({ "-" }, { stdin = check }).out)
        H.has(program.run({ "-i" }, { stdin = check }).out, "> nil\tnil\tnil\tnil\n")
    end)

    it("shows values as print does", function()
        H.has(program.run({ "-i" }, { stdin = "'a', 1\n" }).out, "> a\t1\n")
    end)
end)
