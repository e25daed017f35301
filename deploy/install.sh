#!/bin/sh
# install.sh BINARY DESTDIR PREFIX: the program, its man pages, units, completion and documentation. The library is installed by
# `make install-lib`, a configuration only where there is none.
set -eu
binary=$1 to=$2 prefix=$3
cd "$(dirname "$0")/.."

put() { # MODE DIRECTORY FILE...
    mode=$1 dir=$2
    shift 2
    install -d "$dir"
    install -m "$mode" "$@" "$dir/"
}

put 755 "$to$prefix/bin" "$binary"
put 644 "$to$prefix/share/man/man5" docs/man/quorate.conf.5
put 644 "$to$prefix/share/man/man3" docs/man/libquorate.3
install -d "$to$prefix/share/man/man1" "$to$prefix/share/bash-completion/completions"
"$binary" manual >"$to$prefix/share/man/man1/quorate.1"
"$binary" completion bash >"$to$prefix/share/bash-completion/completions/quorate"
install -d "$to$prefix/lib/systemd/system"
for unit in deploy/systemd/*.service; do # they name where the program is
    sed "s#^ExecStart=/usr/bin/#ExecStart=$prefix/bin/#" "$unit" >"$to$prefix/lib/systemd/system/$(basename "$unit")"
done
put 644 "$to$prefix/share/doc/quorate" README.md
put 644 "$to$prefix/share/doc/quorate/docs" docs/*.md docs/openapi.json
put 644 "$to$prefix/share/doc/quorate/examples" examples/*
put 644 "$to$prefix/share/doc/quorate/monitoring" deploy/prometheus/*.yml deploy/grafana/*.json
[ -e "$to/etc/quorate/quorate.conf" ] || put 644 "$to/etc/quorate" deploy/quorate.conf
