-- Files of numpy's format: runtime/array_npy.c. The bytes below were written by numpy 1.24.
local lfs = require("lfs")
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

-- A file's head as numpy writes it.
local function npy(descr, fortran, shape, data, version)
    local order = fortran and "True" or "False"
    local head = ("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }"):format(descr, order, shape)
    version = version or 1
    local size = version == 1 and 10 or 12
    head = head .. (" "):rep(-(size + #head + 1) % 64) .. "\n"
    local length = version == 1 and ("<I2"):pack(#head) or ("<I4"):pack(#head)
    return "\x93NUMPY" .. string.char(version, 0) .. length .. head .. data
end

describe(".npy files", function()
    local folder, path

    before_each(function()
        folder = os.tmpname()
        os.remove(folder)
        assert(lfs.mkdir(folder))
        path = folder .. "/a.npy"
    end)

    after_each(function()
        for name in lfs.dir(folder) do
            if name ~= "." and name ~= ".." then
                os.remove(folder .. "/" .. name)
            end
        end
        assert(lfs.rmdir(folder))
    end)

    local function write(bytes)
        local file = assert(io.open(path, "wb"))
        assert(file:write(bytes))
        assert(file:close())
    end

    local function read()
        local file = assert(io.open(path, "rb"))
        local bytes = file:read("a")
        file:close()
        return bytes
    end

    it("are written as numpy writes them", function()
        array({ { 1, 2, 3 }, { 4, 5, 6 } }):save(path)
        assert.equal(npy("<f8", false, "(2, 3)", ("<dddddd"):pack(1, 2, 3, 4, 5, 6)), read())
        array({ 1, 255 }, "u8"):save(path)
        assert.equal(npy("|u1", false, "(2,)", "\1\255"), read())
        array({ { 1, 2 }, { 3, 4 } }, "i32"):transpose():save(path)
        assert.equal(npy("<i4", false, "(2, 2)", ("<i4i4i4i4"):pack(1, 3, 2, 4)), read())
    end)

    it("are read back, of every dtype and shape", function()
        for _, dtype in ipairs({ "f64", "f32", "i64", "i32", "u8" }) do
            for _, shape in ipairs({ { 5 }, { 2, 3 }, { 0, 4 }, { 1, 2, 3, 4 } }) do
                local a = array.zeros(shape, dtype)
                if a.size > 0 then
                    a = array.range(a.size):reshape(shape):as(dtype)
                end
                assert.is_true(rawequal(a, a:save(path)))
                local b = array.load(path)
                assert.is_true(a == b and b.dtype == dtype)
                assert.same(shape, b.shape)
            end
        end
    end)

    it("are read in other orders, widths and versions", function()
        write(npy("<f8", true, "(2, 3)", ("<dddddd"):pack(1, 4, 2, 5, 3, 6)))
        assert.same({ { 1.0, 2.0, 3.0 }, { 4.0, 5.0, 6.0 } }, array.load(path):totable())
        write(npy(">i4", false, "(2,)", (">i4i4"):pack(1, -2)))
        assert.same({ 1, -2 }, array.load(path):totable())
        write(npy("<i2", false, "(3,)", ("<i2i2i2"):pack(1, -2, 30000)))
        assert.same({ 1, -2, 30000 }, array.load(path):totable())
        assert.equal("i32", array.load(path).dtype)
        write(npy("|i1", false, "(2,)", "\255\5"))
        assert.same({ -1, 5 }, array.load(path):totable())
        write(npy(">u2", false, "(2,)", "\255\255\0\1"))
        assert.same({ 65535, 1 }, array.load(path):totable())
        write(npy("<u4", false, "(1,)", "\255\255\255\255"))
        assert.same({ 4294967295 }, array.load(path):totable())
        assert.equal("i64", array.load(path).dtype)
        write(npy("|b1", false, "(2,)", "\1\0"))
        assert.same({ 1, 0 }, array.load(path):totable())
        write(npy("<f4", false, "()", ("<f"):pack(0.5), 2))
        assert.same({ 0.5 }, array.load(path):totable())
        write(npy("<f8", false, "(1,)", ("<d"):pack(2), 3))
        assert.same({ 2.0 }, array.load(path):totable())
    end)

    it("are mapped, read-only or apart", function()
        array.range(100000):reshape(1000, 100):save(path)
        local a = array.load(path, { map = "read" })
        assert.equal(100000, a:get(-1, -1))
        assert.equal(5000050000, a:sum())
        fails("array mapped from a file is read-only; use :copy()", a.fill, a, 0)
        local mine = a:copy()
        mine[1] = 0
        assert.equal(1, a:get(1, 1))
        local b = array.load(path, { map = "private" })
        b[1] = -1
        assert.equal(-100, b[1]:sum())
        assert.equal(5050, array.load(path)[1]:sum())
        write(npy("<f8", true, "(2, 3)", ("<dddddd"):pack(1, 4, 2, 5, 3, 6)))
        assert.same({ { 1.0, 2.0, 3.0 }, { 4.0, 5.0, 6.0 } }, array.load(path, { map = "read" }):totable())
        write(npy(">f8", false, "(1,)", (">d"):pack(1)))
        fails("cannot map " .. path .. ": its numbers are not as this machine has them; load it instead",
            array.load, path, { map = "read" })
        fails("option 'map' must be", array.load, path, { map = "write" })
    end)

    it("cross to tasks when they are mapped", function()
        array.range(100000):save(path)
        local a = array.load(path, { map = "read" })
        for _, plan in ipairs({ "threads", "processes" }) do
            mf.with_plan(plan, function()
                local f = mf.future(function()
                    return a:sum(), #a
                end)
                assert.same({ 5000050000.0, 100000 }, { H.value(f) })
            end)
        end
    end)

    it("say what is wrong with them", function()
        fails("cannot read " .. folder .. "/none: No such file or directory", array.load, folder .. "/none")
        for what, bytes in pairs({
            ["it is no .npy file"] = "hello, this is some text",
            ["it is of version 9.0 of the format"] = npy("<f8", false, "(1,)", "", 9),
            ["its numbers are of a kind that is not supported"] = npy("<c16", false, "(1,)", ("x"):rep(16)),
            ["its head is damaged"] = npy("<f8", false, "(1,x)", ("x"):rep(8)),
            ["it ends before its last number"] = npy("<f8", false, "(2,)", ("x"):rep(15)),
            ["it ends too early"] = npy("<f8", false, "(2,)", ""):sub(1, 40),
        }) do
            write(bytes)
            fails(what, array.load, path)
        end
        write(npy("<f8", false, "(1, 1, 1, 1, 1, 1, 1, 1, 1)", ("x"):rep(8)))
        fails("more than 8 axes", array.load, path)
        write(npy("<f8", false, "(4611686018427387904, 4611686018427387904)", ""))
        fails("it ends before its last number", array.load, path)
    end)

    it("leave what was there alone when they cannot be written", function()
        array({ 1 }):save(path)
        fails("cannot write " .. folder .. "/no/a.npy: No such file or directory", function()
            array({ 2 }):save(folder .. "/no/a.npy")
        end)
        assert(lfs.mkdir(folder .. "/d"))
        fails("cannot write " .. folder .. "/d", function()
            array({ 2 }):save(folder .. "/d")
        end)
        assert(lfs.rmdir(folder .. "/d"))
        local names = {}
        for name in lfs.dir(folder) do
            names[#names + 1] = name
        end
        assert.equal(3, #names) -- ".", "..", "a.npy"
        assert.equal(1, array.load(path)[1])
    end)
end)
