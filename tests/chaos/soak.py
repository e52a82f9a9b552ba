#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed load with churn for hours: texts both ways with partners that acknowledge and that do not, presence that is watched and given up, streams
that are cut, partners that come and go, reloads, a restart now and then. Each minute memory, descriptors, threads and counters; at the end the
slopes by regression, and both books.

    tests/chaos/soak --hours 72 [--sanitizer asan|tsan] [--seed N]
    tests/chaos/soak --minutes 3        the short form; the samples go to build/chaos/soak.json"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import chaos                                        # noqa: E402
from experiment import Result                       # noqa: E402

SAMPLES = f"{chaos.BUILD}/chaos/soak.json"


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
    """The soak itself, inside the namespaces; r: a Result. restart_every: seconds between planned restarts (slopes are taken between them)."""
    from stage import INSTRUMENTED, Stage
    samples, done = [], {}
    with Stage(r.run, think=5, users=25, log_level="warning") as s:
        s.rate(100, 100)
        begin, turn = time.monotonic(), 0
        end = begin + minutes * 60
        step = max(2.0, min(60.0, minutes * 60 / 60))
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
                if len(samples) % 10 == 0:
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


def judge(r, minutes, samples, done, account, instrumented):
    # the beginning is growth of what is kept on purpose (arenas, known texts, contacts); it ends, and after that nothing may grow
    tail = [x for x in samples if x["at"] > min(1800, minutes * 60 / 2)]
    by_run = {}
    for x in tail:
        by_run.setdefault(x["generation"], []).append(x)
    longest = max(by_run.values(), key=len, default=[])
    rss = slope([(x["at"], x["rss_kib"] / 1024) for x in longest]) * 86400
    fds = slope([(x["at"], x["descriptors"]) for x in longest]) * 86400
    spread = max((x["descriptors"] for x in longest), default=0) - min((x["descriptors"] for x in longest), default=0)
    hours = minutes / 60
    churned = ", ".join(f"{n} {k}" for k, n in sorted(done.items()))
    r.figures.update(rss_mib_per_day=rss, descriptors_per_day=fds, samples=len(samples))
    short = hours < 6       # a slope of a day cannot be seen in minutes
    r.show("R15", f"memory over {f'{hours:.1f} h' if hours >= 1 else f'{minutes:.1f} min'} of mixed load with churn ({churned})",
           f"{samples[0]['rss_kib'] / 1024:.1f} MiB at first, {samples[-1]['rss_kib'] / 1024:.1f} MiB at the end; slope of the second half {rss / 1440:.3f} MiB/min"
           + ("" if short else f" = {rss:.2f} MiB/day"), None if short or instrumented else rss < 1)
    r.show("R15", "descriptors", f"{samples[0]['descriptors']} at first, {samples[-1]['descriptors']} at the end, they vary by {spread}",
           abs(samples[-1]["descriptors"] - samples[0]["descriptors"]) <= max(12, spread) and (short or abs(fds) < 1 + spread))
    r.books("R15", "both books of the soak", account)


def main():
    p = argparse.ArgumentParser(prog="tests/chaos/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hours", type=float, default=1.0)
    p.add_argument("--minutes", type=float)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--sanitizer", choices=list(chaos.SANITIZERS))
    p.add_argument("--inside", help=argparse.SUPPRESS)
    o = p.parse_args()
    minutes = o.minutes or o.hours * 60
    if o.inside:
        os.makedirs(f"{chaos.BUILD}/lab", exist_ok=True)
        r = Result("soak", tempfile.mkdtemp(prefix="soak.", dir=f"{chaos.BUILD}/lab"), o.seed)
        measure(r, minutes, 3600 if minutes > 240 else None)
        for text in r.wrong:
            print(f"wrong: {text}")
        print(f"# {minutes:g} minutes, seed {o.seed}; samples: {os.path.relpath(SAMPLES)}{'; logs: ' + r.run if r.wrong else ''}")
        print(f"soak: {'failed' if r.wrong else 'passed'}")
        return 1 if r.wrong else 0
    environment = {**os.environ, **(chaos.sanitizer(o.sanitizer) if o.sanitizer else {})}
    print(f"soak: {minutes:g} minutes, seed {o.seed}", flush=True)
    return subprocess.run(["setpriv", "--pdeathsig", "KILL", f"{chaos.TOP}/tests/lab/ns", sys.executable, os.path.abspath(__file__), "--inside", "yes",
                           "--minutes", str(minutes), "--seed", str(o.seed)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
