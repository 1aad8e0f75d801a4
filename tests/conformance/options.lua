local mf = require("moonfleet")
local H = require("tests.conformance.helper")

-- Options and the wrong values that each must refuse, with the words of the refusal.
local task = {
    { "label", 5, "a string" },
    { "seed", 1.5, "an integer" },
    { "timeout", "1", "a positive number of seconds" },
    { "timeout", 0, "a positive number of seconds" },
    { "retries", -1, "an integer from 0 to" },
    { "globals_max", "1 GB", "a positive integer" },
    { "retry_on", "always", '"error" or "lost"' },
    { "globals", true, "a table of names and values" },
    { "globals", { 5 }, "a table of names and values" },
    { "packages", "lfs", "a list of module names" },
    { "packages", { 1 }, "a list of module names" },
    { "output", "screen", '"relay" or "live" or "discard"' },
    { "priority", "high", "an integer from" },
    { "priority", math.maxinteger, "an integer from" },
}
local elements = {
    { "chunk", 0, "a positive integer" },
    { "chunk", 2.5, "a positive integer" },
    { "schedule", "guided", '"dynamic" or "static"' },
    { "progress", 1, "true, false or a function" },
    { "on_error", "ignore", '"stop" or "collect"' },
}
local combine = { { "combine", {}, "a function" } }

local function call(name)
    return function(given)
        return mf[name]({}, H.square, given)
    end
end

local functions = {
    { "mf.future", { task, { { "lazy", 1, "true or false" } } }, function(given)
        return mf.future(given, H.square, 1)
    end },
    { "mf.map", { task, elements, combine }, call("map") },
    { "mf.starmap", { task, elements, combine }, call("starmap") },
    { "mf.map_pairs", { task, elements }, call("map_pairs") },
    { "mf.filter", { task, elements }, call("filter") },
    { "mf.each", { task, elements }, call("each") },
    { "mf.map_async", { task, combine }, call("map_async") },
    { "mf.imap", { task, elements, { { "ordered", "no", "true or false" }, { "ahead", 0, "a positive integer" } } },
        call("imap") },
    { "mf.replicate", { task, elements, combine }, function(given)
        return mf.replicate(1, H.square, given)
    end },
    { "mf.reduce", { task }, function(given)
        return mf.reduce({}, H.add, nil, given)
    end },
    { "mf.mapreduce", { task }, function(given)
        return mf.mapreduce({}, H.square, H.add, nil, given)
    end },
    { "mf.wait", { { { "count", 0, "a positive integer" }, { "timeout", -1, "a number of seconds" } } }, function(given)
        return mf.wait({}, given)
    end },
    { "mf.race", { { { "cancel", 1, "true or false" } } }, function(given)
        return mf.race({}, given)
    end },
}

return function(t)
    local it = t.it

    for _, row in ipairs(functions) do
        local name, groups, attempt = row[1], row[2], row[3]
        it("names a wrong option of " .. name, function()
            for _, group in ipairs(groups) do
                for _, case in ipairs(group) do
                    local option, value, words = case[1], case[2], case[3]
                    local err = H.failure(attempt, { [option] = value })
                    H.has(err, ("%s: option '%s' must be %s"):format(name, option, words))
                    H.has(err:match("^.-:"), "tests/conformance/")
                end
            end
            H.has(H.failure(attempt, { no_such_option = 1 }), name .. ": unknown option 'no_such_option'")
            H.has(H.failure(attempt, { "x" }), name .. ": names of options are strings, not 1")
        end)
    end

    it("suggests the nearest option", function()
        H.has(H.failure(mf.map, {}, H.square, { chunks = 2 }), "unknown option 'chunks'; did you mean 'chunk'?")
        H.has(H.failure(mf.map, {}, H.square, { timeOut = 2 }), "did you mean 'timeout'?")
        H.has(H.failure(mf.map, {}, H.square, { q = 2 }), "the options are 'chunk', 'combine',")
    end)

    it("names a wrong function", function()
        H.has(H.failure(mf.future, 5), "mf.future: expected a function or options, not 5")
        H.has(H.failure(mf.future, {}, 5), "mf.future: expected a function behind the options, not 5")
        for _, name in ipairs({ "map", "starmap", "map_pairs", "filter", "each", "imap", "map_async", "reduce" }) do
            H.has(H.failure(mf[name], {}, "f"), ('mf.%s: expected a function, not "f"'):format(name))
        end
        H.has(H.failure(mf.map, {}, H.square, "x"), 'mf.map: the options must be a table, not "x"')
    end)

    it("wants a number of tries with retry_on", function()
        H.has(H.failure(mf.future, { retry_on = "error" }, H.square), "'retry_on' needs option 'retries'")
        H.has(H.failure(mf.map, {}, H.square, { retry_on = "error" }), "'retry_on' needs option 'retries'")
    end)
end
