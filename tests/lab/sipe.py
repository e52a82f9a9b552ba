# SPDX-License-Identifier: Apache-2.0
"""Debian's pidgin-sipe, a client of the Lync dialect that we did not write, as a user of fourthcoffee.test: sipe.c without a display."""
import glob
import html
import os
import re
import shlex
import subprocess
import threading

from daemon import BUILD
from recorder import Event, Recorder
from waiting import LabError, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def program():
    """The path of the program, made from sipe.c when it is not there or old."""
    source, made = f"{HERE}/sipe.c", f"{BUILD}/lab/sipe"
    if not glob.glob("/usr/lib/purple-2/libsipe.so") + glob.glob("/usr/lib/*/purple-2/libsipe.so"):
        raise LabError("pidgin-sipe is not installed: run tools/deps test")
    if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(source):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "purple", "glib-2.0", "libxml-2.0"], capture_output=True, text=True, check=False)
        if flags.returncode:
            raise LabError("libpurple-dev or libxml2-dev is not installed: run tools/deps test")
        own = f"{made}.{os.getpid()}"       # others may make it at the same time
        built = subprocess.run(["gcc", "-Wall", "-O1", "-rdynamic", "-o", own, source, *shlex.split(flags.stdout)], capture_output=True, text=True, check=False)
        if built.returncode:
            raise LabError(f"sipe.c does not compile: {built.stderr[-800:]}")
        os.replace(own, made)
    return made


class Sipe:
    """`name` is user@fourthcoffee.test; what happens is in `seen`, as with other users."""

    def __init__(self, run, name, server="127.0.0.51:5060"):
        self.name, self.server, self.run = name, server, run
        self.seen = Recorder(name)
        self.popen = None
        self.on = False

    def start(self):
        folder = f"{self.run}/sipe-{self.name.split('@')[0]}"
        os.makedirs(folder, exist_ok=True)
        self._log = open(f"{folder}/log", "ab")
        self.popen = subprocess.Popen([program(), folder, f"{self.name},{self.name.split('@')[0]}", self.server, "tcp"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True,
                                      env={**os.environ, "HOME": folder, "SIPE_DEBUG": "1"})
        self._reader = threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True)
        self._reader.start()
        wait_until(lambda: self.on or self.popen.poll() is not None, 20, f"{self.name} could not sign in (log: {folder}/log)")
        if not self.on:
            raise LabError(f"sipe ended with status {self.popen.returncode}; log: {folder}/log")
        return self

    def kill(self):
        if self.popen:
            self.popen.kill()
            self.popen.wait()
            self._reader.join(5)
            self._log.close()
            self.popen = None

    close = kill

    def _read(self, lines):
        for line in lines:
            self._log.write(b"== " + line.encode())
            if "\t" not in line:
                continue        # libpurple's own words
            kind, who, text = line.rstrip("\n").split("\t")
            who = who.removeprefix("sip:")
            if kind == "ready":
                self.on = True
            elif kind == "message":
                self.seen.add(Event("message", from_=who, body=html.unescape(re.sub(r"<[^>]*>", "", text)), html=text))
            elif kind == "typing":
                self.seen.add(Event("typing", from_=who, status=text))
            elif kind == "presence":
                status, _, note = text.partition(" ")
                self.seen.add(Event("presence", of=who, status=status, note=note or None))
            else:
                self.seen.add(Event(kind, from_=who, text=text))
                if kind == "error":
                    self._log.write(f"== error: {text}\n".encode())

    def command(self, *words):
        try:
            self.popen.stdin.write(" ".join(words) + "\n")
            self.popen.stdin.flush()
        except OSError:
            raise LabError(f"sipe of {self.name} is gone") from None

    def message(self, to, text):
        """Text of HTML, as a window of Pidgin gives it."""
        self.command("say", f"sip:{to}", text)

    def type(self, to, status="type"):
        self.command(status, f"sip:{to}")

    def watch(self, to):
        self.command("watch", f"sip:{to}")

    def be(self, status, note=""):
        self.command("status", status, note)

    def expect_message(self, from_, body=None, timeout=15):
        what = f"shown a message of {from_}" + (f" with text {body[:60]!r}" if body is not None else "")
        return self.seen.expect(what, lambda e: e.kind == "message" and e.from_ == from_ and body in (None, e.body), timeout)

    def expect_typing(self, from_, status="type", timeout=10):
        return self.seen.expect(f"shown that {from_} is {status}", lambda e: e.kind == "typing" and e.from_ == from_ and e.status == status, timeout)

    def expect_presence(self, of, status, note=..., timeout=15):
        return self.seen.expect(f"shown {of} as {status}", lambda e: e.kind == "presence" and e.of == of and e.status == status
                                and (note is ... or e.note == note), timeout, forget_before=lambda e: e.kind == "presence" and e.of == of)
