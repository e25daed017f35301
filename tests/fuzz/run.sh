#!/bin/sh
# One target under libFuzzer:  OUT=... FUZZ_SECONDS=... CC="clang ..." LIBS=... sh tests/fuzz/run.sh fuzz_wire
# Inputs that reach something new are merged into tests/fuzz/TARGET.hex, one a line. A crash leaves its input in OUT.
set -eu
target=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$OUT"
work=$OUT/$target.work
rm -rf "$work"
mkdir -p "$work/old" "$work/new"
python3 - "$here/$target.hex" "$work/old" <<'PYTHON'
import os, sys
if os.path.exists(sys.argv[1]):
    for i, line in enumerate(open(sys.argv[1])):
        with open(os.path.join(sys.argv[2], "%05d" % i), "wb") as f:
            f.write(bytes.fromhex(line.strip()))
PYTHON
# shellcheck disable=SC2086 # lists of words
$CC -fsanitize=fuzzer -o "$OUT/$target.libfuzzer" "$here/$target.c" $LIBS
# What an input may take is in proportion to it, as the targets assert; the limit is for what they do not see.
"$OUT/$target.libfuzzer" -max_len=2048 -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="$OUT/$target." ${FUZZ_ARGS:-} "$work/old" 2>&1 | tail -n 12
"$OUT/$target.libfuzzer" -merge=1 -verbosity=0 "$work/new" "$work/old" >/dev/null 2>&1
python3 - "$work/new" "$here/$target.hex" <<'PYTHON'
import os, sys
inputs = sorted(open(os.path.join(sys.argv[1], n), "rb").read() for n in os.listdir(sys.argv[1]))
with open(sys.argv[2], "w") as f:
    f.writelines(b.hex() + "\n" for b in inputs if len(b) <= 512)
print("%s: %d inputs" % (sys.argv[2], len(inputs)))
PYTHON
