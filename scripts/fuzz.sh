#!/bin/sh
# Runs each fuzzer for FUZZ_SECONDS. Seeds come from tests/fuzz/corpus/NAME; what is found goes to the build
# folder: new inputs to corpus/NAME (kept between runs), crashing ones to crash-NAME-*.
# usage: fuzz.sh BUILD-FOLDER FUZZER...
set -eu

build=${1:?usage: fuzz.sh build-folder fuzzer...}
shift
if [ $# -eq 0 ]; then
    echo "fuzz: there is no tests/fuzz/*_fuzz.c" >&2
    exit 1
fi
for fuzzer in "$@"; do
    name=$(basename "$fuzzer" _fuzz)
    found=$build/corpus/$name
    seeds=tests/fuzz/corpus/$name
    mkdir -p "$found"
    [ -d "$seeds" ] || seeds=
    echo "fuzz: $name for ${FUZZ_SECONDS:-60} s"
    # shellcheck disable=SC2086
    "$fuzzer" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/crash-$name-" "$found" $seeds
done
