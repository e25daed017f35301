# For the rules: which files they look at. Sourced.
# shellcheck shell=sh

# files NAME...: the files under the chosen folders whose names match one of the patterns, sorted, one per line.
files() {
    chosen=
    for m in $MODULES; do [ -d "src/$m" ] && chosen="$chosen src/$m"; done
    if [ "$WHOLE" = yes ]; then
        for d in include tests bench; do [ -d "$d" ] && chosen="$chosen $d"; done
        [ -f src/main.c ] && chosen="$chosen src/main.c"
    fi
    for pattern in "$@"; do
        # shellcheck disable=SC2086 # a list of folders
        find $chosen -type f -name "$pattern"
    done | sort
}
