-- Raises unless two values are the same up to the identity of tables: equal numbers bit for bit, the same keys, the
-- same sharing and cycles, equal metatables. Keys that are tables are matched by what they hold, so those of one
-- table should differ.
local function fail(path, what)
    error(("%s: %s"):format(path, what), 0)
end

local compare

local function number_key(x)
    return math.type(x) == "float" and string.pack("<d", x) or x
end

local function try(a, b, seen, path)
    local copy = { to = {}, from = {} }
    for k, v in pairs(seen.to) do
        copy.to[k] = v
    end
    for k, v in pairs(seen.from) do
        copy.from[k] = v
    end
    if pcall(compare, a, b, copy, path) then
        seen.to, seen.from = copy.to, copy.from
        return true
    end
    return false
end

local function compare_pair(k, v, b, rest, seen, path)
    if type(k) ~= "table" then
        rest[k] = nil
        return compare(v, rawget(b, k), seen, ("%s[%s]"):format(path, tostring(k)))
    end
    for k2 in pairs(rest) do
        local possible = type(k2) == "table" and (not seen.to[k] or seen.to[k] == k2)
        if possible and try({ k, v }, { k2, rawget(b, k2) }, seen, path) then
            rest[k2] = nil
            return
        end
    end
    fail(path, "a key that is a table has no match")
end

local function compare_tables(a, b, seen, path)
    if seen.to[a] or seen.from[b] then
        if not rawequal(seen.to[a], b) or not rawequal(seen.from[b], a) then
            fail(path, "other sharing")
        end
        return
    end
    seen.to[a], seen.from[b] = b, a
    local rest, later = {}, {}
    for k in next, b do
        rest[k] = true
    end
    for k, v in next, a do
        if type(k) == "table" then
            later[#later + 1] = { k, v }
        else
            compare_pair(k, v, b, rest, seen, path)
        end
    end
    for _, pair in ipairs(later) do
        compare_pair(pair[1], pair[2], b, rest, seen, path)
    end
    if next(rest) ~= nil then
        fail(path, "a key too many: " .. tostring(next(rest)))
    end
    compare(debug.getmetatable(a), debug.getmetatable(b), seen, path .. "<metatable>")
end

function compare(a, b, seen, path)
    if math.type(a) ~= math.type(b) or type(a) ~= type(b) then
        fail(path, ("%s against %s"):format(tostring(a), tostring(b)))
    elseif type(a) == "table" then
        compare_tables(a, b, seen, path)
    elseif type(a) == "number" and number_key(a) ~= number_key(b) or type(a) ~= "number" and a ~= b then
        fail(path, ("%s against %s"):format(tostring(a), tostring(b)))
    end
end

return function(a, b)
    compare(a, b, { to = {}, from = {} }, "value")
end
