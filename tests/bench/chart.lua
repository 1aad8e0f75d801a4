-- The comparison as a picture: one panel a workload, one bar a contestant, on a logarithmic scale, the best at the top.
local chart = {}

local WIDTH, LABEL, BAR, PANEL_HEAD, GAP, COLUMNS = 520, 130, 13, 26, 18, 2
local COLOURS = { ours = "#2563a8", peer = "#b8bec6", clear = "#e4e6e9" }

local function escaped(text)
    return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function sorted(workload)
    local bars = {}
    for _, c in ipairs(workload.contestants) do
        if c.median then
            bars[#bars + 1] = c
        end
    end
    table.sort(bars, function(a, b)
        if workload.more then
            return a.median > b.median
        end
        return a.median < b.median
    end)
    return bars
end

-- A length for each value: from a tenth of the smallest to the largest, by its logarithm.
local function scale(bars, floor)
    local least, most = math.huge, 0
    for _, c in ipairs(bars) do
        least, most = math.min(least, math.max(c.median, 1e-3)), math.max(most, c.median)
    end
    if floor then
        least, most = math.min(least, floor), math.max(most, floor)
    end
    local low, high = math.log(least / 3), math.log(math.max(most, least * 1.01))
    return function(value)
        return (math.log(math.max(value, least / 3)) - low) / (high - low) * (WIDTH - LABEL - 80)
    end
end

local function panel(out, workload, x, y)
    local bars = sorted(workload)
    local length = scale(bars, workload.floor)
    out[#out + 1] = ('<text x="%d" y="%d" font-weight="bold">%s, %s (%s is better)</text>'):format(x, y + 14,
        escaped(workload.title), workload.unit, workload.more and "more" or "less")
    for i, c in ipairs(bars) do
        local top = y + PANEL_HEAD + (i - 1) * (BAR + 4)
        out[#out + 1] = ('<text x="%d" y="%d" text-anchor="end">%s</text>'):format(x + LABEL - 6, top + 10,
            escaped(c.name))
        out[#out + 1] = ('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>'):format(x + LABEL, top,
            length(c.median), BAR, COLOURS[c.group])
        out[#out + 1] = ('<text x="%.1f" y="%d">%.3g</text>'):format(x + LABEL + length(c.median) + 4, top + 10,
            c.median)
    end
    if workload.floor and #bars > 0 then
        local at = x + LABEL + length(workload.floor)
        local top = y + PANEL_HEAD
        out[#out + 1] = ('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#c0392b" stroke-dasharray="3 2"/>'):format(
            at, at, top - 4, top + #bars * (BAR + 4))
    end
    return PANEL_HEAD + #bars * (BAR + 4) + GAP
end

---The picture as SVG.
---@param workloads table[] with title, unit, more, floor?, contestants (each with name, group, median?)
---@return string
function chart.draw(workloads)
    local out, heights = {}, { 40, 40 }
    for _, workload in ipairs(workloads) do
        local column = heights[1] <= heights[2] and 1 or COLUMNS
        local x = 10 + (column - 1) * (WIDTH + 20)
        heights[column] = heights[column] + panel(out, workload, x, heights[column])
    end
    local width, height = COLUMNS * (WIDTH + 20), math.max(heights[1], heights[2])
    table.insert(out, 1, ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" '
        .. 'font-size="11">\n<rect width="100%%" height="100%%" fill="white"/>\n<text x="10" y="22" font-size="14">'
        .. 'Two workers; logarithmic scales; blue: Moonfleet, dashed: plain C</text>'):format(width, height))
    out[#out + 1] = "</svg>\n"
    return table.concat(out, "\n")
end

return chart
