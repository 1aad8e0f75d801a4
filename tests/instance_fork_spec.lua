-- An owner's interpreter in a fork: what becomes of the library, of what modules have kept of it, of the garbage
-- collector, and of the owner's own plan, session and hooks.
local core = require("moonfleet.core")
local mf = require("moonfleet")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local large = {}
for i = 1, 20000 do
    large[i] = i
end

-- The value of code under the plan forks, and under each plan whose worker is the owner of the forks.
local function value(code, ...)
    return H.value(mf.future(load(code), ...))
end

local before

setup(function()
    before = mf.plan("forks", { workers = 1 })
end)

teardown(function()
    mf.plan(before)
end)

describe("the interpreter of a fork", function()
    it("knows that it is a worker's", function()
        assert.same({ true, "forks/1" }, { value([[
            local c = require("moonfleet.core")
            return c.in_task(), c.worker()]]) })
        assert.is_false(core.in_task())
        mf.with_plan({ { "forks", workers = 1 }, { "threads", workers = 3 } }, function()
            assert.equal("threads:3", value("return tostring(require('moonfleet').plan())"))
            assert.equal(3, value("return require('moonfleet').workers()"))
        end)
        assert.equal("sequential", value("return tostring(require('moonfleet').plan())"))
    end)

    it("runs tasks one after the other in environments of their own", function()
        local pool = core.pool("forks", { workers = 1, lasting = true })
        local worker = H.value(core.submit(pool, nil, load("leak = 1 return require('moonfleet.core').task()")))
        for i = 1, 3 do
            assert.same({ worker + i, nil, nil, n = 3 }, table.pack(H.value(core.submit(pool, nil,
                load("local seen = leak leak = 2 return require('moonfleet.core').task(), seen, rawget(_G, 'mf')")))))
        end
        pool:close()
    end)

    it("sends what it has of the library by name, back and onwards", function()
        local names = { "print", "require", "math.random", "math.randomseed", "os.exit", "io.write", "string.format",
            "coroutine.wrap", "os", "math", "io", "string", "table.concat", "pcall" }
        for _, name in ipairs(names) do
            local here = load("return " .. name)()
            assert.equal(here, value("return " .. name), name)
            assert.equal(here, value(("local kept = %s return (function() return kept end)()"):format(name)), name)
        end
        assert.equal("function", value([[
            local random, print, exit, require = math.random, print, os.exit, require
            return require("moonfleet").future(function()
                assert(random == math.random and print == _G.print and exit == os.exit and require == _G.require)
                return type(random)
            end):value()]]))
        assert.equal(_G.print, value("return _G.print"))
        assert.equal(mf.future, value("return require('moonfleet').future"))
    end)

    it("finds new modules, and the old ones still by name", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/if_module.lua", "local M = {} function M.f() return M end return M")
            assert.same({ true, true }, { value(([[
                package.path = %q .. "/?.lua;" .. package.path
                local m, mf = require("if_module"), require("moonfleet")
                mf.plan("threads:1")
                return mf.future(function() return m.f() == require("if_module") end):value(),
                    require("string") == string]]):format(folder)) })
        end)
    end)

    it("has no hook of the owner's", function()
        local n = 0
        debug.sethook(function() n = n + 1 end, "", 100)
        local f = mf.future(load("local h = debug.gethook() for i = 1, 1000 do math.abs(i) end return h == nil"))
        debug.sethook()
        assert.is_true(H.value(f))
        assert.is_true(n >= 0)
    end)

    it("lets the collector rest at first, and then work", function()
        local early, late = value([[
            local weak = setmetatable({}, { __mode = "k" })
            weak[{}] = true
            local function litter(bytes)
                for i = 1, bytes // 1000 do local _ = ("x"):rep(960) .. i end
            end
            local size = collectgarbage("count") * 1024
            litter(200000)
            local early = next(weak) ~= nil
            litter(8 * math.max(size, 1 << 20))
            return early, next(weak) ~= nil]])
        assert.same({ true, false }, { early, late })
        assert.is_true(value("collectgarbage() return collectgarbage('isrunning')"))
    end)

    it("has the owner's things untouched when its own collector has run", function()
        local object = setmetatable({ 5 }, { __gc = function() large = nil end })
        local closed = {}
        local result = H.value(mf.future(function()
            for _ = 1, 3 do
                collectgarbage()
            end
            return #large + object[1] + #closed
        end))
        assert.equal(20005, result)
        assert.equal(20000, #large)
        assert.equal(5, object[1])
    end)

    it("draws random numbers of the task's own, wherever the function comes from", function()
        local random = math.random
        local kept = { random = random }
        package.loaded.if_kept = kept
        package.preload.if_kept = function() return kept end -- so that it crosses by name
        mf.seed(11)
        local a, b, c = H.value(mf.future(function()
            return random(1 << 50), math.random(1 << 50), require("if_kept").random(1 << 50)
        end))
        mf.seed(11)
        local same = mf.with_plan("threads:1", function()
            return table.pack(H.value(mf.future(function()
                return math.random(1 << 50), math.random(1 << 50), math.random(1 << 50)
            end)))
        end)
        package.loaded.if_kept, package.preload.if_kept = nil, nil
        assert.same({ same[1], same[2], same[3] }, { a, b, c })
        math.randomseed(7)
        local own = { math.random(100), math.random(100) }
        math.randomseed(7)
        H.value(mf.future(math.random))
        assert.same(own, { math.random(100), math.random(100) }) -- the owner's generator goes on as it was
    end)
end)

describe("the interpreter of a fork whose owner is a worker", function()
    for _, outer in ipairs({ "threads", "sequential", "forks", "processes" }) do
        it("does what others do: " .. outer, function()
            local first = { outer, workers = outer ~= "sequential" and 1 or nil }
            mf.with_plan({ first, { "forks", workers = 1 } }, function()
                assert.same({ "forks/1", outer .. "/1", true, true, "nothing", 6 }, { value([[
                    base_of_outer = "outer's" -- the task's own, not the worker's
                    local m, c = require("moonfleet"), require("moonfleet.core")
                    local data = {}
                    for i = 1, 20000 do data[i] = i end
                    local function inner()
                        local random = math.random
                        return require("moonfleet.core").worker(), random == math.random, #data == 20000,
                            load("return base_of_outer or 'nothing'")(),
                            require("moonfleet").map({ 1, 2, 3 }, function(x) return 2 * x end)[3]
                    end
                    local f = m.future(inner)
                    local name, same, whole, global, last = f:value()
                    return name, c.worker(), same, whole, global, last]]) })
            end)
        end)
    end
end)
