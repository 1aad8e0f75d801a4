-- The program against its model: what lua 5.4 prints, byte for byte, and what Moonfleet adds.
local program = require("tests.support.program")

local USAGE = "usage: moonfleet [options] [script [args]]\nAvailable options are:\n"

local function run(...)
    return program.run({ ... })
end

-- What a run must give, compared as one value so that a failure shows all of it.
local function expect(r, code, out, err)
    assert.same({ code = code, out = out, err = err }, { code = r.code, out = r.out, err = r.err })
end

describe("options", function()
    it("run in their order before the script", function()
        expect(run("-e", "print(1)", "-eprint(2)", "-e", "x = 3", "-e", "print(x)"), 0, "1\n2\n3\n", "")
        local r = program.script("print(x, ...)", { "a", "-e" })
        expect(r, 0, "nil\ta\t-e\n", "")
    end)

    it("-l requires a module into a global", function()
        expect(run("-l", "lfs", "-e", "print(type(lfs.currentdir()))"), 0, "string\n", "")
        expect(run("-l", "json=cjson", "-e", "print(type(json), cjson)"), 0, "table\tnil\n", "")
    end)

    it("-l sets no global when the module is not there", function()
        local r = run("-l", "no_such_module", "-e", "print(1)")
        assert.equal(1, r.code)
        assert.equal("", r.out)
        assert.matches("^moonfleet: module 'no_such_module' not found:\n\tno field package.preload", r.err)
        assert.matches("\nstack traceback:\n\t%[C%]: in function 'require'\n\t%[C%]: in %?\n$", r.err)
    end)

    it("-v names both versions and runs no standard input", function()
        local r = program.run({ "-v" }, { stdin = "print('ran')" })
        assert.equal(0, r.code)
        assert.matches("^Moonfleet %d+%.%d+%.%d+  Lua 5%.4%.%d+  Copyright.-\n$", r.out)
        assert.equal(r.out, run("--version").out)
    end)

    it("-W switches warnings on", function()
        expect(run("-W", "-e", "warn('careful')"), 0, "", "Lua warning: careful\n")
        expect(run("-e", "warn('careful')"), 0, "", "")
    end)

    it("-E ignores the environment", function()
        local env = { LUA_INIT = "print('init')", LUA_PATH = "/nowhere/?.lua", LUA_CPATH = "/nowhere/?.so" }
        local r = program.run({ "-E", "-e", "print(package.path:find('nowhere'), package.cpath:find('nowhere'))" }, {
            env = env,
        })
        expect(r, 0, "nil\tnil\n", "")
    end)

    it("--help prints the usage to standard output", function()
        local r = run("--help")
        assert.equal(0, r.code)
        assert.equal(USAGE, r.out:sub(1, #USAGE))
        assert.equal("", r.err)
    end)

    it("-- ends the options", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/-e", "print('file', ...)")
            expect(program.run({ "--", "-e", "x" }, { folder = folder }), 0, "file\tx\n", "")
        end)
    end)

    for _, case in ipairs({
        { { "-x" }, "unrecognized option '-x'" },
        { { "-vv" }, "unrecognized option '-vv'" },
        { { "--nonsense" }, "unrecognized option '--nonsense'" },
        { { "-e" }, "'-e' needs argument" },
        { { "-l", "-e" }, "'-l' needs argument" },
        { { "-j" }, "'-j' needs argument" },
        { { "--plan" }, "'--plan' needs argument" },
        { { "--hosts" }, "'--hosts' needs argument" },
        { { "-j", "0" }, "option -j needs a number of workers, 1 or more, not '0'" },
        { { "-jtwo" }, "option -j needs a number of workers, 1 or more, not 'two'" },
        { { "--seed", "1.5" }, "option --seed needs an integer, not '1.5'" },
    }) do
        it("refuses " .. table.concat(case[1], " "), function()
            local r = program.run(case[1], { stdin = "print('ran')" })
            local head = "moonfleet: " .. case[2] .. "\n" .. USAGE
            assert.equal(1, r.code)
            assert.equal("", r.out)
            assert.equal(head, r.err:sub(1, #head))
        end)
    end
end)

describe("a script", function()
    it("gets its arguments as ... and arg", function()
        local code = "print(...) print(arg[0], #arg, arg[1], arg[2], arg[-1] ~= nil, arg[-2])"
        local r = program.script(code, { "a", "b c" })
        expect(r, 0, "a\tb c\nscript.lua\t2\ta\tb c\ttrue\tnil\n", "")
    end)

    it("sees the program's options at negative positions of arg", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/s.lua", "print(arg[-1], arg[-2], arg[-3] ~= nil)")
            expect(program.run({ "-e", "x=1", "s.lua" }, { folder = folder }), 0, "x=1\t-e\ttrue\n", "")
        end)
    end)

    it("may start with a byte order mark and a # line, and have CRLF line ends", function()
        expect(program.script("\xEF\xBB\xBF#!/usr/bin/env moonfleet\r\nprint(1)\r\nprint(2)\r\n"), 0, "1\n2\n", "")
    end)

    it("that fails ends with its message, a traceback and code 1", function()
        expect(
            program.script("error('broken')"),
            1,
            "",
            "moonfleet: script.lua:1: broken\nstack traceback:\n\t[C]: in function 'error'\n"
                .. "\tscript.lua:1: in main chunk\n\t[C]: in ?\n"
        )
    end)

    it("that does not compile ends with the message alone", function()
        expect(program.script("x ="), 1, "", "moonfleet: script.lua:1: unexpected symbol near <eof>\n")
    end)

    it("may raise what is not a string", function()
        local r = program.script("error({})")
        assert.equal(1, r.code)
        assert.matches("^moonfleet: %(error object is a table value%)\n", r.err)
        r = program.script("error(nil)")
        assert.equal(1, r.code)
        assert.matches("^moonfleet: %(error object is a nil value%)\n", r.err)
        r = program.script("error(setmetatable({}, { __tostring = function() return 'my text' end }))")
        expect(r, 1, "", "moonfleet: my text\n")
    end)

    it("that is not there or is a folder is named", function()
        expect(run("no/such.lua"), 1, "", "moonfleet: cannot open no/such.lua: No such file or directory\n")
        expect(run("/"), 1, "", "moonfleet: cannot read /: Is a directory\n")
    end)

    it("needs arg to be a table", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/s.lua", "print(1)")
            local r = program.run({ "-e", "arg = 1", "s.lua" }, { folder = folder })
            expect(r, 1, "", "moonfleet: 'arg' is not a table\n")
        end)
    end)

    it("chooses the exit code by os.exit", function()
        assert.equal(3, program.script("os.exit(3)").code)
        assert.equal(0, program.script("os.exit(true, true)").code)
        assert.equal(1, program.script("os.exit(false)").code)
    end)

    it("has its finalisers run at the end", function()
        expect(program.script("setmetatable({}, { __gc = function() print('bye') end })"), 0, "bye\n", "")
    end)

    it("is read from standard input when there is none, or as -", function()
        expect(program.run({}, { stdin = "print(arg[0] ~= nil, #arg)" }), 0, "true\t0\n", "")
        expect(program.run({ "-", "a" }, { stdin = "print(arg[0], ...)" }), 0, "-\ta\n", "")
        local r = program.run({}, { stdin = "error('in')" })
        assert.equal(1, r.code)
        assert.matches("^moonfleet: stdin:1: in\nstack traceback:\n", r.err)
    end)

    it("runs with the collector in generational mode", function()
        expect(program.script("print(collectgarbage('incremental'))"), 0, "generational\n", "")
    end)

    it("finds no global more than in lua", function()
        local r = program.script([[
            local names = {}
            for name in pairs(_G) do names[#names + 1] = name end
            table.sort(names)
            print(table.concat(names, " "))]])
        expect(
            r,
            0,
            "_G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile "
                .. "math next os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable "
                .. "string table tonumber tostring type utf8 warn xpcall\n",
            ""
        )
    end)
end)

describe("LUA_INIT", function()
    it("is code, or a file after @; the one with a version goes first", function()
        local code = { LUA_INIT = "print('init', #arg)" }
        expect(program.run({ "-e", "print(1)" }, { env = code }), 0, "init\t2\n1\n", "")
        code.LUA_INIT_5_4 = "print('versioned')"
        expect(program.run({ "-e", "print(1)" }, { env = code }), 0, "versioned\n1\n", "")
        program.with_folder(function(folder)
            program.write_file(folder .. "/init.lua", "print('file', ...)")
            local options = { env = { LUA_INIT = "@init.lua" }, folder = folder }
            expect(program.run({ "-e", "print(1)" }, options), 0, "file\n1\n", "")
        end)
    end)

    it("ends the program when it fails", function()
        local r = program.run({ "-e", "print(1)" }, { env = { LUA_INIT = "error('no')" } })
        assert.equal(1, r.code)
        assert.equal("", r.out)
        assert.matches("^moonfleet: LUA_INIT:1: no\nstack traceback:\n", r.err)
        r = program.run({ "-e", "print(1)" }, { env = { LUA_INIT = "@no_such_file" } })
        expect(r, 1, "", "moonfleet: cannot open no_such_file: No such file or directory\n")
    end)
end)

describe("C modules", function()
    it("load and work", function()
        expect(run("-e", "print(require('cjson').encode({ 1, 'a' }))"), 0, '[1,"a"]\n', "")
        expect(run("-e", "print(require('lfs').attributes('.', 'mode'))"), 0, "directory\n", "")
    end)
end)

describe("Moonfleet's options", function()
    it("-j sets the number of workers", function()
        expect(run("-j", "3", "-e", "print(require('moonfleet').workers())"), 0, "3\n", "")
        expect(run("-j5", "-e", "print(require('moonfleet').workers())"), 0, "5\n", "")
    end)

    it("--plan chooses the plan", function()
        local code = "local mf = require('moonfleet') print(mf.workers(), mf.future(function() return 7 end):value())"
        expect(run("--plan", "sequential", "-e", code), 0, "1\t7\n", "")
        expect(run("--plan=sequential", "-e", code), 0, "1\t7\n", "")
    end)

    it("--plan refuses a plan that is not there and lists those that are", function()
        local r = run("--plan", "teleport", "-e", "print(1)")
        assert.equal(1, r.code)
        assert.equal("", r.out)
        assert.matches("^moonfleet: .*teleport.*sequential", r.err)
    end)

    it("--hosts makes a plan of hosts, and -j then counts the workers of each", function()
        local code = "print(require('moonfleet').plan())"
        expect(run("--hosts", "a,bob@b:22", "-e", code), 0, "cluster,hosts=a+bob@b:22\n", "")
        expect(run("--hosts=a b ::1", "-j", "3", "-e", code), 0, "cluster:3,hosts=a+b+::1\n", "")
        local r = program.run({ "--hosts", "a", "-e", code }, { env = { MOONFLEET_PLAN = "threads:7" } })
        expect(r, 0, "cluster,hosts=a\n", "")
        expect(run("--plan", "cluster:2,hosts=a+b,transport=local", "-e",
            "local mf = require('moonfleet') print(mf.workers(), mf.map({ 1, 2 }, math.abs)[2])"), 0, "4\t2\n", "")
    end)

    it("--hosts names what is wrong with it", function()
        local function refuses(text, ...)
            expect(run("--hosts", ...), 1, "", "moonfleet: --hosts: " .. text .. "\n")
        end
        refuses('"a:" is no host; write name, user@name, name:port or [address]:port', "a:", "-e", "print(1)")
        refuses("option 'hosts' names no host", ",", "-e", "print(1)")
        refuses("option 'port' must be a port from 1 to 65535, not 70000", "a:70000", "-e", "print(1)")
        refuses("option --plan is given, too; write --plan 'cluster,hosts=a+b'", "a", "--plan", "threads", "-e", "x=1")
    end)

    it("--log refuses an area that is not there", function()
        local r = run("--log", "weather", "-e", "print(1)")
        assert.equal(1, r.code)
        assert.matches("^moonfleet: .*weather", r.err)
    end)

    it("--log writes trace lines to stderr or a file", function()
        local code = "print(require('moonfleet').future(function() return 1 end):value())"
        local r = run("--log", "future", "-e", code)
        assert.equal("1\n", r.out)
        assert.matches("future", r.err)
        program.with_folder(function(folder)
            r = run("--log", "all:" .. folder .. "/trace", "-e", code)
            expect(r, 0, "1\n", "")
            assert.matches("future", program.read_file(folder .. "/trace"))
        end)
    end)

    it("futures still running at the end are cancelled with a warning", function()
        local loops = "local mf = require('moonfleet') for i = 1, N do mf.future(function() while true do end end) end"
        local one = program.script((loops:gsub("N", "1")))
        expect(one, 0, "", "moonfleet: 1 future was still running and has been cancelled\n")
        local two = program.script((loops:gsub("N", "2")))
        expect(two, 0, "", "moonfleet: 2 futures were still running and have been cancelled\n")
    end)

    it("an error while futures run ends with code 1", function()
        local r = program.script("require('moonfleet').future(function() while true do end end) error('x')")
        assert.equal(1, r.code)
        assert.matches("^moonfleet: script.lua:1: x\nstack traceback:", r.err)
    end)
end)

describe("Ctrl-C", function()
    -- The script sends itself the signal, so that no test waits for a moment to come.
    local SIGNAL = "io.popen('kill -INT $PPID'):close() "

    it("ends a script with a traceback and code 130", function()
        local r = program.script(SIGNAL .. "while true do end")
        assert.equal(130, r.code)
        assert.matches("^moonfleet: .*interrupted!\nstack traceback:\n", r.err)
    end)

    it("ends a loop that catches errors", function()
        local r = program.script(SIGNAL .. "while true do pcall(function() while true do end end) end")
        assert.equal(130, r.code)
        assert.matches("interrupted!", r.err)
    end)

    it("ends a loop in a coroutine", function()
        local r = program.script("coroutine.wrap(function() " .. SIGNAL .. "while true do end end)()")
        assert.equal(130, r.code)
        assert.matches("interrupted!", r.err)
    end)

    it("lets __close methods finish", function()
        local r = program.script(
            "local function close() for i = 1, 100 do X = i end print('closed') end "
                .. "local x <close> = setmetatable({}, { __close = close }) "
                .. SIGNAL
                .. "while true do end"
        )
        assert.equal(130, r.code)
        assert.equal("closed\n", r.out)
    end)

    it("ends a wait for a future that runs for ever", function()
        local r = program.script(
            "local f = require('moonfleet').future(function() while true do end end) " .. SIGNAL .. "f:value()"
        )
        assert.equal(130, r.code)
        assert.matches("interrupted!", r.err)
    end)

    it("kills at the second time a program that does not listen", function()
        local r = program.script(
            "pcall(function() "
                .. SIGNAL
                .. "while true do end end) "
                .. SIGNAL
        )
        assert.equal(130, r.code)
        assert.equal("", r.err)
    end)
end)

describe("beside lua5.4", function()
    local has_lua = program.has("lua5.4")
    local tell = has_lua and it or pending

    -- lua names itself as it was called; nothing else may differ.
    local function same(args, options)
        local ours = program.run(args, options)
        local merged = { program = "lua5.4" }
        for key, value in pairs(options or {}) do
            merged[key] = value
        end
        local theirs = program.run(args, merged)
        theirs.err = theirs.err:gsub("lua5%.4: ", "moonfleet: ")
        assert.same(theirs, ours)
    end

    for _, code in ipairs({
        "error('x')",
        "error('x', 0)",
        "error()",
        "error(12)",
        "error('a\\0b')",
        "error(setmetatable({}, { __tostring = function() error('again') end }))",
        "local function f(n) if n == 0 then error('deep') end f(n - 1) print() end f(40)",
        "coroutine.wrap(function() error('in a coroutine') end)()",
        "local t <close> = setmetatable({}, { __close = function() print('closed') end }) error('e')",
        "string.rep('x', -1):nothing()",
        "return 5",
        "",
        "warn('@on') warn('a', 'b')",
        "print(package.path) print(package.cpath) print(#package.searchers)",
        "print(#arg, arg[1], arg[-1])",
        "require('no.such.module')",
    }) do
        tell("-e " .. code, function()
            same({ "-e", code })
        end)
    end

    tell("paths of the environment", function()
        local env = { LUA_PATH = "first/?.lua;;", LUA_CPATH_5_4 = ";;last/?.so" }
        same({ "-e", "print(package.path) print(package.cpath)" }, { env = env })
    end)

    tell("a script on standard input after --", function()
        same({ "--" }, { stdin = "print(#arg, ...)" })
        same({ "--", "-" }, { stdin = "print(1)" })
    end)
end)
