-- The reference: doc comments of this library's sources (LuaLS annotations) as tables, for help, for the pages that
-- `make doc` writes, and for the test that reads what every public function says.

local core = require("moonfleet.core")
local names = require("moonfleet.names")

local M = {}

-- Types ---------------------------------------------------------------------------------------------------------

local CLOSERS = { ["("] = ")", ["["] = "]", ["{"] = "}", ["<"] = ">" }

-- The place behind the balanced brackets that open at `at`, or behind the string there.
local function skip_bracket(text, at)
    local open = text:sub(at, at)
    local close = CLOSERS[open]
    if not close then
        return (text:find(open, at + 1, true) or #text) + 1
    end
    local _, last = text:find("^%b" .. open .. close, at)
    return (last or #text) + 1
end

-- The place behind the type that begins at `at`. A type ends at a blank, but not within brackets, behind the colon of
-- `fun(...): type` and the commas of its results.
local function skip_type(text, at)
    local is_function
    while at <= #text do
        local c = text:sub(at, at)
        is_function = is_function or text:find("^fun%(", at) ~= nil
        if CLOSERS[c] or c == '"' then
            at = skip_bracket(text, at)
        elseif is_function and text:find("^[:,]%s+%S", at) then
            at = skip_type(text, text:match("^[:,]%s+()", at))
        elseif c:find("[%s,]") then
            return at
        else
            at = at + 1
        end
    end
    return at
end

-- "type rest": the type and the rest.
local function split_type(text)
    local at = skip_type(text, 1)
    return text:sub(1, at - 1), text:match("^%s*(.-)%s*$", at)
end

-- Tags ----------------------------------------------------------------------------------------------------------

local tags = {}

function tags.param(item, rest)
    local name, tail = rest:match("^(%S*)%s*(.*)$")
    local kind, text = split_type(tail)
    item.params[#item.params + 1] = { name = name, type = kind, text = text }
    return item.params[#item.params]
end

tags["return"] = function(item, rest)
    local kind, tail = split_type(rest)
    local name, text = tail:match("^([%a_][%w_]*)%s*(.*)$")
    if tail:sub(1, 1) == "#" then
        name, text = nil, tail:match("^#%s*(.*)$")
    end
    item.returns[#item.returns + 1] = { type = kind, name = name, text = text or tail }
    return item.returns[#item.returns]
end

function tags.field(item, rest)
    local name, tail = rest:match("^(%b[])%s*(.*)$")
    if not name then
        name, tail = rest:match("^(%S*)%s*(.*)$")
    end
    local kind, text = split_type(tail)
    item.fields[#item.fields + 1] = { name = name, type = kind, text = text }
    return item.fields[#item.fields]
end

function tags.class(item, rest)
    local name, text = rest:match("^([%w_.]+)%s*(.*)$")
    item.class = name
    item.parent = text:match("^:%s*([%w_.]+)")
    return { text = "" }
end

function tags.alias(item, rest)
    item.alias, item.means = rest:match("^([%w_.]+)%s*(.*)$")
    return { text = "" }
end

tags["type"] = function(item, rest)
    item.type = split_type(rest)
    return { text = "" }
end

local function append(text, line)
    if text == "" or line == "" or text:sub(-1) == "\n" then
        return text .. (line == "" and "\n\n" or line)
    end
    return text .. " " .. line
end

-- Reads the lines of one comment, without their dashes.
local function read_comment(lines)
    local item = { text = "", params = {}, returns = {}, fields = {} }
    local current = item
    for _, line in ipairs(lines) do
        local tag, rest = line:match("^@(%w+)%s*(.*)$")
        if not tag then
            current.text = append(current.text, line)
        elseif tags[tag] then
            current = tags[tag](item, rest)
        else
            current = { text = "" }
        end
    end
    item.text = item.text:gsub("%s+$", "")
    return item
end

-- What the line of code below a comment defines: its name, and the names of its parameters.
local function definition(code)
    local name, params = code:match("^function ([%w_.:]+)(%b())")
    if not name then
        name, params = code:match("^([%w_.]+) = function%s*(%b())")
    end
    name = name or code:match("^([%w_]+%.[%w_.]+) = ") or code:match("^local ([%w_]+) = ")
    local list = params and {}
    for param in (params or ""):gmatch("[%w_.]+") do
        list[#list + 1] = param
    end
    return name, list
end

---@class moonfleet.DocItem what one doc comment says
---@field target string? what the code below defines, as it is written there: "M.map", "Rng:sample"
---@field arguments string[]? the parameters of the function below, if its definition shows them
---@field text string without the tags; paragraphs are separated by an empty line
---@field params { name: string, type: string, text: string }[]
---@field returns { name: string?, type: string, text: string }[]
---@field fields { name: string, type: string, text: string }[]
---@field class string? that it declares
---@field parent string?
---@field alias string? that it declares
---@field means string? the type that the alias stands for
---@field type string? of what is defined below
---@field also string? what the comment of that type says
---@field line integer of its first line

---The doc comments of a source text, in their order. Never an error: what is no comment is passed over.
---@param source string
---@return moonfleet.DocItem[]
function M.parse(source)
    local items, lines, first, number = {}, {}, nil, 0
    for line in (source .. "\n"):gmatch("(.-)\n") do
        number = number + 1
        local text = line:match("^%-%-%-(.*)$")
        if text then
            first = first or number
            lines[#lines + 1] = text:match("^%s*(.-)%s*$")
        elseif first then
            local item = read_comment(lines)
            item.line = first
            item.target, item.arguments = definition(line)
            items[#items + 1] = item
            lines, first = {}, nil
        end
    end
    return items
end

-- The library's reference -----------------------------------------------------------------------------------------

-- Modules that are fields of the module, and classes that users meet, with what they are called in messages and pages.
local MODULES = { "array", "rng", "stats" }
local CLASSES = {
    { "Future", "future" },
    { "MapFuture", "async" },
    { "Range", "range" },
    { "Array", "array_methods" },
    { "Rng", "rng" },
    { "Share", "share" },
    { "Cluster", "cluster" },
    { "Plan", "plan" },
    { "Level", "plan" },
    { "Host", "hosts" },
    { "Error", "error" },
    { "Summary", "stats" },
    { "Histogram", "stats" },
    { "Regression", "stats" },
    { "FutureOptions", "future" },
    { "MapOptions", "map" },
    { "StreamOptions", "iterate" },
    { "LoadOptions", "array" },
}
local ALIASES = { { "DType", "array" }, { "Numbers", "stats" } }

-- Methods that only this library calls.
local HIDDEN = { ["MapFuture:facts"] = true, ["MapFuture:open_tasks"] = true }

---@class moonfleet.DocEntry something public
---@field name string as users write it: "mf.map", "Future:value", "mf.stats", "MapOptions"
---@field kind "function"|"method"|"module"|"class"|"alias"
---@field group string name of the module or class it belongs to: "mf", "mf.stats", "Future"
---@field file string name of the source without its extension
---@field item moonfleet.DocItem
---@field path string[]? of functions: the fields that lead from the module moonfleet to it

local parsed = {}

local function items_of(file)
    if not parsed[file] then
        local name = file == "init" and "moonfleet" or "moonfleet." .. file
        parsed[file] = M.parse(core.source(name))
    end
    return parsed[file]
end

local function find(file, field, value)
    for _, item in ipairs(items_of(file)) do
        if item[field] == value then
            return item
        end
    end
    return nil
end

local EMPTY = { text = "", params = {}, returns = {}, fields = {}, line = 0 }

local function add(list, name, kind, group, file, item, path)
    list[#list + 1] = { name = name, kind = kind, group = group, file = file, item = item or EMPTY, path = path }
end

local function add_functions(list)
    local own = {}
    for name, home in pairs(names) do
        if home[2] ~= false then
            own[#own + 1] = { name, home[1], "M." .. (home[2] or name) }
        end
    end
    for _, item in ipairs(items_of("init")) do
        local name = item.target and item.target:match("^mf%.([%w_]+)$")
        own[#own + 1] = name and { name, "init", item.target }
    end
    table.sort(own, function(a, b)
        return a[1] < b[1]
    end)
    for _, entry in ipairs(own) do
        add(list, "mf." .. entry[1], "function", "mf", entry[2], find(entry[2], "target", entry[3]), { entry[1] })
    end
end

local function add_module(list, module)
    local group = "mf." .. module
    local mine = find(module, "class", "moonfleet." .. module) or find(module, "target", "M")
    add(list, group, "module", group, module, mine, { module })
    for _, item in ipairs(items_of(module)) do
        local name = item.target and item.target:match("^M%.([%w_]+)$")
        if name then
            add(list, group .. "." .. name, "function", group, module, item, { module, name })
        end
    end
end

-- Parameters (without the receiver) and results from a type "fun(self, a: integer, b: number?): string".
local function add_signature(item, kind)
    local inside, results = kind:match("^fun(%b()):?%s*(.*)$")
    local receiver = true
    for name, optional, of in inside:sub(2, -2):gmatch("([%w_.]+)(%??):?%s*([^,]*)") do
        if not receiver then
            item.params[#item.params + 1] = { name = name, type = of .. optional, text = "" }
        end
        receiver = false
    end
    if results ~= "" then
        item.returns[1] = { type = results, text = "" }
    end
end

-- A method's item, with what its comment leaves to a type: `---@type moonfleet.BinaryMethod`.
local function complete(item, file)
    local kind = item.type
    local alias = kind and find(file, "alias", kind)
    kind = alias and alias.means or kind
    if kind and kind:find("^fun%(") and #item.params == 0 then
        add_signature(item, kind)
        item.also = alias and alias.text
    end
    if item.arguments and item.target:find(".", 1, true) and not item.target:find(":", 1, true) then
        item.arguments = table.move(item.arguments, 2, #item.arguments, 1, {}) -- without the receiver
    end
    return item
end

local function add_class(list, class, file)
    local full = "moonfleet." .. class
    local declaration = find(file, "class", full)
    add(list, class, "class", class, file, declaration)
    for _, item in ipairs(items_of(file)) do
        local holder, name = (item.target or ""):match("^([%w_.]+)[.:]([%a][%w_]*)$")
        if holder and declaration and declaration.target == holder and not HIDDEN[class .. ":" .. name] then
            add(list, class .. ":" .. name, "method", class, file, complete(item, file))
        end
    end
end

local entries

---Everything public, in the order of the pages. Reads the sources when it is first asked.
---@return moonfleet.DocEntry[]
function M.entries()
    if not entries then
        local list = {}
        add_functions(list)
        for _, module in ipairs(MODULES) do
            add_module(list, module)
        end
        for _, class in ipairs(CLASSES) do
            add_class(list, class[1], class[2])
        end
        for _, alias in ipairs(ALIASES) do
            add(list, alias[1], "alias", alias[1], alias[2], find(alias[2], "alias", "moonfleet." .. alias[1]))
        end
        entries = list
    end
    return entries
end

---How an entry is called: "mf.map(xs, fn, given?)".
---@param entry moonfleet.DocEntry
---@return string
function M.signature(entry)
    local params = {}
    for i, param in ipairs(entry.item.params) do
        local optional = param.type:sub(-1) == "?" or param.name:sub(-1) == "?" or param.type:find("|nil$")
        params[i] = param.name:gsub("%?$", "") .. (optional and "?" or "")
    end
    if entry.kind ~= "function" and entry.kind ~= "method" then
        return entry.name
    end
    return ("%s(%s)"):format(entry.name, table.concat(params, ", "))
end

---The first sentence of a text.
---@param text string
---@return string
function M.brief(text)
    local paragraph = text:match("^(.-)\n\n") or text
    return paragraph:match("^(.-[.:;])%s") or paragraph
end

return M
