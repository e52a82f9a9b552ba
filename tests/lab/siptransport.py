# SPDX-License-Identifier: Apache-2.0
"""Sockets and transactions of a SIP device (RFC 3261 sections 17 and 18): UDP with retransmission, or TCP."""
import collections
import datetime
import queue
import random
import selectors
import socket
import string
import threading
import time

from sipmessage import SipMessage, cut, parse, parameter
from waiting import LabError

T1, T2 = 0.5, 4.0


def token(length):
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))


class Transaction:
    """A request on its way, and what is answered. `branch`: of the INVITE, for its CANCEL."""

    def __init__(self, net, request, branch=None):
        self.net, self.request = net, request
        self.branch = branch or "z9hG4bK" + token(16)
        request.headers.insert(0, ["Via", f"SIP/2.0/{net.transport.upper()} {net.ip}:{net.port};branch={self.branch};rport"])
        self._key = self.branch + request.method
        self._answers = net._pending[self._key] = queue.Queue()
        self._data = request.encode()
        self._pause = T1
        net._send(self._data)

    def next(self, timeout=35):
        """The next response, provisional or final; sends again over UDP until one comes."""
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0:
                self.net._pending.pop(self._key, None)
                raise LabError(f"{self.net.owner}: no answer to {self.request.first_line()} within {timeout:g} s")
            again = self.net.transport == "udp" and self._pause
            try:
                answer = self._answers.get(timeout=min(again, left) if again else left)
            except queue.Empty:
                if again:
                    self.net._send(self._data, "again")
                    self._pause = min(self._pause * 2, T2)
                continue
            self._pause = 0 if self.request.method == "INVITE" else T2
            if answer.status >= 200:
                self.net._pending.pop(self._key, None)
            if answer.status >= 300 and self.request.method == "INVITE":
                self._acknowledge(answer)
            return answer

    def final(self, timeout=35):
        end = time.monotonic() + timeout
        while True:
            answer = self.next(max(0.01, end - time.monotonic()))
            if answer.status >= 200:
                return answer

    def _acknowledge(self, answer):
        """RFC 3261 17.1.1.3"""
        ack = SipMessage("ACK", self.request.uri)
        for name in ("via", "max-forwards", "from", "call-id", "route"):
            for value in self.request.all(name)[:1 if name == "via" else None]:
                ack.add(name.title(), value)
        ack.add("To", answer.get("to"))
        ack.add("CSeq", f"{self.request.cseq[0]} ACK")
        self.net._send(ack.encode())


class SipTransport:
    """handler(request) -> (status, reason, headers[, body]), or None: then nothing is answered, or request.respond(...) was or will be
    called, with the same arguments, also several times. `log` is a file that gets every message."""

    def __init__(self, owner, ip, transport, proxy, handler, log=None, port=5060):
        self.owner, self.ip, self.transport, self.proxy, self.handler, self.port = owner, ip, transport, proxy, handler, port
        self.log = open(log, "a", encoding="utf-8") if log else None
        self._pending = {}                                  # branch + method -> queue of responses
        self._answered = collections.OrderedDict()          # branch + method -> response, for retransmissions
        self._buffers = {}                                  # TCP connection -> bytes not yet a message
        self._lock = threading.RLock()
        self._link = None                                   # our TCP connection to the proxy
        self._selector = selectors.DefaultSelector()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for s in (self._udp, self._listener):
            try:
                s.bind((ip, port))
            except OSError as e:
                raise LabError(f"{owner}: cannot use {ip}:{port}: {e}") from None
            s.setblocking(False)
            self._selector.register(s, selectors.EVENT_READ)
        self._listener.listen(16)
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._open = True
        self._thread = threading.Thread(target=self._run, name=f"sip {owner}", daemon=True)
        self._thread.start()

    def close(self):
        self._open = False
        self._wake_out.send(b"x")
        self._thread.join(5)
        with self._lock:
            for s in [self._udp, self._listener, self._wake_in, self._wake_out, *self._buffers]:
                s.close()
        if self.log:
            self.log.close()

    # --- client transactions ----------------------------------------------------------------------------------------

    def ask(self, request, timeout=35):
        """Send a request and return its final response; LabError when none comes."""
        return Transaction(self, request).final(timeout)

    def _send(self, data, mark=""):
        self._write("out", data, mark)
        if not self._open:
            raise LabError(f"{self.owner} is closed")
        if self.transport == "udp":
            self._udp.sendto(data, self.proxy)
            return
        with self._lock:
            for attempt in (1, 2):      # a connection that the proxy closed is replaced once
                try:
                    if self._link is None:
                        self._link = socket.create_connection(self.proxy, timeout=5, source_address=(self.ip, 0))
                        self._add(self._link)
                    self._link.sendall(data)
                    return
                except OSError as e:
                    self._drop(self._link)
                    if attempt == 2:
                        raise LabError(f"{self.owner}: cannot reach {self.proxy[0]}:{self.proxy[1]} over TCP: {e}") from None

    # --- receiving --------------------------------------------------------------------------------------------------

    def _add(self, connection):
        self._buffers[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)
        self._wake_out.send(b"x")

    def _drop(self, connection):
        with self._lock:
            if connection is self._link:
                self._link = None
            if connection is not None and self._buffers.pop(connection, None) is not None:
                self._selector.unregister(connection)
                connection.close()

    def _run(self):
        while self._open:
            for key, _ in self._selector.select():
                s = key.fileobj
                if s is self._wake_in:
                    s.recv(4096)
                elif s is self._udp:
                    self._receive_udp()
                elif s is self._listener:
                    self._accept()
                else:
                    self._receive_tcp(s)

    def _accept(self):
        connection, _ = self._listener.accept()
        connection.settimeout(5)
        with self._lock:
            self._add(connection)

    def _receive_udp(self):
        try:
            data, peer = self._udp.recvfrom(65535)
        except OSError:     # an ICMP error of an earlier send
            return
        if data.strip():
            self._receive(data, lambda out: self._udp.sendto(out, peer))

    def _receive_tcp(self, s):
        try:
            data = s.recv(65535)
        except OSError:
            data = b""
        if not data:
            self._drop(s)
            return
        with self._lock:
            if s not in self._buffers:
                return
            rest = self._buffers[s] + data
        while True:
            m, rest = cut(rest)
            if m is None:
                break
            self._receive(m, s.sendall)
        with self._lock:
            if s in self._buffers:
                self._buffers[s] = rest

    def _receive(self, data, reply):
        try:
            m = data if isinstance(data, SipMessage) else parse(data)
        except ValueError as e:
            self._write("in, broken", data if isinstance(data, bytes) else b"", str(e))
            return
        self._write("in", data.encode() if isinstance(data, SipMessage) else data)
        if m.status:
            waiting = self._pending.get(f"{m.branch}{m.cseq[1]}")
            if waiting:
                waiting.put(m)
            return
        key = f"{m.branch}{m.method}"
        known = self._answered.get(key)
        if known is None:
            known = self._answered[key] = [None]    # the last answer
            while len(self._answered) > 500:
                self._answered.popitem(last=False)
            m.tag = token(8)
            m.respond = lambda *told: self._respond(m, known, reply, told)
            told = self.handler(m)
            if told is not None:
                m.respond(*told)
        elif known[0]:
            self._reply(known[0], reply, "again")

    def _respond(self, m, known, reply, told):
        known[0] = self._answer(m, *told)
        self._reply(known[0], reply)

    def _reply(self, answer, reply, mark=""):
        self._write("out", answer, mark)
        try:
            reply(answer)
        except OSError as e:
            self._write("out, failed", b"", str(e))

    def _answer(self, m, status, reason, headers=(), body=b""):
        answer = SipMessage(status=status, reason=reason, body=body)
        for via in m.all("via"):
            answer.add("Via", via)
        for route in m.all("record-route"):
            answer.add("Record-Route", route)
        answer.add("From", m.get("from"))
        to = m.get("to")
        answer.add("To", to if parameter(to, "tag") else f"{to};tag={m.tag}")
        answer.add("Call-ID", m.get("call-id"))
        answer.add("CSeq", m.get("cseq"))
        for name, value in dict(headers).items():
            answer.add(name, value)
        return answer.encode()

    def _write(self, direction, data, mark=""):
        if self.log and not self.log.closed:
            now = datetime.datetime.now().isoformat(timespec="milliseconds")
            self.log.write(f"--- {now} {self.owner} {direction} {mark}\n{data.decode('utf-8', 'replace')}\n")
            self.log.flush()
