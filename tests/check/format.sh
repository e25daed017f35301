#!/bin/sh
# Every C file looks as clang-format leaves it.  Cure: make format
set -u
. tests/check/lib.sh
files '*.[ch]' | xargs -r -P 2 -n 16 clang-format --dry-run -Werror 2>&1 |
    sed -n 's/: error: .*/: not formatted: run make format/p' |
    awk -F: '!seen[$1]++ { print; bad = 1 } END { exit bad }'
