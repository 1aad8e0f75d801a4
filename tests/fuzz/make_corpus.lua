-- Writes the seeds of the decode fuzzer: real encodes, one file each.
--     moonfleet tests/fuzz/make_corpus.lua [folder]
local codec = require("moonfleet.codec")

local folder = arg[1] or "tests/fuzz/corpus/decode"
assert(os.execute("mkdir -p '" .. folder .. "'"))

-- luacheck: push ignore 122
package.preload.point = function()
    local mt = { __name = "point" }
    mt.__save = function(p)
        return { p.x, p.y }
    end
    mt.__load = function(v)
        return setmetatable({ x = v[1], y = v[2] }, mt)
    end
    return mt
end
-- luacheck: pop
local point = require("point")

local function seed(name, ...)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    assert(file:write(codec.encode(...)))
    assert(file:close())
end

local cycle = { name = "cycle", items = { 1, 2, 3 } }
cycle.self, cycle.again, cycle.items[4] = cycle, cycle.items, { [cycle] = true }

local deep = {}
for _ = 1, 40 do
    deep = { deep, #"x" }
end

local p = setmetatable({ x = 1, y = 2.5 }, point)
local answer = 42
local function closure(x)
    return math.max(x, answer)
end

seed("nothing")
seed("scalars", nil, true, false, 0, 127, -1, 300, -70000, math.mininteger, 1.5, -0.0, 0 / 0, 1 / 0)
seed("strings", "", "a\0b", ("long "):rep(20), { ("long "):rep(20), key = "key" })
seed("array", { 1, 2, 3, 4.5, "x", { 1, 2 } }, { 1, nil, 3, nil, 5 })
seed("records", { { id = 1, name = "a", x = 0.5 }, { id = 2, name = "b", x = 1.5 } })
seed("keys", { [1.5] = 1, [true] = 2, [{}] = 3, [-1] = 4, [""] = 5 })
seed("cycle", cycle, cycle)
seed("deep", deep)
seed("metatable", setmetatable({ 1 }, { __index = { z = 1 }, __mode = "k" }))
seed("named", string, { math = math }, point)
seed("user", p, { p, p })
seed("environment", _G, { _G })
local array = require("moonfleet.array")
seed("arrays", array.range(6):reshape(2, 3), array({ 1, 2, 255 }, "u8"), array.zeros(0, 4, "i32"))
seed("function", closure, 7)
