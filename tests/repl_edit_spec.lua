-- The prompt as a person has it: on a terminal, with an editor, driven key by key. Every wait is for something that the
-- screen shows; every test has a deadline.
local program = require("tests.support.program")
local terminal = require("tests.support.terminal")
local H = require("tests.conformance.helper")

local plain = terminal.plain

local has_editor = terminal.there_is
    and terminal.drive({ "-i" }, "see '^> '; type_in '\\004'; finish").out:find("2004h", 1, true) ~= nil
local on_terminal = has_editor and it or pending
local interrupted = has_editor and terminal.interrupts and it or pending

-- Drives a prompt whose script leaves it; returns what the screen showed.
local function drive(script, env)
    local r = terminal.drive({ "-i" }, "prompts 1\n" .. script .. "\nfinish", 60, env)
    assert.equal(0, r.code, r.out)
    return r.out
end

-- The same, left by Ctrl-D.
local function session(script, env)
    return drive(script .. "\nat_prompt; type_in '\\004'", env)
end

-- A task that waits for the file "flag" in a folder.
local function waiting_task(folder, ending)
    return ('function() local f repeat f = io.open("%s/flag") until f f:close() %s end'):format(folder, ending or "")
end

describe("the editor", function()
    on_terminal("shows values in full, and keeps the last one in _", function()
        local out = plain(session([[
            type_in '{ 1, "a", { x = 1.5 } }\n'; prompts 2
            type_in '_[3].x * 4\n'; see '^6.0'; prompts 3
            type_in '="a", 1\n'; see '^a	1'; prompts 4
            type_in '_\n'; prompts 5
            type_in 'nil, print\n'; see '^nil	function: C']]))
        H.has(out, '\n{ 1, "a", { x = 1.5 } }\n')
        H.has(out, '\n"a"\n')
    end)

    on_terminal("leaves _ to the user who has a use for it", function()
        session([[
            type_in '_ = "mine"\n'; prompts 2
            type_in '6 * 7\n'; see '^42'; prompts 3
            type_in '_\n'; see '^"mine"']])
    end)

    on_terminal("asks for more lines until a statement or an expression is complete", function()
        local out = plain(session([=[
            type_in 'for i = 1, 2 do\n'; see '^>> '; prompts 2
            type_in 'print("line" .. i) end\n'; see '^line2'; prompts 3
            type_in '{ 1,\n'; prompts 4
            type_in '2 }\n'; see '^{ 1, 2 }'; prompts 5
            type_in 'x = [[a\n'; prompts 6
            type_in 'b]]\n'; prompts 7
            type_in '#x\n'; see '^3']=]))
        H.has(out, "\n>> print(")
    end)

    on_terminal("keeps the locals of a line as globals", function()
        session([[
            type_in 'local a, b <const> = 6, 7 do local c = 1 end\n'; prompts 2
            type_in 'a * b, c\n'; see '^42	nil'; prompts 3
            type_in 'local function twice(x) return 2 * x end\n'; prompts 4
            type_in 'twice(50)\n'; see '^100']])
    end)

    on_terminal("goes on after errors, in the words of the lua program", function()
        local out = plain(session([[
            type_in 'error("oops")\n'; see '^stdin:1: oops'; see 'in ?'; prompts 2
            type_in ')\n'; see "^stdin:1: unexpected symbol near ')'"; prompts 3
            type_in '40 + 2\n'; see '^42']]))
        H.has(out, "\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in main chunk\n\t[C]: in ?\n")
    end)

    on_terminal("has mf, help and jobs, but not in place of the user's own", function()
        session([[
            type_in 'mf == require("moonfleet"), type(jobs), type(help)\n'; see '^true	"function"	"function"']])
        local r = terminal.drive({ "-i", "-e", "mf = 'mine'" }, [[
            prompts 1; type_in 'mf\n'; see '^"mine"'; at_prompt; type_in '\004'; finish]])
        assert.equal(0, r.code)
    end)

    on_terminal("helps", function()
        session([[
            type_in 'help()\n'; see 'mf.future'; see 'mf.stats (module)'; prompts 2
            type_in 'help(mf.map)\n'; see '^mf.map(xs, fn, given?)'; see '^Returns:'; prompts 3
            type_in '?mf.cores\n'; see '^mf.cores()'; prompts 4
            type_in 'help "nonsense"\n'; see "no help on 'nonsense'"]])
    end)
end)

describe("completion", function()
    on_terminal("of globals, fields and methods", function()
        local out = plain(session([[
            type_in 'mf.stat\t'; see 'mf.stats'; type_in '.me\t'; see 'mean    median  merge'; type_in 'd\t'
            see 'median('; type_in '{ 1, 2, 6 })\n'; see '^2'; prompts 2
            type_in 'collectg\t"count") > 0\n'; see '^true'; prompts 3
            type_in 's = "abc"\n'; prompts 4
            type_in 's:upp\t)\n'; see '^"ABC"'; prompts 5
            type_in 'mf.future(print):can\t); r = 5\n'; prompts 6
            type_in 'f = mf.future(print)\n'; prompts 7
            type_in 'f:resol\t) ~= nil\n'; see '^true']]))
        H.has(out, "s:upper()")
    end)

    on_terminal("of files and modules in strings", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/measurements.csv", "1,2\n")
            session(([[
                type_in 'io.open("%s/mea\t'; see 'measurements.csv'; type_in '"):read("l")\n'; see '^"1,2"'; prompts 2
                type_in 'require "moonfleet.sta\t" == mf.stats\n'; see '^true']]):format(folder))
        end)
    end)

    on_terminal("runs no code of the user's", function()
        session([[
            type_in 't = setmetatable({}, { __index = function() os.exit(9) end, __pairs = os.exit })\n'; prompts 2
            type_in 't.a.b\t\003'; prompts 3
            type_in 't.\t\t\003'; prompts 4
            type_in '"still here"\n'; see '^"still here"']])
    end)

    on_terminal("follows __index tables", function()
        session([[
            type_in 'i = { a_method = function() return "cal" .. "led" end }\n'; prompts 2
            type_in 'o = setmetatable({}, { __index = i })\n'; prompts 3
            type_in 'o:a_m\t)\n'; see '^"called"']])
    end)
end)

describe("history", function()
    on_terminal("is there in the next session, statements of several lines too", function()
        program.with_folder(function(folder)
            local env = { MOONFLEET_HISTORY = folder .. "/deep/er/history" }
            session([[
                type_in 'print("fi" .. "rst")\n'; see '^first'; prompts 2
                type_in 'for i = 1, 1 do\n'; prompts 3
                type_in 'print("la" .. "\\\\st") end\n'; see '^la.st']], env)
            session([[
                type_in '\033[A\n'; see '^la.st'; prompts 2
                type_in '\033[A\033[A\n'; see '^first']], env)
            assert.equal("600\n", program.shell("stat -c %a " .. env.MOONFLEET_HISTORY).out)
        end)
    end)

    on_terminal("loses nothing of two sessions at once", function()
        program.with_folder(function(folder)
            local env = { MOONFLEET_HISTORY = folder .. "/history" }
            local inner = program.quote(program.absolute)
            session(([[
                type_in 'a = 1\n'; prompts 2
                (echo 'b = 2'; sleep 0.1) | script -qefc "%s -i" /dev/null >/dev/null
                type_in 'c = 3\n'; prompts 3]]):format(inner), env)
            assert.equal("a = 1\nb = 2\nc = 3\n", program.read_file(env.MOONFLEET_HISTORY))
        end)
    end)

    on_terminal("is bounded, and what is too long goes at once", function()
        program.with_folder(function(folder)
            local env, lines = { MOONFLEET_HISTORY = folder .. "/history" }, {}
            for i = 1, 4000 do
                lines[i] = "x = " .. i .. "\n"
            end
            program.write_file(env.MOONFLEET_HISTORY, table.concat(lines))
            session("type_in 'y = 1\\n'; prompts 2", env)
            local text = program.read_file(env.MOONFLEET_HISTORY)
            local _, count = text:gsub("\n", "\n")
            assert.equal(2000, count)
            assert.equal("x = 2002\n", text:match("^.-\n"))
            assert.equal("y = 1\n", text:match("[^\n]*\n$"))
            assert.equal("history\n", program.shell("ls " .. folder).out)
        end)
    end)

    on_terminal("does without a file", function()
        session("type_in '6 * 7\\n'; see '^42'", { MOONFLEET_HISTORY = "/dev/null/history" })
        session("type_in '6 * 7\\n'; see '^42'", { MOONFLEET_HISTORY = "/dev/null" })
        session("type_in '6 * 7\\n'; see '^42'", { MOONFLEET_HISTORY = "/dev/full" })
    end)
end)

describe("futures at the prompt", function()
    on_terminal("are announced above the line that is being typed, which stays whole", function()
        program.with_folder(function(folder)
            local out = plain(session(([[
                type_in 'f = mf.future({ label = "fit" }, %s)\n'; prompts 2
                type_in '20 + '; see '> 20 + '
                : >%s/flag
                see "^future 1 'fit': done (threads/1, "
                type_in '22\n'; see '^42']]):format(waiting_task(folder), folder)))
            H.has(out, "\n> 20 + 22\n42\n")
            local _, count = out:gsub("'fit': done", "")
            assert.equal(1, count)
        end)
    end)

    on_terminal("that fail are announced with their error, and those of maps too", function()
        session([[
            type_in 'f = mf.future(function() error("no such luck") end)\n'
            see '^future 1: failed (threads/1, [^)]*): stdin:1: no such luck'; prompts 2
            type_in 'g = mf.map_async({ 1, 2, 3 }, function(x) return x end, { label = "all" })\n'
            see "^future of a map 'all': done (3 of 3, "; prompts 3
            type_in 'h = mf.map_async({ 1, 2, 3 }, function(x) error("mapped") end)\n'
            see "^future of a map: failed (.*mapped (element "]])
    end)

    on_terminal("that somebody has waited for are not announced", function()
        local out = plain(session([[
            type_in 'f = mf.future(function() return 5 end)\n'; type_in 'f:value()\n'; see '^5'; prompts 3
            type_in 'mf.future(function() return 6 end):value()\n'; see '^6'; prompts 4
            type_in 'mf.map({ 1, 2 }, function(x) return x end)\n'; see '^{ 1, 2, n = 2 }'; prompts 5
            type_in '"the end"\n'; see '^"the end"']]))
        assert.not_matches("\nfuture 2", out)
        assert.not_matches("\nfuture 3", out)
    end)

    on_terminal("that nobody holds run on and are announced; many at once in a few lines", function()
        program.with_folder(function(folder)
            local out = plain(session(([[
                type_in 'for i = 1, 50 do mf.future(%s) end\n'; prompts 2
                type_in 'collectgarbage()\n'; prompts 3
                : >%s/flag
                type_in 'repeat until #jobs() == 0\n'; prompts 4
                see '50: done\|more futures']]):format(waiting_task(folder), folder)))
            local _, lines = out:gsub("\nfuture %d+: done", "")
            assert.is_true(lines >= 1)
        end)
    end)

    on_terminal("print live above the line", function()
        program.with_folder(function(folder)
            local out = plain(session(([[
                type_in 'f = mf.future({ output = "live" }, %s)\n'; prompts 2
                type_in '20 + '; see '> 20 + '
                : >%s/flag
                see '^.threads/1. hello'; see '^future 1: done'
                type_in '22\n'; see '^42']]):format(waiting_task(folder, 'print("hel" .. "lo")'), folder)))
            H.has(out, "\n> 20 + 22\n42\n")
        end)
    end)

    on_terminal("are listed by jobs(), and show what they do", function()
        program.with_folder(function(folder)
            session(([[
                type_in 'mf.plan "threads:1"\n'; prompts 2
                type_in 'f = mf.future({ label = "fit" }, %s) g = mf.future(print)\n'; prompts 3
                type_in 'repeat until f:state() == "running"\n'; prompts 4
                type_in 'f\n'; see "^future 1 'fit': running (threads/1, "; prompts 5
                type_in 'g\n'; see "^future 2: queued"; prompts 6
                type_in '{ f }\n'; see "^{ future 1 'fit': running"; prompts 7
                type_in 'jobs()\n'; see '^    1  running  threads/1 .* fit'; see '^    2  queued'; prompts 8
                type_in '#jobs(), jobs()[1] == f\n'; see '^2	true'; prompts 9
                : >%s/flag
                see "^future 1 'fit': done"; see "^future 2: done"
                type_in 'jobs()\n'; see '^nothing runs or waits']]):format(waiting_task(folder), folder))
        end)
    end)
end)

describe("Ctrl-C in the editor", function()
    on_terminal("drops what was typed", function()
        session([[
            type_in 'x = 5 nonsense'; see 'nonsense'; type_in '\003'; see 'nonsense^C'; prompts 2
            type_in 'for i = 1, 2 do\n'; see '^>> '; prompts 3
            type_in '\003'; prompts 4
            type_in 'x\n'; see '^nil']])
    end)

    interrupted("stops the statement and its futures, not those of others", function()
        session([[
            type_in 'spin = load "while true do end"\n'; prompts 2
            type_in 'mf.plan "threads:4"\n'; prompts 3
            type_in 'other = mf.future(spin)\n'; prompts 4
            type_in 'a, b = mf.future(spin), mf.future(spin) print("rea" .. "dy") a:value()\n'; see '^ready'
            type_in '\003'; see 'interrupted!'; see '^(2 futures of this statement cancelled)'; prompts 5
            type_in 'a:state(), b:state(), other:state()\n'; see '^"cancelled"	"cancelled"	"running"'; prompts 6
            type_in 'other:cancel()\n'; prompts 7]])
    end)

    interrupted("stops a value that takes for ever to be shown", function()
        session([[
            type_in 'setmetatable({}, { __tostring = function() print("rea" .. "dy") while true do end end })\n'
            see '^ready'; type_in '\003'; see 'interrupted!'; prompts 2
            type_in '6 * 7\n'; see '^42']])
    end)
end)

describe("Ctrl-D", function()
    interrupted("asks when futures run", function()
        local out = drive([[
            type_in 'f = mf.future(load "while true do end")\n'; prompts 2
            type_in '\004'; see '1 future runs; leave and cancel? .y/N. '; prompts 3
            type_in 'n\n'; prompts 4
            type_in '"still here"\n'; see '^"still here"'; prompts 5
            type_in '\004'; prompts 6
            type_in 'y\n']])
        H.has(out, "1 future was still running and has been cancelled")
        drive([[
            type_in 'f = mf.future(load "while true do end")\n'; prompts 2
            type_in '\004'; prompts 3; type_in '\004']])
    end)

    on_terminal("drops an unfinished statement and stays", function()
        session([[
            type_in 'for i = 1, 2 do\n'; see '^>> '; prompts 2
            type_in '\004'; see 'unfinished statement dropped'; prompts 3
            type_in '6 * 7\n'; see '^42']])
    end)
end)
