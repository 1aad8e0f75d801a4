-- scripts/matrix.lua against what R 4.2.2 gives for Hilbert's matrix h(n): eigen(h(n), symmetric = TRUE) and
-- h(4) %*% h(4).
local mf = require("moonfleet")
local program = require("tests.support.program")
local matrix = dofile("scripts/matrix.lua")

local VALUES = { [3] = 1.4083189271236538, [100] = 2.1826960977574239 }
local VECTOR = { 0.82704492697200949, 0.45986390436554370, 0.32329843524449892 }

local function near(expected, got)
    assert.is_true(math.abs(got / expected - 1) < 1e-12, ("expected %.16g, got %.16g"):format(expected, got))
end

describe("matrices", function()
    it("are multiplied in blocks of any number, under every plan", function()
        local h = matrix.hilbert(4)
        local whole = h:dot(h)
        near(0.33333333333333331, whole:get(2, 3))
        for _, plan in ipairs({ "sequential", { { "threads", workers = 2 } }, { { "processes", workers = 2 } } }) do
            mf.with_plan(plan, function()
                for _, parts in ipairs({ 1, 3, 9 }) do
                    assert.is_true((whole - matrix.multiply(h, h, parts)):abs():max() < 1e-15)
                end
                local a = matrix.hilbert(300)
                assert.is_true((a:dot(a) - matrix.multiply(a, a, 4)):abs():max() < 1e-14)
            end)
        end
    end)

    it("have R's eigenvalues", function()
        for n, expected in pairs(VALUES) do
            near(expected, (matrix.eigenvalue(matrix.hilbert(n), 3, 1e-15)))
        end
        local _, vector = matrix.eigenvalue(matrix.hilbert(3), 2, 1e-16)
        for i, expected in ipairs(VECTOR) do
            assert.is_true(math.abs(vector[i] - expected) < 1e-7)
        end
    end)

    it("are what the program shows", function()
        local r = program.run({ "-j", "2", "scripts/matrix.lua", "100" })
        assert.equal(0, r.code, r.err)
        assert.matches("\nthe two differ by %S+\n", r.out)
        assert.matches("\n2%.182696097757, after %d+ steps\n$", r.out)
        r = program.run({ "scripts/matrix.lua", "none" })
        assert.equal(2, r.code)
        assert.equal("usage: moonfleet scripts/matrix.lua [N]\n", r.err)
    end)
end)
