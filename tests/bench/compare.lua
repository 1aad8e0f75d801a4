-- The comparison: the same work under Moonfleet, Python's and R's libraries and GNU parallel, in one run.
--
--   make bench-peers                        everything
--   make bench-peers MOONFLEET_BENCH=map    the workloads whose name or title matches this Lua pattern
--
-- Each round runs every contestant once, one after the other, each a program of its own (peers/), which prints one
-- figure; the table shows medians, and ours over the best peer's. Who took longer than SLOW seconds is not asked again.
-- A contestant that is not installed is named on the first lines, one without means for a workload is left out of its
-- row, and one that failed is said to have failed; no figure is ever filled in. All of it goes to
-- build/bench/peers.json too, and as a picture to build/bench/peers.svg.
local json = require("cjson")
local mf = require("moonfleet")

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local chart = dofile(here .. "chart.lua")
local common = dofile(here .. "common.lua")
local quoted, median, figure = common.quoted, common.median, common.figure

local program = os.getenv("MOONFLEET") or "build/moonfleet"
local folder = os.getenv("MOONFLEET_BENCH_OUT") or "build/bench"
local filter = os.getenv("MOONFLEET_BENCH") or ""

local ROUNDS, SLOW, LIMIT = 3, 15, 180
local REFUSED = 3

-- What is compared: `more` when a larger figure is the better one; `floor`: what plain C takes, and in our unit;
-- `least` and `most`: figures beyond are noise, and count as those.
local workloads = {
    { id = "first", title = "W1 cold pool of 2 to first result", unit = "ms", floor = "thread_start", scale = 2e-3 },
    { id = "round_trip", title = "W2 round trip", unit = "us", floor = "cond_round_trip" },
    { id = "tasks", title = "W3 20,000 tasks, each", unit = "us", floor = "queue_task", scale = 1e-3 },
    { id = "batches", title = "W3 20,000 tasks in batches, each", unit = "us" },
    { id = "map", title = "W4 map over 1e6, each", unit = "ns", floor = "sum_integer" },
    { id = "string", title = "W5 64 MB, each way", unit = "GB/s", more = true, floor = "memcpy_rate" },
    { id = "records", title = "W6 100,000 records and back", unit = "ms" },
    { id = "pi", title = "W7 pi, 2 workers over 1", unit = "x", more = true, floor = "two_thread_speedup", most = 2 },
    { id = "idle", title = "W8 an idle worker's memory", unit = "MB" },
    { id = "numbers", title = "W9 copied of 400 MB of numbers", unit = "MB", least = 0.25 },
    { id = "objects", title = "W9 copied of 400 MB of objects", unit = "MB", least = 0.25 },
    { id = "tail", title = "W10 long tail, over the ideal", unit = "x" },
    { id = "queued_memory", title = "W11 a queued task's memory", unit = "bytes" },
    { id = "queued_time", title = "W11 queueing a task", unit = "us" },
    { id = "words", title = "W12 words of 200 MB", unit = "s" },
    { id = "words_gzip", title = "W12 words of 200 MB, gzip", unit = "s" },
    { id = "means", title = "W13 16 x mean, sd of 1e7", unit = "s" },
    { id = "ssh_round_trip", title = "W14 round trip over SSH", unit = "us", ssh = true },
    { id = "ssh_string", title = "W14 64 MB over SSH, each way", unit = "MB/s", more = true, ssh = true },
    { id = "ssh_ready", title = "W14 8 hosts ready", unit = "ms", ssh = true },
}

-- A command's output, and its exit code; code 124 when it took too long.
local function run(command)
    local pipe = assert(io.popen(("timeout -k 5 %d %s"):format(LIMIT, command)))
    local text = pipe:read("a")
    local _, _, code = pipe:close()
    return text, code
end

-- Contestants -------------------------------------------------------------------------------------------------------

local contestants = {}

local function add(name, group, command, version)
    contestants[#contestants + 1] = {
        name = name, group = group, command = command, version = version, ssh = name:find("ssh$") ~= nil
            or group == "clear",
    }
end

local absent = {}
local hosts -- of tests.support.sshd

-- Eight servers, and a configuration in which they are n1 to n8.
local function start_hosts()
    hosts = require("tests.support.sshd").new()
    local file = assert(io.open(hosts.config, "a"))
    for i = 1, 8 do
        local server = hosts:start("n" .. i)
        file:write(("Host n%d\nHostName 127.0.0.1\nPort %d\n"):format(i, server.port))
    end
    file:close()
    hosts.environment = ("env MOONFLEET_BENCH_SSH=%s "):format(quoted(hosts.config))
end

-- A peer whose script says its version; else it is absent.
local function add_peer(name, group, command)
    local text, code = run(command .. " --version 2>/dev/null")
    if code == 0 then
        add(name, group, command, (text:gsub("%s+$", "")))
    else
        absent[#absent + 1] = name
    end
end

for name, plan in pairs({ threads = "threads", forks = "forks", processes = "processes", ssh = "cluster" }) do
    add("moonfleet " .. name, "ours", ("%s -E %s %s"):format(quoted(program), quoted(here .. "peers/ours.lua"), plan),
        "Moonfleet " .. mf.version)
end
for _, way in ipairs({ "pool", "executor", "threads", "joblib", "dask", "distributed" }) do
    add_peer("python " .. way, "peer", ("/usr/bin/python3 %s %s"):format(quoted(here .. "peers/peer.py"), way))
end
for _, way in ipairs({ "cluster", "ssh", "fork", "multisession", "multicore" }) do
    add_peer("R " .. way, "peer", ("Rscript %s %s"):format(quoted(here .. "peers/peer.R"), way))
end
add_peer("R clear", "clear", ("Rscript %s clear"):format(quoted(here .. "peers/peer.R")))
add_peer("GNU parallel", "peer", ("sh %s"):format(quoted(here .. "peers/parallel.sh")))

-- Texts -------------------------------------------------------------------------------------------------------------

local texts

-- A folder with 16 texts of 12.5 MB, plain and compressed, of words that are the rarer the more there are of them.
local function make_texts()
    texts = run("mktemp -d"):gsub("%s+$", "")
    mf.with_plan({ { "processes", workers = 2 } }, function()
        mf.each(mf.range(16), function(i)
            local vocabulary, out = {}, assert(io.open(("%s/%02d.txt"):format(texts, i), "w"))
            for k = 1, 50000 do
                vocabulary[k] = ("%x"):format(k * 2654435761 % 4294967296 >> k % 5 * 4)
            end
            for _ = 1, 152000 do
                local words = {}
                for k = 1, 12 do
                    words[k] = vocabulary[math.floor(50000 ^ math.random())]
                end
                assert(out:write(table.concat(words, " "), "\n"))
            end
            assert(out:close())
            assert(os.execute(("gzip -k1 %s/%02d.txt && mv %s/%02d.txt.gz %s/%02d.gz"):format(texts, i, texts, i, texts,
                i)))
        end, { chunk = 1, seed = 1 })
    end)
end

-- Running -----------------------------------------------------------------------------------------------------------

local function ask(contestant, workload)
    local start = mf.now()
    local environment = hosts and hosts.environment or ""
    local text, code = run(("%s%s %s %s 2>/dev/null"):format(environment, contestant.command, workload.id,
        texts or ""))
    local value = tonumber(text)
    return code == 0 and value, code, mf.now() - start
end

-- All figures of a workload: a list of { name, group, median, figures }, or with `failed`, a text.
local function measure(workload)
    local entries, floors = {}, {}
    for i, contestant in ipairs(contestants) do
        local asked = contestant.ssh == (workload.ssh or false)
        entries[i] = { name = contestant.name, group = contestant.group, figures = {}, refused = not asked,
            over = not asked }
    end
    for round = 1, ROUNDS do
        for i, contestant in ipairs(contestants) do
            local entry = entries[i]
            if not entry.over then
                local value, code, taken = ask(contestant, workload)
                entry.over = not value or taken > SLOW
                entry.figures[round] = value or nil
                if code == REFUSED then
                    entry.refused = true
                elseif not value then
                    entry.failed = code == 124 and ("took more than %d s"):format(LIMIT)
                        or "exit code " .. tostring(code)
                end
            end
        end
        if workload.floor then
            floors[round] = common.floor(workload.floor) * (workload.scale or 1)
        end
    end
    local result = { floor = workload.floor and median(floors) or nil }
    for _, entry in ipairs(entries) do
        if not entry.refused then
            entry.over = nil
            entry.median = not entry.failed and median(entry.figures) or nil
            result[#result + 1] = entry
        end
    end
    return result
end

-- The best of a group, and whether there is one.
local function best(result, group, more)
    local found
    for _, entry in ipairs(result) do
        if entry.group == group and entry.median
            and (not found or (more and entry.median > found.median or not more and entry.median < found.median)) then
            found = entry
        end
    end
    return found
end

-- Showing -----------------------------------------------------------------------------------------------------------

local line = "%-34s %12s %-10s %12s %-20s %8s %12s %8s"

-- How far the one is ahead of the other.
local function compare(workload, ours, peer)
    local function bounded(x) return math.min(math.max(x, workload.least or x), workload.most or math.huge) end
    local a, b = bounded(ours.median), bounded(peer.median)
    return workload.more and a / b or b / a
end

local function show(workload, result)
    local ours, peer = best(result, "ours", workload.more), best(result, "peer", workload.more)
    local ahead = ours and peer and compare(workload, ours, peer)
    local over = ours and result.floor and (workload.more and result.floor / ours.median or ours.median / result.floor)
    local text = line:format(workload.title, figure(ours and ours.median, workload.unit),
        ours and ours.name:match("%S+$") or "", figure(peer and peer.median), peer and peer.name or "no peer",
        ahead and figure(ahead) .. " x" or "-", figure(result.floor), over and figure(over) .. " x" or "-")
    print((text:gsub("%s+$", "")))
    for _, entry in ipairs(result) do
        if entry.group == "clear" and entry.median then
            print(("    unencrypted, %s: %s"):format(entry.name, figure(entry.median, workload.unit)))
        end
        if entry.failed then
            print(("    %s failed: %s"):format(entry.name, entry.failed))
        end
    end
    io.stdout:flush()
    workload.ahead = ahead
end

local function write_file(path, text)
    local file = assert(io.open(path .. ".part", "w"))
    assert(file:write(text))
    assert(file:close())
    assert(os.rename(path .. ".part", path))
end

local function save(results)
    assert(os.execute("mkdir -p " .. quoted(folder)))
    local versions = {}
    for _, contestant in ipairs(contestants) do
        versions[contestant.name] = contestant.version
    end
    write_file(folder .. "/peers.json", json.encode({
        cores = mf.cores(), workers = 2, rounds = ROUNDS, versions = versions, absent = absent, workloads = results,
    }) .. "\n")
    write_file(folder .. "/peers.svg", chart.draw(results))
    print(("\nall figures: %s/peers.json, as a picture: %s/peers.svg"):format(folder, folder))
end

local function main()
    local results = {}
    print(("2 workers, %d usable cores; medians of %d rounds, one who takes more than %d s in one round"):format(
        mf.cores(), ROUNDS, SLOW))
    print("not installed: " .. (#absent > 0 and table.concat(absent, ", ") or "nothing")
        .. " (sh scripts/deps.sh bench-peers)")
    print(line:format("work", "ours", "", "best peer", "", "ahead by", "plain C", "over it"))
    for _, workload in ipairs(workloads) do
        if workload.id:find(filter) or workload.title:find(filter) then
            if workload.id:find("^words") and not texts then
                make_texts()
            elseif workload.ssh and not hosts then
                start_hosts()
            end
            local result = measure(workload)
            show(workload, result)
            results[#results + 1] = {
                id = workload.id, title = workload.title, unit = workload.unit, more = workload.more or false,
                floor = result.floor, contestants = table.move(result, 1, #result, 1, {}),
            }
        end
    end
    if #results == 0 then
        io.stderr:write("no workload matches MOONFLEET_BENCH=" .. filter .. "\n")
        os.exit(false, true)
    end
    save(results)
end

local ok, err = xpcall(main, debug.traceback)
if texts then
    os.execute("rm -rf " .. quoted(texts))
end
if hosts then
    hosts:close()
end
if not ok then
    error(err, 0)
end
