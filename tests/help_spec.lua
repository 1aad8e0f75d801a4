-- help(): the reference at the prompt.
local help = require("moonfleet.help")
local mf = require("moonfleet")
local H = require("tests.conformance.helper")

describe("help", function()
    it("gives an overview", function()
        for _, x in ipairs({ help.text(), help.text(mf) }) do
            H.has(x, "mf.future")
            H.has(x, "mf.stats (module)")
            H.has(x, "Array (class)")
        end
    end)

    it("tells about functions, by value and by name", function()
        local text = help.text(mf.map)
        H.has(text, "mf.map(xs, fn, given?)\n\nCalls fn for every element")
        H.has(text, "\nArguments:\n  xs: ")
        H.has(text, "\nReturns:\n  results: any")
        for _, name in ipairs({ "mf.map", "map", "MF.Map" }) do
            assert.equal(text, help.text(name))
        end
        H.has(help.text(mf.stats.mean), "mf.stats.mean(x, weights?)")
        H.has(help.text(mf.cores), "mf.cores()")
    end)

    it("tells about modules, classes, objects and methods", function()
        H.has(help.text(mf.stats), "mf.stats.quantile(x, p, weights?)")
        local f = mf.future(load(""))
        H.has(help.text(f), "Future:value(timeout?)")
        H.has(help.text(f.value), "Future:value(timeout?)")
        H.has(help.text("future:value"), "Future:value(timeout?)")
        H.has(help.text(mf.array({ 1 })), "Array:reshape(...)")
        H.has(help.text(mf.array({ 1 }).reshape), "Array:reshape(...)\n")
        H.has(help.text(mf.rng(1)), "Rng:uniform(low?, high?, n?)")
        H.has(help.text(mf.rng(1).uniform), "Rng:uniform(")
        H.has(help.text(mf.range(3)), "Range\n")
        H.has(help.text(mf.share({})), "Share:value()")
        H.has(help.text("MapOptions"), "chunk: integer?")
    end)

    it("keeps lines short", function()
        for line in help.text("mf.plan"):gmatch("[^\n]+") do
            assert.is_true(#line <= 80, line)
        end
    end)

    it("says what it knows instead of nothing", function()
        H.has(help.text("quant"), "mf.stats.quantile")
        H.has(help.text("nonsense"), "There is no help on 'nonsense'")
        H.has(help.text(print), "There is no help on this function")
        H.has(help.text(5), "There is no help on this number")
    end)

    -- A function of the user's
    -- with two lines.
    local function documented() end

    it("shows the comment above the user's own functions", function()
        assert.equal("A function of the user's\nwith two lines.", help.text(documented))
    end)
end)
