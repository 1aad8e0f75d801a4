-- Rows of the benchmark for arrays and shares, beside the floor and numpy in the same run.
--
-- Called with what bench.lua has: seconds(fn), floor(name), peers. Returns a list of rows.
local mf = require("moonfleet")

local array = mf.array
local N, LARGE, SHARED, TASKS = 10000000, 100000000, 50000000, 20

-- The second time counts, as with the peers.
local function twice(tools, fn)
    fn()
    return tools.seconds(fn)
end

-- GB/s of a reduction of 1e8 numbers.
local large
local function rate(tools, method)
    return function()
        large = large or array.range(LARGE)
        return 8e-9 * LARGE / twice(tools, function()
            large[method](large)
        end)
    end
end

local function expression(tools)
    local a, b = array.range(N), array.range(N) * 0.5
    return twice(tools, function()
        local _ = a * 2 + b
    end)
end

local function noise(n)
    return (array.range(n):sin() * 10000):sin()
end

local function product(tools)
    local a = noise(1000000):reshape(1000, 1000)
    return twice(tools, function()
        a:dot(a)
    end)
end

local function sorted(tools)
    local a = noise(N)
    return twice(tools, function()
        a:sort()
    end)
end

local function map_seconds(tools, fn)
    return tools.seconds(function()
        assert(mf.map(mf.range(TASKS), fn, { chunk = 1 })[TASKS] == TASKS + SHARED, "wrong results")
    end)
end

-- Milliseconds that it takes a map of 20 tasks longer to look at a share of 400 MB, each, than to do without it.
local function hand_over(tools)
    local s, n = mf.share(array.range(SHARED)), SHARED
    local with = map_seconds(tools, function(i)
        return s[i] + #s
    end)
    return 1e3 * math.max(0, with - map_seconds(tools, function(i)
        return i + n
    end))
end

-- MB of memory that a process has, shared pages divided among those who share them.
local function proportional()
    local file <close> = assert(io.open("/proc/self/smaps_rollup"))
    return tonumber(file:read("a"):match("Pss:%s+(%d+)")) / 1024
end

-- MB that this process and two workers have together.
local function together()
    local values = mf.everywhere(proportional)
    return proportional() + values[1] + values[2]
end

-- MB more when a share of 400 MB was read as a whole by both workers.
local function memory()
    large = nil
    collectgarbage()
    array.zeros(1) -- what was kept for speed is let go of when there is something new
    local before = together()
    local s = mf.share(array.range(SHARED))
    mf.everywhere(function()
        return s:sum()
    end)
    return together() - before
end

return function(tools)
    local numpy, against = tools.peers.numpy, tools.peers.against

    local function reads(method)
        return {
            name = "array: " .. method .. " of 1e8", unit = "GB/s", least_ratio = 0.8, measure = rate(tools, method),
            floor = function() return tools.floor("read_rate") end,
        }
    end

    local function with_numpy(name, ratio, measure, definition)
        return against("numpy", numpy(definition), {
            name = "array: " .. name, unit = "s", ratio = ratio, measure = function() return measure(tools) end,
        })
    end

    local function shares(plan)
        return {
            name = plan .. ": 400 MB to 20 tasks", unit = "ms", at_most = 5, warm = plan,
            measure = function() return hand_over(tools) end,
        }
    end

    return {
        reads("sum"),
        reads("mean"),
        reads("sd"),
        with_numpy("a * 2 + b of 1e7", 1, expression,
            ("a = np.arange(%d.0); b = a * 0.5; work = lambda: a * 2 + b"):format(N)),
        with_numpy("sort of 1e7", nil, sorted,
            ("a = np.sin(np.sin(np.arange(%d.0)) * 10000); work = lambda: np.sort(a)"):format(N)),
        with_numpy("product of 1000 x 1000", nil, product,
            "a = np.sin(np.arange(1000000.0)).reshape(1000, 1000); work = lambda: a @ a"),
        shares("threads"),
        shares("processes"),
        shares("forks"),
        {
            name = "processes: memory of 400 MB", unit = "MB", at_most = 420, warm = "processes", rounds = 3,
            measure = memory,
        },
    }
end
