#!/bin/sh
# Makes sure that what a make target needs is installed. Fast and without root when nothing is missing.
# usage: deps.sh [build|demo|bench|bench-peers|test|check|fuzz]...     (default: build)
#
# On Debian and its kin the missing packages are installed with apt-get, as root or through sudo; elsewhere the
# script says what to install and fails.
set -eu

compiler=${CC:-gcc}
missing= # Debian packages
wanted=  # the same in words, for other systems

# need PACKAGE DESCRIPTION COMMAND...: PACKAGE is missing when COMMAND fails.
need() {
    package=$1
    description=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    case " $missing " in *" $package "*) return ;; esac
    missing="$missing $package"
    wanted="$wanted
  $description"
}

has_command() { command -v "$1"; }

has_lua() {
    for name in lua5.4 lua-5.4 lua54 lua; do
        pkg-config --atleast-version=5.4 "$name" && pkg-config --max-version=5.4.999 "$name" && return
    done
    return 1
}

# A C module counts when it stands in one of the folders that Debian's and upstream's Lua search.
has_lua_file() {
    for folder in /usr/local/share/lua/5.4 /usr/local/lib/lua/5.4 /usr/share/lua/5.4 /usr/lib/lua/5.4 \
        /usr/lib/*/lua/5.4 "${HOME:-/root}"/.luarocks/share/lua/5.4 "${HOME:-/root}"/.luarocks/lib/lua/5.4; do
        [ -e "$folder/$1" ] && return
    done
    return 1
}

# It stands where a user's PATH does not lead.
has_sshd() { has_command sshd || test -x /usr/sbin/sshd || test -x /usr/local/sbin/sshd; }

has_fuzzer() {
    has_command clang || return
    file=$(clang -print-file-name=libclang_rt.fuzzer-"$(uname -m)".a)
    [ -e "$file" ] && return
    [ -e "$(clang -print-runtime-dir)/libclang_rt.fuzzer.a" ] || has_old_fuzzer
}

has_old_fuzzer() {
    [ -e "$(clang -print-resource-dir)/lib/linux/libclang_rt.fuzzer-$(uname -m).a" ]
}

# clang's runtime is packaged by version; the unversioned name exists from Debian 12 on.
fuzzer_package() {
    version=$(clang --version 2>/dev/null | sed -n 's/.*clang version \([0-9]*\).*/\1/p')
    if [ -n "$version" ]; then echo "libclang-rt-$version-dev"; else echo libclang-rt-dev; fi
}

for_build() {
    need gcc "gcc (or another C11 compiler)" has_command "${compiler%% *}"
    need libc6-dev "the C library's headers" test -e /usr/include/stdio.h
    need make "GNU make" has_command make
    need pkg-config "pkg-config" has_command pkg-config
    need liblua5.4-dev "Lua 5.4: headers, library and its pkg-config file" has_lua
    need libssh2-1-dev "libssh2 with its pkg-config file" pkg-config --exists libssh2
    need libedit-dev "libedit with its pkg-config file" pkg-config --exists libedit
    need libssl-dev "OpenSSL's libcrypto with its pkg-config file" pkg-config --exists libcrypto
}

for_test() {
    for_build
    need lua-busted "busted for Lua 5.4 (luarocks: busted)" has_lua_file busted/runner.lua
    need lua-cjson "cjson for Lua 5.4 (luarocks: lua-cjson)" has_lua_file cjson.so
    need openssh-client "OpenSSH's ssh, ssh-keygen, ssh-agent" has_command ssh-keygen
    need openssh-server "OpenSSH's sshd, for hosts that the tests start themselves" has_sshd
    need g++ "a C++ compiler, for the header" has_command g++
    need mandoc "mandoc, for the manual pages" has_command mandoc
    need luarocks "luarocks" has_command luarocks
    need lua5.4 "Lua's own program lua5.4" has_command lua5.4
    need lua-filesystem "lfs for Lua 5.4 (luarocks: luafilesystem)" has_lua_file lfs.so
}

for_bench() {
    for_build
    need openssh-client "OpenSSH's ssh and ssh-keygen" has_command ssh-keygen
    need openssh-server "OpenSSH's sshd, for hosts that the benchmark starts itself" has_sshd
    need python3-numpy "Python 3 and numpy, to compare with" /usr/bin/python3 -c "import numpy"
    need r-base-core "R, to compare with" has_command Rscript
}

for_bench_peers() {
    for_bench
    need lua-cjson "cjson for Lua 5.4 (luarocks: lua-cjson)" has_lua_file cjson.so
    need python3-joblib "Python's joblib" /usr/bin/python3 -c "import joblib"
    need python3-dask "Python's dask" /usr/bin/python3 -c "import dask.bag"
    need python3-distributed "Python's distributed" /usr/bin/python3 -c "import distributed"
    need r-cran-future.apply "R's future.apply" Rscript -e "library(future.apply)"
    need parallel "GNU parallel" has_command parallel
    need gzip "gzip" has_command gzip
}

for_check() {
    for_build
    need lua-check "luacheck" has_command luacheck
    need clang-format "clang-format" has_command clang-format
}

for_fuzz() {
    for_build
    need clang "clang" has_command clang
    need "$(fuzzer_package)" "clang's libFuzzer and sanitizer runtimes" has_fuzzer
}

# Fills missing and wanted for the purposes given.
look() {
    missing=
    wanted=
    for purpose in "$@"; do
        case $purpose in
        build | demo) for_build ;;
        bench) for_bench ;;
        bench-peers) for_bench_peers ;;
        test) for_test ;;
        check) for_check ;;
        fuzz) for_fuzz ;;
        *)
            echo "deps: unknown purpose '$purpose'; there are: build demo bench bench-peers test check fuzz" >&2
            exit 2
            ;;
        esac
    done
}

# Sets run to what makes a command run as root.
find_root() {
    run=
    [ "$(id -u)" != 0 ] || return 0
    if ! command -v sudo >/dev/null 2>&1; then
        echo "deps: not root and no sudo; have an administrator run: apt-get install$missing" >&2
        exit 1
    fi
    run=sudo
}

install_missing() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "deps: not installed:$wanted" >&2
        echo "deps: install these with this system's package manager and try again" >&2
        exit 1
    fi
    find_root
    echo "deps: installing$missing"
    # A failed update (one mirror of several, say) may still leave usable lists, so the installation decides.
    $run apt-get update -qq || true
    # shellcheck disable=SC2086
    $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

[ $# -gt 0 ] || set -- build
look "$@"
[ -n "$missing" ] || exit 0
install_missing
look "$@"
if [ -n "$missing" ]; then
    echo "deps: still missing after installation:$wanted" >&2
    exit 1
fi
