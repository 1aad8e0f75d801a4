-- What Moonfleet is for, on real measurements: the Old Faithful geyser and some books.
--
--   make demo    or    moonfleet scripts/demo.lua [RESAMPLES]        also with -j 4, or --plan sequential
--
-- Three analyses, each a plain function given to mf.replicate, mf.map or mf.mapreduce. Nothing in them says where they
-- run: that is the plan's business, and the answers are the same under every plan, random numbers included. To show it,
-- each runs twice: under "sequential", and under the plan that moonfleet was started with.

local mf = require "moonfleet"

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local wordcount = dofile(here .. "wordcount.lua")

local demo = {}

-- The two columns of the data: xs, how long each eruption took, and ys, the wait for the next one; both in minutes.
function demo.read_faithful(path)
    local xs, ys = {}, {}
    for line in io.lines(path or here .. "data/faithful.csv") do
        local x, y = line:match("^([%d.]+),([%d.]+)$")
        if x then -- not the heading
            xs[#xs + 1], ys[#ys + 1] = tonumber(x), tonumber(y)
        end
    end
    return xs, ys
end

-- 1. Cross-validation: what curve foretells the wait from the length of an eruption? ---------------------------------
--
-- A polynomial of higher degree always fits the eruptions it has seen better. So leave one out, fit the others, and
-- foretell the one left out, for each of the 272 in turn: the degree with the least error is the one to use.

-- A function that gives the powers 0 .. degree of x scaled so that xs run from -1 to 1, which keeps them well apart.
local function scaled_powers(xs, degree)
    local low, high = math.min(table.unpack(xs)), math.max(table.unpack(xs))
    return function(x)
        local powers = {}
        for k = 0, degree do
            powers[k + 1] = ((2 * x - low - high) / (high - low)) ^ k
        end
        return powers
    end
end

-- The rows of a least-squares problem: for each x its powers, then y.
local function problem(xs, ys, powers)
    local rows = {}
    for i, x in ipairs(xs) do
        rows[i] = powers(x)
        table.insert(rows[i], ys[i])
    end
    return rows
end

-- The last columns of a matrix made orthogonal to column k; how much of column k was in each.
local function project(columns, k)
    local base, square, factors = columns[k], 0.0, {}
    for _, value in ipairs(base) do
        square = square + value * value
    end
    for j = k + 1, #columns do
        local column, dot = columns[j], 0.0
        for i = 1, #base do
            dot = dot + base[i] * column[i]
        end
        local factor = dot / square
        for i = 1, #base do
            column[i] = column[i] - factor * base[i]
        end
        factors[j] = factor
    end
    return factors
end

-- The coefficients of the polynomial that fits some of the rows best. QR by modified Gram-Schmidt, with y as the last
-- column: as stable as Householder's method, and far better than the normal equations. Then back substitution.
local function fit(rows, degree, chosen)
    local size, columns, r, coefficients = degree + 1, {}, {}, {}
    for j = 1, size + 1 do
        local source, column = j <= size and j or #rows[1], {}
        for i, row in ipairs(chosen) do
            column[i] = rows[row][source]
        end
        columns[j] = column
    end
    for k = 1, size do
        r[k] = project(columns, k)
    end
    for k = size, 1, -1 do
        local c = r[k][size + 1]
        for j = k + 1, size do
            c = c - r[k][j] * coefficients[j]
        end
        coefficients[k] = c
    end
    return coefficients
end

-- The value of a polynomial, from the powers of x.
local function foretell(coefficients, powers)
    local sum = 0.0
    for k, coefficient in ipairs(coefficients) do
        sum = sum + coefficient * powers[k]
    end
    return sum
end

-- The numbers 1 .. n without one of them.
local function all_but(n, left_out)
    local chosen = {}
    for i = 1, n do
        if i ~= left_out then
            chosen[#chosen + 1] = i
        end
    end
    return chosen
end

-- Mean squared error of foretelling, for each degree from 1 to max_degree; and the degree that has the least.
function demo.cross_validate(xs, ys, max_degree, options)
    local n, rows = #xs, problem(xs, ys, scaled_powers(xs, max_degree))
    -- One element for each degree and eruption left out; that some take ten times as long as others is not our worry.
    local squares = mf.map(mf.range(1, n * max_degree), function(element)
        local degree, left_out = (element - 1) // n + 1, (element - 1) % n + 1
        local coefficients = fit(rows, degree, all_but(n, left_out))
        return (ys[left_out] - foretell(coefficients, rows[left_out])) ^ 2
    end, options)

    local errors, best = {}, 1
    for degree = 1, max_degree do
        local sum = 0.0
        for i = 1, n do
            sum = sum + squares[(degree - 1) * n + i]
        end
        errors[degree] = sum / n
        if errors[degree] < errors[best] then
            best = degree
        end
    end
    return errors, best
end

-- 2. Bootstrap: how sure can we be of what we computed from 272 eruptions? -------------------------------------------
--
-- Draw 272 of them with replacement, compute the figures again, and do so 10,000 times: the middle 95 % of what comes
-- out is a confidence interval, also for a median or a fitted curve, for which textbooks have no simple formula.

demo.figures = { "mean wait", "median wait", "slope", "correlation", "after 2 min", "after 4 min" }

-- Means of two lists, and the sums of squares and products about them.
local function moments(xs, ys)
    local n, sx, sy, sxx, syy, sxy = #xs, 0.0, 0.0, 0.0, 0.0, 0.0
    for i = 1, n do
        sx, sy = sx + xs[i], sy + ys[i]
    end
    local mx, my = sx / n, sy / n
    for i = 1, n do
        local dx, dy = xs[i] - mx, ys[i] - my
        sxx, syy, sxy = sxx + dx * dx, syy + dy * dy, sxy + dx * dy
    end
    return mx, my, sxx, syy, sxy
end

-- The p-quantile of a sorted list, between two values by linear interpolation (R's default, type 7).
local function quantile(sorted, p)
    local position = 1 + (#sorted - 1) * p
    local below = math.floor(position)
    local low, high = sorted[below], sorted[math.min(below + 1, #sorted)]
    return low + (position - below) * (high - low)
end

-- A function that computes the figures, in the order of their names above, from the eruptions it is told to choose.
local function figures_of(xs, ys, degree)
    local powers = scaled_powers(xs, degree)
    local rows, after_2, after_4 = problem(xs, ys, powers), powers(2.0), powers(4.0)
    return function(chosen)
        local cx, cy = {}, {}
        for i, row in ipairs(chosen) do
            cx[i], cy[i] = xs[row], ys[row]
        end
        local _, mean, sxx, syy, sxy = moments(cx, cy)
        table.sort(cy)
        local curve = fit(rows, degree, chosen)
        return {
            mean, quantile(cy, 0.5), sxy / sxx, sxy / math.sqrt(sxx * syy),
            foretell(curve, after_2), foretell(curve, after_4),
        }
    end
end

-- For each figure { name =, estimate =, low =, high = }, with the limits of the 95 % interval. `degree` is the curve's.
function demo.bootstrap(xs, ys, degree, times, options)
    local n, figures = #xs, figures_of(xs, ys, degree)
    local resamples = mf.replicate(times, function()
        local chosen = {}
        for i = 1, n do
            chosen[i] = math.random(n) -- in a task this draws from the task's own stream: parallel, and reproducible
        end
        return figures(chosen)
    end, options)

    local estimates, intervals = figures(all_but(n)), {}
    for k, name in ipairs(demo.figures) do
        local values = {}
        for i = 1, times do
            values[i] = resamples[i][k]
        end
        table.sort(values)
        local low, high = quantile(values, 0.025), quantile(values, 0.975)
        intervals[k] = { name = name, estimate = estimates[k], low = low, high = high }
    end
    return intervals
end

-- 3. Words: which are the most frequent in the texts of a directory? See wordcount.lua beside this file. -------------

function demo.words(options)
    return wordcount.count(here .. "data/texts", options)
end

-- Showing it ---------------------------------------------------------------------------------------------------------

local function seconds(fn)
    local start = mf.now() -- not os.clock, which adds up the time of all cores
    local answer = fn()
    return mf.now() - start, answer
end

-- Tables of numbers and tables are equal if all that is in them is, to the last bit.
local function equal(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    for key, value in pairs(a) do
        if not equal(value, b[key]) then
            return false
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return false
        end
    end
    return true
end

-- Runs fn under "sequential" and then under the plan we were started with, from the same seed: the answer, and times.
local function compare(title, fn)
    local options = { progress = true, label = title }
    local function run()
        mf.seed(42)
        return seconds(function()
            return fn(options)
        end)
    end
    local alone, expected = mf.with_plan("sequential", run)
    local together, answer = run()
    if not equal(answer, expected) then
        error(title .. ": the plan changed the answer, which must never be", 0)
    end
    return answer, { title = title, alone = alone, together = together }
end

local function print_errors(errors, best)
    print("Old Faithful: the wait as a polynomial of the eruption's length, cross-validated")
    print(("  %-12s %10s"):format("degree", "error, min"))
    for degree, square in ipairs(errors) do
        print(("  %-12d %10.3f%s"):format(degree, math.sqrt(square), degree == best and "   best" or ""))
    end
end

local function print_bootstrap(intervals, n, times)
    print(("\n%d eruptions, bootstrapped %d times; minutes, the last two by the best curve"):format(n, times))
    print(("  %-12s %10s   %s"):format("", "estimate", "95 % interval"))
    for _, row in ipairs(intervals) do
        print(("  %-12s %10.3f   %.3f to %.3f"):format(row.name, row.estimate, row.low, row.high))
    end
end

local function print_words(counts)
    local top, total, different = wordcount.top(counts, 10)
    print(("\nWords in the texts: %d, of which %d different; the most frequent"):format(total, different))
    for _, entry in ipairs(top) do
        print(("  %-12s %10d"):format(entry.word, entry.count))
    end
end

local function print_times(rows)
    local alone, together = 0.0, 0.0
    print(("\nThe same answers both ways; times on %d workers (usable cores: %d)"):format(mf.workers(), mf.cores()))
    print(("  %-12s %10s %10s %10s"):format("", "sequential", "this plan", "speed-up"))
    local line = "  %-12s %8.2f s %8.2f s %10.2f"
    for _, row in ipairs(rows) do
        print(line:format(row.title, row.alone, row.together, row.alone / row.together))
        alone, together = alone + row.alone, together + row.together
    end
    print(line:format("all", alone, together, alone / together))
end

local function main(times)
    local xs, ys = demo.read_faithful()
    local max_degree, rows = 8, {}

    local curve, intervals, counts
    curve, rows[1] = compare("curve", function(options)
        local errors, best = demo.cross_validate(xs, ys, max_degree, options)
        return { errors = errors, best = best }
    end)
    print_errors(curve.errors, curve.best)

    intervals, rows[2] = compare("bootstrap", function(options)
        return demo.bootstrap(xs, ys, curve.best, times, options)
    end)
    print_bootstrap(intervals, #xs, times)

    counts, rows[3] = compare("words", demo.words)
    print_words(counts)

    print_times(rows)
end

-- Run as a program, and not loaded by another one (the spec).
if arg and arg[0] and debug.getinfo(1, "S").source == "@" .. arg[0] then
    local times = math.tointeger(tonumber(arg[1] or 10000))
    if not times or times < 1 then
        io.stderr:write("usage: moonfleet scripts/demo.lua [RESAMPLES]\n")
        os.exit(2)
    end
    main(times)
end

return demo
