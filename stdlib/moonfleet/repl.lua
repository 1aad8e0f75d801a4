-- The prompt's policy: what a typed statement means, how its values look, which futures it has left running and what
-- became of them. The program's C half reads the lines (vm/repl*.c) and calls this through vm/console.c; it is loaded
-- only when a person is at the prompt.

local core = require("moonfleet.core")
local completion = require("moonfleet.complete")
local futures = require("moonfleet.future")
local help = require("moonfleet.help")
local lexer = require("moonfleet.lexer")
local pretty = require("moonfleet.pretty")

local M = {}

local TOLD = 6 -- futures that are announced one by one

-- Futures of maps that are not resolved, or that nobody was told of; those of tasks are the core's to keep.
local maps = {}

local last -- what `_` was set to
local newest = 0 -- number of the last future before the running statement
local newest_map = 0 -- place in maps, likewise

-- Statements ----------------------------------------------------------------------------------------------------

local function compile(code)
    local fn, message = load(code, "=stdin", "t")
    return fn, message, not fn and message:sub(-5) == "<eof>"
end

-- A local of the outermost block would end with its line. So the line hands its locals over when it has run, and they
-- live on as globals.
local function keep(names)
    return function(...)
        for i, name in ipairs(names) do
            _G[name] = (select(i, ...))
        end
    end
end

local function with_locals(code)
    local names, vararg = lexer.outer_locals(code)
    if #names == 0 or vararg then
        return nil
    end
    local fn = compile(("%s\n;(...)(%s)"):format(code, table.concat(names, ", ")))
    return fn and function()
        return fn(keep(names))
    end
end

local function topic(name)
    return function()
        help.help(name ~= "" and name or nil)
    end
end

---Compiles what was typed. A first "=" prints as print does; `?name` is for help.
---@param text string
---@return function? fn
---@return string? message when it is no Lua
---@return boolean incomplete more lines may make it Lua
---@return boolean raw its values are for print as they are
function M.compile(text)
    local name = text:match("^%s*%?%s*([%w_.:]*)%s*$")
    if name then
        return topic(name), nil, false, true
    elseif text:sub(1, 1) == "=" then
        local fn, message, incomplete = compile("return " .. text:sub(2))
        return fn, message, incomplete, true
    end
    local fn, _, unfinished = compile("return " .. text)
    if fn then
        return fn, nil, false, false
    end
    local message, incomplete
    fn, message, incomplete = compile(text)
    return fn and (with_locals(text) or fn), message, incomplete or not fn and unfinished, false
end

---Says that a statement begins to run: its futures count from here.
function M.begin()
    newest, newest_map = core.newest(), #maps
end

---Says that the statement was interrupted: cancels the futures that it has made and that are not resolved.
---@return integer count of them
function M.interrupted()
    local count = 0
    for _, f in ipairs(core.tracked()) do
        if core.facts(f).id > newest and f:cancel() then
            count = count + 1
        end
    end
    for i = newest_map + 1, #maps do
        if not maps[i]:resolved() then
            maps[i]:cancel()
            count = count + 1
        end
    end
    return count
end

-- Values --------------------------------------------------------------------------------------------------------

-- Whoever has seen the state of a future that is resolved needs not be told.
local function note_seen(v)
    if core.is_future(v) then
        local state = core.facts(v).state
        if state == "done" or state == "failed" or state == "cancelled" or state == "lost" then
            v:resolved()
        end
    elseif type(v) == "table" and rawequal(debug.getmetatable(v), futures.map_future) then
        v.asked = v:resolved()
    end
end

---Prints the values of an expression by the global print, and keeps the first one as `_`, unless the user has another
---use for that name.
---@param raw boolean print them as they are
---@param ... any
function M.show(raw, ...)
    local n, value = select("#", ...), (...)
    if value ~= nil and rawequal(rawget(_G, "_"), last) then
        last = value
        rawset(_G, "_", value)
    end
    if raw then
        return print(...)
    end
    local texts, sign = {}, "\t"
    for i = 1, n do
        note_seen((select(i, ...)))
        texts[i] = pretty.text((select(i, ...)), core.columns())
        if texts[i]:find("\n", 1, true) then
            sign = "\n"
        end
    end
    print(table.concat(texts, sign))
end

-- Futures -------------------------------------------------------------------------------------------------------

-- Text that may hold anything, in one line of harmless characters.
local function one_line(text)
    local line = text:match("^[^\n]*"):gsub("%c", "?")
    return #line > 300 and line:sub(1, 300) .. "..." or line
end

local function error_text(f)
    local err
    if core.is_future(f) then
        err = core.failure(f)
    else
        local got = table.pack(f:result())
        err = got[2]
    end
    local ok, text = pcall(tostring, err)
    return one_line(ok and text or "(error object is a " .. type(err) .. " value)")
end

local function announcement(f)
    local text = pretty.future(f)
    if pretty.facts(f).state == "done" then
        return text
    end
    return text .. ": " .. error_text(f)
end

-- The maps that are resolved and that nobody asked about; they are forgotten, and so are those that somebody has.
local function resolved_maps()
    local news, open = {}, {}
    for _, f in ipairs(maps) do
        local done = f:resolved()
        if done and not f.asked then
            news[#news + 1] = f
        elseif not done then
            open[#open + 1] = f
        end
    end
    maps = open
    return news
end

---What is to be told: a line for each future that is resolved and that nobody has waited for, once. "" for nothing.
---@return string text lines, each with its end
function M.news()
    local list, done, failed = core.news()
    table.move(resolved_maps(), 1, #maps + #list + 1, #list + 1, list)
    local lines = {}
    for i, f in ipairs(list) do
        if i <= TOLD then
            lines[i] = announcement(f) .. "\n"
        elseif pretty.facts(f).state == "done" then
            done = done + 1
        else
            failed = failed + 1
        end
    end
    if done + failed > 0 then
        local text = "and %d more futures: %d done, %d failed or cancelled\n"
        lines[#lines + 1] = text:format(done + failed, done, failed)
    end
    return table.concat(lines)
end

-- A list of futures with a text of its own.
local Jobs = {}

function Jobs:__tostring()
    if #self == 0 then
        return "nothing runs or waits"
    end
    local lines = { ("%5s  %-8s %-14s %8s  %s"):format("", "state", "worker", "time", "label") }
    for _, f in ipairs(self) do
        local facts = pretty.facts(f)
        local label = facts.label or ""
        if facts.total then
            label = ("map%s (%d of %d)"):format(label ~= "" and " " .. label or "", facts.done, facts.total)
        end
        local time = facts.seconds and pretty.seconds(facts.seconds) or ""
        local line = ("%5s  %-8s %-14s %8s  %s"):format(facts.id or "", facts.state, facts.worker or "", time, label)
        lines[#lines + 1] = line:match("^(.-)%s*$")
    end
    return table.concat(lines, "\n")
end

---The futures that run or wait, also those that no variable holds any more; as text, a table of them.
---@return moonfleet.Future[]
function M.jobs()
    local list = core.tracked()
    for _, f in ipairs(maps) do
        if not f:resolved() then
            list[#list + 1] = f
        end
    end
    return setmetatable(list, Jobs)
end

-- The prompt ------------------------------------------------------------------------------------------------------

---Completes; see moonfleet.complete. The text to insert, a newline, and the candidates, each with a newline.
---@param text string up to the cursor
---@return string
function M.complete(text)
    local insert, list = completion.complete(text)
    list[#list + 1] = ""
    return insert .. "\n" .. table.concat(list, "\n")
end

---Makes the state one for a person at a prompt: from now on futures are watched, and the globals mf, help and jobs are
---there, unless the user has others by these names.
function M.open()
    core.track()
    futures.observe = function(f)
        maps[#maps + 1] = f
    end
    for name, value in pairs({ mf = require("moonfleet"), help = help.help, jobs = M.jobs }) do
        if rawget(_G, name) == nil then
            rawset(_G, name, value)
        end
    end
    last = rawget(_G, "_")
end

return M
