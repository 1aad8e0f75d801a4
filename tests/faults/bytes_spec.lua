-- Streams that carry little at a time, and workers that end in the middle of a message. Needs the program with hooks
-- (runtime/hooks.h).
local program = require("tests.support.program")

describe("hooks for tests", function()
    it("exist in no ordinary build", function()
        local function has_hooks(path)
            return program.shell("grep -q MF_TEST_READ_MAX " .. program.quote(path)).code == 0
        end
        assert.is_true(has_hooks(program.hooks))
        assert.is_true(program.hooks == program.path or not has_hooks(program.path))
    end)
end)

describe("N8: worker processes behave as always", function()
    local function conform(env)
        env.MOONFLEET = program.hooks
        local r = program.run(
            { "tests/support/busted.lua", "--filter=plan processes", "tests/conformance/backends_spec.lua" },
            { program = program.hooks, env = env, deadline = 500 }
        )
        local passed, failed = r.out:match("(%d+) passed, (%d+) failed\n$")
        assert.equal("0", failed, r.out)
        assert.is_true(tonumber(passed) > 100, r.out)
    end

    it("when streams are read one byte at a time", function()
        conform({ MF_TEST_READ_MAX = 1 })
    end)

    it("when streams are written three bytes at a time", function()
        conform({ MF_TEST_WRITE_MAX = 3 })
    end)

    it("when nearly all messages go beside the stream", function()
        conform({ MF_TEST_INLINE = 256, MF_TEST_READ_MAX = 100 })
    end)
end)

describe("N5, W16: a worker that ends", function()
    -- One future of four may be lost, the others and those with retries have their values.
    local SCRIPT = [[
        local mf = require("moonfleet")
        mf.plan("processes", { workers = 2 })
        local function echo(x) print(x) return x, ("y"):rep(LENGTH), { x } end
        local plain, again, lost = {}, {}, 0
        for i = 1, 2 do
            plain[i] = mf.future({ output = "discard" }, echo, i)
            again[i] = mf.future({ output = "discard", retries = 1 }, echo, i)
        end
        local function check(f, i)
            if not f:wait(20) then error("future " .. i .. " is " .. f:state()) end
            local ok, x, text, t = f:result()
            if ok and not (x == i and text == ("y"):rep(LENGTH) and t[1] == i) then error("a wrong result") end
            if not ok and f:state() ~= "lost" then error(x) end
            return ok
        end
        for i = 1, 2 do
            assert(check(again[i], i), "lost in spite of retries")
            lost = lost + (check(plain[i], i) and 0 or 1)
        end
        assert(lost <= 1)
        print("whole")]]

    local function sweep(from, to, step, length)
        return program.with_folder(function(folder)
            program.write_file(folder .. "/script.lua", (SCRIPT:gsub("LENGTH", length)))
            return program.shell(([[
                cut=%d died=0
                while [ $cut -le %d ]; do
                    : >once
                    MF_TEST_AGENT_CUT=$cut MF_TEST_ONCE=once timeout -k 1 60 %s script.lua >out 2>err
                    if ! grep -q whole out; then echo "after $cut bytes:"; cat err; exit 1; fi
                    [ -e once ] || died=$((died + 1))
                    cut=$((cut + %d))
                done
                echo $died]]):format(from, to, program.quote(program.hooks), step), { folder = folder, deadline = 500 })
        end)
    end

    it("after any number of bytes is lost as a whole, and its task may run again", function()
        local r = sweep(100, 250, 1, 30) -- the end of its greeting and its first messages
        assert.equal("151\n", r.out, r.err)
    end)

    it("halfway through a large result is lost as a whole too", function()
        local r = sweep(300, 400000, 19000, 200000)
        assert.equal("22\n", r.out, r.err)
    end)
end)
