#!/bin/sh
# Hosts with addresses of their own for tests: network namespaces on a bridge, whose links can be cut. Needs root and a
# kernel that allows it.
#
#     net.sh FOLDER N [WIRE ARGUMENTS...] <pipe      N hosts; they go when the pipe is closed, however that comes
#
# WIRE: a program made of wire.c, and its last four arguments, in the place of good links.
# Into FOLDER: hosts, one line "namespace address link" each, and the name of the bridge, when all are there; or failed. A link is cut by
# `ip link set LINK down` and mended by `up`.
set -u

folder=${1:?usage: net.sh folder n}
n=${2:?usage: net.sh folder n}
shift 2
wires=
id=$(($$ % 30000))
bridge=mfb$id
net=10.$((128 + id / 250)).$((id % 250))

remove() {
    for wire in $wires; do
        kill "$wire" 2>/dev/null
        wait "$wire" 2>/dev/null
    done
    i=1
    while [ $i -le "$n" ]; do
        ip netns del "mf$id-$i" 2>/dev/null
        ip link del "mfv$id-$i" 2>/dev/null
        i=$((i + 1))
    done
    ip link del "$bridge" 2>/dev/null
}

# add_wire I PROGRAM ARGUMENT...
add_wire() {
    host=$1
    program=$2
    shift 2
    "$program" "mfv$id-$host" "mf$id-$host" "$@" >"$folder/wire-$host" 2>&1 &
    wires="$wires $!"
    tries=0
    until grep -q up "$folder/wire-$host"; do
        kill -0 $! 2>/dev/null && [ $tries -lt 500 ] || return 1
        tries=$((tries + 1))
        sleep 0.01
    done
}

add_link() {
    ip link add "mfv$id-$1" type veth peer name eth0 netns "mf$id-$1"
}

# add_host I [WIRE ARGUMENT...]
add_host() {
    ip netns add "mf$id-$1" &&
        if [ $# -gt 1 ]; then add_wire "$@"; else add_link "$1"; fi &&
        ip link set "mfv$id-$1" master "$bridge" &&
        ip link set "mfv$id-$1" up &&
        ip -n "mf$id-$1" addr add "$net.$((10 + $1))/24" dev eth0 &&
        ip -n "mf$id-$1" link set lo up &&
        ip -n "mf$id-$1" link set eth0 up
}

make() {
    ip link add "$bridge" type bridge && ip addr add "$net.1/24" dev "$bridge" && ip link set "$bridge" up || return 1
    i=1
    while [ $i -le "$n" ]; do
        add_host $i "$@" || return 1
        echo "mf$id-$i $net.$((10 + i)) mfv$id-$i" >>"$folder/hosts.new"
        i=$((i + 1))
    done
}

trap remove EXIT
trap 'exit 1' HUP INT TERM
rm -f "$folder/hosts.new"
if ! make "$@" 2>"$folder/log"; then
    : >"$folder/failed"
    exit 1
fi
echo "$bridge" >"$folder/bridge"
mv "$folder/hosts.new" "$folder/hosts"
cat >/dev/null # until whoever has made it is gone
