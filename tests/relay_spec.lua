-- What a task prints and how it comes to the program's own streams, byte for byte.
local core = require("moonfleet.core")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

-- Runs a script under a plan; mf is the module.
local function run(plan, text, options)
    local r = program.script("local mf = require('moonfleet') " .. text, nil, {
        env = { MOONFLEET_PLAN = plan },
        deadline = options and options.deadline,
    })
    assert.equal(options and options.code or 0, r.code, r.err)
    return r.out, r.err
end

-- All the ways to write, in one order.
local WRITE_ALL = [[
    print("line", 1, 2.5, nil, true, setmetatable({}, { __tostring = function() return "object" end }))
    io.write("a\0b", 12, 0.5, "\r\n")
    io.stdout:write("c", "\255"):write("d\n")
    io.stderr:write("first error\n")
    warn("@on")
    warn("be", "ware")
    warn("@off")
    warn("not shown")
    io.output():write("e")
    print()
    io.stdout:setvbuf("full")
    io.write("buffered ")
    io.stdout:flush()
    io.write("end")
    io.stderr:write("last error")]]

local ALL_OUT = "line\t1\t2.5\tnil\ttrue\tobject\na\0b120.5\r\nc\255d\ne\nbuffered end"
local ALL_ERR = "first error\nLua warning: beware\nlast error"

for _, plan in ipairs({ "threads:2", "sequential" }) do
    describe("output of a task under " .. plan, function()
        it("is relayed byte for byte, when the value is collected", function()
            local out, err = run(plan, "local f = mf.future(function() " .. WRITE_ALL .. " end) f:wait() "
                .. "io.write('<') f:value() io.write('>') f:value()")
            assert.equal("<" .. ALL_OUT .. ">", out)
            assert.equal(ALL_ERR, err)
        end)

        it("is what the same code prints without a task", function()
            local out, err = run(plan, WRITE_ALL)
            assert.equal(ALL_OUT, out)
            assert.equal(ALL_ERR, err)
        end)

        it("keeps the order of both streams", function()
            local r = program.script([[
                require("moonfleet").future(function()
                    for i = 1, 5 do io.stdout:write("o", i, "\n") io.stderr:write("e", i, "\n") end
                end):value()]], nil, { env = { MOONFLEET_PLAN = plan } })
            assert.equal("o1\no2\no3\no4\no5\n", r.out)
            local both = program.with_folder(function(folder)
                program.write_file(folder .. "/s.lua", [[
                    require("moonfleet").future(function()
                        for i = 1, 5 do io.stdout:write("o", i, "\n") io.stderr:write("e", i, "\n") end
                    end):value()]])
                return program.shell(program.command({ folder .. "/s.lua" }) .. " 2>&1",
                    { env = { MOONFLEET_PLAN = plan } }).out
            end)
            assert.equal("o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\n", both)
        end)

        it("comes in the order of collecting", function()
            assert.equal("3 1 2 ", (run(plan, [[
                local list = {}
                for i = 1, 3 do list[i] = mf.future(function() io.write(i, " ") end) end
                list[3]:value() list[1]:result() list[2]:value()]])))
        end)

        it("of a failed task comes before its error", function()
            local out, err = run(plan, "local f = mf.future({ label = 'fit' }, function() print('so far') "
                .. "io.stderr:write('warned\\n') error('bad luck') end) f:value()", { code = 1 })
            assert.equal("so far\n", out)
            assert.matches("^warned\nmoonfleet: [^\n]*bad luck\nremote traceback %(worker [%w/]+, 'fit'%):\n", err)
        end)

        it("goes live with the worker's name in front of each line", function()
            local name = plan:match("%a+") .. "/%d+"
            local out, err = run(plan, "mf.future({ output = 'live' }, function() io.write('one\\ntwo\\n') "
                .. "print('three') io.stderr:write('four\\n') end):value()")
            local head = "%[" .. name .. "%] "
            assert.matches("^" .. head .. "one\n" .. head .. "two\n" .. head .. "three\n$", out)
            assert.matches("^" .. head .. "four\n$", err)
        end)

        it("is dropped when told so", function()
            local out, err = run(plan, "local f = mf.future({ output = 'discard' }, function() " .. WRITE_ALL
                .. " return 1 end) io.write(f:value(), '|', (f:output()), '|')")
            assert.equal("1||", (out:gsub("|.*|$", "||")))
            assert.equal("", err)
        end)

        it("is there to read, before and after it was relayed", function()
            local out = run(plan, [[
                local f = mf.future(function() io.write("text") io.stderr:write("oops") return 1 end)
                f:wait()
                local a, b = f:output()
                f:value()
                local c, d = f:output()
                io.write("(", a, b, c, d, ")")]])
            assert.equal("text(textoopstextoops)", out)
        end)

        it("of nested tasks comes in its place, through all levels", function()
            local out, err = run(plan, [[
                local name = os.getenv("MOONFLEET_PLAN"):match("%a+")
                mf.plan({ { name }, { name }, { name } })
                mf.future(function()
                    local inner = require("moonfleet")
                    io.write("a ")
                    local f = inner.future(function()
                        io.write("b ")
                        io.stderr:write("e1 ")
                        require("moonfleet").future(function() io.write("c ") io.stderr:write("e2 ") end):value()
                        io.write("d ")
                    end)
                    f:wait()
                    io.write("[")
                    f:value()
                    io.write("]")
                end):value()]])
            assert.equal("a [b c d ]", out)
            assert.equal("e1 e2 ", err)
        end)

        it("of a map is in the order of its elements, live output aside", function()
            local expected = {}
            for i = 1, 200 do
                expected[i] = ("%d\n%d"):format(i, i)
            end
            assert.equal(table.concat(expected), (run(plan,
                "mf.map(mf.range(200), function(i) print(i) io.write(i) end, { chunk = 7 })")))
        end)

        it("may be large", function()
            local out = run(plan, "mf.future(function() local s = ('x'):rep(999) "
                .. "for i = 1, 3000 do print(s) end end):value()")
            assert.equal(3000 * 1000, #out)
            assert.equal((("x"):rep(999) .. "\n"):rep(10), out:sub(-10000))
        end)

        it("cannot close the standard streams", function()
            local out, err = run(plan, [[
                mf.future(function()
                    print(pcall(io.close))
                    print(io.stdout:close())
                    print(io.stderr:close())
                    io.stderr:write("still there")
                    print(io.type(io.stdout), io.type(io.output()))
                end):value()]])
            assert.equal("true\tnil\tcannot close standard file\nnil\tcannot close standard file\n"
                .. "nil\tcannot close standard file\nfile\tfile\n", out)
            assert.equal("still there", err)
        end)

        it("goes to a file that io.output was pointed at", function()
            local out = run(plan, [[
                mf.future(function()
                    local file = io.tmpfile()
                    local before = io.output(file)
                    io.write("into the file")
                    print("not into the file")
                    io.output(io.stdout)
                    file:seek("set")
                    io.write(#file:read("a"))
                    file:close()
                end):value()]])
            assert.equal("not into the file\n13", out)
        end)
    end)
end

describe("output of a running task", function()
    it("can be read already", function()
        local pool = core.pool("threads", { workers = 1 })
        local f = core.submit(pool, nil, load("io.write('begun') io.stderr:write('!') while true do end"))
        H.eventually(function()
            return (f:output()) == "begun" and select(2, f:output()) == "!"
        end, "output")
        f:cancel()
        f:wait(H.LIMIT)
        assert.same({ "begun", "!" }, { f:output() })
        pool:close()
    end)

    it("goes live while it runs", function()
        local r = program.shell([[
            folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
            mkfifo "$folder/pipe"
            (]] .. program.command({ "-e", [[
                local mf = require("moonfleet")
                mf.plan("threads", { workers = 1 })
                mf.future({ output = "live" }, function() print("now") while true do end end):value()]] })
            .. [[) >"$folder/pipe" 2>/dev/null &
            read line <"$folder/pipe"
            echo "$line"
            kill -TERM $!
            wait]], { deadline = 20 })
        assert.matches("%[threads/1%] now\n", r.out)
    end)
end)
