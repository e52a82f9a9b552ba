# SPDX-License-Identifier: Apache-2.0
"""Runs the scenarios: one lab for each set of options, one line for each scenario, a count at the end."""
import argparse
import glob
import importlib
import linecache
import os
import shutil
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from scenario import SCENARIOS              # noqa: E402  (sets the path to the lab)
from lab import Lab                         # noqa: E402
from daemon import BUILD                    # noqa: E402
from waiting import LabError                # noqa: E402

TOPICS = ["im", "content", "presence", "subscriptions", "refusals", "errors", "partner_types", "restarts", "streams", "home",
          "real_client"]
LIMIT = 240     # seconds for one scenario
# Each kind of path once, for runs under sanitizers and with several workers.
SMOKE = ["im/non-ascii", "im/long text", "im/markup", "presence/", "errors/", "refusals/", "partner types/", "restarts/entented", "streams/dialback: messages"]


class Overtime(Exception):
    pass


def overtime(*_):
    raise Overtime(f"not finished after {LIMIT} s")


class Run:
    def __init__(self, total):
        self.number = self.passed = self.failed = 0
        self.width = len(str(total))

    def line(self, ok, scenario, seconds, trouble=None, logs=None):
        self.number += 1
        if ok:
            self.passed += 1
            print(f"ok {self.number} {scenario} ({seconds:.1f}s)", flush=True)
            return
        self.failed += 1
        print(f"not ok {self.number} {scenario} ({seconds:.1f}s)", flush=True)
        for text in trouble.splitlines():
            print(f"    {text}", flush=True)
        if logs:
            print(f"    logs: {logs}", flush=True)


def place(error):
    """Where in a scenario file an error was raised."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if os.path.dirname(frame.filename) == HERE and not frame.filename.endswith(("runner.py", "scenario.py")):
            line = linecache.getline(frame.filename, frame.lineno).strip()
            return f"{os.path.basename(frame.filename)}:{frame.lineno}: {line}"
    return ""


def attempt(lab, scenario):
    """Run one scenario; returns what went wrong, or None."""
    signal.alarm(LIMIT)
    try:
        lab.partner(scenario.partner)
        scenario.function(lab, **scenario.arguments)
        trouble = None
    except (LabError, AssertionError, Overtime) as e:
        trouble = f"{e or type(e).__name__}\n{place(e)}".strip()
    except Exception:
        trouble = traceback.format_exc()
    finally:
        signal.alarm(0)
    lab.close_users()
    complaints = lab.entented.complaints()[lab.complaints:]
    if complaints:
        lab.complaints += len(complaints)
        trouble = "\n".join(filter(None, [trouble, "entented's output has:", *complaints[:5]]))
    for program in lab.programs():
        if not program.alive():
            end = "was not started again"
            if program.popen and program.popen.returncode is not None:
                end = f"died with status {program.popen.returncode}"
            trouble = "\n".join(filter(None, [trouble, f"{program.name} {end}; the end of its log:", program.tail(12)]))
            program.start()
    return trouble


def run_group(run, peer, workers, options, scenarios):
    try:
        lab = Lab(peer=peer, workers=workers, **options)
        lab.complaints = 0
        lab.start()
    except LabError as e:
        for scenario in scenarios:
            run.line(False, f"{scenario} [{peer}]", 0, f"the lab did not start: {e}")
        if "lab" in locals():
            lab.kill()
        return
    failed = run.failed
    last = None
    for scenario in scenarios:
        start = time.monotonic()
        trouble = attempt(lab, scenario)
        last = scenario
        run.line(trouble is None, f"{scenario} [{peer}]", time.monotonic() - start, trouble, lab.run)
    try:
        status = lab.entented.stop()
        if status:
            raise LabError(f"entented ended with status {status}; the end of its log:\n{lab.entented.tail(12)}")
        leaks = lab.entented.complaints()[lab.complaints:]
        if leaks:
            raise LabError("entented complained at its end:\n" + "\n".join(leaks[:12]))
    except LabError as e:
        run.line(False, f"{last.topic}/entented ends well [{peer}]", 0, str(e), lab.run)
    try:
        lab.stop()
    except LabError:
        lab.kill()
    if run.failed == failed:
        shutil.rmtree(lab.run, ignore_errors=True)


def sweep():
    """Remove what older runs left, but for the last few."""
    for old in sorted(glob.glob(f"{BUILD}/lab/run.*"), key=os.path.getmtime)[:-10]:
        if time.time() - os.path.getmtime(old) > 3600:
            shutil.rmtree(old, ignore_errors=True)


def main():
    arguments = argparse.ArgumentParser(prog="tests/e2e/run", description="entented between real peers")
    arguments.add_argument("--peer", choices=["prosody", "ejabberd"], help="only this XMPP server")
    arguments.add_argument("--workers", type=int, default=1, help="entented's worker threads")
    arguments.add_argument("--smoke", action="store_true", help="only a selection that takes every kind of path")
    arguments.add_argument("--list", action="store_true", help="print the scenarios and end")
    arguments.add_argument("pattern", nargs="*", help='a part of "topic/name"; all when there is none')
    chosen = arguments.parse_args()
    if chosen.smoke:
        chosen.pattern += SMOKE
    for topic in TOPICS:
        importlib.import_module(topic)
    scenarios = [s for s in SCENARIOS if not chosen.pattern or any(p.lower() in str(s).lower() for p in chosen.pattern)]
    if chosen.list:
        print("\n".join(map(str, scenarios)))
        return 0
    groups = {}
    for s in scenarios:
        groups.setdefault(tuple(sorted(s.options.items())), []).append(s)
    peers = [chosen.peer] if chosen.peer else ["prosody", "ejabberd"]
    signal.signal(signal.SIGALRM, overtime)
    sweep()
    run = Run(len(scenarios) * len(peers))
    start = time.monotonic()
    for peer in peers:
        for options, members in groups.items():
            run_group(run, peer, chosen.workers, dict(options), members)
    print(f"# {time.monotonic() - start:.0f} s")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed or not run.passed else 0


if __name__ == "__main__":
    sys.exit(main())
