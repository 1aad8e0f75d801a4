-- Rows of the benchmark for work over SSH, on servers of this machine: beside what a bare program moves over one
-- connection, by libssh2 and by the ssh program (ssh_floor.c); and on one that a relay keeps far away.
--
-- Called with what bench.lua has: at_end(fn), seconds(fn), output_of(command), quoted(text), round_trip, many_futures.
-- Returns a list of rows, empty (and says so) where there is no sshd.
-- luacheck: globals bench_text
local mf = require("moonfleet")
local relay = require("tests.support.relay")
local sshd = require("tests.support.sshd")

local MEGABYTES, HOSTS = 64, 8
local NAPS, NAP, DELAY = 400, 0.005, 0.02 -- tasks, seconds of each, and of the way to a far host
local floor_program = os.getenv("MOONFLEET_SSH_FLOOR") or "build/tests/bench/ssh_floor"

return function(tools)
    local quoted = tools.quoted
    local hosts, servers = nil, {}
    local boxes, far

    -- The first n servers; started when they are asked for, and ended with the program.
    local function some(n)
        if not hosts then
            hosts = sshd.new()
            tools.at_end(function()
                mf.plan("sequential")
                hosts:close()
            end)
        end
        for i = #servers + 1, n do
            servers[i] = hosts:start("bench" .. i)
        end
        return table.move(servers, 1, n, 1, {})
    end

    local function level(n, transport)
        local used = some(n)
        return hosts:level(used, transport)
    end

    local function ready(n, transport)
        return function()
            return level(n, transport)
        end
    end

    -- A plan of two workers on one host behind a relay that holds up what passes.
    local function far_away(transport)
        return function()
            local server = some(1)[1]
            if not far then
                boxes = assert(relay.build(hosts.folder))
                tools.at_end(function()
                    mf.plan("sequential")
                    boxes:close()
                end)
                far = boxes:to(hosts, server)
                far:say(("delay %d"):format(1000 * DELAY))
            end
            return hosts:level({ far }, transport, { workers = 2 })
        end
    end

    local function naps()
        return 1e3 * tools.seconds(function()
            local futures = {}
            for i = 1, NAPS do
                futures[i] = mf.future(mf.sleep, NAP)
            end
            mf.value(futures)
        end)
    end

    -- If the workers never waited for their next task.
    local function naps_at_best()
        return 1e3 * (NAPS * NAP / 2 + 2 * DELAY)
    end

    -- A figure of the bare program.
    local function bare(transport, measure)
        return function()
            local server = some(1)[1]
            local command = ("%s %s %d %s %s %s %s"):format(quoted(floor_program), transport, server.port,
                quoted(hosts.user), quoted(hosts:key("ed25519")), quoted(hosts.config), measure)
            local text = tools.output_of(command)
            return assert(tonumber(text:match("^%S+ (%S+)")), "the floor program printed: " .. text)
        end
    end

    local function rate(fn)
        local taken = tools.seconds(fn)
        return (MEGABYTES << 20) / 1e6 / taken
    end

    local function up()
        local text = ("x"):rep(MEGABYTES << 20)
        return rate(function()
            local f = mf.future(function(s)
                return #s
            end, text)
            assert(f:value() == #text)
        end)
    end

    local function put_text()
        local n = MEGABYTES << 20
        mf.everywhere(function()
            bench_text = ("x"):rep(1 << 20):rep(n >> 20)
        end)
    end

    -- The text is there already: only its way back counts.
    local function down()
        local n = MEGABYTES << 20
        return rate(function()
            assert(#mf.future(function()
                return bench_text
            end):value() == n)
        end)
    end

    -- Milliseconds until each host of a new plan has answered.
    local function eight_ready(transport)
        return function()
            local options = level(HOSTS, transport)
            options[1], options.backend = nil, "cluster"
            return 1e3 * tools.seconds(function()
                local cluster <close> = mf.cluster(options)
                assert(#cluster:call(function()
                    return true
                end) == HOSTS)
            end)
        end
    end

    local function eight_logins()
        local words = {}
        for i, server in ipairs(some(HOSTS)) do
            words[i] = ("ssh -F %s -p %d 127.0.0.1 true & "):format(quoted(hosts.config), server.port)
        end
        return 1e3 * tools.seconds(function()
            assert(os.execute(table.concat(words) .. "wait"))
        end)
    end

    if not os.execute("command -v sshd >/dev/null || test -x /usr/sbin/sshd") then
        print("no rows for SSH: there is no sshd; sh scripts/deps.sh bench installs it")
        return {}
    end
    local rows = {}
    for _, transport in ipairs({ "libssh2", "openssh" }) do
        local function row(name, unit, fields)
            fields.name, fields.unit = ("%s: %s"):format(transport, name), unit
            rows[#rows + 1] = fields
        end

        row("round trip", "us", {
            measure = tools.round_trip, floor = bare(transport, "round_trip"), ratio = 1.4, warm = ready(1, transport),
        })
        row("20,000 futures, 2 hosts, each", "us", {
            measure = tools.many_futures, at_most = 20, warm = ready(2, transport),
        })
        row("64 MB to a node", "MB/s", {
            measure = up, floor = bare(transport, "up"), least_ratio = 0.9, warm = ready(1, transport), rounds = 7,
        })
        row("64 MB from a node", "MB/s", {
            measure = down, floor = bare(transport, "down"), least_ratio = 0.9, warm = ready(1, transport), rounds = 7,
            prepare = put_text,
        })
        row(("%d futures of %d ms, %d ms away"):format(NAPS, 1000 * NAP, 1000 * DELAY), "ms", {
            measure = naps, floor = naps_at_best, ratio = 1.5, warm = far_away(transport), rounds = 3,
        })
        row("8 hosts ready", "ms", {
            measure = eight_ready(transport), floor = eight_logins, ratio = 1.3, rounds = 3,
        })
    end
    return rows
end
