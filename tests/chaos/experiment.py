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
        self.rows = []          # {promise, what, figure, ok, limit, busy}
        self.figures = {}       # anything, for results.json
        self.wrong = []         # what was not as it should be, in words
        self.broken = []        # of these, what belongs to no row: then no promise of the experiment was kept
        self.stages = []        # whose complaints were asked for
        self.load = os.getloadavg()[0]      # of others: the experiment has not begun
        self.begin = time.monotonic()

    def say(self, text):
        """Progress."""
        print(f"   {time.monotonic() - self.begin:6.1f} s  {text}", flush=True)

    def show(self, promise, what, figure, ok, limit="", busy=False, known=False):
        """One row of the table. ok: True, False, or None where it was measured for information. limit: what was promised, in words. busy: it was missed, and the
        machine was not ours. known: that it is missed is no news, table.py says why: not held, but the run is not wrong."""
        figure = figure.replace(self.run + "/", "")     # the document is for every machine
        self.rows.append({"promise": promise, "what": what, "figure": figure, "ok": ok, "limit": limit, "busy": busy})
        self.say(f"{promise}: {what}: {figure}{f' (promised: {limit})' if limit else ''}{'' if ok else ' (for information)' if ok is None else ' NOT HELD'}")
        if ok is False and not known:
            self.wrong.append(f"{promise}: {what}: {figure}")

    def timed(self, promise, what, figure, ok, limit=""):
        """A promise of seconds: on a machine that others kept busy before the experiment began it is measured, and not judged when it fails. What load the experiment
        itself makes is no excuse."""
        cores = len(os.sched_getaffinity(0))
        busy = not ok and self.load >= 1.75 * cores
        self.show(promise, what, figure + (f"; not judged, the machine was busy (load {self.load:.1f} on {cores} cores before)" if busy else ""), None if busy else ok, limit, busy)

    def check(self, condition, text):
        """What must be so whatever is measured. When it is not: no promise of this experiment is held, unless the text belongs to a row that says so itself."""
        if not condition:
            self.wrong.append(text)
            if not any(row["ok"] is False and text.startswith(f"{row['what']}: ") for row in self.rows):
                self.broken.append(text)
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
        """What is wrong with the processes of a stage; what they say while they end comes with late_complaints."""
        if stage not in self.stages:
            self.stages.append(stage)
        for text in [f"entented: {x}" for x in stage.complaints()][:10]:
            if text not in self.wrong:
                self.check(False, text)

    def late_complaints(self):
        for stage in self.stages:
            self.complaints(stage)

    def as_dict(self):
        return {"name": self.name, "seconds": round(time.monotonic() - self.begin, 1), "rows": self.rows, "figures": self.figures, "wrong": self.wrong,
                "broken": self.broken, "quick": self.quick, "ok": not self.wrong}


def percentile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else 0.0


def fail(text):
    sys.exit(f"chaos: {text}")
