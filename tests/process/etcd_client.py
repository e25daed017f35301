"""What a client of etcd's JSON gateway sees: etcd_client.py http://HOST:PORT. Prints what must be the same everywhere."""
import sys

try:
    from etcd3gw import Etcd3Client
except ImportError:
    sys.exit("python3-etcd3gw is not installed: sh deploy/install-deps.sh test")

host, port = sys.argv[1].split("//")[1].split(":")
c = Etcd3Client(host=host, port=int(port))
c.api_path = "/v3/"
print("put", c.put("key1", "v1"), c.get("key1"))
print("create", c.create("key1", "x"), c.create("key2", "x"), "replace", c.replace("key1", "v1", "v3"))
print("metadata", [(v, m["key"], m["version"]) for v, m in c.get("key1", metadata=True)])
print("prefix", [v for v, _ in c.get_prefix("key")])
print("delete", c.delete("key1"), c.delete_prefix("key"), c.get("key1"))
lease = c.lease(ttl=300)
c.put("leased", "1", lease=lease)
print("lease", 200 <= lease.ttl() <= 300, lease.refresh(), lease.keys(), lease.revoke(), c.get("leased"))
lock = c.lock(id="one", ttl=300)
print("lock", lock.acquire(), lock.is_acquired(), lock.release())
events, cancel = c.watch("watched")
c.put("watched", "1")
c.put("watched", "2")
print("watched", *[next(events)["kv"]["value"].decode() for _ in range(2)])
cancel()
print("txn", c.transaction({
    "compare": [{"key": "bmV3", "result": "EQUAL", "target": "VERSION", "version": 0}],
    "success": [{"request_put": {"key": "bmV3", "value": "MQ=="}}], "failure": []})["succeeded"])
