#!/bin/sh
# The workloads of the comparison under GNU parallel, which starts a process for each task.
#
#     parallel.sh WORKLOAD [FOLDER]     prints one figure, in the unit that compare.lua names
#     parallel.sh --version
#
# A workload that it has no means for is refused with exit code 3.
set -eu

workers=2

seconds() {
    date +%s.%N
}

# measure SCALE DIVISOR COMMAND...: the time it takes, times the one over the other.
measure() {
    scale=$1
    divisor=$2
    shift 2
    start=$(seconds)
    "$@" >/dev/null
    end=$(seconds)
    echo "$start $end $scale $divisor" | awk '{ printf "%.6f\n", ($2 - $1) * $3 / $4 }'
}

count_words() {
    parallel --will-cite -j $workers "$1"' {} | tr -s "[:space:]" "\n" | sort | uniq -c' ::: "$2"/*."$3" |
        awk '{ n[$2] += $1 } END { for (w in n) print w, n[w] }'
}

first() { parallel --will-cite -j $workers true ::: 1; }
many() { seq 500 | parallel --will-cite -j $workers true; }

long_tail() {
    awk 'BEGIN { for (i = 1; i <= 200; i++) s += 1 / i; for (i = 200; i >= 1; i--) print 4 / s / i }' |
        parallel --will-cite -j $workers sleep
}

case $1 in
--version)
    command -v parallel >/dev/null
    parallel --version | head -n 1
    ;;
first) measure 1000 1 first ;;
tasks) measure 1000000 500 many ;;
tail) measure 1 2 long_tail ;;
words) measure 1 1 count_words cat "$2" txt ;;
words_gzip) measure 1 1 count_words "gzip -dc" "$2" gz ;;
*) exit 3 ;;
esac
