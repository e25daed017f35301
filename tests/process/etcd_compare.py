"""Side by side with Debian's etcd: the same random calls to both, and the answers compared field by field.

    etcd_compare.py OURS THEIRS [CALLS] [SEED]        each http://HOST:PORT; the last line is "N passed, N failed"

Revisions differ by nature: theirs count, ours are timestamps (docs/etcd.md). A write gives a pair of them; everywhere else
what stands in the same place must be such a pair. Headers of reads must not be older than the last write."""
import base64
import http.client
import json
import random
import sys
import time

PREFIXES = [b"a", b"ab", b"b/", b"c"]


def b64(data):
    return base64.b64encode(data).decode()


class Server:
    def __init__(self, url):
        self.host = url.split("//")[1]
        self.conn = http.client.HTTPConnection(self.host, timeout=60)
        self.tokens = {}  # user -> token

    def call(self, path, body, who=None):
        headers = {"Authorization": self.tokens.get(who, "no-such-token.1")} if who else {}
        self.conn.request("POST", "/v3/" + path, json.dumps(body), headers)
        r = self.conn.getresponse()
        text = r.read().decode()
        return r.status, json.loads(text) if text.startswith("{") else text

    def lines(self, path, body, wanted):
        """What a stream brings, until `wanted` says that it is enough."""
        conn = http.client.HTTPConnection(self.host, timeout=60)
        conn.request("POST", "/v3/" + path, body)
        r = conn.getresponse()
        got = []
        while not wanted(got):
            line = r.readline()
            if not line:
                break
            if line.strip():
                got.append(json.loads(line))
        conn.close()
        return got


class Compare:
    def __init__(self, ours, theirs, seed):
        self.ours, self.theirs, self.rng = Server(ours), Server(theirs), random.Random(seed)
        self.pairs = {}  # their revision -> ours
        self.passed, self.failures = 0, []
        self.leases = []
        self.compacted = None
        self.put_within = []  # keys that the transaction being drawn puts
        self.ordered = False  # no range ends before it begins

    # --- comparing ---

    def same(self, a, b, path, tied=False):
        """Differences of ours (a) and theirs (b), as text; '' when there are none."""
        key = path.rsplit(".", 1)[-1]
        if key in ("create_revision", "mod_revision", "compact_revision"):
            if b is None or a is None:
                return "" if a == b else "%s: %r, theirs %r" % (path, a, b)
            return "" if self.pairs.get(int(b)) == int(a) else "%s: %s is not the pair of %s (%s)" % (
                path, a, b, self.pairs.get(int(b)))
        if key == "header":
            return "" if set(a or {}) == set(b or {}) else "%s: fields %s, theirs %s" % (path, sorted(a), sorted(b))
        if isinstance(a, dict) and isinstance(b, dict):
            for k in sorted(set(a) | set(b)):
                d = self.same(a.get(k), b.get(k), path + "." + k, tied)
                if d:
                    return d
            return ""
        if isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return "%s: %d elements, theirs %d" % (path, len(a), len(b))
            if tied and key == "kvs":
                a, b = (sorted(x, key=lambda kv: kv["key"]) for x in (a, b))
            if key == "events":  # those of one revision have no promised order
                a, b = (sorted(x, key=lambda e: (int(e["kv"]["mod_revision"]), e["kv"]["key"])) for x in (a, b))
            for i, (x, y) in enumerate(zip(a, b)):
                d = self.same(x, y, "%s[%d]" % (path, i), tied)
                if d:
                    return d
            return ""
        return "" if a == b else "%s: %r, theirs %r" % (path, a, b)

    def both(self, path, body, mine=None, tied=False, who=None):
        """mine: the body for us, where it names revisions. who: the user, when rights are asked for."""
        t_status, t = self.theirs.call(path, body, who)
        o_status, o = self.ours.call(path, mine if mine is not None else body, who)
        if path == "auth/authenticate" and t_status == 200 and o_status == 200:
            self.theirs.tokens[body["name"]], self.ours.tokens[body["name"]] = t.pop("token"), o.pop("token")
        if t_status == 200 and o_status == 200 and isinstance(t, dict) and isinstance(o, dict):
            tr, r = int(t["header"]["revision"]), int(o["header"]["revision"])
            if path in ("kv/put", "kv/deleterange", "kv/txn", "lease/revoke"):
                if tr not in self.pairs:
                    self.pairs[tr] = r  # a write
        # Code 9 is 412 in the grpc-gateway of etcd 3.4, and 400 since.
        d = "" if t_status == o_status or (t_status, o_status) == (412, 400) else "status %d, theirs %d" % (o_status, t_status)
        # A token that is over is refused here before the request is looked at, there behind what is wrong with the request.
        if who and (t_status, o_status) == (400, 401) and o.get("code") == 16:
            d = ""
        else:
            d = d or self.same(o, t, "", tied)
        if d:
            self.failures.append("%s %s %s\n    %s\n    ours   %s\n    theirs %s" % (
                path, who or "", json.dumps(body), d, json.dumps(o)[:500], json.dumps(t)[:500]))
        else:
            self.passed += 1
        return t

    # --- drawing ---

    def key(self):
        return self.rng.choice(PREFIXES) + bytes(self.rng.choice(b"xyz\x00\xff") for _ in range(self.rng.randint(0, 2)))

    def span(self, body):
        key = self.key()
        body["key"] = b64(key)
        luck = self.rng.random()
        if luck < 0.25:
            prefix = self.rng.choice(PREFIXES)
            body["key"], body["range_end"] = b64(prefix), b64(prefix[:-1] + bytes([prefix[-1] + 1]))
        elif luck < 0.35:
            body["range_end"] = b64(b"\0")
        elif luck < 0.4:
            body["key"] = body["range_end"] = b64(b"\0")
        elif luck < 0.5:
            end = self.key()
            # Whether an empty range may be asked for is decided by chance in etcd 3.4 (docs/etcd.md).
            if not self.ordered or key < end:
                body["range_end"] = b64(end)
        return body

    def revision(self, bodies, name):
        """A pair of revisions of late: theirs into the first body, ours into the second."""
        pairs = sorted(self.pairs.items())[-40:]
        if pairs:
            t, o = self.rng.choice(pairs)
            bodies[0][name], bodies[1][name] = str(t), str(o)

    def range_body(self, within=False):
        body = self.span({})
        for flag in ("keys_only", "count_only", "serializable"):
            if self.rng.random() < 0.15 and flag != "serializable":
                body[flag] = True
        tied = False
        if self.rng.random() < 0.4:
            body["sort_target"] = self.rng.choice(["KEY", "MOD", "CREATE", "VERSION", "VALUE", 3])
            body["sort_order"] = self.rng.choice(["NONE", "ASCEND", "DESCEND", 1])
            tied = body["sort_target"] not in ("KEY",)
        if self.rng.random() < 0.3 and not tied:
            body["limit"] = self.rng.choice([1, "2", 3, "100"])
        bodies = (body, dict(body))
        if self.rng.random() < 0.3:
            self.revision(bodies, self.rng.choice(
                ["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"]))
        if self.rng.random() < 0.2 and not within:
            self.revision(bodies, "revision")
        return bodies[0], bodies[1], tied

    def put_body(self):
        body = {"key": b64(self.key())}
        if self.rng.random() < 0.9:
            body["value"] = b64(bytes(self.rng.choice(b"0123") for _ in range(self.rng.randint(0, 3))))
        for flag, odds in (("prev_kv", 0.4), ("ignore_value", 0.1), ("ignore_lease", 0.1)):
            if self.rng.random() < odds:
                body[flag] = True
        if self.rng.random() < 0.15:
            body["lease"] = str(self.rng.choice(self.leases + [999]))
        return body

    def compare_body(self):
        body = self.span({}) if self.rng.random() < 0.3 else {"key": b64(self.key())}
        if self.put_within and self.rng.random() < 0.7:  # etcd judges it on the state before that put
            body = {"key": self.rng.choice(self.put_within)}
        body["target"] = self.rng.choice(["VERSION", "CREATE", "MOD", "VALUE", "LEASE"])
        if self.rng.random() < 0.8:
            body["result"] = self.rng.choice(["EQUAL", "GREATER", "LESS", "NOT_EQUAL", 0])
        bodies = (body, dict(body))
        if body["target"] == "VERSION":
            bodies[0]["version"] = bodies[1]["version"] = self.rng.choice([0, "1", 2])
        elif body["target"] == "VALUE":
            bodies[0]["value"] = bodies[1]["value"] = b64(self.rng.choice([b"", b"1", b"22"]))
        elif body["target"] == "LEASE":
            bodies[0]["lease"] = bodies[1]["lease"] = str(self.rng.choice(self.leases + [0]))
        else:
            name = "create_revision" if body["target"] == "CREATE" else "mod_revision"
            if self.rng.random() < 0.5:
                bodies[0][name] = bodies[1][name] = 0
            else:
                self.revision(bodies, name)
        return bodies

    def txn_body(self, depth=0):
        theirs, mine, tied = {}, {}, False
        if depth == 0:
            self.put_within = []
        compares = [self.compare_body() for _ in range(self.rng.randint(0, 2))]
        theirs["compare"], mine["compare"] = [c[0] for c in compares], [c[1] for c in compares]
        for branch in ("success", "failure"):
            theirs[branch], mine[branch] = [], []
            for _ in range(self.rng.randint(0, 3)):
                luck = self.rng.random()
                if luck < 0.4:
                    a, b, more = self.range_body(within=True)
                    tied = tied or more
                    name = "request_range"
                elif luck < 0.7:
                    a = b = self.put_body()
                    self.put_within.append(a["key"])
                    name = "requestPut" if self.rng.random() < 0.3 else "request_put"
                elif luck < 0.85 or depth > 0:
                    a = b = self.span({"prev_kv": self.rng.random() < 0.5})
                    while a.get("range_end") == b64(b"\0"):  # etcd does not see that it meets puts (docs/etcd.md)
                        a = b = self.span({})
                    name = "request_delete_range"
                else:
                    a, b, more = self.txn_body(depth + 1)
                    tied = tied or more
                    name = "request_txn"
                theirs[branch].append({name: a})
                mine[branch].append({name: b})
        return theirs, mine, tied

    # --- steps ---

    def step(self):
        luck = self.rng.random()
        if luck < 0.35:
            self.both("kv/put", self.put_body())
        elif luck < 0.65:
            a, b, tied = self.range_body()
            self.both("kv/range", a, b, tied)
        elif luck < 0.75:
            self.both("kv/deleterange", self.span({"prev_kv": self.rng.random() < 0.5}))
        elif luck < 0.9:
            a, b, tied = self.txn_body()
            self.both("kv/txn", a, b, tied)
        elif luck < 0.94:
            lease = self.rng.randint(1, 30)
            t = self.both("lease/grant", {"ID": lease, "TTL": str(self.rng.randint(300, 900))})
            if "ID" in t:
                self.leases.append(lease)
        elif luck < 0.96:
            self.both("lease/revoke", {"ID": str(self.rng.choice(self.leases + [777]))})
        elif luck < 0.97:
            a, b = {}, {}
            self.revision((a, b), "revision")
            if a and self.rng.random() < 0.3:
                if "error" not in self.both("kv/compaction", a, b):
                    self.compacted = int(a["revision"])
        else:
            self.wrong()

    def wrong(self):
        path, body = self.rng.choice([
            ("kv/range", {}), ("kv/put", {"value": "YQ=="}), ("kv/deleterange", {}), ("lease/revoke", {"ID": 4711}),
            ("kv/put", {"key": "YQ==", "lease": "123456"}), ("kv/range", {"key": "YQ==", "revision": str(1 << 62)}),
            ("kv/put", {"key": "eA==", "ignore_value": True, "value": "YQ=="}),
            ("kv/put", {"key": "enp6eg==", "ignore_value": True}), ("lease/grant", {"TTL": "9000000001"}),
            ("kv/txn", {"success": [{"request_put": {"key": "YQ=="}}, {"request_put": {"key": "YQ=="}}]}),
            ("kv/txn", {"success": [{"request_range": {"key": "YQ=="}}] * 129}), ("kv/txn", {"success": [{}]}), ("kv/txn", {"success": [{"request_delete_range": {}}]}),
            ("kv/compaction", {"revision": str(1 << 62)}), ("auth/authenticate", {"name": "u", "password": "p"})])
        self.both(path, body)

    # --- users, roles, permissions ---

    USERS = ["root", "ann", "ben", "cyd"]
    ROLES = ["reader", "writer", "other"]

    def permission(self):
        body = self.span({})
        if self.rng.random() < 0.9:
            body["permType"] = self.rng.choice(["READ", "WRITE", "READWRITE", 2])
        return body

    def auth_step(self, who=None):
        """A request about users or roles. Those of root's are left alone: they keep the way back."""
        user, role = self.rng.choice(self.USERS[1:] + ["nobody"]), self.rng.choice(self.ROLES + ["absent"])
        permission = self.permission()
        path, body = self.rng.choice([
            ("auth/user/add", {"name": user, "password": "pw of " + user}),
            ("auth/user/get", {"name": user}), ("auth/user/list", {}), ("auth/user/grant", {"user": user, "role": role}),
            ("auth/user/grant", {"user": user, "role": role}), ("auth/user/revoke", {"name": user, "role": role}),
            ("auth/role/add", {"name": role}), ("auth/role/get", {"role": role}), ("auth/role/list", {}),
            ("auth/role/grant", {"name": role, "perm": permission}), ("auth/role/grant", {"name": role, "perm": permission}),
            ("auth/role/revoke", {"role": role, "key": permission["key"], "range_end": permission.get("range_end", "")}),
            ("auth/user/changepw", {"name": user, "password": "pw of " + user}),
            ("auth/user/delete", {"name": user}), ("auth/role/delete", {"role": role}),
            ("auth/user/get", {"name": "root"}), ("auth/role/get", {"role": "root"})])
        if path in ("auth/user/delete", "auth/role/delete") and self.rng.random() < 0.7:
            return
        t = self.both(path, body, who=who)
        if who and isinstance(t, dict) and "error" not in t and path in ("auth/user/changepw", "auth/user/delete"):
            self.login(user)  # old tokens are over

    def login(self, user):
        self.both("auth/authenticate", {"name": user, "password": "pw of " + user})

    def may_step(self):
        who = self.rng.choice(self.USERS[1:] + ["root"])
        luck = self.rng.random()
        if luck < 0.35:
            self.both("kv/put", self.put_body(), who=who)
        elif luck < 0.65:
            a, b, tied = self.range_body(within=True)
            self.both("kv/range", a, b, tied, who=who)
        elif luck < 0.8:
            self.both("kv/deleterange", self.span({"prev_kv": self.rng.random() < 0.5}), who=who)
        elif luck < 0.95:
            # Not nested: etcd 3.4 does not ask for rights inside (docs/etcd.md).
            a, b, tied = self.txn_body(depth=1)
            self.both("kv/txn", a, b, tied, who=who)
        else:
            self.both("kv/range", {"key": b64(self.key())}, who=self.rng.choice([None, "stranger"]))

    def auth(self, calls):
        for path, body in (("auth/enable", {}), ("auth/user/add", {"name": "root", "password": "pw of root"}),
                           ("auth/enable", {}), ("auth/role/add", {"name": "root"}), ("auth/role/get", {"role": "root"}),
                           ("auth/user/grant", {"user": "root", "role": "root"}), ("auth/disable", {}),
                           ("auth/user/add", {}), ("auth/role/add", {}), ("auth/role/grant", {"name": "reader"})):
            self.both(path, body)
        for user in self.USERS[1:]:
            self.both("auth/user/add", {"name": user, "password": "pw of " + user})
        for role in self.ROLES:
            self.both("auth/role/add", {"name": role})
        for _ in range(calls):
            self.auth_step()
        for i in range(3):  # so that something is allowed
            self.both("auth/user/add", {"name": self.USERS[1 + i], "password": "pw of " + self.USERS[1 + i]})
            self.both("auth/role/add", {"name": self.ROLES[i]})
            self.both("auth/user/grant", {"user": self.USERS[1 + i], "role": self.ROLES[i]})
            for _ in range(3):
                self.both("auth/role/grant", {"name": self.ROLES[i], "perm": self.permission()})
        self.both("auth/enable", {})
        for user in self.USERS:
            self.login(user)
        self.both("auth/authenticate", {"name": "ann", "password": "not hers"})
        self.both("auth/authenticate", {"name": "stranger", "password": "x"})
        self.ordered = True
        for i in range(calls):
            if i % 12 == 0:
                self.auth_step("root")
            elif i % 12 == 6:
                self.auth_step(self.rng.choice(["ann", "ben"]))
            else:
                self.may_step()
        self.both("auth/disable", {}, who="ann")
        self.both("auth/disable", {}, who="root")
        self.both("kv/range", {"key": "YQ=="})

    def many_under_a_lease(self):
        """More than one of our transactions holds, some of them deleted or put anew before: all go."""
        lease = 4242
        self.both("lease/grant", {"ID": lease, "TTL": "600"})
        for i in range(18):
            puts = [{"request_put": {"key": b64(b"m%02d%03d" % (i, k)), "lease": lease}} for k in range(128)]
            self.both("kv/txn", {"success": puts})
        self.both("kv/put", {"key": b64(b"m00000"), "value": "YQ=="})
        self.both("kv/deleterange", {"key": b64(b"m01"), "range_end": b64(b"m02")})
        self.both("lease/revoke", {"ID": lease})
        self.both("kv/range", {"key": b64(b"m"), "range_end": b64(b"n")})
        self.both("lease/revoke", {"ID": lease})
        self.both("kv/txn", {"success": [  # nested: judged on the state before
            {"request_put": {"key": b64(b"m00000"), "value": "Yg=="}},
            {"request_txn": {"compare": [{"key": b64(b"m00000"), "target": "VALUE", "value": "YQ=="}],
                             "success": [{"request_range": {"key": b64(b"m00000")}}]}}]})

    def watch(self):
        """All that both still tell: from the oldest pair that neither has compacted."""
        first = max(self.pairs) - 60
        pairs = [(t, o) for t, o in sorted(self.pairs.items()) if t >= max(first, self.compacted or 0)]
        t, o = pairs[0]
        last_t, last_o = max(self.pairs), self.pairs[max(self.pairs)]
        for options in ({}, {"prev_kv": True}, {"filters": ["NOPUT"]}, {"filters": [1]}):
            found = []
            for server, start, last in ((self.theirs, t, last_t), (self.ours, o, last_o)):
                request = {"create_request": dict(options, key="AA==", range_end="AA==", start_revision=str(start))}

                def enough(got, last=last):
                    events = [e for m in got for e in m["result"].get("events", [])]
                    return bool(events) and int(events[-1]["kv"]["mod_revision"]) >= last

                try:
                    got = server.lines("watch", json.dumps(request), enough)
                except (TimeoutError, OSError) as e:
                    self.failures.append("watch %s: %s" % (options, e))
                    return
                found.append([e for m in got for e in m["result"].get("events", [])])
            d = self.same({"events": found[1]}, {"events": found[0]}, "")
            if d:
                self.failures.append("watch %s: %s" % (options, d))
            else:
                self.passed += 1

    def run(self, calls):
        limit = time.time() + 9
        for _ in range(calls):
            self.step()
            if time.time() > limit or len(self.failures) > 10:
                break
        for path in ("lease/leases", "cluster/member/list", "maintenance/alarm"):
            if path == "lease/leases":
                t, o = self.theirs.call(path, {})[1], self.ours.call(path, {})[1]
                ids = [sorted(x["ID"] for x in s.get("leases", [])) for s in (t, o)]
                if ids[0] == ids[1]:
                    self.passed += 1
                else:
                    self.failures.append("leases: ours %s, theirs %s" % (ids[1], ids[0]))
        # Something for each watch to end with: a put and a delete, whatever it filters.
        self.both("kv/put", {"key": b64(b"zz")})
        self.both("kv/txn", {"success": [{"request_put": {"key": b64(b"zy")}},
                                         {"request_delete_range": {"key": b64(b"zz")}}]})
        self.watch()
        self.many_under_a_lease()  # behind the watches: its end has several revisions (docs/etcd.md)
        self.auth(calls // 3)


def main():
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 20261121
    c = Compare(sys.argv[1], sys.argv[2], seed)
    c.run(int(sys.argv[3]) if len(sys.argv) > 3 else 600)
    for f in c.failures:
        print("FAILED", f)
    print("%d passed, %d failed" % (c.passed, len(c.failures)))
    return 1 if c.failures else 0


if __name__ == "__main__":
    sys.exit(main())
