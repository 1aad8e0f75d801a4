-- Completion of what is typed at the prompt: names, fields, methods, and in strings modules and files. Looks at values
-- without running any of their code: fields are read past metatables, and __index is followed where it is a table.

local core = require("moonfleet.core")
local lexer = require("moonfleet.lexer")
local names = require("moonfleet.names")

local M = {}

local MOST = 2000 -- candidates
local HOPS = 16 -- of a chain of __index

local function is_array(v)
    local arrays = package.loaded["moonfleet.array_core"] -- else there is none
    return arrays and arrays.is_array(v)
end

-- The tables in which the fields of a value are looked up, the first one first.
local function places(v)
    local list = {}
    if core.is_future(v) then
        return { core.methods }
    elseif is_array(v) then
        return { require("moonfleet.array_methods") }
    elseif type(v) == "table" then
        list[1] = v
    end
    local meta = debug.getmetatable(v)
    while type(meta) == "table" and #list < HOPS do
        local index = rawget(meta, "__index")
        if type(index) ~= "table" then
            break
        end
        list[#list + 1] = index
        meta = debug.getmetatable(index)
    end
    return list
end

local function is_library(v)
    return rawequal(v, package.loaded["moonfleet"])
end

-- A field of a value, without running code of its metatable's. The library's own fields are loaded when they are asked
-- for.
local function field(v, name)
    if is_library(v) then
        return v[name]
    end
    for _, place in ipairs(places(v)) do
        local found = rawget(place, name)
        if found ~= nil then
            return found
        end
    end
    return nil
end

local function add(found, name, v)
    if #found < MOST and not found[name] then
        found[name] = true
        found[#found + 1] = { name = name, kind = type(v) }
    end
end

local function add_fields(found, v, start, methods)
    for _, place in ipairs(places(v)) do
        for name, value in next, place do
            if type(name) == "string" and name:sub(1, #start) == start and name:find("^[%a_][%w_]*$") then
                if not methods or type(value) == "function" then
                    add(found, name, value)
                end
            end
        end
    end
    for name, home in pairs(is_library(v) and names or {}) do
        if name:sub(1, #start) == start then
            add(found, name, home[2] ~= false and print or nil)
        end
    end
end

-- The value of a chain of names such as "a.b:c", or nil.
local function value_of(chain)
    local v = _G
    for name in chain:gmatch("[%w_]+") do
        v = field(v, name)
        if v == nil then
            return nil
        end
    end
    return v
end

local function complete_name(text)
    local chain, sign, start = text:match("([%a_][%w_.:]*)([.:])([%w_]*)$")
    local found = {}
    if chain then
        local follows = text:sub(-#chain - #start - 2, -#chain - #start - 2) -- what stands in front of it: f(x).chain
        if chain:find("[.:][.:]") or chain:find("[.:]$") or follows:find("[.:]") then
            return start, found
        end
        local v = value_of(chain)
        if v ~= nil then
            add_fields(found, v, start, sign == ":")
        end
        return start, found
    end
    start = text:match("[%a_][%w_]*$") or ""
    if start == "" or text:find("[.:]%s*" .. start .. "$") or text:find("%d" .. start .. "$") then
        return start, found
    end
    add_fields(found, _G, start)
    for word in pairs(lexer.keywords) do
        if word:sub(1, #start) == start then
            add(found, word)
        end
    end
    return start, found
end

local function complete_file(start)
    local found = {}
    local folder, name = start:match("^(.*/)([^/]*)$")
    name = name or start
    local home = folder and os.getenv("HOME")
    local path = folder and home and folder:gsub("^~/", home .. "/") or folder or "."
    for _, entry in ipairs(core.folder(path) or {}) do
        if entry:sub(1, #name) == name and (name ~= "" or entry:sub(1, 1) ~= ".") then
            add(found, entry)
        end
    end
    return name, found
end

local function complete_module(start)
    local found = {}
    for _, list in ipairs({ package.loaded, package.preload }) do
        for name in next, list do
            if type(name) == "string" and name:sub(1, #start) == start then
                add(found, name)
            end
        end
    end
    return start, found
end

-- What stands before the cursor decides: an open string, a comment, or a name.
local function candidates(text)
    local words = lexer.words(text)
    local last = words[#words]
    if not last or last.kind == "comment" and (last.closed == false or last.text:find("^%-%-[^\n]*$")) then
        return "", {}
    elseif last.kind ~= "string" or last.closed then
        return complete_name(text)
    elseif last.text:sub(1, 1) == "[" then
        return "", {}
    end
    local call = words[#words - 1]
    if call and call.text == "(" then
        call = words[#words - 2]
    end
    local inside = last.text:sub(2)
    if call and call.text == "require" then
        return complete_module(inside)
    end
    return complete_file(inside)
end

local function common(found)
    local prefix = found[1].name
    for _, candidate in ipairs(found) do
        local n = 0
        while n < #prefix and prefix:byte(n + 1) == candidate.name:byte(n + 1) do
            n = n + 1
        end
        prefix = prefix:sub(1, n)
    end
    while #prefix > 0 and not utf8.len(prefix) and found[2] do -- not in the middle of a character
        prefix = prefix:sub(1, -2)
    end
    return prefix
end

---What can follow a text up to the cursor.
---@param text string all that has been typed up to the cursor, earlier lines of the statement too
---@return string insert what all candidates have in common, behind what is there; "" for nothing
---@return string[] candidates in order; none when there is just one
function M.complete(text)
    local start, found = candidates(text)
    if #found == 0 then
        return "", {}
    end
    local insert = common(found):sub(#start + 1)
    if #found == 1 then
        return found[1].kind == "function" and insert .. "(" or insert, {}
    end
    local list = {}
    for i, candidate in ipairs(found) do
        list[i] = candidate.name
    end
    table.sort(list)
    return insert, list
end

return M
