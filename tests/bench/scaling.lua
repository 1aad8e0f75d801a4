-- Rows of the benchmark for many workers: what handing out a task costs, in processor time, when a few workers sleep
-- their way through their tasks and when very many do. It must not depend on how many there are.
--
-- Called with what bench.lua has: output_of(command), quoted(text), program. Returns a list of rows.
--
--   moonfleet tests/bench/scaling.lua PLAN WORKERS      one figure: microseconds of this process for each task
local mf = require("moonfleet")

local TASKS, NAP = 10, 0.05 -- of each worker, and seconds
local LOCAL = { transport = "local", workers = 1 }

local function plan_of(name, workers)
    if name ~= "agents" then
        return { name, workers = workers }
    end
    local level = { "cluster", hosts = {}, transport = LOCAL.transport, workers = LOCAL.workers }
    for i = 1, workers do
        level.hosts[i] = "n" .. i
    end
    return level
end

local function cost(name, workers)
    mf.plan({ plan_of(name, workers) })
    local function nap()
        mf.sleep(NAP)
    end
    local function run(n)
        mf.each(mf.range(n), nap, { chunk = 1 })
    end
    run(workers) -- all of them have started
    local n, start = workers * TASKS, os.clock()
    run(n)
    return 1e6 / n * (os.clock() - start)
end

if arg and arg[0] and arg[0]:find("scaling%.lua$") then
    print(cost(arg[1], assert(math.tointeger(tonumber(arg[2])))))
    return
end

return function(tools)
    local here = debug.getinfo(1, "S").source:match("^@(.*)$")

    local function ask(plan, workers)
        return function()
            return assert(tonumber(tools.output_of(("%s -E %s %s %d"):format(tools.quoted(tools.program),
                tools.quoted(here), plan, workers))))
        end
    end

    local function row(plan, few, many)
        return {
            name = ("%s: a task, %d workers over %d"):format(plan, many, few), unit = "us", rounds = 3, ratio = 1.5,
            measure = ask(plan, many), floor = ask(plan, few),
        }
    end

    return { row("threads", 10, 1000), row("processes", 4, 64), row("agents", 4, 64) }
end
