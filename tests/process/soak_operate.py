"""soak_operate.py QUORATE BACKUPS STOP TALLY SEED: what operators do, at random, until the file STOP is there: ranges are split, merged and moved, leaderships given
away, nodes drained and taken back, backups made. Beside faults any of it may fail: what must be true afterwards others look at. TALLY: a line for each, its kind and
how it ended."""
import json, os, random, subprocess, sys, time

quorate, backups, stop, tally, seed = sys.argv[1:6]
rng = random.Random(int(seed))


def run(*words, limit=60):
    try:
        return subprocess.run([quorate, *words], capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", "no end")


def ranges():
    answer = run("range", "list", "-o", "json", limit=15)
    return json.loads(answer.stdout)["ranges"] if answer.returncode == 0 else []


def nodes():
    answer = run("node", "list", "-o", "json", limit=15)
    return [n["id"] for n in json.loads(answer.stdout)["nodes"]] if answer.returncode == 0 else []


def split():
    all_ranges = ranges()
    return run("range", "split", str(rng.choice(all_ranges)["id"])) if all_ranges else None


def merge():
    all_ranges = ranges()
    pairs = [(a["id"], b["id"]) for a, b in zip(all_ranges, all_ranges[1:]) if a["keyspace"] == b["keyspace"]]
    return run("range", "merge", *map(str, rng.choice(pairs))) if pairs else None


def move():
    all_ranges, all_nodes = ranges(), nodes()
    if not all_ranges: return None
    r = rng.choice(all_ranges)
    has = [p["node"] for p in r["replicas"]]
    free = [n for n in all_nodes if n not in has]
    if not free: return None
    return run("range", "move", str(r["id"]), "--from", str(rng.choice(has)), "--to", str(rng.choice(free)), "--timeout", "20000")


def transfer():
    all_ranges = ranges()
    if not all_ranges: return None
    r = rng.choice(all_ranges)
    return run("range", "transfer", str(r["id"]), str(rng.choice(r["replicas"])["node"]))


def drain():
    all_nodes = nodes()
    if not all_nodes: return None
    node = str(rng.choice(all_nodes))
    answer = run("node", "drain", node, "--timeout", "10000")
    for _ in range(30):  # it must not stay so
        if run("node", "undrain", node).returncode == 0: break
        time.sleep(1)
    return answer


def backup():
    words = ["--incremental"] if rng.random() < 0.6 else []
    if rng.random() < 0.5: words += ["--rate", str(rng.choice([1, 4, 16]))]
    if rng.random() < 0.3:  # broken off
        job = subprocess.Popen([quorate, "backup", "create", backups, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 3)
        job.kill()
        job.wait()
    return run("backup", "create", backups, *words, limit=100)


kinds = [split, split, merge, merge, move, move, transfer, drain, backup]
with open(tally, "a", buffering=1) as out:
    while not os.path.exists(stop):
        kind = rng.choice(kinds)
        answer = kind()
        how = "nothing" if answer is None else "ok" if answer.returncode == 0 else "not: " + (answer.stderr.strip().splitlines() or [""])[-1][:200]
        out.write("%s %s\n" % (kind.__name__, how))
        if answer is None or answer.returncode != 0: time.sleep(0.3)
        time.sleep(rng.random())
