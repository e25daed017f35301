"""Holds connections open and looks at the gateway:  hold.py HOST PORT GATEWAY-PID "PID..." WATCHES SECONDS"""
import os
import resource
import socket
import sys
import time

host, port, pid, pids = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), [int(p) for p in sys.argv[4].split()]
watches, seconds = int(sys.argv[5]), float(sys.argv[6])
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def memory():
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon")) * 1024


def ticks(of):
    total = 0
    for p in of:
        with open("/proc/%d/stat" % p) as f:
            fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total


def say(name, value, unit):
    print("bench front/%s ours=%.2f unit=%s" % (name, value, unit), flush=True)


def read_until(s, mark):
    got = b""
    while mark not in got:
        try:
            piece = s.recv(65536)
        except TimeoutError:
            raise SystemExit("no answer for 30 s to connection %s, but: %r" % (s.getsockname(), got[-300:]))
        if not piece:
            raise SystemExit("the gateway closed a connection after: %r" % got[-300:])
        got += piece


def hold(count, request, mark):
    """Open sockets, all of which have had their first answer. In groups: so many wait for the loop at a time."""
    held = []
    while len(held) < count:
        group = []
        for _ in range(min(200, count - len(held))):
            s = socket.create_connection((host, port), timeout=30)
            s.sendall(request)
            group.append(s)
        for s in group:
            read_until(s, mark)
            held.append(s)
    return held


def cpu(name):
    before, began = (ticks([pid]), ticks(pids)), time.time()
    time.sleep(seconds)
    took = (time.time() - began) * os.sysconf("SC_CLK_TCK")
    say(name + "_gateway", (ticks([pid]) - before[0]) * 100 / took, "percent_of_a_core")
    say(name + "_all", (ticks(pids) - before[1]) * 100 / took, "percent_of_a_core")


cpu("nothing_cpu")
before = memory()
held = hold(5000, b"GET /healthz HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (host.encode(), port), b"alive")
say("idle_connection", (memory() - before) / len(held), "bytes")
for s in held:
    s.close()
time.sleep(1)
for name, request, mark in (
        ("v1", b"GET /v1/watch/default?prefix=p%05d HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        ("v3", None, b'"created":true')):
    if request is None:
        body = b'{"create_request":{"key":"YWI="}}'
        request = b"POST /v3/watch HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n\r\n%s" % (host.encode(), port, len(body), body)
    else:
        request = (request % 7).replace(b"Host: x", b"Host: %s:%d" % (host.encode(), port))
    began = time.time()
    held = hold(watches, request, mark)
    say("watches_%s_opened" % name, time.time() - began, "s")
    say("watches_%s_memory" % name, (memory() - before) / 1048576, "MiB")  # above that of the gateway at rest
    cpu("watches_%s_cpu" % name)
    for s in held:
        s.close()
    time.sleep(2)
