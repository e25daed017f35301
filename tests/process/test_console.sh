#!/bin/sh
# The console at /: the page, its policy and all that it asks for; then, where Chromium is installed, the page itself in a real browser under
# load: overview, ranges, nodes, operators, ledger with an audit, keys with a change and a change that comes too late, phone, dark.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

check "the cluster starts" cluster_start
G=$(gateway)
as_browser() { curl -sS -i -H 'Accept: text/html,application/xhtml+xml' "$@"; }
as_browser "$G/" >"$work/page"
has() { grep -qF -- "$1" "$work/page"; }
check "a browser gets the page" has 'Content-Type: text/html'
check "with a policy" has "Content-Security-Policy: default-src 'none'; script-src 'sha256-"
check "of nothing from elsewhere" sh -c "! grep -oE '(src|href)=\"?https?:' '$work/page'"
check "what scripts ask is this gateway's" sh -c "! grep -oE 'fetch\\(.https?:' '$work/page'"
etag=$(sed -n 's/^ETag: \(.*\)\r$/\1/p' "$work/page")
expect "it is not sent twice" 0 "304" as_browser -H "If-None-Match: $etag" "$G/"
expect "a terminal gets text" 0 "POST /v1/txn" curl -sS "$G/"

curl -sS -d '{"name":"orders","splits":["g","p"]}' "$G/v1/keyspaces" >/dev/null
curl -sS -d '{"name":"events","hash_buckets":4}' "$G/v1/keyspaces" >/dev/null
accounts='[{"id":1,"ledger":7,"code":1},{"id":2,"ledger":7,"code":2,"flags":["debits_must_not_exceed_credits"]},{"id":3,"ledger":7,"code":2}]'
expect "accounts" 0 '"created"' curl -sS -d "$accounts" "$G/v1/ledger/accounts"
expect "transfers" 0 '"created"' curl -sS -d '[{"id":10,"debit_account_id":1,"credit_account_id":2,"amount":"123456789012","ledger":7,"code":1},
    {"id":11,"debit_account_id":2,"credit_account_id":3,"amount":"25","ledger":7,"code":1}]' "$G/v1/ledger/transfers"
expect "a page of accounts" 0 '"credits_posted":"123456789012"' curl -sS "$G/v1/ledger/accounts?limit=2"
next=$(curl -sS "$G/v1/ledger/accounts?limit=2" | json "d['next']")
expect "and the next one" 0 '{"accounts":[{"id":"3"' curl -sS "$G/v1/ledger/accounts?limit=2&next=$next"
expect "which is the last" 0 '"more":false' curl -sS "$G/v1/ledger/accounts?next=$next"
expect "a next that is none" 0 '"code":"invalid"' curl -sS "$G/v1/ledger/accounts?next=***"
for key in apple grape plum; do curl -sS -X PUT --data-binary "{\"fruit\":\"$key\"}" "$G/v1/kv/orders/$key" >/dev/null; done
expect "operators" 0 '"scheduler":{"rounds"' curl -sS "$G/v1/operators"
expect "an operator that is none" 0 '"code":"invalid"' curl -sS -d '{"kind":"explode","range":1}' "$G/v1/operators"
expect "nor is this one there to cancel" 0 '"error"' curl -sS -X DELETE "$G/v1/operators/999999"

browser=$(cd "$here" && python3 -c 'import browser; print(browser.find() or "")')
if [ -z "$browser" ]; then
    echo "no Chromium on this machine: the page was tested over HTTP alone, not in a browser"
    finish
    exit
fi

"$quorate" bench kv --keyspace orders --prefix '' --keys 500 --connections 4 --rate 400 --reads 50 --seconds 600 --http "$G" >"$work/load.out" 2>&1 &
load=$!
browse() { # the steps of steps.json, each check one of ours
    timeout 300 python3 "$here/browser.py" "$G" "$work/steps.json" "$work" >"$work/browser.out" 2>&1 || fail "the browser: $(tail -n 3 "$work/browser.out")"
    while IFS= read -r line; do
        case $line in
        "ok "*) pass "${line#ok }" ;;
        *) fail "$line" ;;
        esac
    done <"$work/browser.out"
}
shown() { printf '{"wait": "document.querySelector(\\"#view\\").innerText.includes(\\"%s\\")"}' "$1"; }
cat >"$work/steps.json" <<STEPS
[{"size": [1280, 900]}, {"dark": false}, {"open": "/"},
 {"wait": "document.documentElement.dataset.polls >= 2"},
 {"is": ["what may fail is said", "document.querySelector('.verdict').innerText.includes('1 storage node and 1 metadata server may still fail')"]},
 {"is": ["every range is on the map", "document.querySelectorAll('.strip i').length === state.ranges.length && state.ranges.length >= 8"]},
 {"is": ["load is seen", "state.history.at(-1).writes > 5 && state.history.at(-1).reads > 5"]},
 {"is": ["and its latency", "state.history.at(-1).p99 > 0 && state.history.at(-1).p99 < 60"]},
 {"is": ["heat is painted", "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, document.querySelector('canvas').width, document.querySelector('canvas').height).data].some((v) => v > 0)"]},
 {"shot": "overview"},
 {"open": "/#/ranges"}, $(shown "bucket 1"),
 {"run": "document.querySelectorAll('th[data-sort]')[1].click()"},
 {"is": ["ranges are sorted by id", "document.querySelectorAll('th[data-sort]')[1].innerText.includes('↓')"]},
 {"open": "/#/nodes"}, $(shown "3 of 3 storage nodes up"),
 {"open": "/#/operators"}, $(shown "What the scheduler thinks"),
 {"open": "/#/ledger"}, $(shown "123\u202f456\u202f789\u202f012"),
 {"run": "document.querySelector('button.main').click()"}, $(shown "proven"),
 {"shot": "ledger"},
 {"open": "/#/ledger/account/2"}, $(shown "123\u202f456\u202f788\u202f987"),
 {"open": "/#/ledger/transfer/99"}, $(shown "no such transfer"),
 {"open": "/#/keys/orders/gra"}, {"wait": "document.querySelectorAll('tr.pick').length === 1"},
 {"run": "document.querySelector('tr.pick').click()"}, {"wait": "document.querySelector('textarea') !== null"},
 {"run": "(area => { area.value = '{\"fruit\":\"grape\",\"by\":\"hand\"}'; area.dispatchEvent(new Event('input')); })(document.querySelector('textarea'))"},
 {"run": "document.querySelector('.actions button.main').click()"},
 {"wait": "document.querySelector('.facts').innerText.includes('29 bytes')"},
 {"run": "fetch('/v1/kv/orders/grape', {method: 'PUT', body: 'somebody else'})"},
 {"run": "(area => { area.value = 'late'; area.dispatchEvent(new Event('input')); document.querySelector('.actions button.main').click(); })(document.querySelector('textarea'))"},
 $(shown "it has been changed since it was read"),
 {"size": [390, 844]}, {"dark": true}, {"open": "/#/"}, {"wait": "document.querySelector('.verdict') !== null"},
 {"is": ["dark is dark", "getComputedStyle(document.body).backgroundColor === 'rgb(18, 20, 22)'"]},
 {"is": ["nothing is wider than a phone", "document.documentElement.scrollWidth <= 390"]},
 {"is": ["and all sections are seen on it", "(tabs => tabs.scrollWidth <= tabs.clientWidth)(document.querySelector('#tabs'))"]},
 {"shot": "phone"}]
STEPS
browse
expect "what was changed in the browser" 0 "somebody else" curl -sS "$G/v1/kv/orders/grape"
kill "$load" 2>/dev/null
wait "$load" 2>/dev/null

# --- with users: nothing is seen before somebody has signed in ---
echo 'a long password' >"$work/password"
check "a user" sh -c "'$quorate' user set ada --roles root --password-stdin <'$work/password'"
check "rights are asked for" "$quorate" auth enable
asks() { [ "$(curl -s -o /dev/null -w '%{http_code}' "$G/v1/status")" = 401 ]; }
check "by the gateway" eventually asks
enter() { printf '{"run": "(form => { form.user.value = \"ada\"; form.password.value = \"%s\"; form.requestSubmit(); })(document.querySelector(\"form.sign-in\"))"}' "$1"; }
cat >"$work/steps.json" <<STEPS
[{"size": [1280, 900]}, {"dark": false}, {"open": "/#/nodes"}, {"wait": "document.querySelector('form.sign-in')"},
 {"is": ["nothing is shown to who is not known", "state.status === null && !document.body.innerText.includes('storage node')"]},
 {"is": ["and nothing is called a failure", "document.querySelector('#alarm').hidden"]},
 {"shot": "sign-in"}, $(enter wrong), $(shown "No such user, or not this password"), $(enter "a long password"), $(shown "3 of 3 storage nodes up"),
 {"is": ["who is signed in is said", "document.querySelector('#who').innerText === 'ada'"]},
 {"open": "/#/keys/orders/"}, {"wait": "document.querySelectorAll('tr.pick').length > 2"},
 {"run": "window.former = true; location.reload()"}, {"wait": "!window.former && document.querySelector('#who').innerText === 'ada' && document.querySelectorAll('tr.pick').length > 2"},
 {"run": "document.querySelector('#leave').click()"}, {"wait": "document.querySelector('form.sign-in') && document.querySelector('#leave').hidden"},
 {"is": ["signed out, nothing is kept", "sessionStorage.getItem('session') === null && document.querySelector('#pulse').title === 'not signed in'"]},
 {"size": [390, 844]}, {"dark": true}, {"open": "/#/"}, {"wait": "document.querySelector('form.sign-in')"},
 {"is": ["the form fits a phone", "document.documentElement.scrollWidth <= 390"]}, {"shot": "sign-in-phone"},
 $(enter "a long password"), {"wait": "document.querySelector('.verdict') !== null"}, {"shot": "phone-signed-in"}]
STEPS
browse
finish
