# SPDX-License-Identifier: Apache-2.0
"""Has unit.py run the tests, each file (and each set of settings) on a ground of its own, several side by side. One line for each
test, a count at the end."""
import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time

import case     # noqa: F401  finds the lab
import files

HERE = os.path.dirname(os.path.abspath(__file__))
NS = os.path.join(HERE, "..", "lab", "ns")


class Run:
    def __init__(self, workers):
        self.workers = workers
        self.number = self.passed = self.failed = 0
        self.lock = threading.Lock()
        self.units = set()
        self.stopped = False

    def line(self, name, seconds, trouble, logs, note=""):
        with self.lock:
            self.number += 1
            self.failed += bool(trouble)
            self.passed += not trouble
            print(f"{'not ok' if trouble else 'ok'} {self.number} {name} ({seconds:.1f}s){' # ' + note if note else ''}")
            for text in (trouble or "").splitlines():
                print(f"    {text}")
            if trouble and logs:
                print(f"    logs: {logs}")
            sys.stdout.flush()

    def unit(self, cases):
        task = {"workers": self.workers, "cases": [c.number for c in cases]}
        # however we end, the namespace and everything in it ends with us
        program = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NS, "/usr/bin/python3", f"{HERE}/unit.py", json.dumps(task)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.units.add(program)
        said = []
        reader = threading.Thread(target=lambda: said.extend(program.stderr), daemon=True)
        reader.start()
        open_ones = {c.number: c for c in cases}
        for line in program.stdout:
            if not line.startswith("{"):
                said.append(line)
                continue
            result = json.loads(line)
            one = open_ones.pop(result["number"], None)
            self.line(one.name if one else result["name"], result["seconds"], result["trouble"], result["logs"], result["note"])
        program.wait()
        reader.join(1)
        self.units.discard(program)
        for one in open_ones.values() if not self.stopped else ():
            self.line(one.name, 0, "\n".join(["it was not run:", *map(str.rstrip, said[-12:])]), None)


def divide(cases):
    groups = {}
    for one in cases:
        groups.setdefault((one.file, one.settings), []).append(one)
    return list(groups.values())


def main():
    arguments = argparse.ArgumentParser(prog="tests/hostile/run", description="entented among hostile XMPP servers")
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
    cases = [c for c in cases if not chosen.smoke or c.file in ("on_identity", "on_parsing")]
    if chosen.list:
        print("\n".join(c.name for c in cases))
        return 0
    refused = subprocess.run([NS, "--why"], check=False).returncode
    if refused:
        return refused
    run = Run(chosen.workers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max(1, chosen.jobs)) as pool:
        try:
            for done in [pool.submit(run.unit, unit) for unit in divide(cases)]:
                done.result()
        except BaseException:
            run.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            for program in list(run.units):
                program.kill()      # and with it everything in its namespaces
            raise
    print(f"# {time.monotonic() - start:.0f} s")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
