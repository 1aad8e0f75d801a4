-- Lua's words, as the prompt reads them.
local lexer = require("moonfleet.lexer")

local function kinds(text)
    local list = {}
    for i, word in ipairs(lexer.words(text)) do
        list[i] = word.kind .. ":" .. word.text .. (word.closed == false and "!" or "")
    end
    return table.concat(list, " ")
end

describe("words", function()
    it("are told apart", function()
        local text = "name:f sign:( string:'a' sign:, number:0x1F.8p1 sign:, sign:... sign:) keyword:end"
        assert.equal(text, kinds("f('a', 0x1F.8p1, ...) end"))
        assert.equal("name:a sign:.. name:b comment:-- c", kinds("a..b -- c"))
        assert.equal("comment:--[[ x\ny ]] name:z", kinds("--[[ x\ny ]] z"))
        assert.equal("string:[==[ ]] ]==] name:z", kinds("[==[ ]] ]==] z"))
        assert.equal('string:"a\\"b\\z \nc" name:d', kinds('"a\\"b\\z \nc" d'))
    end)

    it("may be left open", function()
        assert.equal("string:'abc!", kinds("'abc"))
        assert.equal("string:[[abc!", kinds("[[abc"))
        assert.equal("comment:--[[abc!", kinds("--[[abc"))
        assert.equal("string:'abc! name:d", kinds("'abc\nd"))
    end)

    it("are found in any bytes", function()
        math.randomseed(7)
        for _ = 1, 2000 do
            local bytes = {}
            for i = 1, math.random(40) do
                bytes[i] = ("[]='\"-\\\n.az09 \0\255"):sub(math.random(17)):sub(1, 1)
            end
            local text = table.concat(bytes)
            local at = 0
            for _, word in ipairs(lexer.words(text)) do
                assert.is_true(word.first > at and word.last >= word.first and word.last <= #text, text)
                at = word.last
            end
        end
    end)
end)

describe("the locals of the outermost block", function()
    local function locals(text)
        assert.is_function(load(text), text)
        return table.concat((lexer.outer_locals(text)), " ")
    end

    it("are found", function()
        assert.equal("a b", locals("local a, b <const> = 1, 2"))
        assert.equal("f x", locals("local function f() local y end local x = f"))
        assert.equal("x", locals("local x = 1 local x = 2"))
        assert.equal("last", locals("while x do local w end repeat local t until 1 local last"))
        assert.equal("k", locals("if a then local x elseif b then local y else local z end local k"))
        assert.equal("s", locals("local s = [[ local y ]] -- local z"))
        assert.equal("", locals("for i = 1, 2 do local a end for k in x do local b end"))
        assert.equal("g", locals("local g = function() local c end"))
        assert.equal("", locals("do local a end x = 1"))
    end)

    it("with varargs are told", function()
        assert.is_true(select(2, lexer.outer_locals("local a = ...")))
        assert.is_false(select(2, lexer.outer_locals("local a = '...'")))
    end)
end)
