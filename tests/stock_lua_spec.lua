-- The module in a stock Lua: Debian's lua5.4, which knows nothing of it but the shared object.
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")

local LUA = "lua5.4"
local LIMIT = (tonumber(os.getenv("TEST_TIMEOUT")) or 120) - 10 -- seconds, for all of the conformance suite
local BUILD = program.absolute:match("^(.*)/[^/]*$")
local CPATH = BUILD .. "/?.so;;"

-- Runs a script in lua5.4. env adds to the environment.
local function stock(text, env, args)
    return program.with_folder(function(folder)
        program.write_file(folder .. "/t.lua", text)
        local all = { LUA_CPATH = CPATH }
        for name, value in pairs(env or {}) do
            all[name] = value
        end
        local words = { "t.lua", table.unpack(args or {}) }
        return program.run(words, { program = LUA, env = all, folder = folder })
    end)
end

local function prints(expected, text, env)
    local r = stock(text, env)
    assert.equal("", r.err)
    assert.equal(expected, r.out)
    assert.equal(0, r.code)
end

-- A sanitizer's library must be there before the program is, which this one is not built with.
if fails.sanitized() then
    pending("the module in a stock Lua: it cannot load what was built with a sanitizer")
    return
end

describe("a stock Lua", function()
    it("is what this is about: another program, without a second Lua inside", function()
        local r = program.shell(("nm -D --defined-only %s/moonfleet.so | awk '{ print $3 }'"):format(BUILD))
        local names = { "", "_array", "_rng", "_stats" }
        assert.equal("luaopen_moonfleet" .. table.concat(names, "\nluaopen_moonfleet") .. "\n", r.out)
        r = program.shell(("ldd %s/moonfleet.so"):format(BUILD))
        assert.truthy(r.out:find("libc.so", 1, true))
        assert.falsy(r.out:find("liblua", 1, true))
    end)

    it("may require parts of it first", function()
        for _, part in ipairs({ "array", "rng", "stats" }) do
            local text = ("local part = require 'moonfleet.%s' local mf = require 'moonfleet' print(part == mf.%s)")
            prints("true\n", text:format(part, part))
        end
    end)

    for _, plan in ipairs({ "sequential", "threads:2", "forks:2", "processes:2", "cluster,hosts=h,transport=local" }) do
        it("has the plan " .. plan, function()
            local script = ([[
                local before = "upvalue"
                given = "global"
                local mf = require "moonfleet"
                mf.plan("%s")
                local r = mf.map({ 1, 2 }, function(x) return before .. given .. x, _VERSION end)
                print(r[1], r[2])
                local ok, err, info = mf.future(function() error("oh") end):result()
                print(ok, err, info.kind)
                mf.future(function() io.write("from a task\n") end):value()
            ]]):format(plan)
            prints("upvalueglobal1\tupvalueglobal2\nfalse\tt.lua:7: oh\terror\nfrom a task\n", script)
        end)
    end

    it("passes the conformance suite", function()
        local r = program.run({ "tests/support/busted.lua", "tests/conformance/backends_spec.lua" }, {
            program = LUA,
            env = { LUA_CPATH = CPATH, MOONFLEET = program.absolute },
            deadline = LIMIT,
        })
        local passed, failed = r.out:match("(%d+) passed, (%d+) failed")
        assert.equal("0", failed, r.out .. r.err)
        assert.is_true(tonumber(passed) > 500)
        assert.equal(0, r.code)
    end)

    it("uses hosts that it reaches by SSH, which have nothing", function()
        local hosts = sshd.new()
        finally(function()
            hosts:close()
        end)
        local server = hosts:start("a")
        local script = ([[
            local mf = require "moonfleet"
            mf.plan("cluster", { hosts = "%s:%d", config = "%s", known_hosts = "%s", workers = 2 })
            print(mf.future(function() return os.getenv("HOME") end):value())
        ]]):format(server.address, server.port, hosts.config, hosts.known_hosts)
        prints(server.home .. "\n", script)
    end)

    it("keeps its globals, its libraries and its signals as they are", function()
        prints(
            "",
            [[
                local function picture()
                    local seen = {}
                    for name, value in pairs(_G) do
                        seen[name .. tostring(value)] = true
                        for key, field in pairs(type(value) == "table" and name ~= "package" and value or {}) do
                            seen[name .. tostring(key) .. tostring(field)] = true
                        end
                    end
                    seen[package.path .. package.cpath .. #package.searchers] = true
                    local status = io.open("/proc/self/status"):read("a")
                    for _, name in ipairs({ "SigBlk", "SigIgn" }) do -- up to 28; the C library has its own
                        seen[name .. status:match(name .. ":%s+%x+(%x%x%x%x%x%x%x)\n")] = true
                    end
                    return seen
                end
                local before = picture()
                local mf = require "moonfleet"
                mf.map({ 1, 2, 3 }, function(x) return x end)
                local after = picture()
                for text in pairs(before) do if not after[text] then print("gone", text) end end
                for text in pairs(after) do if not before[text] then print("new", text) end end
            ]]
        )
    end)

    it("sends globals that were there before the module was, also where they hide the library's", function()
        prints(
            "mine 1 true number\n",
            [[
                function tostring(x) return "mine " .. math.tointeger(x) end
                string = setmetatable({ upper = string.upper }, { __index = string })
                local mf = require "moonfleet"
                local f = mf.future(function() return tostring(1), string.upper("a") == "A", type(1) end)
                print((table.concat({ f:value(), tostring and "true", (select(3, f:value())) }, " ")))
            ]]
        )
    end)

    it("finds modules by name that were loaded before and after", function()
        program.with_folder(function(folder)
            for _, name in ipairs({ "early", "late" }) do
                program.write_file(("%s/%s.lua"):format(folder, name), [[
                    local M, calls = {}, 0
                    function M.count() calls = calls + 1 return calls end
                    return M
                ]])
            end
            prints(
                "1\t1\t1\n",
                ([[
                    package.path = "%s/?.lua;" .. package.path
                    local early = require "early"
                    early.count()
                    local mf = require "moonfleet"
                    mf.plan("threads", { workers = 1 })
                    local a = mf.future(early.count):value()
                    local late = require "late"
                    late.count()
                    -- by name: the worker's own module counts from the start
                    print(a, mf.future(late.count):value(), mf.future(function() return 1 end):value())
                ]]):format(folder)
            )
        end)
    end)

    it("waits in coroutines, and makes futures there", function()
        prints(
            "1\t2\n",
            [[
                local mf = require "moonfleet"
                local co = coroutine.wrap(function()
                    local a = mf.future(function() return 1 end)
                    local b = mf.future(function() return 2 end)
                    return a:await(), b:value()
                end)
                local a, b = co()
                while type(a) ~= "number" do a, b = co() end
                print(a, b)
            ]]
        )
    end)

    it("ends while tasks run, in whatever way, at once and without a trace", function()
        for _, leave in ipairs({ "", "os.exit(0, true)", "os.exit(0)", "error('x')" }) do
            for _, plan in ipairs({ "threads:2", "processes:2", "forks:2" }) do
                local script = ([[
                    local mf = require "moonfleet"
                    mf.plan("%s")
                    local list = {}
                    for i = 1, 2 do list[i] = mf.future(function() while true do end end) end
                    repeat list[1]:wait(0.001) until list[1]:state() == "running"
                    %s
                ]]):format(plan, leave)
                local r = stock(script)
                assert.equal(leave:find("error") and 1 or 0, r.code, plan .. " " .. leave .. r.err)
            end
        end
    end)

    for what, call in pairs({ ["a future"] = "f:value()", ["a list"] = "mf.wait({ f })", time = "mf.sleep(60)" }) do
        it("is interrupted while it waits for " .. what, function()
            local r = program.shell(([[
                folder=$(mktemp -d)
                cd "$folder" && mkfifo gate
                export LUA_CPATH='%s'
                setsid %s -e '
                    local mf = require "moonfleet"
                    local f = mf.future(function() while true do end end)
                    repeat f:wait(0.001) until f:state() == "running"
                    io.open("gate", "w"):close()
                    %s' 2>text &
                pid=$!
                read -r x <gate
                kill -INT $pid
                wait $pid
                echo "code $?"
                cat text
                rm -rf "$folder"]]):format(CPATH, LUA, call))
            assert.truthy(r.out:find("code 1", 1, true), r.out .. r.err)
            assert.truthy(r.out:find("interrupted!", 1, true), r.out .. r.err)
        end)
    end

    it("leaves no worker process when it is killed", function()
        program.with_folder(function(folder)
            local text = ([[
                local mf = require "moonfleet"
                mf.plan("processes:2")
                local pids = mf.map({ 1, 2 }, function()
                    return io.open("/proc/self/stat"):read("a"):match("^%%d+")
                end, { chunk = 1 })
                local f = io.open("%s/pids", "w")
                f:write(table.concat(pids, " "))
                f:close()
                os.execute("kill -9 " .. io.open("/proc/self/stat"):read("a"):match("^%%d+"))
            ]]):format(folder)
            stock(text)
            local pids = {}
            for pid in program.read_file(folder .. "/pids"):gmatch("%d+") do
                pids[#pids + 1] = tonumber(pid)
            end
            assert.equal(2, #pids)
            processes.wait_until_gone(pids)
        end)
    end)

    it("opens and closes in one process, again and again", function()
        program.with_folder(function(folder)
            local path, why = program.compile(
                "tests/support/states.c",
                folder .. "/states",
                program.lua_flags(),
                "$(pkg-config --libs lua5.4 || pkg-config --libs lua-5.4)"
            )
            assert(path, why)
            local r = program.run({ CPATH }, { program = path })
            assert.equal("", r.err)
            assert.equal(0, r.code)
        end)
    end)
end)

describe("the worker program of a stock Lua", function()
    local script = [[
        local mf = require "moonfleet"
        mf.plan("processes:1")
        local ok, err = pcall(function()
            return mf.future(function() return io.open("/proc/self/cmdline"):read("a"):match("^%Z+") end):value()
        end)
        print(ok, err)
    ]]

    local function with_copy(fn)
        program.with_folder(function(folder)
            os.execute(("mkdir -p %s/lib/lua/5.4 %s/bin"):format(folder, folder))
            os.execute(("cp %s/moonfleet.so %s/lib/lua/5.4"):format(BUILD, folder))
            fn(folder, { LUA_CPATH = folder .. "/lib/lua/5.4/?.so", PATH = "/usr/bin:/bin" })
        end)
    end

    local function link(to)
        assert(os.execute(("ln -s %s %s"):format(program.quote(program.absolute), program.quote(to))))
    end

    it("is what MOONFLEET_PROGRAM names", function()
        with_copy(function(folder, env)
            link(folder .. "/other")
            link(folder .. "/bin/moonfleet")
            env.MOONFLEET_PROGRAM = folder .. "/other"
            assert.equal("true\t" .. folder .. "/other\n", stock(script, env).out)
        end)
    end)

    it("or stands in the same prefix as the module", function()
        with_copy(function(folder, env)
            link(folder .. "/bin/moonfleet")
            local r = stock(script, env)
            assert.equal("true\t" .. folder .. "/lib/lua/5.4/../../../bin/moonfleet\n", r.out)
        end)
    end)

    it("or on PATH", function()
        with_copy(function(folder, env)
            os.execute(("mkdir -p %s/else/where"):format(folder))
            link(folder .. "/else/where/moonfleet")
            env.PATH = ("%s/else/where:%s"):format(folder, env.PATH)
            assert.equal("true\t" .. folder .. "/else/where/moonfleet\n", stock(script, env).out)
        end)
    end)

    it("or is missed with words that help", function()
        with_copy(function(_, env)
            local r = stock(script, env)
            assert.truthy(r.out:find("^false\t.*cannot find the program moonfleet"), r.out)
            assert.truthy(r.out:find("MOONFLEET_PROGRAM", 1, true))
            env.MOONFLEET_PROGRAM = "/nowhere/moonfleet"
            assert.truthy(stock(script, env).out:find("/nowhere/moonfleet", 1, true))
        end)
    end)

    it("is not needed for threads and forks", function()
        with_copy(function(_, env)
            local text = "local mf = require 'moonfleet' mf.plan('%s:2') "
                .. "print(mf.future(function() return 1 end):value())"
            assert.equal("1\n", stock(text:format("threads"), env).out)
            assert.equal("1\n", stock(text:format("forks"), env).out)
        end)
    end)
end)

describe("luarocks", function()
    it("makes the rock, which a stock Lua then uses with all that belongs to it", function()
        program.with_folder(function(folder)
            local make = ("luarocks --lua-version=5.4 --tree=%s make --no-doc --deps-mode=none"):format(folder)
            local r = program.shell(make, { env = { BUILD = BUILD, HOME = folder }, deadline = 110 })
            assert.equal(0, r.code, r.out .. r.err)
            prints(
                "4\n9\n",
                "local mf = require 'moonfleet' mf.plan('processes:2') "
                    .. "print(table.unpack(mf.map({ 2 }, function(x) return x * x end))) "
                    .. "mf.plan('threads:2') print(mf.future(function() return 9 end):value())",
                { LUA_CPATH = folder .. "/lib/lua/5.4/?.so", PATH = "/usr/bin:/bin" }
            )
        end)
    end)
end)
