# SPDX-License-Identifier: Apache-2.0
"""entented in the lab: its configuration, its run, its log, and the CLI that speaks to it."""
import json
import os
import re
import shlex
import sqlite3
import subprocess

import peers
from process import Process
from waiting import LabError, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("B") or "build")       # B: as in the Makefile
SOCKET = "/run/entente/control.sock"    # /run is the namespace's own
LINE = re.compile(r"^(?:<\d>)?(\d{4}-\d\d-\d\dT\S+) (error|warning|info|debug) (\S+)(.*)$")
FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')


def binary(name):
    """NAME in the folder that ENTENTE_BIN names, or in the build directory."""
    folder = os.path.abspath(os.environ["ENTENTE_BIN"]) if os.environ.get("ENTENTE_BIN") else BUILD
    path = os.path.join(folder, name)
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not there: run make, or set ENTENTE_BIN to the folder that holds it")
    return path


def parse_line(line):
    """A log line -> (timestamp, level, event, {key: value}), or None when it is not one."""
    match = LINE.match(line.rstrip("\n"))
    if not match:
        return None
    fields = {k: v[1:-1].replace('\\"', '"').replace("\\\\", "\\") if v.startswith('"') else v
              for k, v in FIELD.findall(match.group(4))}
    return match.group(1), match.group(2), match.group(3), fields


def with_settings(text, more):
    """The YAML text with more settings: lines of a section that is there already go to its beginning."""
    for section, lines in re.findall(r"(?m)^(\w+):\n((?: .*\n)+)", more):
        head = f"\n{section}:\n"
        text = text.replace(head, head + lines, 1) if head in text else f"{text}{section}:\n{lines}"
    return text


# A new installation lets no user out. Scenarios about other things begin with everybody let out.
EVERYBODY_MAY = ("external-access", "set", "global", "--federation", "--xmpp", "--public-cloud", "--public-cloud-audio-video")


class Entented(Process):
    """ENTENTE_WRAPPER puts words before the program (valgrind and the like); sanitizer options pass through."""
    ends_well = True

    def __init__(self, run, certs, auth, transport, workers=1, log_level="debug", extra="", role=None, external=""):
        name = f"entented-{role}" if role else "entented"
        self.socket = f"/run/entente/{role}.sock" if role else SOCKET
        state = self.state = f"{run}/entente"
        os.makedirs(state, exist_ok=True)
        os.makedirs(os.path.dirname(SOCKET), exist_ok=True)
        certificate = "contoso" if auth == "external" else "contoso-self"
        next_hop = {"udp": f"sip:{peers.HOME}:5060;transport=udp", "tcp": f"sip:{peers.HOME}:5060;transport=tcp",
                    "tls": "sip:sip.contoso.test:5061;transport=tls"}[transport]
        self.config = peers.render(f"entente-{role}.yaml.in" if role else "entented.yaml.in", f"{run}/{name}.yaml", WORKERS=workers, STATE=state,
                                   SOCKET=self.socket, LOG_LEVEL=log_level, CERTS=certs, CERTIFICATE=certificate, NEXT_HOP=next_hop,
                                   TLS=external or "    - {address: 127.0.0.12, port: 5061, transport: tls}\n")
        with open(self.config, "r+", encoding="utf-8") as f:
            text = with_settings(f.read(), extra)
            f.seek(0)
            f.write(text)
        wrapper = shlex.split(os.environ.get("ENTENTE_WRAPPER", ""))
        super().__init__(name, [*wrapper, binary("entented"), "--config", self.config], f"{run}/{name}.log",
                         lambda p: " server/ready" in p.output(),
                         env={"JOURNAL_STREAM": None, "NOTIFY_SOCKET": None}, timeout=60 if wrapper else 15)
        self.has_store = role != "edge"

    def start(self):
        new = self.before_start()
        super().start()
        self.after_start(new)

    def before_start(self):
        """Is this the first start of a new installation?"""
        return self.has_store and not os.path.exists(f"{self.state}/entente.db")

    def after_start(self, new):
        if new:
            done = self.cli(*EVERYBODY_MAY)
            if done.returncode:
                raise LabError(f"entente {' '.join(EVERYBODY_MAY)}: {done.stdout}{done.stderr}")

    def cli(self, *words, timeout=20):
        try:
            return subprocess.run([binary("entente"), "--socket", self.socket, *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"entente {' '.join(words)} did not end within {timeout} s") from None

    def forget(self):
        """While it is stopped: who watches whom. Else it begins to talk as soon as it runs."""
        db = sqlite3.connect(f"{self.state}/entente.db", timeout=10)
        with db:
            for table in ("watch", "dialog", "contact"):
                db.execute(f"DELETE FROM {table}")
        db.close()

    def metric(self, name):
        return json.loads(self.cli("status", "--json").stdout)["metrics"][name]

    def events(self, event=None, **fields):
        """The log lines since the start, parsed, that have this event and these fields."""
        found = []
        for line in self.output().splitlines():
            parsed = parse_line(line)
            if parsed and (event is None or parsed[2] == event) and all(parsed[3].get(k) == v for k, v in fields.items()):
                found.append(parsed)
        return found

    def complaints(self):
        """Lines that a sanitizer or a failed assertion printed, in all runs of this lab."""
        signs = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Assertion", "== ERROR SUMMARY")
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return [x.rstrip() for x in f if any(s in x for s in signs) and "ERROR SUMMARY: 0 errors" not in x]


AT_EDGE = {("show", "streams"), ("show", "stream"), ("show", "attempts"), ("partner", "test")}      # what the edge carries out


class Split:
    """Edge and gateway as two processes, to be used like one Entented."""

    def __init__(self, *arguments):
        self.name = "entented"
        self.edge = Entented(*arguments, role="edge")
        self.gateway = Entented(*arguments, role="gateway")
        self.workers = arguments[4]
        self.parts = [self.edge, self.gateway]

    def start(self):
        for part in self.parts:
            part.start()
        self.linked()

    def linked(self, timeout=15):
        """Wait until the gateway's links are up and partners are served."""
        def up():
            status = self.gateway.cli("status", "--json").stdout
            return f'"{self.workers} of {self.workers} with edges"' in status and "service=xmpp " in self.edge.output()
        wait_until(up, timeout, "edge and gateway do not find each other")

    def stop(self, timeout=15):
        return max([part.stop(timeout) or 0 for part in reversed(self.parts)])

    def kill(self):
        for part in self.parts:
            part.kill()

    def alive(self):
        return all(part.alive() for part in self.parts)

    def forget(self):
        self.gateway.forget()

    def cli(self, *words, timeout=20):
        part = self.edge if words[:2] in AT_EDGE else self.gateway
        return part.cli(*words, timeout=timeout)

    def events(self, event=None, **fields):
        return sorted(x for part in self.parts for x in part.events(event, **fields))

    def output(self):
        return "".join(part.output() for part in self.parts)

    def tail(self, lines=20):
        return "\n".join(part.tail(lines) for part in self.parts)

    def complaints(self):
        return [x for part in self.parts for x in part.complaints()]
