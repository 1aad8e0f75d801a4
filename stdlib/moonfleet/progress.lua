-- Progress of maps: a bar on stderr, or calls of the user's function. The bar owns the terminal's last line; it is
-- wiped before anything else is written there and when the map ends, however it ends.

local core = require("moonfleet.core")
local options = require("moonfleet.options")

local M = {}

local INTERVAL = 0.1 -- seconds between two drawings
local BAR = 24 -- characters of the bar itself
local WIPE = "\r\27[K"

---@class moonfleet.Progress
---@field tick number? seconds after which it wants to be updated though nothing ended
local Bar = {}
Bar.__index = Bar

---Words for a time: `0:07`, `12:30`, `3:04:05`.
---@param seconds number
---@return string
function M.clock(seconds)
    local s = math.floor(seconds + 0.5)
    if s >= 3600 then
        return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60)
    end
    return ("%d:%02d"):format(s // 60, s % 60)
end

local function rate_text(rate)
    if rate >= 100 then
        return ("%.0f/s"):format(rate)
    elseif rate >= 1 then
        return ("%.1f/s"):format(rate)
    end
    return ("%.1f s each"):format(1 / rate)
end

---One line of progress.
---@param done number elements done, with fractions of running ones
---@param total integer? if known
---@param seconds number since the start
---@param label string?
---@param text string? what a task said about itself
---@param columns integer the line is cut to one less
---@return string
function M.line(done, total, seconds, label, text, columns)
    local parts = { label }
    if total then
        local share = total > 0 and math.min(1, done / total) or 1
        local full = math.floor(share * BAR)
        parts[#parts + 1] = "[" .. ("="):rep(full) .. (" "):rep(BAR - full) .. "]"
        parts[#parts + 1] = ("%d/%d"):format(math.floor(done), total)
    else
        parts[#parts + 1] = ("%d"):format(math.floor(done))
    end
    if done > 0 and seconds > 0 then
        parts[#parts + 1] = rate_text(done / seconds)
        if total then
            parts[#parts + 1] = M.clock((total - done) * seconds / done) .. " left"
        end
    end
    parts[#parts + 1] = text and text:gsub("%c", " ")
    local line = table.concat(parts, "  ")
    return line:sub(1, math.max(1, columns - 1))
end

-- What the running chunks say: the elements they have done, and the latest text.
local function running(flight)
    local done, said = 0, nil
    for i = 1, flight and flight.open or 0 do
        local entry = flight.waiting[i]
        local fraction, text = entry.future:progress()
        if fraction and entry.first == entry.last then
            done = done + fraction
        end
        said = text or said
    end
    return done, said
end

---Tells how far the map is. Draws, or calls the user's function if something changed.
---@param done integer elements done
---@param total integer? if known
---@param flight moonfleet.Flight? whose tasks are asked for their own progress
function Bar:update(done, total, flight)
    if self.callback then
        if done ~= self.told or total ~= self.told_total then
            self.told, self.told_total = done, total
            self.callback(done, total)
        end
        return
    end
    local now = core.now()
    if now - self.drawn < INTERVAL then
        return
    end
    self.drawn, self.shown = now, true
    local part, text = running(flight)
    local line = M.line(done + part, total, now - self.start, self.label, text, core.columns())
    self.out:write(WIPE, line)
    self.out:flush()
end

local function wipe(self)
    if self.shown then
        self.shown = false
        self.out:write(WIPE)
        self.out:flush()
    end
end

---Wipes the bar if relaying this future's output would write over it.
---@param future userdata
function Bar:make_room(future)
    if self.shown then
        local out, err = future:output()
        if #out + #err > 0 then
            wipe(self)
        end
    end
end

Bar.__close = wipe

---Begins to show progress, as the option `progress` wants it.
---@param option boolean|function|nil
---@param total integer? if known
---@param label string?
---@return moonfleet.Progress? bar nil when there is nothing to show; else to be closed
function M.open(option, total, label)
    if not option then
        return nil
    elseif option ~= true then
        return setmetatable({ callback = option, told = 0, told_total = total }, Bar)
    elseif core.in_task() or not core.isatty(2) then
        return nil
    end
    return M.terminal(io.stderr, label)
end

---A bar that draws on a file.
---@param out file*
---@param label string?
---@return moonfleet.Progress
function M.terminal(out, label)
    local now = core.now()
    return setmetatable({ out = out, label = label, start = now, drawn = now, shown = false, tick = INTERVAL }, Bar)
end

---Says how far the running task is: shown by the progress bar of a map and by `f:progress()`. Does nothing outside a
---task, so that a function can be tried without one. A fraction that is no number is an error.
---@param fraction number 0 to 1; clamped
---@param text string? a short line
function M.report(fraction, text)
    if type(fraction) ~= "number" or fraction ~= fraction then
        options.raise("mf.progress: the fraction must be a number from 0 to 1, not " .. options.describe(fraction))
    elseif text ~= nil and type(text) ~= "string" then
        options.raise("mf.progress: the text must be a string, not " .. options.describe(text))
    end
    if core.in_task() then
        core.progress(math.max(0.0, math.min(1.0, fraction + 0.0)), text)
    end
end

return M
