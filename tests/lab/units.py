# SPDX-License-Identifier: Apache-2.0
"""Units of tests, each a process in namespaces of its own, several side by side: what the runners of tests/e2e and tests/hostile share.
Units counts and prints; Guard is for the process of a unit."""
import concurrent.futures
import json
import linecache
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

from waiting import LabError

NS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ns")


class Units:
    """`script`: the program of a unit; it takes one task as JSON and prints one JSON line for each result: number (of what was asked for),
    seconds, trouble (words, or null), logs (a folder), and what the runner wants."""

    def __init__(self, script):
        self.script = script
        self.number = self.passed = self.failed = self.unjudged = 0
        self.lock = threading.Lock()
        self.programs = set()   # running
        self.stopped = False

    def line(self, name, seconds, trouble, logs=None, remarks=(), unjudged=()):
        """One result. `unjudged`: limits that were missed and count for nothing here, because others have the machine."""
        with self.lock:
            self.number += 1
            self.failed += bool(trouble)
            self.passed += not trouble
            self.unjudged += len(unjudged)
            print(f"{'not ok' if trouble else 'ok'} {self.number} {name} ({seconds:.1f}s)")
            for text in [*remarks, *(f"not judged: {x}" for x in unjudged)]:
                print(f"    # {text}")
            for text in (trouble or "").splitlines():
                print(f"    {text}")
            if trouble and logs:
                print(f"    logs: {logs}")
            sys.stdout.flush()

    def run(self, task, names, result):
        """One unit. names: {number: what to call it}; result(dict, number is one of names and came for the first time)."""
        # however we end, the namespace and everything in it ends with us
        program = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NS, "/usr/bin/python3", self.script, json.dumps(task)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.programs.add(program)
        said, open_ones = [], dict(names)
        reader = threading.Thread(target=lambda: said.extend(program.stderr), daemon=True)
        reader.start()
        for text in program.stdout:
            if text.startswith("{"):
                found = json.loads(text)
                result(found, open_ones.pop(found["number"], None) is not None)
            else:
                said.append(text)
        program.wait()
        reader.join(1)
        self.programs.discard(program)
        for name in open_ones.values() if not self.stopped else ():
            self.line(name, 0, "\n".join(["it was not run:", *map(str.rstrip, said[-12:])]))

    def all(self, jobs, unit, calls):
        """unit(*call) for each of `calls`, so many side by side; whatever ends us ends them."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
            try:
                for done in [pool.submit(unit, *call) for call in calls]:
                    done.result()
            except BaseException:
                self.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for program in list(self.programs):
                    program.kill()      # and with it everything in its namespaces
                raise

    def end(self, start, *remarks):
        """The last lines; returns the exit status."""
        print(f"# {time.monotonic() - start:.0f} s")
        if self.unjudged:
            remarks = (*remarks, f"{self.unjudged} limits of time were not judged: too much else runs here")
        for text in remarks:
            print(f"# {text}")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def impossible():
    """The exit status when this system does not let us make namespaces (it has been said why), else 0."""
    return subprocess.run([NS, "--why"], check=False).returncode


class Overtime(Exception):
    pass


class Guard:
    """`limit`: seconds for one call. `ours(path)`: is this a file of tests, whose line shall be shown?"""

    def __init__(self, limit, ours):
        self.limit, self.ours = limit, ours
        signal.signal(signal.SIGALRM, self._overtime)

    def _overtime(self, *_):
        raise Overtime(f"not finished after {self.limit} s")

    def place(self, error):
        """Where in a file of tests an error was raised."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if self.ours(frame.filename):
                return f"{os.path.basename(frame.filename)}:{frame.lineno}: {linecache.getline(frame.filename, frame.lineno).strip()}"
        return ""

    def __call__(self, function, *arguments, **named):
        """What went wrong, in words, or None."""
        signal.alarm(self.limit)
        try:
            function(*arguments, **named)
            return None
        except (LabError, AssertionError, Overtime) as e:
            return f"{e or type(e).__name__}\n{self.place(e)}".strip()
        except Exception:
            return traceback.format_exc()
        finally:
            signal.alarm(0)
