#!/bin/sh
# Files as a C array: sh console/embed.sh NAME=FILE[,FILE...]...   writes src/gateway/assets.h's `assets` to standard output.
# Several files of one name are joined. Every byte becomes a number: no compiler's limit on string literals, no tool beyond POSIX.
set -eu
echo '#include "gateway/assets.h"'
table=
count=0
for asset in "$@"; do
    count=$((count + 1))
    # shellcheck disable=SC2046 # names without spaces
    set -- $(printf '%s' "${asset#*=}" | tr ',' ' ')
    printf 'static const uint8_t asset_%d[] = {\n' "$count"
    cat "$@" | od -An -v -tu1 | sed 's/  */,/g; s/^,//; s/$/,/'
    echo '};'
    table="$table    {.name = \"${asset%%=*}\", .data = asset_$count, .size = sizeof(asset_$count)},
"
done
printf 'const struct asset assets[] = {\n%s    {.name = NULL},\n};\n' "$table"
