-- What the programs of the benchmark share.
local common = {}

-- A word of a shell command.
function common.quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- What a command prints on standard output. Raises an error when it fails.
function common.output_of(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read("a")
    if not pipe:close() then
        error("failed: " .. command, 0)
    end
    return text
end

-- The floor's figure of that name, in its own unit.
function common.floor(name)
    local program = os.getenv("MOONFLEET_FLOOR") or "build/tests/bench/floor"
    local text = common.output_of(common.quoted(program) .. " " .. name)
    return assert(tonumber(text:match("^%S+ (%S+)")), "the floor program printed: " .. text)
end

function common.median(values)
    table.sort(values)
    local n = #values
    return (values[(n + 1) // 2] + values[n // 2 + 1]) / 2
end

-- Three significant digits, and no exponent.
function common.figure(value, unit)
    if not value then
        return "-"
    end
    local decimals = math.max(0, 2 - math.floor(math.log(math.max(value, 1e-3), 10)))
    return ("%." .. decimals .. "f"):format(value) .. (unit and " " .. unit or "")
end

-- Private memory of a process (nil: this one) in bytes, of which "private" excludes what is shared with other
-- processes, such as the program's text.
function common.private_bytes(process)
    local sum = 0
    for line in io.lines(("/proc/%s/smaps_rollup"):format(process or "self")) do
        sum = sum + (tonumber(line:match("^Private_%a+:%s+(%d+) kB")) or 0)
    end
    assert(sum > 0, "/proc/self/smaps_rollup names no private memory")
    return sum * 1024
end

return common
