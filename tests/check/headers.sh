#!/bin/sh
# Every header compiles alone: whoever includes it need not know what else it needs.
set -u
. tests/check/lib.sh
export WARNINGS CC
files '*.h' | xargs -r -n 1 -P 2 sh -c '
    # The declaration behind it keeps a header of macros from being an empty file.
    said=$(printf "#include \"%s\"\nextern int compiled_alone;\n" "$1" |
        $CC -std=c11 -O1 $WARNINGS -I . -I src -I include -I tests -x c -fsyntax-only - 2>&1) && exit 0
    echo "$1:1: does not compile alone: include what it uses"
    printf "%s\n" "$said" | head -n 5 | sed "s/^/    /"
    exit 1' sh
