#!/bin/sh
# Installs what is missing of the Debian packages that Quorate is built, tested and checked with.
#   sh deploy/install-deps.sh [build] [test] [check] [bench] [peers] [package]      default: build
# Looks for a command or a header of each package, so it is quick when nothing is missing and does not mind where the
# thing came from. Installs as root or through sudo; says what to do when it can do neither.
set -eu

say() { printf 'install-deps: %s\n' "$*" >&2; }

header() { # is a header somewhere that the compiler looks?
    [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ]
}

missing=
need() { # need PACKAGE command|header NAME
    case $2 in
    command) command -v "$3" >/dev/null 2>&1 || missing="$missing $1" ;;
    header) header "$3" || missing="$missing $1" ;;
    esac
}

needs_build() {
    need gcc command gcc
    need libc6-dev header stdio.h
    need make command make
    need pkg-config command pkg-config
    need libevent-dev header event2/event.h
    need libmsgpack-dev header msgpack.h
    need liblz4-dev header lz4.h
    need zlib1g-dev header zlib.h
    need libssl-dev header openssl/ssl.h
    need libjansson-dev header jansson.h
}

needs_test() {
    need check header check.h
    need curl command curl
    need python3 command python3
    need procps command ps
    need strace command strace
    need dpkg-dev command dpkg-shlibdeps
    need groff command groff
    need nodejs command node
    need systemd command systemd-analyze
    [ -e /usr/lib/python3/dist-packages/yaml ] || missing="$missing python3-yaml"
    need etcd-server command etcd
    [ -d /usr/lib/python3/dist-packages/etcd3gw ] || missing="$missing python3-etcd3gw"
}

needs_check() {
    need clang command clang
    need clang-format command clang-format
    need cppcheck command cppcheck
    need shellcheck command shellcheck
}

# What `make bench-engine` compares the store with; nothing of Quorate uses it.
needs_bench() {
    need librocksdb-dev header rocksdb/c.h
    need libleveldb-dev header leveldb/c.h
    need liblmdb-dev header lmdb.h
}

# What `make bench-vs-etcd` runs beside a cluster.
needs_peers() {
    need etcd-server command etcd
    need etcd-client command etcdctl
    need wrk command wrk
}

# What `make deb` builds the package with.
needs_package() {
    need dpkg-dev command dpkg-shlibdeps
}

for set in "${@:-build}"; do
    case $set in
    build | test | check | bench | peers | package) "needs_$set" ;;
    *)
        say "no set of packages is called '$set': build, test, check, bench, peers or package"
        exit 2
        ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    say "missing:$missing (names of Debian packages), and this is not Debian: install them with your system's tools"
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        say "missing:$missing, and neither root nor sudo here. As root: apt-get update && apt-get install$missing"
        exit 1
    fi
    as_root=sudo
fi

say "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # both are lists of words
if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 $missing; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    say "apt-get failed (above). No network, or no right to use sudo? By hand: apt-get update && apt-get install$missing"
    exit 1
fi
