#!/bin/sh
# A disk that fills up under a running cluster: writes are refused, definitely and with the limit named, while deletes and reads
# go on; the nodes start again on the full disk; when there is room again, writes are taken again by themselves.
# All servers live on one small tmpfs: this is about room, not durability.
set -u
if [ "$(id -u)" -ne 0 ] && [ "${DISK_FULL_INSIDE:-}" != yes ]; then
    DISK_FULL_INSIDE=yes exec unshare --user --map-root-user --mount sh "$0"
fi
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

small=$work/small
unmount() { umount "$small" 2>/dev/null || umount -l "$small" 2>/dev/null || true; }
trap '"$quorate" cluster stop >/dev/null 2>&1; unmount; cleanup' EXIT
mkdir -p "$small"
check "a small disk" mount -t tmpfs -o size=1400m tmpfs "$small"
QUORATE_DIR=$small/data

# fill PERCENT: so much of it is used, and stays so. Spare segments and reserves are being written, or given back, meanwhile.
ballast=0
fill() {
    steady=0
    for _ in $(seq 60); do
        size=$(df --output=size -k "$small" | tail -1) used=$(df --output=used -k "$small" | tail -1)
        missing=$((size * $1 / 100 - used))
        steady=$((steady + 1))
        if [ "$missing" -gt 1024 ]; then
            steady=0
            fallocate -l $(((ballast + missing) * 1024)) "$small/ballast" && ballast=$((ballast + missing)) # or others were first
        fi
        echo "used $used of $size KiB, ballast $ballast KiB"
        if [ "$steady" -ge 10 ]; then return 0; fi # servers look once a second
        sleep 0.3
    done
    return 1
}
put() { "$quorate" put default new value --timeout 2000 2>&1; }
refused() { put | grep -q no_space; }
refused_by_all() { # the leader hears of its peers' disks a moment later than the metadata service
    said=$(put)
    echo "$said"
    [ "${said#*disk space: 3 of 3 replicas}" != "$said" ]
}
all_full() { [ "$("$quorate" node list -o json | json "sum(n['disk_full'] for n in d['nodes'])")" = 3 ]; }

check "the cluster starts" cluster_start
check "a row" "$quorate" put default old value
check "the disk fills up to 96 %" fill 96
check "the nodes say so" eventually all_full
check "writes are refused within seconds" eventually refused
check "the refusal names limit and node" eventually refused_by_all
expect "it is definite" 0 '"outcome":"definite"' curl -s -X PUT --data-binary x "$(gateway)/v1/kv/default/new"
comes "status says so" 0 "is full" "$quorate" status
expect "reads go on" 0 "value" "$quorate" get default old
check "deletes go on" "$quorate" del default old
check "the cluster stops" "$quorate" cluster stop
check "it starts on the full disk" cluster_start
check "and is as full as before" fill 96
check "writes are still refused" eventually refused
expect "the delete has stayed" 1 "" "$quorate" get default old
rm -f "$small/ballast"
check "there is room again: writes are taken" eventually "$quorate" put default new value
check "and there" "$quorate" get default new
finish
