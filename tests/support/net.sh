#!/bin/sh
# Hosts with addresses of their own for tests: network namespaces on a bridge, whose links can be cut. Needs root and a
# kernel that allows it.
#
#     net.sh FOLDER N <pipe      N hosts; they go when the pipe is closed, however that comes
#
# Into FOLDER: hosts, one line "namespace address link" each, when all are there; or failed. A link is cut by
# `ip link set LINK down` and mended by `up`.
set -u

folder=${1:?usage: net.sh folder n}
n=${2:?usage: net.sh folder n}
id=$(($$ % 60000))
bridge=mfb$id
net=10.$((128 + id / 250)).$((id % 250))

remove() {
    i=1
    while [ $i -le "$n" ]; do
        ip netns del "mf$id-$i" 2>/dev/null
        ip link del "mfv$id-$i" 2>/dev/null
        i=$((i + 1))
    done
    ip link del "$bridge" 2>/dev/null
}

# add_host I
add_host() {
    ip netns add "mf$id-$1" &&
        ip link add "mfv$id-$1" type veth peer name eth0 netns "mf$id-$1" &&
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
        add_host $i || return 1
        echo "mf$id-$i $net.$((10 + i)) mfv$id-$i" >>"$folder/hosts.new"
        i=$((i + 1))
    done
}

trap remove EXIT
trap 'exit 1' HUP INT TERM
rm -f "$folder/hosts.new"
if ! make 2>"$folder/log"; then
    : >"$folder/failed"
    exit 1
fi
mv "$folder/hosts.new" "$folder/hosts"
cat >/dev/null # until whoever has made it is gone
