#!/bin/sh
# The other compiler has nothing to say either. A peer of bench/engine is looked at where its headers are (make bench-engine installs
# them): it is no part of the product.
set -u
. tests/check/lib.sh
has() { echo "#include <$1>" | clang -x c -fsyntax-only - 2>/dev/null; }
without=
for peer in rocksdb/c.h leveldb/c.h lmdb.h; do
    name=${peer%/c.h}
    has "$peer" || without="$without -e bench/engine/peer_${name%.h}.c"
done
# shellcheck disable=SC2086 # a list of flags
files '*.c' | grep -v -F -e '\0' $without | xargs -r -n 8 -P 2 clang -std=c11 $WARNINGS -DQUORATE_SLOW_ASSERTS -I src -I include -I tests -fsyntax-only
