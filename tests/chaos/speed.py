# SPDX-License-Identifier: Apache-2.0
"""A steady load for some minutes: R14; and the soak in its short form: R15."""
import time

from experiment import experiment
from stage import INSTRUMENTED, Group, Stage, cpu, memory, tree


@experiment("throughput", "R14", seconds=135)
def throughput(r):
    """two thousand translated messages a second, half of them each way, half of the partners without acknowledgements, so that texts go through the journal"""
    seconds, rate = (10, 1000) if r.quick else (100, 1000)
    if INSTRUMENTED:
        rate //= 5
    groups = [Group("sm", True, 8, number=0), Group("plain", False, 8, number=1)]
    with Stage(r.run, groups=groups, users=100, think=0, log_level="warning", conns=4) as s:
        s.rate(rate, rate)
        time.sleep(8)       # the first text of each pair waits half a second
        pids = tree(s.services[0].pid)
        s.lap()
        began, before = time.monotonic(), [cpu(p) for p in pids]
        rss = memory([pids[0]], "VmRSS")
        start = s.status()
        time.sleep(seconds)
        took, after = time.monotonic() - began, [cpu(p) for p in pids]
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
    r.timed("R14", "translated messages a second", f"{arrived / took:.0f}", arrived / took >= 0.97 * 2 * rate)
    r.timed("R14", "latency with the generator on the same cores", f"p50 {p50:.1f} ms, p99 {max(p99.values()):.1f} ms (worst direction: {max(p99, key=p99.get).replace('_', ' ')})", max(p99.values()) <= 20)
    r.timed("R14", "processor time of entented", f"{busy:.2f} of 2 cores", busy <= 1.4)


@experiment("soak", "R15", seconds=190)
def soak(r):
    """the soak in its short form: mixed load with churn, slopes of memory and descriptors"""
    import soak as program
    program.measure(r, 0.6 if r.quick else 2.8)
