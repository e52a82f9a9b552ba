#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed load with churn for hours: texts both ways with partners that acknowledge and that do not, presence that is watched and given up, streams
that are cut, partners that come and go, reloads. At least each minute memory, descriptors, threads and counters; at the end the last quarter against
the first, the slopes by regression, and both books.

    tests/chaos/soak --hours 72 [--sanitizer asan|tsan] [--seed N]
    tests/chaos/soak --hours 72 --restart-hours 24      with planned restarts; what is between two of them is judged by itself
    tests/chaos/soak --minutes 40       the shortest that can pass or fail is 30 minutes
    tests/chaos/soak --minutes 3        a trial: memory and descriptors are shown and not judged

The samples go to build/chaos/soak.json."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import chaos                                        # noqa: E402
from experiment import Result                       # noqa: E402

SAMPLES = f"{chaos.BUILD}/chaos/soak.json"
# Of each start the beginning is growth of what is kept on purpose: texts are remembered for a quarter of an hour (65,536 of them), transactions, arenas, contacts.
# After it nothing may grow.
WARM = 1020             # s
LEAST = 780             # s after it, that can be judged
MEMORY = 2.0            # MiB: pages that were freed and not given back vary by about one
DESCRIPTORS = 2         # streams that happen to be cut or away vary by more, their medians do not
DAY = 6 * 3600          # s: so long, and the slope of a day can be told from that


def slope(points):
    """Least squares: units of y for each second."""
    n = len(points)
    if n < 3:
        return 0.0
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    var = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / var if var else 0.0


def sample(stage, begin):
    from stage import memory, tree
    pid = stage.services[0].pid
    status = stage.parts[-1].cli("status", "--json").stdout
    try:
        metrics = json.loads(status)["metrics"]
    except ValueError:
        metrics = {}
    return {"at": round(time.monotonic() - begin, 1), "rss_kib": sum(memory([p], "VmRSS") for p in tree(pid)), "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task")), "generation": stage.services[0].generation, "load": os.getloadavg()[0],
            "metrics": {k: v for k, v in metrics.items() if isinstance(v, (int, float))}}


def churn(r, s, turn, spare):
    """One disturbance; which, the seed says."""
    from asking import Control
    what = r.rng.choice(["cut", "off", "home", "partner", "reload", "watch", "watch", "nothing"])
    group = r.rng.choice(s.groups)
    if what == "cut":
        s.mark("cut")
        s.tell("group", group.name, "cut")
    elif what == "off":
        s.mark("off")
        s.tell("group", group.name, "off")
        time.sleep(r.rng.uniform(0.5, 2))
        s.tell("group", group.name, "on")
    elif what == "home":
        s.mark("home")
        s.tell("home off")
        time.sleep(0.3)
        s.tell("home on")
    with Control() as control:
        if what == "partner":       # comes, is written to, goes
            import asking
            domain = f"gone{turn % 50}.chaos.test"
            control.ask("partner", "xmpp", "add", domain=domain, type="federated")
            asking.message(f"juliet@{domain}", timeout=15)
            control.ask("partner", "xmpp", "remove", domain=domain)
        elif what == "reload":
            control.ask("reload")
    if what == "watch":
        s.tell("watch", group.name, 10)
    spare[what] = spare.get(what, 0) + 1


def measure(r, minutes, restart_every=None):
    """The soak itself, inside the namespaces; r: a Result. restart_every: seconds between planned restarts (what is between them is judged by itself)."""
    from stage import INSTRUMENTED, Stage
    samples, done = [], {}
    with Stage(r.run, think=5, users=25, log_level="warning") as s:
        s.rate(100, 100)
        begin, turn = time.monotonic(), 0
        end = begin + minutes * 60
        step = max(2.0, min(60.0, minutes * 60 / 240))
        following, restart = begin + step, begin + restart_every if restart_every else None
        while time.monotonic() < end:
            time.sleep(r.rng.uniform(0.5, 2.5))
            turn += 1
            churn(r, s, turn, done)
            if restart and time.monotonic() > restart:
                s.mark("restart", "restart")
                s.services[0].restart()
                restart += restart_every
            if time.monotonic() >= following:
                following += step
                samples.append(sample(s, begin))
                if len(samples) % 20 == 0:
                    r.say(f"{samples[-1]['at']:.0f} s: {samples[-1]['rss_kib'] / 1024:.1f} MiB, {samples[-1]['descriptors']} descriptors, load {samples[-1]['load']:.1f}")
        for g in s.groups:
            s.tell("group", g.name, "on")
        time.sleep(3)
        account = s.end(90)
        r.complaints(s)
    os.makedirs(os.path.dirname(SAMPLES), exist_ok=True)
    with open(SAMPLES, "w", encoding="utf-8") as f:
        json.dump({"minutes": minutes, "done": done, "samples": samples, "account": account}, f, indent=1)
    judge(r, minutes, samples, done, account, INSTRUMENTED)


def grown(run, key, unit=1.0):
    """Of the samples of one start, without its warm-up: (median of the first quarter, of the last one, slope a day)."""
    n = max(1, len(run) // 4)
    return (statistics.median(x[key] / unit for x in run[:n]), statistics.median(x[key] / unit for x in run[-n:]),
            slope([(x["at"], x[key] / unit) for x in run]) * 86400)


def judge(r, minutes, samples, done, account, instrumented):
    starts = {}
    for x in samples:
        starts.setdefault(x["generation"], []).append(x)
    begins = {g: 0 if g == min(starts) else run[0]["at"] for g, run in starts.items()}
    runs = [[x for x in run if x["at"] >= begins[g] + WARM] for g, run in starts.items()]
    runs = [run for run in runs if len(run) >= 20 and run[-1]["at"] - run[0]["at"] >= 0.9 * LEAST]
    hours = minutes / 60
    length = f"{hours:.1f} h" if hours >= 1 else f"{minutes:.1f} min"
    churned = ", ".join(f"{n} {k}" for k, n in sorted(done.items()))
    r.figures.update(samples=len(samples), judged=len(runs))
    if not runs:
        half = samples[len(samples) // 2:]
        why = f"too short to be judged: {WARM // 60} minutes of warm-up and {LEAST // 60} after it are needed"
        rss, fds = ([samples[0][k], samples[-1][k]] for k in ("rss_kib", "descriptors"))
        r.show("R15", f"memory over {length} of mixed load with churn ({churned})", f"{rss[0] / 1024:.1f} MiB at first, {rss[1] / 1024:.1f} MiB at the end, "
               f"slope of the second half {slope([(x['at'], x['rss_kib'] / 1024) for x in half]) * 60:.3f} MiB/min; {why}", None)
        r.show("R15", "descriptors", f"{fds[0]} at first, {fds[1]} at the end, {min(x['descriptors'] for x in samples)} to {max(x['descriptors'] for x in samples)}; {why}", None)
    for number, run in enumerate(runs):
        seconds = run[-1]["at"] - run[0]["at"]
        of = f" (start {number + 1} of {len(runs)})" if len(runs) > 1 else ""
        day = seconds >= DAY
        first, last, slant = grown(run, "rss_kib", 1024)
        ok = last - first <= MEMORY and (not day or slant < 1)
        r.show("R15", f"memory over {seconds / 3600:.1f} h after {WARM // 60} min, of {length} of mixed load with churn ({churned}){of}; the last quarter at most {MEMORY:g} MiB over the first"
               + (", the slope below 1 MiB/day" if day else "; too short for the slope of a day"),
               f"{first:.1f} and {last:.1f} MiB, slope {slant:.2f} MiB/day", None if instrumented else ok)
        first, last, slant = grown(run, "descriptors")
        r.show("R15", f"descriptors of the same time{of}; the last quarter at most {DESCRIPTORS} over the first" + (f", the slope below {DESCRIPTORS} a day" if day else ""),
               f"{first:g} and {last:g}, slope {slant:.1f} a day", last - first <= DESCRIPTORS and (not day or slant < DESCRIPTORS))
    r.books("R15", "both books of the soak", account)


def main():
    p = argparse.ArgumentParser(prog="tests/chaos/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hours", type=float, default=1.0)
    p.add_argument("--minutes", type=float)
    p.add_argument("--restart-hours", type=float, default=0.0, help="hours between planned restarts (none)")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--sanitizer", choices=list(chaos.SANITIZERS))
    p.add_argument("--inside", help=argparse.SUPPRESS)
    o = p.parse_args()
    minutes = o.minutes or o.hours * 60
    if o.inside:
        os.makedirs(f"{chaos.BUILD}/lab", exist_ok=True)
        r = Result("soak", tempfile.mkdtemp(prefix="soak.", dir=f"{chaos.BUILD}/lab"), o.seed)
        measure(r, minutes, o.restart_hours * 3600 or None)
        for text in r.wrong:
            print(f"wrong: {text}")
        print(f"# {minutes:g} minutes, seed {o.seed}; samples: {os.path.relpath(SAMPLES)}{'; logs: ' + r.run if r.wrong else ''}")
        print(f"soak: {'failed' if r.wrong else 'passed'}")
        return 1 if r.wrong else 0
    environment = {**os.environ, **(chaos.sanitizer(o.sanitizer) if o.sanitizer else {})}
    print(f"soak: {minutes:g} minutes, seed {o.seed}", flush=True)
    return subprocess.run(["setpriv", "--pdeathsig", "KILL", f"{chaos.TOP}/tests/lab/ns", sys.executable, os.path.abspath(__file__), "--inside", "yes",
                           "--minutes", str(minutes), "--seed", str(o.seed), "--restart-hours", str(o.restart_hours)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
