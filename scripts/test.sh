#!/bin/sh
# Runs C unit tests and spec files, each as a process of its own with a deadline, and sums up.
# usage: test.sh BUILD-FOLDER TEST...     a TEST is tests/unit/*_test.c, a *_spec.lua or a folder of specs
#
# The last line is "N passed, N failed"; the exit code is not 0 when anything failed or nothing ran.
set -u

build=${1:?usage: test.sh build-folder test...}
shift
MOONFLEET=$(cd "$build" && pwd)/moonfleet
MOONFLEET_HOOKS=$(dirname "$MOONFLEET")/hooks/moonfleet
[ -x "$MOONFLEET_HOOKS" ] || MOONFLEET_HOOKS=$MOONFLEET # all of the build has the hooks
export MOONFLEET MOONFLEET_HOOKS
limit=${TEST_TIMEOUT:-300}
logs=$build/test-logs
mkdir -p "$logs"
passed=0
failed=0

# run NAME COMMAND...: a test program's last line may be "N passed, N failed"; one that does not count its tests
# is one test, and one that dies after counting has one failure more.
run() {
    name=$1
    shift
    log=$logs/$(echo "$name" | tr '/' '-').log
    timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
    code=$?
    counts=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    good=${counts% *}
    bad=${counts#* }
    if [ -z "$counts" ]; then
        if [ $code -eq 0 ]; then good=1 bad=0; else good=0 bad=1; fi
    elif [ $code -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    report
}

report() {
    if [ "$bad" -eq 0 ]; then
        echo "ok    $name ($good)"
        return
    fi
    echo "FAIL  $name ($bad of $((good + bad)), exit code $code)"
    [ $code -ne 124 ] && [ $code -ne 137 ] || echo "      given up after $limit seconds"
    sed 's/^/      /' "$log"
}

specs_of() {
    if [ -d "$1" ]; then find "$1" -name '*_spec.lua' | LC_ALL=C sort; else echo "$1"; fi
}

for test in "$@"; do
    case $test in
    *_test.c) run "$test" "$build/${test%.c}" ;;
    *)
        for spec in $(specs_of "$test"); do
            run "$spec" "$MOONFLEET" tests/support/busted.lua "$spec"
        done
        ;;
    esac
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
