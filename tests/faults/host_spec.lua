-- C programs with the library in them (tests/embed/faults.c), under the plan processes. Each case names the row of the
-- list of faults that it provokes.
local fails = require("tests.support.fails")
local processes = require("tests.support.processes")
local program = require("tests.support.program")

describe("a C host", function()
    local host = program.absolute:gsub("[^/]*$", "") .. "tests/embed/faults"

    local function behaves(trouble)
        local tag = "host-" .. trouble .. "-" .. processes.pid()
        local r = program.run({ trouble }, { program = host, env = { MF_TEST_TAG = tag }, deadline = 60 })
        assert.equal(0, r.code, r.err)
        assert.equal("", fails.sanitized() and "" or r.err) -- a sanitizer has its own to say about a fork
        local left = processes.tagged("MF_TEST_TAG=" .. tag)
        local ok, err = pcall(processes.wait_until_gone, left)
        processes.kill(left)
        assert.is_true(ok, err)
    end

    it("M8: may close interpreters while tasks run, in any order", function()
        behaves("close")
    end)

    it("M9: may fork, and its child may end in any way", function()
        behaves("fork")
    end)

    it("M10: without a handler for SIGPIPE does not die of workers that do", function()
        behaves("sigpipe")
    end)

    it("P7: finds its handlers, mask, folder and descriptors as they were", function()
        behaves("surroundings")
    end)

    it("F12, F13: may collect the workers itself, or ignore the end of children", function()
        behaves("reaping")
    end)
end)
