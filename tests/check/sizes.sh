#!/bin/sh
# Functions of at most 70 lines, sources of at most 800, headers of at most 200. sizes.allow lists the exceptions with the
# size they have: a ratchet that only turns towards smaller. Relies on the format: a function is from `{` to `}` in column 0.
set -u
. tests/check/lib.sh
files '*.[ch]' | xargs -r awk -v whole="$WHOLE" '
    function judge(kind, size, max, where, line,    key) {
        key = kind " " where
        seen[key] = 1
        if (key in allowance) {
            if (size > allowance[key]) {
                printf "%s:%d: %s %s has grown from %d to %d lines: split it\n", FILENAME_OF[where], line, kind, where, allowance[key], size
                bad = 1
            } else if (size <= max) {
                printf "tests/check/sizes.allow:%d: %s %s has %d lines: remove this entry\n", entry[key], kind, where, size
                bad = 1
            } else if (size < allowance[key]) {
                printf "tests/check/sizes.allow:%d: %s %s has shrunk: write %d here\n", entry[key], kind, where, size
                bad = 1
            }
        } else if (size > max) {
            printf "%s:%d: %s %s has %d lines, more than %d: split it by object or by step\n", FILENAME_OF[where], line, kind, where, size, max
            bad = 1
        }
    }
    function close_file() {
        if (file == "") return
        FILENAME_OF[file] = file
        judge("file", lines, file ~ /\.h$/ ? 200 : 800, file, 1)
    }
    BEGIN {
        while ((getline line < "tests/check/sizes.allow") > 0) {
            number++
            if (split(line, word, " ") < 3 || word[1] ~ /^#/) continue
            allowance[word[1] " " word[3]] = word[2] + 0
            entry[word[1] " " word[3]] = number
        }
    }
    FNR == 1 { close_file(); file = FILENAME; name = "" }
    { lines = FNR }
    /^[a-zA-Z_].*\(/ {
        name = $0
        if (name ~ /^START_TEST\(/) sub(/^START_TEST\(/, "", name)
        else while (name ~ /__attribute__\(\(.*\)\) *[a-z]/) sub(/__attribute__\(\([^)]*\)*\)\)/, "", name)
        sub(/[()].*/, "", name)
        sub(/.*[ *]/, "", name)
    }
    /^\{/ { begun = FNR }
    /^\}/ && begun {
        FILENAME_OF[file ":" name] = file
        judge("function", FNR - begun + 1, 70, file ":" name, begun)
        begun = 0
    }
    END {
        close_file()
        for (key in allowance) if (whole == "yes" && !(key in seen)) {
            printf "tests/check/sizes.allow:%d: %s: no such thing any more: remove this entry\n", entry[key], key
            bad = 1
        }
        exit bad
    }'
