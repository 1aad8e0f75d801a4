local mf = require("moonfleet")
local core = require("moonfleet.core")
local plans = require("moonfleet.plan")
local H = require("tests.conformance.helper")

-- What a program of its own prints.
local function run(environment, options, code)
    local program = os.getenv("MOONFLEET") or arg[-1]
    local command = ("%s '%s' %s -e '%s' 2>&1"):format(environment, program, options, code)
    local pipe = assert(io.popen(command))
    local text = pipe:read("a")
    local ok, _, status = pipe:close()
    return text, ok and 0 or status
end

local SHOW = 'print(require("moonfleet").plan())'

describe("mf.plan", function()
    local before

    before_each(function()
        before = mf.plan("sequential")
    end)

    after_each(function()
        mf.plan(before)
    end)

    it("reads and sets, and returns the plan before", function()
        assert.equal("sequential", tostring(mf.plan()))
        assert.equal("sequential", tostring(mf.plan("threads", { workers = 3 })))
        local plan = mf.plan()
        assert.equal("threads", plan.name)
        assert.equal(3, plan.workers)
        assert.equal(3, mf.workers())
        assert.same({ workers = 3 }, plan.options)
        assert.equal("threads:3", tostring(plan))
    end)

    it("takes back what it returned", function()
        mf.plan("threads:2,queue_bytes=1000000;sequential")
        local plan = mf.plan("sequential")
        mf.plan(plan)
        assert.equal("threads:2,queue_bytes=1000000;sequential", tostring(mf.plan()))
    end)

    it("has all cores as workers unless told", function()
        mf.plan("threads")
        assert.equal(mf.cores(), mf.workers())
        assert.is_true(mf.cores() >= 1)
    end)

    it("reads a level, a list of levels and a SPEC alike", function()
        for _, plan in ipairs({
            { "threads", workers = 2 },
            { { "threads", workers = 2 } },
            { "threads:2" },
            "threads:2",
            " threads:2 ",
            "threads,workers=2",
        }) do
            mf.plan(plan)
            assert.equal("threads:2", tostring(mf.plan()))
        end
        for _, plan in ipairs({
            { { "threads", workers = 2 }, { "threads", workers = 4 } },
            { "threads:2", "threads:4" },
            "threads:2;threads:4",
        }) do
            mf.plan(plan)
            assert.equal("threads:2;threads:4", tostring(mf.plan()))
            assert.equal(2, mf.workers())
        end
    end)

    it("lists the plans there are for one there is not", function()
        local err = H.failure(mf.plan, "fork", { workers = 2 })
        H.has(err, "mf.plan: there is no plan 'fork'; the plans are: " .. table.concat(core.backends(), ", "))
        H.has(H.failure(mf.plan, "fork:2"), "there is no plan 'fork'")
    end)

    it("names wrong options", function()
        local many = "option 'workers' must be a positive integer up to 4096, not "
        H.has(H.failure(mf.plan, "threads", { workers = "x" }), many .. '"x"')
        H.has(H.failure(mf.plan, "threads", { workers = 0 }), many .. "0")
        H.has(H.failure(mf.plan, "threads:many"), many .. '"many"')
        H.has(H.failure(mf.plan, "threads:5000"), many .. "5000")
        H.has(H.failure(mf.plan, "threads", { worker = 1 }), "unknown option 'worker'; did you mean 'workers'?")
        H.has(H.failure(mf.plan, "threads", { grace = -1 }), "option 'grace' must be a number of seconds")
        H.has(H.failure(mf.plan, "threads", { queue_bytes = 1.5 }), "option 'queue_bytes' must be a positive integer")
        H.has(H.failure(mf.plan, "sequential", { workers = 2 }), "must be 1 with the plan sequential")
        H.has(H.failure(mf.plan, "threads", 5), "the options must be a table, not 5")
        H.has(H.failure(mf.plan, 5), "the plan must be a name or a table, not 5")
        H.has(H.failure(mf.plan, {}), "the plan has no level")
        H.has(H.failure(mf.plan, { "threads:2", workers = 3 }), '"workers" stands beside the levels')
        H.has(H.failure(mf.plan, { 5 }), "a level of a plan must be a table or a string, not 5")
        H.has(H.failure(mf.plan, { { workers = 2 } }), "a plan's name must be a string, not nil")
        H.has(H.failure(mf.plan, "threads:2,workers"), [[expected key=value in the plan, not "workers"]])
        H.has(H.failure(mf.plan, ":2"), "does not begin with the name of a plan")
        H.has(H.failure(mf.plan, { "threads:2" }, {}), "options go with the name of a plan")
        assert.equal("sequential", tostring(mf.plan()))
    end)

    it("lets the futures of the plan before finish", function()
        mf.plan("threads:1")
        local list = {}
        for i = 1, 50 do
            list[i] = mf.future(H.square, i)
        end
        mf.plan("sequential")
        assert.equal(2500, mf.value(list, H.LIMIT)[50])
    end)

    it("opens no pool before it is needed", function()
        mf.plan("threads:2")
        assert.is_nil(plans.record(mf.plan()).pool)
        assert.equal(2, mf.workers())
    end)
end)

describe("mf.with_plan", function()
    it("scopes the plan, passes arguments and returns all values", function()
        local outer = tostring(mf.plan())
        local got = table.pack(mf.with_plan("threads:2", function(...)
            return tostring(mf.plan()), ...
        end, 1, nil))
        assert.same({ "threads:2", 1, nil, n = 3 }, got)
        assert.equal(outer, tostring(mf.plan()))
    end)

    it("restores the plan after an error, and keeps the error", function()
        local outer = mf.plan()
        local err = H.failure(mf.with_plan, "threads:2", function()
            error({ code = 1 })
        end)
        assert.same({ code = 1 }, err)
        assert.equal(outer, mf.plan())
    end)

    it("restores the plan even if it was changed inside", function()
        local outer = mf.plan()
        mf.with_plan("threads:2", function()
            mf.plan("sequential")
            mf.with_plan("threads:3", mf.workers)
            assert.equal("sequential", tostring(mf.plan()))
        end)
        assert.equal(outer, mf.plan())
    end)

    it("keeps the workers of the outer plan", function()
        mf.with_plan("threads:1", function()
            mf.everywhere(load("pl_kept = 1"))
            mf.with_plan("sequential", function()
                assert.equal(4, H.value(mf.future(H.square, 2)))
            end)
            assert.equal(1, H.value(mf.future(load("return pl_kept"))))
        end)
    end)

    it("names wrong arguments", function()
        H.has(H.failure(mf.with_plan, "threads:2", 5), "mf.with_plan: expected a function, not 5")
        H.has(H.failure(mf.with_plan, "nothing", print), "mf.with_plan: there is no plan 'nothing'")
    end)
end)

describe("the plan from outside", function()
    it("comes from MOONFLEET_PLAN", function()
        assert.equal("threads:3;sequential\n", (run("MOONFLEET_PLAN='threads:3;sequential'", "", SHOW)))
        assert.equal(("threads:%d\n"):format(mf.cores()), (run("MOONFLEET_PLAN=", "", SHOW)))
    end)

    it("comes from --plan and -j, which win", function()
        assert.equal("threads:2\n", (run("MOONFLEET_PLAN=sequential", "--plan threads:2", SHOW)))
        assert.equal("threads:5\n", (run("MOONFLEET_PLAN=sequential", "-j 5", SHOW)))
        assert.equal("threads:5;sequential\n", (run("MOONFLEET_PLAN='threads:2;sequential'", "-j 5", SHOW)))
        assert.equal("threads:5\n", (run("", "--plan threads:2 -j 5", SHOW)))
    end)

    it("says what is wrong", function()
        local text, status = run("MOONFLEET_PLAN=warp", "", SHOW)
        H.has(text, "MOONFLEET_PLAN: there is no plan 'warp'; the plans are:")
        assert.not_equal(0, status)
        text, status = run("", "--plan warp", SHOW)
        H.has(text, "--plan: there is no plan 'warp'")
        assert.not_equal(0, status)
        text = run("", "--plan sequential -j 4", SHOW)
        H.has(text, "must be 1 with the plan sequential, not 4")
    end)

    it("does not reach the tasks", function()
        local code = 'local m = require("moonfleet"); print(m.future(function() return m.plan().name end):value())'
        assert.equal("sequential\n", (run("MOONFLEET_PLAN=threads:2", "", code)))
    end)

    it("takes the seed", function()
        local code = 'print(require("moonfleet").future(function() return math.random(1 << 60) end):value())'
        local first = run("", "--seed 7", code)
        assert.equal(first, (run("", "--seed 7 --plan sequential", code)))
        assert.not_equal(first, (run("", "--seed 8", code)))
    end)

    it("tells its workers of search paths that change later", function()
        local code = [[
            local m = require("moonfleet")
            local paths = function() return package.path, package.cpath end
            m.future(paths):value()
            package.path, package.cpath = "./nowhere/?.lua", "./nowhere/?.so"
            for _ = 1, 3 do
                print(m.future(paths):value())
            end
        ]]
        local expected = ("./nowhere/?.lua\t./nowhere/?.so\n"):rep(3)
        assert.equal(expected, (run("", "--plan threads:2", code)))
        assert.equal(expected, (run("", "--plan sequential", code)))
    end)
end)
