# SPDX-License-Identifier: Apache-2.0
"""Debian's linphone as a SIP user, without display and sound: its daemon, driven through its socket.

It answers each message with notifications (message/imdn+xml, RFC 5438) that the message was delivered and, since the window is taken for
open, shown; the bodies are deflated."""
import os
import re
import socket
import subprocess
import threading
import time

import peers
from recorder import Event, Recorder
from waiting import LabError, wait_until


class Linphone:
    """`name` is user@domain. What it receives is in `seen`: message events with from_ and body."""

    def __init__(self, run, name, ip, transport="udp", home=peers.HOME):
        self.name, self.folder = name, f"{run}/linphone-{name.split('@')[0]}"
        os.makedirs(f"{self.folder}/home", exist_ok=True)
        self.seen = Recorder(name)
        self.popen = self._link = None
        self._lock = threading.Lock()
        self.pipe = f"entente-{os.getpid()}-{name.split('@')[0]}-{os.path.basename(run)}"     # a socket of this name, in /tmp
        peers.render("linphonerc.in", f"{self.folder}/rc", IP=ip, NAME=name, USER=name.split("@")[0], DOMAIN=name.split("@")[1], HOME=home,
                     TRANSPORT=transport, FOLDER=self.folder, UDP=5060 if transport == "udp" else 0, TCP=5060 if transport == "tcp" else 0)

    def start(self):
        self._log = open(f"{self.folder}/out", "ab")
        self.popen = subprocess.Popen([peers.program("linphone-daemon"), "--config", f"{self.folder}/rc", "--log", f"{self.folder}/log", "--pipe", self.pipe],
                                      stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
                                      env={**os.environ, "HOME": f"{self.folder}/home", "XDG_RUNTIME_DIR": self.folder})
        wait_until(self._connect, 20, f"linphone of {self.name} does not listen (log: {self.folder}/log)", step=0.05)
        wait_until(lambda: "LinphoneRegistrationOk" in self.command("register-status ALL"), 20, f"linphone of {self.name} is not registered", step=0.1)
        self._open = True
        self._poller = threading.Thread(target=self._poll, daemon=True)
        self._poller.start()
        return self

    def kill(self):
        self._open = False
        if self.popen:
            self.popen.kill()
            self.popen.wait()
            self.popen = None
            self._poller.join(5)
            self._link.close()
            self._log.close()
            if os.path.exists(f"/tmp/{self.pipe}"):
                os.unlink(f"/tmp/{self.pipe}")

    close = kill

    def _connect(self):
        if self.popen.poll() is not None:
            raise LabError(f"linphone of {self.name} ended with status {self.popen.returncode}; log: {self.folder}/out")
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(f"/tmp/{self.pipe}")
        except OSError:
            link.close()
            return False
        link.settimeout(10)
        self._link = link
        return True

    def command(self, text):
        """What it answers."""
        with self._lock:
            try:
                self._link.sendall(f"{text}\n".encode())
                answer = self._link.recv(65536)
            except OSError as e:
                raise LabError(f"linphone of {self.name} does not answer: {e}") from None
        self._log.write(b"> " + text.encode() + b"\n" + answer)
        return answer.decode("utf-8", "replace")

    def _poll(self):
        while self._open:
            try:
                event = self.command("pop-event")
            except LabError:
                return
            kind = re.search(r"(?m)^Event-type: (\S+)", event)
            if not kind:
                time.sleep(0.05)
                continue
            fields = dict(re.findall(r"(?m)^([\w-]+): (.*)$", event))
            if kind.group(1) == "message-received":
                self.seen.add(Event("message", from_=fields.get("From", "").removeprefix("sip:"), body=fields.get("Content", "")[1:-1], text=event))
            else:
                self.seen.add(Event(kind.group(1), text=event))

    def message(self, to, text):
        answer = self.command(f"message sip:{to} {text}")
        if "Status: Ok" not in answer:
            raise LabError(f"linphone of {self.name} cannot send: {answer}")

    def expect_message(self, from_, body, timeout=15):
        return self.seen.expect(f"shown the message {body!r} of {from_}", lambda e: e.kind == "message" and e.from_ == from_ and e.body == body, timeout)
