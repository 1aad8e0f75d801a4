-- Lua's words, as far as the prompt needs to know them: where a string is open, which locals a chunk leaves, what name
-- stands before the cursor. Text that is no Lua gives some words, never an error.

local M = {}

local KEYWORDS = {}
for word in
    ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while]]):gmatch("%a+")
do
    KEYWORDS[word] = true
end
M.keywords = KEYWORDS

-- The end of the long bracket that opens at `at`: last byte and whether it is closed; nil if none opens there.
local function long_bracket(text, at)
    local level = text:match("^%[(=*)%[", at)
    if not level then
        return nil
    end
    local _, last = text:find("]" .. level .. "]", at + #level + 2, true)
    return last or #text, last ~= nil
end

-- The end of the short string that opens at `at`, and whether it is closed.
local function short_string(text, at)
    local quote, i = text:sub(at, at), at + 1
    while i <= #text do
        local c = text:sub(i, i)
        if c == quote then
            return i, true
        elseif c == "\n" then
            return i - 1, false
        elseif c == "\\" then
            i = text:match("^\\z%s*()", i) or i + 2
        else
            i = i + 1
        end
    end
    return #text, false
end

local function comment(text, at)
    local last, closed = long_bracket(text, at + 2)
    if last then
        return last, closed
    end
    return (text:find("\n", at, true) or #text + 1) - 1, true
end

-- The kind, the last byte and (of strings and comments) whether it is closed, of what begins at `at`.
local function word_at(text, at)
    local c = text:sub(at, at)
    if c:find("[%a_]") then
        local last = text:match("^[%w_]+()", at) - 1
        return KEYWORDS[text:sub(at, last)] and "keyword" or "name", last
    elseif c:find("%d") or text:find("^%.%d", at) then
        return "number", text:match("^[%w.]+()", at) - 1
    elseif c == '"' or c == "'" then
        return "string", short_string(text, at)
    elseif text:find("^%-%-", at) then
        return "comment", comment(text, at)
    end
    local last, closed = long_bracket(text, at)
    if last then
        return "string", last, closed
    end
    return "sign", text:match("^%.%.?%.?()", at) and text:match("^%.%.?%.?()", at) - 1 or at
end

---@class moonfleet.Word
---@field kind "name"|"keyword"|"number"|"string"|"comment"|"sign"
---@field text string
---@field first integer place of its first byte
---@field last integer
---@field closed boolean? of strings and comments

---The words of a text, comments included. Never an error.
---@param text string
---@return moonfleet.Word[]
function M.words(text)
    local words, at = {}, 1
    while true do
        at = text:find("%S", at)
        if not at then
            return words
        end
        local kind, last, closed = word_at(text, at)
        words[#words + 1] = { kind = kind, text = text:sub(at, last), first = at, last = last, closed = closed }
        at = last + 1
    end
end

-- What a word does to the depth of blocks.
local OPENS = {
    ["do"] = 1,
    ["then"] = 1,
    ["function"] = 1,
    ["repeat"] = 1,
    ["end"] = -1,
    ["until"] = -1,
    ["elseif"] = -1,
}

-- The names that the words behind `local` at i declare, appended to names.
local function declared(words, i, names)
    local word = words[i]
    if word and word.text == "function" then
        names[#names + 1] = words[i + 1] and words[i + 1].text
        return
    end
    while word and word.kind == "name" do
        names[#names + 1] = word.text
        i = i + 1
        if words[i] and words[i].text == "<" then -- <const>, <close>
            i = i + 3
        end
        if not (words[i] and words[i].text == ",") then
            return
        end
        i = i + 1
        word = words[i]
    end
end

---The locals that a chunk which can be compiled declares in its outermost block.
---@param text string
---@return string[] names in their order, each once
---@return boolean vararg whether `...` occurs in it
function M.outer_locals(text)
    local words, depth, names, vararg = {}, 0, {}, false
    for _, word in ipairs(M.words(text)) do
        if word.kind ~= "comment" then
            words[#words + 1] = word
        end
    end
    for i, word in ipairs(words) do
        if word.kind == "keyword" then
            depth = depth + (OPENS[word.text] or 0)
            if word.text == "local" and depth == 0 then
                declared(words, i + 1, names)
            end
        elseif word.kind == "sign" and word.text == "..." then
            vararg = true
        end
    end
    local seen, each = {}, {}
    for _, name in ipairs(names) do
        if not seen[name] then
            seen[name] = true
            each[#each + 1] = name
        end
    end
    return each, vararg
end

return M
