# SPDX-License-Identifier: Apache-2.0
"""What a hostile test is."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from waiting import LabError, wait_until    # noqa: E402,F401

CASES = []
UNJUDGED = []   # limits of time that the present test has missed and that count for nothing
SANITIZER = any(k in os.environ for k in ("ASAN_OPTIONS", "TSAN_OPTIONS"))


class Case:
    def __init__(self, name, function, authorised, settings, heavy):
        self.name, self.function, self.authorised, self.settings, self.heavy = name, function, authorised, settings, heavy
        self.file = function.__module__


def hostile(name, authorised=(), settings="", heavy=False):
    """Decorator: the function is a test, gets the ground, and raises when something is wrong. The name begins with the rows and
    ids that it is for ("T01 S08 ..."). `authorised`: the domains that may prove themselves or write to romeo in it; all others,
    but for the honest neighbour, must not. `settings`: more of entented's configuration; tests of a file with the same settings
    share a ground. `heavy`: only with --heavy."""
    def add(function):
        CASES.append(Case(name, function, authorised, settings, heavy))
        return function
    return add


def check(condition, text):
    if not condition:
        raise LabError(text)


def same(what, got, *wanted):
    if got not in wanted:
        raise LabError(f"{what} should be {' or '.join(map(repr, wanted))}, but is {got!r}")


def busy():
    """Others have the machine: what takes long is not only our doing."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def in_time(condition, text):
    """As check, of a limit of time: on a machine that others use, or under a sanitizer, it is said and not judged."""
    if not condition and (SANITIZER or busy()):
        UNJUDGED.append(text)
        return
    check(condition, text)
