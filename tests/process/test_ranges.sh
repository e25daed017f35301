#!/bin/sh
# Ranges split and merge by hand under load: no request fails; a node is killed in the middle of them: the history stays sound, the
# map tiles, and what was begun ends. Then by themselves: a hot range is split and spread, and what is cold merges again.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"

ranges_of() { "$quorate" range list --keyspace cut -o json | json "' '.join(str(r['id']) for r in d['ranges'])"; }
count_of() { ranges_of | wc -w; }
load_start() { # NAME: until load_clean
    "$quorate" bench kv --keyspace cut --connections 8 --keys 20000 --reads 50 --rate 1500 --seconds 600 >"$work/$1.out" 2>&1 &
    load=$!
}
load_clean() { # NAME: it ended well, and nothing failed
    load_ended && grep -qE '^errors +0 definite, 0 unknown' "$work/$1.out"
}
tiles() { # each range begins where the one before ends, from the first key to the last
    "$quorate" range list --keyspace cut -o json | json "(lambda r: r[0]['start'] == '' and r[-1]['end'] == '' and
        all(a['end'] == b['start'] for a, b in zip(r, r[1:])))(d['ranges'])" | grep -q True
}
split_all() { # every range of the keyspace, once; what is under way elsewhere refuses for a moment
    for range in $(ranges_of); do eventually "$quorate" range split "$range" && cat "$work/within.out" || return 1; done
}
merge_one() { # the first two
    # shellcheck disable=SC2046 # two words
    "$quorate" range merge $(ranges_of | cut_words)
}
cut_words() { tr ' ' '\n' | head -n 2; }
merge_down() { # until one is left
    for _ in $(seq 200); do
        if [ "$(count_of)" = 1 ]; then return 0; fi
        merge_one >"$work/merge.out" 2>&1 || sleep 0.1
    done
    cat "$work/merge.out"
    ranges_of
    return 1
}

check "the cluster starts" cluster_start
check "no split but by hand" "$quorate" scheduler pause split
check "no merge but by hand" "$quorate" scheduler pause merge
check "a keyspace of one range" "$quorate" keyspace create cut
check "data" "$quorate" bench kv --keyspace cut --connections 8 --depth 8 --keys 20000 --total 20000 --spread sequential
load_start reshaped
sleep 1
comes "a split at a key" 0 "is at version" "$quorate" range split "$(ranges_of)" --at bench/0000010000
counts() { [ "$(count_of)" = "$1" ]; } # the map hears of a new range a moment later
check "there are two" eventually counts 2
check "each half splits at a key of its own choice" split_all
check "there are four" eventually counts 4
check "and again" split_all
check "there are eight" eventually counts 8
check "the map tiles" tiles
check "they merge to one" merge_down
check "the map tiles again" tiles
check "no request has failed meanwhile" load_clean reshaped
cat "$work/reshaped.out"
expect "a range does not merge with itself" 1 "" "$quorate" range merge "$(ranges_of)" "$(ranges_of)"

prefix=torn history_start --keyspace cut
check "history is written" goes_on 20
victim=$(leader_of cut)
(
    for _ in 1 2 3 4; do
        split_all
        merge_one
    done
) >"$work/reshape.out" 2>&1 &
reshape=$!
sleep 0.7
check "the leader is killed in the middle of it" kill -9 "$(pid_of "$victim")"
wait "$reshape"
check "splits and merges have gone on" test "$(grep -c 'is at version' "$work/reshape.out")" -gt 4
check "requests go on" goes_on 20
check "what is left merges to one" merge_down
check "the map tiles at the end" tiles
check "the history is linearizable" history_judge
cat "$work/check.out"

spread() { # within a minute: three nodes lead ranges of it
    for _ in $(seq 120); do
        sleep 0.5
        leads=$("$quorate" range list --keyspace hot -o json | json "len({r['leader'] for r in d['ranges'] if r['leader']})")
        if [ "$leads" = 3 ]; then return 0; fi
    done
    "$quorate" range list --keyspace hot
    "$quorate" op history
    "$quorate" scheduler describe
    return 1
}
alone() { # within 60 s
    for _ in $(seq 120); do
        sleep 0.5
        if [ "$("$quorate" range list --keyspace hot -o json | json "len(d['ranges'])")" = 1 ]; then return 0; fi
    done
    "$quorate" range list --keyspace hot
    "$quorate" op history
    "$quorate" scheduler describe
    return 1
}
check "by themselves again" "$quorate" scheduler resume split
check "hot is what has 300 requests a second" "$quorate" config set range.split_load 300
check "a keyspace for it" "$quorate" keyspace create hot
"$quorate" bench kv --keyspace hot --connections 8 --keys 5000 --reads 50 --spread sequential --seconds 600 >"$work/hot.out" 2>&1 &
load=$!
check "a hot range of sequential keys is split and spread" spread
check "no request has failed meanwhile" load_clean hot
cat "$work/hot.out"
check "a keyspace whose keys only rise" "$quorate" keyspace create rising
"$quorate" bench kv --keyspace rising --connections 8 --keys 100000000 --reads 0 --spread sequential --seconds 600 >"$work/rising.out" 2>&1 &
load=$!
goes_round() { # within a minute: the head has gone to another node
    for _ in $(seq 120); do
        sleep 0.5
        leads=$("$quorate" range list --keyspace rising -o json | json "len({r['leader'] for r in d['ranges'] if r['leader']})")
        if [ "$leads" -ge 2 ]; then return 0; fi
    done
    "$quorate" range list --keyspace rising
    "$quorate" op history
    return 1
}
check "it is cut at its head, which goes round" goes_round
check "no request has failed meanwhile" load_clean rising
cat "$work/rising.out"
check "cold is what has had fewer than 1000 requests a second for 3 s" "$quorate" config set range.merge_age_s 3
check "and this" "$quorate" config set range.merge_load 1000
check "merges again" "$quorate" scheduler resume merge
check "what is cold merges to one" alone
finish
