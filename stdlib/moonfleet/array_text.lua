-- Arrays as text. Only what is shown is looked at, so that printing takes no longer the larger an array is.

local M = {}

local MOST = 200 -- elements of an array whose rows are all shown
local LINE = 16 -- of them in a line without a gap
local EDGE = 3 -- on either side of a gap

local function number(v)
    if math.type(v) == "integer" then
        return tostring(v)
    end
    if v ~= v then
        return "nan"
    end
    local shown = ("%.6g"):format(v)
    return shown:find("[^%d%-]") and shown or shown .. ".0"
end

local words

local function word(a, i, whole)
    return a.ndim > 1 and words(a[i], whole) or number(a[i])
end

-- Nested lists of words; "..." stands for what is left out.
function words(a, whole)
    local list, n = {}, #a
    local gap
    if a.ndim == 1 then
        gap = n > LINE
    else
        gap = not whole and n > 2 * EDGE + 1
    end
    for i = 1, gap and EDGE or n do
        list[i] = word(a, i, whole)
    end
    if gap then
        list[EDGE + 1] = "..."
        for i = n - EDGE + 1, n do
            list[#list + 1] = word(a, i, whole)
        end
    end
    return list
end

local function widest(list)
    local most = 0
    for _, w in ipairs(list) do
        most = math.max(most, type(w) == "table" and widest(w) or w == "..." and 0 or #w)
    end
    return most
end

local function join(list, width, indent)
    local parts, nested = {}, type(list[1]) == "table"
    for i, w in ipairs(list) do
        if type(w) == "table" then
            parts[i] = join(w, width, indent + 1)
        else
            parts[i] = not nested and w ~= "..." and (" "):rep(width - #w) .. w or w
        end
    end
    return "[" .. table.concat(parts, nested and ",\n" .. (" "):rep(indent + 1) or ", ") .. "]"
end

---An array's shape, dtype and elements, in the middle of which large ones have gaps.
---@param a moonfleet.Array
---@return string
function M.show(a)
    local head = ("array (%s) %s"):format(table.concat(a.shape, ","), a.dtype)
    local list = words(a, a.size <= MOST)
    return head .. "\n" .. join(list, widest(list), 0)
end

return M
