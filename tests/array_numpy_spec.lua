-- Arrays against numpy, where it is installed: the same inputs through .npy files, and all results compared.
local lfs = require("lfs")
local mf = require("moonfleet")

local array = mf.array

local PYTHON = "/usr/bin/python3"
local installed = os.execute(PYTHON .. " -c 'import numpy' >/dev/null 2>&1")

-- name, the Lua expression, the Python one, and by how much the results may differ
local CASES = {
    { "add", "a + b", "a + b", 0 },
    { "stretched", "a * b[1] - c", "a * b[0] - c", 0 },
    { "column", "a / a:slice({}, { 2, 2 })", "a / a[:, 1:2]", 0 },
    { "power", "a:abs() ^ 1.5", "abs(a) ** 1.5", 1e-15 },
    { "floor division", "(a * 10) // c", "(a * 10) // c", 0 },
    { "modulo", "(a * 10) % c", "(a * 10) % c", 0 },
    { "integers", "i * j - 7", "i * j - 7", 0 },
    { "integer division", "i // j", "i // j", 0 },
    { "integer modulo", "i % j", "i % j", 0 },
    { "bits", "(i & j) | 5", "(i & j) | 5", 0 },
    { "comparison", "a:lt(b)", "(a < b)", 0 },
    { "sin", "a:sin()", "np.sin(a)", 1e-15 },
    { "exp", "a:exp()", "np.exp(a)", 1e-15 },
    { "log1p", "a:abs():log1p()", "np.log1p(abs(a))", 1e-15 },
    { "round", "(a * 3):round()", "np.rint(a * 3)", 0 },
    { "f32", "a:as('f32') * b:as('f32') + 1", "a.astype('f4') * b.astype('f4') + np.float32(1)", 0 },
    { "sum 1", "a:sum(1)", "a.sum(0)", 1e-13 },
    { "sum 2", "a:sum(2)", "a.sum(1)", 1e-13 },
    { "mean", "a:mean(1)", "a.mean(0)", 1e-13 },
    { "var", "a:var(2)", "a.var(1, ddof=1)", 1e-13 },
    { "sd", "a:sd(1, false, 0)", "a.std(0)", 1e-13 },
    { "min", "a:min(1)", "a.min(0)", 0 },
    { "max", "b:transpose():max(1)", "b.T.max(0)", 0 },
    { "argmin", "a:argmin(2)", "a.argmin(1) + 1", 0 },
    { "argmax", "i:argmax(1)", "i.argmax(0) + 1", 0 },
    { "any", "a:gt(2.3):any(1)", "(a > 2.3).any(0)", 0 },
    { "count", "a:gt(0):count(2)", "(a > 0).sum(1)", 0 },
    { "cumsum", "a:cumsum(1)", "a.cumsum(0)", 1e-12 },
    { "integer cumsum", "i:cumsum()", "i.cumsum(1)", 0 },
    { "quantile", "a:quantile({ 0.1, 0.5, 0.77 }, 2)", "np.quantile(a, [0.1, 0.5, 0.77], axis=1)", 1e-14 },
    { "median", "a:median(1)", "np.median(a, axis=0)", 1e-15 },
    { "sort", "a:sort(1)", "np.sort(a, axis=0)", 0 },
    { "order", "i:order()", "np.argsort(i, axis=1, kind='stable') + 1", 0 },
    { "unique", "(i % 10):unique()", "np.unique(i % 10)", 0 },
    { "where", "array.where(a:gt(b), a, 0)", "np.where(a > b, a, 0)", 0 },
    { "places", "a:gt(2):places()", "np.argwhere(a > 2) + 1", 0 },
    { "take", "a:take(array({ 3, 1, -1 }), 2)", "a[:, [2, 0, -1]]", 0 },
    { "filter", "a:filter(a:gt(1))", "a[a > 1]", 0 },
    { "slice", "a:slice({ 5, 20, 3 }, { -1, 1, -2 })", "a[4:20:3, ::-2]", 0 },
    { "reshape", "a:transpose():reshape(-1, 8)", "a.T.reshape(-1, 8)", 0 },
    { "concatenate", "array.concatenate({ a, i }, 2)", "np.concatenate([a, i], axis=1)", 0 },
    { "product", "a:dot(b:transpose())", "a @ b.T", 1e-12 },
    { "integer product", "i:transpose():dot(j)", "i.T @ j", 0 },
    { "vector product", "a:dot(b[1])", "a @ b[0]", 1e-12 },
}

local function script(folder)
    local lines = { "import numpy as np, os", ("os.chdir(%q)"):format(folder) }
    for _, name in ipairs({ "a", "b", "c", "i", "j" }) do
        lines[#lines + 1] = ("%s = np.load('%s.npy')"):format(name, name)
    end
    for k, case in ipairs(CASES) do
        lines[#lines + 1] = ("np.save('r%d.npy', np.asarray(%s))"):format(k, case[3])
    end
    return table.concat(lines, "\n")
end

local function inputs()
    local n, m = 40, 24
    local x, seed = array(n * m * 2), 99
    for k = 1, #x do
        seed = (seed * 1103515245 + 12345) % 2147483648
        x[k] = seed / 2147483648 * 5 - 2.5
    end
    local a, b = x:slice(1, n * m):reshape(n, m), x:slice(n * m + 1, -1):reshape(n, m)
    local i, j = (a * 20):floor():as("i64"), ((b * 20):floor() * 2 + 1):as("i64")
    return { a = a, b = b, c = array.range(m) / 3, i = i, j = j }
end

describe("arrays and numpy", function()
    if not installed then
        pending("numpy is not installed")
        return
    end

    it("agree", function()
        local folder = os.tmpname()
        os.remove(folder)
        assert(lfs.mkdir(folder))
        local env = inputs()
        for name, a in pairs(env) do
            a:save(folder .. "/" .. name .. ".npy")
        end
        local file = assert(io.open(folder .. "/run.py", "w"))
        assert(file:write(script(folder)))
        assert(file:close())
        local ok = os.execute(("%s %s/run.py"):format(PYTHON, folder))
        env.array = array
        local wrong = {}
        for k, case in ipairs(CASES) do
            local ours = assert(load("return " .. case[2], case[1], "t", env))()
            local theirs = ok and array.load(("%s/r%d.npy"):format(folder, k))
            local same = theirs and table.concat(ours.shape, ",") == table.concat(theirs.shape, ",")
            local off = same and ((ours - theirs):abs() / (theirs:abs() + 1)):max()
            if not (off and off <= case[4]) then
                wrong[#wrong + 1] = ("%s (%s)"):format(case[1], tostring(off))
            end
        end
        assert(os.execute("rm -r '" .. folder .. "'"))
        assert.same({}, wrong)
    end)
end)
