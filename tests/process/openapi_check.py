"""docs/openapi.json against a running gateway:  openapi_check.py URL.  Each documented operation is carried out once, with a request that is
made for it here; the status must be documented, and a JSON answer must be as its schema says: no field unknown, none missing. An operation
that is documented and not asked here is a failure. Prints "ok ..." and "not ok ..." lines."""
import json
import re
import sys
import urllib.error
import urllib.request

URL = sys.argv[1]
SAID = {}  # by operationId: what was answered


def ask(method, path, body=None, headers=None):
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers.get_content_type(), response.read(1 << 20) if "watch" not in path else response.readline()
    except urllib.error.HTTPError as e:
        return e.code, e.headers.get_content_type(), e.read()


DOCUMENT = json.loads(ask("GET", "/v1/openapi.json")[2])


def resolve(schema):
    while "$ref" in schema:
        at = DOCUMENT
        for part in schema["$ref"].split("/")[1:]:
            at = at[part]
        schema = at
    return schema


def wrong(value, schema, where):
    """What is wrong with a value, or None. The part of JSON Schema that the document uses."""
    schema = resolve(schema)
    if "oneOf" in schema:
        found = [wrong(value, s, where) for s in schema["oneOf"]]
        return None if None in found else "; or ".join(found)
    if value is None:
        return None if schema.get("nullable") else "%s is null" % where
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    kind = kinds.get(schema.get("type"), object)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return "%s is no %s: %r" % (where, schema["type"], value)
    if "enum" in schema and value not in schema["enum"]:
        return "%s is %r, none of %s" % (where, value, schema["enum"])
    if kind is str and "pattern" in schema and not re.search(schema["pattern"], value):
        return "%s is %r, not as %s" % (where, value, schema["pattern"])
    if kind is list:
        for i, item in enumerate(value):
            found = wrong(item, schema.get("items", {}), "%s[%d]" % (where, i))
            if found:
                return found
    if kind is dict and "properties" in schema:
        for name in schema.get("required", []):
            if name not in value:
                return "%s has no %s" % (where, name)
        for name, item in value.items():
            if name not in schema["properties"]:
                return "%s has an undocumented %s" % (where, name)
            found = wrong(item, schema["properties"][name], where + "." + name)
            if found:
                return found
    return None


def session():
    return json.loads(ask("POST", "/v1/txn/begin")[2])["session"]


# In this order: method, path, body, headers. What is refused on purpose is documented, too.
REQUESTS = [
    ("putValue", lambda: ("PUT", "/v1/kv/default/a%2Fb?ttl=1h", b"one", {"Idempotency-Key": "check"})),
    ("getValue", lambda: ("GET", "/v1/kv/default/a%2Fb?consistency=bounded&max_staleness=1ms")),
    ("scan", lambda: ("GET", "/v1/kv/default?prefix=a&limit=1")),
    ("watch", lambda: ("GET", "/v1/watch/default?prefix=a&progress=100ms")),
    ("transact", lambda: ("POST", "/v1/txn", {"id": "t", "compare": [{"key": "a/b", "target": "exists", "exists": True}], "then": [{"add": {"key": "n", "delta": "1"}}, {"get": {"key": "a/b"}}]})),
    ("batch", lambda: ("POST", "/v1/batch", {"ops": [{"put": {"key": "b1", "value": "1"}}, {"get": {"key": "b1"}}, {"insert": {"key": "b1", "value": "2"}}]}, {"Idempotency-Key": "batch"})),
    ("txnAnswer", lambda: ("GET", "/v1/txn/t?key=n")),
    ("sessionBegin", lambda: ("POST", "/v1/txn/begin", {"keyspace": "default"})),
    ("sessionStep", lambda: ("POST", "/v1/txn/" + session(), {"ops": [{"get": {"key": "n"}}]})),
    ("sessionCommit", lambda: ("POST", "/v1/txn/%s/commit" % session())),
    ("sessionAbort", lambda: ("POST", "/v1/txn/%s/abort" % session())),
    ("deleteKey", lambda: ("DELETE", "/v1/kv/default/a%2Fb")),
    ("createAccounts", lambda: ("POST", "/v1/ledger/accounts", [{"id": 1, "ledger": 1, "code": 1, "user_data_64": 5}, {"id": 2, "ledger": 1, "code": 1}])),
    ("createTransfers", lambda: ("POST", "/v1/ledger/transfers", [{"id": 9, "debit_account_id": 1, "credit_account_id": 2, "amount": "5", "ledger": 1, "code": 1, "flags": ["pending"], "timeout": 60}])),
    ("accounts", lambda: ("GET", "/v1/ledger/accounts?limit=1")),
    ("account", lambda: ("GET", "/v1/ledger/accounts/1")),
    ("balances", lambda: ("GET", "/v1/ledger/accounts/1/balances")),
    ("accountTransfers", lambda: ("GET", "/v1/ledger/accounts/1/transfers?reverse=true")),
    ("transfers", lambda: ("GET", "/v1/ledger/transfers")),
    ("transfer", lambda: ("GET", "/v1/ledger/transfers/9")),
    ("setCurrency", lambda: ("PUT", "/v1/ledger/currencies/1", {"scale": 2, "name": "EUR"})),
    ("currencies", lambda: ("GET", "/v1/ledger/currencies")),
    ("registerSnapshot", lambda: ("POST", "/v1/snapshots", {"name": "checked", "lifetime": "1h"})),
    ("extendSnapshot", lambda: ("PUT", "/v1/snapshots/checked", {"lifetime": "2h"})),
    ("snapshots", lambda: ("GET", "/v1/snapshots")),
    ("dropSnapshot", lambda: ("DELETE", "/v1/snapshots/checked")),
    ("audit", lambda: ("GET", "/v1/ledger/audit")),
    ("auditNow", lambda: ("POST", "/v1/ledger/audit")),
    ("createKeyspace", lambda: ("POST", "/v1/keyspaces", {"name": "checked", "hash_buckets": 2, "ttl": "1h"})),
    ("keyspaces", lambda: ("GET", "/v1/keyspaces")),
    ("keyspace", lambda: ("GET", "/v1/keyspaces/checked")),
    ("alterKeyspace", lambda: ("PUT", "/v1/keyspaces/checked", {"ttl": "none"})),
    ("dropKeyspace", lambda: ("DELETE", "/v1/keyspaces/checked?grace=1h")),
    ("ranges", lambda: ("GET", "/v1/ranges")),
    ("nodes", lambda: ("GET", "/v1/nodes")),
    ("startOperator", lambda: ("POST", "/v1/operators", {"kind": "scatter", "keyspace": "ledger"})),
    ("operators", lambda: ("GET", "/v1/operators")),
    ("cancelOperator", lambda: ("DELETE", "/v1/operators/999999")),
    ("status", lambda: ("GET", "/v1/status")),
    ("openapi", lambda: ("GET", "/v1/openapi.json")),
    ("healthz", lambda: ("GET", "/healthz")),
    ("readyz", lambda: ("GET", "/readyz")),
    ("metrics", lambda: ("GET", "/metrics")),
    ("clusterMetrics", lambda: ("GET", "/metrics/cluster")),
    ("authSelf", lambda: ("GET", "/v1/auth")),
    ("putRole", lambda: ("PUT", "/v1/auth/roles/checker", {"rights": [{"verbs": ["read"], "keyspace": "default"}]})),
    ("role", lambda: ("GET", "/v1/auth/roles/checker")),
    ("roles", lambda: ("GET", "/v1/auth/roles")),
    ("putUser", lambda: ("PUT", "/v1/auth/users/checker", {"password": "battery staple", "roles": ["checker"]})),
    ("user", lambda: ("GET", "/v1/auth/users/checker")),
    ("users", lambda: ("GET", "/v1/auth/users")),
    ("login", lambda: ("POST", "/v1/auth/login", {"user": "checker", "password": "battery staple"})),
    ("logout", lambda: ("POST", "/v1/auth/logout")),
    ("enableAuth", lambda: ("POST", "/v1/auth/enable")),
    ("disableAuth", lambda: ("POST", "/v1/auth/disable")),
    ("deleteUser", lambda: ("DELETE", "/v1/auth/users/checker")),
    ("deleteRole", lambda: ("DELETE", "/v1/auth/roles/checker")),
    ("root", lambda: ("GET", "/")),
]
MAY_BE_REFUSED = {"cancelOperator", "readyz", "login", "logout", "enableAuth", "disableAuth"}


def check(name, operation, request):
    status, kind, body = ask(*request)
    SAID[name] = body
    answers = operation["responses"]
    if status >= 400 and name not in MAY_BE_REFUSED:
        return "answered %d: %s" % (status, body[:200])
    if str(status) not in answers and status < 400:
        return "answered %d, which is not documented" % status
    content = resolve(answers.get(str(status), answers["default"])).get("content", {})
    if content and kind not in content:
        return "answered %s, documented are %s" % (kind, ", ".join(content))
    return wrong(json.loads(body), content[kind]["schema"], "the answer") if kind == "application/json" else None


def main():
    operations = {o["operationId"]: o for item in DOCUMENT["paths"].values() for o in item.values() if isinstance(o, dict) and "operationId" in o}
    for name, request in REQUESTS:
        found = check(name, operations[name], request()) if name in operations else "it is not documented"
        print("not ok %s: %s" % (name, found) if found else "ok %s is as documented" % name)
    for name in operations.keys() - {n for n, _ in REQUESTS}:
        print("not ok %s is documented and not asked here" % name)


main()
