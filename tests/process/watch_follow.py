"""A watch under faults: writers put and delete until SIGTERM comes, a follower keeps what a watch tells, and goes on where it stood whenever
the stream ends. watch_follow.py http://HOST:PORT. A line "told" for every 50 changes that were told. At the end: every acknowledged write was told once, in order, and nothing
else but writes whose outcome is unknown. The last line is "N passed, N failed"."""
import http.client
import json
import random
import signal
import sys
import threading

host = sys.argv[1].split("//")[1]
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
acknowledged, unknown, lock = {}, [0], threading.Lock()
told, resumes, failures = [], [0], []
done = threading.Event()
moved = threading.Condition()


def writer(number):
    rng, conn = random.Random(number), None
    n = 0
    while not stopping.is_set():
        n += 1
        key, value = "w/%d" % rng.randint(0, 30), "%d.%d" % (number, n)
        body = json.dumps({"then": [{"put": {"key": key, "value": value}},
                                    {"put": {"key": "w/last%d" % number, "value": value}}]})
        try:
            if conn is None:
                conn = http.client.HTTPConnection(host, timeout=8)
            conn.request("POST", "/v1/txn", body)
            r = conn.getresponse()
            answer = json.loads(r.read())
            if r.status == 200:
                with lock:
                    acknowledged[int(answer["version"])] = {key: value, "w/last%d" % number: value}
            elif answer.get("error", {}).get("outcome") == "unknown":
                unknown[0] += 1
        except (OSError, http.client.HTTPException, ValueError):
            unknown[0] += 1
            conn = None
        done.wait(0.002)


def move(position, ts):
    with moved:
        position[0] = ts
        moved.notify_all()


def follow(position):
    """Until the goal is passed; position: [timestamp]."""
    while not done.is_set():
        conn = http.client.HTTPConnection(host, timeout=4)
        try:
            conn.request("GET", "/v1/watch/default?prefix=w/&progress=200ms", headers={"Last-Event-ID": str(position[0])})
            r = conn.getresponse()
            if r.status != 200:
                text = r.read().decode()
                if "too_old" in text:
                    failures.append("too old: " + text)
                    return
                done.wait(0.2)
                continue
            event, ts = None, None
            while not done.is_set():
                raw = r.readline()
                if not raw:
                    break
                line = raw.decode().rstrip("\n")
                if line.startswith("id: "):
                    ts = int(line[4:])
                elif line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: ") and event == "change":
                    changes = {c["key"]: c.get("value") for c in json.loads(line[6:])["changes"]}
                    if ts <= position[0]:
                        failures.append("%d is told behind %d" % (ts, position[0]))
                    told.append((ts, changes))
                    if len(told) % 50 == 0:
                        print("told", flush=True)
                    move(position, ts)
                elif line.startswith("data: ") and event == "progress":
                    move(position, max(position[0], ts))
                elif line.startswith("data: ") and event == "error":
                    break
        except (OSError, http.client.HTTPException, ValueError):
            done.wait(0.05)
        finally:
            conn.close()
        resumes[0] += 1


def now():
    """A timestamp of now, whatever is down at the moment."""
    while True:
        try:
            conn = http.client.HTTPConnection(host, timeout=8)
            conn.request("GET", "/v1/kv/default?prefix=w/&limit=1&read=snapshot")
            return int(json.loads(conn.getresponse().read())["timestamp"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            done.wait(0.1)


position = [now()]
follower = threading.Thread(target=follow, args=(position,), daemon=True)
follower.start()
writers = [threading.Thread(target=writer, args=(i,)) for i in range(4)]
for w in writers:
    w.start()
for w in writers:
    w.join()
goal = now()
with moved:
    moved.wait_for(lambda: position[0] >= goal or failures, timeout=90)
done.set()

seen = dict(told)
missing = [v for v in acknowledged if v not in seen]
wrong = [v for v in acknowledged if v in seen and seen[v] != acknowledged[v]]
extra = len(seen) - (len(acknowledged) - len(missing))
checks = [("the watch comes to where the cluster is", position[0] >= goal), ("some writes were acknowledged", len(acknowledged) > 50),
          ("each acknowledged write was told (%d missing)" % len(missing), not missing),
          ("whole transactions, with what was written (%d others)" % len(wrong), not wrong),
          ("none twice, in order", len(seen) == len(told) and [t for t, _ in told] == sorted(t for t, _ in told)),
          ("nothing else but what is unknown: %d of %d" % (extra, unknown[0]), extra <= unknown[0]),
          ("no complaint: %s" % failures[:2], not failures)]
print("acknowledged %d, unknown %d, told %d, resumed %d times" % (len(acknowledged), unknown[0], len(told), resumes[0]))
for name, good in checks:
    print("%s  %s" % ("pass" if good else "FAIL", name))
print("%d passed, %d failed" % (sum(g for _, g in checks), sum(not g for _, g in checks)))
sys.exit(0 if all(g for _, g in checks) else 1)
