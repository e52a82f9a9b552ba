# SPDX-License-Identifier: Apache-2.0
"""Divides the scenarios into units and has unit.py run them, each unit with a lab and namespaces of its own, several side by side.
One line for each scenario, a count at the end."""
import argparse
import glob
import os
import shutil
import sys
import time

import table
import topics
from scenario import PEERS
from daemon import BUILD
from units import Units, impossible

HERE = os.path.dirname(os.path.abspath(__file__))
UNIT = 30       # scenarios for one lab, when several labs are there
AGAIN = 4       # scenarios of one run that may need a second attempt, or one in AGAIN_OF
AGAIN_OF = 100
# Each kind of path once, for runs under sanitizers and with several workers.
SMOKE = ["im/non-ascii", "im/long text", "im/markup", "presence/", "errors/", "refusals/", "partner types/", "restarts/entented", "keys/T51 the private key",
         "streams/dialback: messages", "access kinds/allowed domain", "access kinds/a Kamailio", "access refused/what comes",
         "access homes/two", "access pool/a pool behind two", "sessions/a client opens", "chat states/in a session",
         "S18 TLS required, rod", "S18 a self-signed certificate, rod"]
# SIP federation has no halves; what is seen is seen on each half by itself (topic split).
UNDIVIDED = ("seeing",)
# jabberd2, when nobody names it: what is peculiar to it is in streams and stances; it does dialback whatever is set, so one setting will do.
JABBERD2 = SMOKE + ["streams/", ", rod: ", "im/plain"]


class Run(Units):
    def __init__(self, workers):
        super().__init__(f"{HERE}/unit.py")
        self.workers = workers
        self.cells = []         # of the table of stances
        self.again = []         # (peer, options, scenario, its result): they get a second attempt
        self.last = False       # this is it

    def count(self, peer, result):
        if result["cell"]:
            self.cells.append({**result["cell"], "trouble": bool(result["trouble"])})
        self.line(f"{result['name']} [{peer}]", result["seconds"], result["trouble"], result["logs"],
                  result["remark"].split("; ") if result["remark"] else ())

    def unit(self, peer, options, scenarios):
        known = {s.number: s for s in scenarios}

        def take(result, first):
            if first and result["trouble"] and not result["final"] and not self.last:
                with self.lock:
                    self.again.append((peer, options, known[result["number"]], result))
            else:
                self.count(peer, result)
        task = {"peer": peer, "workers": self.workers, "options": options, "scenarios": list(known)}
        self.run(task, {n: f"{s} [{peer}]" for n, s in known.items()}, take)

    def second_attempts(self):
        """What real peers did not do in time they may do when nothing else runs: those scenarios run once more, alone, each in a fresh
        lab; the output says so. Never for what entented itself did wrong (it died, a sanitizer spoke), and not when there are many."""
        self.last = True
        many = len(self.again) > max(AGAIN, (self.number + len(self.again)) // AGAIN_OF)
        for peer, options, s, result in self.again:
            if many:
                self.count(peer, result)
                continue
            print(f"# once more, alone: {s} [{peer}]; the first attempt:")
            for text in result["trouble"].splitlines():
                print(f"#   {text}")
            print(f"#   logs: {result['logs']}")
            self.unit(peer, options, [s])


def divide(scenarios, peers, several):
    """[(peer, options, scenarios)]: who shares a lab, the long ones first."""
    groups = {}
    for s in scenarios:
        for peer in s.peers:
            groups.setdefault((tuple(sorted(s.options.items())), peer), []).append(s)
    units = []
    for (options, peer), members in groups.items():
        parts = max(1, round(len(members) / UNIT)) if several else 1
        size = -(-len(members) // parts)
        for start in range(0, len(members), size):
            units += [(peer, dict(options), members[start:start + size])] if peer in peers else []
    if not several:
        units.sort(key=lambda u: peers.index(u[0]))
    return units


def matches(scenario, patterns):
    return any(p.lower() in str(scenario).lower() for p in patterns)


def sweep():
    """Remove what older runs left, but for the last few."""
    ages = {}
    for old in glob.glob(f"{BUILD}/lab/run.*"):
        try:
            ages[old] = time.time() - os.path.getmtime(old)
        except FileNotFoundError:
            pass        # another run has just ended
    for old in sorted(ages, key=ages.get)[10:]:
        if ages[old] > 3600:
            shutil.rmtree(old, ignore_errors=True)


def main():
    arguments = argparse.ArgumentParser(prog="tests/e2e/run", description="entented between real peers")
    arguments.add_argument("--peer", choices=PEERS, help="only this XMPP server")
    arguments.add_argument("--workers", type=int, default=1, help="entented's worker threads")
    arguments.add_argument("--layout", choices=["one", "split"], default="one", help="entented as one process, or edge and gateway as two")
    arguments.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="labs side by side (default: one for each CPU, at most 4)")
    arguments.add_argument("--smoke", action="store_true", help="only a selection that takes every kind of path")
    arguments.add_argument("--table", action="store_true", help="print the table of stances at the end; it is in stances.txt of the build directory anyway")
    arguments.add_argument("--list", action="store_true", help="print the scenarios and end")
    arguments.add_argument("pattern", nargs="*", help='a part of "topic/name"; all when there is none')
    chosen = arguments.parse_args()
    if chosen.smoke:
        chosen.pattern += SMOKE
    scenarios = [s for s in topics.load() if matches(s, chosen.pattern) or not chosen.pattern and not s.rare]
    if not chosen.peer and not chosen.pattern:
        for s in scenarios:
            s.peers = [p for p in s.peers if p != "jabberd2" or matches(s, JABBERD2)]
    if chosen.layout == "split":
        scenarios = [s for s in scenarios if s.topic not in UNDIVIDED and not s.topic.startswith("access")]
        for s in scenarios:
            s.options = {"layout": "split", **s.options}
    if chosen.list:
        print("\n".join(map(str, scenarios)))
        return 0
    refused = impossible()
    if refused:
        return refused
    sweep()
    run = Run(chosen.workers)
    start = time.monotonic()
    run.all(chosen.jobs, run.unit, divide(scenarios, [chosen.peer] if chosen.peer else PEERS, chosen.jobs > 1))
    run.second_attempts()
    if run.cells:
        order = {s: n for n, s in enumerate(map(str, topics.SCENARIOS))}
        run.cells.sort(key=lambda c: (PEERS.index(c["peer"]), order[f"stances/S14 S18 {c['stance']}, {c['row']}: {c['begins']}"]))
        text = table.table(run.cells)
        with open(f"{BUILD}/stances.txt", "w", encoding="utf-8") as f:
            f.write(text)
        if chosen.table:
            print(text)
    return run.end(start, *([f"{len(run.again)} needed a second attempt"] if run.again else []))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
