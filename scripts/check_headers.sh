#!/bin/sh
# Every header compiles on its own, the runtime's and the public one without Lua.
set -u

compiler=${CC:-gcc}
flags="-std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -fsyntax-only"
bad=0

# compiles HEADER FLAG...
compiles() {
    header=$1
    shift
    # shellcheck disable=SC2086
    printf '#include "%s"\ntypedef int mf_not_empty;\n' "$header" | $compiler $flags -I. "$@" -x c - || {
        echo "$header: does not compile on its own"
        bad=1
    }
}

for header in runtime/*.h vm/moonfleet.h; do
    compiles "$header"
done
for header in vm/*.h; do
    # shellcheck disable=SC2086
    compiles "$header" ${LUA_CFLAGS:-}
done
exit $bad
