-- A worker's interpreter: what it has otherwise than the program, and what it takes over from it.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

for _, backend in ipairs({ "threads", "sequential" }) do
    describe("a worker of " .. backend, function()
        local pool
        local function value(code, ...)
            return H.value(core.submit(pool, nil, load(code), ...))
        end

        setup(function()
            pool = core.pool(backend, { workers = 1, nested = { "levels", 2 } })
        end)
        teardown(function()
            pool:close()
        end)

        it("knows that it is one", function()
            assert.same({ true, backend .. "/1" }, { value([[
                local c = require("moonfleet.core")
                return c.in_task(), c.worker()]]) })
            assert.same({ "levels", 2 }, value("return require('moonfleet.core').nested()"))
            local first, second = value("return require('moonfleet.core').task()"),
                value("return require('moonfleet.core').task()")
            assert.is_true(second > first)
            local here = table.pack(core.in_task(), core.worker(), core.task(), core.nested())
            assert.same({ false, nil, nil, nil, n = 4 }, here)
        end)

        it("has all libraries, and another state than the program's", function()
            for name in ("string table math io os coroutine utf8 debug package"):gmatch("%w+") do
                assert.equal("table", value("return type(" .. name .. ")"), name)
            end
            assert.equal(_VERSION, value("return _VERSION"))
            assert.not_equal(tostring(_G), value("return tostring(debug.getregistry()[2])"))
        end)

        it("loads modules once, in the base environment", function()
            program.with_folder(function(folder)
                program.write_file(folder .. "/is_module.lua", [[
                    is_count = (is_count or 0) + 1
                    is_seen = is_from_task
                    local M = { name = ..., count = is_count }
                    function M.get() return is_later end
                    return M]])
                local use = ([[
                    package.path = %q .. "/?.lua"
                    is_from_task = "task's own"
                    local m = require("is_module")
                    is_later = 1
                    return m.name, m.count, is_count, is_seen, m.get(), rawget(_G, "is_count"), is_from_task]])
                    :format(folder)
                for _ = 1, 2 do
                    assert.same({ "is_module", 1, 1, nil, nil, nil, "task's own", n = 7 }, table.pack(value(use)))
                end
                -- The environment is the task's again, also when the module fails.
                program.write_file(folder .. "/is_bad.lua", "is_leaked = true error('no good')")
                local ok, err, mine, leaked = value(([[
                    package.path = %q .. "/?.lua"
                    is_mine = 1
                    local ok, err = pcall(require, "is_bad")
                    return ok, err, load("return is_mine")(), is_leaked]]):format(folder))
                assert.is_false(ok)
                H.has(err, "no good")
                assert.equal(1, mine)
                assert.is_true(leaked)
                assert.is_nil(value("return is_mine"))
                ok, err = value("return pcall(require, 'is.no.such.module')")
                assert.is_false(ok)
                H.has(err, "module 'is.no.such.module' not found")
                assert.is_false((value("return pcall(require)")))
            end)
            value("package.path = ...", package.path)
        end)

        it("does not end the program by os.exit", function()
            local _, err = H.result(core.submit(pool, nil, os.exit, 9))
            H.has(err, "os.exit(9) was called in a task: that ends the task, not the program")
        end)

        it("may change its own libraries without harm to the program", function()
            value("string.is_new = 1 math.floor = nil")
            assert.is_nil(rawget(string, "is_new"))
            assert.equal("function", type(math.floor))
            value("string.is_new = nil math.floor = math.tointeger")
        end)
    end)
end

describe("a pool's workers", function()
    it("take over package.path and package.cpath as they are when the pool is made", function()
        local path, cpath = package.path, package.cpath
        package.path, package.cpath = "/is/path/?.lua;" .. path, "/is/cpath/?.so;" .. cpath
        local pool = core.pool("threads", { workers = 1 })
        package.path, package.cpath = path, cpath
        local got, cgot = H.value(core.submit(pool, nil, load("return package.path, package.cpath")))
        assert.equal("/is/path/?.lua;" .. path, got)
        assert.equal("/is/cpath/?.so;" .. cpath, cgot)
        pool:close()
    end)

    it("find the script's modules as the script does", function()
        program.with_folder(function(folder)
            assert(os.execute("mkdir " .. program.quote(folder .. "/lib")))
            program.write_file(folder .. "/lib/is_helper.lua", "return { answer = function() return 42 end }")
            program.write_file(folder .. "/s.lua", [[
                package.path = "./lib/?.lua;" .. package.path
                local mf = require("moonfleet")
                local helper = require("is_helper")
                print(mf.future(function() return helper.answer(), require("is_helper") == helper end):value())
                print(mf.map({ 1 }, helper.answer)[1])]])
            for _, plan in ipairs({ "threads", "sequential" }) do
                local r = program.run({ "s.lua" }, { folder = folder, env = { MOONFLEET_PLAN = plan } })
                assert.equal("42\ttrue\n42\n", r.out, r.err)
            end
        end)
    end)

    it("run the collector in generational mode", function()
        local pool = core.pool("threads", { workers = 1 })
        assert.equal("generational", H.value(core.submit(pool, nil, load("return collectgarbage('incremental')"))))
        pool:close()
    end)

    it("cannot be told what cannot be sent", function()
        local co = coroutine.create(print)
        H.has(H.failure(core.pool, "threads", { nested = { co } }), "cannot send a coroutine")
    end)
end)
