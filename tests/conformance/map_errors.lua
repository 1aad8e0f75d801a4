local mf = require("moonfleet")
local errors = require("moonfleet.error")
local H = require("tests.conformance.helper")

local function bad_even(x)
    if x % 2 == 0 then
        error("even", 0)
    end
    return x
end

local function bad_table(x)
    if x == 3 then
        error({ code = x })
    end
    return x
end

local function bad_nil(x)
    if x == 2 then
        error(nil)
    end
    return x
end

-- Fails at one element; the others do not end by themselves.
local function fail_or_spin(x)
    if x == 1 then
        error("first", 0)
    end
    H.spin()
end

local function always_bad()
    error("bad", 0)
end

return function(t, backend)
    local it, assert = t.it, t.assert

    it("names the element by its position in the whole", function()
        for _, chunk in ipairs({ 1, 4, 100 }) do
            local err = H.failure(mf.map, { 1, 3, 5, 7, 9, 10, 11 }, bad_even, { chunk = chunk })
            assert.equal("even (element 6 of mf.map)", err)
        end
        local err = H.failure(mf.map, { 2 }, bad_even, { label = "fit" })
        assert.equal("even (element 1 of mf.map 'fit')", err)
    end)

    it("names the function and the key", function()
        H.has(H.failure(mf.starmap, { { 1 }, { 2 } }, bad_even), "even (element 2 of mf.starmap)")
        H.has(H.failure(mf.map_pairs, { [1] = 0, [2] = 0 }, bad_even), "even (element 2 of mf.map_pairs)")
        H.has(H.failure(mf.map_pairs, { k = 0 }, always_bad), 'bad (element "k" of mf.map_pairs)')
        H.has(H.failure(mf.filter, { 1, 2 }, bad_even), "even (element 2 of mf.filter)")
        H.has(H.failure(mf.each, mf.range(2), bad_even), "even (element 2 of mf.each)")
        H.has(H.failure(mf.replicate, 3, bad_even), "even (element 2 of mf.replicate)")
        H.has(H.failure(mf.mapreduce, mf.range(3), bad_even, H.add), "even (element 2 of mf.mapreduce)")
        H.has(H.failure(mf.reduce, { 1, {}, 2 }, H.add), "(element 2 of mf.reduce)")
        H.has(H.failure(H.value, mf.map_async({ 1, 2 }, bad_even)), "even (element 2 of mf.map_async)")
    end)

    it("raises other values as they are", function()
        local err = H.failure(mf.map, { 1, 2, 3 }, bad_table)
        assert.same({ code = 3 }, err)
        local ok, nothing = pcall(mf.map, { 1, 2, 3 }, bad_nil)
        assert.is_false(ok)
        assert.is_nil(nothing)
    end)

    it("collects errors when told so", function()
        for _, chunk in ipairs({ 1, 3, 100 }) do
            local given = { on_error = "collect", chunk = chunk }
            local results, failures = mf.map({ 1, 2, 3, 4, 5 }, bad_even, given)
            assert.same({ 1, nil, 3, nil, 5, n = 5 }, results)
            assert.same({ [2] = "even", [4] = "even", n = 2 }, failures)
        end
        local _, none = mf.map({ 1, 3 }, bad_even, { on_error = "collect" })
        assert.same({ n = 0 }, none)
    end)

    it("collects errors of any value", function()
        local _, failures = mf.map({ 1, 2, 3 }, bad_table, { on_error = "collect" })
        assert.same({ code = 3 }, failures[3])
        _, failures = mf.map({ 1, 2, 3 }, bad_nil, { on_error = "collect" })
        assert.equal(1, failures.n)
        assert.equal("nil", tostring(failures[2]))
    end)

    it("collects in every kind of map", function()
        local given = { on_error = "collect" }
        local sum, failures = mf.map(mf.range(5), bad_even, { on_error = "collect", combine = H.add })
        assert.equal(9, sum)
        assert.equal(2, failures.n)
        local kept
        kept, failures = mf.filter(mf.range(5), bad_even, given)
        assert.same({ 1, 3, 5, n = 3 }, kept)
        assert.equal(2, failures.n)
        local count
        count, failures = mf.each(mf.range(5), bad_even, given)
        assert.equal(5, count)
        assert.same({ [2] = "even", [4] = "even", n = 2 }, failures)
        local _, by_key = mf.map_pairs({ a = 1 }, always_bad, given)
        assert.same({ a = "bad" }, by_key)
        _, failures = H.value(mf.map_async(mf.range(5), bad_even, given))
        assert.equal(2, failures.n)
    end)

    it("tells about the error of a map that is a future", function()
        local f = mf.map_async({ 1, 2, 3 }, bad_even, { label = "m" })
        local ok, err, info = H.result(f)
        assert.is_false(ok)
        H.has(err, "even (element 2 of mf.map_async 'm')")
        assert.equal("error", info.kind)
        assert.equal("failed", f:state())
        assert.equal(err, H.failure(f.value, f))
    end)

    it("serves on after a map that failed", function()
        for _ = 1, 5 do
            H.failure(mf.map, mf.range(100), bad_even)
            assert.same({ 1, 4, n = 2 }, mf.map({ 1, 2 }, H.square))
        end
    end)

    it("leaves the pool usable when the iterator or a fold raises", function()
        local n = 0
        H.has(H.failure(mf.map, function()
            n = n + 1
            return n < 50 and n or error("no more")
        end, H.square), "no more")
        H.has(H.failure(mf.map, mf.range(50), H.square, {
            combine = function()
                error("no fold")
            end,
        }), "no fold")
        assert.same({ 1, 4, n = 2 }, mf.map({ 1, 2 }, H.square))
    end)

    it("ends an element that runs too long, and names it", function()
        local function slow(x)
            if x == 3 then
                H.spin()
            end
            return x
        end
        local err = H.failure(mf.map, { 1, 2, 3, 4 }, slow, { timeout = 0.5 })
        assert.is_true(errors.is(err))
        assert.equal("timeout", err.kind)
        assert.equal(3, err.element)
        H.has(tostring(err), "(element 3 of mf.map)")
        local results, failures = mf.map({ 1, 2, 3, 4 }, slow, { timeout = 0.5, on_error = "collect" })
        assert.same({ 1, 2, nil, 4, n = 4 }, results)
        assert.equal(1, failures.n)
        assert.equal("timeout", failures[3].kind)
    end)

    if backend.asynchronous then
        it("cancels the siblings of an element that fails", function()
            local err = H.failure(mf.map, mf.range(10), fail_or_spin, { chunk = 1 })
            assert.equal("first (element 1 of mf.map)", err)
            local f = mf.map_async(mf.range(10), fail_or_spin, { chunk = 1 })
            H.has(H.failure(H.value, f), "first (element 1")
            for i = 1, 2 * mf.workers() do
                assert.equal(i * i, H.value(mf.future(H.square, i)))
            end
        end)
    end
end
