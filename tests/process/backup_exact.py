"""backup_exact.py QUORATE DIR HISTORY N [KEYSPACE [gaps]]: as of N moments of the history, among them the very timestamps of transfers and those just before, the
backup holds every transfer up to it and none after, and balances that sum up to what they were opened with.
At least a hundred transfers must lie within the archive; with `gaps` fewer will do: who was cut off too long follows anew, and loses the moments between."""
import json, random, subprocess, sys

quorate, folder, history, wanted = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
keyspace = (sys.argv[5:] + ["hashed"])[0]
known, unknown = {}, set()
for line in open(history):
    number, ts = map(int, line.split())
    if ts: known[number] = ts
    else: unknown.add(number)
reach = [json.loads(l) for l in subprocess.check_output([quorate, "backup", "list", folder, "-o", "json"]).splitlines()]
spans = [(int(r["timestamp"]), int(r["restorable_to"])) for r in reach]  # between two there may be a gap of the archive
inside = sorted(ts for ts in known.values() if any(low < ts <= high for low, high in spans))
rng = random.Random(5)
moments = []
for ts in rng.sample(inside, min(len(inside), wanted // 2)): moments += [ts, ts - 1]
bad = 0
for at in sorted(moments):
    rows = {}
    for line in subprocess.check_output([quorate, "backup", "dump", folder, "--keyspace", keyspace, "--at", str(at)]).splitlines():
        row = json.loads(line)
        rows[row["key"]] = row["value"]
    there = {int(k[9:]) for k in rows if k.startswith("transfer/")}
    due = {n for n, ts in known.items() if ts <= at}
    total = sum(int(v) for k, v in rows.items() if k.startswith("acct/"))
    balances = {i: 1000 for i in range(20)}
    for n in there:
        a, b, amount = map(int, rows["transfer/%08d" % n].split())
        balances[a] -= amount
        balances[b] += amount
    fits = all(int(rows["acct/%d" % i]) == balances[i] for i in balances)
    if due - there or (there - due) - unknown or total != 20000 or not fits:
        print("as of %d: missing %s, too many %s, total %d, balances fit: %s" % (at, sorted(due - there)[:5], sorted((there - due) - unknown)[:5], total, fits))
        bad += 1
print("%d moments between the first and the last of %d transfers: %d wrong" % (len(moments), len(inside), bad))
sys.exit(bad != 0 or (len(inside) < 100 and sys.argv[6:] != ["gaps"]))
