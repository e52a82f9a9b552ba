# SPDX-License-Identifier: Apache-2.0
"""Small questions that an experiment asks of entented while the ledger runs: one request and its answer, connections, one verb."""
import json
import socket
import threading
import time

import peers
from daemon import SOCKET

HOME = "127.0.0.11"     # whose requests are taken


def message(to, text="chaos", sender="romeo", timeout=40):
    """(status, reason ID, seconds) of a MESSAGE that the home sends over TCP; status 0: no answer."""
    return request("MESSAGE", to, "Content-Type: text/plain\r\n", text, sender, timeout)


def subscribe(to, sender="romeo", timeout=10):
    """The same of a SUBSCRIBE to somebody's presence."""
    return request("SUBSCRIBE", to, f"Contact: <sip:{sender}@{HOME};transport=tls>\r\nEvent: presence\r\nExpires: 600\r\nAccept: application/pidf+xml\r\n", "", sender, timeout)


def request(method, to, fields, text, sender, timeout):
    begin = time.monotonic()
    name = f"{time.monotonic_ns():x}"
    with socket.socket() as s:
        s.bind((HOME, 0))
        s.settimeout(timeout)
        s.connect((peers.GATEWAY, 5060))
        port = s.getsockname()[1]
        s.sendall((f"{method} sip:{to} SIP/2.0\r\nVia: SIP/2.0/TCP {HOME}:{port};branch=z9hG4bK{name}\r\nMax-Forwards: 69\r\n"
                   f"From: <sip:{sender}@contoso.test>;tag={name}\r\nTo: <sip:{to}>\r\nCall-ID: {name}@{HOME}\r\nCSeq: 1 {method}\r\n"
                   f"{fields}Content-Length: {len(text)}\r\n\r\n{text}").encode())
        seen = b""
        try:
            while True:
                got = s.recv(65536)
                if not got:
                    return 0, "the connection ended", time.monotonic() - begin
                seen += got
                while b"\r\n\r\n" in seen:
                    head, _, seen = seen.partition(b"\r\n\r\n")
                    lines = head.decode("utf-8", "replace").split("\r\n")
                    if lines[0].startswith("SIP/2.0") and not lines[0].startswith("SIP/2.0 1"):
                        reason = next((x.split(":", 1)[1].strip().split(";")[0] for x in lines if x.lower().startswith("entente-reason:")), "")
                        return int(lines[0].split()[1]), reason, time.monotonic() - begin
        except TimeoutError:
            return 0, "no answer", time.monotonic() - begin


class Knocking(threading.Thread):
    """Somebody who connects, again and again: how often was he refused, how long did it take at worst?"""

    def __init__(self, *ports, every=0.005):
        super().__init__(daemon=True)
        self.ports, self.every, self.quiet = ports, every, False
        self.connected, self.refused, self.worst = 0, [], 0.0
        self.start()

    def run(self):
        while not self.quiet:
            for port in self.ports:
                begin = time.monotonic()
                try:
                    socket.create_connection((peers.GATEWAY, port), timeout=10).close()
                    self.connected += 1
                except OSError as e:
                    self.refused.append(str(e))
                self.worst = max(self.worst, time.monotonic() - begin)
            time.sleep(self.every)

    def end(self):
        self.quiet = True
        self.join(15)


class Control:
    """The control socket, one verb after the other on one connection."""

    def __init__(self, path=SOCKET):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.answers = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, *words, **arguments):
        request = {"command": list(words), "json": True, "color": False, "width": 80, "args": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(self.answers.readline())
