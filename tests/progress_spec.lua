local mf = require("moonfleet")
local progress = require("moonfleet.progress")
local H = require("tests.conformance.helper")

-- A file that remembers what is written to it.
local function paper()
    local text = {}
    return {
        write = function(_, ...)
            text[#text + 1] = table.concat({ ... })
        end,
        flush = function() end,
        text = text,
    }
end

describe("a progress bar's line", function()
    it("shows share, count, rate and the time left", function()
        local line = progress.line(50, 200, 10, "fit", "at it", 100)
        assert.equal("fit  [======                  ]  50/200  5.0/s  0:30 left  at it", line)
        assert.equal("[========================]  3/3  300/s  0:00 left", progress.line(3, 3, 0.01, nil, nil, 100))
        H.has(progress.line(1, 10, 4, nil, nil, 100), "4.0 s each")
    end)

    it("does without a total, a start or elements", function()
        assert.equal("12  3.0/s", progress.line(12, nil, 4, nil, nil, 100))
        assert.equal("[                        ]  0/5", progress.line(0, 5, 1, nil, nil, 100))
        assert.equal("[========================]  0/0", progress.line(0, 0, 1, nil, nil, 100))
    end)

    it("fits the terminal and has no control characters", function()
        assert.equal(19, #progress.line(5, 10, 1, "a label", "text", 20))
        H.has(progress.line(5, 10, 1, nil, "two\nlines", 100), "two lines")
    end)

    it("tells times", function()
        assert.equal("0:07", progress.clock(7.4))
        assert.equal("12:30", progress.clock(750))
        assert.equal("3:04:05", progress.clock(11045))
    end)
end)

describe("a progress bar", function()
    it("draws not more often than ten times a second, and wipes itself", function()
        local out = paper()
        do
            local bar <close> = progress.terminal(out, "x")
            bar.drawn = -math.huge
            for i = 1, 1000 do
                bar:update(i, 1000)
            end
        end
        assert.is_true(#out.text >= 2 and #out.text < 100)
        H.has(out.text[1], "x  [")
        assert.equal("\r\27[K", out.text[#out.text])
    end)

    it("wipes nothing that it has not drawn", function()
        local out = paper()
        do
            local bar <close> = progress.terminal(out)
            bar:update(1, 10)
        end
        assert.equal(0, #out.text)
    end)

    it("makes room for output only", function()
        local out = paper()
        local bar <close> = progress.terminal(out)
        bar.drawn = -math.huge
        bar:update(1, 10)
        local silent, loud = mf.future(H.square, 1), mf.future({ output = "discard" }, H.square, 1)
        silent:wait(H.LIMIT)
        bar:make_room(silent)
        assert.equal(1, #out.text)
        bar:make_room({
            output = function()
                return "text", ""
            end,
        })
        assert.equal(2, #out.text)
        assert.is_true(loud:wait(H.LIMIT))
    end)

    it("shows what tasks say", function()
        local out = paper()
        local bar <close> = progress.terminal(out)
        bar.drawn = -math.huge
        local said = {
            first = 1,
            last = 1,
            future = {
                progress = function()
                    return 0.5, "step two"
                end,
            },
        }
        bar:update(2, 4, { open = 1, waiting = { said } })
        H.has(out.text[1], "2/4")
        H.has(out.text[1], "step two")
        H.has(out.text[1], "[===============         ]")
    end)

    it("is not drawn when stderr is no terminal", function()
        local program = os.getenv("MOONFLEET") or arg[-1]
        local code = 'require("moonfleet").map({ 1, 2 }, print, { progress = true, output = "discard" })'
        local pipe = assert(io.popen(("'%s' -e '%s' 2>&1"):format(program, code)))
        local text = pipe:read("a")
        pipe:close()
        assert.equal("", text)
    end)
end)

describe("a progress function", function()
    it("stops the map when it raises", function()
        local err = H.failure(mf.map, mf.range(100), H.square, {
            chunk = 1,
            progress = function(done)
                if done >= 2 then
                    error("enough", 0)
                end
            end,
        })
        assert.equal("enough", err)
        assert.same({ 1, 4, n = 2 }, mf.map({ 1, 2 }, H.square))
    end)

    it("sees a map over an iterator without a total, until it has ended", function()
        local i, totals = 0, {}
        mf.map(function()
            i = i + 1
            return i <= 5 and i or nil
        end, H.square, {
            chunk = 2,
            progress = function(done, total)
                totals[#totals + 1] = ("%s/%s"):format(done, total)
            end,
        })
        assert.equal("5/5", totals[#totals])
    end)
end)

describe("mf.progress", function()
    it("does nothing outside a task", function()
        assert.has_no.errors(function()
            mf.progress(0.5, "half")
        end)
    end)

    it("clamps the fraction", function()
        local f = mf.future(function()
            mf.progress(7)
        end)
        H.value(f)
        assert.equal(1.0, (f:progress()))
    end)

    it("names wrong arguments", function()
        H.has(H.failure(mf.progress, "x"), 'mf.progress: the fraction must be a number from 0 to 1, not "x"')
        H.has(H.failure(mf.progress, 0 / 0), "mf.progress: the fraction must be a number from 0 to 1")
        H.has(H.failure(mf.progress, 1, {}), "mf.progress: the text must be a string, not a table")
    end)
end)
