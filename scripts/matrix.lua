-- Matrices on all cores: a product in blocks of rows, and the largest eigenvalue of a matrix by power iteration.
--
--   moonfleet scripts/matrix.lua [N]        also with -j 4, or --plan processes
--
-- What all tasks read is shared: threads and processes of this machine see the same memory, and a task that begins
-- copies nothing. Each task gets a block of rows and gives back its part of the result.

local mf = require("moonfleet")

local array = mf.array
local matrix = {}

-- Views of consecutive rows of a, in about so many parts.
function matrix.blocks(a, parts)
    local n, list = #a, {}
    for i = 1, parts do
        local first, last = (i - 1) * n // parts + 1, i * n // parts
        if first <= last then
            list[#list + 1] = a:slice(first, last)
        end
    end
    return list
end

-- The product of two matrices.
function matrix.multiply(a, b, parts)
    b = mf.share(b)
    return array.concatenate(mf.map(matrix.blocks(a, parts), function(rows)
        return rows:dot(b)
    end))
end

-- The eigenvalue of a symmetric matrix with the largest absolute value, and its vector: v is multiplied by the matrix
-- and scaled, over and over, until the quotient of Rayleigh does not change any more.
function matrix.eigenvalue(a, parts, tolerance)
    local n = #a
    local blocks = matrix.blocks(mf.share(a), parts)
    local v, last = array.full(n, 1 / math.sqrt(n)), math.huge
    for step = 1, 1000 do
        local w = array.concatenate(mf.map(blocks, function(rows)
            return rows:dot(v)
        end))
        local value = v:dot(w)
        v = w / math.sqrt(w:dot(w))
        if math.abs(value - last) <= tolerance * math.abs(value) then
            return value, v, step
        end
        last = value
    end
    error("power iteration did not settle in 1000 steps")
end

-- Hilbert's matrix: 1 / (i + j - 1).
function matrix.hilbert(n)
    local i = array.range(n)
    return 1 / (i:reshape(n, 1) + i - 1)
end

local function timed(what, fn)
    local start = mf.now()
    local result = table.pack(fn())
    print(("%-44s %8.3f s"):format(what, mf.now() - start))
    return table.unpack(result, 1, result.n)
end

local function main(n)
    local parts = 2 * mf.workers()
    local a = timed(("Hilbert's matrix of %d x %d"):format(n, n), function()
        return matrix.hilbert(n)
    end)
    local here = timed("its square, here", function()
        return a:dot(a)
    end)
    local there = timed(("its square, on %d workers"):format(mf.workers()), function()
        return matrix.multiply(a, a, parts)
    end)
    print(("the two differ by %.1g"):format((here - there):abs():max()))
    local value, _, steps = timed("its largest eigenvalue, on the workers", function()
        return matrix.eigenvalue(a, parts, 1e-14)
    end)
    print(("%.12f, after %d steps"):format(value, steps))
end

-- Run as a program, and not loaded by another one (the spec).
if arg and arg[0] and debug.getinfo(1, "S").source == "@" .. arg[0] then
    local n = math.tointeger(tonumber(arg[1] or 1000))
    if not n or n < 1 then
        io.stderr:write("usage: moonfleet scripts/matrix.lua [N]\n")
        os.exit(2)
    end
    main(n)
end

return matrix
