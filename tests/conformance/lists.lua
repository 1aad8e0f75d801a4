local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function fail(text)
    error(text, 0)
end

local function squares(n)
    local list = {}
    for i = 1, n do
        list[i] = mf.future(H.square, i)
    end
    return list
end

return function(t, backend)
    local it, assert = t.it, t.assert

    it("collects the first values of a list, nils too", function()
        local list = { mf.future(H.square, 2), mf.future(type, nil), mf.future(function() end) }
        assert.same({ 4, "nil", nil, n = 3 }, mf.value(list, H.LIMIT))
        assert.same({ n = 0 }, mf.value({}))
        assert.equal(9, mf.value(mf.future(H.square, 3), H.LIMIT))
    end)

    it("raises the first error in the order of the list", function()
        local list = { mf.future(H.square, 1), mf.future(fail, "second"), mf.future(fail, "third") }
        assert.equal("second", H.failure(mf.value, list, H.LIMIT))
    end)

    it("names an element that is no future", function()
        for _, name in ipairs({ "value", "wait", "as_completed", "race" }) do
            local err = H.failure(mf[name], { mf.future(H.square, 1), 5 })
            H.has(err, ("mf.%s: element 2 of the list must be a future, not 5"):format(name))
            H.has(H.failure(mf[name], "x"), "expected a list of futures")
        end
    end)

    it("waits for all, for some and for none", function()
        local list = squares(10)
        local done, pending = mf.wait(list, { timeout = H.LIMIT })
        assert.equal(10, done.n)
        assert.equal(0, pending.n)
        done = mf.wait(squares(10), { count = 3, timeout = H.LIMIT })
        assert.is_true(done.n >= 3)
        done, pending = mf.wait({})
        assert.equal(0, done.n + pending.n)
        done = mf.wait({ mf.future(fail, "x") }, { timeout = H.LIMIT })
        assert.equal(1, done.n)
    end)

    it("iterates over futures as they are resolved", function()
        local list, seen, n = squares(2000), {}, 0
        for f, i in mf.as_completed(list) do
            assert(f == list[i] and not seen[i])
            seen[i] = true
            n = n + 1
            assert(f:value() == i * i)
        end
        assert.equal(2000, n)
        for _ in mf.as_completed({}) do
            error("there is nothing in the list")
        end
    end)

    it("takes futures of maps among others", function()
        local list = { mf.map_async({ 1, 2 }, H.square), mf.future(H.square, 3) }
        local values = mf.value(list, H.LIMIT)
        assert.same({ 1, 4, n = 2 }, values[1])
        assert.equal(9, values[2])
        list = { mf.future(H.square, 3), mf.map_async({ 1, 2 }, H.square), mf.map_async({}, H.square) }
        local n = 0
        for f, i in mf.as_completed(list) do
            assert.equal(list[i], f)
            n = n + 1
        end
        assert.equal(3, n)
    end)

    it("returns the first of a race", function()
        assert.equal(9, mf.race({ mf.future(H.square, 3) }))
        assert.equal("x", H.failure(mf.race, { mf.future(fail, "x") }))
        H.has(H.failure(mf.race, {}), "mf.race: the list is empty")
    end)

    if backend.asynchronous then
        it("waits for those that end and tells the others", function()
            local slow = mf.future(H.spin)
            local quick = mf.future(H.square, 3)
            local done, pending = mf.wait({ slow, quick }, { count = 1, timeout = H.LIMIT })
            assert.same({ 1, 1 }, { done.n, pending.n })
            assert.equal(quick, done[1])
            assert.equal(slow, pending[1])
            done = mf.wait({ slow }, { timeout = 0.01 })
            assert.equal(0, done.n)
            assert.equal("timeout", H.failure(mf.value, { slow }, 0.01).kind)
            slow:cancel()
            assert.is_true(slow:wait(H.LIMIT))
        end)

        it("hands out the quick before the slow", function()
            local slow = mf.future(H.spin)
            local order = {}
            for f, i in mf.as_completed({ slow, mf.future(H.square, 1), mf.future(H.square, 2) }) do
                order[#order + 1] = i
                if #order == 2 then
                    slow:cancel()
                end
                assert.is_true(f:resolved())
            end
            assert.equal(1, order[3])
        end)

        it("cancels the losers of a race when told so", function()
            local slow = mf.future(H.spin)
            assert.equal(9, mf.race({ slow, mf.future(H.square, 3) }, { cancel = true }))
            assert.is_true(slow:wait(H.LIMIT))
            assert.equal("cancelled", slow:state())
        end)
    end
end
