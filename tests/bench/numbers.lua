-- Rows of the benchmark for numbers: random numbers and statistics, beside numpy and R in the same run. A peer that is
-- not installed leaves its rows without a budget, and nothing is filled in.
--
-- Called with what bench.lua has: seconds(fn), floor(name), peers. Returns a list of rows.
local mf = require("moonfleet")

local N, TASKS, LARGE = 10000000, 16, 100000000

-- Ours ------------------------------------------------------------------------------------------------------------

-- The seconds of the second time here too.
local function twice(tools, fn)
    fn()
    return tools.seconds(fn)
end

-- A measure: a generator's method fills one array of N numbers.
local function fills(tools, kind, method, ...)
    local parameters = table.pack(...)
    return function()
        local g, x = mf.rng({ seed = 1, kind = kind }), mf.array(N)
        parameters[parameters.n + 1] = x
        return twice(tools, function()
            g[method](g, table.unpack(parameters, 1, parameters.n + 1))
        end)
    end
end

local function means(kind)
    local n = N
    return mf.map(mf.range(TASKS), function()
        local x = mf.rng.current(kind):normal(0, 1, mf.array(n))
        return { mf.stats.mean(x), mf.stats.sd(x) }
    end, { seed = 1, chunk = 1 })
end

-- GB/s of a function of 1e8 numbers.
local large
local function rate(tools, fn)
    return function()
        large = large or mf.rng({ seed = 1, kind = "philox" }):normal(0, 1, mf.array(LARGE))
        return 8e-9 * LARGE / twice(tools, function()
            fn(large)
        end)
    end
end

return function(tools)
    local peers = tools.peers
    local numpy, r, against = peers.numpy, peers.r, peers.against
    local pool = ("pool = Pool(2); work = lambda: pool.map(task, range(%d), 1)"):format(TASKS)

    local function draws(name, kind, peer_name, peer, ratio, method, ...)
        return against(peer_name, peer, {
            name = "1e7 " .. name, unit = "s", ratio = ratio, measure = fills(tools, kind, method, ...),
            rounds = not ratio and 3 or nil,
        })
    end

    local function numpy_draws(call)
        return numpy(("work = lambda: g.%s"):format(call:format(N)))
    end

    local function r_draws(call)
        return r(call:format(N))
    end

    local function pooled(kind, ratio)
        return against("numpy", numpy(pool), {
            name = "16 x (1e7 normals, mean, sd), " .. kind, unit = "s", ratio = ratio, warm = true, rounds = 3,
            measure = function()
                return twice(tools, function()
                    means(kind)
                end)
            end,
        })
    end

    local function reads(name, fn, least)
        return {
            name = name .. " of 1e8", unit = "GB/s", least_ratio = least, measure = rate(tools, fn),
            floor = function() return tools.floor("read_rate") end,
        }
    end

    return {
        draws("normals, philox", "philox", "numpy", numpy_draws("standard_normal(%d)"), 1, "normal", 0, 1),
        draws("normals, mrg32k3a", nil, "R", r_draws("rnorm(%d)"), 1, "normal", 0, 1),
        draws("normals, mrg32k3a", nil, "numpy", numpy_draws("standard_normal(%d)"), nil, "normal", 0, 1),
        draws("uniforms, philox", "philox", "numpy", numpy_draws("random(%d)"), nil, "uniform", 0, 1),
        draws("exponentials, philox", "philox", "numpy", numpy_draws("standard_exponential(%d)"), nil, "exponential",
            1),
        draws("gammas, philox", "philox", "numpy", numpy_draws("gamma(2.5, 1, %d)"), nil, "gamma", 2.5, 1),
        draws("Poissons, philox", "philox", "numpy", numpy_draws("poisson(50, %d)"), nil, "poisson", 50),
        draws("uniforms, mrg32k3a", nil, "R", r_draws("runif(%d)"), nil, "uniform", 0, 1),
        draws("exponentials, mrg32k3a", nil, "R", r_draws("rexp(%d)"), nil, "exponential", 1),
        draws("gammas, mrg32k3a", nil, "R", r_draws("rgamma(%d, 2.5)"), nil, "gamma", 2.5, 1),
        pooled("philox", 0.9),
        pooled("mrg32k3a", 0.9),
        reads("mean", mf.stats.mean, 0.8),
        reads("sd", mf.stats.sd, 0.8),
        reads("summary", mf.stats.summary, nil),
        against("numpy", numpy(("x = g.random(%d); work = lambda: np.median(x)"):format(N)), {
            name = "median of 1e7", unit = "s", rounds = 3,
            measure = function()
                local x = mf.rng(1):uniform(0, 1, mf.array(N))
                return twice(tools, function()
                    mf.stats.median(x)
                end)
            end,
        }),
    }
end
