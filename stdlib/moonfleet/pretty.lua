-- Values as text for a person. Nothing here runs code of the value's, except __tostring and __name, which print runs,
-- too: fields are read past metatables. However large a value is, its text is short, and says what it leaves out.

local core = require("moonfleet.core")
local futures = require("moonfleet.future")
local lexer = require("moonfleet.lexer")
local progress = require("moonfleet.progress")

local M = {}

local WIDTH = 80 -- columns, unless told
local DEPTH = 6 -- tables in tables
local ENTRIES = 60 -- of one table
local LINES = 200 -- of all
local STRING = 1000 -- bytes of a string
local INNER_STRING = 200 -- of one in a table
local SORTED = 10000 -- keys of a table that are put in order
local COUNTED = 1000000 -- keys of a table that are counted

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"', ["\0"] = "\\0" }

local function escape(c)
    return ESCAPES[c] or ("\\x%02X"):format(c:byte())
end

-- Escapes control characters, quotes, and bytes that are no UTF-8.
local function escaped(s)
    local parts, at = {}, 1
    while at <= #s do
        local _, bad = utf8.len(s, at)
        local good = s:sub(at, (bad or #s + 1) - 1)
        parts[#parts + 1] = good:gsub('[%c"\\]', escape)
        if bad then
            parts[#parts + 1] = ("\\x%02X"):format(s:byte(bad))
        end
        at = (bad or #s) + 1
    end
    return (table.concat(parts):gsub("\\0(%d)", "\\x00%1"))
end

local function string_text(s, most)
    if #s <= most then
        return '"' .. escaped(s) .. '"'
    end
    local cut = most
    while cut > most - 4 and (s:byte(cut + 1) or 0) & 0xC0 == 0x80 do -- not in the middle of a character
        cut = cut - 1
    end
    return ('"%s"... (%d of %d bytes left out)'):format(escaped(s:sub(1, cut)), #s - cut, #s)
end

---Words for a time: `3 ms`, `1.24 s`, `12:30`.
---@param seconds number
---@return string
function M.seconds(seconds)
    if seconds < 0.01 then
        return ("%.2f ms"):format(seconds * 1000)
    elseif seconds < 1 then
        return ("%.0f ms"):format(seconds * 1000)
    elseif seconds < 60 then
        return ("%.2f s"):format(seconds)
    end
    return progress.clock(seconds)
end

---What is known about a future, of a task or of a map.
---@param f moonfleet.Future
---@return { id: integer?, label: string?, state: string, worker: string?, seconds: number?, total: integer? } facts
function M.facts(f)
    if core.is_future(f) then
        return core.facts(f)
    end
    return f:facts()
end

---A future as text: its number, label, state, worker and time.
---@param f moonfleet.Future
---@return string
function M.future(f)
    local facts, parts = M.facts(f), {}
    parts[#parts + 1] = facts.worker
    parts[#parts + 1] = facts.seconds and M.seconds(facts.seconds)
    if facts.total then
        table.insert(parts, 1, ("%d of %d"):format(facts.done, facts.total))
    end
    return ("%s%s%s: %s%s"):format(
        facts.total and "future of a map" or "future",
        facts.id and " " .. facts.id or "",
        facts.label and (" '%s'"):format(facts.label) or "",
        facts.state,
        #parts > 0 and " (" .. table.concat(parts, ", ") .. ")" or ""
    )
end

local function is_future(v)
    return core.is_future(v) or type(v) == "table" and rawequal(debug.getmetatable(v), futures.map_future)
end

local function function_text(fn)
    local info = debug.getinfo(fn, "Su")
    if info.what == "C" then
        return (tostring(fn):gsub("^function: ", "function: C "))
    end
    local names = {}
    for i = 1, info.nparams do
        names[i] = debug.getlocal(fn, i)
    end
    names[#names + 1] = info.isvararg and "..." or nil
    return ("function(%s) at %s:%d"):format(table.concat(names, ", "), info.short_src, info.linedefined)
end

-- The text that the value's metatable gives it, if it has one that does.
local function own_text(v)
    local meta = debug.getmetatable(v)
    if type(meta) ~= "table" or rawget(meta, "__tostring") == nil then
        return nil
    end
    local ok, text = pcall(tostring, v)
    if ok then
        return text
    elseif text == "interrupted!" then
        error(text, 0)
    end
    return ("%s (its __tostring failed: %s)"):format(type(v), type(text) == "string" and text or type(text))
end

-- Of a table or userdata without a text of its own: "moonfleet.pool: 0x55..."
local function address(v)
    local meta = debug.getmetatable(v)
    local name = type(meta) == "table" and rawget(meta, "__name")
    if type(v) == "table" and type(name) ~= "string" then
        return ""
    end
    return (type(name) == "string" and name or type(v)) .. (type(v) == "table" and " " or (": %p"):format(v))
end

-- Keys ----------------------------------------------------------------------------------------------------------

local RANKS = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
    local rank_a, rank_b = RANKS[type(a)] or 4, RANKS[type(b)] or 4
    if rank_a ~= rank_b then
        return rank_a < rank_b
    elseif rank_a <= 2 then
        return a < b
    end
    return rank_a == 3 and b and not a
end

-- The keys behind the sequence of n, in order, as far as they are shown; and how many there are in all (a float: at
-- least).
local function other_keys(t, n)
    local keys, count = {}, 0
    for key in next, t do
        if not (math.type(key) == "integer" and key >= 1 and key <= n) then
            count = count + 1
            if count <= SORTED then
                keys[count] = key
            elseif count > COUNTED then
                count = count + 0.0
                break
            end
        end
    end
    table.sort(keys, before)
    return keys, count
end

-- Tables --------------------------------------------------------------------------------------------------------

local value_text

local function key_text(key, state)
    if type(key) == "string" and key:find("^[%a_][%w_]*$") and not lexer.keywords[key] then
        return key
    end
    return "[" .. value_text(key, state, 0) .. "]"
end

-- The entries of a table as text, and what is left out.
local function entries(t, state, depth)
    local n, list = rawlen(t), {}
    for i = 1, math.min(n, ENTRIES) do
        if state.lines <= 0 then
            break
        end
        list[#list + 1] = value_text(rawget(t, i), state, depth + 1)
    end
    local keys, others = other_keys(t, n)
    local left = n - #list
    for i = 1, math.min(#keys, math.max(ENTRIES - #list, 0)) do
        if state.lines <= 0 then
            break
        end
        local key = keys[i]
        list[#list + 1] = ("%s = %s"):format(key_text(key, state), value_text(rawget(t, key), state, depth + 1))
        others = others - 1
    end
    left = left + others
    if left > 0 then
        local more = math.type(left) == "float" and "more than %.0f more" or "%d more"
        list[#list + 1] = "... " .. more:format(left)
    end
    return list
end

-- In one line if there is room, else one entry a line.
local function layout(list, state, depth)
    local line = "{ " .. table.concat(list, ", ") .. " }"
    if #line + depth * 2 <= state.width and not line:find("\n", 1, true) then
        return line
    end
    local indent = ("  "):rep(depth + 1)
    state.lines = state.lines - #list - 1
    return "{\n" .. indent .. table.concat(list, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

local function table_text(t, state, depth)
    local head = address(t)
    if state.open[t] then
        local up = depth - state.open[t]
        return ("<cycle: the table %d level%s up>"):format(up, up == 1 and "" or "s")
    elseif next(t) == nil then
        return head .. "{}"
    elseif depth >= DEPTH then
        return head .. "{ ... }"
    end
    state.open[t] = depth
    local list = entries(t, state, depth)
    state.open[t] = nil
    return head .. layout(list, state, depth)
end

-- In a table, what takes several lines is told by its first one.
local function cut_text(text, depth)
    local first = depth > 0 and text:match("^(.-)\n")
    return first and first .. " ..." or text
end

---@param v any
---@param state table
---@param depth integer of the table in which it stands
function value_text(v, state, depth)
    local kind = type(v)
    if kind == "string" then
        return string_text(v, depth == 0 and STRING or INNER_STRING)
    elseif kind == "function" then
        return function_text(v)
    elseif kind ~= "table" and kind ~= "userdata" then
        return tostring(v)
    elseif is_future(v) then
        return M.future(v)
    end
    local text = own_text(v)
    if text then
        return cut_text(text, depth)
    end
    return kind == "table" and table_text(v, state, depth) or address(v)
end

---A value as text for a person: strings quoted, tables with their fields, futures with state, label, worker and time. A
---large one is cut, with a note of how much is left out.
---@param v any
---@param width integer? columns; 80 unless told
---@return string
function M.text(v, width)
    return value_text(v, { width = (width or WIDTH) - 1, lines = LINES, open = {} }, 0)
end

return M
