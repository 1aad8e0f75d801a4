-- Runs the program on a terminal of its own, driven by a shell script.
--
--     local r = terminal.drive({ "-i" }, "see '^> '; type_in '\\004'; finish")
--     r.code, r.out (what the screen showed), r.ms (how long the program took to end after "finish")
--
-- The script's words: see PATTERN (waits for it on the screen), type_in TEXT (as printf takes it; \\003 is Ctrl-C),
-- finish, $(cat "$folder/pid") (the program), $terminal (what holds the terminal open).
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
    mkfifo "$folder/keys"
    start() {
        script -qefc "echo \$\$ >$folder/pid; $1" /dev/null <"$folder/keys" >"$folder/screen" 2>&1 &
        terminal=$!
        exec 3>"$folder/keys"
    }
    see() { until grep -q "$1" "$folder/screen"; do sleep 0.01; done; }
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

-- Runs the program with these arguments. env: as for program.shell.
function terminal.drive(args, script, deadline, env)
    local command = program.command(args):gsub("[\\\"$`]", "\\%0")
    local code = TERMINAL .. ('start "%s"\n'):format(command) .. script
    local r = program.shell(code, { deadline = deadline or 30, env = env })
    r.out = r.out:gsub("\r", "")
    r.ms = tonumber(r.out:match("ms: (%d+)"))
    return r
end

return terminal
