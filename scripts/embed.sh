#!/bin/sh
# Writes C source that holds every .lua file of a folder (see vm/stdlib.h) to standard output.
# usage: embed.sh stdlib/moonfleet
set -eu
LC_ALL=C
export LC_ALL

folder=${1:?usage: embed.sh folder}

# init.lua is the module itself; every other file is a submodule.
module_name() {
    base=$(basename "$1" .lua)
    if [ "$base" = init ]; then echo moonfleet; else echo "moonfleet.$base"; fi
}

# An empty array is not C, so each one ends with a byte that its size does not count.
echo '#include "stdlib.h"'
n=0
for file in "$folder"/*.lua; do
    [ -f "$file" ] || continue
    echo
    echo "static const unsigned char source_$n[] = {"
    od -An -v -tu1 "$file" | awk '{ for (i = 1; i <= NF; i++) printf "%s,", $i; print "" }'
    echo "0};"
    n=$((n + 1))
done

echo
echo "const struct mf_stdlib_entry mf_stdlib[] = {"
n=0
for file in "$folder"/*.lua; do
    [ -f "$file" ] || continue
    echo "    {\"$(module_name "$file")\", source_$n, sizeof source_$n - 1},"
    n=$((n + 1))
done
echo "    {NULL, NULL, 0},"
echo "};"
