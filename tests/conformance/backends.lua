-- The plans that must behave alike: one line for each backend. What a backend can do decides which cases apply to it:
--   asynchronous  tasks run while their owner goes on, so they can be seen queued or running, and be cancelled
return {
    { name = "sequential", plan = { "sequential" }, asynchronous = false },
    { name = "threads", plan = { "threads", workers = 2 }, asynchronous = true },
    { name = "forks", plan = { "forks", workers = 2 }, asynchronous = true },
    { name = "processes", plan = { "processes", workers = 2 }, asynchronous = true },
}
