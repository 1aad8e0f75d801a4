#!/bin/sh
# No source file may have more than 600 lines: split it by responsibility.
set -eu

limit=600
find runtime vm stdlib scripts tests Makefile \( -name '*.[ch]' -o -name '*.lua' -o -name '*.sh' -o -name Makefile \) \
    -exec awk -v limit=$limit '
    FNR == 1 && file { report() }
    { file = FILENAME; lines = FNR }
    function report() { if (lines > limit) { print file ": " lines " lines, more than " limit; bad = 1 } }
    END { report(); exit bad }' {} +
