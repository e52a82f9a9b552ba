# SPDX-License-Identifier: Apache-2.0
"""Has unit.py run the tests, each file (and each set of settings) on a ground of its own, several side by side. One line for each
test, a count at the end."""
import argparse
import os
import sys
import time

import case     # noqa: F401  finds the lab
import files
from units import Units, impossible

HERE = os.path.dirname(os.path.abspath(__file__))


class Run(Units):
    def __init__(self, workers):
        super().__init__(f"{HERE}/unit.py")
        self.workers = workers

    def unit(self, cases):
        names = {c.number: c.name for c in cases}
        self.run({"workers": self.workers, "cases": list(names)}, names,
                 lambda r, _: self.line(names.get(r["number"]) or r["name"], r["seconds"], r["trouble"], r["logs"],
                                        [r["note"]] if r["note"] else (), r["unjudged"]))


def divide(cases):
    groups = {}
    for one in cases:
        groups.setdefault((one.file, one.settings), []).append(one)
    return list(groups.values())


def main():
    arguments = argparse.ArgumentParser(prog="tests/hostile/run", description="entented among hostile XMPP servers and SIP edges")
    arguments.add_argument("--workers", type=int, default=1, help="entented's worker threads")
    arguments.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="grounds side by side (default: one for each CPU, at most 4)")
    arguments.add_argument("--heavy", action="store_true", help="the large floods and the long waits too")
    arguments.add_argument("--smoke", action="store_true", help="only identity and parsing, for sanitizers")
    arguments.add_argument("--list", action="store_true", help="print the tests and end")
    arguments.add_argument("pattern", nargs="*", help="a part of a test's name; all when there is none")
    chosen = arguments.parse_args()
    if chosen.heavy:
        os.environ["HOSTILE_HEAVY"] = "1"
    cases = [c for c in files.load() if chosen.heavy or not c.heavy]
    cases = [c for c in cases if not chosen.pattern or any(p.lower() in f"{c.file} {c.name}".lower() for p in chosen.pattern)]
    cases = [c for c in cases if not chosen.smoke or c.file in ("on_identity", "on_parsing", "on_sip_identity", "on_sip_parsing", "on_sip_abuse")]
    if chosen.list:
        print("\n".join(c.name for c in cases))
        return 0
    refused = impossible()
    if refused:
        return refused
    run = Run(chosen.workers)
    start = time.monotonic()
    run.all(chosen.jobs, run.unit, [(unit,) for unit in divide(cases)])
    return run.end(start)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
