# SPDX-License-Identifier: Apache-2.0
"""Bad lines, partners that stall, partners that all come back at once: R7, R12, R16."""
import statistics
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


@experiment("flapping", "R16", seconds=145, needs=impossible)
def flapping(r):
    """partners beyond a line that loses, delays and reorders packets, and is cut for some seconds"""
    with Strait(r.rng.random(), 8) as line, Stage(r.run, groups=far_groups(line.netns), listen=LISTEN) as s:
        for g in s.groups:
            s.tell("rate", g.name, 20, 20)
        profiles = [("30 % loss, 500 ms ± 250 ms, reordering", {"loss": 30, "delay": 250, "jitter": 125}, 30),
                    ("5 % loss, 100 ms", {"loss": 5, "delay": 50, "jitter": 25}, 15),
                    ("cut", {"down": 1}, 12),
                    ("as it should be", {"down": 0, "loss": 0, "delay": 0, "jitter": 0}, 10),
                    ("9600 bit/s", {"rate": 9600, "delay": 100}, 25),
                    ("as it should be", {"rate": 0, "delay": 0}, 15)]
        done = []
        for name, values, seconds in profiles:
            seconds = seconds / 5 if r.quick else seconds
            s.mark(name.replace(" ", "-")[:20])
            passed = line.set(**values)
            time.sleep(seconds)
            done.append(f"{name} for {seconds:g} s")
            lap = s.lap()
            sm = lap["groups"]["farsm"]["to_xmpp"]["answer_ms"]
            r.say(f"{name}: {passed} packets passed/lost before; SIP to the far partners answered in {sm['p50']:.0f} ms (median of {sm['n']})")
        s.all_up(90)
        account = s.end(120)
        r.complaints(s)
    r.books("R16", f"partners beyond the bad line ({'; '.join(done)})", only(account, "farsm", "farplain"))
    r.books("R16", "the others meanwhile", only(account, "sm", "plain"))


def small_buffers():
    """Of TCP in this namespace: a partner that does not read is felt by the sender after some 100 KiB, as over a real network."""
    for name, words in (("tcp_rmem", "4096 16384 65536"), ("tcp_wmem", "4096 16384 65536")):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
            f.write(words)


STALLED = 16    # partners: so many that what a busy process grows by anyway (the last 65,536 texts are remembered) is little for each of them
BODY = 8000     # octets of a text
BOUND_KIB = 4096    # what limits.queue-size (1 MiB) comes to by design, see R12 in table.py: more is news


@experiment("stalled", "R12", seconds=140)
def stalled(r):
    """sixteen partners read nothing any more, and each is written to all the time, eleven times what may be kept for it"""
    small_buffers()
    laps, seconds = (3, 4) if r.quick else (6, 6)
    near = [Group("sm", True, 1, number=0), Group("plain", False, 1, number=1)]
    slow = [Group("slow", False, STALLED // 2, number=2), Group("mute", True, STALLED // 2, number=3)]
    with Stage(r.run, groups=near + slow, users=250, think=5, log_level="warning", body=BODY) as s:
        pid = s.services[0].pid
        for g in near:
            s.tell("rate", g.name, 100, 100)
        for g in slow:
            s.tell("rate", g.name, 40 * STALLED // 2, 0)
        # each pair's first text waits half a second; transactions are kept for 32 s, and only then does the process grow slowly
        time.sleep(45 if r.quick else 60)
        rss = []

        def watched():
            """The laps, and the most memory in them."""
            s.lap()
            found, most = [], 0
            for _ in range(laps):
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    time.sleep(0.25)
                    most = max(most, memory([pid], "VmRSS"))
                found.append(s.lap())
                rss.append(memory([pid], "VmRSS"))
            return found, most
        calm, _ = watched()
        before, plateau = s.status()["groups"], rss[-1]
        for g in slow:
            s.tell("group", g.name, "hold")
        held, most = watched()
        after = s.status()["groups"]
        s.mark("release")
        for g in slow:
            s.tell("group", g.name, "release")
        time.sleep(1)
        account = s.end(90)
        r.complaints(s)

    def more(groups, key):
        return sum(after[g.name]["to_xmpp"][key] - before[g.name]["to_xmpp"][key] for g in groups)

    def worst(lap):
        return max(lap["groups"][g.name][d]["arrival_ms"]["p99"] for g in near for d in ("to_xmpp", "to_sip"))
    p99 = [worst(x) for x in calm], [worst(x) for x in held]
    middle = [statistics.median(x) for x in p99]
    limit = middle[0] + max(0.05 * middle[0], max(p99[0]) - min(p99[0]))
    back = sum(held[-1]["groups"][g.name][d]["held_back"] - calm[-1]["groups"][g.name][d]["held_back"] for g in near for d in ("to_xmpp", "to_sip"))
    offered = [more([g], "sent") * BODY / g.n / 2**20 for g in slow]
    enough = min(offered) >= (3 if r.quick else 10)
    grown, drift = (most - plateau) / STALLED, (rss[laps - 1] - rss[0]) / (laps - 1) / seconds
    r.figures.update(p99_ms=p99, rss_kib=rss, most_kib=most, offered_mib=offered, account=account)
    r.timed("R12", f"the others' p99 before, and while {STALLED} partners read nothing that is sent to them as before: median of {laps} laps of {seconds} s; "
            "at most 5 % more, or as much more as the laps before differ among themselves",
            f"{middle[0]:.1f} ms ({min(p99[0]):.1f} to {max(p99[0]):.1f}) and {middle[1]:.1f} ms, limit {limit:.1f} ms", middle[1] <= limit)
    r.show("R12", "texts of the others meanwhile that had to wait because those before them were not answered, or were refused", f"{back} and {more(near, 'refused')}",
           not back and not more(near, "refused"))
    r.show("R12", f"memory of the process before, and the most in {laps * seconds} s in which {STALLED} partners read nothing",
           f"{plateau / 1024:.1f} and {most / 1024:.1f} MiB: {grown:.0f} KiB for each, which was offered {min(offered):.1f} MiB ({more(slow, 'refused')} texts of {more(slow, 'sent')} were refused); "
           f"nothing is subtracted, before the process grew by {drift:.0f} KiB/s",
           (grown <= 1024 and enough) or (None if INSTRUMENTED else False), "1 MiB for each", known=enough and grown <= BOUND_KIB)
    r.books("R12", "all partners, after they read again", account)


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
    r.timed("R7", f"messages of others meanwhile ({count} partners in the storm), both directions", f"p99 {back['p99'] / 1000:.0f} ms", back["p99"] / 1000 <= 250)
    r.show("R7", f"messages lost or refused in the storm of {count}", f"{found['lost']} and {found['refused']}", not found["lost"] and not found["refused"])
    link = found["memory"]["per_link_kib"]
    r.show("R13", f"memory of an idle authenticated link, of {found['links']}", f"{link:.1f} KiB", link <= 64 or (None if INSTRUMENTED else False))


