# SPDX-License-Identifier: Apache-2.0
"""Debian's baresip as a SIP user, without a terminal: driven through its ctrl_tcp module, read through its console.

It publishes its presence, watches one contact, sends and receives messages, calls and is called; what it says is a tone.
"""
import glob
import json
import os
import re
import socket
import threading

import peers
from process import Process, answers
from waiting import LabError, wait_until


class Baresip(Process):
    """`name` is user@domain, `contact` the one address on its list. accept: it takes calls by itself."""

    def __init__(self, run, name, ip, contact, transport="udp", control_port=4444, home=peers.HOME, accept=False):
        modules = glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")
        if not modules:
            raise LabError("baresip is not installed: run tools/deps test")
        self.contact, self.control_port = contact, control_port
        folder = self.folder = f"{run}/baresip-{name.split('@')[0]}"
        os.makedirs(folder, exist_ok=True)
        peers.render("baresip.config.in", f"{folder}/config", IP=ip, TRANSPORT=transport, MODULES=modules[0], FOLDER=folder,
                     CONTROL=control_port, CONSOLE=control_port + 1000)
        answer = "answermode=auto;" if accept else ""
        for file, text in (
                ("accounts", f'<sip:{name};transport={transport}>;outbound="sip:{home}:5060;transport={transport}";{answer}'
                             "regint=300;pubint=300;auth_pass=none\n"),
                ("contacts", f'"contact" <sip:{contact}>;presence=p2p\n'),
                ("current_contact", f"sip:{contact}"), ("uuid", f"{abs(hash(name)) % 10**12:012d}\n")):
            with open(f"{folder}/{file}", "w", encoding="utf-8") as f:
                f.write(text)
        super().__init__(f"baresip {name}", [peers.program("baresip"), "-f", folder, "-v", "-s"], f"{folder}.log",
                         lambda p: answers("127.0.0.1", control_port) and "200 OK" in p.output())
        self.name = name
        self._shown, self._console = b"", None

    def start(self):
        super().start()
        # received messages are shown on a console only, and only to one that is there
        self._console = socket.create_connection(("127.0.0.1", self.control_port + 1000), timeout=5)
        threading.Thread(target=self._watch, args=(self._console,), daemon=True).start()

    def forgotten(self):
        """Entity tags of publications that it does not know of. It publishes when it is registered and 10 ms after its start; when
        the second finds the first unanswered, both are new to the home, which then shows the elder one until it expires."""
        def tags():
            text = self.output()
            found = re.findall(r"^SIP-ETag: (\S+)", text, re.M)
            return len(found) >= max(1, text.count("\nPUBLISH sip:")) and found
        return wait_until(tags, 10, f"{self.name} did not publish")[:-1]

    def _watch(self, console):
        with console, open(self.log + ".console", "ab") as log:
            while True:
                try:
                    data = console.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                log.write(data)
                log.flush()
                self._shown += data

    def command(self, command, parameters=""):
        """Run one command; returns what it printed."""
        request = json.dumps({"command": command, "params": parameters, "token": "lab"}).encode()
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=5) as link:
            link.sendall(b"%d:%s," % (len(request), request))
            data = b""
            while True:
                size, colon, rest = data.partition(b":")
                if colon and len(rest) > int(size):
                    answer = json.loads(rest[:int(size)].decode("utf-8", "replace"))
                    if answer.get("response"):
                        return answer.get("data", "")
                    data = rest[int(size) + 1:]     # an event came first
                    continue
                more = link.recv(65536)
                if not more:
                    raise LabError(f"{self.name} closed its control connection")
                data += more

    def message(self, text):
        self.command("contact_next")
        self.command("message", text)

    def presence(self, state):
        """state: online or offline"""
        self.command(f"presence_{state}")

    def contact_state(self):
        """How baresip shows its contact: Online, Offline, Busy, Unknown."""
        found = re.search(r"(Online|Offline|Busy|Unknown)", self.command("contacts"))
        return found.group(1) if found else "none"

    def expect_contact(self, state, timeout=20):
        try:
            wait_until(lambda: self.contact_state() == state, timeout, "", step=0.2)
        except LabError:
            raise LabError(f"{self.name} should see {self.contact} as {state} within {timeout} s, "
                           f"but sees {self.contact_state()}") from None

    def dial(self, to):
        self.command("dial", f"sip:{to}")

    def expect_said(self, pattern, timeout=20):
        """Wait until its log has this; returns the match."""
        return wait_until(lambda: re.search(pattern, self.output()), timeout, f"{self.name} should have said {pattern!r}", step=0.05)

    def hears_tone(self, hertz=440):
        """Is in what it heard so far a quarter of a second in which the other's tone is? (16 bit, 8000 Hz, mono)"""
        for path in glob.glob(f"{self.folder}/dump-*-dec.wav"):
            with open(path, "rb") as f:
                samples = memoryview(f.read()[44:])
            samples = samples[:len(samples) // 2 * 2].cast("h")
            for start in range(0, len(samples) - 2000, 1000):
                part = samples[start:start + 2000]
                crossings = sum((a < 0) != (b < 0) for a, b in zip(part, part[1:]))
                if max(part) > 1000 and abs(crossings - hertz // 2) <= 10:
                    return True
        return False

    def expect_message(self, text, timeout=10):
        """Wait for a message on the console, and take all up to it."""
        wanted = text.encode("utf-8")
        try:
            wait_until(lambda: wanted in self._shown, timeout, "", step=0.02)
        except LabError:
            raise LabError(f"{self.name} should have shown the message {text!r} within {timeout} s; "
                           f"it showed {self._shown.decode('utf-8', 'replace')!r}") from None
        self._shown = self._shown.partition(wanted)[2]
