-- The program beside the lua program that is installed: the same output, messages and exit codes for a table of
-- programs and options. Both are called moonfleet, so that what they say of themselves is the same.
local fails = require("tests.support.fails")
local program = require("tests.support.program")

local LUA = "lua5.4"

-- Runs both in a folder with these files; script is the text of t.lua. args may hold options and "t.lua".
local function both(case)
    return program.with_folder(function(folder)
        for name, text in pairs(case.files or {}) do
            program.write_file(folder .. "/" .. name, text)
        end
        local results = {}
        for i, path in ipairs({ LUA, program.absolute }) do
            local words = { "exec -a moonfleet", path }
            for _, arg in ipairs(case.args or { "t.lua" }) do
                words[#words + 1] = program.quote(arg)
            end
            local command = table.concat(words, " ") .. (case.after or "")
            local r = program.shell("exec bash -c " .. program.quote(command), {
                folder = folder,
                stdin = case.stdin,
                env = case.env,
            })
            results[i] = r
        end
        return results[1], results[2]
    end)
end

local function compare(case)
    local theirs, ours = both(case)
    -- addresses differ from run to run, and the depth of the stack by the few values that the program has on it
    local function plain(text)
        return (text:gsub("0x%x+", "0x"):gsub("skipping %d+ levels", "skipping levels"))
    end
    assert.equal(plain(theirs.out), plain(ours.out))
    assert.equal(plain(theirs.err), plain(ours.err))
    assert.equal(theirs.code, ours.code)
    return theirs, ours
end

local scripts = {
    ["globals and what package holds"] = [[
        local names = {}
        for name, value in pairs(_G) do names[#names + 1] = name .. " " .. type(value) end
        table.sort(names)
        print(table.concat(names, "\n"))
        for _, lib in ipairs({ "string", "table", "math", "os", "io", "coroutine", "utf8", "debug", "package" }) do
            local fields = {}
            for name, value in pairs(_G[lib]) do fields[#fields + 1] = name .. " " .. type(value) end
            table.sort(fields)
            print(lib, table.concat(fields, "\n"))
        end
        print(package.path) print(package.cpath) print(package.config) print(#package.searchers)
        local loaded = {}
        for name in pairs(package.loaded) do loaded[#loaded + 1] = name end
        table.sort(loaded)
        print(table.concat(loaded, " "), next(package.loaded._G) ~= nil, _VERSION)
    ]],
    ["an error with a traceback through all kinds of calls"] = [[
        local function deep(n) if n == 0 then error("deep") end local x = deep(n - 1) return x end
        local t = setmetatable({}, { __index = function(_, k) return deep(2) end })
        table.sort({ 3, 2, 1 }, function(a, b) return t.x end)
    ]],
    ["a long traceback"] = "local function f(n) return n == 0 and error('x') or 1 + f(n - 1) end f(100)",
    ["an error in a coroutine"] = "coroutine.wrap(function() local x = nil; x.y = 1 end)()",
    ["an error in required code"] = "package.path = './?.lua' require('other')",
    ["a syntax error"] = "x = = 1",
    ["an unfinished string"] = "x = 'abc",
    ["a runtime error in a method"] = "local t = { a = {} } t.a.b.c:d()",
    ["arithmetic on what is none"] = "local t = {} return #t + t.x * 2",
    ["comparing what cannot be"] = "return {} < 1",
    ["calling a global that is not there"] = "undefined_function(1)",
    ["a field of nil through an upvalue"] = "local u local function f() return u.x end f()",
    ["error objects: a table"] = "error({ code = 2 })",
    ["error objects: nil"] = "error()",
    ["error objects: nil, said"] = "error(nil)",
    ["error objects: a number"] = "error(42)",
    ["error objects: a number with __tostring around it"] = [[
        error(setmetatable({}, { __tostring = function() return "words of its own" end }))
    ]],
    ["error objects: __tostring that fails"] = [[
        error(setmetatable({}, { __tostring = function() error("inner") end }))
    ]],
    ["error objects: __tostring that returns no string"] = [[
        error(setmetatable({}, { __tostring = function() return 1 end }))
    ]],
    ["error objects: __name"] = "error(setmetatable({}, { __name = 'My type' }))",
    ["error objects: levels"] = "local function f() error('two', 2) end local function g() f() end g()",
    ["error objects: level 0"] = "error('bare', 0)",
    ["an error in a message handler"] = "print(xpcall(error, function() error('again') end, 'x'))",
    ["stack overflow"] = "local function f() return 1 + f() end print(pcall(f)) f()",
    ["C stack overflow"] = [[
        local function f(s) return (s:gsub('.', f)) end
        local ok, err = pcall(f, 'x') print(ok, err)
    ]],
    ["memory that is not there"] = "print(pcall(string.rep, 'x', 1 << 60))",
    ["os.exit: true"] = "os.exit(true)",
    ["os.exit: false"] = "os.exit(false)",
    ["os.exit: a number"] = "io.write('no newline') os.exit(7)",
    ["os.exit: above a byte"] = "os.exit(256 + 3)",
    ["os.exit: close"] = "setmetatable({}, { __gc = function() print('gc') end }) os.exit(3, true)",
    ["os.exit: no close"] = "setmetatable({}, { __gc = function() print('gc') end }) os.exit(3)",
    ["os.exit: to-be-closed variables"] = [[
        local x <close> = setmetatable({}, { __close = function() print('closed') end })
        os.exit(0, true)
    ]],
    ["finalisers at the end, in their order"] = [[
        for i = 1, 3 do setmetatable({}, { __gc = function() print('gc', i) end }) end
        keep = setmetatable({}, { __gc = function() print('global') error('in gc') end })
    ]],
    ["an error in a finaliser with warnings"] = [[
        warn("@on")
        setmetatable({}, { __gc = function() error('in gc') end })
        collectgarbage()
    ]],
    ["to-be-closed variables of the main chunk"] = [[
        local x <close> = setmetatable({}, { __close = function(_, e) print('closed', e) end })
        error('leaving')
    ]],
    ["warn"] = "warn('off') warn('@on') warn('a', 'b', 'c') warn('@off') warn('d') warn('@unknown')",
    ["varargs and what the chunk returns"] = "print(select('#', ...), ...) return 1, 2",
    ["output that is cut off in the middle"] = "io.stdout:write('a') io.stderr:write('b') io.stdout:write('c')",
    ["setvbuf as it is"] = "print(io.stdout:setvbuf('no'), io.stdout:seek('cur'))",
    ["closing standard files"] = "print(io.stderr:close()) print(io.stdout:close()) print('x')",
    ["reading standard input"] = "print(io.read('l', 'n', 'a'))",
    ["coroutine errors and close"] = [[
        local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = print }) error({}) end)
        print(coroutine.resume(co)) print(coroutine.status(co), coroutine.close(co))
        print(pcall(coroutine.wrap(function() error('w') end)))
        print(coroutine.resume(coroutine.running())) print(pcall(coroutine.close, coroutine.running()))
        print(select(2, pcall(coroutine.resume, 1)), select(2, pcall(coroutine.wrap, 1)))
        print(coroutine.isyieldable(), coroutine.resume(co))
    ]],
    ["require: not found, cycles, results"] = [[
        print(pcall(require, 'no.such.module'))
        package.preload.p = function(...) print(...) return nil end
        print(require('p')) print(require('p'))
        package.preload.f = function() return false end
        print(require('f')) print(require('f'))
        print(pcall(require)) print(pcall(require, {}))
        package.path = './?.lua'
        print(require('good')) print(package.searchpath('good', package.path), package.searchpath('x', './?.q'))
        package.searchers = nil print(pcall(require, 'zz'))
    ]],
    ["tracebacks taken by hand"] = [[
        local function f() print(debug.traceback('here')) end
        coroutine.wrap(f)() f() pcall(f)
        print(xpcall(function() local x = 1 + nil end, debug.traceback))
        print(debug.traceback(coroutine.create(print)))
    ]],
    ["names of functions in messages"] = [[
        print(pcall(string.rep)) print(pcall(('x').rep, 'x', {})) print(pcall(setmetatable, 1))
        print(pcall(coroutine.resume)) print(pcall(require)) print(pcall(io.open)) print(pcall(os.exit, 'x'))
        local ok, err = pcall(function() require() end) print(err)
        local ok2, err2 = pcall(function() coroutine.wrap() end) print(err2)
        local ok3, err3 = pcall(function() coroutine.close() end) print(err3)
    ]],
    ["numbers as they are printed"] = "print(1e15, 2^53, 1/0, -0.0, 0x10, 1e100, 10 // 3, 7.0, math.mininteger)",
    ["random numbers can be seeded"] = "math.randomseed(42) print(math.random(), math.random(10))",
    ["load, with modes and names"] = [[
        print(load('x =', 'chunk')) print(load('x =', '=name')) print(load('x =', '@file.lua'))
        print(load('\27Lua', 'b', 't')) print(load('return 1', 't', 'b')) print(dofile('good.lua'))
        print(pcall(dofile, 'nowhere.lua'))
    ]],
}

local files = {
    ["other.lua"] = "local x = 1\nerror('in other')",
    ["good.lua"] = "return ...",
    ["reads.lua"] = "print(#arg, arg[0], arg[1], arg[-1], arg[-2], arg[-3], ...)",
    ["bad.lua"] = "x = = 1",
    ["bom.lua"] = "\u{FEFF}#!/usr/bin/lua\nprint('after', debug.getinfo(1, 'l').currentline)",
}

local function with_files(more)
    local all = {}
    for name, text in pairs(files) do
        all[name] = text
    end
    for name, text in pairs(more or {}) do
        all[name] = text
    end
    return all
end

local options = {
    { "-e", "print(1)" },
    { "-eprint(2)", "-e", "print(...)" },
    { "-e", "x = 1", "-e", "print(x)", "reads.lua", "a", "b" },
    { "-e", "error('in e')" },
    { "-e", "x = = 1" },
    { "-e", "error({})", "reads.lua" },
    { "-e", "print(arg[0], arg[-1], #arg)" },
    { "reads.lua" },
    { "reads.lua", "-x", "--", "y" },
    { "-W", "reads.lua", "q" },
    { "-W", "-e", "warn('on from the start')" },
    { "-E", "reads.lua", "1" },
    { "--", "reads.lua", "z" },
    { "-", "z" },
    { "nowhere.lua" },
    { "bad.lua" },
    { "bom.lua" },
    { "-l", "good" },
    { "-l", "good", "-e", "print(good)" },
    { "-l", "g=good", "-e", "print(g, good)" },
    { "-lgood", "-e", "print(good)" },
    { "-l", "good-v2", "-e", "print(good)" },
    { "-l", "other" },
    { "-l", "nowhere", "reads.lua" },
    { "-e", "os.exit(5)", "reads.lua" },
    { "-e", "io.stderr:write('e') os.exit(false)" },
    { ".", "x" },
    { "" },
}

-- The first line of the message is lua's; then each shows its own options.
local refused = { { "-x" }, { "-e" }, { "-l" }, { "-vx" }, { "-Wx" }, { "-i1" }, { "--nonsense" }, { "-e", "-i" } }

local environments = {
    { LUA_INIT = "print('init', ...)" },
    { LUA_INIT = "print('no')", LUA_INIT_5_4 = "print('5.4')" },
    { LUA_INIT = "@good.lua" },
    { LUA_INIT = "@nowhere.lua" },
    { LUA_INIT = "error('in init')" },
    { LUA_INIT = "x = = 1" },
    { LUA_INIT = "" },
    { LUA_PATH = "./?.q;;", LUA_CPATH = "./?.w;;" },
    { LUA_PATH_5_4 = "./?.q", LUA_PATH = "./?.z", LUA_CPATH_5_4 = ";;./?.w" },
}

-- What a sanitizer does not survive, or has less of.
if fails.sanitized() then
    for _, name in ipairs({ "stack overflow", "C stack overflow", "memory that is not there" }) do
        scripts[name] = nil
    end
end

describe("beside the lua program", function()
    for name, text in pairs(scripts) do
        it("behaves alike: " .. name, function()
            compare({ files = with_files({ ["t.lua"] = text }), stdin = "line\n12 rest\nof it" })
        end)
    end

    for _, args in ipairs(options) do
        it("reads alike: " .. table.concat(args, " "), function()
            compare({ files = with_files(), args = args, stdin = "print('stdin', ...)" })
        end)
    end

    for _, args in ipairs(refused) do
        it("refuses alike: " .. table.concat(args, " "), function()
            local theirs, ours = both({ files = with_files(), args = args })
            assert.equal(theirs.err:match("^[^\n]*\n[^\n]*"), ours.err:match("^[^\n]*\n[^\n]*"))
            assert.equal(theirs.out, ours.out)
            assert.equal(theirs.code, ours.code)
        end)
    end

    for _, env in ipairs(environments) do
        local name, value = next(env)
        it(("heeds alike: %s=%s"):format(name, value), function()
            local code = "print(package.path) print(package.cpath)"
            for _, args in ipairs({ { "-e", code }, { "-E", "-e", code }, { "reads.lua", "x" } }) do
                compare({ files = with_files(), args = args, env = env })
            end
        end)
    end

    it("runs standard input, which may be empty", function()
        compare({ args = {}, stdin = "" })
        compare({ args = {}, stdin = "print(1, ...)\nlocal x <const> = 2 print(x)" })
        compare({ args = { "-" }, stdin = "#!/usr/bin/lua\nprint(debug.getinfo(1, 'S').short_src)" })
    end)

    it("writes to a pipe when its buffer is full, not at each line", function()
        local code = "print('out') io.stderr:write('err\\n') print('out')"
        compare({ args = { "-e", code }, after = " 2>&1" })
    end)

    it("dies alike of a reader that is gone", function()
        local loop = "for i = 1, 1e5 do if not io.write('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n') then break end end"
        compare({ args = { "-e", loop }, after = " | head -n 1; echo ${PIPESTATUS[0]}" })
    end)

    it("fails alike when standard output is full", function()
        compare({ args = { "-e", "print(io.write(('x'):rep(1e5)))" }, after = " >/dev/full" })
    end)

    it("runs compiled chunks alike", function()
        local r = program.with_folder(function(folder)
            program.write_file(folder .. "/make.lua", [[
                local f = assert(io.open("t.luac", "wb"))
                f:write(string.dump(load("print('compiled', ...) error('there')", "@t.lua"), arg[1] == "strip"))
                f:close()
            ]])
            local out = {}
            for _, how in ipairs({ "debug", "strip" }) do
                for i, path in ipairs({ LUA, program.absolute }) do
                    local make = ("%s make.lua %s && "):format(LUA, how)
                    local run = ("exec bash -c 'exec -a moonfleet %s t.luac a'"):format(path)
                    local got = program.shell(make .. run, { folder = folder })
                    out[i] = (out[i] or "") .. got.out .. got.err .. got.code
                end
            end
            return out
        end)
        assert.equal(r[1], r[2])
    end)
end)
