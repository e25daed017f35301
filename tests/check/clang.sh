#!/bin/sh
# The other compiler has nothing to say either.
set -u
. tests/check/lib.sh
# shellcheck disable=SC2086 # a list of flags
files '*.c' | xargs -r -n 8 -P 2 clang -std=c11 $WARNINGS -DQUORATE_SLOW_ASSERTS -I src -I include -I tests -fsyntax-only
