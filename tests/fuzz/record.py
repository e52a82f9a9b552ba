# SPDX-License-Identifier: Apache-2.0
"""How long every target has run: processor time, and hours on the clock, which are longer where many run side by side. A build directory notes each run in record.json; `run --write` adds what is new in there to the
committed record (tests/fuzz/record.json), so the hours of many sittings and many clones add up and none is counted twice."""
import datetime
import fcntl
import json
import os
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
COMMITTED = os.path.join(HERE, "record.json")
EMPTY = {"runs": 0, "cpu": 0.0, "clock": 0.0, "executions": 0, "crashes": 0, "edges": 0, "date": "", "revision": ""}


def load(path, default):
    if not os.path.exists(path):
        return default
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def save(path, what):
    tmp = path + ".new"
    with open(tmp, "w", encoding="utf-8") as f:
        json.dump(what, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(tmp, path)


def note(build, run):
    """Appends one run: {target, cpu, seconds, executions, edges, crash, revision}. Several processes may."""
    path = os.path.join(build, "record.json")
    os.makedirs(build, exist_ok=True)
    with open(path + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        r = load(path, {"id": uuid.uuid4().hex, "runs": []})
        r["runs"].append({**run, "date": datetime.date.today().isoformat()})
        save(path, r)


def add(sums, run):
    s = sums.setdefault(run["target"], dict(EMPTY))
    s["runs"] += 1
    s["cpu"] = round(s["cpu"] + run["cpu"], 1)
    s["clock"] = round(s.get("clock", 0.0) + run["seconds"], 1)
    s["executions"] += run["executions"]
    s["crashes"] += 1 if run["crash"] else 0
    s["edges"] = run["edges"] or s["edges"]
    s["date"] = max(s["date"], run["date"])
    s["revision"] = run["revision"]


def committed():
    return load(COMMITTED, {"targets": {}, "taken": {}})


def sums(*paths):
    """(target -> sums of the committed record and what is new in these, that record with the new in it)"""
    c = committed()
    for path in paths:
        r = load(path, None)
        if not r:
            continue
        for run in r["runs"][c["taken"].get(r["id"], 0):]:
            add(c["targets"], run)
        c["taken"][r["id"]] = len(r["runs"])
    return c["targets"], c
