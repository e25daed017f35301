"""Transactions over HTTP, and what became of them: a load that writes down its history, and a judge of such histories that shares nothing
with the program under test but the history's form (docs/formats/history.md).

    http_history.py load GATEWAY KEYSPACE HISTORY    lists (one request, and in steps), a bank, the ledger; until SIGINT comes
    http_history.py check HISTORY                    exit 0 iff no order of the transactions in real time is contradicted

Lists: each append adds a value that no other one adds, so what was read tells the order of all writes of a key. Edges: write before write,
write before read, read before the write that it did not see, and real time. A cycle is a violation, whatever its kind.
"""
import http.client
import json
import random
import signal
import sys
import threading
import time

LISTS, ACCOUNTS, BALANCE = 12, 24, 1000


class Unknown(Exception):
    pass


class Gateway:
    """One connection; a request that fails on the way has an unknown outcome."""

    def __init__(self, url):
        self.address = url.split("//")[1]
        self.connection = None

    def ask(self, method, path, body=None):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.address, timeout=8)
            self.connection.request(method, path, None if body is None else json.dumps(body))
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as e:
            self.connection = None
            raise Unknown(str(e)) from e
        if answer.status == 504 or b'"outcome":"unknown"' in text:
            raise Unknown(text.decode())
        return answer.status, json.loads(text) if text else {}

    def insist(self, method, path, body):
        """A request with an id: repeated while its outcome is unknown."""
        for i in range(6):
            try:
                return self.ask(method, path, body)
            except Unknown:
                time.sleep(0.1 * (i + 1))
        raise Unknown("after six tries")

    def surely(self, method, path, body):
        """Repeated until it is answered well: who was cut off a moment ago may still refuse."""
        for _ in range(120):
            try:
                status, answer = self.ask(method, path, body)
                if status == 200:
                    return answer
            except Unknown:
                pass
            time.sleep(0.5)
        raise Unknown("after a minute")


class History:
    def __init__(self, path):
        self.file, self.lock, self.ok = open(path, "w"), threading.Lock(), 0

    def note(self, kind, process, value):
        with self.lock:
            self.ok += kind == "ok"
            self.file.write(json.dumps({"type": kind, "process": process, "time": time.monotonic_ns(), "value": value}) + "\n")
            self.file.flush()


def values(text):
    return [int(v) for v in text.split(",")] if text else []


def text_of(result):
    return result.get("value", "") if result.get("found", True) else ""


class Worker(threading.Thread):
    def __init__(self, number, gateway, keyspace, ends, history, act):
        super().__init__(daemon=True)
        self.number, self.gateway, self.keyspace, self.ends = number, Gateway(gateway), keyspace, ends
        self.history, self.act, self.random, self.made = history, act, random.Random(number), 0

    def run(self):
        while not self.ends.is_set():
            try:
                self.act(self)
            except Unknown:
                time.sleep(0.05)

    def new_value(self):
        self.made += 1
        return self.number * 1000000 + self.made

    def some_lists(self, count):
        return ["list/%d" % n for n in self.random.sample(range(LISTS), count)]

    def judged(self, value, act):
        """Notes what is about to be done and what became of it; act returns what was done, None: certainly nothing."""
        process = self.number * 1000000 + self.made  # each its own: one that is unknown is never continued
        self.history.note("invoke", process, value)
        try:
            done = act()
        except Unknown:
            self.history.note("info", process, value)
            raise
        self.history.note("fail" if done is None else "ok", process, value if done is None else done)


def one_request(w):
    """Appends to two lists if they are as they were read a moment ago, else reads them: of one instant in any case."""
    keys, value = w.some_lists(2), w.new_value()
    status, before = w.gateway.ask("POST", "/v1/txn", {"keyspace": w.keyspace, "then": [{"get": {"key": k}} for k in keys]})
    if status != 200:
        return
    texts = [text_of(r) for r in before["results"]]
    compare = [{"key": k, "target": "value", "value": t} if t else {"key": k, "target": "exists", "exists": False} for k, t in zip(keys, texts)]
    put = [{"put": {"key": k, "value": (t + "," if t else "") + str(value)}} for k, t in zip(keys, texts)]
    request = {"id": "h-%d" % value, "keyspace": w.keyspace, "compare": compare, "then": put, "else": [{"get": {"key": k}} for k in keys]}

    def act():
        status, answer = w.gateway.insist("POST", "/v1/txn", request)
        if status != 200:
            return None
        if not answer["succeeded"]:
            return [["r", k, values(text_of(r))] for k, r in zip(keys, answer["results"])]
        return [m for k, t in zip(keys, texts) for m in (["r", k, values(t)], ["append", k, value])]

    w.judged([["append", k, value] for k in keys], act)


def in_steps(w):
    """Reads three lists in a session and appends to one or two of them; some only read."""
    keys, value, writes = w.some_lists(3), w.new_value(), w.random.randrange(3)
    plan = [["r", k, None] for k in keys] + [["append", k, value] for k in keys[:writes]]

    def act():
        status, begun = w.gateway.ask("POST", "/v1/txn/begin", {"keyspace": w.keyspace})
        if status != 201:
            return None
        at = "/v1/txn/" + begun["session"]
        try:
            status, answer = w.gateway.ask("POST", at, {"ops": [{"get": {"key": k}} for k in keys]})
            if status != 200:
                return None
            texts = [text_of(r) for r in answer["results"]]
            if writes:
                puts = [{"put": {"key": k, "value": (t + "," if t else "") + str(value)}} for k, t in zip(keys[:writes], texts)]
                if w.gateway.ask("POST", at, {"ops": puts})[0] != 200:
                    return None
        except Unknown:
            return None  # nothing is written before the commit
        if w.gateway.ask("POST", at + "/commit")[0] != 200:
            return None
        return [["r", k, values(t)] for k, t in zip(keys, texts)] + [["append", k, value] for k in keys[:writes]]

    w.judged(plan, act)


def transfer(w):
    a, b = w.random.sample(range(ACCOUNTS), 2)
    amount, number = w.random.randrange(1, 300), w.new_value()
    w.gateway.insist("POST", "/v1/txn", {"id": "t-%d" % number, "keyspace": w.keyspace, "then": [
        {"add": {"key": "bank/%02d" % a, "delta": str(-amount), "min": "0"}}, {"add": {"key": "bank/%02d" % b, "delta": str(amount)}}]})


def balances(w):
    """All of them: in one request of gets, or by a scan in a session."""
    if w.random.random() < 0.5:
        request = {"keyspace": w.keyspace, "then": [{"get": {"key": "bank/%02d" % n}} for n in range(ACCOUNTS)]}
        status, answer = w.gateway.ask("POST", "/v1/txn", request)
        found = {"bank/%02d" % n: int(r["value"]) for n, r in enumerate(answer["results"])} if status == 200 else None
    else:
        status, begun = w.gateway.ask("POST", "/v1/txn/begin", {"keyspace": w.keyspace})
        if status != 201:
            return
        status, answer = w.gateway.ask("POST", "/v1/txn/" + begun["session"], {"ops": [{"scan": {"prefix": "bank/"}}]})
        found = {r["key"]: int(r["value"]) for r in answer["results"][0]["rows"]} if status == 200 else None
    if found is not None:
        w.history.note("ok", 0, found)
    time.sleep(0.05)


def ledger(w):
    a, b = w.random.sample(range(1, ACCOUNTS + 1), 2)
    one = {"id": str(w.new_value()), "debit_account_id": str(a), "credit_account_id": str(b), "amount": str(w.random.randrange(1, 300)), "ledger": 1, "code": 1}
    w.history.note("invoke", int(one["id"]), {"ledger": one})
    try:
        status, answer = w.gateway.insist("POST", "/v1/ledger/transfers", one)
    except Unknown:
        w.history.note("info", int(one["id"]), {"ledger": one})
        raise
    told = answer.get("result") if status == 200 else None
    w.history.note("ok" if told else "info", int(one["id"]), {"ledger": one, "result": told})


def everything_ledger(gateway):
    accounts, transfers = [], []
    for what, into in (("accounts", accounts), ("transfers", transfers)):
        following = ""
        while True:
            page = gateway.surely("GET", "/v1/ledger/%s?limit=500%s" % (what, following), None)
            into += page[what]
            if not page.get("more"):
                break
            following = "&next=" + str(page["next"])
    return {"accounts": accounts, "transfers": transfers}


def load(url, keyspace, path):
    ends = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ends.set())
    g, history = Gateway(url), History(path)
    fill = [{"add": {"key": "bank/%02d" % n, "delta": str(BALANCE), "max": str(BALANCE)}} for n in range(ACCOUNTS)]
    g.surely("POST", "/v1/txn", {"id": "fill", "keyspace": keyspace, "then": fill})
    made = [{"id": str(n), "ledger": 1, "code": 1, "flags": ["debits_must_not_exceed_credits"] if n % 2 else []} for n in range(1, ACCOUNTS + 1)]
    g.surely("POST", "/v1/ledger/accounts", made)
    acts = [one_request] * 4 + [in_steps] * 4 + [transfer] * 3 + [balances] + [ledger] * 3
    workers = [Worker(n + 1, url, keyspace, ends, history, act) for n, act in enumerate(acts)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    last = Worker(len(acts) + 1, url, keyspace, ends, history, None)  # everything is there at the end
    keys = ["list/%d" % n for n in range(LISTS)]
    request = {"id": "last", "keyspace": keyspace, "then": [{"get": {"key": k}} for k in keys]}
    last.judged([["r", k, None] for k in keys],
                lambda: [["r", k, values(text_of(r))] for k, r in zip(keys, g.surely("POST", "/v1/txn", request)["results"])])
    history.note("ok", 0, {"books": everything_ledger(g)})
    print("%d answers" % history.ok)


# --- the judge ---


class Violation(Exception):
    pass


def demand(holds, text, *about):
    if not holds:
        raise Violation(text % about)


def read_history(path):
    """Transactions of lists; readings of the bank; transfers of the ledger, and its books."""
    txns, open_ones, bank, sent, books = [], {}, [], {}, None
    for line in open(path):
        e = json.loads(line)
        v = e["value"]
        if isinstance(v, dict):
            if "ledger" in v:
                sent.setdefault(v["ledger"]["id"], {"transfer": v["ledger"], "results": set()})["results"] |= {v["result"]} if v.get("result") else set()
            elif "books" in v:
                books = v["books"]
            else:
                bank.append(v)
        elif e["type"] == "invoke":
            open_ones[e["process"]] = {"begun": e["time"], "ended": None, "type": "info", "ops": v}
            txns.append(open_ones[e["process"]])
        else:
            t = open_ones.pop(e["process"])
            t["type"], t["ops"] = e["type"], v
            t["ended"] = e["time"] if e["type"] == "ok" else None
    return txns, bank, sent, books


def orders_of(txns):
    """By key, the values in their order: the longest reading, of which every other one is a prefix."""
    orders = {}
    reads = [(k, v) for t in txns if t["type"] == "ok" for f, k, v in t["ops"] if f == "r"]
    for k, v in reads:
        demand(len(set(v)) == len(v), "%s was read with a value twice: %s", k, v)
        if len(v) > len(orders.get(k, [])):
            orders[k] = v
    for k, v in reads:
        demand(orders.get(k, [])[: len(v)] == v, "%s was read as %s and as %s: no order of its writes gives both", k, v, orders.get(k))
    return orders


def edges_of(txns, orders):
    writer = {(k, v): i for i, t in enumerate(txns) for f, k, v in t["ops"] if f == "append"}
    edges = {}

    def add(a, b, kind):
        if a != b:
            edges.setdefault(a, {}).setdefault(b, kind)

    for k, order in orders.items():
        for v in order:
            demand((k, v) in writer, "%s holds %d, which nobody wrote", k, v)
            demand(txns[writer[k, v]]["type"] != "fail", "%s holds %d, of a transaction that was told to have failed", k, v)
        for a, b in zip(order, order[1:]):
            add(writer[k, a], writer[k, b], "ww")
    for i, t in enumerate(txns):
        for f, k, v in t["ops"]:
            order = orders.get(k, [])
            if f == "append" and t["type"] == "ok":
                demand(v in order, "%d was acknowledged in %s and is not there", v, k)
            if f == "r" and t["type"] == "ok":
                if v:
                    add(writer[k, v[-1]], i, "wr")
                if len(v) < len(order):
                    add(i, writer[k, order[len(v)]], "rw")
    ends = sorted((t["ended"], i) for i, t in enumerate(txns) if t["ended"])
    begins = sorted((t["begun"], i) for i, t in enumerate(txns) if t["type"] != "fail")
    at, node = 0, None  # a chain of moments: who ended before, who begins behind
    for begun, i in begins:
        while at < len(ends) and ends[at][0] < begun:
            moment = ("moment", at)
            if node is not None:
                add(node, moment, "time")
            add(ends[at][1], moment, "time")
            node, at = moment, at + 1
        if node is not None:
            add(node, i, "time")
    return edges


def find_cycle(edges):
    """Depth first, without recursion: 1 on the path, 2 done."""
    state, path = {}, []
    for root in list(edges):
        if root in state:
            continue
        stack = [(root, iter(edges.get(root, {})))]
        state[root] = 1
        path = [root]
        while stack:
            at, following = stack[-1]
            nxt = next(following, None)
            if nxt is None:
                state[at] = 2
                stack.pop()
                path.pop()
            elif state.get(nxt) == 1:
                return path[path.index(nxt):]
            elif nxt not in state:
                state[nxt] = 1
                path.append(nxt)
                stack.append((nxt, iter(edges.get(nxt, {}))))
    return None


def check_lists(txns):
    edges = edges_of(txns, orders_of(txns))
    cycle = find_cycle(edges)
    if cycle is None:
        return
    kinds = [edges[a][b] for a, b in zip(cycle, cycle[1:] + cycle[:1])]
    real = [k for k in kinds if k != "time"]
    name = "G0" if set(real) <= {"ww"} else "G1c" if "rw" not in real else "G-single" if real.count("rw") == 1 else "G2"
    told = "\n".join("  %s %s" % (k, txns[i]["ops"] if isinstance(i, int) else "") for i, k in zip(cycle, kinds) if isinstance(i, int))
    raise Violation("a cycle (%s%s):\n%s" % (name, " with real time" if "time" in kinds else "", told))


def check_bank(readings):
    for r in readings:
        demand(sum(r.values()) == sum(readings[0].values()), "balances do not sum up: %s", r)
        demand(min(r.values()) >= 0, "a balance below zero: %s", r)


def check_books(sent, books):
    if books is None:
        demand(not sent, "the books are missing at the end")
        return
    held = {t["id"]: t for t in books["transfers"]}
    totals = {}
    for i, s in sent.items():
        result, there = s["results"], held.get(i)
        moved = there is not None and there.get("state", "posted") == "posted"
        demand(not ({"created", "exists"} & result) or moved, "transfer %s was acknowledged (%s) and has not happened", i, result)
        demand(not moved or result <= {"created", "exists"}, "transfer %s has happened and was told %s", i, result)
    for t in held.values():
        if t.get("state", "posted") != "posted":
            continue
        demand(t["id"] in sent and t["amount"] == sent[t["id"]]["transfer"]["amount"], "a transfer that nobody sent: %s", t)
        for account, side in ((t["debit_account_id"], "debits_posted"), (t["credit_account_id"], "credits_posted")):
            totals[account, side] = totals.get((account, side), 0) + int(t["amount"])
    for a in books["accounts"]:
        for side in ("debits_posted", "credits_posted"):
            demand(int(a[side]) == totals.get((a["id"], side), 0), "account %s: %s is %s, its transfers sum up to %d", a["id"], side, a[side], totals.get((a["id"], side), 0))
        limited = "debits_must_not_exceed_credits" in a.get("flags", [])
        demand(not limited or int(a["debits_posted"]) <= int(a["credits_posted"]), "account %s has spent more than it had", a["id"])


def check(path):
    txns, bank, sent, books = read_history(path)
    try:
        check_lists(txns)
        check_bank(bank)
        check_books(sent, books)
    except Violation as v:
        print("VERDICT violated: %s" % v)
        return 1
    told = {k: sum(t["type"] == k for t in txns) for k in ("ok", "fail", "info")}
    print("%s transactions, %d readings of the bank, %d transfers: VERDICT strictly serializable" % (told, len(bank), len(sent)))
    return 0


if __name__ == "__main__":
    sys.exit(load(*sys.argv[2:]) if sys.argv[1] == "load" else check(sys.argv[2]))
