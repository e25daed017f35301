#!/bin/sh
# README.md is true: what it tells a newcomer to type works on a new cluster, in order. A comment that begins with an HTTP status
# (`# 412: ...`) says what is answered; `make` and what stands in the first block are other tests' matter.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
mkdir "$work/commands"
# A file for each command; one may be several lines long.
check "the README has commands" python3 - "$here/../../README.md" "$work/commands" <<'PYTHON'
import re, subprocess, sys
text, folder = open(sys.argv[1]).read(), sys.argv[2]
lines = [l for block in re.findall(r"^```\n(.*?)^```$", text, re.S | re.M) for l in block.splitlines(True)]
number, command = 0, ""
for line in lines:
    if line.startswith("make "): continue
    command += line
    if subprocess.run(["sh", "-n", "-c", command], capture_output=True).returncode != 0: continue
    number += 1
    open("%s/%03d" % (folder, number), "w").write(command)
    command = ""
sys.exit(command != "" or number < 15)
PYTHON

ready() { curl -sf "$(gateway)/readyz"; }
check "the cluster is ready" eventually ready
for file in "$work"/commands/*; do
    command=$(sed -e "s#http://127.0.0.1:7480#$(gateway)#g" -e "s#build/quorate#$quorate#g" -e 's#\bcurl #curl -sS -w "\\nHTTP %{http_code}\\n" #' "$file")
    wanted=$(sed -n 's/.*# \([1-5][0-9][0-9]\):.*/\1/p' "$file")
    if ! grep -q curl "$file"; then # a new range may still be electing its first leader: status says so
        good=no
        again() { sh -c "$command" >"$work/answer" 2>&1 </dev/null; }
        if eventually again; then good=yes; fi
    elif ! sh -c "$command" >"$work/answer" 2>&1 </dev/null; then good=no
    elif grep -q "^HTTP ${wanted:-2}" "$work/answer"; then good=yes
    else good=no; fi
    if [ "$good" = yes ]; then pass "$(head -n 1 "$file")"; else
        fail "$(head -n 1 "$file")"
        head -c 800 "$work/answer" | sed 's/^/      /'
    fi
done
finish
