-- Checks what users pass in: option tables and single arguments. A kind is { expects = words, check = predicate };
-- a spec is a table option name -> kind. Errors point at the first caller outside this library, whatever the depth.

local M = {}

-- All chunks of this library share the part of the chunk name in front of "options".
local here = debug.getinfo(1, "S").source:match("^(.*)options[^/]*$")

local function caller_level()
    local level = 3
    while true do
        local info = debug.getinfo(level, "S")
        if not info then
            return 0
        end
        if info.what ~= "C" and (not here or info.source:sub(1, #here) ~= here) then
            return level - 1
        end
        level = level + 1
    end
end

---Raises message with the position of the user's call in front.
---@param message string
function M.raise(message)
    error(message, caller_level())
end

---Words for a value in a message: `"x"`, `12`, `a table`.
---@param v any
---@return string
function M.describe(v)
    local kind = type(v)
    if kind == "string" then
        local shown = #v > 40 and v:sub(1, 37) .. "..." or v
        return (("%q"):format(shown):gsub("\\\n", "\\n"))
    elseif kind == "number" or kind == "boolean" or kind == "nil" then
        return tostring(v)
    end
    local meta = getmetatable(v)
    local name = type(meta) == "table" and rawget(meta, "__name")
    return "a " .. (type(name) == "string" and name or kind)
end

local function integer_from(low)
    return function(v)
        return math.type(v) == "integer" and v >= low
    end
end

local function of_type(kind)
    return function(v)
        return type(v) == kind
    end
end

local function is_list_of_strings(v)
    if type(v) ~= "table" then
        return false
    end
    local n = 0
    for key, name in pairs(v) do
        if math.type(key) ~= "integer" or type(name) ~= "string" then
            return false
        end
        n = n + 1
    end
    return n == #v
end

local function is_globals(v)
    if type(v) ~= "table" then
        return v == false
    end
    for key, value in pairs(v) do
        if math.type(key) == "integer" then
            if type(value) ~= "string" then
                return false
            end
        elseif type(key) ~= "string" then
            return false
        end
    end
    return true
end

---May v be called?
---@param v any
---@return boolean
function M.callable(v)
    if type(v) == "function" then
        return true
    end
    local meta = getmetatable(v)
    return type(meta) == "table" and rawget(meta, "__call") ~= nil
end

---@class moonfleet.Kind
---@field expects string the words behind "must be"
---@field check fun(v: any): boolean

---@type table<string, moonfleet.Kind>
M.kinds = {
    string = { expects = "a string", check = of_type("string") },
    boolean = { expects = "true or false", check = of_type("boolean") },
    callable = { expects = "a function", check = M.callable },
    positive = { expects = "a positive integer", check = integer_from(1) },
    count = { expects = "an integer that is not negative", check = integer_from(0) },
    integer = {
        expects = "an integer",
        check = function(v)
            return math.type(v) == "integer"
        end,
    },
    seconds = {
        expects = "a positive number of seconds",
        check = function(v)
            return type(v) == "number" and v > 0
        end,
    },
    patience = {
        expects = "a number of seconds that is not negative",
        check = function(v)
            return type(v) == "number" and v >= 0
        end,
    },
    names = { expects = "a list of module names", check = is_list_of_strings },
    globals = { expects = "a table of names and values, a list of names, or false", check = is_globals },
    progress = {
        expects = "true, false or a function",
        check = function(v)
            return type(v) == "boolean" or M.callable(v)
        end,
    },
}

---A kind that accepts the integers of an interval.
---@param low integer
---@param high integer
---@return moonfleet.Kind
function M.integer_in(low, high)
    return {
        expects = ("an integer from %d to %d"):format(low, high),
        check = function(v)
            return math.type(v) == "integer" and v >= low and v <= high
        end,
    }
end

---A kind that accepts the given strings only.
---@param ... string
---@return moonfleet.Kind
function M.one_of(...)
    local words, known = {}, {}
    for i, word in ipairs({ ... }) do
        words[i] = ('"%s"'):format(word)
        known[word] = true
    end
    return {
        expects = table.concat(words, " or "),
        check = function(v)
            return known[v] == true
        end,
    }
end

-- Edit distance, for small words.
local function distance(a, b)
    local row = {}
    for j = 0, #b do
        row[j] = j
    end
    for i = 1, #a do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #b do
            local cost = a:byte(i) == b:byte(j) and 0 or 1
            diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
        end
    end
    return row[#b]
end

---The words of a set that are nearest to a misspelt one, best first, at most three; all when none is near.
---@param word string
---@param set table<string, any> the words are its keys
---@return string[]
---@return boolean near
function M.nearest(word, set)
    local near, all = {}, {}
    for name in pairs(set) do
        all[#all + 1] = name
        local far = distance(word:lower(), name)
        if far <= math.max(2, #name // 2) and far < math.max(#word, #name) then
            near[#near + 1] = { name = name, far = far }
        end
    end
    table.sort(all)
    if #near == 0 then
        return all, false
    end
    table.sort(near, function(a, b)
        return a.far < b.far or a.far == b.far and a.name < b.name
    end)
    local best = {}
    for i = 1, math.min(3, #near) do
        best[i] = near[i].name
    end
    return best, true
end

local function unknown(where, name, spec)
    if type(name) ~= "string" then
        M.raise(("%s: names of options are strings, not %s"):format(where, M.describe(name)))
    end
    local words, near = M.nearest(name, spec)
    local listed = "'" .. table.concat(words, "', '") .. "'"
    local advice = near and ("did you mean %s?"):format(listed) or ("the options are %s"):format(listed)
    M.raise(("%s: unknown option '%s'; %s"):format(where, name, advice))
end

---Checks an option table against a spec. nil is an empty one.
---@param where string the function as users write it, such as "mf.map"
---@param spec table<string, moonfleet.Kind>
---@param given any
---@return table options given itself, or an empty table
function M.check(where, spec, given)
    if given == nil then
        return {}
    elseif type(given) ~= "table" then
        M.raise(("%s: the options must be a table, not %s"):format(where, M.describe(given)))
    end
    for name, value in pairs(given) do
        local kind = spec[name]
        if not kind then
            unknown(where, name, spec)
        elseif not kind.check(value) then
            M.raise(("%s: option '%s' must be %s, not %s"):format(where, name, kind.expects, M.describe(value)))
        end
    end
    return given
end

---Checks one argument.
---@param where string
---@param what string the words for the argument, such as "the function"
---@param kind moonfleet.Kind
---@param v any
---@return any v
function M.argument(where, what, kind, v)
    if not kind.check(v) then
        M.raise(("%s: %s must be %s, not %s"):format(where, what, kind.expects, M.describe(v)))
    end
    return v
end

---Makes a Lua function of anything that can be called; raises an error for the rest.
---@param where string
---@param fn any
---@param what string? "a function" unless told
---@return function
function M.func(where, fn, what)
    if type(fn) == "function" then
        return fn
    elseif not M.callable(fn) then
        M.raise(("%s: expected %s, not %s"):format(where, what or "a function", M.describe(fn)))
    end
    return function(...)
        return fn(...)
    end
end

---A copy of several specs as one.
---@param ... table<string, moonfleet.Kind>
---@return table<string, moonfleet.Kind>
function M.merge(...)
    local all = {}
    for _, spec in ipairs({ ... }) do
        for name, kind in pairs(spec) do
            all[name] = kind
        end
    end
    return all
end

-- The globals that a function sees: its own environment, which in a task is not the library's.
local function environment(fn)
    for i = 1, 255 do
        local name, value = debug.getupvalue(fn, i)
        if not name then
            return _G
        elseif name == "_ENV" and type(value) == "table" then
            return value
        end
    end
    return _G
end

---Turns the option `globals`, in any of its forms, into the table name -> value (or false, or nil) that the core takes.
---Names in a list are looked up in the environment of fn.
---@param where string
---@param globals table|false|nil
---@param fn function
---@return table|false|nil
function M.globals(where, globals, fn)
    if not globals or #globals == 0 then
        return globals
    end
    local env, resolved = environment(fn), {}
    for key, value in pairs(globals) do
        if type(key) == "string" then
            resolved[key] = value
        else
            resolved[value] = env[value]
            if resolved[value] == nil then
                M.raise(("%s: option 'globals' names '%s', which is not a global here"):format(where, value))
            end
        end
    end
    return resolved
end

---The options that a single task and a chunk of a map have in common, and the code they carry.
M.task = {
    label = M.kinds.string,
    seed = M.kinds.integer,
    timeout = M.kinds.seconds,
    retries = M.integer_in(0, 1000000),
    retry_on = M.one_of("error", "lost"),
    globals = M.kinds.globals,
    globals_max = M.kinds.positive,
    packages = M.kinds.names,
    output = M.one_of("relay", "live", "discard"),
    priority = M.integer_in(-1000000, 1000000),
}

return M
