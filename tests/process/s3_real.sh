#!/bin/sh
# test_backup_store.sh against a store that others wrote: s3rver (its maintained line) of the npm registry, which checks signatures. Needs npm and the
# network. `make test-s3`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null; rm -rf "$data"' EXIT
npm install --silent --no-audit --no-fund --prefix "$data/npm" @20minutes/s3rver@4.0.4 >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
NODE_PATH=$data/npm/node_modules node --openssl-legacy-provider -e "
    const S3rver = require('@20minutes/s3rver');
    new S3rver({port: $port, address: '127.0.0.1', silent: true, directory: '$data/store', configureBuckets: [{name: 'bank'}]}).run();" &
server=$!
for _ in $(seq 100); do if curl -s "http://127.0.0.1:$port/" >/dev/null; then break; fi; sleep 0.1; done
QUORATE_S3=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=S3RVER AWS_SECRET_ACCESS_KEY=S3RVER sh "$here/test_backup_store.sh"
