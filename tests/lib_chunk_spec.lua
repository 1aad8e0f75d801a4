-- Chunks of maps: elements in, results out, for every kind and mode.
local core = require("moonfleet.core")
local H = require("tests.conformance.helper")

local double = load("local x = ... return x * 2")

for _, backend in ipairs({ "threads", "sequential" }) do
    describe("a chunk under " .. backend, function()
        local pool

        -- The future of a chunk, its results and what collect returned.
        local function run(fn, options, kind, first, last, a, b, fn2)
            local f = core.chunk(pool, core.code(nil, fn, fn2), options, kind, first, last, a, b)
            assert.is_true(f:wait(H.LIMIT))
            local results, errors, tracebacks = {}, {}, {}
            local returned = table.pack(f:collect(results, errors, tracebacks))
            return results, returned, errors, tracebacks
        end

        setup(function()
            pool = core.pool(backend, { workers = 1 })
        end)
        teardown(function()
            pool:close()
        end)

        it("takes the elements of a list, raw", function()
            local results, returned = run(double, nil, "list", 2, 4, { 1, 2, 3, 4, 5 })
            assert.same({ nil, 4, 6, 8 }, results)
            assert.same({ true, 3, n = 2 }, returned)
            local list = setmetatable({ 1 }, { __index = error, __len = error })
            assert.same({ 2 }, (run(double, nil, "list", 1, 1, list)))
            assert.same({ [2] = true }, (run(load("return ... == nil"), nil, "list", 2, 2, list)))
        end)

        it("takes a list that begins later", function()
            local results = run(double, { offset = 100 }, "list", 101, 103, { 1, 2, 3 })
            assert.same({ [101] = 2, [102] = 4, [103] = 6 }, results)
        end)

        it("takes a range of integers or floats", function()
            assert.same({ [3] = 14, [4] = 16 }, (run(double, nil, "range", 3, 4, 5, 1)))
            assert.same({ 0.5, 1.0, 1.5 }, (run(double, nil, "range", 1, 3, 0.25, 0.25)))
            assert.same({ "float", "float" }, (run(math.type, nil, "range", 1, 2, 1.0, 1)))
            assert.same({ "integer", "integer" }, (run(math.type, nil, "range", 1, 2, 10, -10)))
            assert.same({ math.maxinteger - 1, math.maxinteger },
                (run(load("return ..."), nil, "range", 1, 2, math.maxinteger - 1, 1)))
        end)

        it("takes tables of arguments", function()
            local count = load("return select('#', ...) .. ':' .. tostring((...))")
            local rows = { { 1, 2 }, {}, { n = 3 }, { nil, 2, n = 2 }, { 5, 6, 7, n = 1 } }
            assert.same({ "2:1", "0:nil", "3:nil", "2:nil", "1:5" }, (run(count, nil, "star", 1, 5, rows)))
            local _, returned = run(count, nil, "star", 1, 1, { 5 })
            assert.is_false(returned[1])
            H.has(returned[3], "an element must be a table of arguments, not a number")
        end)

        it("takes pairs", function()
            local add = load("local a, b = ... return a + b")
            assert.same({ 11, 22 }, (run(add, nil, "pairs", 1, 2, { 1, 2 }, { 10, 20 })))
            assert.same({ [8] = 33 }, (run(add, { offset = 7 }, "pairs", 8, 8, { 3 }, { 30 })))
        end)

        it("keeps one result for each element, nil too", function()
            local fn = load("local x = ... if x ~= 2 then return x, 'dropped' end")
            local results, returned = run(fn, nil, "range", 1, 3, 1, 1)
            assert.same({ 1, nil, 3 }, results)
            assert.same({ true, 3, n = 2 }, returned)
        end)

        it("drops the results of each", function()
            local results, returned = run(load("return io.stdout"), { mode = "each" }, "range", 1, 3, 1, 1)
            assert.same({}, results)
            assert.same({ true, 3, n = 2 }, returned)
        end)

        it("makes booleans of a filter's results", function()
            local given = { true, false, nil, 0, "" }
            local results = run(load("return ..."), { mode = "filter" }, "list", 1, 5, given)
            assert.same({ true, false, false, true, true }, results)
        end)

        it("folds", function()
            local text = load("local a, b = ... return a .. ',' .. b")
            local _, returned = run(text, { mode = "fold" }, "range", 3, 6, 1, 1)
            assert.same({ true, "3,4,5,6", n = 2 }, returned)
            _, returned = run(text, { mode = "fold" }, "list", 1, 1, { "alone" })
            assert.same({ true, "alone", n = 2 }, returned)
            _, returned = run(double, { mode = "mapfold" }, "range", 1, 4, 1, 1, text)
            assert.same({ true, "2,4,6,8", n = 2 }, returned)
            local add = load("local a, b = ... return a + b")
            _, returned = run(add, { mode = "mapfold" }, "pairs", 1, 3, { 1, 2, 3 }, { 10, 20, 30 }, add)
            assert.same({ true, 66, n = 2 }, returned)
            _, returned = run(text, { mode = "fold" }, "star", 1, 2, { { 1, 2 }, { 3, 4 } })
            H.has(returned[3], "a fold takes elements of one value")
        end)

        it("stops at the first error and names its element", function()
            local fail = load("local x = ... if x == 30 then error({ code = x }) end return x")
            local results, returned = run(fail, nil, "list", 11, 13, { [11] = 10, [12] = 30, [13] = 30 })
            assert.same({}, results)
            assert.same({ false, 12 }, { returned[1], returned[2] })
            assert.equal(30, returned[3].code)
            assert.equal("error", returned[4].kind)
            assert.equal(12, returned[4].element)
            H.has(returned[4].traceback, "stack traceback")
        end)

        it("names the element whose result cannot be sent", function()
            local _, returned = run(load("local x = ... return x == 2 and io.stdout or x"), nil, "range", 1, 3, 1, 1)
            assert.same({ false, 2 }, { returned[1], returned[2] })
            H.has(returned[3], "result of element 2")
        end)

        it("collects errors beside the results, with their tracebacks", function()
            local fail = load([[
                local x = ...
                if x == 2 then error() end
                if x == 3 then error({ code = 3 }) end
                if x == 4 then error(coroutine.create(print)) end
                if x == 5 then error(setmetatable({ io.stdout }, { __tostring = error })) end
                return x]])
            local results, returned, errors, tracebacks = run(fail, { collect = true }, "range", 1, 6, 1, 1)
            assert.same({ true, 6, n = 2 }, returned)
            assert.same({ [1] = 1, [6] = 6 }, results)
            assert.is_nil(errors[2])
            assert.equal(3, errors[3].code)
            assert.matches("^thread: ", errors[4])
            assert.equal("(error object is a table value)", errors[5])
            for i = 1, 6 do
                assert.equal(i > 1 and i < 6, tracebacks[i] ~= nil)
            end
            H.has(tracebacks[3], "stack traceback")
        end)

        it("does not collect an interrupt", function()
            if backend == "threads" then
                local code = core.code(nil, load("while true do end"))
                local f = core.chunk(pool, code, { collect = true, timeout = 0.05 }, "range", 1, 1000, 1, 1)
                assert.is_true(f:wait(H.LIMIT))
                local ok, element, err, info = f:collect({}, {})
                assert.is_false(ok)
                assert.is_nil(element)
                assert.equal("timeout", info.kind)
                assert.equal("timeout", err.kind)
            end
            local f = core.chunk(pool, core.code(nil, os.exit), { collect = true }, "range", 1, 1000, 1, 1)
            assert.is_true(f:wait(H.LIMIT))
            local ok, element, err = f:collect({}, {})
            assert.same({ false, 1 }, { ok, element })
            H.has(err, "os.exit(1) was called in a task")
        end)

        it("gives each element the stream of its position", function()
            local draw = load("return math.random(0)")
            local whole = run(draw, { seed = 3 }, "range", 1, 6, 1, 1)
            for i = 1, 6 do
                local one = run(draw, { seed = 3 }, "range", i, i, 1, 1)
                assert.equal(whole[i], one[i])
            end
            local shifted = run(draw, { seed = 3, stream = 5 }, "range", 1, 2, 1, 1)
            assert.same({ whole[5], whole[6] }, shifted)
        end)

        it("is collected once, into what is there", function()
            local code = core.code(nil, double)
            local f = core.chunk(pool, code, nil, "range", 1, 3, 1, 1)
            assert.is_false((pcall(f.collect, f, 1)))
            assert.is_false((pcall(f.collect, f, {}, "x")))
            assert.same({ true, 3 }, { f:collect() })
            assert.is_false((pcall(f.collect, f, {})))
            assert.equal("done", f:state())
            assert.equal(0, select("#", f:value()))
            local g = core.chunk(pool, code, nil, "range", 1, 3, 1, 1)
            assert.same({ 2, 4, 6 }, { g:value() })
            assert.is_false((pcall(g.collect, g, {})))
            assert.is_false((pcall(f.collect, core.submit(pool, nil, double, 1), {})))
        end)

        it("is refused when it is no chunk", function()
            local code = core.code(nil, double)
            local wrong = {
                { nil, "list", 0, 1, {} },
                { nil, "list", 2, 1, {} },
                { nil, "list", 1, 1, 5 },
                { nil, "pairs", 1, 1, {} },
                { nil, "heap", 1, 1, {} },
                { { mode = "x" }, "list", 1, 1, {} },
                { { output = "x" }, "list", 1, 1, {} },
                { nil, "list", 1, 1, { coroutine.create(print) } },
                { nil, "list", "a", 1, {} },
            }
            for i, args in ipairs(wrong) do
                assert.is_false((pcall(core.chunk, pool, code, table.unpack(args, 1, 6))), tostring(i))
            end
            assert.is_false((pcall(core.chunk, pool, double, nil, "list", 1, 1, {})))
            assert.is_false((pcall(core.code, nil, "x")))
            assert.is_false((pcall(core.code, nil, double, coroutine.create(print))))
        end)
    end)
end
