#!/bin/sh
# Purity, banned calls and mutable data, read from the production objects (symbols.txt says what is allowed where).
set -u
. tests/check/lib.sh

bad=0
never=$(sed -n 's/^never //p' tests/check/symbols.txt | tr ' ' '|')
# shellcheck disable=SC2046 # names without spaces
if grep -nE "(^|[^A-Za-z0-9_])($never) *\(" $(files '*.[ch]') /dev/null | sed 's/$/   <- knows no bounds: use the kind that takes a size/' |
    grep .; then
    bad=1
fi

objects=
for m in $MODULES; do
    for o in "$OBJ/$m"/*.o; do
        # An object whose source has gone is a leftover of an older build.
        [ -f "$o" ] && [ -f "src/$m/$(basename "$o" .o).c" ] && objects="$objects $o"
    done
done
[ "$WHOLE" = yes ] && [ -f "$OBJ/main.o" ] && objects="$objects $OBJ/main.o"
if [ -z "$objects" ]; then
    echo "symbols: no objects in $OBJ: run make first"
    exit 1
fi

# Lines for awk:  D symbol  (defined by us) | U object symbol | V object section symbol
{
    # shellcheck disable=SC2086 # a list of files
    nm -A -g --defined-only $objects | awk '{ print "D", $NF }'
    # shellcheck disable=SC2086
    nm -A -u $objects | awk -v skip="$OBJ/" '{ sub(/:.*/, "", $1); print "U", substr($1, length(skip) + 1), $NF }'
    for o in $objects; do
        nm -f sysv --defined-only "$o" | awk -F '|' -v o="${o#"$OBJ/"}" '
            { gsub(/ /, ""); if ($4 == "OBJECT" || $4 == "TLS" || $3 ~ /^[bBdDC]$/) print "V", o, $7, $1 }'
    done
} | awk '
    function to_regex(pattern) {
        gsub(/\./, "\\.", pattern)
        gsub(/\*/, ".*", pattern)
        gsub(/\?/, ".", pattern)
        gsub(/\[!/, "[^", pattern)
        return "^" pattern "$"
    }
    function where(pattern, object) { return object ~ to_regex(pattern) }
    function allowed(object, symbol,    i) {
        for (i = 1; i <= allow_count; i++) {
            if (symbol ~ allow_symbol[i] && where(allow_where[i], object)) return 1
        }
        return 0
    }
    function banned(object, symbol,    i) {
        for (i = 1; i <= ban_count; i++) {
            if (symbol ~ ban_symbol[i] && where(ban_where[i], object)) return 1
        }
        return 0
    }
    # FILE:LINE of the first call of a symbol, or else of its first mention, in the source of an object.
    function place(object, symbol,    file, line, number, mention) {
        file = "src/" object
        sub(/\.o$/, ".c", file)
        number = 0
        mention = 0
        while ((getline line < file) > 0) {
            number++
            if (line ~ /^ *(#|\/?\*)/ || line !~ ("(^|[^a-zA-Z0-9_])" symbol "($|[^a-zA-Z0-9_])")) continue
            if (mention == 0) mention = number
            if (line ~ ("(^|[^a-zA-Z0-9_])" symbol " *\\(")) { mention = number; break }
        }
        close(file)
        return file ":" (mention > 0 ? mention : 1)
    }
    BEGIN {
        while ((getline line < "tests/check/symbols.txt") > 0) {
            n = split(line, word, " ")
            if (n == 0 || word[1] ~ /^#/) continue
            if (word[1] == "pure") for (i = 2; i <= n; i++) pure[word[i]] = 1
            if (word[1] == "allow") for (i = 3; i <= n; i++) { allow_where[++allow_count] = word[2]; allow_symbol[allow_count] = to_regex(word[i]) }
            if (word[1] == "ban") for (i = 3; i <= n; i++) { ban_where[++ban_count] = word[2]; ban_symbol[ban_count] = to_regex(word[i]) }
            if (word[1] == "never") for (i = 2; i <= n; i++) never[word[i]] = 1
            if (word[1] == "data") data_where[++data_count] = word[2]
        }
    }
    $1 == "D" { ours[$2] = 1 }
    $1 == "U" {
        object = $2; symbol = $3
        if (symbol in ours) next
        sub(/@.*/, "", symbol)
        sub(/^__isoc99_/, "", symbol)
        if (symbol ~ /^__.*_chk$/ && symbol != "__stack_chk_fail") { sub(/^__/, "", symbol); sub(/_chk$/, "", symbol) }
        folder = object
        sub(/\/.*/, "", folder)
        if (!(symbol in never) && allowed(object, symbol)) next
        if (symbol in never) {
            printf "%s: %s knows no bounds: use the kind that takes a size\n", place(object, symbol), symbol
            bad = 1
        } else if (banned(object, symbol)) {
            printf "%s: %s is banned here: go through base/mem.h, base/buf.h or src/env (tests/check/symbols.txt)\n", place(object, symbol), symbol
            bad = 1
        } else if (folder in pure && !partial(symbol)) {
            printf "%s: %s: a pure folder asks nothing of the outside: hand the value or the effect in and out as data (tests/check/symbols.txt)\n", place(object, symbol), symbol
            bad = 1
        }
    }
    # With some folders only, functions of the others are not among ours; their names begin with a module of ours or are
    # found in a header.
    function partial(symbol) {
        if (ENVIRON["WHOLE"] == "yes") return 0
        return system("grep -qrw --include=*.h " symbol " src") == 0
    }
    $1 == "V" {
        if ($3 !~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*|\.ldata|\.lbss)/ || $3 ~ /^\.data\.rel\.ro/) next
        for (i = 1; i <= data_count; i++) if (where(data_where[i], $2)) next
        name = $4
        sub(/\..*/, "", name)
        printf "%s: %s is mutable data at file scope (or static in a function): put it in a struct that somebody owns, or make it const\n", place($2, name), name
        bad = 1
    }
    END { exit bad }' || bad=1
exit "$bad"
