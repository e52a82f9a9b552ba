# SPDX-License-Identifier: Apache-2.0
"""Small questions that an experiment asks of entented while the ledger runs: one request and its answer, connections, one verb."""
import itertools
import json
import socket
import ssl
import threading
import time

import peers
from daemon import SOCKET

HOME = "127.0.0.11"     # whose requests are taken
STREAM = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='contoso.test' "
          b"from='knocking.test' version='1.0'>")


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


def options(size=0, transport="TCP"):
    """An OPTIONS request, as octets, padded to `size`."""
    name = f"{time.monotonic_ns():x}"
    head = (f"OPTIONS sip:contoso.test SIP/2.0\r\nVia: SIP/2.0/{transport} {HOME}:5060;branch=z9hG4bK{name};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:knock@contoso.test>;tag={name}\r\nTo: <sip:contoso.test>\r\nCall-ID: {name}@{HOME}\r\nCSeq: 1 OPTIONS\r\n"
            "Content-Type: text/plain\r\n")
    body = "x" * max(0, size - len(head) - 26)
    return f"{head}Content-Length: {len(body):6}\r\n\r\n{body}".encode()


def biggest(size, timeout=10):
    """Is a SIP message of so many octets taken? What is said to it: 200, 413, 0 for a connection that ends."""
    with socket.create_connection((peers.GATEWAY, 5060), timeout, source_address=(HOME, 0)) as s:
        seen = b""
        try:
            s.sendall(options(size))
            while b"\r\n\r\n" not in seen:
                got = s.recv(65536)
                if not got:
                    return 0
                seen += got
        except ConnectionError:
            return 0
    return int(seen.split()[1])


class Knocking:
    """Two who come anew, again and again, and wait for an answer: the 200 to an OPTIONS over TLS at the SIP port, the header of a stream at the XMPP port.
    How often were they refused, or sent away without an answer; how long did it take at worst? A kernel alone can give them none of it."""

    def __init__(self, every=0.005):
        self.every, self.quiet = every, False
        self.answered, self.refused, self.cut, self.worst = {"SIP": 0, "XMPP": 0}, [], [], {"SIP": 0.0, "XMPP": 0.0}
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        # of the limits on connections that have proven nothing, by address and network
        self.sources = itertools.cycle(f"127.7.{a}.{b}" for b in range(1, 250) for a in range(1, 100))
        self.threads = [threading.Thread(target=self.run, args=x, daemon=True) for x in (("SIP", self.sip), ("XMPP", self.xmpp))]
        for t in self.threads:
            t.start()

    def sip(self):
        with socket.create_connection((peers.GATEWAY, 5061), timeout=30, source_address=(HOME, 0)) as plain, self.tls.wrap_socket(plain) as s:
            s.sendall(options(transport="TLS"))
            return s.recv(12).startswith(b"SIP/2.0 ")

    def xmpp(self):
        with socket.create_connection((peers.GATEWAY, 5269), timeout=30, source_address=(next(self.sources), 0)) as s:
            s.sendall(STREAM)
            return b"<stream" in s.recv(4096)

    def run(self, name, ask):
        while not self.quiet:
            begin = time.monotonic()
            try:
                if ask():
                    self.answered[name] += 1
                else:
                    self.cut.append(f"{name}: it ended")
            except ConnectionRefusedError as e:
                self.refused.append(f"{name}: {e}")
            except OSError as e:
                self.cut.append(f"{name}: {e}")
            self.worst[name] = max(self.worst[name], time.monotonic() - begin)
            time.sleep(self.every)

    def end(self):
        self.quiet = True
        for t in self.threads:
            t.join(65)


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
