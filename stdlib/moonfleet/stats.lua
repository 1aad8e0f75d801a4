-- Statistics of lists, ranges and arrays; the C half is vm/lib_stats.c. Wherever R has the same figure, it is R's, to
-- about the last digit: variances divide by n - 1, quantiles are of type 7, weights are those of cov.wt.

local core = require("moonfleet.core")
local options = require("moonfleet.options")

local kernels = core.stats()

---Numbers: a list, an `mf.range` or an array (of any shape; where several variables are meant, of two dimensions,
---with a column for each). An element that is no number is an error that names it.
---@alias moonfleet.Numbers number[]|moonfleet.Range|moonfleet.Array

---Statistics of numbers. Wherever R has the same figure, it is R's, to about the last digit. Lists, ranges and arrays
---of any shape count as (n) numbers; where several variables are meant, an array is (n,k), a column for each. Errors:
---an argument that is no numbers, an element that is no number (it is named), lengths that differ, an option out of
---range.
---@class moonfleet.stats
local M = {}

---The arithmetic mean; with weights, the weighted one. NaN of no numbers.
---@param x moonfleet.Numbers
---@param weights moonfleet.Numbers?
---@return number
M.mean = kernels.mean

---The variance, with n - 1; NaN of fewer than two numbers. With weights, which are scaled to the sum 1, the unbiased
---one of R's cov.wt: sum w (x - mean)^2 / (1 - sum w^2).
---@param x moonfleet.Numbers
---@param weights moonfleet.Numbers?
---@return number
M.var = kernels.var

---The standard deviation: the root of `var`.
---@param x moonfleet.Numbers
---@param weights moonfleet.Numbers?
---@return number
M.sd = kernels.sd

---The median. With weights: of numbers that come so many times each. NaN of no numbers, or if one of them is NaN.
---@param x moonfleet.Numbers
---@param weights moonfleet.Numbers?
---@return number
M.median = kernels.median

---The p-quantile, between order statistics by linear interpolation (R's type 7); p from 0 to 1. For a list of p, the
---list of their quantiles. With weights: of numbers that come so many times each.
---@param x moonfleet.Numbers
---@param p number|moonfleet.Numbers
---@param weights moonfleet.Numbers?
---@return number|number[]
M.quantile = kernels.quantile

---The covariance of x and y. Without y, x is a list of variables, and the result is the matrix of all covariances, a
---list of rows.
---@param x moonfleet.Numbers|moonfleet.Numbers[]
---@param y moonfleet.Numbers?
---@param weights moonfleet.Numbers?
---@return any
M.cov = kernels.cov

---Pearson's correlation of x and y, or, without y, the matrix of correlations of a list of variables. NaN where one
---does not vary.
---@param x moonfleet.Numbers|moonfleet.Numbers[]
---@param y moonfleet.Numbers?
---@param weights moonfleet.Numbers?
---@return any
M.cor = kernels.cor

---What `mf.stats.summary` returns.
---@class moonfleet.Summary
---@field n integer
---@field mean number
---@field var number
---@field sd number
---@field min number
---@field max number

local NAN = 0 / 0

local function new_summary(n, mean, m2, min, max)
    local var = n > 1 and m2 / (n - 1) or NAN
    return { n = n, mean = mean, var = var, sd = var ^ 0.5, min = min, max = max }
end

---Count, mean, variance, standard deviation, least and greatest, in one go.
---@param x moonfleet.Numbers
---@return moonfleet.Summary
function M.summary(x)
    return new_summary(kernels.moments(x))
end

local function is_summary(v)
    return type(v) == "table" and math.type(v.n) == "integer" and type(v.mean) == "number"
end

---The summary of what two summaries are of together, as exact as if all numbers had been in one list. So
---`mf.mapreduce(pieces, mf.stats.summary, mf.stats.merge)` is the summary of all pieces.
---@param a moonfleet.Summary
---@param b moonfleet.Summary
---@return moonfleet.Summary
function M.merge(a, b)
    if not is_summary(a) or not is_summary(b) then
        options.raise("mf.stats.merge: expected two summaries, as mf.stats.summary returns them")
    end
    if a.n == 0 or b.n == 0 then
        return a.n == 0 and b or a
    end
    local n, distance = a.n + b.n, b.mean - a.mean
    local m2a, m2b = a.n > 1 and a.var * (a.n - 1) or 0.0, b.n > 1 and b.var * (b.n - 1) or 0.0
    local m2 = m2a + m2b + distance * distance * (a.n * (b.n / n))
    return new_summary(n, a.mean + distance * (b.n / n), m2, math.min(a.min, b.min), math.max(a.max, b.max))
end

-- Histograms ------------------------------------------------------------------------------------------------------

local function is_edges(v)
    return type(v) == "table" or type(v) == "userdata"
end

local function is_interval(v)
    return type(v) == "table" and #v == 2 and type(v[1]) == "number" and type(v[2]) == "number" and v[1] < v[2]
end

local HISTOGRAM = {
    bins = options.integer_in(1, 100000000),
    range = { expects = "two numbers, the lesser first", check = is_interval },
    edges = { expects = "a list, a range or an array of numbers", check = is_edges },
}

local function even_edges(low, high, bins)
    local edges = {}
    for i = 0, bins - 1 do
        edges[i + 1] = low + (high - low) * i / bins
    end
    edges[bins + 1] = high
    return edges
end

-- As many cells as H. Sturges proposed, between the least and the greatest number.
local function standard_edges(x, given)
    local n, _, _, low, high = kernels.moments(x)
    if given.range then
        low, high = given.range[1], given.range[2]
    elseif high - low == math.huge or low ~= low then -- also when all are NaN, or there is none
        options.raise("mf.stats.histogram: the numbers must be finite and at least one; or give option 'range'")
    elseif low == high then
        low, high = low - 0.5, high + 0.5
    end
    return even_edges(low, high, given.bins or math.ceil(math.log(math.max(n, 1), 2) + 1))
end

---What `mf.stats.histogram` returns.
---@class moonfleet.Histogram
---@field counts integer[] numbers in each cell
---@field edges number[] one more than cells; a cell holds its lower edge, the last one its upper edge too
---@field density number[] shares of the numbers in the cells, for each unit of width
---@field outside integer numbers in no cell (NaN too)

---Counts numbers in cells of equal width (option `bins`; unless told, as many as Sturges's rule says) over the range
---of the numbers (or option `range`), or in cells between given `edges`, which ascend.
---@param x moonfleet.Numbers
---@param given { bins: integer?, range: number[]?, edges: moonfleet.Numbers? }?
---@return moonfleet.Histogram
function M.histogram(x, given)
    local o = options.check("mf.stats.histogram", HISTOGRAM, given)
    if o.edges and (o.bins or o.range) then
        options.raise("mf.stats.histogram: options 'bins' and 'range' say nothing beside 'edges'")
    end
    local edges = o.edges or standard_edges(x, o)
    local counts, outside = kernels.count(x, edges)
    local total, density = 0, {}
    for i = 1, #counts do
        total = total + counts[i]
    end
    for i = 1, #counts do
        density[i] = counts[i] / (total * (edges[i + 1] - edges[i]))
    end
    return { counts = counts, edges = edges, density = density, outside = outside }
end

-- Regression ------------------------------------------------------------------------------------------------------

local REGRESSION = {
    intercept = options.kinds.boolean,
    weights = { expects = "a list, a range or an array of numbers", check = is_edges },
}

-- One variable is as good as a list of one; the columns of an array are variables.
local function variables(x)
    if type(x) == "userdata" or type(x) == "table" and getmetatable(x) == nil and type(x[1]) ~= "number" then
        return x
    end
    return { x }
end

local function ratio(a, b)
    return b > 0 and a / b or NAN
end

---What `mf.stats.regression` returns.
---@class moonfleet.Regression
---@field coefficients number[] the intercept first, if there is one, then one for each variable
---@field standard_errors number[] of the coefficients
---@field t_values number[]
---@field p_values number[] probabilities of t values further from 0, were the coefficients 0
---@field fitted number[]
---@field residuals number[]
---@field sigma number the residuals' standard error
---@field df integer its degrees of freedom
---@field r_squared number
---@field adjusted_r_squared number

---Fits y = b0 + b1 x1 + b2 x2 ... by least squares, by QR decomposition. x: one variable, or a list of variables. A
---variable that is a linear combination of those before it is an error that names it.
---@param y moonfleet.Numbers
---@param x moonfleet.Numbers|moonfleet.Numbers[]
---@param given { intercept: boolean?, weights: moonfleet.Numbers? }? intercept: false leaves b0 out
---@return moonfleet.Regression
function M.regression(y, x, given)
    local o = options.check("mf.stats.regression", REGRESSION, given)
    local intercept = o.intercept ~= false
    local fit = kernels.fit(y, variables(x), intercept, o.weights)
    local df = fit.used - #fit.coefficients
    local sigma = df > 0 and (fit.rss / df) ^ 0.5 or NAN
    local errors, t_values, p_values = {}, {}, {}
    for i, scale in ipairs(fit.scales) do
        errors[i] = sigma * scale
        t_values[i] = fit.coefficients[i] / errors[i]
        p_values[i] = df > 0 and kernels.student(t_values[i], df) or NAN
    end
    local r_squared = ratio(fit.mss, fit.mss + fit.rss)
    return {
        coefficients = fit.coefficients,
        standard_errors = errors,
        t_values = t_values,
        p_values = p_values,
        fitted = fit.fitted,
        residuals = fit.residuals,
        sigma = sigma,
        df = df,
        r_squared = r_squared,
        adjusted_r_squared = 1 - (1 - r_squared) * ratio(fit.used - (intercept and 1 or 0), df),
    }
end

return M
