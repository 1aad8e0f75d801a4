-- Shares: vm/lib_share.c, runtime/share.c, stdlib/moonfleet/share.lua. What they mean under every plan is in
-- conformance/arrays.lua; here is what becomes of their memory.
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local array = mf.array
local LARGE = 1 << 20 -- elements: 8 MB

local function fails(part, fn, ...)
    H.has(H.failure(fn, ...), part)
end

-- The inode of memory of at least 8 MB that this process has mapped from descriptors of ours; nil if there is none.
local function mapped()
    for line in io.lines("/proc/self/maps") do
        local from, to, inode = line:match("^(%x+)%-(%x+) %S+ %x+ %S+ (%d+) +/memfd:moonfleet")
        if from and tonumber(to, 16) - tonumber(from, 16) >= 8 * LARGE then
            return inode
        end
    end
    return nil
end

describe("mf.share", function()
    it("gives a read-only array of the same numbers, without a copy", function()
        local a = array.range(6):reshape(2, 3)
        local s = mf.share(a)
        assert.is_true(s == a)
        assert.same({ 2, 3 }, s.shape)
        for _, write in ipairs({
            function() s[1] = 0 end, function() s:set(1, 1, 0) end, function() s:fill(0) end,
            function() s[1][2] = 0 end, function() s:add(1, s) end, function() s:slice(1, 1):assign(s[2]) end,
        }) do
            fails("shared array is read-only; use :copy()", write)
        end
        a[1] = 0
        assert.equal(6, s[1]:sum())
        local again = mf.share(s:transpose())
        assert.same({ { 1.0, 4.0 }, { 2.0, 5.0 }, { 3.0, 6.0 } }, again:totable())
        local mine = again:copy()
        mine[1] = 9
        assert.equal(18, mine[1]:sum())
    end)

    it("gives an object for other values", function()
        local s = mf.share({ 1, { 2 }, x = "y" })
        assert.same({ 1, { 2 }, x = "y" }, s:value())
        assert.is_true(rawequal(s:value(), s:value()))
        local copy = s:copy()
        copy.x = "z"
        assert.equal("y", s:value().x)
        H.has(tostring(s), "share (")
        fails("shared value is read-only; use :copy()", function()
            s.x = 1
        end)
        assert.equal("text", mf.share("text"):value())
        assert.is_nil(mf.share(nil):value())
        local inner = mf.share({ other = s, x = array.range(3) })
        assert.equal("y", inner:value().other:value().x)
        fails("shared array is read-only", function()
            inner:value().x[1] = 1
        end)
        fails("cannot send a coroutine (shared value[1])", mf.share, { coroutine.create(print) })
    end)

    it("is not part of other messages", function()
        local codec = require("moonfleet.codec")
        fails("cannot send a share (argument 1)", codec.encode, mf.share({}))
        assert.is_true(codec.decode(codec.encode(mf.share(array.range(LARGE)))) == array.range(LARGE))
        fails("cannot send an array of shared memory (argument 1)", codec.encode, array.shared(2))
    end)

    describe("under plan processes", function()
        local before

        before_each(function()
            before = mf.plan("processes", { workers = 2 })
        end)

        after_each(function()
            mf.plan(before)
        end)

        local function everywhere(fn, ...)
            local values = {}
            for i, f in ipairs({ mf.future(fn, ...), mf.future(fn, ...) }) do
                values[i] = H.value(f) or false
            end
            return values
        end

        it("is the same memory in every process, and gone when the owner lets go", function()
            local s = mf.share(array.range(LARGE))
            local inode = mapped()
            assert.is_string(inode)
            local f = function(find)
                return s:sum() == LARGE * (LARGE + 1) / 2 and find()
            end
            for _, theirs in ipairs(everywhere(f, mapped)) do
                assert.equal(inode, theirs)
            end
            s, f = nil, nil -- luacheck: ignore 311
            collectgarbage()
            H.eventually(function()
                collectgarbage()
                local left = everywhere(mapped)
                return not mapped() and not left[1] and not left[2]
            end, "all to let go")
        end)

        it("crosses once, as long as the owner has it", function()
            local a = array.range(LARGE)
            local inodes = {}
            for i = 1, 6 do
                inodes[i] = everywhere(function(find)
                    return a[i] == i and find()
                end, mapped)[1]
            end
            for i = 2, 6 do
                assert.equal(inodes[1], inodes[i])
            end
            a[1] = 5
            assert.equal(5, everywhere(function()
                return a[1]
            end)[1])
        end)

        it("comes back from a task as the memory it is", function()
            local s = mf.share(array.range(LARGE))
            local back = H.value(mf.future(function()
                return s
            end))
            s = nil -- luacheck: ignore 311
            collectgarbage()
            assert.equal(LARGE, back[LARGE])
            back = nil -- luacheck: ignore 311
            H.eventually(function()
                collectgarbage()
                return mf.workers() > 0 and everywhere(type, 1)[1] and not mapped()
            end, "the owner to let go")
        end)

        it("leaves no descriptors behind with results", function()
            local function descriptors()
                local pipe <close> = assert(io.popen("ls /proc/$PPID/fd | wc -l"))
                return tonumber(pipe:read("a"))
            end
            local start = descriptors()
            local results = mf.map(mf.range(200), function(i)
                return mf.array.full(40000, i)
            end, { chunk = 1 })
            assert(descriptors() - start < 20)
            for i = 1, 200 do
                assert.equal(i, results[i][40000])
            end
            results = mf.map(mf.range(10), function(i)
                return mf.array.full(1000000, i)
            end, { chunk = 1 })
            assert(descriptors() - start < 20)
            assert.equal(55, results[10][1] + results[9][1000000] + results[6][1] * 6)
        end)

        it("survives the worker that had it", function()
            local s = mf.share(array.range(LARGE))
            local f = mf.future(function()
                local _ = s[1]
                os.exit(3)
            end)
            H.has(tostring(select(2, H.result(f))), "lost")
            assert.same({ 7.0, 7.0 }, everywhere(function()
                return s[7]
            end))
        end)
    end)

    describe("under plan threads", function()
        local before

        before_each(function()
            before = mf.plan("threads", { workers = 1 })
        end)

        after_each(function()
            mf.plan(before)
        end)

        it("decodes a value once in a worker, and lets go of it with the owner", function()
            mf.everywhere(function()
                package.loaded.seen = setmetatable({}, { __mode = "v" })
            end)
            local s = mf.share({ "value" })
            local function look()
                local seen, value = package.loaded.seen, s:value()
                local last = seen[1]
                seen[1] = value
                return last == value
            end
            assert.is_false(H.value(mf.future(look)))
            assert.is_true(H.value(mf.future(look)))
            assert.is_true(H.value(mf.future(look)))
            s, look = nil, nil -- luacheck: ignore 311
            collectgarbage()
            collectgarbage()
            H.eventually(function()
                return H.value(mf.future(function()
                    return package.loaded.seen[1] == nil
                end))
            end, "the worker to let go")
        end)

        it("is not copied", function()
            local s = mf.share(array.zeros(LARGE * 16))
            local function resident()
                local file <close> = assert(io.open("/proc/self/status"))
                return tonumber(file:read("a"):match("VmRSS:%s+(%d+)"))
            end
            local start = resident()
            for _ = 1, 5 do
                assert.equal(0, H.value(mf.future(function()
                    return s[1]
                end)))
            end
            assert(resident() - start < 64 * 1024) -- kB; the array has 128 MB
        end)
    end)
end)
