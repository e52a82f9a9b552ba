# SPDX-License-Identifier: Apache-2.0
"""Octets as they are: a client that writes them, a far end that keeps what reaches it, and what differs between two that came out of two
proxies. Nothing here parses more than it must, so that nothing is mended on the way."""
import re
import socket
import ssl
import threading
import time

FIELD = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:\s*(\d+)[ \t]*\r$")


def take(stream):
    """(the first whole message or None, the rest)"""
    while stream.startswith(b"\r\n"):
        stream = stream[2:]
    head, found, rest = stream.partition(b"\r\n\r\n")
    if not found:
        return None, stream
    match = LENGTH.search(head + b"\r")
    size = int(match.group(1)) if match else 0
    if len(rest) < size:
        return None, stream
    return head + found + rest[:size], rest[size:]


def fields(message):
    """(start line, raw header fields, body)"""
    head, _, body = message.partition(b"\r\n\r\n")
    lines = FIELD.findall(head + b"\r\n")
    return lines[0], lines[1:], body


def name_of(field):
    name = field.split(b":", 1)[0].strip().lower()
    return {b"v": b"via", b"f": b"from", b"t": b"to", b"i": b"call-id", b"l": b"content-length"}.get(name, name)


def status(message):
    return int(message.split(b" ", 2)[1]) if message.startswith(b"SIP/2.0 ") else None


class FarEnd:
    """Takes connections, keeps every request in `seen`, answers 200 (INVITE: 486, so that no session begins)."""

    def __init__(self, address, certificate=None, authority=None):
        self.seen, self.threads, self.connections, self.open = [], [], [], True
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
            self.context.load_verify_locations(authority)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(16)
        self._thread(self._accept)

    def _thread(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while self.open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._thread(self._serve, connection)

    def _serve(self, connection):
        rest = b""
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
            while chunk := connection.recv(65536):
                if (rest + chunk).strip(b"\r\n") == b"" and b"\r\n\r\n" in rest + chunk:
                    connection.sendall(b"\r\n")
                rest += chunk
                while True:
                    message, rest = take(rest)
                    if message is None:
                        break
                    self._take(connection, message)
        except OSError:
            pass

    def _take(self, connection, message):
        start, head, _ = fields(message)
        method = start.split(b" ", 1)[0]
        if start.startswith(b"SIP/2.0") or method == b"ACK":
            return
        self.seen.append(message)
        wanted = [f for f in head if name_of(f) in (b"via", b"from", b"to", b"call-id", b"cseq", b"record-route")]
        connection.sendall((b"SIP/2.0 486 Busy Here\r\n" if method == b"INVITE" else b"SIP/2.0 200 OK\r\n") + b"".join(wanted)
                           + b"Content-Length: 0\r\n\r\n")

    def close(self):
        self.open = False
        for s in [self.listener, *self.connections]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        for thread in self.threads:
            thread.join(5)


class Client:
    """One connection to a proxy; what it answers is in `answers`, and `over` when it has closed the connection."""

    def __init__(self, proxy, source):
        self.socket = socket.create_connection(proxy, timeout=10, source_address=(source, 0))
        self.answers, self.over = [], False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        rest = b""
        self.socket.settimeout(None)
        try:
            while chunk := self.socket.recv(65536):
                rest += chunk
                while True:
                    message, rest = take(rest)
                    if message is None:
                        break
                    self.answers.append(message)
        except OSError:
            pass
        self.over = True

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError:
            self.over = True

    def final(self):
        """The status of the first final answer, or None."""
        return next((s for s in map(status, list(self.answers)) if s and s >= 200), None)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.thread.join(5)


class Way:
    """A proxy between a Client and a FarEnd."""

    def __init__(self, name, proxy, source, far):
        self.name, self.proxy, self.source, self.far, self.count = name, proxy, source, far, 0

    def probe(self, timeout=20):
        """A request that has to pass; what was sent before it has passed by then, or never will as far as this can tell."""
        self.count += 1
        number = f"probe-{self.count}@{self.name}".encode()
        client = Client(self.proxy, self.source)
        try:
            client.send(b"OPTIONS sip:probe@mallory.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.11:5999;branch=z9hG4bK-%s\r\nMax-Forwards: 20\r\n"
                        b"From: <sip:probe@contoso.test>;tag=p\r\nTo: <sip:probe@mallory.test>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\n"
                        b"Content-Length: 0\r\n\r\n" % (number.replace(b"@", b"-"), number))
            end = time.monotonic() + timeout
            while client.final() is None and time.monotonic() < end and not client.over:
                time.sleep(0.002)
            return client.final() == 200
        finally:
            client.close()

    def carried(self, since):
        return [m for m in self.far.seen[since:] if b"\r\nCall-ID: probe-" not in m]


def differences(one, other):
    """What stands in one message and not in the other: a set of (0 or 1, raw piece without its line end)."""
    (start1, head1, body1), (start2, head2, body2) = fields(one), fields(other)
    found = set()
    for which, (start, head, body), (start_, head_, body_) in ((0, (start1, head1, body1), (start2, head2, body2)),
                                                                (1, (start2, head2, body2), (start1, head1, body1))):
        if start != start_:
            found.add((which, start.rstrip()))
        left = list(head_)
        for f in head:
            if f in left:
                left.remove(f)
            else:
                found.add((which, f[:-2]))
        if body != body_:
            found.add((which, b"body: " + body))
    common1, common2 = [f for f in head1 if f in head2], [f for f in head2 if f in head1]
    if common1 != common2:
        found.add((1, b"order: " + b" ".join(map(name_of, common2))))
    return found
