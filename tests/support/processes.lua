-- Looks at processes from outside.
local fails = require("tests.support.fails")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

local processes = {}

-- The plans whose workers are processes. The thread sanitizer cannot follow a fork of a process with threads.
processes.backends = fails.delays_signals() and { "processes" } or { "processes", "forks" }

-- How a program may end: the last lines of its code.
processes.ends = {
    ["by itself"] = "",
    ["by an error"] = "error('over')",
    ["by os.exit"] = "os.exit(0)",
    ["by os.exit that closes"] = "os.exit(0, true)",
    ["by SIGKILL"] = "os.execute('kill -KILL $PPID') while true do end",
    ["by SIGTERM"] = "os.execute('kill -TERM $PPID') while true do end",
    ["by SIGHUP"] = "os.execute('kill -HUP $PPID') while true do end",
    ["by SIGINT"] = "os.execute('(sleep 0.1; kill -INT $PPID) &') while true do end",
}

-- Is there a process of that number, other than a zombie all of whose threads have ended?
function processes.lives(number)
    local file = io.open(("/proc/%d/status"):format(number))
    if not file then
        return false
    end
    local status = file:read("a") or ""
    file:close()
    return not (status == "" or status:find("State:%s+[ZX]") and status:find("Threads:%s+1\n"))
end

-- The letter of the process's state ("S", "T", "Z"), or nil when there is none.
function processes.state(number)
    local file = io.open(("/proc/%d/status"):format(number))
    local status = file and file:read("a") or ""
    if file then
        file:close()
    end
    return status:match("State:%s+(%a)")
end

-- The process that calls it. A function for tasks.
function processes.pid()
    return tonumber(io.open("/proc/self/stat"):read("a"):match("^%d+"))
end

-- The processes that were started with this in their environment ("NAME=value").
function processes.tagged(text)
    local numbers = {}
    local files <close> = io.popen("grep -lazxF -e " .. program.quote(text) .. " /proc/[0-9]*/environ 2>/dev/null")
    for line in files:lines() do
        numbers[#numbers + 1] = tonumber(line:match("%d+"))
    end
    return numbers
end

-- Waits until none of these processes is left.
function processes.wait_until_gone(numbers)
    H.eventually(function()
        for _, number in ipairs(numbers) do
            if processes.lives(number) then
                return false
            end
        end
        return true
    end, "processes " .. table.concat(numbers, " ") .. " to end")
end

-- Kills what is left of these processes; for the end of a test that has failed.
function processes.kill(numbers)
    for _, number in ipairs(numbers) do
        if processes.lives(number) then
            os.execute("kill -9 " .. number)
        end
    end
end

-- Runs code in a program of its own, which prints a line "process N" for each process that shall be gone when it has
-- ended. Returns these numbers and what program.run returns.
function processes.run(code, options)
    local result = program.run({ "-e", code }, options)
    local numbers = {}
    for number in result.out:gmatch("process (%d+)") do
        numbers[#numbers + 1] = tonumber(number)
    end
    return numbers, result
end

return processes
