"""A small client for Quorate's HTTP interface. Nothing but the standard library.

    db = Quorate("http://127.0.0.1:7480")
    version = db.put("default", "greeting", b"hello")
    value, version = db.get("default", "greeting")
    db.txn([{"add": {"key": "acct/a", "delta": -30, "min": 0}}, {"add": {"key": "acct/b", "delta": 30}}])

What had no answer, or was told to come again, is repeated until `patience` seconds are over, with the same id: it acts once.
"""
import http.client
import json
import sys
import time
import urllib.parse
import uuid


class QuorateError(Exception):
    """status, code and outcome as docs/http-api.md has them. outcome "unknown": it may have happened."""

    def __init__(self, status, error):
        super().__init__(error.get("message", "no answer"))
        self.status, self.code, self.outcome = status, error.get("code"), error.get("outcome", "unknown")


class Quorate:
    def __init__(self, url, token=None, patience=30.0):
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._open = lambda: kind(parts.hostname, parts.port, timeout=15)
        self._connection, self._token, self._patience = None, token, patience

    def _once(self, method, path, body, headers):
        if self._connection is None:
            self._connection = self._open()
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as e:
            self._connection.close()
            self._connection = None
            return 0, {}, json.dumps({"error": {"message": str(e)}}).encode()

    def _call(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        if method != "GET":
            headers.setdefault("Idempotency-Key", uuid.uuid4().hex)
        until, pause = time.monotonic() + self._patience, 0.02
        while True:
            status, got, data = self._once(method, path, body, headers)
            again = status in (0, 429, 503, 504)
            if not again or time.monotonic() + pause > until:
                break
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
        if status == 0 or status >= 400:
            raise QuorateError(status, json.loads(data or b"{}").get("error", {}))
        return got, data

    def _json(self, method, path, body=None, id=None):
        headers = {"Idempotency-Key": id} if id else {}
        return json.loads(self._call(method, path, None if body is None else json.dumps(body), headers)[1])

    @staticmethod
    def _path(keyspace, key):
        return "/v1/kv/%s/%s" % (keyspace, urllib.parse.quote(key, safe=""))

    def get(self, keyspace, key, **query):
        """(value, version), or None. query: read="bounded", max_staleness="2s", ..."""
        path = self._path(keyspace, key) + ("?" + urllib.parse.urlencode(query) if query else "")
        try:
            headers, value = self._call("GET", path)
        except QuorateError as e:
            if e.status == 404 and e.code == "not_found":
                return None
            raise
        return value, headers["ETag"].strip('"')

    def put(self, keyspace, key, value, if_version=None):
        """The new version. if_version: only over that one; "absent": only where nothing is. Else QuorateError 412."""
        headers = {}
        if if_version == "absent":
            headers["If-None-Match"] = "*"
        elif if_version is not None:
            headers["If-Match"] = '"%s"' % if_version
        return json.loads(self._call("PUT", self._path(keyspace, key), value, headers)[1])["version"]

    def delete(self, keyspace, key):
        return json.loads(self._call("DELETE", self._path(keyspace, key))[1])["deleted"]

    def scan(self, keyspace, prefix=""):
        """Yields (key, value) of all rows, page by page."""
        query = {"prefix": prefix}
        while True:
            page = self._json("GET", "/v1/kv/%s?%s" % (keyspace, urllib.parse.urlencode(query)))
            for row in page["rows"]:
                yield row["key"], row["value"]
            if not page["more"]:
                return
            query = {"prefix": prefix, "next": page["next"]}

    def txn(self, then, conditions=(), keyspace="default", id=None):
        """All operations, or QuorateError and none."""
        body = {"keyspace": keyspace, "then": list(then)}
        if conditions:
            body["if"] = list(conditions)
        return self._json("POST", "/v1/txn", body, id)

    def create_accounts(self, accounts):
        return self._json("POST", "/v1/ledger/accounts", accounts)

    def create_transfers(self, transfers):
        """A transfer's own id makes it act once."""
        return self._json("POST", "/v1/ledger/transfers", transfers)

    def account(self, id):
        return self._json("GET", "/v1/ledger/accounts/%s" % id)

    def watch(self, keyspace, prefix="", since=None):
        """Yields (event, data, resume): resume is what `since` takes to go on after this one."""
        query = {"prefix": prefix}
        if since is not None:
            query["from"] = since
        connection = self._open()
        headers = {"Authorization": "Bearer " + self._token} if self._token else {}
        connection.request("GET", "/v1/watch/%s?%s" % (keyspace, urllib.parse.urlencode(query)), headers=headers)
        answer, event = connection.getresponse(), {}
        try:
            for line in answer:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name:
                    event[name] = value
                elif event:
                    if "data" in event:
                        yield event.get("event", "message"), json.loads(event["data"]), event.get("id")
                    event = {}
        finally:
            connection.close()


def tour(url):
    db, mark = Quorate(url), uuid.uuid4().hex[:8]
    version = db.put("default", mark + "/greeting", b"hello")
    assert db.get("default", mark + "/greeting") == (b"hello", version)
    db.put("default", mark + "/greeting", b"hello again", if_version=version)
    try:
        db.put("default", mark + "/greeting", b"too late", if_version=version)
        raise AssertionError("an old version was overwritten")
    except QuorateError as e:
        assert e.status == 412 and e.outcome == "definite"
    assert db.get("default", mark + "/nothing") is None

    db.txn([{"add": {"key": mark + "/a", "delta": 100}}])
    move = [{"add": {"key": mark + "/a", "delta": -70, "min": 0}}, {"add": {"key": mark + "/b", "delta": 70}}]
    db.txn(move, id="move-" + mark)
    db.txn(move, id="move-" + mark)  # the same id: the same answer, and nothing moves
    try:
        db.txn(move)
        raise AssertionError("more was taken than there was")
    except QuorateError as e:
        assert e.code == "guard_failed"
    rows = dict(db.scan("default", mark + "/"))
    assert set(rows) == {mark + "/a", mark + "/b", mark + "/greeting"}, rows

    one, two, move = (str(uuid.uuid4().int >> 1) for _ in range(3))
    db.create_accounts([{"id": i, "ledger": 978, "code": 1} for i in (one, two)])
    db.create_transfers([{"id": move, "debit_account_id": one, "credit_account_id": two, "amount": "250", "ledger": 978,
                          "code": 1}])
    assert db.account(two)["credits_posted"] == "250"

    for event, data, resume in db.watch("default", mark + "/", since=version):
        if event == "change":
            print("seen:", json.dumps(data)[:100], "resume:", resume)
            break
    assert db.delete("default", mark + "/greeting")
    print("all is as it should be")


if __name__ == "__main__":
    tour(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7480")
