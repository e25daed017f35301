#!/bin/sh
# The audit itself: exact books pass, and each kind of wrong book is found. No cluster.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

acks=$work/acks
rows=$work/rows
exact() { # the vault (1) gave 1000 to 11 and 1001 to 12; 11 gave 250 to 12; one was refused; one was never acknowledged
    printf '101 posted\n102 posted\n340282366920938463463374607431768211001 posted\n104 refused\n' >"$acks"
    {
        printf 'account\t1\t840\t0\t2001\t0\t0\t0\naccount\t11\t840\t2\t250\t1000\t0\t0\naccount\t12\t840\t2\t9\t1251\t0\t0\n'
        printf 'account\t13\t840\t2\t0\t9\t0\t0\n'
        printf 'transfer\t101\t1\t11\t1000\t0\tcreated\t0\t0\ntransfer\t102\t1\t12\t1001\t0\tcreated\t0\t0\n'
        printf 'transfer\t340282366920938463463374607431768211001\t11\t12\t250\t0\tcreated\t0\t0\n'
        printf 'transfer\t104\t11\t12\t999999\t0\texceeds_credits\t0\t0\n'
        printf 'transfer\t105\t12\t13\t9\t0\tcreated\t0\t0\n'
    } >"$rows"
}
run_audit() { awk -f "$audit" "$acks" "$rows"; }
edit() { sed "$1" "$2" >"$2.new" && mv "$2.new" "$2"; }
big=340282366920938463463374607431768211001

exact
expect "exact books" 0 "VERDICT exact" run_audit
edit 's/^account\t11\t840\t2\t250/account\t11\t840\t2\t251/' "$rows"
expect "a balance off by one" 1 "account 11 has debits 251, its transfers make 250" run_audit
exact
edit '/^transfer\t105/d' "$rows"
expect "a lost transfer" 1 "its transfers make" run_audit
exact
edit "/^transfer\t$big/d; s/\t250\t1000/\t0\t1000/; s/\t9\t1251/\t9\t1001/" "$rows"
expect "an acknowledged transfer lost altogether" 1 "$big was acknowledged as posted and is not there" run_audit
exact
printf '105 refused\n' >>"$acks"
expect "a refused one that is there" 1 "105 was refused and is there" run_audit
exact
printf '101 refused\n' >>"$acks"
expect "two answers for one id" 1 "both as posted and as refused" run_audit
exact
printf 'transfer\t101\t1\t11\t0\t0\tcreated\t0\t0\n' >>"$rows"
expect "an id that is there twice" 1 "transfer 101 is there twice" run_audit
exact # ids beyond 2^53 that differ in the last digit are two
printf 'transfer\t340282366920938463463374607431768211002\t11\t12\t0\t0\tcreated\t0\t0\n' >>"$rows"
expect "long ids are told apart" 0 "VERDICT exact" run_audit
exact
edit 's/\t1000\t0\tcreated/\t100\t0\tcreated/; s/\t250\t1000/\t250\t100/; s/\t2001\t/\t1101\t/' "$rows"
expect "an overdraft, though the sums agree" 1 "account 11 has spent 250 of 100" run_audit
exact
printf 'account\t14\t840\t2\t0\t0\t0\t0\n' >>"$rows"
expect "an account without transfers, at zero, is no mismatch" 0 "VERDICT exact" run_audit
printf 'account\t15\t840\t0\t0\t5\t0\t0\n' >>"$rows"
expect "money from nowhere" 1 "account 15 has credits 5" run_audit
exact
printf 'transfer\t106\t77\t78\t0\t0\tcreated\t0\t0\n' >>"$rows"
expect "a transfer between accounts that are not there" 1 "has transfers and is not there" run_audit
exact
printf 'stray\tx\n' >>"$rows"
expect "a line that cannot be read" 1 "cannot be read" run_audit
: >"$rows"
expect "an empty bank" 1 "nothing to audit" run_audit
finish
