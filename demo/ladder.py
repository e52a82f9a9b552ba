# SPDX-License-Identifier: Apache-2.0
"""The ladder: every message between SIP user, Kamailio, Entente, Prosody and XMPP user, in the order of time.

What passes Entente comes from its log; what passes at the outer rungs comes from the users themselves. Left out are the answers
that say nothing new (200 OK to anything but a message) and the questions of XMPP servers about features (iq)."""
import datetime
import shutil
import sys
import threading
import time
import unicodedata

from daemon import parse_line

WIDE = 101
WIDTH = max(80, min(WIDE, shutil.get_terminal_size((WIDE, 24)).columns)) if sys.stdout.isatty() else WIDE
STEP = (WIDTH - 5) // 4
COLUMNS = [2 + STEP * n for n in range(5)]      # where the five lifelines stand
LATE = 0.3                                      # seconds until an event is surely in the log
LINES = 3                                       # of detail under an arrow

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


def wrap(text, room):
    """Broken between words into at most LINES lines of so many columns."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer) > room and len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fit(line, room) for line in lines]


def words(what, detail):
    """A message in the words of the ladder: (label, detail), or None for one that is not drawn."""
    kind, _, sort = what.partition("/")
    status, _, phrase = what.partition(" ")
    if kind == "iq":
        return None
    if status.isdigit():        # of SIP; detail is the method that it answers
        if status[0] == "2":
            return ("200 OK", "") if detail == "MESSAGE" else None
        return status, phrase
    if what == "SUBSCRIBE":
        return what, ""
    if what == "NOTIFY":        # "active;expires=3600", or what the SIP user understood
        state = detail.split(";")[0]
        return what, "" if state == "active" else state
    if kind == "presence" and sort in ("", "unavailable"):
        return "presence", sort or detail.removeprefix("show=") or "available"
    if kind == "presence":      # subscribe, subscribed, probe ...
        return sort, detail
    return ("message", detail) if what == "message/chat" else (sort if sort == "error" else what, detail)


class Ladder:
    def __init__(self, entented, paint):
        self.entented, self.paint = entented, paint
        self.events, self.lock = [], threading.Lock()
        self.log_place = 0
        self.rest = b""
        self.counter = 0
        self.quiet = True
        self.done = False
        self.early = {}         # partner -> events that wait for Entente's connection to it; None once that is there
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    # --- where events come from -------------------------------------------------------------------------------------

    def user(self, user, direction, what, detail):
        """Observer of the users on both sides."""
        if what == "REGISTER":
            return
        if direction == "out":
            time.sleep(0.01)        # the log knows milliseconds: what a user does comes clearly after what it saw
        rungs = (0, 1) if type(user).__name__ == "SipUser" else (4, 3)
        if direction == "in":
            rungs = rungs[::-1]
        if what == "NOTIFY":
            state, _, shown = detail.removeprefix("sub=").partition(" ")
            detail = shown.removeprefix("open ").replace("open", "available").replace("closed", "offline") or state
        elif what in ("MESSAGE", "message") and detail:
            detail = f"“{detail}”"
        with self.lock:
            self._add(time.time(), 0 if direction == "out" else 2, rungs, what, detail)

    def _add(self, at, rank, rungs, what, detail):
        said = words(what, detail)
        if said:
            self.counter += 1
            self.events.append((int(at * 1000), rank, self.counter, rungs, *said))

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
        with self.lock:
            for line in lines:
                parsed = parse_line(line.decode("utf-8", "replace"))
                if parsed:
                    at = datetime.datetime.fromisoformat(parsed[0].replace("Z", "+00:00")).timestamp()
                    self._logged(at, parsed[2], parsed[3])

    def _logged(self, at, event, fields):
        what, detail, partner = fields.get("what", "?"), fields.get("detail", ""), fields.get("partner")
        if event == "trace/xmpp-out" and self.early.setdefault(fields.get("peer"), []) is not None:
            self.early[fields.get("peer")].append((what, detail))      # handed over, but not sent yet
        elif event in WAY and what not in ("OPTIONS", "REGISTER"):
            # an answer is given after the user saw the question, also within one millisecond
            self._add(at, 3 if event == "trace/sip-in" and what[:1].isdigit() else 1, WAY[event], what, detail)
        elif event == "xmpp/stream-up":
            rungs = (2, 3) if fields.get("direction") == "out" else (3, 2)
            self._add(at, 1, rungs, "connection", f"{fields.get('tls', 'no TLS')}, " + ("certificate" if fields.get("proof") == "external"
                                                                                        else fields.get("proof", "")))
            if rungs == (2, 3):
                for waited in self.early.get(partner) or []:
                    self._add(at, 1, rungs, *waited)
                self.early[partner] = None
        elif event == "xmpp/stream-failed" and fields.get("direction") == "in":
            self._add(at, 1, (3, 2), "connection", f"from {partner}")
            self._add(at, 1, (2, 3), "error", fields.get("text", ""))

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
        _, _, _, (a, b), label, detail = event
        left, right = COLUMNS[min(a, b)], COLUMNS[max(a, b)]
        room = right - left - 1
        label = fit(label, room - 6)
        line = room - 4 - width(label)
        arrow = f"── {label} " + "─" * (line - 1) + "▶" if a < b else f"◀─ {label} " + "─" * line
        colour = "red" if label[:1] in "456" or label == "error" else "green" if label[:1] == "2" else "cyan"
        print(self._row(left, self.paint(colour, arrow)))
        for text in wrap(detail, room - 1) if detail else []:
            print(self._row(left, self.paint("dim", f" {text}" + " " * (room - 1 - width(text)))))

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
