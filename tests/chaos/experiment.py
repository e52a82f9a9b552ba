# SPDX-License-Identifier: Apache-2.0
"""What an experiment is: a function that does evil for some time and says what it measured, promise by promise."""
import os
import random
import sys
import time

EXPERIMENTS = []


class Experiment:
    def __init__(self, name, function, promises, seconds, needs, rare):
        self.name, self.function, self.promises, self.seconds, self.needs, self.rare = name, function, promises, seconds, needs, rare
        self.text = " ".join((function.__doc__ or "").split())


def experiment(name, *promises, seconds=60, needs=None, rare=False):
    """`seconds`: what it takes by default. `needs()`: why it cannot run on this system, or None. `rare`: only when it is named."""
    def add(function):
        EXPERIMENTS.append(Experiment(name, function, promises, seconds, needs, rare))
        return function
    return add


class Result:
    """What an experiment hands back, and what it works with: `run` (a folder), `rng` (seeded), `quick`, `minutes` (of the long one)."""

    def __init__(self, name, run, seed, quick=False, minutes=10.0):
        self.name, self.run, self.quick, self.minutes = name, run, quick, minutes
        self.rng = random.Random(f"{seed}/{name}")
        self.rows = []          # {promise, what, figure, ok}
        self.figures = {}       # anything, for results.json
        self.wrong = []         # what was not as it should be, in words
        self.begin = time.monotonic()

    def say(self, text):
        """Progress."""
        print(f"   {time.monotonic() - self.begin:6.1f} s  {text}", flush=True)

    def show(self, promise, what, figure, ok):
        """One row of the table. ok: True, False, or None where it was measured for information."""
        figure = figure.replace(self.run + "/", "")     # the document is for every machine
        self.rows.append({"promise": promise, "what": what, "figure": figure, "ok": ok})
        self.say(f"{promise}: {what}: {figure}{'' if ok else ' (for information)' if ok is None else ' NOT HELD'}")
        if ok is False:
            self.wrong.append(f"{promise}: {what}: {figure}")

    def timed(self, promise, what, figure, ok):
        """A promise of seconds: on a machine that others keep busy it is measured, and not judged when it fails."""
        load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
        if ok or load < 1.75 * cores:
            self.show(promise, what, figure, ok)
        else:
            self.show(promise, what, f"{figure}; not judged, the machine was busy (load {load:.1f} on {cores} cores)", None)

    def check(self, condition, text):
        if not condition:
            self.wrong.append(text)
            self.say(f"WRONG: {text}")
        return bool(condition)

    def books(self, promise, what, account, more=""):
        """The row of an account of both books (stage.books), and the account among the figures."""
        import stage
        line, wrong = stage.books(account)
        self.figures[f"account {what}"] = account
        self.show(promise, what, line + more, not wrong)
        for text in wrong:
            self.check(False, f"{what}: {text}")
        return not wrong

    def complaints(self, stage):
        for text in stage.complaints()[:10]:
            self.check(False, f"entented: {text}")

    def as_dict(self):
        return {"name": self.name, "seconds": round(time.monotonic() - self.begin, 1), "rows": self.rows, "figures": self.figures, "wrong": self.wrong,
                "ok": not self.wrong}


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else 0.0


def fail(text):
    sys.exit(f"chaos: {text}")
