#!/bin/sh
# A real SSH server for tests: own keys, own configuration, a free port of the loopback address, own home directory.
# Nothing of the developer's ~/.ssh or of the system's sshd is used or changed.
#
#     sshd.sh FOLDER NAME [DIRECTIVE...] <pipe      one server; it ends when the pipe is closed, however that comes
#     sshd.sh FOLDER keys [TYPE...]                 only makes the keys (ed25519 and ecdsa always; rsa on demand)
#
# Into FOLDER, shared by all servers: id_ed25519 id_ecdsa id_locked (its passphrase is "secret") and, if asked for, id_rsa, the
# users' keys, all of which every server accepts; known_hosts, which a server that has come up adds its keys to;
# config, which names both. Into FOLDER/NAME: port, pid, log, home, and ready when it can be used, or failed.
# A DIRECTIVE is a line of sshd_config, in place of what it is set to below. "HostKeys rsa" (not one of OpenSSH's) gives the
# server host keys of these types only. "Netns NAME ADDRESS" puts it into a network namespace. "Secret WORD" is the user's
# password there (needs root, and a kernel that allows mount namespaces).
set -u

folder=${1:?usage: sshd.sh folder name [directive...]}
name=${2:?usage: sshd.sh folder name [directive...]}
shift 2
sshd=$(command -v sshd || echo /usr/sbin/sshd)

# make_key FILE TYPE PASSPHRASE: whole or not at all, as several may want it at the same time.
make_key() {
    [ -e "$1" ] && return
    scratch=$(mktemp -d "$folder/key.XXXXXX")
    ssh-keygen -q -t "$2" -N "$3" -C "" -f "$scratch/key"
    mv "$scratch/key.pub" "$1.pub"
    mv "$scratch/key" "$1"
    rmdir "$scratch"
}

make_user_keys() {
    make_key "$folder/id_ed25519" ed25519 ""
    make_key "$folder/id_ecdsa" ecdsa ""
    make_key "$folder/id_locked" ed25519 secret
    for type in "$@"; do
        make_key "$folder/id_$type" "$type" ""
    done
    cat "$folder"/id_*.pub >"$folder/authorized_keys"
    [ -e "$folder/config" ] || printf '%s\n' "IdentityFile $folder/id_ed25519" "IdentitiesOnly yes" \
        "UserKnownHostsFile $folder/known_hosts" "GlobalKnownHostsFile none" "User $(id -un)" "HashKnownHosts no" \
        "IdentityAgent none" >"$folder/config"
}

if [ "$name" = keys ]; then
    make_user_keys "$@"
    exit
fi

own=$folder/$name
types="ed25519 ecdsa"
fixed=
secret=
address=127.0.0.1
inside=
mkdir -p "$own/home"
rm -f "$own/ready" "$own/failed" "$own/directives"
for directive in "$@"; do
    case $directive in
    "HostKeys "*) types=${directive#HostKeys } ;;
    "Secret "*) secret=${directive#Secret } ;;
    "Port "*) fixed=${directive#Port } ;;
    "Netns "*)
        address=${directive##* }
        inside=${directive#Netns }
        inside="ip netns exec ${inside% *}"
        ;;
    *) printf '%s\n' "$directive" >>"$own/directives" ;;
    esac
done
[ -e "$folder/id_locked" ] || make_user_keys
for type in $types; do
    make_key "$own/host_$type" "$type" ""
done
if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi # sshd refuses to start without it

# Its own password file, and its own rules for PAM, which no other process sees.
make_box() {
    hash=$(perl -e 'print crypt($ARGV[0], q($6$moonfleet$))' "$secret")
    printf '%s:%s:20000:0:99999:7:::\n' "$(id -un)" "$hash" >"$own/shadow"
    printf '%s\n' "auth required pam_unix.so" "account required pam_permit.so" "session required pam_permit.so" >"$own/pam"
    cat >"$own/box" <<END
mount --bind $own/shadow /etc/shadow || exit
[ ! -e /etc/pam.d/sshd ] || mount --bind $own/pam /etc/pam.d/sshd || exit
exec "\$@"
END
    inside="$inside unshare -m sh $own/box"
}

defaults() {
    cat <<END
Port $port
ListenAddress $address
AuthorizedKeysFile $folder/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
PrintMotd no
PrintLastLog no
UseDNS no
MaxStartups 100
MaxSessions 10
LogLevel VERBOSE
SetEnv HOME=$own/home XDG_CACHE_HOME=$own/home/.cache
END
}

# For some directives the first value counts, for others the last, so each is written once. A Match block comes last.
write_config() {
    for type in $types; do
        echo "HostKey $own/host_$type"
    done
    touch "$own/directives"
    defaults | while read -r keyword values; do
        grep -qi "^$keyword " "$own/directives" || echo "$keyword $values"
    done
    cat "$own/directives"
}

if [ -n "$secret" ]; then make_box; fi

# Starts it on its port, or one that seems to be free; fails when it was not.
try_port() {
    port=${fixed:-$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))}
    write_config >"$own/sshd_config"
    # shellcheck disable=SC2086
    $inside "$sshd" -D -f "$own/sshd_config" -E "$own/log" </dev/null >/dev/null 2>&1 &
    pid=$!
    tries=0
    while ! grep -q "Server listening on $address port $port" "$own/log" 2>/dev/null; do
        kill -0 $pid 2>/dev/null && [ $tries -lt 500 ] || return 1
        tries=$((tries + 1))
        sleep 0.01
    done
}

children_of() {
    cat "/proc/$1/task/$1/children" 2>/dev/null
}

stop() {
    # shellcheck disable=SC2046
    kill -9 $pid $(children_of $pid) 2>/dev/null
    wait $pid 2>/dev/null
}

attempt=0
: >"$own/log"
until try_port; do
    kill -9 "$pid" 2>/dev/null
    attempt=$((attempt + 1))
    if [ $attempt -ge 20 ]; then
        cat "$own/log" >&2
        : >"$own/failed"
        exit 1
    fi
done
for type in $types; do
    printf '[%s]:%s %s\n' "$address" "$port" "$(cut -d' ' -f1,2 "$own/host_$type.pub")" >>"$folder/known_hosts"
done
trap stop EXIT
trap 'exit 1' HUP INT TERM
echo $pid >"$own/pid"
echo "$port" >"$own/port"
: >"$own/ready"
cat >/dev/null # until whoever has started it is gone
