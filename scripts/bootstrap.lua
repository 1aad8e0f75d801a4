-- How sure can we be of a median, a correlation, a slope? A bootstrap of the Old Faithful geyser's eruptions.
--
--   moonfleet scripts/bootstrap.lua [RESAMPLES [SEED]]        also with -j 4, --plan processes
--
-- Draws as many eruptions as there are, with replacement, computes the figures of those, and does so thousands of
-- times: the middle 95 % of what comes out is a confidence interval. Each resample has its own random stream, so the
-- intervals depend on the seed only. (scripts/demo.lua does the same by hand, without mf.rng and mf.stats.)

local mf = require("moonfleet")

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local bootstrap = { names = { "mean wait", "median wait", "sd of wait", "correlation", "slope" } }

-- The two columns of the data, in minutes: how long eruptions took, and how long the wait for the next one was.
function bootstrap.read(path)
    local x, y = {}, {}
    for line in io.lines(path or here .. "data/faithful.csv") do
        local eruption, wait = line:match("^([%d.]+),([%d.]+)$")
        if eruption then -- not the heading
            x[#x + 1], y[#y + 1] = tonumber(eruption), tonumber(wait)
        end
    end
    return x, y
end

-- The figures, in the order of their names.
function bootstrap.figures(x, y)
    local stats = mf.stats
    local slope = stats.regression(y, x).coefficients[2]
    return { stats.mean(y), stats.median(y), stats.sd(y), stats.cor(x, y), slope }
end

-- One list of `times` values for each figure.
function bootstrap.resample(x, y, times, options)
    local figures = bootstrap.figures
    local rows = mf.map(mf.range(times), function()
        local chosen = mf.rng.current():integers(1, #x, #x)
        local xs, ys = {}, {}
        for i, k in ipairs(chosen) do
            xs[i], ys[i] = x[k], y[k]
        end
        return figures(xs, ys)
    end, options)
    local columns = {}
    for k = 1, #bootstrap.names do
        columns[k] = {}
        for i = 1, times do
            columns[k][i] = rows[i][k]
        end
    end
    return columns
end

-- For each figure its name, estimate, standard error, and the limits of the 95 % interval.
function bootstrap.intervals(x, y, times, options)
    local estimates, columns = bootstrap.figures(x, y), bootstrap.resample(x, y, times, options)
    local intervals = {}
    for k, name in ipairs(bootstrap.names) do
        local limits = mf.stats.quantile(columns[k], { 0.025, 0.975 })
        intervals[k] = {
            name = name,
            estimate = estimates[k],
            error = mf.stats.sd(columns[k]),
            low = limits[1],
            high = limits[2],
        }
    end
    return intervals
end

local function main(times, seed)
    local x, y = bootstrap.read()
    local start = mf.now()
    local intervals = bootstrap.intervals(x, y, times, { seed = seed })
    local seconds = mf.now() - start
    print(("%-12s %10s %10s   %s"):format("", "estimate", "error", "95 % interval"))
    for _, row in ipairs(intervals) do
        print(("%-12s %10.4f %10.4f   %.4f to %.4f"):format(row.name, row.estimate, row.error, row.low, row.high))
    end
    print(("\n%d resamples of %d eruptions on %d workers: %.2f s"):format(times, #x, mf.workers(), seconds))
end

-- Run as a program, and not loaded by another one (the spec).
if arg and arg[0] and debug.getinfo(1, "S").source == "@" .. arg[0] then
    local times, seed = math.tointeger(tonumber(arg[1] or 10000)), math.tointeger(tonumber(arg[2] or 42))
    if not times or times < 2 or not seed then
        io.stderr:write("usage: moonfleet scripts/bootstrap.lua [RESAMPLES [SEED]]\n")
        os.exit(2)
    end
    main(times, seed)
end

return bootstrap
