#!/usr/bin/env python3
"""Judges a Raft trace (docs/raft.md, Traces):  trace_check.py FILE

The lines are read in the order of their times, as text, as the specification's own script does. Its form: names and fields are
those of etcd/raft's state tracing. Raft's promises as far as they show in it: every message received was sent before, and alike; a
replica's term never falls, nor its vote within a term; one leader in a term; a commit index does not fall while the replica
lives; a leader commits only what it holds; what it appends to is as long as what came before says; its configuration is
the one that was put in force last."""
import collections
import json
import sys


NAMES = {"InitState", "BecomeCandidate", "BecomeFollower", "BecomeLeader", "Commit", "Replicate", "ChangeConf", "ApplyConfChange",
         "Ready", "SendAppendEntriesRequest", "ReceiveAppendEntriesRequest", "SendAppendEntriesResponse",
         "ReceiveAppendEntriesResponse", "SendRequestVoteRequest", "ReceiveRequestVoteRequest", "SendRequestVoteResponse",
         "ReceiveRequestVoteResponse"}
FIELDS = {"name", "nid", "state", "role", "log", "conf"}
MESSAGE = {"type", "term", "from", "to", "entries", "logTerm", "index", "commit", "vote", "reject", "rejectHint"}
TYPES = {"AppendEntriesRequest": {"MsgApp", "MsgHeartbeat", "MsgSnap"}, "AppendEntriesResponse": {"MsgAppResp", "MsgHeartbeatResp"},
         "RequestVoteRequest": {"MsgVote"}, "RequestVoteResponse": {"MsgVoteResp"}}


def form(event):
    """What is wrong with its names and fields, or nothing."""
    name = event["name"]
    about = name[4:] if name.startswith("Send") else name[7:] if name.startswith("Receive") else None
    extra = {"msg"} if about else {"prop"} if name in ("ChangeConf", "ApplyConfChange") else set()
    if name not in NAMES:
        return "no event is called so"
    if set(event) != FIELDS | extra or set(event["state"]) != {"term", "vote", "commit"} or len(event["conf"]) != 2:
        return "not its fields"
    if about and (set(event["msg"]) != MESSAGE or event["msg"]["type"] not in TYPES[about]):
        return "not the fields of its message"
    if event["role"] not in ("StateFollower", "StateCandidate", "StateLeader"):
        return "no role is called so"
    return None


def in_order(path):
    """As `sort -t: -k 3` has them."""
    return sorted(open(path), key=lambda line: line.split(":", 2)[2])


def main():
    sent, leaders, last, names, logs, confs = collections.Counter(), {}, {}, collections.Counter(), {}, {}
    wrong = []
    for number, line in enumerate(in_order(sys.argv[1]), 1):
        entry = json.loads(line)
        assert entry["tag"] == "trace"
        event, group = entry["event"], entry["group"]
        name, nid, state = event["name"], event["nid"], event["state"]
        names[name] += 1
        who = (group, nid)

        def bad(why):
            wrong.append("line %d: %s: %s" % (number, why, line.strip()))

        if form(event):
            bad(form(event))
            continue
        if name in ("Replicate", "ChangeConf") and event["log"] != logs.get(who):
            bad("appends behind what it holds")
        logs[who] = event["log"] + 1 if name in ("Replicate", "ChangeConf") else event["log"]
        if name != "InitState" and event["conf"][0] != confs.get(who):
            bad("a configuration that was not put in force")
        confs[who] = event["prop"]["cc"]["newconf"] if name == "ApplyConfChange" else event["conf"][0]
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
