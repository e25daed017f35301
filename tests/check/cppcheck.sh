#!/bin/sh
# cppcheck: warnings and portability, one configuration. A false alarm is silenced at its line with a reason:
#     // cppcheck-suppress ID ; why
set -u
. tests/check/lib.sh
mkdir -p "$(dirname "$OBJ")/cppcheck"
files '*.c' | grep -v '^tests/' >"$(dirname "$OBJ")/cppcheck.files"
[ -s "$(dirname "$OBJ")/cppcheck.files" ] || exit 0
cppcheck --quiet --std=c11 --language=c -j 2 --max-configs=1 --enable=warning,portability --inline-suppr \
    --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
    --suppress=normalCheckLevelMaxBranches --suppress=checkersReport --suppress=unknownMacro \
    --error-exitcode=1 --template='{file}:{line}: {id}: {message}' \
    --cppcheck-build-dir="$(dirname "$OBJ")/cppcheck" -I src -I include --file-list="$(dirname "$OBJ")/cppcheck.files"
