-- The plans that must behave alike: one line for each backend. What a backend can do decides which cases apply to it:
--   asynchronous  tasks run while their owner goes on, so they can be seen queued or running, and be cancelled
-- level(n) is a plan's level of the backend with n workers.
local function backend(name, more)
    local level = function(n)
        local made = { name, workers = n }
        for key, value in pairs(more or {}) do
            made[key] = value
        end
        return made
    end
    return { name = name, plan = level(2), level = level, asynchronous = true }
end

return {
    {
        name = "sequential",
        plan = { "sequential" },
        level = function()
            return { "sequential" }
        end,
        asynchronous = false,
    },
    backend("threads"),
    backend("forks"),
    backend("processes"),
    backend("cluster", { hosts = "here", transport = "local" }),
}
