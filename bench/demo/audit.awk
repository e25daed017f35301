# The audit of `quorate demo bank`, apart from the database's own code:
#   quorate scan bank -o plain | awk -f audit.awk bank-acknowledged.txt -
# First file: "id posted" or "id refused", one line per acknowledged answer. Second: the rows, "key TAB value".
# Exact means: each balance is the sum of its history rows; each id is in the history at most once; each acknowledged
# posting is there; nothing that was refused is there. Amounts are integers far below 2^53, where awk still counts exactly.

BEGIN { FS = "[ \t]" }

function wrong(text) {
    if (++mismatches <= 20) print "bank: MISMATCH: " text
}

FNR == NR {
    if ($2 != "posted" && $2 != "refused") next # a line cut short when a run was killed
    if (($1 in acknowledged) && acknowledged[$1] != $2) wrong($1 " was acknowledged both as posted and as refused")
    acknowledged[$1] = $2
    next
}

$1 ~ /^b\/[0-9]+\/hist\// {
    split($1, part, "/")
    branch = part[2]; id = part[4]
    amount = $4; sub(/^amount=/, "", amount)
    account = $2; sub(/^acct=/, "", account)
    teller = $3; sub(/^teller=/, "", teller)
    if (amount !~ /^-?[0-9]+$/ || NF != 4) wrong("history row " $1 " cannot be read: " $0)
    if (id in history) wrong(id " was posted twice")
    history[id] = 1
    rows++
    sum["b/" branch "/acct/" account] += amount
    sum["b/" branch "/teller/" teller] += amount
    sum["b/" branch "/branch"] += amount
    next
}

$1 ~ /^b\/[0-9]+\/(acct|teller)\// || $1 ~ /^b\/[0-9]+\/branch$/ {
    if ($2 !~ /^-?[0-9]+$/) wrong($1 " is no number: " $2)
    if ($1 ~ /acct/ && $2 < 0) wrong($1 " is overdrawn: " $2)
    balance[$1] = $2
    balances++
    if ($1 ~ /branch$/) total += $2
    next
}

$1 == "run" || $1 == "shape" { next }

{ wrong("a row that nobody wrote: " $0) }

END {
    for (key in balance) {
        if (balance[key] != sum[key] + 0) wrong(key " holds " balance[key] ", its history rows sum up to " sum[key] + 0)
    }
    for (key in sum) if (!(key in balance)) wrong(key " has history rows and no balance")
    for (id in acknowledged) {
        if (acknowledged[id] == "posted") {
            posted++
            if (!(id in history)) wrong(id " was acknowledged as posted and is not there")
        } else {
            refused++
            if (id in history) wrong(id " was refused and is there")
        }
    }
    printf "bank: audit: %d history rows, %d balances, money in all branches %d; %d acknowledged as posted, %d as refused\n", \
        rows, balances, total, posted, refused
    if (rows == 0 || posted == 0) wrong("nothing to audit")
    if (mismatches > 0) {
        printf "bank: VERDICT MISMATCH (%d)\n", mismatches
        exit 1
    }
    print "bank: VERDICT exact: every balance is the sum of its history, every id posted once, every acknowledged posting is there"
}
