-- One task from bytes to bytes: arguments, dependencies, results, errors.
local core = require("moonfleet.core")
local errors = require("moonfleet.error")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local identity = load("return ...")

local function count(...)
    return select("#", ...)
end

for _, backend in ipairs({ "threads", "sequential" }) do
    describe("a task under " .. backend, function()
        local pool
        local function submit(...)
            return core.submit(pool, nil, ...)
        end

        setup(function()
            pool = core.pool(backend, { workers = 2 })
        end)
        teardown(function()
            pool:close()
        end)

        it("takes and returns any number of values", function()
            assert.equal(0, count(H.value(submit(identity))))
            assert.equal(3, count(H.value(submit(identity, nil, nil, nil))))
            local many = {}
            for i = 1, 240 do
                many[i] = i
            end
            assert.same(many, { H.value(submit(identity, table.unpack(many))) })
            assert.equal(200000, count(H.value(submit(load("return table.unpack({}, 1, 200000)")))))
        end)

        it("gets dependencies as arguments, wherever they stand", function()
            local one, two, nothing = submit(identity, 1, "dropped"), submit(identity, 2), submit(identity)
            assert.same({ 1, "x", 2, 1, n = 5 }, table.pack(H.value(submit(identity, one, "x", two, one, nothing))))
            local list = {}
            for i = 1, 120 do
                list[i] = submit(identity, i)
            end
            assert.same({ table.unpack(list, 1, 0) }, {})
            local got = { H.value(submit(identity, table.unpack(list))) }
            for i = 1, 120 do
                assert.equal(i, got[i])
            end
        end)

        it("runs chains of dependencies", function()
            local add = load("local a, b = ... return a + b")
            local a, b = submit(identity, 1), submit(identity, 1)
            for _ = 1, 60 do
                a, b = b, submit(add, a, b)
            end
            assert.equal(4052739537881, H.value(b))
        end)

        it("fails with what it depends on", function()
            local bad = core.submit(pool, { label = "first" }, error, { code = 5 })
            local next = core.submit(pool, { label = "second" }, identity, 1, bad)
            local ok, err, info = H.result(next)
            assert.is_false(ok)
            assert.equal(5, err.code)
            assert.equal("error", info.kind)
            assert.equal("second", info.label)
            assert.is_false((H.result(submit(identity, next))))
        end)

        it("gets resolved futures inside other values, with their results", function()
            local done = core.submit(pool, { label = "done" }, identity, 1, nil, "x", nil)
            local none, one = submit(identity), submit(identity, false)
            local failed = core.submit(pool, { label = "bad" }, error, { code = 6 })
            for _, f in ipairs({ done, none, one, failed }) do
                assert.is_true(f:wait(H.LIMIT))
            end
            local look = load([[
                local t = ...
                local results = table.pack(t.done:value())
                local ok, err, info = t.failed:result()
                local raised, again = pcall(t.failed.value, t.failed)
                return results.n, results[1], results[3], t.done.label, t.done:state(), t.done:resolved(),
                    t.done:wait(0), select("#", t.none:value()), t.one:value(), ok, err.code, info.kind,
                    info.label, t.failed:state(), raised, again.code, t.done:cancel(), t.done == t.again,
                    type(info.traceback)]])
            local values = { done = done, none = none, one = one, failed = failed, again = done }
            local expected = { 4, 1, "x", "done", "done", true, true, 0, false, false, 6, "error", "bad",
                "failed", false, 6, false, true, "string" }
            for _ = 1, 2 do
                assert.same(expected, { H.value(submit(look, values)) })
            end
            local back = H.value(submit(identity, { done }))[1]
            assert.is_true(core.is_future(back))
            assert.same({ 1, nil, "x", nil, n = 4 }, table.pack(back:value()))
            local captured = H.value(submit(function()
                return done:value() + (none:value() or 1)
            end))
            assert.equal(2, captured)
        end)

        it("has globals of its own", function()
            assert.equal("table", H.value(submit(load("x = 1 return type(_G)"))))
            assert.is_nil(H.value(submit(load("return x"))))
            assert.is_true(H.value(submit(load("y = 2 return _G == _ENV and rawget(_G, 'y') == 2"))))
            assert.equal(5, H.value(submit(load("z = 5 return load('return z')()"))))
            assert.is_true(H.value(submit(load("return debug.getregistry()[2] == _G"))))
        end)

        it("sees no globals of the program but those it names", function()
            _G.rs_global = { 1 }
            assert.is_nil(H.value(submit(load("return _G['rs_' .. 'global']"))))
            _G.rs_global = nil
        end)

        it("can run packages and setups first", function()
            local options = { packages = { "moonfleet.range" } }
            assert.is_true(H.value(core.submit(pool, options, load("return package.loaded['moonfleet.range'] ~= nil"))))
            H.value(core.submit(pool, { setup = true, worker = 1 }, load("rs_kept = 'kept'")))
            assert.equal("kept", H.value(core.submit(pool, { worker = 1 }, load("return rs_kept"))))
            H.value(core.submit(pool, { setup = true, worker = 1 }, load("rs_kept = nil")))
        end)

        -- Every type of error value, and what arrives.
        it("raises any value", function()
            for _, v in ipairs({ true, false, 0, -1.5, 1 / 0, "", "text", "a\0b" }) do
                local ok, err, info = H.result(submit(error, v, 0))
                assert.is_false(ok)
                assert.equal(v, err)
                assert.equal(math.type(v), math.type(err))
                assert.equal("error", info.kind)
            end
            local results = table.pack(H.result(submit(error)))
            assert.equal(3, results.n)
            assert.is_nil(results[2])
            local _, err = H.result(submit(error, print))
            assert.equal(print, err)
            local t = {}
            t.self = t
            _, err = H.result(submit(error, t))
            assert.equal(err, err.self)
            _, err = H.result(submit(load("error(function() return 7 end)")))
            assert.equal(7, err())
            _, err = H.result(submit(error, errors.new({ kind = "mine", message = "m" })))
            assert.is_true(errors.is(err))
        end)

        it("describes error values that cannot be sent", function()
            local _, err = H.result(submit(load("error(coroutine.create(print))")))
            assert.matches("^thread: ", err)
            _, err = H.result(submit(load("error({ file = io.tmpfile() })")))
            assert.matches("^table: ", err)
            _, err = H.result(submit(load("error(io.tmpfile())")))
            assert.matches("^file %(", err)
            _, err = H.result(submit(load(
                "error(setmetatable({ io.tmpfile() }, { __tostring = function() return 'my words' end }))")))
            assert.equal("my words", err)
            for _, tostring_method in ipairs({ "error", "function() error({}) end", "function() return {} end" }) do
                _, err = H.result(submit(load(("error(setmetatable({ io.tmpfile() }, { __tostring = %s }))"):format(
                    tostring_method))))
                assert.equal("(error object is a table value)", err)
            end
        end)

        it("sends error objects whose __tostring raises", function()
            local ok, err = H.result(submit(load("error(setmetatable({ code = 8 }, { __tostring = error }))")))
            assert.is_false(ok)
            assert.equal(8, err.code)
        end)

        it("gives the worker's traceback, label and name", function()
            local _, err, info = H.result(core.submit(pool, { label = "fit" }, load(
                "local function inner() error('deep') end local function outer() inner() end outer()", "=task.lua")))
            assert.equal("task.lua:1: deep", err)
            assert.equal("fit", info.label)
            assert.matches("^" .. backend .. "/%d$", info.worker)
            H.has(info.traceback, "in upvalue 'inner'")
            H.has(info.traceback, "in local 'outer'")
            assert.is_nil(info.element)
        end)

        it("fails when its result cannot be sent, with the path", function()
            local ok, err, info = H.result(submit(load("return 1, { log = { io.stdout } }")))
            assert.is_false(ok)
            H.has(err, "cannot send")
            H.has(err, "result 2.log[1]")
            assert.equal("error", info.kind)
        end)

        it("survives errors in odd places", function()
            local places = {
                "error()",
                "local x <close> = setmetatable({}, { __close = error }) error('x')",
                "setmetatable({}, { __gc = error }) collectgarbage() error('x')",
                "local function f() return f() + 1 end f()",
                "string.rep('x', 1 << 62)",
                "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]",
                "return table.unpack({}, 1, 1e7)",
                "error(setmetatable({}, { __index = error, __eq = error, __len = error, __pairs = error }))",
                "debug.setmetatable(nil, { __index = error }) local x local ok = pcall(function() return x.y end) "
                    .. "debug.setmetatable(nil, nil) error(ok)",
                "coroutine.wrap(error)({})",
                "return setmetatable({}, { __pairs = error, __index = error, __metatable = 'locked' })",
                "collectgarbage('stop') local t = {} for i = 1, 1e5 do t[i] = {} end error(t)",
            }
            for _, code in ipairs(places) do
                local f = submit(load(code))
                assert.is_true(f:wait(H.LIMIT), code)
                f:result()
                assert.equal(49, H.value(submit(H.square, 7)), code)
            end
        end)
    end)
end

describe("the program's message for a task's error", function()
    local function fail(plan, code)
        local r = program.script("local mf = require('moonfleet') " .. code, nil, { env = { MOONFLEET_PLAN = plan } })
        assert.equal(1, r.code)
        assert.equal("", r.out)
        return r.err
    end

    for _, plan in ipairs({ "threads:2", "sequential" }) do
        it("has the remote traceback, " .. plan, function()
            local err = fail(plan, "mf.future({ label = 'fit' }, function() local x = nil return x.y end):value()")
            assert.matches("^moonfleet: script%.lua:1: attempt to index a nil value %(local 'x'%)\n"
                .. "remote traceback %(worker %a+/%d, 'fit'%):\n.-script%.lua:1: in .-\nstack traceback:\n", err)
        end)

        it("has it for an element of a map, " .. plan, function()
            local err = fail(plan, "mf.map({ 1, 2, 3 }, function(x) if x == 2 then error('two') end end)")
            assert.matches("^moonfleet: script%.lua:1: two %(element 2 of mf%.map%)\n", err)
            H.has(err, "remote traceback (worker ")
        end)

        it("tells objects by their own words, " .. plan, function()
            local err = fail(plan, "mf.future(function() error(setmetatable({}, { __tostring = function() "
                .. "return 'my words' end })) end):value()")
            assert.matches("^moonfleet: my words\nremote traceback", err)
            err = fail(plan, "mf.future(function() error({}) end):value()")
            assert.matches("^moonfleet: %(error object is a table value%)\nremote traceback", err)
            err = fail(plan, "mf.future(function() error() end):value()")
            assert.matches("^moonfleet: ", err)
            assert.matches("nil", err)
        end)

        it("comes even if __tostring raises, " .. plan, function()
            local err = fail(plan, "mf.future(function() error(setmetatable({}, { __tostring = function() "
                .. "error('again') end })) end):value()")
            assert.matches("^moonfleet: .", err)
        end)

        it("is not that of an earlier error, " .. plan, function()
            local err = fail(plan, "pcall(function() mf.future(error, 'first'):value() end) error('second')")
            assert.is_nil(err:find("remote", 1, true))
        end)
    end
end)
