#!/bin/sh
# What the pages tell people to type works, on a new cluster, in order: docs_commands.py says which pages. A comment that begins with an HTTP status
# (`# 412: ...`) says what is answered, `# until it is stopped` what goes on; `make` is other tests' matter.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$here/../.." || exit 1
quorate=$(cd "$(dirname "$quorate")" && pwd)/quorate

check "each page with commands has a test" sh -c "python3 '$here/docs_commands.py' pages >'$work/pages'"
check "the cluster starts" cluster_start
ready() { curl -sf "$(gateway)/readyz"; }
check "the cluster is ready" eventually ready
second=$(free_base_port) # now that the first one has its ports
mkdir "$work/etc" "$work/backups" "$work/tmp"
PATH=$work/bin:$PATH
mkdir "$work/bin" && ln -s "$quorate" "$work/bin/quorate"
export PATH

# Addresses and folders are this test's.
localised() {
    sed -e "s#http://127.0.0.1:7480#$(gateway)#g" -e "s#build/quorate#quorate#g" -e "s#/backups/#$work/backups/#g" -e "s#/tmp/#$work/tmp/#g" \
        -e "s#/etc/quorate/#$work/etc/#g" -e "s#--out certs#--out $work/certs#" -e "s#--base-port 7700#--base-port $second#" \
        -e 's#\bcurl -u ada #curl -u "ada:a long password" #' -e 's#\bcurl #curl -sS -w "\\nHTTP %{http_code}\\n" #' "$1"
}
# For what goes on: it was well until it was stopped.
for_a_while() { timeout -s INT 3 sh -c "exec $1" || [ $? -eq 124 ]; }
while read -r page; do
    rm -rf "$work/commands" && mkdir "$work/commands"
    check "$page has commands" python3 "$here/docs_commands.py" commands "$page" "$work/commands"
    functions= # those of the page so far
    for file in "$work"/commands/*; do
        command=$(localised "$file")
        case $command in v3*'{ curl'*) functions=$command ;; esac
        case $command in export*) eval "$command" ;; esac
        command="$functions
$command"
        wanted=$(sed -n 's/.*# \([1-5][0-9][0-9]\):.*/\1/p' "$file")
        good=no
        again() { sh -c "$command" >"$work/answer" 2>&1 </dev/null; }
        answered() { if [ -n "$wanted" ]; then grep -q "^HTTP $wanted" "$work/answer"; else ! grep -q "^HTTP [^2]" "$work/answer"; fi; }
        known() { again && answered; } # a gateway hears of users within a second
        if grep -q '# until it is stopped' "$file"; then
            if for_a_while "$command" >"$work/answer" 2>&1; then good=yes; fi
        elif ! grep -q 'curl\|^v3' "$file"; then # a new range may still be electing its first leader: status says so
            if eventually again; then good=yes; fi
        elif again && answered; then good=yes
        elif [ -z "$wanted" ] && grep -q '^HTTP 401' "$work/answer" && eventually known; then good=yes; fi
        if [ "$good" = yes ]; then pass "$page: $(head -n 1 "$file")"; else
            fail "$page: $(head -n 1 "$file")"
            head -c 800 "$work/answer" | sed 's/^/      /'
        fi
    done
done <"$work/pages"
check "the second cluster stops" "$quorate" cluster stop --dir "$work/tmp/restored"
finish
