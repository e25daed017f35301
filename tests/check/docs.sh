#!/bin/sh
# Each folder of src has a README.md of at most a page; each header of src begins with a comment that says what it is for,
# and has the guard that its path gives; no unfinished business in words.
set -u
. tests/check/lib.sh
bad=0

for m in $MODULES; do
    [ -n "$(find "src/$m" -name '*.[ch]' 2>/dev/null | head -n 1)" ] || continue
    if [ ! -f "src/$m/README.md" ]; then
        echo "src/$m:1: no README.md: purpose, invariants, reading order, files"
        bad=1
    elif [ "$(wc -l <"src/$m/README.md")" -gt 70 ]; then
        echo "src/$m/README.md:70: longer than a page (70 lines): move the rest to docs/"
        bad=1
    fi
done

files '*.h' | grep -E '^(src|include)/' | {
    status=0
    while read -r header; do
        case $(head -n 1 "$header") in
        /\**) ;;
        *)
            echo "$header:1: no preface: begin with a comment: purpose, invariants, ownership"
            status=1
            ;;
        esac
        path=${header#src/}
        guard=QUORATE_$(printf '%s' "${path#include/}" | sed 's,^quorate[._/],,' | tr 'a-z/.-' 'A-Z___')
        if ! grep -q "^#ifndef $guard\$" "$header"; then
            echo "$header:1: the include guard of this path is $guard"
            status=1
        fi
    done
    exit "$status"
} || bad=1

unfinished='TO''DO|FIX''ME|XX''X|HA''CK|[Nn]ot implemented yet|[Ff]or now[ ,.]'
# shellcheck disable=SC2046 # names without spaces
if grep -nE "(^|[^A-Za-z])($unfinished)([^A-Za-z]|\$)" $(files '*.[ch]' '*.sh' '*.md') /dev/null | sed 's/$/   <- finish it or say what is true/' | grep .; then
    bad=1
fi
exit "$bad"
