# The audit of `quorate demo bank`, apart from the database's own code:
#   quorate ledger dump | awk -f audit.awk bank-acknowledged.txt -
# First file: "id posted" or "id refused", one line per acknowledged answer. Second: every account and transfer, TAB between the
# words (`quorate ledger dump --help`). Exact means: each account's debits and credits are those of its transfers; debits equal credits;
# no account that may not has spent more than it had; each id is there once; each acknowledged transfer is there as it was
# acknowledged. Amounts are integers far below 2^53, where awk still counts exactly.

BEGIN { FS = "[ \t]" }

function wrong(text) {
    if (++mismatches <= 20) print "bank: MISMATCH: " text
}

FNR == NR {
    if ($2 != "posted" && $2 != "refused") next # a line cut short when a run was killed
    if (("x" $1 in acknowledged) && acknowledged["x" $1] != $2) wrong($1 " was acknowledged both as posted and as refused")
    acknowledged["x" $1] = $2 # "x": ids have more digits than a number
    next
}

$1 == "account" {
    accounts++
    debits["x" $2] = $5
    credits["x" $2] = $6
    if (int($4 / 2) % 2 == 1 && $5 + $7 > $6) wrong("account " $2 " has spent " $5 " of " $6)
    next
}

$1 == "transfer" {
    id = "x" $2
    if (id in seen) wrong("transfer " $2 " is there twice")
    seen[id] = $7
    if ($7 != "created") next
    transfers++
    if ($6 == 0 || int($6 / 4) % 2 == 1) { # plain, or posts a pending one
        spent["x" $3] += $5
        earned["x" $4] += $5
    }
    next
}

$1 == "resolution" { next }

{ wrong("a line that cannot be read: " $0) }

END {
    for (id in debits) {
        if (debits[id] != spent[id] + 0) wrong("account " substr(id, 2) " has debits " debits[id] ", its transfers make " spent[id] + 0)
        if (credits[id] != earned[id] + 0) wrong("account " substr(id, 2) " has credits " credits[id] ", its transfers make " earned[id] + 0)
        all_debits += debits[id]
        all_credits += credits[id]
    }
    for (id in spent) if (!(id in debits)) wrong("account " substr(id, 2) " has transfers and is not there")
    for (id in earned) if (!(id in debits)) wrong("account " substr(id, 2) " has transfers and is not there")
    if (all_debits != all_credits) wrong("debits " all_debits ", credits " all_credits)
    for (id in acknowledged) {
        if (acknowledged[id] == "posted") {
            posted++
            if (seen[id] != "created") wrong("transfer " substr(id, 2) " was acknowledged as posted and is not there")
        } else {
            refused++
            if (seen[id] == "created") wrong("transfer " substr(id, 2) " was refused and is there")
        }
    }
    printf "bank: audit: %d transfers, %d accounts, debits %d = credits %d; %d acknowledged as posted, %d as refused\n", \
        transfers, accounts, all_debits, all_credits, posted, refused
    if (transfers == 0 || posted == 0) wrong("nothing to audit")
    if (mismatches > 0) {
        printf "bank: VERDICT MISMATCH (%d)\n", mismatches
        exit 1
    }
    print "bank: VERDICT exact: every balance is the sum of its transfers, every id is there once, every acknowledged transfer is there"
}
