-- Writes the reference of the library, which stands in the doc comments of stdlib/, as a page for browsers and as
-- manual pages: index.html, man3/moonfleet.NAME.3. Usage: moonfleet scripts/doc.lua FOLDER

local doc = require("moonfleet.doc")

local folder = assert(arg[1], "usage: moonfleet scripts/doc.lua FOLDER")

local function write(path, text)
    local file = assert(io.open(path, "w"))
    assert(file:write(text))
    assert(file:close())
end

local function short(kind)
    return (kind:gsub("moonfleet%.", ""))
end

-- Pages for browsers ----------------------------------------------------------------------------------------------

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function html(text)
    return (text:gsub('[&<>"]', ENTITIES):gsub("`([^`]+)`", "<code>%1</code>"))
end

local function html_text(out, text)
    for paragraph in (text .. "\n\n"):gmatch("(.-)\n\n+") do
        if paragraph ~= "" then
            out[#out + 1] = "<p>" .. html(paragraph) .. "</p>"
        end
    end
end

local function html_list(out, title, list)
    if #list == 0 then
        return
    end
    out[#out + 1] = "<h4>" .. title .. "</h4>\n<dl>"
    for _, x in ipairs(list) do
        local name = x.name and ("<b>%s</b> "):format(html(x.name)) or ""
        out[#out + 1] = ("<dt>%s<i>%s</i></dt><dd>%s</dd>"):format(name, html(short(x.type)), html(x.text))
    end
    out[#out + 1] = "</dl>"
end

local function html_entry(out, entry)
    local level = (entry.kind == "function" or entry.kind == "method") and "h3" or "h2"
    local item = entry.item
    local title = html(doc.signature(entry))
    out[#out + 1] = ('<%s id="%s"><code>%s</code></%s>'):format(level, html(entry.name), title, level)
    html_text(out, item.text)
    html_text(out, item.also or "")
    if item.means then
        out[#out + 1] = "<p><code>" .. html(short(item.means)) .. "</code></p>"
    end
    html_list(out, "Parameters", item.params)
    html_list(out, "Returns", item.returns)
    html_list(out, "Fields", item.fields)
end

local HEAD = [[
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Moonfleet: reference</title><style>
body { font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }
code { background: #f4f4f4; padding: 0 .2em } h3 { border-top: 1px solid #ddd; padding-top: .7em }
dd { margin: 0 0 .3em 2em } nav { columns: 3 } nav a { display: block }
</style></head><body>
<h1>Moonfleet: reference</h1>
]]

local function page(entries)
    local out = { HEAD, "<nav>" }
    for _, entry in ipairs(entries) do
        out[#out + 1] = ('<a href="#%s">%s</a>'):format(html(entry.name), html(entry.name))
    end
    out[#out + 1] = "</nav>"
    for _, entry in ipairs(entries) do
        html_entry(out, entry)
    end
    out[#out + 1] = "</body></html>\n"
    return table.concat(out, "\n")
end

-- Manual pages ----------------------------------------------------------------------------------------------------

local function roff(text)
    return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("`", ""):gsub("\n", " "):gsub("^([.'])", "\\&%1"))
end

local function roff_text(out, text)
    for paragraph in (text .. "\n\n"):gmatch("(.-)\n\n+") do
        if paragraph ~= "" then
            out[#out + 1] = ".PP\n" .. roff(paragraph)
        end
    end
end

local function roff_list(out, title, list)
    if #list == 0 then
        return
    end
    out[#out + 1] = ".PP\n" .. title .. ":"
    for _, x in ipairs(list) do
        local name = x.name and "\\fB" .. roff(x.name) .. "\\fR " or ""
        local text = x.text ~= "" and roff(x.text) or "\\&"
        out[#out + 1] = (".TP\n%s\\fI%s\\fR\n%s"):format(name, roff(short(x.type)), text)
    end
end

local function roff_entry(out, entry)
    out[#out + 1] = ".SH " .. roff(doc.signature(entry))
    local first, rest = entry.item.text:match("^(.-)\n\n(.*)$")
    out[#out + 1] = roff(first or entry.item.text)
    roff_text(out, rest or "")
    roff_text(out, entry.item.also or "")
    roff_list(out, "Parameters", entry.item.params)
    roff_list(out, "Returns", entry.item.returns)
    roff_list(out, "Fields", entry.item.fields)
end

-- One manual page: what is in it, and what its name is.
local function manual(name, entries)
    local brief = doc.brief(entries[1].item.text):gsub("%.$", "")
    local out = {
        (".TH MOONFLEET.%s 3 \"\" Moonfleet \"Moonfleet's library\""):format(roff(name:upper())),
        (".SH NAME\nmoonfleet.%s \\- %s"):format(roff(name), roff(brief)),
    }
    for _, entry in ipairs(entries) do
        roff_entry(out, entry)
    end
    return table.concat(out, "\n") .. "\n"
end

-- A page for each function of the module itself, and one for each module and class with all that it has.
local function manuals(entries)
    local groups = {}
    for _, entry in ipairs(entries) do
        local name = entry.group == "mf" and entry.name or entry.group
        name = name:gsub("^mf%.", "")
        groups[name] = groups[name] or {}
        table.insert(groups[name], entry)
    end
    return groups
end

local entries = doc.entries()
assert(os.execute(("mkdir -p '%s/man3'"):format(folder:gsub("'", "'\\''"))))
write(folder .. "/index.html", page(entries))
for name, list in pairs(manuals(entries)) do
    write(("%s/man3/moonfleet.%s.3"):format(folder, name), manual(name, list))
end
