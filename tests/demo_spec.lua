-- The demonstration against figures from R 4.2.2 and from tr, grep, sort and uniq (scripts/data/README.md says which).
local mf = require("moonfleet")
local demo = dofile("scripts/demo.lua")
local wordcount = dofile("scripts/wordcount.lua")

local program = os.getenv("MOONFLEET") or "build/moonfleet"
local texts = "scripts/data/texts"

local function near(expected, got, tolerance)
    assert.is_true(
        math.abs(got - expected) <= tolerance,
        ("expected %.10g, give or take %.10g; got %.10g"):format(expected, tolerance, got)
    )
end

-- What fn gives from the same seed under a plan of one's own.
local function under(plan, options, fn)
    local before = mf.plan(plan, options)
    mf.seed(42)
    local answers = table.pack(pcall(fn))
    mf.plan(before)
    assert(answers[1], answers[2])
    return table.unpack(answers, 2, answers.n)
end

-- Standard output of a command, and whether it succeeded.
local function output_of(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read("a")
    return text, pipe:close() == true
end

-- Calls fn with a new directory that holds these files, and removes it afterwards.
local function with_directory(files, fn)
    local directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir '" .. directory .. "' '" .. directory .. "/deeper'"))
    for name, content in pairs(files) do
        local file = assert(io.open(directory .. "/" .. name, "wb"))
        file:write(content)
        file:close()
    end
    local ok, err = pcall(fn, directory)
    os.execute("rm -rf '" .. directory .. "'")
    assert(ok, err)
end

describe("the demonstration", function()
    local xs, ys = demo.read_faithful()

    it("reads all 272 eruptions", function()
        assert.equal(272, #xs)
        assert.equal(272, #ys)
        assert.equal(3.6, xs[1])
        assert.equal(74, ys[272])
    end)

    it("cross-validates polynomials as R does", function()
        local mean_squares = {
            35.21274985, 33.79858937, 32.94220391, 32.34860236, 32.66230162, 33.11599608, 33.74807938, 34.59305078,
        }
        local errors, best = under("threads", { workers = 2 }, function()
            return demo.cross_validate(xs, ys, 8)
        end)
        assert.equal(8, #errors)
        for degree, expected in ipairs(mean_squares) do
            near(expected, errors[degree], 1e-7)
        end
        assert.equal(4, best)
    end)

    -- R's limits come from 200,000 resamples (the last two from 100,000). The tolerance is 5 standard errors of a limit
    -- from 10,000 resamples, as R saw them vary; the limits of the median are steps of 0.5 and never varied.
    it("bootstraps the intervals that R finds", function()
        local oracle = {
            { "mean wait", 70.89705882, 69.28309, 0.095, 72.49632, 0.122 },
            { "median wait", 76, 73.5, 0, 77, 0 },
            { "slope", 10.7296414, 10.13914, 0.044, 11.32386, 0.033 },
            { "correlation", 0.9008111683, 0.882513, 0.0016, 0.917312, 0.0011 },
            { "after 2 min", 53.38291131, 52.09647, 0.106, 54.68496, 0.130 },
            { "after 4 min", 78.88787977, 77.66185, 0.064, 80.10429, 0.084 },
        }
        local intervals = under("threads", { workers = 2 }, function()
            return demo.bootstrap(xs, ys, 4, 10000)
        end)
        assert.equal(#oracle, #intervals)
        for k, row in ipairs(oracle) do
            local name, estimate, low, low_tolerance, high, high_tolerance = table.unpack(row)
            assert.equal(name, intervals[k].name)
            near(estimate, intervals[k].estimate, 1e-7)
            near(low, intervals[k].low, low_tolerance)
            near(high, intervals[k].high, high_tolerance)
        end
    end)

    it("gives the same answers under every plan, to the last bit", function()
        local function all()
            return { demo.bootstrap(xs, ys, 4, 500), demo.cross_validate(xs, ys, 2), demo.words() }
        end
        local expected = under("sequential", nil, all)
        for workers = 1, 3 do
            assert.same(expected, under("threads", { workers = workers }, all))
        end
    end)

    it("draws anew without a seed set again", function()
        local first, second = under("threads", { workers = 2 }, function()
            return demo.bootstrap(xs, ys, 1, 50), demo.bootstrap(xs, ys, 1, 50)
        end)
        assert.not_equal(first[1].low, second[1].low)
        assert.equal(first[1].estimate, second[1].estimate)
    end)

    it("runs as a program and shows answers, times and speed-up", function()
        local text, ok = output_of(program .. " -j 2 scripts/demo.lua 200 2>&1")
        assert.is_true(ok, text)
        assert.matches("\n  4 +5%.688   best\n", text)
        assert.matches("\n  slope +10%.730   %d+%.%d+ to %d+%.%d+\n", text)
        assert.matches("\n  the +8466\n", text)
        assert.matches("sequential +this plan +speed%-up\n", text)
        assert.matches("\n  all +%d+%.%d%d s +%d+%.%d%d s +%d+%.%d%d\n$", text)
    end)
end)

describe("the word count", function()
    it("counts as tr, grep, sort and uniq do", function()
        local counts = wordcount.count(texts)
        local top, total, different = wordcount.top(counts, 5)
        assert.equal(214815, total)
        assert.equal(8884, different)
        assert.same({
            { word = "the", count = 8466 },
            { word = "to", count = 7238 },
            { word = "of", count = 6751 },
            { word = "and", count = 6703 },
            { word = "a", count = 3661 },
        }, top)
        assert.equal(679, counts.elizabeth)
        assert.equal(80, counts.congress)
        assert.equal(11, counts["don't"])
    end)

    it("neither cuts nor repeats a word where a file is cut", function()
        local lines = {}
        for i = 1, 30000 do
            lines[i] = ("number%s"):format(("x"):rep(i % 97))
        end
        local files = { ["long.txt"] = table.concat(lines, "\n"), ["one line"] = ("word "):rep(50000) }
        with_directory(files, function(directory)
            assert.is_true(#wordcount.pieces(directory) > 10)
            local counts = wordcount.count(directory)
            local _, total, different = wordcount.top(counts, 0)
            assert.equal(50000, counts.word)
            assert.equal(80000, total)
            assert.equal(98, different)
            assert.equal(30000 // 97 + 1, counts["number" .. ("x"):rep(3)])
        end)
    end)

    it("takes text files of all names and depths, and nothing else", function()
        with_directory({
            ["it's a.txt"] = "Caf\u{E9} \u{2018}don\u{2019}t\u{2019}\u{2014}stop 'quoted' 42",
            ["deeper/$HOME"] = "stop",
            ["binary"] = "stop\0stop",
            ["empty"] = "",
        }, function(directory)
            assert.same({ ["caf\u{E9}"] = 1, ["don't"] = 1, stop = 2, quoted = 1 }, wordcount.count(directory))
        end)
        with_directory({}, function(directory)
            assert.same({}, wordcount.count(directory))
        end)
    end)

    it("says which directory it cannot read", function()
        local ok, err = pcall(wordcount.count, "no such directory")
        assert.is_false(ok)
        assert.equal("cannot read the directory 'no such directory'", err)
    end)

    it("runs as a program", function()
        local text, ok = output_of(program .. " -j 2 scripts/wordcount.lua " .. texts .. " 2")
        assert.is_true(ok)
        local heading = "7 files, 1179 KB: 214815 words, 8884 different\n"
        assert.equal(heading .. "    8466   3.94 %  the\n    7238   3.37 %  to\n", text)
        text, ok = output_of(program .. " scripts/wordcount.lua 2>&1")
        assert.is_false(ok)
        assert.equal("usage: moonfleet scripts/wordcount.lua DIR [N]\n", text)
    end)
end)
