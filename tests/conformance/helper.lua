-- What the cases share. Every wait has a deadline: a future that does not resolve is an error, not a hang.
local fails = require("tests.support.fails")

local H = {}

H.LIMIT = 20 -- seconds

local function wait(f)
    if not f:wait(H.LIMIT) then
        error("the future was not resolved in time; its state is " .. f:state(), 3)
    end
end

-- f:value() with a deadline.
function H.value(f)
    wait(f)
    return f:value()
end

-- f:result() with a deadline.
function H.result(f)
    wait(f)
    return f:result()
end

-- The error that a call raises.
function H.failure(fn, ...)
    local ok, err = pcall(fn, ...)
    if ok then
        error("there was no error", 2)
    end
    return err
end

-- Fails unless text has part in it, as it is.
function H.has(text, part)
    if type(text) ~= "string" or not text:find(part, 1, true) then
        error(("expected %q in %s"):format(part, type(text) == "string" and ("%q"):format(text) or tostring(text)), 2)
    end
end

-- The list of 1 to n.
function H.sequence(n)
    local t = {}
    for i = 1, n do
        t[i] = i
    end
    return t
end

-- Waits until a condition holds that others make true.
function H.eventually(condition, what)
    local mf = require("moonfleet")
    local deadline = mf.now() + H.LIMIT
    while not condition() do
        if mf.now() > deadline then
            error("in vain waited for: " .. what, 2)
        end
    end
end

-- Tasks that never end by themselves. Where a sanitizer puts signals off until the next system call, they make some.
H.spin = fails.delays_signals()
        and function()
            while true do
                io.open("/dev/null"):close()
            end
        end
    or function()
        while true do
        end
    end

function H.spin_in_pcall()
    while true do
        pcall(H.spin)
    end
end

function H.spin_in_coroutine()
    while true do
        coroutine.wrap(H.spin)()
    end
end

-- A task that is busy for some seconds.
function H.busy(seconds)
    local now = require("moonfleet").now
    local stop = now() + seconds
    while now() < stop do
    end
    return seconds
end

function H.square(x)
    return x * x
end

function H.add(a, b)
    return a + b
end

return H
