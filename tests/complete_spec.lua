-- What the prompt completes.
local completion = require("moonfleet.complete")
local program = require("tests.support.program")
local mf = require("moonfleet")

-- "insert|candidates"
local function complete(text)
    local insert, list = completion.complete(text)
    return insert .. "|" .. table.concat(list, " ")
end

describe("completion", function()
    after_each(function()
        _G.sample = nil
    end)

    it("of globals and keywords", function()
        assert.equal("lectgarbage(|", complete("x = col"))
        assert.equal("tion|", complete("func"))
        assert.equal("|", complete(""))
        assert.equal("|", complete("nosuchname"))
        assert.equal("|", complete("x = 0x"))
    end)

    it("of fields and methods, with what they have in common first", function()
        _G.sample = { alpha = 1, alphabet = print, beta = {}, [1] = 2, ["no name"] = 3 }
        assert.equal("lpha|alpha alphabet", complete("print(sample.a"))
        assert.equal("|alpha alphabet beta", complete("sample."))
        assert.equal("alphabet(|", complete("sample:"))
        assert.equal("|", complete("sample.beta."))
        assert.equal("|", complete("sample..a"))
        assert.equal("|", complete("f(sample).a"))
        assert.equal("|", complete("sample.gamma.x"))
    end)

    it("of the library, loaded or not, and its objects", function()
        _G.mf = mf
        finally(function()
            _G.mf = nil
        end)
        assert.equal("|map map_async map_pairs mapreduce", complete("mf.map"))
        assert.equal("|mean median merge", complete("mf.stats.me"))
        _G.sample = mf.future(load(""))
        assert.equal("ncel(|", complete("sample:ca"))
        _G.sample = mf.array({ 1 })
        assert.equal("shape(|", complete("sample:re"))
        _G.sample = mf.rng(1)
        assert.equal("form(|", complete("sample:uni"))
    end)

    it("of strings and files", function()
        _G.sample = "text"
        assert.equal("per(|", complete("sample:up"))
        assert.equal("ush(|", complete("io.stdout:fl"))
    end)

    it("follows __index tables, and nothing that runs code", function()
        local ran
        local function run()
            ran = true
        end
        _G.sample = setmetatable({}, { __index = setmetatable({ deep = 1 }, { __index = { deeper = 2 } }) })
        assert.equal("deep|deep deeper", complete("sample."))
        _G.sample = setmetatable({ own = {} }, { __index = run, __pairs = run, __len = run, __tostring = run })
        assert.equal("own|", complete("sample."))
        assert.equal("|", complete("sample.other.x"))
        local loop = {}
        _G.sample = setmetatable(loop, { __index = loop })
        assert.equal("|", complete("sample.x"))
        assert.is_nil(ran)
    end)

    it("of files in strings", function()
        program.with_folder(function(folder)
            local path = folder .. "/data"
            assert(os.execute(("mkdir %s && touch %s.csv %s/.hidden"):format(path, path, folder)))
            assert.equal("csv|", complete("x = '" .. path .. "'; io.open('" .. path .. "."))
            assert.equal("ta|data.csv data/", complete('io.open("' .. folder .. "/da"))
            assert.equal("data|data.csv data/", complete('io.open("' .. folder .. "/"))
            assert.equal("hidden|", complete('io.open("' .. folder .. "/."))
            assert.equal("|", complete('io.open("' .. folder .. "/none/x"))
        end)
    end)

    it("of modules behind require, and nothing in comments and long strings", function()
        assert.equal("ts|", complete('require "moonfleet.sta'))
        assert.equal("ts|", complete("require('moonfleet.sta"))
        assert.equal("|", complete("-- col"))
        assert.equal("|", complete("[[ col"))
        assert.equal("lectgarbage(|", complete("-- done\ncol"))
    end)
end)
