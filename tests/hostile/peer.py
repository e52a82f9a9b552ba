# SPDX-License-Identifier: Apache-2.0
"""The two ends of a server-to-server stream, as honest as a test lets them be: Initiator connects to entented, Receiver is
connected by it (and is the authoritative server of its domain in dialback). Each step can be taken out of order, left out, or
replaced by a subclass."""
import base64
import hashlib
import hmac
import socket
import threading
import time
from xml.sax.saxutils import escape, quoteattr

from recorder import Event, Recorder
from waiting import LabError, wait_until
from wire import DIALBACK, SASL, SERVER, SM, STREAMS, TLS, Gone, Opened, Wire, child, condition, local, space

GATEWAY = "127.0.0.12"
OURS = "contoso.test"


def header(from_="", to="", id="", version="1.0", xmlns=SERVER, more=f" xmlns:db='{DIALBACK}'"):
    attributes = "".join(f" {k}={quoteattr(v)}" for k, v in (("from", from_), ("to", to), ("id", id), ("version", version)) if v)
    return f"<?xml version='1.0'?><stream:stream xmlns='{xmlns}' xmlns:stream='{STREAMS}'{more}{attributes} xml:lang='en'>"


def message(from_, to, body, id="m1", type="chat", more=""):
    return (f"<message from={quoteattr(from_)} to={quoteattr(to)} type='{type}' id={quoteattr(id)}>"
            f"<body>{escape(body)}</body>{more}</message>")


def presence(from_, to, type=None, more=""):
    kind = f" type='{type}'" if type else ""
    return f"<presence from={quoteattr(from_)} to={quoteattr(to)}{kind}>{more}</presence>"


def iq(from_, to, payload, id="q1", type="get"):
    return f"<iq from={quoteattr(from_)} to={quoteattr(to)} type='{type}' id='{id}'>{payload}</iq>"


def dialback_key(secret, receiving, originating, stream_id):
    """XEP-0185"""
    key = hashlib.sha256(secret.encode()).hexdigest()
    return hmac.new(key.encode(), f"{receiving} {originating} {stream_id}".encode(), hashlib.sha256).hexdigest()


class Initiator:
    """A stream from `domain` to `to`. `certificates`, `leaf`: what is shown inside TLS. The steps return the stream itself."""

    def __init__(self, domain, to=OURS, certificates=None, leaf=None, source=None, address=GATEWAY, port=None, direct=False, **wire):
        self.domain, self.to = domain, to
        self.certificates, self.leaf, self.direct = certificates, leaf, direct
        self.wire = Wire.connect(address, port or (5270 if direct else 5269), source, **wire)
        self.features = None
        self.id = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def close(self):
        self.wire.close()

    def send(self, data):
        self.wire.send(data)
        return self

    def expect(self, name, timeout=10, **attributes):
        return self.wire.expect(name, timeout, **attributes)

    def open(self, **attributes):
        """Header and features."""
        self.wire.restart()
        self.wire.send(header(**{"from_": self.domain, "to": self.to, **attributes}))
        opened = self.wire.expect("stream")
        self.id = opened.get("id")
        if attributes.get("version", "1.0"):
            self.features = self.wire.expect("features")
        return self

    def offers(self):
        """Names of the features; of SASL the mechanisms."""
        names = {local(f.tag) for f in self.features}
        mechanisms = child(self.features, "mechanisms")
        return names | {m.text for m in mechanisms} if mechanisms is not None else names

    def context(self, **options):
        return self.certificates.client(self.leaf, **options)

    def start_tls(self, **options):
        if self.direct:
            self.wire.start_tls(self.context(alpn="xmpp-server", **options), name=self.to)
        else:
            self.wire.send(f"<starttls xmlns='{TLS}'/>")
            self.wire.expect("proceed")
            self.wire.start_tls(self.context(**options), name=self.to)
        return self

    def secure(self, **options):
        """As far as the features inside TLS."""
        if self.direct:
            return self.start_tls(**options).open()
        return self.open().start_tls(**options).open()

    def external(self, authorization=None):
        """SASL EXTERNAL; returns '' or the condition of the failure."""
        text = "=" if authorization == "" else base64.b64encode((authorization or self.domain).encode()).decode()
        self.wire.send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{text}</auth>")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            item = self.wire.next(end - time.monotonic())
            if space(item.tag) == SASL and local(item.tag) == "success":
                self.wire.restart()
                return ""
            if space(item.tag) == SASL:
                return local(item[0].tag)
            if space(item.tag) == STREAMS and local(item.tag) == "error":
                return "stream error " + condition(item)
        raise LabError("no answer to <auth/>")

    def up(self):
        """Authenticated by certificate."""
        self.secure()
        failure = self.external()
        if failure:
            raise LabError(f"{self.domain} was not authenticated: {failure}")
        return self.open()

    def result(self, key="0" * 64, from_=None, to=None):
        """db:result; the answer is waited for with answer()."""
        return self.send(f"<db:result from={quoteattr(from_ or self.domain)} to={quoteattr(to or self.to)}>{escape(key)}</db:result>")

    def answer(self, timeout=15):
        """The answer to db:result: valid, invalid, error CONDITION, or "stream error CONDITION"."""
        return self._verdict("result", timeout)

    def verify(self, key, id, from_=None, to=None):
        """db:verify: what does entented, as authoritative server of `to`, say of this key? As answer()."""
        self.send(f"<db:verify from={quoteattr(from_ or self.domain)} to={quoteattr(to or self.to)} id={quoteattr(id)}>{escape(key)}</db:verify>")
        return self._verdict("verify", 15)

    def _verdict(self, name, timeout):
        end = time.monotonic() + timeout
        while True:
            try:
                item = self.wire.next(max(end - time.monotonic(), 0.001))
            except Gone:
                return "end"
            if space(item.tag) == DIALBACK and local(item.tag) == name:
                error = child(item, "error")
                return item.get("type") if error is None else f"error {condition(error)}"
            if space(item.tag) == STREAMS and local(item.tag) == "error":
                return f"stream error {condition(item)}"

    def error(self, timeout=10):
        """The stream error that ends the stream, and the connection with it."""
        found = self.wire.expect_end(timeout)
        if not found:
            raise LabError("the stream ended without an error")
        return found


class Stream:
    """One connection that a Receiver has accepted."""

    def __init__(self, server, wire, number):
        self.server, self.wire, self.number = server, wire, number
        self.remote = self.to = None    # of the header
        self.id = ""
        self.secured = self.proven = False
        self.stanzas = 0
        self.acks = False
        self.peer_name = None           # names of the certificate

    def send(self, data):
        self.wire.send(data)

    def close(self):
        self.wire.close()


class Receiver(threading.Thread):
    """The server of `domain` at `address`. Records in `seen` what comes: Event(kind = name of the element, el, stream).
    tls: required, optional, off. Override the methods that answer to be hostile."""
    tls = "required"
    external = True
    dialback = True
    acknowledge = False
    answer_ping = True
    secret = "the receiver's secret"

    def __init__(self, domain, address, certificates, leaf=None, port=5269, direct=False, receive_buffer=None, **options):
        super().__init__(daemon=True, name=f"{domain}:{port}")
        self.domain, self.address, self.port = domain, address, port
        self.certificates, self.direct = certificates, direct
        self.leaf = leaf or certificates.leaf(domain)
        self.seen = Recorder(domain)
        self.streams = []
        self.__dict__.update(options)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((address, port))
        self._listener.listen(128)
        self._stop = False
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stop = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for stream in self.streams:
            stream.close()

    def run(self):
        while not self._stop:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            stream = Stream(self, Wire(sock), len(self.streams))
            self.streams.append(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        try:
            self.accepted(stream)
            if self.direct:
                self.start_tls(stream)
            while not self._stop:
                self.one(stream)
        except (LabError, OSError, ValueError) as e:
            self.seen.add(Event("ended", stream=stream, text=str(e)))
        finally:
            stream.wire.close()

    def one(self, stream):
        """Waits for one item and answers it."""
        try:
            item = stream.wire.next(3600)
        except Gone:
            raise
        if isinstance(item, Opened):
            self.opened(stream, item)
            return
        self.seen.add(Event(local(item.tag), el=item, stream=stream, **{"from_": item.get("from"), "to": item.get("to")}))
        handler = getattr(self, "on_" + local(item.tag).strip("/"), None)
        if local(item.tag) == "/stream":
            self.on_end(stream)
        elif handler:
            handler(stream, item)

    # --- what a test may replace ------------------------------------------------------------------------------------

    def accepted(self, stream):
        """Called with each connection before anything is read."""

    def opened(self, stream, opened):
        stream.remote = opened.get("from") or stream.remote
        stream.to = opened.get("to") or stream.to
        stream.id = f"s{stream.number}-{time.monotonic_ns()}"
        stream.send(header(from_=stream.to or self.domain, to=stream.remote or "", id=stream.id) + self.features(stream))

    def features(self, stream):
        if stream.proven:
            inner = f"<sm xmlns='{SM}'/>" if self.acknowledge else ""
        else:
            inner = ""
            if self.tls != "off" and not stream.secured:
                inner += f"<starttls xmlns='{TLS}'>{'<required/>' if self.tls == 'required' else ''}</starttls>"
            if self.external and stream.secured:
                inner += f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
            if self.dialback:
                inner += "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
        return f"<stream:features>{inner}</stream:features>"

    def on_starttls(self, stream, _):
        stream.send(f"<proceed xmlns='{TLS}'/>")
        self.start_tls(stream)

    def start_tls(self, stream):
        stream.wire.start_tls(self.certificates.server(self.leaf, alpn="xmpp-server" if self.direct else None), server=True)
        stream.secured = True
        shown = stream.wire.tls.getpeercert() or {}
        stream.peer_name = {n for k, n in shown.get("subjectAltName", ()) if k == "DNS"}

    def on_auth(self, stream, el):
        stream.wire.restart()
        stream.proven = True
        stream.send(f"<success xmlns='{SASL}'/>")

    def on_result(self, stream, el):
        """Role R, without calling back: the test's server takes every key."""
        stream.proven = True
        stream.send(f"<db:result from={quoteattr(el.get('to'))} to={quoteattr(el.get('from'))} type='valid'/>")

    def on_verify(self, stream, el):
        """Role A: is this a key that our initiator made?"""
        right = dialback_key(self.secret, el.get("from"), el.get("to"), el.get("id"))
        verdict = "valid" if (el.text or "").strip() == right else "invalid"
        stream.send(f"<db:verify from={quoteattr(el.get('to'))} to={quoteattr(el.get('from'))} id={quoteattr(el.get('id'))} type='{verdict}'/>")

    def on_enable(self, stream, _):
        stream.acks = True
        stream.send(f"<enabled xmlns='{SM}'/>")

    def on_r(self, stream, _):
        stream.send(f"<a xmlns='{SM}' h='{stream.stanzas}'/>")

    def on_message(self, stream, el):
        stream.stanzas += 1

    def on_presence(self, stream, el):
        stream.stanzas += 1

    def on_iq(self, stream, el):
        stream.stanzas += 1

    def on_end(self, stream):
        stream.send("</stream:stream>")
        raise Gone("closed in order")

    # --- what a test asks -------------------------------------------------------------------------------------------

    def expect(self, kind, timeout=15, match=lambda e: True):
        return self.seen.expect(f"seen <{kind}/>", lambda e: e.kind == kind and match(e), timeout)

    def expect_stanza(self, kind, to=None, type=..., body=None, timeout=15):
        def right(e):
            return (to in (None, e.to) or (to and e.to and e.to.split("/")[0] == to)) and type in (..., e.el.get("type")) and (
                body is None or (child(e.el, "body") is not None and child(e.el, "body").text == body))
        return self.expect(kind, timeout, right).el

    def live(self):
        """The streams that are proven and open."""
        return [s for s in self.streams if s.proven and not s.wire.eof]

    def wait_proven(self, timeout=15):
        return wait_until(lambda: next((s for s in self.streams if s.proven), None), timeout, f"a stream to {self.domain}")
