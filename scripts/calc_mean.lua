-- Mean and standard deviation of a million normal numbers, ten times, on all cores.
--
--   moonfleet scripts/calc_mean.lua [TASKS [NUMBERS]]        also with -j 4, --plan processes, --seed 7
--
-- Every task draws from a stream of its own, so that the answers are the same under every plan and number of workers,
-- and the same that R gives:
--
--   library(future.apply)
--   future_sapply(1:10, function(i) { x <- rnorm(1e6, 100, 15); c(mean(x), sd(x)) }, future.seed = 42)

local mf = require("moonfleet")

local calc = { mean = 100, sd = 15 }

-- What a task computes: the summary of n numbers.
function calc.task(n, mean, sd)
    local x = mf.rng.current():normal(mean, sd, mf.array(n))
    return mf.stats.summary(x)
end

-- The summaries of so many tasks, and that of all their numbers together.
function calc.run(tasks, n, options)
    local mean, sd, task = calc.mean, calc.sd, calc.task
    local summaries = mf.map(mf.range(tasks), function()
        return task(n, mean, sd)
    end, options)
    local all = summaries[1]
    for i = 2, tasks do
        all = mf.stats.merge(all, summaries[i])
    end
    return summaries, all
end

local function main(tasks, n)
    local start = mf.now()
    local summaries, all = calc.run(tasks, n, { seed = 42 })
    local seconds = mf.now() - start
    print(("%4s %12s %12s %12s %12s"):format("", "mean", "sd", "least", "greatest"))
    local line = "%4s %12.6f %12.6f %12.4f %12.4f"
    for i, s in ipairs(summaries) do
        print(line:format(i, s.mean, s.sd, s.min, s.max))
    end
    print(line:format("all", all.mean, all.sd, all.min, all.max))
    print(("\n%d x %d numbers on %d workers: %.2f s"):format(tasks, n, mf.workers(), seconds))
end

-- Run as a program, and not loaded by another one (the spec).
if arg and arg[0] and debug.getinfo(1, "S").source == "@" .. arg[0] then
    local tasks, n = math.tointeger(tonumber(arg[1] or 10)), math.tointeger(tonumber(arg[2] or 1000000))
    if not tasks or not n or tasks < 1 or n < 2 then
        io.stderr:write("usage: moonfleet scripts/calc_mean.lua [TASKS [NUMBERS]]\n")
        os.exit(2)
    end
    main(tasks, n)
end

return calc
