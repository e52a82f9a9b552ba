# SPDX-License-Identifier: Apache-2.0
"""Bad lines, partners that stall, partners that all come back at once: R7, R12, R16."""
import time
import types

from experiment import experiment
from stage import INSTRUMENTED, Group, Stage, memory
from strait import NEAR, Strait, far, impossible

LISTEN = f"    - {{address: {NEAR}, port: 5269}}\n"


def far_groups(netns, n=2):
    """The partners beyond the line, with XEP-0198 and without, beside near ones."""
    return [Group("sm", True, number=0), Group("plain", False, number=1),
            Group("farsm", True, n, far(0), NEAR, far(0), netns=netns),
            Group("farplain", False, n, far(4), NEAR, far(4), netns=netns)]


def only(account, *names):
    return {**account, "groups": {k: v for k, v in account["groups"].items() if k in names}}


@experiment("flapping", "R16", seconds=170, needs=impossible)
def flapping(r):
    """partners beyond a line that loses, delays and reorders packets, and is cut for some seconds"""
    with Strait(r.rng.random(), 8) as line, Stage(r.run, groups=far_groups(line.netns), listen=LISTEN) as s:
        for g in s.groups:
            s.tell("rate", g.name, 20, 20)
        profiles = [("30 % loss, 500 ms there and back ± 250 ms, reordering", {"loss": 30, "delay": 250, "jitter": 125}, 30),
                    ("5 % loss, 100 ms", {"loss": 5, "delay": 50, "jitter": 25}, 15),
                    ("cut for 12 s", {"down": 1}, 12),
                    ("as it should be", {"down": 0, "loss": 0, "delay": 0, "jitter": 0}, 10),
                    ("9600 bit/s", {"rate": 9600, "delay": 100}, 25),
                    ("as it should be", {"rate": 0, "delay": 0}, 15)]
        for name, values, seconds in profiles:
            s.mark(name.replace(" ", "-")[:20])
            passed = line.set(**values)
            time.sleep(seconds / 5 if r.quick else seconds)
            lap = s.lap()
            sm = lap["groups"]["farsm"]["to_xmpp"]["answer_ms"]
            r.say(f"{name}: {passed} packets passed/lost before; SIP to the far partners answered in {sm['p50']:.0f} ms (median of {sm['n']})")
        s.all_up(90)
        account = s.end(120)
        r.complaints(s)
    r.books("R16", "partners beyond the bad line (30 % loss, 500 ms ± 250 ms, reordering; 5 % loss; cut 12 s; 9600 bit/s)", only(account, "farsm", "farplain"))
    r.books("R16", "the others meanwhile", only(account, "sm", "plain"))


def small_buffers():
    """Of TCP in this namespace: a partner that does not read is felt by the sender after some 100 KiB, as over a real network."""
    for name, words in (("tcp_rmem", "4096 16384 65536"), ("tcp_wmem", "4096 16384 65536")):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
            f.write(words)


@experiment("stalled", "R12", seconds=75)
def stalled(r):
    """two partners read nothing any more, and are written to"""
    small_buffers()
    groups = [Group("sm", True, number=0), Group("plain", False, number=1), Group("slow", False, 1, number=2), Group("mute", True, 1, number=3)]
    with Stage(r.run, groups=groups, users=50, think=5, log_level="warning") as s:
        pid = s.services[0].pid
        for g in groups[:2]:
            s.tell("rate", g.name, 100, 100)
        for g in groups[2:]:
            s.tell("rate", g.name, 25, 0)
        seconds = 6 if r.quick else 20
        time.sleep(max(5, seconds / 2))     # each pair's first text waits half a second
        s.lap()
        first = memory([pid], "VmRSS")
        time.sleep(seconds)
        calm, rss = s.lap(), memory([pid], "VmRSS")
        for g in groups[2:]:
            s.tell("group", g.name, "hold")
        time.sleep(seconds)
        held, rss_held = s.lap(), memory([pid], "VmRSS")
        s.mark("release")
        for g in groups[2:]:
            s.tell("group", g.name, "release")
        time.sleep(1)
        account = s.end(90)
        r.complaints(s)
    p99 = {when: max(lap["groups"][g][d]["arrival_ms"]["p99"] for g in ("sm", "plain") for d in ("to_xmpp", "to_sip")) for when, lap in (("calm", calm), ("held", held))}
    grown = max(0, rss_held - rss - (rss - first)) / 2      # what it grows by without that is not theirs
    r.figures.update(p99_ms=p99, rss_kib=[first, rss, rss_held])
    r.timed("R12", "the others' p99 before, and while two partners read nothing and are written to all the time",
            f"{p99['calm']:.1f} ms and {p99['held']:.1f} ms", p99["held"] <= max(1.05 * p99["calm"], p99["calm"] + 5))
    r.show("R12", f"memory of the process: at first, after {seconds} s of the load, after {seconds} s more with two partners that read nothing",
           f"{first / 1024:.1f}, {rss / 1024:.1f}, {rss_held / 1024:.1f} MiB: {grown:.0f} KiB for each of the two", grown <= 1024 or (None if INSTRUMENTED else False))
    r.books("R12", "all partners, after the two read again", account)


@experiment("storm", "R7", "R13", seconds=130)
def storm(r):
    """two thousand partners are cut off and come back at once, while others go on writing"""
    import common
    import partners
    count = 200 if r.quick else 2000
    bench = common.Bench(types.SimpleNamespace(no_pin=True))
    try:
        found = partners.measure(bench, count, 200, 2.0, lambda text: text and r.say(text))
        bench.stop()
    except BaseException:
        bench.kill()
        raise
    r.figures["storm"] = found
    up, back = found["storm"], found["storm"]["others"]
    r.timed("R7", f"{count} partners cut off and back at once, both streams of each", f"all in {up['seconds']:.1f} s (median {up['p50']:.1f} s)", up["there"] == count and up["seconds"] <= 60)
    r.timed("R7", "messages of others meanwhile, both directions", f"p99 {back['p99'] / 1000:.0f} ms", back["p99"] / 1000 <= 250)
    r.show("R7", "messages lost or refused in the storm", f"{found['lost']} and {found['refused']}", not found["lost"] and not found["refused"])
    link = found["memory"]["per_link_kib"]
    r.show("R13", f"memory of an idle authenticated link, of {found['links']}", f"{link:.1f} KiB", link <= 64 or (None if INSTRUMENTED else False))


