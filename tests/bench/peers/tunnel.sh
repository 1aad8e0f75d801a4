#!/bin/sh
# The remote shell of R's clusters, with their data in the tunnel: tunnel.sh CONFIG HOST COMMAND...
# R's worker is told a port of its own host, which the tunnel leads to the master's; here all of them are one machine, so
# that each has to have another number.
set -eu
config=$1 host=$2
shift 2
port=$(expr "$*" : '.*PORT=\([0-9]*\)')
own=$((20000 + $$ % 12000))
exec ssh -F "$config" -o ExitOnForwardFailure=yes -R "$own:127.0.0.1:$port" "$host" \
    "$(printf '%s' "$*" | sed "s/PORT=$port/PORT=$own/")"
