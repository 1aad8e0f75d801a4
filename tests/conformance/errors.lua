local mf = require("moonfleet")
local errors = require("moonfleet.error")
local H = require("tests.conformance.helper")

local function raise(...)
    error(..., 0)
end

local function raise_here()
    error("with position")
end

local function index(x)
    return x.field
end

return function(t)
    local it, assert = t.it, t.assert

    it("raises the same value again, of whatever type", function()
        for _, v in ipairs({ "text", 12, 1.5, true, false }) do
            local ok, err = pcall(H.value, mf.future(raise, v))
            assert.is_false(ok)
            assert.equal(v, err)
        end
    end)

    it("raises nil", function()
        local f = mf.future(raise, nil)
        local ok, err = pcall(H.value, f)
        assert.is_false(ok)
        assert.is_nil(err)
        local again = table.pack(f:result())
        assert.is_false(again[1])
        assert.is_nil(again[2])
        assert.equal("error", again[3].kind)
        assert.equal("failed", f:state())
    end)

    it("raises tables, their metatables by name", function()
        local ok, err = H.result(mf.future(raise, { code = 7 }))
        assert.is_false(ok)
        assert.same({ code = 7 }, err)
        local _, object = H.result(mf.future(raise, errors.new({ kind = "mine", message = "m" })))
        assert.equal(errors.metatable, getmetatable(object))
        assert.equal("mine", object.kind)
    end)

    it("replaces an error value that cannot be sent", function()
        local ok, err = H.result(mf.future(function()
            error(coroutine.create(print))
        end))
        assert.is_false(ok)
        assert.not_nil(err)
    end)

    it("keeps the position of an error string", function()
        local _, err = H.result(mf.future(raise_here))
        H.has(err, "errors.lua:")
        H.has(err, ": with position")
        H.has(select(2, H.result(mf.future(index, nil))), "attempt to index a nil value (local 'x')")
    end)

    it("says where it happened", function()
        local ok, _, info = H.result(mf.future({ label = "fit" }, raise_here))
        assert.is_false(ok)
        assert.equal("error", info.kind)
        assert.equal("fit", info.label)
        assert.equal("string", type(info.worker))
        H.has(info.traceback, "errors.lua:")
    end)

    it("serves on after errors", function()
        for _ = 1, 20 do
            assert.is_false((H.result(mf.future(raise, "x"))))
        end
        assert.equal(9, H.value(mf.future(H.square, 3)))
    end)

    it("turns os.exit in a task into an error", function()
        local ok, err = H.result(mf.future(os.exit, 3))
        assert.is_false(ok)
        assert.not_nil(err)
        assert.equal(9, H.value(mf.future(H.square, 3)))
    end)

    it("fails on a stack overflow and an endless recursion of tables", function()
        local function deep()
            return 1 + deep()
        end
        local ok, err = H.result(mf.future(deep))
        assert.is_false(ok)
        H.has(tostring(err), "stack overflow")
        assert.equal(9, H.value(mf.future(H.square, 3)))
    end)

    it("runs again after errors only when told so", function()
        local path = os.tmpname()
        local function attempt(name, good)
            local file = assert(io.open(name, "a"))
            file:write("x")
            file:close()
            file = assert(io.open(name))
            local n = #file:read("a")
            file:close()
            if n < good then
                error("attempt " .. n)
            end
            return n
        end
        assert.equal(3, H.value(mf.future({ retries = 5, retry_on = "error" }, attempt, path, 3)))
        assert(os.remove(path))
        local ok, err = H.result(mf.future({ retries = 1, retry_on = "error" }, attempt, path, 10))
        assert.is_false(ok)
        H.has(err, "attempt 2")
        assert(os.remove(path))
        ok, err = H.result(mf.future({ retries = 5 }, attempt, path, 10))
        assert.is_false(ok)
        H.has(err, "attempt 1")
        assert(os.remove(path))
        assert.same({ 3, n = 1 }, mf.map({ path }, function(name)
            return attempt(name, 3)
        end, { retries = 4, retry_on = "error" }))
        assert(os.remove(path))
    end)

    it("ends a task that runs too long", function()
        for _, name in ipairs({ "spin", "spin_in_pcall", "spin_in_coroutine" }) do
            local f = mf.future({ timeout = 0.05, label = "slow" }, H[name])
            local ok, err, info = H.result(f)
            assert.is_false(ok)
            assert.equal(errors.metatable, getmetatable(err))
            assert.equal("timeout", err.kind)
            H.has(tostring(err), "'slow'")
            assert.equal("timeout", info.kind)
            assert.equal("failed", f:state())
            assert.equal(9, H.value(mf.future(H.square, 3)))
        end
    end)
end
