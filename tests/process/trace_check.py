#!/usr/bin/env python3
"""Judges a Raft trace (docs/raft.md, Traces):  trace_check.py FILE

What a reader of the trace relies on, and Raft's promises as far as they show in it: every message received was sent before,
and alike; a replica's term never falls, nor its vote within a term; one leader in a term; a commit index does not fall while
the replica lives; a leader commits only what it holds."""
import collections
import json
import sys


def main():
    sent, leaders, last, names = collections.Counter(), {}, {}, collections.Counter()
    wrong = []
    for number, line in enumerate(open(sys.argv[1]), 1):
        entry = json.loads(line)
        assert entry["tag"] == "trace"
        event, group = entry["event"], entry["group"]
        name, nid, state = event["name"], event["nid"], event["state"]
        names[name] += 1
        who = (group, nid)

        def bad(why):
            wrong.append("line %d: %s: %s" % (number, why, line.strip()))

        if "msg" in event:
            m = event["msg"]
            key = (group, json.dumps(m, sort_keys=True))
            if name.startswith("Send"):
                sent[key] += 1
                if m["from"] != nid:
                    bad("sent for somebody else")
            else:
                if m["to"] != nid:
                    bad("received for somebody else")
                if m["from"] != m["to"] and sent[key] == 0:
                    bad("received, and never sent")
        before = last.get(who)
        if before is not None:
            if state["term"] < before["term"]:
                bad("the term falls")
            if state["term"] == before["term"] and before["vote"] not in ("0", state["vote"]):
                bad("a second vote in a term")
            if name != "InitState" and state["commit"] < before["commit"]:
                bad("the commit index falls")
        last[who] = state
        if name == "BecomeLeader" and leaders.setdefault((group, state["term"]), nid) != nid:
            bad("a second leader in a term")
        if name == "Commit" and state["commit"] > event["log"]:
            bad("commits what it does not hold")
    for text in wrong[:5]:
        print(text[:400])
    expected = {"InitState", "BecomeFollower", "BecomeCandidate", "BecomeLeader", "Replicate", "Commit", "Ready",
                "SendAppendEntriesRequest", "ReceiveAppendEntriesRequest", "SendAppendEntriesResponse",
                "ReceiveAppendEntriesResponse", "SendRequestVoteRequest", "ReceiveRequestVoteRequest",
                "SendRequestVoteResponse", "ReceiveRequestVoteResponse"}
    missing = expected - set(names)
    if missing:
        print("never seen: " + ", ".join(sorted(missing)))
    good = not wrong and not missing
    print("trace: %d events of %d replicas, %d terms with a leader: VERDICT %s"
          % (sum(names.values()), len(last), len(leaders), "fine" if good else "WRONG"))
    return 0 if good else 1


sys.exit(main())
