local mf = require("moonfleet")
local H = require("tests.conformance.helper")

local function write_all()
    io.write("a\0b", 1, " ", 2.5, "\n")
    print("x", nil, true)
    io.stdout:write("no newline")
    io.stderr:write("to stderr\255")
end

local function say(i)
    io.write(("<%d>"):format(i))
    return i
end

local function say_and_fail(i)
    io.write(("<%d>"):format(i))
    if i == 3 then
        error("three", 0)
    end
end

-- What fn makes the program write to its standard output, collected by a program of its own.
local function output_of(code)
    local program = os.getenv("MOONFLEET") or arg[-1]
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(code)
    file:close()
    local pipe = assert(io.popen(("'%s' --plan '%s' '%s' 2>/dev/null"):format(program, tostring(mf.plan()), path)))
    local text = pipe:read("a")
    pipe:close()
    assert(os.remove(path))
    return text
end

return function(t, backend)
    local it, assert = t.it, t.assert

    it("captures what a task writes, byte for byte", function()
        local f = mf.future({ output = "discard" }, write_all)
        local g = mf.future(write_all)
        assert.is_true(f:wait(H.LIMIT) and g:wait(H.LIMIT))
        local out, err = g:output()
        assert.equal("a\0b1 2.5\nx\tnil\ttrue\nno newline", out)
        assert.equal("to stderr\255", err)
    end)

    it("has no output of a silent task", function()
        local f = mf.future(H.square, 3)
        H.value(f)
        assert.same({ "", "" }, { f:output() })
    end)

    it("relays in the order of collecting, once", function()
        assert.equal("<2><1><2.5>", output_of([[
            local mf = require("moonfleet")
            local function say(i) io.write(("<%s>"):format(i)) end
            local a, b = mf.future(say, 1), mf.future(say, 2)
            mf.future({ output = "discard" }, say, 3):value()
            b:value()
            a:value()
            a:value()
            b:result()
            mf.future(say, 2.5):value()
        ]]))
    end)

    it("relays a map's output in the order of its elements", function()
        local expected = {}
        for i = 1, 60 do
            expected[i] = ("<%d>"):format(i)
        end
        assert.equal(table.concat(expected), output_of([[
            local mf = require("moonfleet")
            mf.map(mf.range(60), function(i)
                local stop = mf.now() + (i % 7 == 0 and 0.005 or 0)
                while mf.now() < stop do end
                io.write(("<%d>"):format(i))
            end)
        ]]))
    end)

    it("relays what was written before an error", function()
        assert.equal("<1><2><3>false", output_of([[
            local mf = require("moonfleet")
            io.write(tostring((pcall(mf.map, mf.range(9), function(i)
                io.write(("<%d>"):format(i))
                if i == 3 then error("three") end
            end, { chunk = 3 }))))
        ]]))
    end)

    it("drops output when told so", function()
        assert.equal("end", output_of([[
            local mf = require("moonfleet")
            mf.map(mf.range(9), print, { output = "discard" })
            io.write("end")
        ]]))
        assert.same({ 1, 2, n = 2 }, mf.map({ 1, 2 }, say, { output = "discard" }))
        H.has(H.failure(mf.map, mf.range(4), say_and_fail, { output = "discard" }), "three")
    end)

    it("shows live output with the worker's name", function()
        local text = output_of([[
            require("moonfleet").future({ output = "live" }, print, "hello"):wait()
        ]])
        H.has(text, backend.name)
        H.has(text, "hello\n")
    end)
end
