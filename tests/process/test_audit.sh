#!/bin/sh
# The audit itself: exact books pass, and each kind of wrong book is found. No cluster.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

acks=$work/acks
rows=$work/rows
exact() { # two deposits, one withdrawal, one refusal, one posting whose acknowledgement was never seen
    printf 'open-00-000000 posted\nopen-00-000001 posted\nr00001-0000000 posted\nr00001-0000001 refused\n' >"$acks"
    {
        printf 'b/00/acct/000000\t750\nb/00/acct/000001\t1010\nb/00/branch\t1760\n'
        printf 'b/00/hist/open-00-000000\tacct=000000 teller=00 amount=1000\n'
        printf 'b/00/hist/open-00-000001\tacct=000001 teller=01 amount=1001\n'
        printf 'b/00/hist/r00001-0000000\tacct=000000 teller=01 amount=-250\n'
        printf 'b/00/hist/r00001-0000002\tacct=000001 teller=00 amount=9\n'
        printf 'b/00/teller/00\t1009\nb/00/teller/01\t751\nrun\t1\nshape\t2\n'
    } >"$rows"
}
run_audit() { awk -f "$audit" "$acks" "$rows"; }
edit() { sed "$1" "$2" >"$2.new" && mv "$2.new" "$2"; }

exact
expect "exact books" 0 "VERDICT exact" run_audit
edit 's/^b\/00\/acct\/000000\t750/b\/00\/acct\/000000\t751/' "$rows"
expect "a balance off by one" 1 "b/00/acct/000000 holds 751, its history rows sum up to 750" run_audit
exact
edit '/r00001-0000002/d' "$rows"
expect "a lost history row" 1 "its history rows sum up to" run_audit
exact
edit '/hist\/r00001-0000000/d; s/\t750/\t1000/; s/\t1760/\t2010/; s/\t751/\t1001/' "$rows"
expect "an acknowledged posting lost altogether" 1 "r00001-0000000 was acknowledged as posted and is not there" run_audit
exact
printf 'r00001-0000002 refused\n' >>"$acks"
expect "a refused one that is there" 1 "r00001-0000002 was refused and is there" run_audit
exact
printf 'r00001-0000000 refused\n' >>"$acks"
expect "two answers for one id" 1 "both as posted and as refused" run_audit
exact
printf 'b/01/hist/r00001-0000000\tacct=000000 teller=01 amount=0\nb/01/acct/000000\t0\nb/01/teller/01\t0\nb/01/branch\t0\n' >>"$rows"
expect "an id posted twice" 1 "r00001-0000000 was posted twice" run_audit
exact
edit 's/\t750/\t-250/; s/amount=1000/amount=0/; s/\t1760/\t760/; s/\t1009/\t9/' "$rows"
expect "an overdraft, though the sums agree" 1 "b/00/acct/000000 is overdrawn" run_audit
exact
printf 'b/00/acct/000007\t0\n' >>"$rows"
expect "an account without history, at zero, is no mismatch" 0 "VERDICT exact" run_audit
printf 'b/00/acct/000008\t5\n' >>"$rows"
expect "money without history" 1 "b/00/acct/000008 holds 5" run_audit
exact
printf 'stray\tx\n' >>"$rows"
expect "a row that nobody wrote" 1 "a row that nobody wrote" run_audit
exact
edit 's/amount=9$/amount=9x/' "$rows"
expect "a history row that cannot be read" 1 "cannot be read" run_audit
: >"$rows"
expect "an empty bank" 1 "nothing to audit" run_audit
finish
