#!/bin/sh
# The house rules, one script each beside this one. `make check` runs them all; a rule prints FILE:LINE: what is wrong and
# what to do, and exits non-zero. From the Makefile: CC, OBJ (the production objects), MODULES (folders of src), WHOLE
# (yes: all of them, and then also include/, tests/ and bench/), WARNINGS.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${CC:=gcc}" "${OBJ:=build/obj}" "${WHOLE=yes}" "${WARNINGS:=-Wall -Wextra}"
: "${MODULES:=$(ls src)}"
export CC OBJ WHOLE WARNINGS MODULES

if [ $# -eq 0 ]; then # sh tests/check/run.sh RULE... runs only these
    set -- format layers symbols headers clang sizes docs shell cppcheck
fi
echo "check: $*"
broken=
for rule in "$@"; do
    if sh "tests/check/$rule.sh"; then
        printf 'ok    %s\n' "$rule"
    else
        printf -- '---- FAILED: %s (tests/check/%s.sh)\n' "$rule" "$rule"
        broken="$broken $rule"
    fi
done
if [ -n "$broken" ]; then
    printf 'check: broken rules:%s\n' "$broken"
    exit 1
fi
echo "check: every rule holds"
