-- The workloads of the comparison under Moonfleet.
--
--   moonfleet ours.lua PLAN WORKLOAD [FOLDER]     prints one figure, in the unit that compare.lua names
--
-- Under the plan cluster, MOONFLEET_BENCH_SSH names an ssh configuration in which hosts n1 to n8 stand. A workload that
-- a plan has no means for is refused with exit code 3.
local mf = require("moonfleet")
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local private_bytes = dofile(here .. "../common.lua").private_bytes

local plan, workload, folder = table.unpack(arg)
local WORKERS, REFUSED = 2, 3
local TASKS, ELEMENTS, RECORDS, QUEUED = 20000, 1000000, 100000, 1000000
local TEXT = 64 << 20
local LARGE, OBJECTS = 50000000, 25000000 -- numbers of 8 bytes in an array, of 16 in a table
local PI_TASKS, PI_DRAWS = 16, 1000000
local NORMALS = 10000000

local now = mf.now

local function refuse()
    os.exit(REFUSED, true)
end

local function trivial(x)
    return x
end

local function start(n)
    mf.plan(plan, { workers = n or WORKERS })
end

-- One worker on each of n hosts.
local function start_hosts(n)
    local config, hosts = assert(os.getenv("MOONFLEET_BENCH_SSH")), {}
    for i = 1, n do
        hosts[i] = "n" .. i
    end
    local known_hosts = config:gsub("config$", "known_hosts")
    mf.plan("cluster", { hosts = hosts, config = config, known_hosts = known_hosts, workers = 1 })
end

local function warm(n)
    start(n)
    mf.map(mf.range(64), trivial, { chunk = 1 })
end

-- Seconds that fn takes, and its value.
local function timed(fn)
    collectgarbage()
    local began = now()
    local value = fn()
    return now() - began, value
end

local work, remote_work = {}, {}

function work.first()
    return 1e3 * timed(function()
        start()
        return mf.future(trivial, 1):value()
    end)
end

local function round_trips(n)
    return 1e6 / n * timed(function()
        for i = 1, n do
            mf.future(trivial, i):value()
        end
    end)
end

function work.round_trip()
    warm()
    return round_trips(2000)
end

function remote_work.ssh_round_trip()
    start_hosts(1)
    mf.future(trivial, 1):value()
    return round_trips(1000)
end

function work.tasks()
    warm()
    local taken, values = timed(function()
        local futures = {}
        for i = 1, TASKS do
            futures[i] = mf.future(trivial, i)
        end
        return mf.value(futures)
    end)
    assert(#values == TASKS and values[TASKS] == TASKS)
    return 1e6 / TASKS * taken
end

local function sequence(n)
    local xs = {}
    for i = 1, n do
        xs[i] = i
    end
    return xs
end

function work.batches()
    warm()
    local xs = sequence(TASKS)
    local taken, values = timed(function()
        return mf.map(xs, trivial)
    end)
    assert(#values == TASKS and values[TASKS] == TASKS)
    return 1e6 / TASKS * taken
end

function work.map()
    warm()
    local xs = sequence(ELEMENTS)
    local taken, values = timed(function()
        return mf.map(xs, function(x)
            return x + 1
        end)
    end)
    assert(values[ELEMENTS] == ELEMENTS + 1)
    return 1e9 / ELEMENTS * taken
end

-- The second time counts: the first one asks the system for the memory.
local function there_and_back(value)
    mf.future(trivial, value):value()
    return timed(function()
        return mf.future(trivial, value):value()
    end)
end

local function moves_text()
    local taken, back = there_and_back(("x"):rep(1 << 20):rep(TEXT >> 20))
    assert(#back == TEXT)
    return 2 * TEXT / 1e9 / taken
end

function work.string()
    warm()
    return moves_text()
end

function remote_work.ssh_string()
    start_hosts(1)
    return 1e3 * moves_text()
end

function remote_work.ssh_ready()
    return 1e3 * timed(function()
        start_hosts(8)
        mf.everywhere(trivial, 1)
    end)
end

function work.records()
    warm()
    local xs = {}
    for i = 1, RECORDS do
        xs[i] = { id = i, name = "name " .. i, x = i * 0.5 }
    end
    local taken, back = there_and_back(xs)
    assert(#back == RECORDS and back[RECORDS].id == RECORDS)
    return 1e3 * taken
end

function work.pi()
    local function inside()
        local n, draw = 0, math.random
        for _ = 1, PI_DRAWS do
            local x, y = draw(), draw()
            if x * x + y * y <= 1 then
                n = n + 1
            end
        end
        return n
    end
    local taken = {}
    for _, n in ipairs({ 1, WORKERS }) do
        warm(n)
        local total
        taken[n], total = timed(function()
            return mf.mapreduce(mf.range(PI_TASKS), inside, function(a, b)
                return a + b
            end)
        end)
        assert(math.abs(4 * total / (PI_TASKS * PI_DRAWS) - math.pi) < 0.01)
    end
    return taken[1] / taken[WORKERS]
end

-- Of threads: the growth of this process by many.
function work.idle()
    if plan == "processes" then
        warm()
        return private_bytes(mf.future(function()
            return math.tointeger(io.open("/proc/self/stat"):read("n"))
        end):value()) / (1 << 20)
    elseif plan ~= "threads" then
        refuse() -- an idle fork is gone
    end
    local n, before = 16, private_bytes()
    local cluster <close> = mf.cluster(n)
    cluster:call(function()
        return true
    end)
    return (private_bytes() - before) / n / (1 << 20)
end

-- What a worker's memory grows by, in MB, when it reads its half of n elements.
local function growth(shared, n)
    local half_n = n // 2
    warm()
    local function worst(read)
        return math.max(table.unpack(mf.map({ 0, 1 }, read, { chunk = 1 })))
    end
    local before = worst(function()
        return private_bytes()
    end)
    return (worst(function(half)
        local total = 0
        for i = half * half_n + 1, (half + 1) * half_n, 64 do
            total = total + shared[i]
        end
        return private_bytes()
    end) - before) / (1 << 20)
end

function work.numbers()
    if plan == "threads" then
        refuse() -- they share all memory
    end
    return growth(mf.share(mf.array(LARGE)), LARGE)
end

function work.objects()
    if plan ~= "forks" then
        refuse()
    end
    local shared = {}
    for i = 1, OBJECTS do
        shared[i] = i * 0.5
    end
    return growth(shared, OBJECTS)
end

-- A long tail of durations, 4 seconds in all, the longest last; as in the peers' files.
function work.tail()
    warm()
    local xs, sum, longest = {}, 0, 0
    for i = 1, 200 do
        sum = sum + 1 / i
    end
    for i = 1, 200 do
        xs[201 - i] = 4 / sum / i
        longest = math.max(longest, xs[201 - i])
    end
    return timed(function()
        return mf.each(xs, function(x)
            mf.sleep(x)
        end, { chunk = 1 })
    end) / math.max(4 / WORKERS, longest)
end

local function queue()
    warm(1)
    local busy = mf.future(mf.sleep, 1000)
    repeat
    until busy:state() == "running"
    local held = {}
    for i = 1, QUEUED do
        held[i] = false -- the list itself is not what we measure
    end
    collectgarbage()
    collectgarbage()
    local before = private_bytes()
    local taken = timed(function()
        for i = 1, QUEUED do
            held[i] = mf.future(trivial, i)
        end
    end)
    collectgarbage()
    local grown = private_bytes() - before
    assert(held[QUEUED]:state() == "queued")
    return grown / QUEUED, 1e6 / QUEUED * taken
end

function work.queued_memory()
    return (queue())
end

function work.queued_time()
    return select(2, queue())
end

local function count_words(path)
    local counts, gzipped = {}, path:find("%.gz$")
    local file = gzipped and assert(io.popen("gzip -dc " .. path)) or assert(io.open(path))
    for block, rest in
        function()
            return file:read(1 << 18, "l")
        end
    do
        for word in (block .. (rest or "")):gmatch("[!-\255]+") do -- one range, which is matched faster than %S
            counts[word] = (counts[word] or 0) + 1
        end
    end
    file:close()
    return counts
end

local function add_counts(total, counts)
    for word, n in pairs(counts) do
        total[word] = (total[word] or 0) + n
    end
    return total
end

local function words(suffix)
    warm()
    local paths = {}
    for i = 1, 16 do
        paths[i] = ("%s/%02d%s"):format(folder, i, suffix)
    end
    local total, sum = nil, 0
    local taken = timed(function()
        total = mf.mapreduce(paths, count_words, add_counts, {})
    end)
    for _, n in pairs(total) do
        sum = sum + n
    end
    assert(sum > 1000000)
    return taken
end

function work.words()
    return words(".txt")
end

function work.words_gzip()
    return words(".gz")
end

function work.means()
    warm()
    return (timed(function()
        local n = NORMALS
        return mf.map(mf.range(16), function()
            local x = mf.rng.current("philox"):normal(0, 1, mf.array(n))
            return { mf.stats.mean(x), mf.stats.sd(x) }
        end, { seed = 1, chunk = 1 })
    end))
end

print(((plan == "cluster" and remote_work or work)[workload] or refuse)())
os.exit(true, false) -- what is queued needs no ending
