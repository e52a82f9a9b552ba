# SPDX-License-Identifier: Apache-2.0
"""An XMPP user with one resource (slixmpp): roster, presence, messages; records everything that arrives.

Every method blocks. slixmpp runs on one event loop in a thread of its own, shared by all users. What arrives is in
`seen`, a Recorder, and is waited for with the expect_ methods.
"""
import asyncio
import logging
import threading
from xml.etree import ElementTree

logging.getLogger("slixmpp").addHandler(logging.NullHandler())     # it warns about its own speed while it is imported

import slixmpp                                                      # noqa: E402
from slixmpp.xmlstream import tostring                             # noqa: E402
from slixmpp.xmlstream.handler import Callback                    # noqa: E402
from slixmpp.xmlstream.matcher import MatchXPath                    # noqa: E402

from recorder import Event, Recorder                                # noqa: E402
from waiting import LabError, wait_until                            # noqa: E402

SERVER = ("127.0.0.21", 5222)
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
STATES, RECEIPTS, MARKERS = "http://jabber.org/protocol/chatstates", "urn:xmpp:receipts", "urn:xmpp:chat-markers:0"
CORRECTION, CARBONS, FORWARD = "urn:xmpp:message-correct:0", "{urn:xmpp:carbons:2}", "{urn:xmpp:forward:0}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Loop:
    """The event loop that all XMPP users share."""
    _one = None
    thread = None       # its thread's number
    _lock = threading.Lock()

    @classmethod
    def get(cls):
        with cls._lock:
            if cls._one is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=cls._run, args=(loop,), name="xmpp", daemon=True).start()
                cls._one = loop
            return cls._one

    @staticmethod
    def _run(loop):
        Loop.thread = threading.get_ident()
        asyncio.set_event_loop(loop)
        loop.run_forever()


def log_to(path):
    """Write what slixmpp sends and receives to a file."""
    log = logging.getLogger("slixmpp")
    for old in list(log.handlers):
        log.removeHandler(old)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False


class XmppUser:
    """`jid` is user@domain. auto_approve: answer every subscription request with yes and ask back. receipts: send those that are asked for."""

    def __init__(self, jid, resource="home", password="secret", server=SERVER, auto_approve=False, observer=None, receipts=False):
        self.receipts = receipts
        self.name, self.resource, self.password, self.server = jid, resource, password, server
        self.auto_approve, self.observer = auto_approve, observer
        self.seen = Recorder(f"{jid}/{resource}")
        self.client = None
        self._started = threading.Event()
        self._failed = None
        self._loop = Loop.get()

    # --- session ----------------------------------------------------------------------------------------------------

    def login(self, present=True, timeout=20):
        """Connect and log in; present: send initial presence, as a client does."""
        self.close()
        self._started.clear()
        self._failed = None
        self._call(self._connect)
        try:
            wait_until(lambda: self._started.is_set() or self._failed, timeout, f"{self.name} could not log in")
        except LabError:
            self.close()
            raise
        if self._failed:
            raise LabError(f"{self.name} could not log in: {self._failed}")
        self._ask(lambda: self.client.get_roster())
        if present:
            self.show()
        return self

    def _connect(self):
        # made on the loop's thread: slixmpp takes the thread's event loop
        client = self.client = slixmpp.ClientXMPP(f"{self.name}/{self.resource}", self.password)
        client.auto_authorize, client.auto_subscribe = None, False
        client.reconnect = lambda *a, **k: None
        for plugin in ("xep_0030", "xep_0199", "xep_0092"):
            client.register_plugin(plugin)
        for mechanism in ("unencrypted_plain", "unencrypted_scram"):
            setattr(client["feature_mechanisms"], mechanism, True)
        client.add_event_handler("session_start", lambda _: self._started.set())
        client.add_event_handler("failed_auth", lambda _: self._fail("wrong password"))
        client.add_event_handler("connection_failed", lambda e: self._fail(f"no connection: {e}"))
        client.add_event_handler("disconnected", lambda _: self.seen.add(Event("disconnected")))
        for kind, handler in (("message", self._message), ("presence", self._presence)):
            client.register_handler(Callback(f"lab {kind}", MatchXPath("{jabber:client}" + kind),
                                             lambda stanza, handler=handler: handler(stanza.xml)))
        client.connect(self.server, use_ssl=False, force_starttls=False, disable_starttls=True)

    def _fail(self, why):
        self._failed = why

    def logout(self):
        """Say goodbye and end the stream."""
        if self.client and self.client.is_connected():
            self.tell("out", "presence", "unavailable")
            self._ask(self._leave)

    async def _leave(self):
        self.client.send_presence(ptype="unavailable")
        await self.client.disconnect(wait=1.0)

    def close(self):
        """Vanish: cut the connection."""
        if self.client:
            self._ask(self._cut)

    async def _cut(self):
        self.client.abort()
        task = self.client._run_out_filters
        if task:    # slixmpp lets its sending task live for ever
            task.cancel()
            await asyncio.wait([task], timeout=1)

    # --- presence and roster ----------------------------------------------------------------------------------------

    def show(self, show=None, note=None, priority=None):
        """Be available: show is None, away, xa, dnd or chat; note is a text, or {language: text}."""
        presence = ElementTree.Element("{jabber:client}presence")
        for name, value in (("show", show), ("priority", priority)):
            if value is not None:
                ElementTree.SubElement(presence, "{jabber:client}" + name).text = str(value)
        for language, text in (note if isinstance(note, dict) else {None: note} if note is not None else {}).items():
            status = ElementTree.SubElement(presence, "{jabber:client}status")
            status.text = text
            if language:
                status.set(LANG, language)
        self.tell("out", "presence", " ".join(filter(None, [show or "available", note and f'"{note}"'])))
        self._send(presence)
        self._settle()

    def unavailable(self):
        self.tell("out", "presence", "unavailable")
        self._send(ElementTree.Element("{jabber:client}presence", type="unavailable"))
        self._settle()

    def _settle(self):
        """The server knows what we are when this returns: it answers what comes later."""
        self.ping(self.name.split("@")[1])

    def _presence_to(self, jid, kind):
        self.tell("out", f"presence/{kind}", "")
        self._send(ElementTree.Element("{jabber:client}presence", to=jid, type=kind))

    def subscribe(self, jid):
        self._presence_to(jid, "subscribe")

    def approve(self, jid):
        self._presence_to(jid, "subscribed")

    def deny(self, jid):
        """Refuse a request, or take an approval back."""
        self._presence_to(jid, "unsubscribed")

    def unsubscribe(self, jid):
        self._presence_to(jid, "unsubscribe")

    def probe_directed(self, jid, kind=None):
        """Directed presence: available (None) or unavailable, to one address only."""
        self._send(ElementTree.Element("{jabber:client}presence", {"to": jid, **({"type": kind} if kind else {})}))

    def roster(self):
        """{bare address: subscription state} as the server has it now."""
        def ask():
            iq = self.client.Iq()
            iq["type"] = "get"
            iq.enable("roster")     # without a version: all of it
            return iq.send()
        answer = self._ask(ask)
        return {str(jid): item["subscription"] for jid, item in answer["roster"]["items"].items()}

    def remove(self, jid):
        """Take a contact off the roster; the server unsubscribes both ways."""
        self._ask(lambda: self.client.update_roster(jid, subscription="remove", block=False) or _done())

    # --- messages ---------------------------------------------------------------------------------------------------

    def message(self, to, body=None, kind="chat", id=None, subject=None, extra="", language=None):
        """Send a message; returns its id. body may be {language: text}; extra is XML put in as it is."""
        m = ElementTree.Element("{jabber:client}message", to=to, id=id or self.client.new_id())
        if kind:
            m.set("type", kind)
        if language:
            m.set(LANG, language)
        if subject is not None:
            ElementTree.SubElement(m, "{jabber:client}subject").text = subject
        for tongue, text in (body if isinstance(body, dict) else {None: body} if body is not None else {}).items():
            element = ElementTree.SubElement(m, "{jabber:client}body")
            element.text = text
            if tongue:
                element.set(LANG, tongue)
        if extra:
            m.extend(ElementTree.fromstring(f"<x>{extra}</x>"))
        self.tell("out", "message", body if isinstance(body, str) else "")
        self._send(m)
        return m.get("id")

    def chat(self, to, body=None, state=None, receipt=False, markable=False, replace=None, thread=None, **more):
        """A message as a modern client writes it; returns its id."""
        extra = f"<thread xmlns='jabber:client'>{thread}</thread>" if thread else ""
        extra += f"<{state} xmlns='{STATES}'/>" if state else ""
        extra += f"<request xmlns='{RECEIPTS}'/>" if receipt else ""
        extra += f"<markable xmlns='{MARKERS}'/>" if markable else ""
        extra += f"<replace xmlns='{CORRECTION}' id='{replace}'/>" if replace else ""
        return self.message(to, body, extra=extra, **more)

    def received(self, to, id):
        """The receipt for a message."""
        return self.message(to, extra=f"<received xmlns='{RECEIPTS}' id='{id}'/>")

    def displayed(self, to, id):
        """The marker that a message has been read."""
        return self.message(to, extra=f"<displayed xmlns='{MARKERS}' id='{id}'/>")

    def carbons(self):
        """From now on this device gets copies of what the others send and receive; they are events of kind carbon."""
        def ask():
            iq = self.client.Iq()
            iq["type"] = "set"
            iq.append(ElementTree.Element(CARBONS + "enable"))
            return iq.send()
        self._ask(ask)

    def ping(self, jid, timeout=10):
        """XEP-0199; returns None, or the error condition."""
        async def ask():
            try:
                await self.client["xep_0199"].send_ping(jid, timeout=timeout)
            except slixmpp.exceptions.IqError as e:
                return e.condition
            except slixmpp.exceptions.IqTimeout:
                return "timeout"
            return None
        return self._ask(ask)

    # --- what comes -------------------------------------------------------------------------------------------------

    def _message(self, xml):
        sender = slixmpp.JID(xml.get("from"))
        bodies = {b.get(LANG): b.text or "" for b in xml.findall("{jabber:client}body")}
        carbon = next((c for c in xml if c.tag.startswith(CARBONS)), None)
        if carbon is not None and sender.bare == self.name:     # of what another device sent or got (XEP-0280)
            inner = carbon.find(f"{FORWARD}forwarded/{{jabber:client}}message")
            self.seen.add(Event("carbon", direction=carbon.tag[len(CARBONS):], from_=slixmpp.JID(inner.get("from")).bare, to=inner.get("to"),
                                body=inner.findtext("{jabber:client}body"), raw=ElementTree.tostring(xml, encoding="unicode")))
            return
        event = Event("error" if xml.get("type") == "error" else "message", from_=sender.bare, resource=sender.resource,
                      body=next(iter(bodies.values()), None), bodies=bodies, type=xml.get("type"), id=xml.get("id"),
                      subject=xml.findtext("{jabber:client}subject"), thread=xml.findtext("{jabber:client}thread"),
                      raw=ElementTree.tostring(xml, encoding="unicode"))
        self._read_signals(event, xml)
        if event.kind == "error":
            self._read_error(event, xml)
            self.tell("in", "message/error", f"{event.condition}")
        else:
            self.tell("in", "message", event.body or "")
        self.seen.add(event)
        if self.receipts and event.request and event.kind == "message" and event.id:
            self.received(xml.get("from"), event.id)

    @staticmethod
    def _read_signals(event, xml):
        """What stands beside the text: state (XEP-0085), request and receipt (XEP-0184), markable and marker (XEP-0333), replace (XEP-0308)."""
        for child in xml:
            space, _, name = child.tag[1:].partition("}")
            if space == STATES:
                event.state = name
            elif space == RECEIPTS:
                event.request = event.request or name == "request"
                event.receipt = child.get("id") if name == "received" else event.receipt
            elif space == MARKERS:
                event.markable = event.markable or name == "markable"
                if name != "markable":
                    event.marker, event.marked = name, child.get("id")
            elif space == CORRECTION:
                event.replace = child.get("id")

    def _presence(self, xml):
        sender = slixmpp.JID(xml.get("from"))
        if sender.bare == self.name:    # our own, reflected
            return
        notes = {s.get(LANG): s.text or "" for s in xml.findall("{jabber:client}status")}
        event = Event("presence", from_=sender.bare, resource=sender.resource, type=xml.get("type") or "available",
                      show=xml.findtext("{jabber:client}show"), note=next(iter(notes.values()), None), notes=notes,
                      priority=xml.findtext("{jabber:client}priority"), raw=ElementTree.tostring(xml, encoding="unicode"))
        if event.type == "error":
            self._read_error(event, xml)
        detail = " ".join(filter(None, [event.show or ("available" if event.type == "available" else None),
                                        event.note and f'"{event.note}"']))
        self.tell("in", "presence" + ("" if event.type == "available" else f"/{event.type}"), detail)
        self.seen.add(event)
        if self.auto_approve and event.type == "subscribe":
            self.approve(sender.bare)
            self.subscribe(sender.bare)

    @staticmethod
    def _read_error(event, xml):
        error = xml.find("{jabber:client}error")
        if error is None:
            return
        event.error_type, event.by = error.get("type"), error.get("by")
        event.text = error.findtext(STANZAS + "text")
        names = [c.tag[len(STANZAS):] for c in error if c.tag.startswith(STANZAS)]
        event.condition = next((name for name in names if name != "text"), None)
        event.details = [c.tag for c in error if not c.tag.startswith(STANZAS)]

    def expect_message(self, from_, body=None, timeout=10):
        what = f"received a message from {from_}" + (f" with text {body[:60]!r}" if body is not None else "")
        return self.seen.expect(what, lambda e: e.kind == "message" and e.from_ == from_ and e.body is not None
                                and (body is None or e.body == body), timeout)

    def expect_state(self, from_, state, timeout=10):
        return self.seen.expect(f"seen that {from_} is {state}", lambda e: e.kind == "message" and e.from_ == from_ and e.state == state and e.body is None,
                                timeout)

    def expect_no_state(self, from_, state, seconds=1):
        self.seen.refuse(f"seen that {from_} is {state}", lambda e: e.kind == "message" and e.from_ == from_ and e.state == state and e.body is None, seconds)

    def expect_receipt(self, from_, id, timeout=15):
        return self.seen.expect(f"got the receipt of {from_} for {id}", lambda e: e.kind == "message" and e.from_ == from_ and e.receipt == id, timeout)

    def expect_marker(self, from_, id, marker="displayed", timeout=15):
        return self.seen.expect(f"seen that {from_} has {marker} {id}", lambda e: e.kind == "message" and e.from_ == from_ and e.marker == marker
                                and e.marked == id, timeout)

    def expect_carbon(self, direction, body, timeout=10):
        return self.seen.expect(f"got a copy of {body!r} ({direction})", lambda e: e.kind == "carbon" and e.direction == direction and e.body == body, timeout)

    def expect_no_message(self, from_, seconds=2):
        self.seen.refuse(f"received a message from {from_}",
                         lambda e: e.kind == "message" and e.from_ == from_ and e.body is not None, seconds)

    def expect_error(self, from_, condition=None, id=None, timeout=15):
        """Wait for an error that answers a message (not presence)."""
        what = f"got an error from {from_}" + (f": {condition}" if condition else "")
        return self.seen.expect(what, lambda e: e.kind == "error" and e.from_ == from_ and (id is None or e.id == id)
                                and (condition is None or e.condition == condition), timeout)

    def expect_presence(self, from_, type="available", show=..., note=..., resource=..., timeout=10):
        """Wait for presence of this kind; show and note: None means "there is none"."""
        def right(e):
            return (e.kind == "presence" and e.from_ == from_ and e.type == type and (show is ... or e.show == show)
                    and (note is ... or e.note == note) and (resource is ... or e.resource == resource))
        wanted = {k: v for k, v in dict(show=show, note=note, resource=resource).items() if v is not ...}
        what = f"seen {from_} {type}" + (f" with {wanted}" if wanted else "")
        return self.seen.expect(what, right, timeout, forget_before=lambda e: (
            e.kind == "presence" and e.from_ == from_ and e.type in ("available", "unavailable")
            and type in ("available", "unavailable") and (resource is ... or e.resource == resource)))

    def expect_no_presence(self, from_, type=None, seconds=2):
        self.seen.refuse(f"seen presence of {from_} {type or ''}".rstrip(),
                         lambda e: e.kind == "presence" and e.from_ == from_ and (type is None or e.type == type), seconds)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _send(self, xml):
        if not self.client or not self.client.is_connected():
            raise LabError(f"{self.name} is not connected")
        text = tostring(xml, xmlns="jabber:client", stream=self.client)     # without prefixes, as clients write; jabberd2 would keep them
        self._call(lambda: self.client.send_raw(text))

    def _call(self, function):
        """Run a plain function on the loop's thread and wait for it."""
        if threading.get_ident() == Loop.thread:    # a handler of ours
            function()
            return None
        async def run():
            return function()
        return self._ask(run)

    def _ask(self, make, timeout=20):
        """Run what make() gives (a coroutine or a future) on the loop's thread and wait for the result."""
        async def run():
            made = make()
            return await made if asyncio.isfuture(made) or asyncio.iscoroutine(made) else made
        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout)
        except TimeoutError:
            raise LabError(f"{self.name}: the XMPP server did not answer within {timeout} s") from None
        except slixmpp.exceptions.IqTimeout:
            raise LabError(f"{self.name}: the XMPP server did not answer") from None

    def tell(self, direction, what, detail):
        if self.observer:
            self.observer(self, direction, what, detail)


async def _done():
    return None
