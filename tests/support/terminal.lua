-- Runs the program on a terminal of its own, driven by a shell script.
--
--     local r = terminal.drive({ "-i" }, "see '^> '; type_in '\\004'; finish")
--     r.code, r.out (what the screen showed), r.ms (how long the program took to end after "finish")
--
-- The script's words: see PATTERN (waits for it on the screen, without control codes and what was wiped), prompts N
-- (waits until the editor has shown so many), at_prompt (waits until it reads keys), type_in TEXT (as printf takes it;
-- \\003 is Ctrl-C), finish, $(cat "$folder/pid") (the program), $terminal (what holds the terminal open).
local program = require("tests.support.program")
local fails = require("tests.support.fails")

local terminal = {}

-- Is there what makes a terminal? And can the program be interrupted in a loop (not under every sanitizer)?
terminal.there_is = program.has("script")
terminal.interrupts = terminal.there_is and not fails.delays_signals()

-- Shell functions for a program on a terminal: its keyboard is file descriptor 3, its screen a file.
local TERMINAL = [[
    ulimit -c 0
    folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
    trap 'cat "$folder/screen"; exit 124' TERM
    mkfifo "$folder/keys"
    start() {
        script -qefc "echo \$\$ >$folder/pid; $1" /dev/null <"$folder/keys" >"$folder/screen" 2>&1 &
        terminal=$!
        exec 3>"$folder/keys"
    }
    escape=$(printf '\033')
    shown() { tr -d '\r' <"$folder/screen" | sed "s/.*$escape\[J//; s/$escape\[[0-9;?]*[A-Za-z]//g"; }
    see() { until shown | grep -q -e "$1"; do sleep 0.01; done; }
    prompts() { until [ "$(grep -o '2004h' "$folder/screen" | wc -l)" -ge "$1" ]; do sleep 0.01; done; }
    at_prompt() {
        until [ "$(grep -o '2004h' "$folder/screen" | wc -l)" -gt "$(grep -o '2004l' "$folder/screen" | wc -l)" ]; do
            sleep 0.01
        done
    }
    type_in() { printf '%b' "$1" >&3; }
    now() { date +%s%N; }
    finish() {
        before=$(now)
        wait $terminal
        code=$?
        after=$(now)
        cat "$folder/screen"
        echo "ms: $(((after - before) / 1000000))"
        exit $code
    }
]]

-- What the program finds in its environment: a terminal that can do everything, no history.
local ENVIRONMENT = { TERM = "xterm", LC_ALL = "C.UTF-8", MOONFLEET_HISTORY = "" }

-- Runs a shell command; "exec" in front of a program makes that the one whose pid is known. env: as for program.shell.
function terminal.run(command, script, deadline, env)
    command = command:gsub("[\\\"$`]", "\\%0")
    local code = TERMINAL .. ('start "%s"\n'):format(command) .. script
    local all = {}
    for _, list in ipairs({ ENVIRONMENT, env or {} }) do
        for name, value in pairs(list) do
            all[name] = value
        end
    end
    local r = program.shell(code, { deadline = deadline or 30, env = all })
    r.out = r.out:gsub("\r", "")
    r.ms = tonumber(r.out:match("ms: (%d+)"))
    return r
end

-- What was shown, without control codes and what the editor has wiped of the last line.
function terminal.plain(out)
    return (out:gsub("[^\n]*\27%[J", ""):gsub("\27%[[%d;?]*%a", ""))
end

-- Runs the program with these arguments.
function terminal.drive(args, script, deadline, env)
    return terminal.run(program.command(args), script, deadline, env)
end

return terminal
