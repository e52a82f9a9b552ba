# SPDX-License-Identifier: Apache-2.0
"""The two ends of a connection between SIP organisations, as honest as a test lets them be: Caller connects to the Access Edge,
Partner is connected by it."""
import socket
import threading
import time

from pipe import Gone, Pipe
from recorder import Event, Recorder
from sipmessage import SipMessage, address, cut, parameter
from siptransport import token
from waiting import LabError

EDGE = "127.0.0.12"
PORT = 5061
OURS = "contoso.test"
CALM = {"Content-Type": "text/plain"}


class SipPipe(Pipe):
    """A pipe through which SIP messages come."""

    def restart(self):
        self._rest, self._messages = b"", []
        self.pongs = self.pings = 0

    def take(self, data):
        self._rest += data
        while True:
            while self._rest[:2] == b"\r\n":    # keep-alives (RFC 5626)
                ping = self._rest[:4] == b"\r\n\r\n"
                self._rest = self._rest[4 if ping else 2:]
                self.pings, self.pongs = self.pings + ping, self.pongs + (not ping)
            m, self._rest = cut(self._rest)
            if m is None:
                return
            self._messages.append(m)

    def next(self, timeout=10):
        """The next message. Gone when the connection ends before, LabError after the time."""
        end = time.monotonic() + timeout
        while not self._messages:
            left = end - time.monotonic()
            if left <= 0:
                raise LabError(f"no SIP message came within {timeout:g} s")
            if self.pump(left) is False and not self._messages:
                raise Gone(f"the connection ended: {self.eof}")
        return self._messages.pop(0)


def request(method, uri, from_, to=None, headers=(), body=b"", tag=None, via="evil.test:5061", transport="TLS", branch=None, length=None, drop=(),
            end="\r\n"):
    """A request as octets. `headers`: whole lines, or {name: value}; they come last. `tag`: of To. `drop`: headers to leave out.
    `length`: a false Content-Length."""
    body = body.encode() if isinstance(body, str) else body
    lines = [("Via", f"SIP/2.0/{transport} {via};branch={branch or 'z9hG4bK' + token(14)}"), ("Max-Forwards", "70"),
             ("From", from_ if "<" in from_ else f"<{from_}>;tag={token(8)}"),
             ("To", (to if to and "<" in to else f"<{to or uri}>") + (f";tag={tag}" if tag else "")),
             ("Call-ID", token(16)), ("CSeq", f"1 {method}")]
    given = [f"{k}: {v}" for k, v in headers.items()] if isinstance(headers, dict) else list(headers)
    text = [f"{method} {uri} SIP/2.0", *(f"{k}: {v}" for k, v in lines if k not in drop), *given]
    if "Content-Length" not in drop:
        text.append(f"Content-Length: {len(body) if length is None else length}")
    return (end.join(text) + end + end).encode("utf-8", "surrogateescape") + body


def answer(m, status, reason="Whatever", headers=(), body=b""):
    """A response to m as octets."""
    a = SipMessage(status=status, reason=reason, body=body)
    for name in ("Via", "Record-Route"):
        for value in m.all(name):
            a.add(name, value)
    a.add("From", m.get("from"))
    a.add("To", m.get("to") if parameter(m.get("to"), "tag") else f"{m.get('to')};tag={token(8)}")
    a.add("Call-ID", m.get("call-id"))
    a.add("CSeq", m.get("cseq"))
    for name, value in headers:
        a.add(name, value)
    return a.encode()


class Caller:
    """A connection to the Access Edge from the server of `domain`. `leaf`: the certificate that is shown; None: none."""

    def __init__(self, domain, certificates, leaf, source=None, to=EDGE, port=PORT, tls=True, version=None, **options):
        self.domain = domain
        self.wire = SipPipe.connect(to, port, source, **options)
        if tls:
            try:
                self.wire.start_tls(certificates.client(leaf, version=version), name=f"gw.{OURS}")
            except LabError:
                self.wire.close()
                raise

    def close(self):
        self.wire.close()

    def send(self, data):
        self.wire.send(data)
        return self

    def next(self, timeout=10):
        """The next final answer, None when the connection ends instead."""
        try:
            while True:
                m = self.wire.next(timeout)
                if m.status and m.status >= 200:
                    return m
        except Gone:
            return None

    def ask(self, method, uri, from_=None, timeout=20, **options):
        """Sends a request; its final answer, or None when the connection ends instead."""
        branch = "z9hG4bK" + token(14)
        options.setdefault("headers", CALM if options.get("body") else ())
        try:
            self.send(request(method, uri, from_ or f"sip:mallory@{self.domain}", branch=branch, **options))
        except Gone:
            return None
        end = time.monotonic() + timeout
        while True:
            m = self.next(max(end - time.monotonic(), 0.001))
            if m is None or m.branch == branch:
                return m

    def status(self, *words, **options):
        """Of the answer; 0 when the connection has ended."""
        m = self.ask(*words, **options)
        return m.status if m else 0

    def message(self, to, body, from_=None, **options):
        """Status of a MESSAGE."""
        return self.status("MESSAGE", f"sip:{to}", from_, body=body, **options)

    def answers(self, n, timeout=30):
        """Statuses of the next n final answers; fewer when the connection ends or the time is over."""
        found = []
        end = time.monotonic() + timeout
        try:
            while len(found) < n:
                m = self.next(max(end - time.monotonic(), 0.001))
                if m is None:
                    break
                found.append(m.status)
        except LabError:
            pass
        return found


class Partner(threading.Thread):
    """The SIP server of `domain` at `address`. Records in `seen` what comes: Event(kind=method or "status", raw, wire), and answers every
    request with what on_request says. Override that, or `reading`, to be hostile."""

    def __init__(self, domain, address, certificates, leaf=None, port=PORT, receive_buffer=None, **options):
        super().__init__(daemon=True, name=f"{domain}:{port}")
        self.domain, self.address, self.port = domain, address, port
        self.certificates = certificates
        self.leaf = leaf or certificates.leaf(domain, f"gw.{domain}")
        self.seen = Recorder(domain)
        self.wires = []
        self.__dict__.update(options)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((address, port))
        self._listener.listen(128)
        self._stop = False
        self.start()

    def close(self):
        self._stop = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for wire in self.wires:
            wire.close()

    def run(self):
        while not self._stop:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            wire = SipPipe(sock)
            self.wires.append(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire):
        try:
            wire.start_tls(self.certificates.server(self.leaf), server=True)
            while not self._stop:
                self.reading(wire)
        except (LabError, OSError, ValueError) as e:
            self.seen.add(Event("ended", wire=wire, text=str(e)))
        finally:
            wire.close()

    def reading(self, wire):
        """Takes one message and answers it."""
        pings = wire.pings
        try:
            m = wire.next(5)
        except Gone:
            raise
        except LabError:
            m = None
        if wire.pings > pings:
            wire.send(b"\r\n")
        if m is None:
            return
        self.seen.add(Event(m.method or "status", raw=m, wire=wire, from_=address(m.get("from", "")), text=m.text))
        if m.method and m.method not in ("ACK", "BENOTIFY"):
            said = self.on_request(wire, m)
            if said:
                wire.send(answer(m, *said))

    def on_request(self, wire, m):
        """(status, reason, headers) or None for silence."""
        return 200, "OK"

    def expect(self, method, match=lambda e: True, timeout=15):
        return self.seen.expect(f"seen {method}", lambda e: e.kind == method and match(e), timeout)

    def expect_message(self, body, timeout=15):
        return self.expect("MESSAGE", lambda e: e.text == body, timeout).raw
