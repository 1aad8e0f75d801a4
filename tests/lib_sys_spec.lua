-- Small things: time, cores, the terminal, and what a task knows of itself.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

describe("core.now", function()
    it("counts seconds and does not go back", function()
        local before, clock = core.now(), os.time()
        os.execute("sleep 0.05")
        local after = core.now()
        assert.is_true(after - before >= 0.05)
        assert.is_true(after - before <= os.time() - clock + 5)
        assert.equal("float", math.type(after))
    end)
end)

describe("core.cores", function()
    it("counts what this process may use", function()
        assert.is_true(core.cores() >= 1)
        local nproc = tonumber(program.shell("nproc").out)
        assert.is_true(core.cores() <= nproc)
        if program.has("taskset") then
            local r = program.shell("exec taskset -c 0 " .. program.quote(program.path)
                .. " -e 'print(require(\"moonfleet.core\").cores())'")
            assert.equal("1\n", r.out)
        end
    end)
end)

describe("the terminal", function()
    it("is asked for, and there are 80 columns without one", function()
        local code = "local c = require('moonfleet.core') print(c.isatty(0), c.isatty(1), c.columns())"
        local r = program.run({ "-e", code })
        assert.equal("false\tfalse\t80\n", r.out)
        assert.is_false(core.isatty(-1))
        assert.is_false(core.isatty(1000000))
        assert.is_false((pcall(core.isatty)))
    end)

    local has_script = program.has("script") and it or pending
    has_script("has the width that it has", function()
        local code = [[local c = require("moonfleet.core") print(c.isatty(0), c.isatty(2), c.columns())]]
        program.with_folder(function(folder)
            program.write_file(folder .. "/s.lua", code)
            program.write_file(folder .. "/s.sh", "stty cols 91; " .. program.command({ folder .. "/s.lua" }))
            local r = program.shell("exec script -qec " .. program.quote("sh " .. folder .. "/s.sh") .. " /dev/null")
            assert.matches("true\ttrue\t91", r.out)
        end)
    end)
end)

describe("progress", function()
    local pool

    setup(function()
        pool = core.pool("threads", { workers = 1 })
    end)
    teardown(function()
        pool:close()
    end)

    it("is what the task reported last", function()
        local f = core.submit(pool, nil, load([[
            local progress = require("moonfleet.core").progress
            progress(0.25)
            progress(0.5, "half way")
            while true do end]]))
        H.eventually(function()
            return f:progress() == 0.5
        end, "the report")
        assert.same({ 0.5, "half way" }, { f:progress() })
        f:cancel()
        f:wait(H.LIMIT)
    end)

    it("is nothing before a report, and out of a task", function()
        local f = core.submit(pool, nil, load("return 1"))
        assert.is_nil((f:progress()))
        H.value(f)
        assert.is_nil((f:progress()))
        core.progress(0.5, "nobody listens")
        assert.is_false((pcall(core.progress)))
        assert.is_false((pcall(core.progress, "half")))
        assert.is_false((pcall(core.progress, 1, {})))
    end)

    it("takes any number and cuts long texts", function()
        for _, x in ipairs({ -1, 2, 1e300, 1 / 0 }) do
            local report = load("require('moonfleet.core').progress(...) return 1")
            local f = core.submit(pool, nil, report, x, ("x"):rep(500))
            assert.equal(1, H.value(f))
            local fraction, text = f:progress()
            if fraction then
                assert.is_true(#text < 500)
            end
        end
    end)
end)
