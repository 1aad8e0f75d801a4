-- The benchmark: each row is one kind of work, beside what the machine needs for it at the least, and its budget.
--
--   make bench                             all rows
--   make bench MOONFLEET_BENCH=codec       the rows whose name matches this Lua pattern
--
-- The floor is tests/bench/floor.c (the variable MOONFLEET_FLOOR names the program). Absolute figures differ between
-- machines and between hours, so each round measures our work and then the floor's, and the row shows the medians of
-- both and of their ratios. A row that fails says so, and the others still run.
local mf = require("moonfleet")
local codec = require("moonfleet.codec")

local program = os.getenv("MOONFLEET") or "build/moonfleet"
local floor_program = os.getenv("MOONFLEET_FLOOR") or "build/tests/bench/floor"
local filter = os.getenv("MOONFLEET_BENCH") or ""
local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local common = dofile(here .. "common.lua")
local quoted, output_of, floor = common.quoted, common.output_of, common.floor
local median, figure = common.median, common.figure

local ROUNDS, WORKERS = 5, 2
local now = mf.now

-- Seconds that fn takes. Garbage of what ran before is not its fault; its own is.
local function seconds(fn)
    collectgarbage()
    local start = now()
    fn()
    return now() - start
end

-- The measures, each one round ------------------------------------------------------------------------------------

local function trivial(x)
    return x
end

local function round_trip()
    local trips = 2000
    return 1e6 / trips * seconds(function()
        for i = 1, trips do
            mf.future(trivial, i):value()
        end
    end)
end

local function many_futures()
    local n, sum = 20000, 0
    local taken = seconds(function()
        local futures = {}
        for i = 1, n do
            futures[i] = mf.future(trivial, i)
        end
        for i = 1, n do
            sum = sum + futures[i]:value()
        end
    end)
    assert(sum == n * (n + 1) // 2, "wrong results")
    return 1e6 / n * taken
end

local function map_elements()
    local n, xs, results = 1000000, {}, nil
    for i = 1, n do
        xs[i] = i
    end
    local taken = seconds(function()
        results = mf.map(xs, function(x)
            return x + 1
        end)
    end)
    assert(#results == n and results[n] == n + 1, "wrong results")
    return 1e9 / n * taken
end

-- A new plan has a pool of its own, whose workers have not started.
local function cold(plan)
    return 1e3 * seconds(function()
        mf.plan(plan, { workers = WORKERS })
        assert(mf.future(trivial, 1):value() == 1)
    end)
end

local function cold_threads()
    return cold("threads")
end

local function cold_processes()
    return cold("processes")
end

-- Bytes a nanosecond, there and back: GB/s each way.
local function large_string()
    local megabytes = 64
    local text = ("x"):rep(megabytes << 20)
    local taken = seconds(function()
        assert(#mf.future(trivial, text):value() == #text)
    end)
    return 2 * #text / (taken * 1e9)
end

local function command_ms(command)
    return 1e3 * seconds(function()
        assert(os.execute("exec " .. command), "failed: " .. command)
    end)
end

local function program_start()
    return command_ms(quoted(program) .. " -E -e ''")
end

local function program_first_result()
    local script = "local mf = require 'moonfleet'; assert(mf.future(function() return 1 end):value() == 1)"
    return command_ms(("%s -E -j %d -e %s"):format(quoted(program), WORKERS, quoted(script)))
end

local function c_program_start()
    return command_ms(quoted(floor_program) .. " --exit")
end

-- Encodes and decodes: nanoseconds for each of n elements. `bytes` is kept for codec_floor.
local bytes = 0

local function there_and_back(values, n)
    local text, back
    local taken = seconds(function()
        text = codec.encode(values)
        back = codec.decode(text, true)
    end)
    bytes = #text / n
    assert(#back == n, "wrong results")
    return 1e9 / n * taken, back
end

-- Copying the encoded bytes of one element twice, in nanoseconds.
local function codec_floor()
    return 2 * bytes / floor("memcpy_rate")
end

local function codec_integers()
    local n, xs = 1000000, {}
    for i = 1, n do
        xs[i] = i
    end
    local taken, back = there_and_back(xs, n)
    assert(back[n] == n, "wrong results")
    return taken
end

local function codec_records()
    local n, xs = 100000, {}
    for i = 1, n do
        xs[i] = { id = i, name = "name " .. i, x = i * 0.5 }
    end
    local taken, back = there_and_back(xs, n)
    assert(back[n].id == n and back[n].name == "name " .. n and back[n].x == n * 0.5, "wrong results")
    return taken
end

local function sixteen_tasks()
    local futures = {}
    for i = 1, 16 do
        futures[i] = mf.future(function()
            local x = i
            for _ = 1, 5000000 do
                x = (x * 1103515245 + 12345) & 0x7fffffff
            end
            return x
        end)
    end
    return mf.value(futures)
end

local function speed_up()
    local alone = seconds(function()
        mf.with_plan("sequential", sixteen_tasks)
    end)
    return alone / seconds(sixteen_tasks)
end

local function memory(what, unit)
    local command = ("%s -E %s %s"):format(quoted(program), quoted(here .. "memory.lua"), what)
    return assert(tonumber(output_of(command)), "no figure from " .. command) / unit
end

-- The rows --------------------------------------------------------------------------------------------------------
--
-- `floor` gives the floor in our unit (or, where `against` names one, what a peer needs); `at_most` and `at_least` are
-- budgets for the figure, `ratio` for ours / floor. A row without a budget is for information. `warm` asks for workers
-- that have started: of threads (true), of a plan by its name, or of the level that a function makes;
-- `prepare` is called with them.

local rows = {
    {
        name = "future, round trip", unit = "us", measure = round_trip, rounds = 9, warm = true, ratio = 0.6,
        floor = function() return floor("cond_round_trip") end,
    },
    {
        name = "20,000 futures, each", unit = "us", measure = many_futures, warm = true, at_most = 2,
        floor = function() return floor("queue_task") / 1e3 end,
    },
    {
        name = "map x + 1 over 1e6, each", unit = "ns", measure = map_elements, warm = true, at_most = 80,
        floor = function() return floor("sum_integer") end,
    },
    {
        name = "first result, cold plan of 2", unit = "ms", measure = cold_threads, rounds = 15, at_most = 2,
        floor = function() return floor("thread_start") / 1e3 * WORKERS end,
    },
    {
        name = "program start and end", unit = "ms", measure = program_start, rounds = 15, floor = c_program_start,
    },
    {
        name = "program, first result", unit = "ms", measure = program_first_result, rounds = 15,
        floor = c_program_start,
    },
    {
        name = "codec, 1e6 integers, each", unit = "ns", measure = codec_integers, rounds = 9, at_most = 30,
        floor = codec_floor,
    },
    {
        name = "codec, 1e5 records, each", unit = "ns", measure = codec_records, rounds = 9, at_most = 600,
        floor = codec_floor,
    },
    {
        name = "16 tasks on 2 cores", unit = "x", measure = speed_up, warm = true, at_least = 1.9,
        floor = function() return floor("two_thread_speedup") end,
    },
    {
        name = "64 MB string, each way", unit = "GB/s", measure = large_string, rounds = 9, warm = true,
        floor = function() return floor("memcpy_rate") end,
    },
    {
        name = "memory of a queued future", unit = "bytes", at_most = 400,
        measure = function() return memory("queued", 1) end,
    },
    {
        name = "memory of an idle worker", unit = "KB", at_most = 200,
        measure = function() return memory("worker", 1024) end,
    },
    {
        name = "processes: round trip", unit = "us", measure = round_trip, rounds = 9, warm = "processes", ratio = 1.5,
        floor = function() return floor("socketpair_round_trip") end,
    },
    {
        name = "processes: 20,000 futures, each", unit = "us", measure = many_futures, warm = "processes", at_most = 5,
        floor = function() return floor("socketpair_round_trip") end,
    },
    {
        name = "processes: map x + 1, each", unit = "ns", measure = map_elements, warm = "processes", at_most = 150,
        floor = function() return floor("sum_integer") end,
    },
    {
        name = "processes: cold plan of 2", unit = "ms", measure = cold_processes, rounds = 15, ratio = 3,
        floor = function() return floor("fork_exec_wait") / 1e3 end,
    },
    {
        name = "processes: 64 MB, each way", unit = "GB/s", measure = large_string, rounds = 9, warm = "processes",
        least_ratio = 0.5, floor = function() return floor("memcpy_rate") end,
    },
    {
        name = "processes: memory of an idle one", unit = "MB", at_most = 3,
        measure = function() return memory("process", 1 << 20) end,
    },
}

local peers = dofile(here .. "peers.lua")({ output_of = output_of, quoted = quoted })
local endings = {} -- called when all rows are done
local tools = {
    at_end = function(fn)
        endings[#endings + 1] = fn
    end,
    seconds = seconds,
    floor = floor,
    memory = memory,
    output_of = output_of,
    quoted = quoted,
    program = program,
    round_trip = round_trip,
    many_futures = many_futures,
    map_elements = map_elements,
    peers = peers,
}
-- A fork costs the more the larger the process is, so these come before what makes it large.
for i, row in ipairs(dofile(here .. "forks.lua")(tools)) do
    table.insert(rows, i, row)
end
for _, file in ipairs({ "ssh.lua", "numbers.lua", "arrays.lua", "scaling.lua" }) do
    for _, row in ipairs(dofile(here .. file)(tools)) do
        rows[#rows + 1] = row
    end
end

-- Running and showing them ----------------------------------------------------------------------------------------

local function warm_up(row)
    if type(row.warm) == "function" then
        mf.plan({ row.warm() })
    else
        mf.plan(row.warm == true and "threads" or row.warm, { workers = WORKERS })
    end
    for _, future in ipairs({ mf.future(trivial, 1), mf.future(trivial, 2) }) do
        future:value()
    end
    if row.prepare then
        row.prepare()
    end
end

-- Medians of our figure, the floor's and the ratio of the two; the latter two are nil without a floor.
local function run(row)
    local ours, theirs, ratios = {}, {}, {}
    if row.warm then
        warm_up(row)
        row.measure() -- caches, the allocator and the processor's clock take a round to settle
    end
    for i = 1, row.rounds or ROUNDS do
        ours[i] = row.measure()
        if row.floor then
            theirs[i] = row.floor()
            ratios[i] = ours[i] / theirs[i]
        end
    end
    return median(ours), row.floor and median(theirs), row.floor and median(ratios)
end

local function budget_of(row)
    local other = row.against or "floor"
    return row.ratio and ("<= %g x %s"):format(row.ratio, other)
        or row.least_ratio and (">= %g x %s"):format(row.least_ratio, other)
        or row.at_most and ("<= %g %s"):format(row.at_most, row.unit)
        or row.at_least and (">= %g %s"):format(row.at_least, row.unit)
        or "-"
end

local function verdict_of(row, ours, theirs, ratio)
    if row.ratio then
        return ratio <= row.ratio and "ok" or "MISSED"
    elseif row.least_ratio then
        return ratio >= row.least_ratio and "ok" or "MISSED"
    elseif row.at_most then
        return ours <= row.at_most and "ok" or "MISSED"
    elseif row.at_least then
        local busy = theirs < row.at_least and " (nor can the floor: is the machine busy?)" or ""
        return ours >= row.at_least and "ok" or "MISSED" .. busy
    end
    return ""
end

local line = "%-32s %12s %15s %12s %8s  %s"

local function print_row(row)
    local ok, ours, theirs, ratio = pcall(run, row)
    if not ok then
        print(("%-32s FAILED: %s"):format(row.name, tostring(ours)))
        return false
    end
    local verdict = verdict_of(row, ours, theirs, ratio)
    local text = line:format(row.name, figure(ours, row.unit), budget_of(row), figure(theirs, row.unit), figure(ratio),
        verdict)
    print((text:gsub("%s+$", "")))
    io.stdout:flush()
    return true
end

local function main()
    local all_ran, some, fewest = true, false, ROUNDS
    for _, row in ipairs(rows) do
        fewest = math.min(fewest, row.rounds or ROUNDS)
    end
    print(("%s, plans with %d workers, threads unless named, %d usable cores; medians of at least %d rounds"):format(
        _VERSION, WORKERS, mf.cores(), fewest))
    print(line:format("work", "ours", "budget", "floor", "ratio", "verdict"))
    for _, row in ipairs(rows) do
        if row.name:find(filter) then
            some = true
            all_ran = print_row(row) and all_ran
        end
    end
    if not some then
        io.stderr:write("no row matches MOONFLEET_BENCH=" .. filter .. "\n")
    elseif filter == "" then
        print("\nthe whole floor:\n" .. output_of(quoted(floor_program)):gsub("[^\n]+", "  %0"))
    end
    for _, fn in ipairs(endings) do
        fn()
    end
    os.exit(all_ran and some, true)
end

main()
