#!/bin/sh
# Runs every check_*.sh beside it and ends with "N passed, N failed". Needs the environment of `make check`.
set -u

passed=0
failed=0
for check in scripts/check_*.sh; do
    name=$(basename "$check" .sh)
    if sh "$check"; then
        echo "ok    $name"
        passed=$((passed + 1))
    else
        echo "FAIL  $name"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
