-- help() at the prompt: the reference as text.

local core = require("moonfleet.core")
local doc = require("moonfleet.doc")
local futures = require("moonfleet.future")

local M = {}

local WIDTH = 80 -- columns at most, so that lines stay readable

local function width()
    return math.min(core.columns(), WIDTH) - 1
end

-- Appends a paragraph, broken into lines, the first of which begins with `first`, the others with `indent`.
local function wrap(out, text, first, indent)
    local line, most = first, width()
    local empty = true
    for word in text:gmatch("%S+") do
        if not empty and #line + 1 + #word > most then
            out[#out + 1] = line
            line, empty = indent, true
        end
        line = line .. (empty and "" or " ") .. word
        empty = false
    end
    out[#out + 1] = line
end

local function paragraphs(out, text, indent)
    for paragraph in (text .. "\n\n"):gmatch("(.-)\n\n+") do
        if paragraph ~= "" then
            wrap(out, paragraph, indent, indent)
            out[#out + 1] = ""
        end
    end
end

local function short(kind)
    return (kind:gsub("moonfleet%.", ""))
end

local function add_list(out, title, list, shown)
    if #list == 0 then
        return
    end
    out[#out + 1] = title
    for _, entry in ipairs(list) do
        wrap(out, shown(entry), "  ", "      ")
    end
    out[#out + 1] = ""
end

local function named(entry)
    local text = entry.text ~= "" and " - " .. entry.text:gsub("\n\n", " ") or ""
    return ("%s: %s%s"):format(entry.name, short(entry.type), text)
end

local function returned(entry)
    local text = entry.text ~= "" and " - " .. entry.text:gsub("\n\n", " ") or ""
    return (entry.name and entry.name .. ": " or "") .. short(entry.type) .. text
end

-- What belongs to a module or class, one line each.
local function add_members(out, entry)
    for _, member in ipairs(doc.entries()) do
        if member.group == entry.group and member ~= entry and member.kind ~= "module" then
            wrap(out, doc.signature(member) .. " - " .. doc.brief(member.item.text), "  ", "      ")
        end
    end
end

-- One entry as text.
local function page(entry)
    local out, item = { doc.signature(entry), "" }, entry.item
    paragraphs(out, item.text, "")
    paragraphs(out, item.also or "", "")
    add_list(out, "Arguments:", item.params, named)
    add_list(out, "Returns:", item.returns, returned)
    add_list(out, "Fields:", item.fields, named)
    if item.means then
        out[#out + 1] = short(item.means)
    end
    if entry.kind == "module" or entry.kind == "class" then
        add_members(out, entry)
    end
    while out[#out] == "" do
        out[#out] = nil
    end
    return table.concat(out, "\n")
end

local function overview()
    local out = {
        "Moonfleet: futures and parallel maps. The library is the global mf.",
        "help(mf.map), help \"mf.map\" or ?mf.map tells about one thing; help \"word\" looks for it.",
        "jobs() lists what runs or waits; _ is the last value; Tab completes.",
        "",
    }
    for _, entry in ipairs(doc.entries()) do
        local is_object = entry.kind == "class" and not entry.name:find("Options$")
        if entry.group == "mf" or entry.kind == "module" or is_object then
            local name = entry.kind == "function" and entry.name or entry.name .. " (" .. entry.kind .. ")"
            wrap(out, ("%-16s %s"):format(name, doc.brief(entry.item.text)), "  ", "                   ")
        end
    end
    return table.concat(out, "\n")
end

-- Looking up ----------------------------------------------------------------------------------------------------

local function plain(name)
    return (name:lower():gsub("^moonfleet%.", "mf."):gsub("^mf%.", ""):gsub(":", "."))
end

local function by_name(name)
    local wanted, alike = plain(name), {}
    for _, entry in ipairs(doc.entries()) do
        if entry.name == name or entry.name == "mf." .. name then
            return entry
        end
    end
    for _, entry in ipairs(doc.entries()) do
        local known = plain(entry.name)
        if known == wanted then
            return entry
        elseif known:find(wanted, 1, true) then
            alike[#alike + 1] = entry
        end
    end
    return nil, alike
end

local function value_at(path)
    local v = require("moonfleet")
    for _, name in ipairs(path) do
        v = v[name]
    end
    return v
end

-- Methods are found in the tables that objects look them up in.
local function method_tables()
    return {
        Future = core.methods,
        MapFuture = futures.map_future,
        Array = require("moonfleet.array_methods"),
        Rng = require("moonfleet.rng").methods,
    }
end

local CLASSES = {
    ["moonfleet.future"] = "Future",
    ["moonfleet.map_future"] = "MapFuture",
    ["moonfleet.array"] = "Array",
    ["moonfleet.rng"] = "Rng",
    ["moonfleet.share"] = "Share",
    ["moonfleet.range"] = "Range",
    ["moonfleet.cluster"] = "Cluster",
    ["moonfleet.plan"] = "Plan",
    ["moonfleet.error"] = "Error",
}

local function by_value(v)
    if rawequal(v, require("moonfleet")) then
        return overview
    end
    local methods = type(v) == "function" and method_tables() or {}
    for _, entry in ipairs(doc.entries()) do
        local holder, name = methods[entry.group], entry.name:match(":(.*)$")
        if entry.path and rawequal(v, value_at(entry.path)) then
            return entry
        elseif holder and name and rawequal(v, rawget(holder, name)) then
            return entry
        end
    end
    local meta = debug.getmetatable(v)
    local class = type(meta) == "table" and type(v) ~= "string" and CLASSES[rawget(meta, "__name")]
    return class and by_name(class)
end

local function nothing_alike(name, alike)
    if #alike == 0 then
        return ("There is no help on '%s'; help() lists what there is."):format(name)
    end
    local out = { ("There is no '%s'; these names contain it:"):format(name) }
    for _, entry in ipairs(alike) do
        wrap(out, doc.signature(entry) .. " - " .. doc.brief(entry.item.text), "  ", "      ")
    end
    return table.concat(out, "\n")
end

-- What a function's own source says above it, if that can be read: for the user's functions.
local function comment_of(fn)
    local info = debug.getinfo(fn, "S")
    local file = info.source:sub(1, 1) == "@" and io.open(info.source:sub(2))
    if not file then
        return nil
    end
    local above = {}
    for i = 1, info.linedefined - 1 do
        local line = file:read("l")
        local text = line and line:match("^%s*%-%-%-*%s?(.*)$")
        if not text then
            above = {}
        end
        above[#above + 1] = text
        if i % 100000 == 0 and #above > 1000 then
            break
        end
    end
    file:close()
    return #above > 0 and table.concat(above, "\n") or nil
end

---The help on something, as text.
---@param x any a function, module or object of the library, or a name such as "mf.map", "Future:value", "map"; nil: an
---overview
---@return string
function M.text(x)
    if x == nil then
        return overview()
    end
    local entry, alike
    if type(x) == "string" then
        entry, alike = by_name(x)
        if not entry then
            return nothing_alike(x, alike)
        end
    else
        entry = by_value(x)
    end
    if entry == overview then
        return overview()
    elseif entry then
        return page(entry)
    end
    return type(x) == "function" and comment_of(x)
        or ("There is no help on this %s; help() lists what there is."):format(type(x))
end

---Prints the help on something; see M.text.
---@param x any
function M.help(x)
    print(M.text(x))
end

return M
