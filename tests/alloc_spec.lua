-- Large blocks of Lua states: strings and tables that pass the size from which they have pages of their own, 20 MB,
-- both ways, in the program's state and in workers'.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local fails = require("tests.support.fails")

-- Each is code for a state of any kind; it raises when something is not as it was.
local WORK = {
    ["long strings"] = [[
        local texts = {}
        for i = 1, 4 do
            texts[i] = (tostring(i) .. "bcdefg"):rep((30 + i) * (1 << 20) // 7)
        end
        for i = 1, 4 do
            assert(texts[i]:byte(1) == 48 + i and texts[i]:sub(-7) == tostring(i) .. "bcdefg")
            assert(#texts[i] == (30 + i) * (1 << 20) // 7 * 7)
        end
        local both = texts[1] .. texts[4]
        assert(#both == #texts[1] + #texts[4] and both:sub(#texts[1], #texts[1] + 1) == "g4")]],
    ["tables that grow and shrink"] = [[
        local t, n = {}, 5 << 20 -- 80 MB
        for i = 1, n do
            t[i] = i
        end
        for i = 1, n, 1001 do
            assert(t[i] == i)
        end
        for i = n, 1001, -1 do
            t[i] = nil
        end
        t.new, t[-1] = 1, 2 -- makes it anew, with the size it needs
        for i = 1, 1000 do
            assert(t[i] == i)
        end
        assert(#t == 1000 and t.new == 1 and t[-1] == 2)]],
    ["buffers that grow"] = [[
        local piece, parts = ("0123456789"):rep(100000), {}
        for i = 1, 70 do
            parts[i] = piece
        end
        local text = table.concat(parts)
        assert(#text == 70000000 and text:sub(-11) == "90123456789")
        assert(select(2, text:gsub("9", "")) == 7000000)]],
}

describe("a large block", function()
    teardown(function()
        collectgarbage()
        collectgarbage()
    end)

    for what, code in pairs(WORK) do
        it("of the program's state serves " .. what, function()
            assert(load(code))()
        end)

        for _, backend in ipairs({ "threads", "processes" }) do
            it(("of a worker of %s serves %s"):format(backend, what), function()
                local pool = core.pool(backend, { workers = 1 })
                for _ = 1, 2 do
                    local f = core.submit(pool, nil, load(code))
                    assert.is_true(f:wait(100)) -- a sanitizer looks at each byte
                    f:value()
                end
                pool:close()
            end)
        end
    end

    it("that cannot be had is an error, and the state goes on", function()
        if fails.sanitized() or not program.has("prlimit") then
            return
        end
        local r = program.shell("exec prlimit --as=200000000 " .. program.command({ "-e", [[
            for _ = 1, 3 do
                local ok, err = pcall(string.rep, "x", 100 << 20)
                print(ok, err)
                print(#("y"):rep(35 << 20))
            end
            local t = {}
            print(pcall(function() for i = 1, 100000000 do t[i] = i end end))
            print(t[1000], #t > 1000000)]] }):gsub("^exec ", ""))
        local once = "false\tnot enough memory\n" .. (35 << 20) .. "\n"
        assert.equal(once:rep(3) .. "false\tnot enough memory\n1000\ttrue\n", r.out, r.err)
    end)
end)
