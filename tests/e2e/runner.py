# SPDX-License-Identifier: Apache-2.0
"""Divides the scenarios into units and has unit.py run them, each unit with a lab and namespaces of its own, several side by side.
One line for each scenario, a count at the end."""
import argparse
import concurrent.futures
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import table
import topics
from scenario import PEERS
from daemon import BUILD

HERE = os.path.dirname(os.path.abspath(__file__))
NS = os.path.join(HERE, "..", "lab", "ns")
UNIT = 30       # scenarios for one lab, when several labs are there
AGAIN = 4       # scenarios of one run that may need a second attempt, or one in AGAIN_OF
AGAIN_OF = 100
# Each kind of path once, for runs under sanitizers and with several workers.
SMOKE = ["im/non-ascii", "im/long text", "im/markup", "presence/", "errors/", "refusals/", "partner types/", "restarts/entented",
         "streams/dialback: messages", "access kinds/allowed domain", "access kinds/a Kamailio", "access refused/what comes",
         "access homes/two", "access pool/a pool behind two", "S18 TLS required, rod", "S18 a self-signed certificate, rod"]
# SIP federation has no halves; what is seen is seen on each half by itself (topic split).
UNDIVIDED = ("seeing",)
# jabberd2, when nobody names it: what is peculiar to it is in streams and stances.
JABBERD2 = SMOKE + ["streams/", "stances/", "im/plain"]


class Run:
    def __init__(self, workers):
        self.workers = workers
        self.number = self.passed = self.failed = 0
        self.lock = threading.Lock()
        self.units = set()      # running
        self.stopped = False
        self.cells = []         # of the table of stances
        self.again = []         # (peer, options, scenario, its result): they get a second attempt
        self.last = False       # this is it

    def line(self, name, peer, seconds, trouble, logs, remark=None):
        with self.lock:
            self.number += 1
            if trouble:
                self.failed += 1
            else:
                self.passed += 1
            print(f"{'not ok' if trouble else 'ok'} {self.number} {name} [{peer}] ({seconds:.1f}s)")
            for text in (remark or "").split("; ") if remark else ():
                print(f"    # {text}")
            for text in (trouble or "").splitlines():
                print(f"    {text}")
            if trouble and logs:
                print(f"    logs: {logs}")
            sys.stdout.flush()

    def count(self, peer, result):
        if result["cell"]:
            self.cells.append({**result["cell"], "trouble": bool(result["trouble"])})
        self.line(result["name"], peer, result["seconds"], result["trouble"], result["logs"], result["remark"])

    def unit(self, peer, options, scenarios):
        task = {"peer": peer, "workers": self.workers, "options": options, "scenarios": [s.number for s in scenarios]}
        # however we end, the namespace and everything in it ends with us
        program = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NS, "/usr/bin/python3", f"{HERE}/unit.py", json.dumps(task)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.units.add(program)
        said = []
        reader = threading.Thread(target=lambda: said.extend(program.stderr), daemon=True)
        reader.start()
        open_ones = {s.number: s for s in scenarios}
        for line in program.stdout:
            result = json.loads(line)
            s = open_ones.pop(result["number"], None)
            if s and result["trouble"] and not result["final"] and not self.last:
                with self.lock:
                    self.again.append((peer, options, s, result))
                continue
            self.count(peer, result)
        program.wait()
        reader.join(1)
        self.units.discard(program)
        for s in open_ones.values() if not self.stopped else ():
            self.line(str(s), peer, 0, "\n".join(["it was not run:", *map(str.rstrip, said[-12:])]), None)


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
    refused = subprocess.run([NS, "--why"], check=False).returncode
    if refused:
        return refused
    sweep()
    run = Run(chosen.workers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    units = divide(scenarios, [chosen.peer] if chosen.peer else PEERS, chosen.jobs > 1)
    with concurrent.futures.ThreadPoolExecutor(max(1, chosen.jobs)) as pool:
        try:
            for done in [pool.submit(run.unit, *unit) for unit in units]:
                done.result()
        except BaseException:
            run.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            for program in list(run.units):
                program.kill()      # and with it everything in its namespaces
            raise
    run.second_attempts()
    if run.cells:
        order = {s: n for n, s in enumerate(map(str, topics.SCENARIOS))}
        run.cells.sort(key=lambda c: (PEERS.index(c["peer"]), order[f"stances/S14 S18 {c['stance']}, {c['row']}: {c['begins']}"]))
        text = table.table(run.cells)
        with open(f"{BUILD}/stances.txt", "w", encoding="utf-8") as f:
            f.write(text)
        if chosen.table:
            print(text)
    print(f"# {time.monotonic() - start:.0f} s")
    if run.again:
        print(f"# {len(run.again)} needed a second attempt")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
