#!/bin/sh
# A backup and a restore beside what the disk can do:  sh bench/backup/run.sh [MIB]   (default 600). Prints `bench backup/...` lines.
# Rows of 4 KiB in six ranges. Foreground: 4 clients, 500 operations a second, half of them puts, alone and while one backup is made after the other.
set -eu
mib=${1:-600}
here=$(cd "$(dirname "$0")/../.." && pwd)
quorate=${QUORATE_BUILD:-$here/build}/quorate
work=${QUORATE_BUILD:-$here/build}/bench-backup.$$
mkdir -p "$work"
base=${BASE_PORT:-23400}
export QUORATE_DIR="$work/a"
trap 'QUORATE_DIR=$work/a "$quorate" cluster stop >/dev/null 2>&1; QUORATE_DIR=$work/b "$quorate" cluster stop >/dev/null 2>&1; rm -rf "$work"' EXIT
line() { printf 'bench backup/%s ours=%s unit=%s\n' "$1" "$2" "$3"; }
field() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
speed() { python3 -c 'import re, sys; m = re.findall(r", ([0-9.,]+) s, ", sys.stdin.read()); print("%.0f" % (float(sys.argv[1]) / float(m[-1].replace(",", "."))))' "$1"; }

write=$(LC_ALL=C dd if=/dev/zero of="$work/dd" bs=1M count=512 oflag=direct conv=fsync 2>&1 | speed 512)
read=$(LC_ALL=C dd if="$work/dd" of=/dev/null bs=1M iflag=direct 2>&1 | speed 512)
rm "$work/dd"
line disk_read "$read" MiB/s
line disk_write "$write" MiB/s

keys=$((mib * 1024 / 4))
"$quorate" cluster start --base-port "$base" --wait 60000 >/dev/null
"$quorate" keyspace create rows --splits "$(for i in 1 2 3 4 5; do printf 'bench/%010d,' $((keys * i / 6)); done | sed 's/,$//')" >/dev/null
"$quorate" bench kv --keyspace rows --connections 8 --depth 16 --keys "$keys" --value-size 4096 --fill --total 1 >/dev/null
sleep 10 # what the fill leaves to be flushed and compacted
created() { # NAME FOLDER FLAG...
    name=$1 folder=$2 && shift 2
    "$quorate" backup create "$folder" "$@" -o json >"$work/created" 2>/dev/null
    bytes=$(field "d['bytes']" <"$work/created")
    line "$name" "$((bytes * 1000 / $(field "d['ms']" <"$work/created") / 1048576))" MiB/s
}
created create_first "$work/bk" # caches are filled, too
created create "$work/again"
rm -rf "$work/again"

foreground() { # NAME
    "$quorate" bench kv --connections 4 --rate 500 --reads 50 --keys 20000 --seconds 8 -o json >"$work/seen" || true
    for kind in read write; do line "foreground_${kind}_p99_$1" "$(field "round(d['${kind}_ms']['p99'], 2)" <"$work/seen")" ms; done
}
beside() { # NAME FLAG...: foreground while one backup is made after the other; how quick those are that end meanwhile
    name=$1 && shift
    : >"$work/on"
    : >"$work/made"
    while [ -e "$work/on" ]; do
        "$quorate" backup create "$work/beside" "$@" -o json >"$work/one" 2>/dev/null
        if [ -e "$work/on" ]; then cat "$work/one" >>"$work/made"; fi
        rm -rf "$work/beside"
    done &
    backups=$!
    foreground "$name"
    rm "$work/on"
    wait $backups
    python3 -c 'import json, sys
made = [json.loads(line) for line in sys.stdin]
if made: print("%.0f" % (sum(m["bytes"] for m in made) * 1000 / sum(m["ms"] for m in made) / 1048576))' <"$work/made" >"$work/speed"
    if [ -s "$work/speed" ]; then line "create_$name" "$(cat "$work/speed")" MiB/s; fi
}
foreground alone
beside during
foreground alone_again
beside during_rate_100 --rate 100

began=$(date +%s%3N)
"$quorate" backup verify "$work/bk" >/dev/null 2>&1
line verify "$((bytes * 1000 / ($(date +%s%3N) - began) / 1048576))" MiB/s
"$quorate" cluster stop >/dev/null
export QUORATE_DIR="$work/b"
"$quorate" cluster start --base-port "$((base + 200))" --wait 60000 >/dev/null
written() { # by the nodes, on the disk, so far
    for pid in $("$quorate" cluster status -o json | field "' '.join(str(p['pid']) for p in d['processes'] if p['name'].startswith('node'))"); do
        sed -n 's/^write_bytes: //p' "/proc/$pid/io"
    done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
before=$(written)
"$quorate" backup restore "$work/bk" --no-check -o json >"$work/restored" 2>/dev/null
ms=$(field "d['ms']" <"$work/restored")
line restore "$((bytes * 1000 / ms / 1048576))" MiB/s
line restore_on_disk "$((($(written) - before) * 1000 / ms / 1048576))" MiB/s # logs and tables of three replicas
