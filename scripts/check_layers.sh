#!/bin/sh
# Fails on an include that goes up: scripts -> stdlib -> vm -> runtime, and within runtime by strata.
set -eu

# Top to bottom, one stratum a line: a file may include those of its own line and of the lines above. A file
# belongs to its name, or its name without extension, or the part of that before the first "_", whichever of them
# comes first in this order and is listed. (backend.h is what a pool calls; the backends themselves use the pool.)
strata='
err buf list log fnv sys pages area hooks simd library
block rng stats hash
heap array
runner
loop
stream
msg link share
launch known ssh codes modules host
future
owner queue
backend.h
pool
sched
worker
peer
fleet
agent
backend
runtime
node
'

# Lines "FILE INCLUDE" for every include of the files given, <system> ones with their brackets.
includes() {
    awk 'match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]*[">]/) {
        text = substr($0, RSTART, RLENGTH); sub(/^[^"<]*/, "", text); gsub(/"/, "", text); print FILENAME, text
    }' "$@" /dev/null
}

runtime_rules() {
    includes runtime/*.[ch] | awk -v strata="$strata" '
    function rank_of(name) {
        sub(/^.*\//, "", name)
        if (name in rank) return rank[name]
        sub(/\.[ch]$/, "", name)
        if (name in rank) return rank[name]
        sub(/_.*/, "", name)
        return (name in rank) ? rank[name] : 0
    }
    BEGIN {
        lines = split(strata, line, "\n")
        for (i = 1; i <= lines; i++) {
            words = split(line[i], word, " ")
            for (j = 1; j <= words; j++) rank[word[j]] = i
        }
    }
    function complain(text) { print $1 ": " text; bad = 1 }
    !seen[$1]++ && !rank_of($1) { complain("belongs to no stratum; name it in scripts/check_layers.sh") }
    $2 ~ /^<l(ua|auxlib|ualib)/ { complain("includes " $2 "; only vm/ may know Lua"); next }
    $2 ~ /^<libssh2/ && $1 != "runtime/stream_ssh_library.h" { complain("includes " $2 "; only stream_ssh_library.h may"); next }
    $2 ~ /^<openssl\// && $1 !~ /\/hash\.c$/ { complain("includes " $2 "; only hash.c may"); next }
    $2 ~ /^</ { next }
    $2 ~ /\// { complain("includes " $2 "; the runtime includes only its own files"); next }
    rank_of($2) > rank_of($1) { complain("includes " $2 ", which stands below it in scripts/check_layers.sh") }
    END { exit bad }'
}

# vm/ reaches down to runtime/ only; the program is the first embedder.
vm_rules() {
    includes vm/*.[ch] | awk '
    function complain(text) { print $1 ": " text; bad = 1 }
    $1 == "vm/moonfleet.h" && $2 ~ /lua|^[^<]/ { complain("includes " $2 "; the public header needs plain C only") }
    $2 ~ /\// && $2 !~ /^</ && $2 !~ /^\.\.\/runtime\/[a-z0-9_]+\.h$/ { complain("includes " $2); next }
    $2 ~ /^<(histedit|editline)/ && $1 != "vm/repl_libedit.h" { complain("includes " $2 "; only repl_libedit.h may") }
    $1 ~ /^vm\/(main|repl[a-z_]*)\.[ch]$/ && ($2 !~ /^</ || $2 ~ /lua|lauxlib/) && $2 !~ /^(moonfleet|repl[a-z_]*)\.h$/ {
        complain("includes " $2 "; the program may use moonfleet.h only")
    }
    END { exit bad }'
}

# Hosts know the public header only, as if it were installed.
embed_rules() {
    includes tests/embed/*.[ch] | awk '
    $2 ~ /^<l(ua|auxlib|ualib)/ || ($2 !~ /^</ && $2 !~ /^(\.\.\/\.\.\/vm\/moonfleet|fixture)\.h$/) {
        print $1 ": includes " $2 "; a host knows moonfleet.h only"; bad = 1
    }
    END { exit bad }'
}

# C tests of the runtime must not need Lua.
test_rules() {
    [ -d tests/unit ] || return 0
    includes tests/unit/*.[ch] 2>/dev/null | awk '
    $2 ~ /^<l(ua|auxlib|ualib)/ || $2 ~ /vm\// { print $1 ": includes " $2 "; unit tests know the runtime only"; bad = 1 }
    END { exit bad }'
}

bad=0
runtime_rules || bad=1
vm_rules || bad=1
test_rules || bad=1
embed_rules || bad=1
exit $bad
