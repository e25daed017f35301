"""backup_bank.py GATEWAY HISTORY STOP [KEYSPACE]: transfers between accounts, over HTTP, until the file STOP is there (or so many, if it is a number). Each is one
transaction: two balances, and a row under its number. HISTORY: a line for each, number and commit timestamp; 0: the outcome is not known."""
import json, os, random, sys, threading, time, urllib.request

gateway, history, stop = sys.argv[1:4]
keyspace = (sys.argv[4:] + ["hashed"])[0]
accounts, first = 20, 1000
lock, lines, count = threading.Lock(), open(history, "w"), [0]


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(gateway + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def running():
    return count[0] < int(stop) if stop.isdigit() else not os.path.exists(stop)


def transfer(number, rng):
    a, b = rng.sample(range(accounts), 2)
    amount = rng.randrange(1, 10)
    ops = [
        {"add": {"key": "acct/%d" % a, "delta": str(-amount)}},
        {"add": {"key": "acct/%d" % b, "delta": str(amount)}},
        {"put": {"key": "transfer/%08d" % number, "value": "%d %d %d" % (a, b, amount)}},
    ]
    try:
        return int(ask("POST", "/v1/txn", {"keyspace": keyspace, "id": "%s-%s-%d" % (keyspace, os.getpid(), number), "then": ops})["version"])
    except Exception as e:
        print("transfer %d: %s %s" % (number, e, e.read().decode() if hasattr(e, "read") else ""), file=sys.stderr)
        return 0


def work(seed):
    rng = random.Random(seed)
    while running():
        with lock:
            count[0] += 1
            number = count[0]
        ts = transfer(number, rng)
        with lock:
            lines.write("%d %d\n" % (number, ts))


def open_accounts():
    """Under one id until there is an answer: the first fault may come at once."""
    opening = [{"add": {"key": "acct/%d" % i, "delta": str(first)}} for i in range(accounts)]
    while True:
        try:
            return ask("POST", "/v1/txn", {"keyspace": keyspace, "id": "%s-opens" % keyspace, "then": opening})
        except Exception as e:
            print("opening: %s" % e, file=sys.stderr)
            if not running(): raise
            time.sleep(0.5)


if not stop.isdigit(): open_accounts()
threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
for t in threads: t.start()
for t in threads: t.join()
lines.close()
known = sum(1 for l in open(history) if not l.endswith(" 0\n"))
print("%d transfers, %d of them known" % (count[0], known))
sys.exit(known < 20)
