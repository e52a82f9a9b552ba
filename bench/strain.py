# SPDX-License-Identifier: Apache-2.0
"""entented under strain: how long messages take at 70 % of the rate that it reaches flat out, two workers beside one, and what it costs to answer for a
message that the partner has not acknowledged. Part of bench.py."""
import os
import re
import time

from common import LIMITS, Generator, command, cpu, peers, threads
from partners import add_partners, name_server, talk_domains

PARTNER = "fabrikam.test"
SHARE = 0.7
WAYS = (("sip", "xmpp"), ("xmpp", "sip"))
FLAT_MS, STEADY_MS = 1500, 5000


def load(bench, daemon, way, *words, warm=500, measure=FLAT_MS):
    o = bench.o
    return bench.generate("load", "--from", way[0], "--to", way[1], "--transport", "tls", "--certs", bench.certs, "--target", peers.GATEWAY, "--users", o.users,
                          "--body", o.body, "--warm", warm, "--measure", measure, "--watch", daemon.popen.pid, *words)


def federated(bench, folder, **more):
    daemon = bench.entented(f"{bench.run}/{folder}", "tls", LIMITS, **more)
    command(daemon, "partner", "xmpp", "add", PARTNER, "--type", "federated")
    return daemon


# --- latency under load ---------------------------------------------------------------------------------------------

def latency(bench, quick, progress):
    """For each way: flat out, then steadily at a share of it. Beside it the generators alone: the same pace, nothing between them."""
    rows = []
    server = bench.start(peers.name_server(bench.run))
    daemon = federated(bench, "latency")
    for way in WAYS:
        name = "-to-".join(way)
        progress(f"latency under load, {name}")
        flat = load(bench, daemon, way, "--window", bench.o.window)
        rate = max(int(flat["rate"] * SHARE), 100) if flat and flat["ok"] else 0
        steady = rate and load(bench, daemon, way, "--rate", rate, measure=1500 if quick else STEADY_MS)
        low = load(bench, daemon, way, "--rate", 500, measure=1500 if quick else 3000)
        rows.append({"id": f"latency.{name}", "flat": flat, "share": SHARE, "rate": rate, "steady": steady or None, "low": low,
                     "ok": bool(flat and steady and low and flat["ok"] and steady["ok"] and low["ok"])})
    bench.stop(daemon, server)
    progress("")
    return rows


# --- workers --------------------------------------------------------------------------------------------------------

TALK_PARTNERS, TALK_USERS, TALK_CONNS, TALK_WINDOW = 16, 40, 8, 256


def two_workers(bench, quick, progress):
    """Messages in both directions with 16 partners and 8 connections of the home, flat out. With one worker the server has one core and the generator the
    other; with two, both have both. Of each worker the processor time is taken, so that what a second core would bring can be told from what this machine has."""
    rows = []
    wrapper = os.environ.get("ENTENTE_WRAPPER")
    os.environ["ENTENTE_WRAPPER"] = ""
    server = bench.start(name_server(bench.run, 0))
    try:
        for n in (1, 2):
            daemon = bench.entented(f"{bench.run}/workers-{n}", "tls", LIMITS, workers=n)
            if bench.cores:
                for tid in os.listdir(f"/proc/{daemon.popen.pid}/task"):
                    os.sched_setaffinity(int(tid), bench.cores if n > 1 else {bench.cores[0]})
            add_partners(talk_domains(TALK_PARTNERS))
            g = Generator([bench.generator("talk"), "--certs", bench.certs, "--own", "/run/bench-workers", "--n", str(TALK_PARTNERS), "--users", str(TALK_USERS),
                           "--conns", str(TALK_CONNS)], f"{bench.run}/workers.log")
            try:
                g.hear("ready", 30)
                if bench.cores:
                    os.sched_setaffinity(g.popen.pid, bench.cores if n > 1 else {bench.cores[1]})
                rows.append(one_pool(bench, daemon, g, n, quick, progress))
                g.stop()
            except BaseException:
                g.kill()
                raise
            bench.stop(daemon)
        bench.stop(server)
    finally:
        if wrapper is not None:
            os.environ["ENTENTE_WRAPPER"] = wrapper
    progress("")
    return rows


def one_pool(bench, daemon, g, workers, quick, progress):
    """The runs of a daemon with so many workers."""
    runs = []
    pid = daemon.popen.pid
    g.tell(f"flat {TALK_WINDOW}")
    time.sleep(6)       # a home's connection that lived so long is opened again at once when it ends; and each pair has been heard of
    for i in range(1 if quick else max(bench.o.repeats, 3)):
        progress(f"{workers} workers, both ways, repeat {i + 1}")
        g.ask("lap", "lap")
        before, began, used, own = threads(pid), time.monotonic(), cpu(pid)[0], cpu(g.popen.pid)[0]
        time.sleep(bench.o.measure / 1000)
        lap = g.ask("lap", "lap")
        seconds, used, own = time.monotonic() - began, cpu(pid)[0] - used, cpu(g.popen.pid)[0] - own
        after = threads(pid)
        each = [after[w] - before[w] for w in sorted(after) if w.startswith("worker-")]
        runs.append({"messages": lap["arrived"], "seconds": round(seconds, 3), "rate": round(lap["arrived"] / seconds, 1), "cpu_us": round(used * 1e6 / lap["arrived"], 2),
                     "busy": round(used / seconds, 3), "generator_busy": round(own / seconds, 3), "most_share": round(max(each) / sum(each), 3),
                     "refused": lap["refused"], "p99_us": lap["p99"]})
    g.tell("stop")
    time.sleep(1)
    last = g.ask("lap", "lap")
    return {"workers": workers, "runs": runs, "lost": last["open"], "refused": last["refused"] + sum(r["refused"] for r in runs),
            "ok": not (last["open"] or last["refused"] or any(r["refused"] for r in runs))}


# --- durable acceptance ---------------------------------------------------------------------------------------------

def has_journal(daemon):
    """Is there a journal in this build?"""
    return daemon.cli("config", "explain", "queue.directory").returncode == 0


# So many under way that the server is the limit and not the wait for an answer. Towards SIP once more with a home that takes its time: there every text of
# a partner without XEP-0198 has to be written.
WIDE = ["--users", 1000, "--window", 1000]
LATE = ["--answer-after", 30, "--users", 5000, "--window", 5000]
DURABLE = [*((f"durable.{'-to-'.join(way)}", way, WIDE) for way in WAYS), ("durable.xmpp-to-sip-late", WAYS[1], LATE)]


def journal_writes(daemon):
    found = re.search(r"^entente_queue_journal_writes_total (\d+)", daemon.cli("show", "metrics").stdout, re.M)
    return int(found[1]) if found else 0


def durable(bench, quick, progress):
    """The same messages with a partner that acknowledges (XEP-0198), where nothing is written, and with one that does not, where what is open after 10 ms is.
    Flat out, in turn. `written`: the share of all messages that was in the journal on the disk."""
    server = bench.start(peers.name_server(bench.run))
    daemon = federated(bench, "durable")
    out = {"journal": has_journal(daemon), "rows": []}
    for name, way, more in DURABLE:
        row = {"id": name, "acks": [], "none": []}
        for i in range(1 if quick else bench.o.repeats):
            for kind, words in (("acks", ["--acks"]), ("none", [])):
                progress(f"{name}, {'with' if words else 'without'} XEP-0198, repeat {i + 1}")
                before = journal_writes(daemon)
                run = load(bench, daemon, way, *words, *more, measure=bench.o.measure)
                if run:
                    run["written"] = round((journal_writes(daemon) - before) / max(run["total"], 1), 3)
                row[kind].append(run)
        row["ok"] = all(r and r["ok"] for kind in ("acks", "none") for r in row[kind])
        out["rows"].append(row)
    bench.stop(daemon, server)
    progress("")
    return out
