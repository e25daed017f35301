#!/bin/sh
# A backup and a restore beside what the disk can do:  sh bench/backup/run.sh [MIB]   (default 200). Prints `bench backup/...` lines.
# Foreground: 4 clients, 500 operations a second, half of them puts, before the backup and during it.
set -eu
mib=${1:-200}
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

"$quorate" cluster start --base-port "$base" --wait 60000 >/dev/null
"$quorate" bench kv --connections 8 --depth 16 --keys "$((mib * 1024 / 4))" --value-size 4096 --fill --total 1 >/dev/null
sleep 10 # what the fill leaves to be flushed and compacted
foreground() { "$quorate" bench kv --connections 4 --rate 500 --reads 50 --keys 20000 --seconds "$1" -o json; }
foreground 8 >"$work/alone" || true
foreground 8 >"$work/during" &
fg=$!
sleep 1
"$quorate" backup create "$work/bk" -o json >"$work/created" 2>/dev/null
wait $fg || true
bytes=$(field "d['bytes']" <"$work/created")
ms=$(field "d['ms']" <"$work/created")
line create "$((bytes * 1000 / ms / 1048576))" MiB/s
"$quorate" backup create "$work/bk3" --rate 40 -o json >"$work/slow" 2>/dev/null &
slow=$!
foreground 4 >"$work/limited" || true
wait $slow
for when in alone during limited; do
    line "foreground_read_p99_$when" "$(field "round(d['read_ms']['p99'], 2)" <"$work/$when")" ms
    line "foreground_write_p99_$when" "$(field "round(d['write_ms']['p99'], 2)" <"$work/$when")" ms
done
began=$(date +%s%3N)
"$quorate" backup verify "$work/bk" >/dev/null 2>&1
line verify "$((bytes * 1000 / ($(date +%s%3N) - began) / 1048576))" MiB/s
"$quorate" cluster stop >/dev/null
export QUORATE_DIR="$work/b"
"$quorate" cluster start --base-port "$((base + 200))" --wait 60000 >/dev/null
"$quorate" backup restore "$work/bk" --no-check -o json >"$work/restored" 2>/dev/null
line restore "$((bytes * 1000 / $(field "d['ms']" <"$work/restored") / 1048576))" MiB/s
