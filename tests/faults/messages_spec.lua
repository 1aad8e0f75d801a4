-- Workers, and the program itself, that are killed in the place of their n-th message, for every n. Needs the program
-- with hooks (runtime/hooks.h).
local processes = require("tests.support.processes")
local program = require("tests.support.program")

-- Every kind of message: output, progress, a module that is fetched, large bodies, cancelling, maps, setups. Ends with
-- "whole" when every future has ended once, as it must: with its value, or lost where it had no retries.
local SCRIPT = [[
    package.path = "./sub/?.lua"
    local mf = require("moonfleet")
    mf.plan("BACKEND", { workers = 2, grace = 0.2 })
    local lost = 0

    local function take(f, right)
        if not f:wait(20) then error("a future is " .. f:state()) end
        local ok, value, info = f:result()
        if f:state() == "lost" then
            assert(not ok and value.kind == "lost" and info.kind == "lost")
            lost = lost + 1
        elseif not ok or not right(value) then
            error("a wrong result: " .. tostring(value))
        end
        return f:state()
    end

    local function talk(x)
        print("text")
        io.stderr:write("more")
        mf.progress(0.5)
        return x * x
    end
    local large = ("z"):rep(300000)
    local function swap(text) return text:upper() end

    local ready, err = true, nil
    if not RETRIES then ready, err = pcall(mf.everywhere, function() package.loaded.mark = true end) end
    assert(ready or err.kind == "lost", err)
    lost = ready and 0 or 1
    local options = { output = "discard", retries = RETRIES }
    local list, rights = {}, {}
    local function add(right, ...)
        list[#list + 1], rights[#list + 1] = mf.future(options, ...), right
    end
    for i = 1, 3 do add(function(v) return v == i * i end, talk, i) end
    add(function(v) return v == large:upper() end, swap, large)
    if "BACKEND" ~= "forks" then -- which have the module path of their parent
        local function fetch() package.path = "./nowhere/?.lua" return require("far").answer end
        add(function(v) return v == 42 end, fetch)
    end
    for i = 1, 20 do add(function(v) return v == i end, math.abs, -i) end
    local endless = mf.future(function() while true do end end)
    for i = 1, #list do
        local state = take(list[i], rights[i])
        assert(state == "done" or not RETRIES, "lost in spite of retries")
    end
    endless:cancel()
    assert(endless:wait(20) and (endless:state() == "cancelled" or endless:state() == "lost"))
    local ok, squares = pcall(mf.map, mf.range(30), function(x) return x * x end, { chunk = 3, retries = RETRIES })
    if ok then
        assert(squares[30] == 900 and squares.n == 30)
    else
        assert(not RETRIES and tostring(squares):find("lost"), squares)
        lost = lost + 1
    end
    assert(lost <= LOST, "one death has cost " .. lost .. " futures")
    io.stderr:write("whole\n")]]

local function script_for(backend, retries, lost)
    return (SCRIPT:gsub("BACKEND", backend):gsub("RETRIES", retries):gsub("LOST", lost))
end

-- Runs the script with the n-th message being somebody's last, for n = 1, 2, ... until nobody has so many. check is
-- shell code that sees $n, the exit code $code, and the files out and err.
local function sweep(script, variable, check, step)
    return program.with_folder(function(folder)
        program.write_file(folder .. "/script.lua", script)
        assert(os.execute("mkdir " .. folder .. "/sub"))
        program.write_file(folder .. "/sub/far.lua", "return { answer = 42 }")
        return program.shell(([[
            n=1
            while :; do
                : >once
                VARIABLE=$n MF_TEST_ONCE=once timeout -k 1 60 PROGRAM script.lua >out 2>err
                code=$?
                CHECK
                [ -e once ] && break
                n=$((n + STEP))
            done
            echo "swept $n"]]):gsub("%u%u%u+", {
            VARIABLE = variable,
            PROGRAM = program.quote(program.hooks),
            CHECK = check,
            STEP = step or 1,
        }), { folder = folder, deadline = 500, env = { MF_TEST_TAG = folder } }), folder
    end)
end

local WHOLE = [[
    if [ $code != 0 ] || ! grep -q whole err; then
        echo "killed at message $n: exit code $code"; cat err; exit 1
    fi]]

local function assert_swept(r)
    local n = r.out:match("^swept (%d+)\n$")
    assert.is_true(n ~= nil and tonumber(n) > 20, r.out .. r.err)
end

for _, backend in ipairs(processes.backends) do
    describe("a worker of " .. backend .. " that is killed at any message", function()
        it("costs one future at most", function()
            assert_swept(sweep(script_for(backend, "nil", 1), "MF_TEST_AGENT_DIES", WHOLE))
        end)

        it("costs nothing where futures may be tried again", function()
            assert_swept(sweep(script_for(backend, 2, 0), "MF_TEST_AGENT_DIES", WHOLE))
        end)

        it("and its replacements too is given up at last", function()
            for n = 1, 8 do
                local r = program.run({ "-e", ([[
                    local mf = require("moonfleet")
                    mf.plan("BACKEND", { workers = 2 })
                    local list = {}
                    for i = 1, 6 do list[i] = mf.future({ retries = 3 }, math.abs, -i) end
                    for i = 1, 6 do
                        assert(list[i]:wait(20), list[i]:state())
                        assert(list[i]:state() == "lost" or list[i]:value() == i)
                    end
                    print("whole")]]):gsub("BACKEND", backend) },
                    { program = program.hooks, env = { MF_TEST_AGENT_DIES = n } })
                assert.equal("whole\n", r.out, n .. r.err)
            end
        end)
    end)

    describe("M5: a program with " .. backend .. " that is killed at any message", function()
        it("leaves no process", function()
            local check = '[ $code = 137 ] || [ -e once ] || { echo "exit code $code at $n"; cat err; exit 1; }'
            local r, folder = sweep(script_for(backend, 2, 0), "MF_TEST_MASTER_DIES", check, 3)
            assert_swept(r)
            processes.wait_until_gone(processes.tagged("MF_TEST_TAG=" .. folder))
        end)
    end)
end
