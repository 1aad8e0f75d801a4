-- How Lua states are made, and the message handler of the program.
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

describe("a state", function()
    it("has the module and its parts, loaded when they are asked for", function()
        local r = program.script([[
            print(package.loaded["moonfleet"], package.loaded["moonfleet.core"])
            print(type(package.preload["moonfleet"]), type(package.preload["moonfleet.core"]))
            local mf = require("moonfleet")
            print(type(mf), mf == require("moonfleet"), select(2, require("moonfleet.range")))]])
        assert.equal("nil\tnil\nfunction\tfunction\ntable\ttrue\t:preload:\n", r.out)
    end)

    it("finds no environment variables with -E", function()
        local code, options = "print(package.path:find('/ss/', 1, true))", { env = { LUA_PATH = "/ss/?;;" } }
        local r = program.run({ "-E", "-e", code }, options)
        assert.equal("nil\n", r.out)
        r = program.run({ "-e", code }, options)
        assert.equal("1\t4\n", r.out)
    end)

    it("gives workers the program's paths, with -E too", function()
        local code = "print(require('moonfleet').future(load('return package.path')):value() == package.path)"
        for _, args in ipairs({ { "-e", code }, { "-E", "-e", code } }) do
            assert.equal("true\n", program.run(args, { env = { LUA_PATH = "/ss/?;;" } }).out)
        end
    end)

    it("takes the standard library from a folder when told so", function()
        program.with_folder(function(folder)
            assert(os.execute("mkdir " .. program.quote(folder .. "/moonfleet")))
            program.write_file(folder .. "/moonfleet/init.lua", "return { name = ..., mine = true }")
            local options = { env = { MOONFLEET_STDLIB = folder } }
            local r = program.run({ "-e", "local m = require('moonfleet') print(m.name, m.mine)" }, options)
            assert.equal("moonfleet\ttrue\n", r.out, r.err)
            r = program.run({ "-e", "require('moonfleet.range')" }, options)
            assert.equal(1, r.code)
            H.has(r.err, folder .. "/moonfleet/range.lua")
            program.write_file(folder .. "/moonfleet/range.lua", "return +")
            r = program.run({ "-e", "require('moonfleet.range')" }, options)
            assert.equal(1, r.code)
            H.has(r.err, "unexpected symbol")
            program.write_file(folder .. "/moonfleet/range.lua", string.dump(load("return 1")))
            r = program.run({ "-e", "require('moonfleet.range')" }, options)
            assert.equal(1, r.code)
            H.has(r.err, "attempt to load a binary chunk")
        end)
    end)
end)

describe("the message of an error", function()
    local function message(code)
        local r = program.script(code)
        assert.equal(1, r.code)
        return r.err
    end

    it("has a traceback, unless it is an object's own words", function()
        assert.matches("^moonfleet: script.lua:1: x\nstack traceback:\n\t%[C%]: in function 'error'\n",
            message("error('x')"))
        assert.matches("^moonfleet: 12\nstack traceback:\n", message("error(12)"))
        assert.equal("moonfleet: my words\n",
            message("error(setmetatable({}, { __tostring = function() return 'my words' end }))"))
    end)

    it("says of what type an object is that has no words", function()
        assert.matches("^moonfleet: %(error object is a table value%)\n", message("error({})"))
        assert.matches("^moonfleet: %(error object is a function value%)\n", message("error(print)"))
        assert.matches("^moonfleet: %(error object is a table value%)\n",
            message("error(setmetatable({}, { __tostring = function() return {} end }))"))
        assert.matches("^moonfleet: .*nil", message("error()"))
        assert.matches("^moonfleet: %(error object is a boolean value%)\n", message("error(false)"))
    end)

    it("comes when the words themselves raise an error", function()
        assert.matches("^moonfleet: .+\n", message("error(setmetatable({}, { __tostring = error }))"))
        assert.matches("^moonfleet: .+\n",
            message("local function f() error(setmetatable({}, { __tostring = f })) end f()"))
    end)
end)
