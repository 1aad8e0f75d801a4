-- The reference: that its comments are read right, and that every public function says what one needs to know: what it
-- does, its parameters, the shapes of arrays, the units of quantities, the errors.
local doc = require("moonfleet.doc")
local mf = require("moonfleet")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

describe("a comment", function()
    it("is read with its tags", function()
        local items = doc.parse([[
---Adds up.
---Goes on.
---
---A second paragraph.
---@param list number[]|fun(x: any): any, integer the numbers
---or an iterator
---@param given { a: integer, b: table<string, integer> }? options
---@param ... any
---@return integer sum of all
---@return string? # what went wrong
---@return number
function M.add(list, given, ...)
end

---@class moonfleet.Thing: moonfleet.Base
---@field size integer how large
---@field [1] string the name
local Thing = {}

Thing.grow = core.grow
---@alias moonfleet.Kind "a"|"b"
]])
        local add, thing, kind = items[1], items[2], items[3]
        assert.equal("M.add", add.target)
        assert.same({ "list", "given", "..." }, add.arguments)
        assert.equal("Adds up. Goes on.\n\nA second paragraph.", add.text)
        local list = { name = "list", type = "number[]|fun(x: any): any, integer", text = "the numbers or an iterator" }
        local given = { name = "given", type = "{ a: integer, b: table<string, integer> }?", text = "options" }
        assert.same(list, add.params[1])
        assert.same(given, add.params[2])
        assert.same({ name = "...", type = "any", text = "" }, add.params[3])
        assert.same({ name = "sum", type = "integer", text = "of all" }, add.returns[1])
        assert.same({ type = "string?", text = "what went wrong" }, add.returns[2])
        assert.same({ type = "number", text = "" }, add.returns[3])
        assert.equal("moonfleet.Thing", thing.class)
        assert.equal("moonfleet.Base", thing.parent)
        assert.equal("Thing", thing.target)
        assert.same({ name = "size", type = "integer", text = "how large" }, thing.fields[1])
        assert.same({ name = "[1]", type = "string", text = "the name" }, thing.fields[2])
        assert.equal("moonfleet.Kind", kind.alias)
        assert.equal('"a"|"b"', kind.means)
    end)

    it("may be any text", function()
        math.randomseed(3)
        local pieces = { "---", "@param ", "@return ", "fun(", ")", "{", "<", ":", ", ", "x", "\n", "@field ", '"' }
        for _ = 1, 2000 do
            local text = {}
            for i = 1, math.random(30) do
                text[i] = pieces[math.random(#pieces)]
            end
            assert.is_table(doc.parse(table.concat(text)))
        end
    end)
end)

-- What a comment lacks. group: the text of its module or class, which may speak of errors for all of them.

local TIMES = { timeout = true, seconds = true, elapsed = true, grace = true, heartbeat = true, interval = true }
local BYTES = { bytes = true, globals_max = true, queue_bytes = true }

local function has_shape(text)
    for _, word in ipairs({ "%(%d*n?[,%d%l]*%)", "shape", "ax[ei]s", "element", "row", "view", "cop[iy]", "dtype" }) do
        if text:find(word) then
            return true
        end
    end
    return false
end

local function check_quantity(add, what, entry, around)
    local text = entry.text .. " " .. around
    if TIMES[entry.name] and not text:find("second") then
        add(("%s '%s' does not say that it is in seconds"):format(what, entry.name))
    elseif BYTES[entry.name] and not text:find("byte") then
        add(("%s '%s' does not say that it is in bytes"):format(what, entry.name))
    elseif entry.type:find("^table%??$") and entry.text == "" then
        add(("%s '%s' is a table of which nothing is said"):format(what, entry.name or "?"))
    elseif entry.type == "" then
        add(("%s '%s' has no type"):format(what, entry.name or "?"))
    elseif entry.type:find("^moonfleet%.Array") and not has_shape(text) then
        add(("%s '%s' is an array whose shape is not told"):format(what, entry.name or "?"))
    end
end

local function check_names(add, item)
    for i, name in ipairs(item.arguments or {}) do
        local param = item.params[i]
        if not param or param.name:gsub("%?$", "") ~= name then
            add(("parameter '%s' has no @param in its place"):format(name))
        end
    end
end

local function faults(entry, group)
    local list, item = {}, entry.item
    local function add(text)
        list[#list + 1] = entry.name .. ": " .. text
    end
    if item.text == "" then
        add("nothing is said of it")
    end
    check_names(add, item)
    local all = item.text
    for _, param in ipairs(item.params) do
        check_quantity(add, "parameter", param, item.text .. group)
        all = all .. " " .. param.text
    end
    for _, result in ipairs(item.returns) do
        check_quantity(add, "result", result, item.text .. group)
        all = all .. " " .. result.text
    end
    for _, text in ipairs({ all, group }) do
        if text:find("[Ee]rror") or text:find("[Rr]aise") then
            return list
        end
    end
    add("nothing is said of errors")
    return list
end

local function faults_of(source, group)
    local item = doc.parse(source)[1]
    return table.concat(faults({ name = "f", kind = "function", item = item }, group or ""), "\n")
end

describe("the check of comments", function()
    it("finds what is missing", function()
        local text = "---Does it. No errors.\n"
        assert.equal("", faults_of(text .. "---@param x integer\nfunction M.f(x) end\n"))
        H.has(faults_of("---@param x integer No errors\nfunction M.f(x) end\n"), "nothing is said of it")
        H.has(faults_of(text .. "function M.f(x) end\n"), "parameter 'x' has no @param")
        H.has(faults_of(text .. "---@param y integer\nfunction M.f(x, y) end\n"), "parameter 'x' has no @param")
        H.has(faults_of(text .. "---@param x\nfunction M.f(x) end\n"), "parameter 'x' has no type")
        H.has(faults_of("---Does it.\nfunction M.f() end\n"), "nothing is said of errors")
        assert.equal("", faults_of("---Does it.\nfunction M.f() end\n", "Errors: none."))
        H.has(faults_of(text .. "---@param timeout number?\nfunction M.f(timeout) end\n"), "in seconds")
        H.has(faults_of(text .. "---@param bytes integer\nfunction M.f(bytes) end\n"), "in bytes")
        H.has(faults_of(text .. "---@return table\nfunction M.f() end\n"), "a table of which nothing is said")
        H.has(faults_of(text .. "---@param a moonfleet.Array\nfunction M.f(a) end\n"), "shape is not told")
        assert.equal("", faults_of(text .. "---@param a moonfleet.Array (n,3)\nfunction M.f(a) end\n"))
    end)
end)

describe("the reference", function()
    local groups, entries = {}, {}
    for _, entry in ipairs(doc.entries()) do
        if entry.kind == "function" or entry.kind == "method" then
            entries[#entries + 1] = entry
        else
            groups[entry.name] = entry.item.text
        end
    end

    it("says of every public function what it does, its shapes, units and errors", function()
        local all = {}
        for _, entry in ipairs(entries) do
            local list = faults(entry, groups[entry.group] or "")
            table.move(list, 1, #list, #all + 1, all)
        end
        assert.equal("", table.concat(all, "\n"))
        assert.is_true(#entries > 140, #entries)
    end)

    it("says what modules and classes are", function()
        for name, text in pairs(groups) do
            assert.is_true(text ~= "", name)
        end
    end)

    it("has every function that the library has, and each once", function()
        local known = {}
        for _, entry in ipairs(entries) do
            assert.is_nil(known[entry.name], entry.name)
            known[entry.name] = true
            local v = mf
            for _, name in ipairs(entry.path or {}) do
                v = v[name]
            end
            assert.is_true(v ~= nil, entry.name)
        end
        local function check(t, prefix)
            for name, v in pairs(t) do
                if type(v) == "function" and type(name) == "string" and not name:find("^_") then
                    assert.is_true(known[prefix .. name] ~= nil, prefix .. name .. " is not in the reference")
                end
            end
        end
        check(mf, "mf.")
        check(mf.stats, "mf.stats.")
        check(mf.rng, "mf.rng.")
        check(mf.array, "mf.array.")
        check(require("moonfleet.rng").methods, "Rng:")
        check(require("moonfleet.array_methods"), "Array:")
    end)

    it("becomes pages and manual pages that can be read", function()
        program.with_folder(function(folder)
            local script = program.run({ "scripts/doc.lua", folder })
            assert.equal(0, script.code, script.err)
            local html = program.read_file(folder .. "/index.html")
            for _, entry in ipairs(entries) do
                H.has(html, 'id="' .. entry.name .. '"')
            end
            local manual = program.read_file(folder .. "/man3/moonfleet.map.3")
            H.has(manual, ".TH")
            if program.has("mandoc") then
                local lint = program.shell("mandoc -T lint -W warning " .. folder .. "/man3/*.3")
                assert.equal("", (lint.out:gsub("[^\n]*missing date[^\n]*\n", "")))
            end
        end)
    end)
end)
