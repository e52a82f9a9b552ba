# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: R1, and how fast it is back: R2."""
import os
import signal
import time

from experiment import experiment, percentile
from stage import INSTRUMENTED, Stage, total, wait_until
from service import read_unit    # noqa: E402 (stage finds it)

RATE = 200          # messages a second, each way
EVERY = 5.0         # seconds from one kill to the next
RESTART = 0.5       # promised seconds (R2)


def killed_under_load(r, layout, seconds, victims, what):
    """victims: [(part, child)], one of them drawn each time."""
    with Stage(r.run, layout=layout, log_level="warning" if seconds > 120 else "info") as s:
        s.rate(RATE, RATE)
        time.sleep(3)
        end, kills, missed = time.monotonic() + seconds, {}, 0
        following = time.monotonic()
        while time.monotonic() < end:
            part, child = r.rng.choice(victims)
            # not always at the same moment of the second: something else is under way each time
            time.sleep(max(0, following + r.rng.uniform(-0.4, 0.4) - time.monotonic()))
            following += EVERY
            if killed := s.kill_part(part, child):
                name = s.parts[part].name + ("'s child" if killed == "child" else "")
                kills[name] = kills.get(name, 0) + 1
                if sum(kills.values()) % 12 == 0:
                    r.say(f"{sum(kills.values())} kills")
            else:
                missed += 1
        time.sleep(EVERY)
        s.wait_ready()
        account = s.end(90)
        r.complaints(s)
        gaps = s.gaps()
    done = " + ".join(f"{n} of {name}" for name, n in kills.items())
    r.books("R1", f"kill -9 every {EVERY:g} s for {seconds / 60:.3g} min, {RATE} messages/s each way ({done})", account)
    if missed:
        r.say(f"{missed} kills were left out: nobody was there to be killed")
    window = max(account["groups"]["plain"]["to_sip"]["silent_ms"], 0)
    r.show("R1", "partners without XEP-0198, to SIP: in a socket, or not yet written, when the process died (nobody was told that they were taken)",
           f"{total(account, 'silent', 'to_sip', False)} of {total(account, 'sent', 'to_sip', False)} messages, sent at most {window:.0f} ms before the kill", None)
    r.show("R1", "messages twice, whose confirmation had just come or had not come yet",
           f"{total(account, 'doubled')} of {total(account, 'sent')}, confirmed at most {max(g[d]['doubled_ms'] for g in account['groups'].values() for d in ('to_xmpp', 'to_sip')):.0f} ms "
           "before the kill", None)
    return account, gaps, kills


def back_again(r, what, gaps, kills, account):
    """R2, of each kill, and by the worst of them."""
    restart = read_unit().get("RestartSec")
    times = [g["seconds"] for g in gaps if g["why"] in ("kill", "child")]
    r.check(len(times) == sum(kills.values()), f"{what}: {sum(kills.values())} kills, but {len(times)} times without service")
    if r.check(times, f"{what}: not one restart was measured"):
        worst, usual = max(times), percentile(times, 0.5)
        r.figures[f"gaps {what}"] = times
        share = sum(t <= RESTART for t in times) / len(times)
        limit = RESTART * (6 if INSTRUMENTED else 1)
        for why, text in (("kill", "the process is killed"), ("child", "the keeper of its keys is killed")):
            if some := [g["seconds"] for g in gaps if g["why"] == why]:
                r.figures[f"gaps {what}, {text}"] = some
                r.say(f"{text}: median {percentile(some, 0.5) * 1000:.0f} ms, worst {max(some) * 1000:.0f} ms of {len(some)}")
        r.timed("R2", f"{what}: from before the kill, of the process or of the keeper of its keys, to READY=1, RestartSec={restart} included",
                f"median {usual * 1000:.0f} ms, worst {worst * 1000:.0f} ms of {len(times)}, {share:.0%} within 500 ms", worst <= limit,
                f"each within {limit * 1000:.0f} ms" + (" (six times as long, for a sanitizer)" if INSTRUMENTED else ""))
    answered = account["answered_ms"]
    r.show("R2", f"{what}: from the kill to the first 2xx for a message sent after it: the start above, then the home's and the partners' new connections with their TLS "
           "handshakes, at times that they choose", f"median {answered['p50']:.0f} ms, 90 % {answered['p90']:.0f} ms, worst {answered['max']:.0f} ms", None)


@experiment("kill", "R1", "R2", seconds=640)
def kill(r):
    """kill -9 of the process, or of a child of it, every five seconds; partners with and without XEP-0198"""
    seconds = 30 if r.quick else r.minutes * 60
    r.quick = r.quick or r.minutes < 10
    account, gaps, kills = killed_under_load(r, "one", seconds, [(0, False), (0, False), (0, False), (0, True)], "one process")
    back_again(r, "one process", gaps, kills, account)


@experiment("kill-split", "R1", "R2", seconds=150)
def kill_split(r):
    """the same with edge and gateway as two processes: either is killed"""
    account, gaps, kills = killed_under_load(r, "split", 25 if r.quick else 120, [(0, False), (1, False), (0, True), (1, True)], "edge and gateway")
    back_again(r, "edge and gateway", gaps, kills, account)


def crash_is_seen(r, s):
    """It comes back so fast that nobody misses it: the laboratory must complain by itself."""
    service = s.services[0]
    generation = service.generation
    os.kill(service.pid, signal.SIGSEGV)
    wait_until(lambda: service.generation > generation, 20, "it does not come back after a crash")
    s.wait_ready()
    r.check(any("SIGSEGV" in x for x in s.complaints()), "a crash that nobody asked for was not seen")
    service.unasked.clear()


@experiment("smoke", "R1", seconds=8, rare=True)
def smoke(r):
    """two kills and both books, for make test: so that the laboratory stays whole"""
    with Stage(r.run, think=5, grace=500) as s:     # R1 is judged by `kill`; a machine that runs the tests may have slow disks
        s.rate(100, 100)
        for _ in range(2):
            time.sleep(1.2)
            s.kill_part(0)
            time.sleep(0.3)
            s.wait_ready()
        s.all_up(30)
        time.sleep(0.5)
        account = s.end(60)
        r.complaints(s)
        if not INSTRUMENTED:
            crash_is_seen(r, s)
    r.check(account["marks"] == 2 and account["answered_ms"]["n"] >= 1, f"nobody was killed, or nothing went on: {account['marks']} kills")
    r.books("R1", "two kills under load", account)
