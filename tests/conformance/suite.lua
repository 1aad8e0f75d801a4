-- The conformance suite: suite(backend, t) declares all its cases for one backend. t holds busted's functions; topics
-- get them as arguments because they are modules, so that their own functions have the real globals.
local topics = {
    "values",
    "arrays",
    "environment",
    "errors",
    "futures",
    "lists",
    "cancel",
    "maps",
    "streams",
    "map_errors",
    "folds",
    "output",
    "nesting",
    "options",
}

return function(backend, t)
    for _, topic in ipairs(topics) do
        t.describe(topic, function()
            require("tests.conformance." .. topic)(t, backend)
        end)
    end
end
