# SPDX-License-Identifier: Apache-2.0
"""A SIP user whose client speaks MSRP, written from RFC 4975 and RFC 6135 alone: one session at a time, raw octets, and strict: whatever
entented sends that these RFCs do not allow is `trouble`."""
import re
import select
import socket
import ssl
import threading

from phone import Phone
from recorder import Event
from siptransport import token
from waiting import LabError, wait_until

HEAD = re.compile(rb"MSRP ([A-Za-z0-9.+%=-]{4,32}) (?:([A-Z]+)|(\d\d\d)(?: ([^\r\n]*))?)\r\n")


class Frame:
    """A request or response, whole."""

    def __init__(self, tid, method, status, headers, body, flag):
        self.tid, self.method, self.status, self.headers, self.body, self.flag = tid, method, status, headers, body, flag

    def get(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def range(self):
        return re.fullmatch(r"(\d+)-(\d+|\*)/(\d+|\*)", self.get("Byte-Range") or "").groups()


def cut(data):
    """The first frame in the octets, and what follows; (None, data) when it is not complete."""
    m = HEAD.match(data)
    if not m:
        if b"\r\n" in data:
            raise LabError(f"no MSRP: {data[:60]}")
        return None, data
    tid = m.group(1)
    end = re.compile(rb"(\r\n|(?<=\n))-------" + re.escape(tid) + rb"([+$#])\r\n").search(data, m.end() - 2)
    if not end:
        return None, data
    head, blank, body = data[m.end():end.start() + (2 if end.group(1) else 0)].partition(b"\r\n\r\n")
    if not blank:
        body = None
    elif body.endswith(b"\r\n"):
        body = body[:-2]
    headers = [tuple(x.split(": ", 1)) for x in head.decode().rstrip("\r\n").split("\r\n")]
    return Frame(tid.decode(), m.group(2) and m.group(2).decode(), m.group(3) and int(m.group(3)), headers, body, end.group(2).decode()), data[end.end():]


class MsrpUser(Phone):
    """`setup`: what it answers and offers (None: says nothing, as before RFC 6135). `secure`: TCP/TLS/MSRP, with the certificate of that
    name. `accept`: of its description. `answer`: status to the next SENDs, None: silence."""

    secure = None
    accept, wrapped = "text/plain message/cpim application/im-iscomposing+xml", "text/plain application/im-iscomposing+xml"
    answer = 200
    patient = True
    certs = None
    relay = None            # its URI, in front of ours
    fingerprint = None

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.listener = socket.create_server((self.ip, 0))
        self.port = self.listener.getsockname()[1]
        self.id, self.peer, self.socket, self.line = token(16), None, None, 0
        self.parts, self.sent, self.places = {}, {}, []
        self.version, self.lock = 0, threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def trouble(self, text):
        self.seen.add(Event("trouble", text=text))

    def check(self):
        bad = [e.text for e in self.seen.history if e.kind == "trouble"]
        if bad:
            raise LabError(f"{self.name} has seen what must not be: {bad}")

    # --- descriptions -----------------------------------------------------------------------------------------------

    @property
    def uri(self):
        return f"msrp{'s' if self.secure else ''}://{self.ip}:{self.port}/{self.id};tcp"

    @property
    def path(self):
        return f"{self.relay} {self.uri}" if self.relay else self.uri

    def sdp(self, setup=None):
        self.version += 1
        lines = ["v=0", f"o=- 1 {self.version} IN IP4 {self.ip}", "s=-", f"c=IN IP4 {self.ip}", "t=0 0",
                 f"m=message {self.port} TCP/{'TLS/' if self.secure else ''}MSRP *", f"a=accept-types:{self.accept}",
                 f"a=accept-wrapped-types:{self.wrapped}", f"a=path:{self.path}"]
        if setup:
            lines.append(f"a=setup:{setup}")
        if self.fingerprint:
            lines.append(f"a=fingerprint:{self.fingerprint}")
        return "\r\n".join(lines + [""]).encode()

    def learn(self, text):
        """What the other side said of itself: its path, and who connects."""
        found = dict(x[2:].split(":", 1) for x in text.split("\r\n") if x.startswith("a=") and ":" in x)
        self.peer, self.their = found["path"], found
        wanted = rf"m=message \d+ TCP/{'TLS/' if self.secure else ''}MSRP \*"
        if not re.search(wanted, text) or not found["path"].startswith("msrps:" if self.secure else "msrp:"):
            self.trouble(f"a description that does not fit: {text}")
        return found.get("setup")

    def open(self, to, setup=None):
        """Calls; returns the Call. Who offers connects (RFC 4975 5.4) unless it was agreed otherwise."""
        self.calling = self.dial(to, self.sdp(setup))
        answer = self.calling.finish()
        if answer.status != 200:
            raise LabError(f"{self.name}: the session was answered {answer.status} {answer.reason}")
        theirs = self.learn(answer.text)
        if setup and theirs not in ("active", "passive"):
            self.trouble(f"setup {setup} was answered {theirs}")
        if theirs != "active":
            self.connect()
        return self.calling

    def take(self, from_, setup=None, timeout=20):
        """Takes the session that `from_` opens."""
        self.calling = self.expect_call(from_, timeout)
        theirs = self.learn(self.calling.invite.text)
        if theirs != "actpass":
            self.trouble(f"RFC 6135 4.2.2 wants actpass in an offer, not {theirs}")
        self.calling.pick_up(self.sdp(setup))
        if setup == "active":
            self.connect()
        return self.calling

    # --- connections ------------------------------------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
                if self.secure:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(f"{self.certs}/{self.secure}.pem", f"{self.certs}/{self.secure}.key")
                    plain = context.wrap_socket(plain, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._use(plain, first=True)

    def connect(self):
        if self.relay:              # it connects for us
            return self.send(None)
        host, port = re.match(r"msrps?://([^:/]+):(\d+)", self.peer.split()[0]).groups()
        plain = socket.create_connection((host, int(port)), 10, (self.ip, 0))
        plain.settimeout(None)
        if self.secure:
            context = ssl.create_default_context(cafile=f"{self.certs}/ca.pem")
            plain = context.wrap_socket(plain, server_hostname=host)
        self._use(plain, first=False)
        return self.send(None)      # at once, whoever connects (5.4)

    def ask_relay(self, uri):
        """A place at this relay (RFC 4976 5.1): what comes for us comes over this connection."""
        host, port = re.match(r"msrp://([^:/]+):(\d+)", uri).groups()
        self._use(socket.create_connection((host, int(port)), 10, (self.ip, 0)), first=False)
        self.peer = uri
        self.status(self.frame("AUTH", []))
        self.relay = self.places[0]

    def connect_again(self):
        """A second connection, with nothing said."""
        host, port = re.match(r"msrps?://([^:/]+):(\d+)", self.peer.split()[0]).groups()
        self._use(socket.create_connection((host, int(port)), 10, (self.ip, 0)), first=False)

    def _use(self, connection, first):
        self.line += 1
        self.socket = connection
        threading.Thread(target=self._read, args=(connection, self.line, first), daemon=True).start()

    def hang_up(self):
        """Cuts the connection, without a BYE."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def close(self):
        for s in (self.listener, self.socket):
            if s:
                s.close()
        super().close()

    def _receive(self, connection):
        """The next octets. A TLS object is one thread's at a time (OpenSSL), and another one sends."""
        while True:
            if not (self.secure and connection.pending()):
                select.select([connection], [], [])
            with self.lock:
                connection.settimeout(0)
                try:
                    return connection.recv(65536)
                except (ssl.SSLWantReadError, BlockingIOError):
                    pass
                finally:
                    if connection.fileno() >= 0:
                        connection.settimeout(10)

    def _write(self, connection, data):
        with self.lock:
            connection.sendall(data)

    def _read(self, connection, line, first):
        data = b""
        while True:
            try:
                new = self._receive(connection)
            except (OSError, ValueError):
                new = b""
            if not new:
                self.seen.add(Event("closed", line=line))
                return
            data += new
            try:
                while data:
                    frame, data = cut(data)
                    if not frame:
                        break
                    if first and frame.method != "SEND":
                        self.trouble("the active side begins with a SEND (5.4)")
                    first = False
                    self._frame(frame, connection)
            except Exception as e:      # pylint: disable=broad-except
                self.trouble(f"{e!r}")
                return

    # --- what comes -------------------------------------------------------------------------------------------------

    def _frame(self, f, connection):
        if [n for n, _ in f.headers[:2]] != ["To-Path", "From-Path"]:
            self.trouble(f"To-Path and From-Path come first (9), not {f.headers}")
        if f.get("To-Path") != self.uri:
            self.trouble(f"To-Path {f.get('To-Path')}, but we are {self.uri}")
        if f.status:
            self.sent[f.tid] = f.status
            self.places += [f.get("Use-Path")] if f.get("Use-Path") else []
            if f.flag != "$":
                self.trouble("a response is never chunked (7.2)")
        elif f.method == "REPORT":
            self.seen.add(Event("report", id=f.get("Message-ID"), status=f.get("Status"), raw=f))
        elif f.method == "SEND":
            if self.answer and f.get("Failure-Report") in (None, "yes"):
                back = f.get("From-Path").split()[0]
                self._write(connection, f"MSRP {f.tid} {self.answer} x\r\nTo-Path: {back}\r\nFrom-Path: {self.uri}\r\n-------{f.tid}$\r\n".encode())
            self._part(f)
        else:
            self.trouble(f"an unknown method: {f.method}")

    def _part(self, f):
        start, end, total = f.range
        if f.body is None:
            if f.get("Content-Type") or (start, end, total) != ("1", "0", "0"):
                self.trouble(f"a bodiless SEND with {f.headers}")
            self.seen.add(Event("bodiless"))
            return
        if f.headers[-1][0] != "Content-Type":
            self.trouble("Content-Type is the last header (7.1)")
        if end == "*" or int(end) - int(start) + 1 != len(f.body) or len(f.body) > 2048:
            self.trouble(f"Byte-Range {start}-{end}/{total} with {len(f.body)} octets")
        have = self.parts.pop(f.get("Message-ID"), b"")
        if len(have) + 1 != int(start):
            self.trouble(f"chunks are sent in their order (7.1.1): {start} after {len(have)}")
        have += f.body
        if f.flag == "+":
            self.parts[f.get("Message-ID")] = have
        elif f.flag == "$":
            if str(len(have)) != total:
                self.trouble(f"{len(have)} octets of {total}")
            self.seen.add(Event("text", type=f.get("Content-Type"), body=have.decode(), id=f.get("Message-ID"), success=f.get("Success-Report"),
                                answered=self.answer))

    # --- what goes --------------------------------------------------------------------------------------------------

    def frame(self, method, headers, body=None, flag="$", kind="text/plain;charset=UTF-8"):
        """Writes one request; returns its transaction identifier."""
        tid = token(12)
        text = f"MSRP {tid} {method}\r\nTo-Path: {f'{self.relay} ' if self.relay else ''}{self.peer}\r\nFrom-Path: {self.uri}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers)
        data = text.encode()
        if body is not None:
            data += f"Content-Type: {kind}\r\n\r\n".encode() + body + b"\r\n"
        self._write(self.socket, data + f"-------{tid}{flag}\r\n".encode())
        return tid

    def status(self, tid, timeout=20):
        wait_until(lambda: tid in self.sent, timeout, f"{self.name} has no answer to its SEND")
        return self.sent[tid]

    def send(self, body, size=1000, order=lambda chunks: chunks, id=None, status=200, headers=(), kind="text/plain;charset=UTF-8"):
        """A message, in chunks of `size`, whose transmission `order` may change; waits for all answers. None: bodiless."""
        id = id or token(16)
        if body is None:
            got = [self.status(self.frame("SEND", [("Message-ID", id), ("Byte-Range", "1-0/0")]))]
        else:
            data = body.encode() if isinstance(body, str) else body
            chunks = [(n, data[n:n + size], "$" if n + size >= len(data) else "+") for n in range(0, max(len(data), 1), size)]
            tids = [self.frame("SEND", [("Message-ID", id), ("Byte-Range", f"{n + 1}-{n + len(d)}/{len(data)}"), *headers], d, flag, kind)
                    for n, d, flag in order(chunks)]
            got = [self.status(t) for t in tids]
        if any(s != status for s in got):
            raise LabError(f"{self.name}: SEND should be answered {status}, but was {got}")
        return id

    def report(self, id, octets, status=200):
        self.frame("REPORT", [("Message-ID", id), ("Byte-Range", f"1-{octets}/{octets}"), ("Status", f"000 {status} x")])

    def expect_text(self, body=None, timeout=20):
        return self.seen.expect("received a text" + (f" {body[:60]!r}" if body else ""), lambda e: e.kind == "text" and body in (None, e.body), timeout)

    def expect_report(self, id, timeout=20):
        return self.seen.expect(f"received a REPORT about {id}", lambda e: e.kind == "report" and e.id == id, timeout)
