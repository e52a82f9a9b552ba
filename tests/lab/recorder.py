# SPDX-License-Identifier: Apache-2.0
"""What happened to a user, in order, and waiting for what should."""
import threading
import time

from waiting import LabError


class Event:
    """One thing that a user saw or did: a kind and free attributes; `at` is the wall-clock second."""

    def __init__(self, kind, **attributes):
        self.kind = kind
        self.at = time.time()
        self.__dict__.update(attributes)

    def __getattr__(self, name):    # only for what was not set
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def __repr__(self):
        seen = {k: v for k, v in self.__dict__.items() if k not in ("kind", "at", "raw") and v not in (None, "", {}, [])}
        return f"{self.kind}({', '.join(f'{k}={short(v)}' for k, v in seen.items())})"


def short(value):
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


class Recorder:
    """Thread-safe list of events. `expect` takes the first match out; `history` keeps all for ever."""

    def __init__(self, owner):
        self.owner = owner
        self.history = []
        self._open = []
        self._changed = threading.Condition()

    def add(self, event):
        with self._changed:
            self.history.append(event)
            self._open.append(event)
            self._changed.notify_all()

    def expect(self, what, match, timeout=10, forget_before=None):
        """Wait for an event with match(event) true and take it. With `forget_before`, events for which that is true
        and that came earlier are taken too: used where only the latest state matters."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for i, event in enumerate(self._open):
                    if match(event):
                        earlier = self._open[:i]
                        if forget_before:
                            earlier = [e for e in earlier if not forget_before(e)]
                        self._open[:i + 1] = earlier
                        return event
                left = end - time.monotonic()
                if left <= 0:
                    raise LabError(f"{self.owner} should have {what} within {timeout:g} s; {self._seen()}")
                self._changed.wait(left)

    def take(self, match):
        """The first event with match(event) true, taken out; None when there is none yet."""
        with self._changed:
            for i, event in enumerate(self._open):
                if match(event):
                    return self._open.pop(i)
        return None

    def refuse(self, what, match, seconds):
        """Watch for `seconds`: LabError if an event with match(event) true is there or comes."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for event in self._open:
                    if match(event):
                        raise LabError(f"{self.owner} should not have {what}, but has: {event}")
                left = end - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def forget(self):
        """Drop what came so far (history keeps it)."""
        with self._changed:
            self._open.clear()

    def _seen(self):
        if not self._open:
            return "nothing came"
        return "what came: " + "; ".join(repr(e) for e in self._open[-8:])
