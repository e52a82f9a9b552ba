# SPDX-License-Identifier: Apache-2.0
"""The ladder: every message between SIP user, Kamailio, Entente, Prosody and XMPP user, in the order of time.

What passes Entente comes from its trace lines; what passes at the outer rungs comes from the users themselves."""
import datetime
import threading
import time
import unicodedata

from daemon import parse_line

COLUMNS = [2, 26, 50, 74, 98]       # where the five lifelines stand
WIDTH = 101
LATE = 0.3                          # seconds until an event is surely in the log

# trace event -> (from rung, to rung)
WAY = {"trace/sip-in": (1, 2), "trace/sip-out": (2, 1), "trace/xmpp-out": (2, 3), "trace/xmpp-in": (3, 2)}


def width(text):
    """Columns that a terminal needs."""
    return sum(0 if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Mn", "Me")
               else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text, room):
    """Cut to so many columns."""
    if width(text) <= room:
        return text
    while width(text) > room - 1:
        text = text[:-1]
    return text + "…"


class Ladder:
    def __init__(self, entented, paint):
        self.entented, self.paint = entented, paint
        self.events, self.lock = [], threading.Lock()
        self.log_place = 0
        self.rest = b""
        self.counter = 0
        self.quiet = True
        self.done = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    # --- where events come from -------------------------------------------------------------------------------------

    def user(self, user, direction, what, detail):
        """Observer of the users on both sides."""
        if what == "REGISTER":
            return
        rungs = (0, 1) if type(user).__name__ == "SipUser" else (4, 3)
        if direction == "in":
            rungs = rungs[::-1]
        with self.lock:
            self._add(time.time(), 0 if direction == "out" else 2, rungs, what, self._said(what, detail))

    @staticmethod
    def _said(what, detail):
        return f"“{detail}”" if detail and what in ("MESSAGE", "message") else detail

    def _add(self, at, rank, rungs, what, detail):
        self.counter += 1
        self.events.append((int(at * 1000), rank, self.counter, rungs, what, detail))

    def _read_log(self):
        try:
            with open(self.entented.log, "rb") as f:
                f.seek(self.log_place)
                data = f.read()
        except OSError:
            return
        self.log_place += len(data)
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            parsed = parse_line(line.decode("utf-8", "replace"))
            if not parsed or parsed[2] not in WAY:
                continue
            at = datetime.datetime.fromisoformat(parsed[0].replace("Z", "+00:00")).timestamp()
            fields = parsed[3]
            if fields.get("what") in ("OPTIONS", "REGISTER"):
                continue
            with self.lock:
                self._add(at, 1, WAY[parsed[2]], fields.get("what", "?"), fields.get("detail", ""))

    # --- printing ---------------------------------------------------------------------------------------------------

    def actors(self, left, right):
        """Head the ladder with the two users of the next scene."""
        self.settle()
        with self.lock:
            self.quiet = False
            names = [left, "Kamailio", "Entente", "Prosody", right]
            line = ""
            for i, name in enumerate(names):
                start = COLUMNS[i] - (0 if i == 0 else len(name) - 1 if i == 4 else len(name) // 2)
                line = line.ljust(max(start, 0 if i == 0 else len(line) + 1)) + name
            print("\n" + self.paint("bold", line[:WIDTH].rstrip()))
            print(self._row(None, ""), flush=True)

    def _row(self, column, text):
        """The lifelines, with `text`, as wide as a gap, in the gap right of the rung at `column`."""
        row = " " * COLUMNS[0] + "│"
        for here, there in zip(COLUMNS, COLUMNS[1:]):
            row += (text if here == column else " " * (there - here - 1)) + "│"
        return row

    def _print(self, event):
        _, _, _, (a, b), what, detail = event
        left, right = COLUMNS[min(a, b)], COLUMNS[max(a, b)]
        room = right - left - 1
        label = fit(what, room - 6)
        line = room - 4 - width(label)
        arrow = f"── {label} " + "─" * (line - 1) + "▶" if a < b else f"◀─ {label} " + "─" * line
        colour = "red" if what[:1] in "456" or "error" in what else "green" if what[:1] == "2" else "cyan"
        print(self._row(left, self.paint(colour, arrow)))
        if detail:
            text = fit(" " + detail, room)
            print(self._row(left, self.paint("dim", text + " " * (room - width(text)))))

    def _flush(self, before):
        with self.lock:
            ready = sorted(e for e in self.events if e[0] <= before)
            self.events = [e for e in self.events if e[0] > before]
            if not self.quiet:
                for event in ready:
                    self._print(event)
                print(end="", flush=True)

    def _run(self):
        while not self.done:
            self._read_log()
            self._flush((time.time() - LATE) * 1000)
            time.sleep(0.05)

    def settle(self):
        """Wait until all that happened is printed."""
        time.sleep(LATE + 0.2)

    def stop(self):
        """Print no more: what comes now is not part of a scene."""
        self.settle()
        with self.lock:
            self.quiet = True

    def end(self):
        self.done = True
        if self.thread.is_alive():
            self.thread.join(2)
