# SPDX-License-Identifier: Apache-2.0
"""A steady load for some minutes: R14; and the soak in its short form: R15."""
import re
import time

from asking import Control
from experiment import experiment
from stage import INSTRUMENTED, Group, Stage, cpu, memory, tree

THINK = 130     # ms


def journal():
    """What went through the journal so far: {direction or what: number}."""
    with Control() as control:
        text = control.ask("show", "metrics")["data"]["text"]
    taken = {way: int(n) for way, n in re.findall(r'^entente_queue_taken_total\{direction="(\w+)"\} (\d+)', text, re.M)}
    return {**taken, **{what: int(n) for what, n in re.findall(r"^entente_queue_journal_(writes|syncs)_total (\d+)", text, re.M)}}


@experiment("throughput", "R14", seconds=115)
def throughput(r):
    """two thousand translated messages a second, half of them each way; half of them are written into the journal, because nobody confirms them at once"""
    seconds, rate = (10, 1000) if r.quick else (100, 1000)
    if INSTRUMENTED:
        rate //= 5
    groups = [Group("sm", True, 8, number=0), Group("plain", False, 8, number=1)]
    # Both sides confirm only after THINK: then two of the four kinds of texts are insured, those to partners that acknowledge and those of partners that are told nothing
    with Stage(r.run, groups=groups, users=100, think=THINK, log_level="warning", conns=4, settings="timers:\n  acknowledgement: 100ms\n") as s:
        s.rate(rate, rate)
        time.sleep(8)       # the first text of each pair waits half a second
        pids = tree(s.services[0].pid)
        s.lap()
        kept = journal()
        began, before = time.monotonic(), [cpu(p) for p in pids]
        rss = memory([pids[0]], "VmRSS")
        start = s.status()
        time.sleep(seconds)
        took, after = time.monotonic() - began, [cpu(p) for p in pids]
        kept = {k: n - kept[k] for k, n in journal().items()}
        lap, end = s.lap(), s.status()
        grown = memory([pids[0]], "VmRSS")
        account = s.end(60)
        r.complaints(s)
    arrived = sum(end["groups"][g][d]["arrived"] - start["groups"][g][d]["arrived"] for g in end["groups"] for d in ("to_xmpp", "to_sip"))
    busy = sum(a[0] - b[0] for a, b in zip(after, before)) / took
    p99 = {f"{g} {d}": lap["groups"][g][d]["arrival_ms"]["p99"] for g in lap["groups"] for d in ("to_xmpp", "to_sip")}
    p50 = max(lap["groups"][g][d]["arrival_ms"]["p50"] for g in lap["groups"] for d in ("to_xmpp", "to_sip"))
    r.figures.update(p99_ms=p99, cores=busy, rss_kib=[rss, grown], rate=arrived / took, lap=lap)
    r.books("R14", f"{2 * rate} messages/s for {seconds} s", account)
    r.show("R14", f"of these through the journal, as both sides confirm only after {THINK} ms: at least 45 %",
           f"{kept['sip_xmpp']} to XMPP and {kept['xmpp_sip']} to SIP of {arrived}, {100 * (kept['sip_xmpp'] + kept['xmpp_sip']) / arrived:.0f} %; written durably {kept['writes']}, in {kept['syncs']} syncs",
           min(kept["writes"], kept["sip_xmpp"] + kept["xmpp_sip"]) >= 0.45 * arrived and min(kept["sip_xmpp"], kept["xmpp_sip"]) >= 0.2 * arrived)
    r.timed("R14", "translated messages a second", f"{arrived / took:.0f}", arrived / took >= 0.97 * 2 * rate)
    r.timed("R14", "latency with the generator on the same cores", f"p50 {p50:.1f} ms, p99 {max(p99.values()):.1f} ms (worst direction: {max(p99, key=p99.get).replace('_', ' ')})", max(p99.values()) <= 20)
    r.timed("R14", "processor time of entented", f"{busy:.2f} of 2 cores", busy <= 1.4)


@experiment("soak", "R15", seconds=190)
def soak(r):
    """the soak in its short form: mixed load with churn, slopes of memory and descriptors"""
    import soak as program
    program.measure(r, 0.6 if r.quick else 2.8)
