-- Which names the module "moonfleet" has, and where each is defined: name -> the submodule (and its name there, if it
-- is another one; false: the submodule itself). For init.lua, which loads them when they are first used, and for
-- whatever lists them without loading any: help, completion, the reference.

return {
    plan = { "plan" },
    with_plan = { "plan" },
    workers = { "plan" },
    future = { "future" },
    value = { "future" },
    wait = { "future" },
    as_completed = { "future" },
    race = { "future" },
    map = { "map" },
    starmap = { "map" },
    map_pairs = { "map" },
    filter = { "map" },
    each = { "map" },
    replicate = { "map" },
    imap = { "iterate" },
    reduce = { "reduce" },
    mapreduce = { "reduce" },
    map_async = { "async" },
    range = { "range", "new" },
    array = { "array", false },
    share = { "share" },
    cluster = { "cluster" },
    export = { "cluster" },
    everywhere = { "cluster" },
    progress = { "progress", "report" },
    rng = { "rng", false },
    stats = { "stats", false },
}
