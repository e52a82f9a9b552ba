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


class SipTransport:
    """handler(request) -> (status, reason, headers) or None. `log` is a file that gets every message."""

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
        branch = "z9hG4bK" + token(16)
        request.headers.insert(0, ["Via", f"SIP/2.0/{self.transport.upper()} {self.ip}:{self.port};branch={branch};rport"])
        key = branch + request.method
        answers = self._pending[key] = queue.Queue()
        data = request.encode()
        end, pause = time.monotonic() + timeout, T1
        try:
            self._send(data)
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    raise LabError(f"{self.owner}: no answer to {request.first_line()} within {timeout:g} s")
                try:
                    answer = answers.get(timeout=min(pause, left) if self.transport == "udp" else left)
                except queue.Empty:
                    if self.transport == "udp":
                        self._send(data, "again")
                        pause = min(pause * 2, T2)
                    continue
                if answer.status >= 200:
                    return answer
                pause = T2
        finally:
            self._pending.pop(key, None)

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
        answer = self._answered.get(key)
        if answer is None:
            told = self.handler(m)
            if told is None:
                return
            answer = self._answered[key] = self._answer(m, *told)
            while len(self._answered) > 500:
                self._answered.popitem(last=False)
        self._write("out", answer)
        try:
            reply(answer)
        except OSError as e:
            self._write("out, failed", b"", str(e))

    def _answer(self, m, status, reason, headers, body=b""):
        answer = SipMessage(status=status, reason=reason, body=body)
        for via in m.all("via"):
            answer.add("Via", via)
        for route in m.all("record-route"):
            answer.add("Record-Route", route)
        answer.add("From", m.get("from"))
        to = m.get("to")
        answer.add("To", to if parameter(to, "tag") else f"{to};tag={token(8)}")
        answer.add("Call-ID", m.get("call-id"))
        answer.add("CSeq", m.get("cseq"))
        for name, value in headers.items():
            answer.add(name, value)
        return answer.encode()

    def _write(self, direction, data, mark=""):
        if self.log and not self.log.closed:
            now = datetime.datetime.now().isoformat(timespec="milliseconds")
            self.log.write(f"--- {now} {self.owner} {direction} {mark}\n{data.decode('utf-8', 'replace')}\n")
            self.log.flush()
