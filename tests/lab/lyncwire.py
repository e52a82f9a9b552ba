# SPDX-License-Identifier: Apache-2.0
"""Connections of the Lync-dialect front end, and the one thread in which all of it happens (../lab/lynchome.py)."""
import contextlib
import datetime
import heapq
import itertools
import queue
import select
import socket
import ssl
import threading
import time
import traceback

from sipmessage import cut
from waiting import LabError


class Core:
    """What happens, happens here, one thing after the other: post() from any thread, later() with a delay. `failures`: what went wrong."""

    def __init__(self, name):
        self.failures = []
        self._queue, self._later, self._number = queue.Queue(), [], itertools.count()
        self._open = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, function, *arguments):
        self._queue.put((function, arguments))

    def later(self, seconds, function, *arguments):
        self.post(heapq.heappush, self._later, (time.monotonic() + seconds, next(self._number), function, arguments))

    def ask(self, function, *arguments, timeout=20):
        """The result of function(*arguments), run in the thread."""
        if threading.current_thread() is self._thread:
            return function(*arguments)
        box = queue.Queue()

        def run():
            try:
                box.put((function(*arguments), None))
            except LabError as e:
                box.put((None, e))
        self.post(run)
        try:
            result, error = box.get(timeout=timeout)
        except queue.Empty:
            raise LabError("the front end is stuck") from None
        if error:
            raise error
        return result

    def close(self):
        self._open = False
        self.post(lambda: None)
        self._thread.join(5)

    def _run(self):
        while self._open:
            wait = max(0, self._later[0][0] - time.monotonic()) if self._later else None
            try:
                function, arguments = self._queue.get(timeout=wait)
            except queue.Empty:
                _, _, function, arguments = heapq.heappop(self._later)
            try:
                function(*arguments)
            except Exception:
                self.failures.append(traceback.format_exc())


class Log:
    """A file that gets every message."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8") if path else None
        self._lock = threading.Lock()

    def write(self, who, direction, data):
        with self._lock:
            if self._file:
                now = datetime.datetime.now().isoformat(timespec="milliseconds")
                self._file.write(f"--- {now} {who} {direction}\n{data.decode('utf-8', 'replace')}\n")
                self._file.flush()

    def close(self):
        with self._lock:
            if self._file:
                self._file.close()
                self._file = None


class Link:
    """A connection: reads in a thread of its own, hands whole messages to receive(message, link) in the core, and closed(link)."""

    def __init__(self, core, log, name, sock, receive, closed):
        self.core, self.log, self.name, self.sock = core, log, name, sock
        self.gateway = False    # the other end is entented
        self.number = f"{next(_numbers):X}00"     # as in ms-received-cid
        self._receive, self._closed = receive, closed
        self._lock = threading.Lock()
        self.open = True

    def run(self):
        self.sock.setblocking(False)
        threading.Thread(target=self._read, name=self.name, daemon=True).start()
        return self

    def send(self, message):
        data = message if isinstance(message, bytes) else message.encode()
        self.log.write(self.name, "out", data)
        try:
            with self._lock:
                self._write(data)
        except OSError as e:
            self.log.write(self.name, f"out, failed: {e}", b"")
            self.open = False

    def _write(self, data):
        while data:
            try:
                data = data[self.sock.send(data):]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                select.select([], [self.sock], [], 10)

    def _some(self):
        """What has come, waiting for it. Never inside OpenSSL: one connection of it is not for two threads at once."""
        while True:
            try:
                with self._lock:
                    return self.sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                select.select([self.sock], [], [], 10)
            except (OSError, ValueError):
                return b""

    def _read(self):
        rest = b""
        while data := self._some():
            if b"\r\n\r\n" in rest + data and not (rest + data).strip():
                self.send(b"\r\n")      # RFC 5626 4.4.1
            rest += data
            while True:
                before = rest
                try:
                    message, rest = cut(rest)
                except ValueError as e:
                    self.core.failures.append(f"{self.name}: {e}")
                    self.close()
                    return
                if message is None:
                    break
                self.log.write(self.name, "in", before[:len(before) - len(rest)].lstrip(b"\r\n"))
                self.core.post(self._receive, message, self)
        self.open = False
        self.core.post(self._closed, self)
        with contextlib.suppress(OSError):
            self.sock.close()

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


_numbers = itertools.count(0x26)


def listen(at, context, accepted):
    """Accept connections there in a thread: accepted(socket, peer address, names of its certificate). Returns the listening socket."""
    listener = socket.create_server(at)

    def one(plain, peer):
        try:
            names = ()
            if context:
                plain.settimeout(20)
                plain = context.wrap_socket(plain, server_side=True)
                plain.settimeout(None)
                names = tuple(v for k, v in plain.getpeercert().get("subjectAltName", ()) if k == "DNS")
            accepted(plain, peer, names)
        except OSError:
            plain.close()

    def run():
        while True:
            try:
                plain, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(plain, peer), daemon=True).start()
    threading.Thread(target=run, name=f"listen {at}", daemon=True).start()
    return listener


def connect(to, source, context, name):
    """A connection to the gateway, from the address `source`."""
    plain = socket.create_connection(to, timeout=10, source_address=(source, 0))
    if context:
        plain = context.wrap_socket(plain, server_hostname=name)
    plain.settimeout(None)
    return plain


def contexts(certs, certificate):
    """TLS as a front end does it, as server and as client: both show a certificate, both demand one."""
    pair = []
    for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(kind)
        context.load_cert_chain(f"{certs}/{certificate}.pem", f"{certs}/{certificate}.key")
        context.load_verify_locations(f"{certs}/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        pair.append(context)
    return pair
