# SPDX-License-Identifier: Apache-2.0
"""A user of the Lync-dialect home (lynchome.py), signed in at endpoints that behave as its clients do: sessions with the texts and the
typing inside, several endpoints that ring at once, watching presence.

Methods block until the answer is there; what arrives is in `seen`, a Recorder, and is waited for with the expect_ methods."""
import itertools
import queue
import re
import zlib

import lyncdocs
from recorder import Event, Recorder
from sipmessage import SipMessage, address, aor, parameter
from siptransport import token
from waiting import LabError

AGENT = "UCCAPI/4.0.7577.4463 OC/4.0.7577.4478 (Microsoft Lync 2010)"
ALLOW = "INVITE, BYE, ACK, CANCEL, INFO, MESSAGE, UPDATE, REFER, NOTIFY, BENOTIFY"
WATCH = ("application/msrtc-event-categories+xml, application/xpidf+xml, text/xml+msrtc.pidf, application/pidf+xml, application/rlmi+xml, "
         "multipart/related")
IDLE_IM = "application/im-iscomposing+xml"


class Answer:
    """How an invitation is answered: 180 from each endpoint (`ring`), then after `delay` seconds this status, from the first endpoint, from
    number `by`, or from all. first: it takes the text that comes in the invitation. types: other accept-types. hold: not before release()."""

    def __init__(self, status=200, reason="OK", delay=0.02, ring=True, by=0, first=False, headers=(), types=None, hold=False):
        self.status, self.reason, self.delay, self.ring, self.by, self.first = status, reason, delay, ring, by, first
        self.headers, self.types, self.hold = dict(headers), types, hold


class LyncUser:
    """availability: the number that its clients have published; note, display: words. longest_watch: seconds. notify_first: NOTIFY
    goes before the answer to SUBSCRIBE. closed_to_watchers: (status, reason). hurry: seconds until a text is answered."""
    closed_to_watchers = None
    notify_first = False
    longest_watch = 3600
    hurry = 0.03
    message_answer = (200, "OK", {})

    def __init__(self, home, name, display=None, availability=3500, note=None):
        self.home, self.name = home, name
        self.display = display or name.partition("@")[0].title()
        self.availability, self.note = availability, note
        self.endpoints = []
        self.answer = Answer()
        self.seen = Recorder(name)
        self.subscriptions = {}     # Call-ID -> who is watched

    def sign_in(self):
        endpoint = Endpoint(self, len(self.endpoints))
        self.endpoints = [*self.endpoints, endpoint]
        return endpoint

    # --- what it does -----------------------------------------------------------------------------------------------

    def publish(self, availability=3500, note=None):
        def change():
            self.availability, self.note = availability, note
            self.home.presence_changed(self)
        self.home.core.ask(change)

    def open(self, to, text=None, mode=None, endpoint=0, word="message", named=False, headers=()):
        """Invite; returns the Session, open, or refused (its `answer` says how). text with mode "once": in the invitation, and as a message when
        the other side does not say that it took it; "again": both in any case."""
        session = self.home.core.ask(lambda: self.endpoints[endpoint].invite(to, text, mode, word, named, headers))
        session.wait(lambda: session.answer is not None, 40, "no final answer to its INVITE")
        return session

    def session(self, with_):
        """The open session with this address, at any endpoint; None."""
        return next((s for e in self.endpoints for s in e.sessions.values() if s.peer == with_ and s.state == "open"), None)

    def say(self, to, text, content_type="text/plain; charset=UTF-8", timeout=20, **more):
        """A text, in the session that is open or in a new one; returns the answer. What is not 2xx is the caller's business."""
        session = self.session(to) or self.open(to, **more)
        if session.state != "open":
            raise LabError(f"{self.name}: the invitation to {to} was answered {session.answer.status} {session.answer.reason}")
        return session.request("MESSAGE", content_type, text if isinstance(text, bytes) else text.encode(), timeout)

    def tell(self, to, text, **more):
        """A text that has to be accepted."""
        answer = self.say(to, text, **more)
        if not 200 <= answer.status < 300:
            raise LabError(f"{self.name}: the text was answered {answer.status} {answer.reason}")

    def type(self, to, status="type"):
        """KeyboardActivity in the session; returns the answer."""
        return self._session(to).request("INFO", "application/xml", lyncdocs.keyboard(status))

    def bye(self, to):
        return self._session(to).end()

    def _session(self, with_):
        found = self.session(with_)
        if not found:
            raise LabError(f"{self.name} has no session with {with_}")
        return found

    def watch(self, to, expires=3600):
        """Subscribe to presence as a client's front end does for a contact abroad; returns the final answer."""
        return self._wait_for(lambda done: self.endpoints[0].subscribe(to, expires, done))

    def _wait_for(self, start, timeout=35):
        box = queue.Queue()
        self.home.core.ask(lambda: start(box.put))
        try:
            return box.get(timeout=timeout)
        except queue.Empty:
            raise LabError(f"{self.name}: no answer within {timeout} s") from None

    def back_end(self, contact, asked):
        """Subscribe for a real client, which gets what comes in the dialog that it opened."""
        endpoint = Endpoint(self, len(self.endpoints))
        endpoint.client = asked
        self.endpoints = [*self.endpoints, endpoint]
        endpoint.hidden = True
        endpoint.subscribe(contact, 3600, lambda answer: None)

    # --- what it sees -----------------------------------------------------------------------------------------------

    def expect_message(self, from_, body=None, timeout=15, **wanted):
        what = f"received a message from {from_}" + (f" with text {body[:60]!r}" if body is not None else "")
        return self.seen.expect(what, lambda e: e.kind == "message" and e.from_ == from_ and body in (None, e.body)
                                and all(getattr(e, k) == v for k, v in wanted.items()), timeout)

    def expect_no_message(self, from_, seconds=1):
        self.seen.refuse(f"received a message from {from_}", lambda e: e.kind == "message" and e.from_ == from_, seconds)

    def expect_typing(self, from_, status="type", timeout=10):
        return self.seen.expect(f"seen {from_} {status}", lambda e: e.kind == "typing" and e.from_ == from_ and e.status == status, timeout)

    def expect_session(self, from_, what="opened", timeout=15):
        return self.seen.expect(f"had a session {what} by {from_}", lambda e: e.kind == "session" and e.from_ == from_ and e.what == what, timeout)

    def expect_presence(self, of, basic=None, activity=..., note=..., state=None, timeout=15):
        def right(e):
            return (e.kind == "presence" and e.of == of and basic in (None, e.basic) and (activity is ... or e.activity == activity)
                    and (note is ... or e.note == note) and state in (None, e.state))
        return self.seen.expect(f"been notified that {of} is {basic} {activity} {note} {state}", right, timeout,
                                forget_before=lambda e: e.kind == "presence" and e.of == of)


class Endpoint:
    """A client of a user: to its front end the other end of a connection."""
    gateway = False
    hidden = False
    says_epid = True
    client = None
    _ports = itertools.count(50000)

    def __init__(self, user, number):
        self.user, self.home, self.number = user, user.home, number
        self.epid = f"{zlib.crc32(f'{user.name}{number}'.encode()):08x}{number:02x}"
        self.contact = f"<sip:{user.name};opaque=user:epid:{token(18)}AAA;gruu>"
        self.via = f"SIP/2.0/TLS 192.0.2.77:{next(self._ports)}"
        self.sessions = {}      # Call-ID -> Session
        self.asked = {}         # (Call-ID, CSeq) -> what to call with an answer
        self.invites = {}       # Call-ID -> an INVITE that is not answered

    def send(self, m):
        """From the front end."""
        self.home.core.post(self.receive, m)

    def emit(self, m):
        self.home.core.post(self.home.message, m, self)

    def ask(self, m, told):
        """told(answer) for every answer."""
        self.asked[m.get("call-id"), m.get("cseq")] = told
        self.emit(m)

    def build(self, method, uri, headers, body=b"", branch=False):
        m = SipMessage(method, uri, body=body)
        # its own requests in a dialog carry a Via without branch, as old clients' do; only the front end sees it as the topmost
        m.add("Via", self.via + (f";branch=z9hG4bK{token(14).upper()}" if branch else ""))
        m.add("Max-Forwards", 70)
        for name, value in headers:
            m.add(name, value)
        m.add("User-Agent", AGENT)
        return m

    def from_header(self, tag):
        return f'"{self.user.display}"<sip:{self.user.name}>;tag={tag};epid={self.epid}'

    # --- what it begins ---------------------------------------------------------------------------------------------

    def invite(self, to, text, mode, word, named, headers):
        session = Session(self, to, token(32), f"<sip:{to}>", self.from_header(token(10)))
        session.word, session.first, session.mode = word, text, mode
        session.uri = f"sip:{to}"
        more = [("Ms-Conversation-ID", session.conversation), ("Supported", "ms-dialog-route-set-update"), ("Supported", "timer"),
                ("Supported", "ms-sender"), ("Supported", "ms-early-media"), ("Allow", ALLOW), ("ms-keep-alive", "UAC;hop-hop=yes"),
                ("Roster-Manager", f"sip:{self.user.name}"), ("EndPoints", f'"{self.user.display}" <sip:{self.user.name}>, <sip:{to}>')]
        if text is not None and mode:
            more += [("Supported", "ms-text-format"), ("ms-text-format", lyncdocs.text_format(text))]
        session.send_invite([*more, *headers], lyncdocs.sdp(f"sip:{to}" if named else None, word))
        return session

    def offer(self, to, kind, body, headers, done):
        """An invitation to something else; done(final answer)."""
        call = token(32)
        base = [("From", self.from_header(token(10))), ("To", f"<sip:{to}>"), ("Call-ID", call), ("CSeq", "1 INVITE"), ("Contact", self.contact),
                ("Ms-Conversation-ID", token(22)), ("Content-Type", kind)]
        self.ask(self.build("INVITE", f"sip:{to}", [*base, *headers], body, branch=True), lambda answer: done(answer) if answer.status >= 200 else None)

    def subscribe(self, to, expires, done):
        call, tag = token(32), token(10)
        known = next((c for c, w in self.user.subscriptions.items() if w.to == to), None)
        watch = self.user.subscriptions.get(known)
        if watch is None:
            watch = self.user.subscriptions[call] = Watch(self, to, call, tag)
        watch.send(expires, done)

    # --- what comes -------------------------------------------------------------------------------------------------

    def receive(self, m):
        if m.status:
            told = self.asked.get((m.get("call-id"), m.get("cseq")))
            if told:
                told(m)
            return
        call = m.get("call-id")
        session = self.sessions.get(call)
        if m.method == "NOTIFY" and call in self.user.subscriptions:
            self.user.subscriptions[call].notified(m)
        elif m.method == "CANCEL":
            self.reply(m, 200, "OK")
            invite = self.invites.pop(call, None)
            if invite:
                self.reply(invite, 487, "Request Terminated")
                self._record("session", m, what="cancelled")
        elif m.method == "INVITE" and not parameter(m.get("to"), "tag"):
            self._invited(m)
        elif session is None:
            if m.method != "ACK":
                self.reply(m, 481, "Call leg/transaction does not exist")
        else:
            session.asked(m)

    def reply(self, m, status, reason, headers=(), body=b""):
        answer = self.home._answer_to(m, status, reason, headers, body)
        if not parameter(m.get("to"), "tag") and status > 100:
            tags = getattr(m, "tag", None) or token(10)
            m.tag = tags
            for h in answer.headers:
                if h[0] == "To":
                    h[1] = f"{m.get('to')};epid={self.epid};tag={tags}"
        answer.add("User-Agent", AGENT)
        self.emit(answer)

    def _record(self, kind, m, **more):
        self.user.seen.add(Event(kind, from_=aor(address(m.get("from"))), endpoint=self.number, call_id=m.get("call-id"), raw=m, **more))

    def _invited(self, m):
        self._record("session", m, what="invited", conversation=m.get("ms-conversation-id"))
        how = self.user.answer
        self.invites[m.get("call-id")] = m
        if how.ring:
            self.reply(m, 180, "Ringing", {"Contact": self.contact})
        if how.hold or how.by not in (self.number, "all"):
            return
        self.home.core.later(how.delay, self.pick_up, m, how)

    def pick_up(self, m, how):
        call = m.get("call-id")
        if self.invites.pop(call, None) is None:
            return
        if how.status >= 300:
            self.reply(m, how.status, how.reason, how.headers)
            return
        session = Session(self, aor(address(m.get("from"))), call, m.get("from"), None)
        word, session.types = lyncdocs.read_sdp(m.body)
        session.learn_request(m)
        headers = {"Contact": self.contact, "Content-Type": "application/sdp", "Allow": ALLOW, "Ms-Conversation-ID": session.conversation,
                   "Supported": "ms-sender" + (", ms-text-format" if how.first else ""), **how.headers}
        if parameter(m.get("supported", "") + ";" + ";".join(m.listed("supported")), "timer") is not None and m.get("session-expires"):
            headers.update({"Require": "timer", "Session-Expires": re.sub(";.*", "", m.get("session-expires")) + ";refresher=uac"})
        self.reply(m, 200, "OK", headers, lyncdocs.sdp(None, word, types=how.types or lyncdocs.ACCEPT_TYPES))
        session.local = f"{m.get('to')};epid={self.epid};tag={m.tag}"
        text = lyncdocs.first_message(m.get("ms-text-format"))
        if how.first and text is not None:
            self._record("message", m, body=text, content_type="text/plain", by="first")
        self.sessions[call] = session
        self.home.core.later(10, session.expect_acknowledgement)


class Session:
    """As one endpoint has it. state: inviting, open, ended. `answer`: the final one to our INVITE."""

    def __init__(self, endpoint, peer, call, remote, local):
        self.endpoint, self.user, self.home = endpoint, endpoint.user, endpoint.home
        self.peer, self.call, self.remote, self.local = peer, call, remote, local
        self.conversation = token(22)
        self.state, self.answer, self.acknowledged = "inviting", None, False
        self.route, self.target, self.cseq, self.remote_cseq, self.types = [], None, 0, 0, []
        self.first = self.mode = None
        self.answers = []       # provisional ones
        self.changed = queue.Queue()

    def wait(self, condition, timeout, what):
        while not condition():
            try:
                self.changed.get(timeout=timeout)
            except queue.Empty:
                raise LabError(f"{self.user.name}: {what} within {timeout} s") from None

    # --- as the one who invites -------------------------------------------------------------------------------------

    def send_invite(self, headers, body):
        self.cseq += 1
        self.uri = self.uri if self.target is None else self.target
        base = [*(("Route", r) for r in self.route), ("From", self.local), ("To", self.remote), ("Call-ID", self.call), ("CSeq", f"{self.cseq} INVITE"),
                ("Contact", self.endpoint.contact)]
        m = self.endpoint.build("INVITE", self.uri, [*base, *headers, ("Content-Type", "application/sdp")], body, branch=True)
        self.endpoint.ask(m, lambda answer, m=m: self._invite_answered(m, answer))

    def _invite_answered(self, m, answer):
        if answer.status < 200:
            self.answers.append(answer)
        elif answer.status >= 300:
            self.answer, self.state = answer, "refused" if self.state == "inviting" else self.state
        else:
            self._learn_answer(answer)
            headers = [*(("Route", r) for r in self.route), ("From", self.local), ("To", self.remote), ("Call-ID", self.call), ("CSeq", f"{m.cseq[0]} ACK")]
            self.endpoint.emit(self.endpoint.build("ACK", self.target, headers))
            if self.state == "inviting":
                self.endpoint.sessions[self.call] = self
                taken = "ms-text-format" in answer.listed("supported")
                if self.first is not None and not (taken and self.mode == "once"):
                    self.post("MESSAGE", "text/plain; charset=UTF-8;msgr=" + lyncdocs.msgr(), self.first.encode(), self._first_answered)
                self.state, self.acknowledged = "open", True
            self.answer = answer
        self.changed.put(None)

    def _first_answered(self, answer):
        if answer.status >= 300:
            self.home.complain(f"the first text of {self.user.name} was answered {answer.status} {answer.reason}")

    def _learn_answer(self, answer):
        self.remote, self.target = answer.get("to"), address(answer.get("contact"))
        self.route = list(reversed(answer.listed("record-route")))
        _, self.types = lyncdocs.read_sdp(answer.body)

    def learn_request(self, m):
        self.route, self.target, self.remote_cseq = m.listed("record-route"), address(m.get("contact")), m.cseq[0]
        self.conversation = m.get("ms-conversation-id", self.conversation)

    def expect_acknowledgement(self):
        if not self.acknowledged and self.state != "ended":
            self.home.complain(f"no ACK for the 200 of {self.user.name}, endpoint {self.endpoint.number}")

    # --- inside -----------------------------------------------------------------------------------------------------

    def post(self, method, content_type=None, body=b"", told=lambda answer: None, headers=()):
        """In the core."""
        self.cseq += 1
        base = [*(("Route", r) for r in self.route), ("From", self.local), ("To", self.remote), ("Call-ID", self.call), ("CSeq", f"{self.cseq} {method}")]
        base += [("Contact", self.endpoint.contact)] if method in ("INFO", "MESSAGE", "UPDATE") else []
        base += [("Content-Type", content_type)] if content_type else []
        m = self.endpoint.build(method, self.target, [*base, *headers], body)
        self.endpoint.ask(m, lambda answer: told(answer) if answer.status >= 200 else None)

    def request(self, method, content_type=None, body=b"", timeout=35, headers=()):
        """From a test: its final answer."""
        return self.user._wait_for(lambda done: self.post(method, content_type, body, done, headers), timeout)

    def again(self, body=None):
        """A re-INVITE with the same description or another; returns its final answer."""
        self.answer = None
        self.home.core.ask(lambda: self.send_invite([("Supported", "timer"), ("Ms-Conversation-ID", self.conversation)], body or lyncdocs.sdp()))
        self.wait(lambda: self.answer is not None, 35, "no final answer to its second INVITE")
        return self.answer

    def end(self):
        self.state = "ended"
        self.endpoint.sessions.pop(self.call, None)
        return self.request("BYE")

    def asked(self, m):
        """A request of the other side."""
        record = self.endpoint._record
        if m.method == "ACK":
            if m.body:
                self.home.complain("ACK with a body")
            if not self.acknowledged:
                self.acknowledged, self.state = True, "open"
                record("session", m, what="opened")
            return
        if m.cseq[0] <= self.remote_cseq:
            self.home.complain(f"{m.method} has CSeq {m.get('cseq')} after {self.remote_cseq}")
            self.endpoint.reply(m, 500, "Server Internal Error")
            return
        if not self.acknowledged:
            self.home.complain(f"{m.method} before the ACK")
        self.remote_cseq = m.cseq[0]
        kind = m.get("content-type", "").partition(";")[0].strip().lower()
        if m.method == "BYE":
            self.state = "ended"
            self.endpoint.sessions.pop(self.call, None)
            self.endpoint.reply(m, 200, "OK")
            record("session", m, what="ended")
        elif m.method in ("INVITE", "UPDATE"):
            if m.method == "INVITE":
                self.acknowledged = False
            body = lyncdocs.sdp() if m.body else b""
            self.endpoint.reply(m, 200, "OK", {"Contact": self.endpoint.contact, **({"Content-Type": "application/sdp"} if body else {}),
                                               **({"Session-Expires": m.get("session-expires")} if m.get("session-expires") else {})}, body)
            record("session", m, what="refreshed")
        elif m.method == "INFO" and kind == "application/xml":
            try:
                record("typing", m, status=lyncdocs.read_keyboard(m.body), how="info")
                self.endpoint.reply(m, 200, "OK")
            except ValueError as e:
                self.home.complain(str(e))
                self.endpoint.reply(m, 415, "Unsupported Media Type")
        elif m.method == "MESSAGE":
            self._text(m, kind, record)
        else:
            self.home.complain(f"{m.method} {kind} in a session")
            self.endpoint.reply(m, 405, "Method Not Allowed", {"Allow": ALLOW})

    def _text(self, m, kind, record):
        ours = self.user.answer.types or lyncdocs.ACCEPT_TYPES
        if kind not in ours.split():
            self.home.complain(f"MESSAGE of type {kind}, which was not among accept-types")
            self.endpoint.reply(m, 415, "Unsupported Media Type", {"Accept": ", ".join(ours.split())})
            return
        status, reason, headers = self.user.message_answer
        if kind == IDLE_IM:
            found = re.search(r"<state>\s*(\w+)\s*</state>", m.text)
            record("typing", m, status={"active": "type"}.get(found and found.group(1), "idle"), how="iscomposing")
        else:
            record("message", m, body=m.text, content_type=m.get("content-type"), by="message", answered=status)
        self.home.core.later(self.user.hurry, self.endpoint.reply, m, status, reason, headers)


class Watch:
    """A subscription of ours to presence abroad."""

    def __init__(self, endpoint, to, call, tag):
        self.endpoint, self.user, self.home = endpoint, endpoint.user, endpoint.home
        self.to, self.call = to, call
        self.local, self.remote, self.target, self.route = endpoint.from_header(tag), f"<sip:{to}>", f"sip:{to}", []
        self.tag, self.cseq, self.remote_cseq = tag, 0, 0

    def send(self, expires, done):
        self.cseq += 1
        headers = [*(("Route", r) for r in self.route), ("From", self.local), ("To", self.remote), ("Call-ID", self.call),
                   ("CSeq", f"{self.cseq} SUBSCRIBE"), ("Contact", self.endpoint.contact), ("Event", "presence"), ("Accept", WATCH),
                   ("Supported", "com.microsoft.autoextend"), ("Supported", "ms-benotify"), ("Proxy-Require", "ms-benotify"),
                   ("Supported", "ms-piggyback-first-notify"), ("Expires", expires)]
        self.endpoint.ask(self.endpoint.build("SUBSCRIBE", self.target, headers, branch=True), lambda answer: self._answered(answer, done))

    def _answered(self, answer, done):
        if 200 <= answer.status < 300:
            self.remote, self.target = answer.get("to"), address(answer.get("contact"))
            if not self.route:
                self.route = list(reversed(answer.listed("record-route")))
        elif answer.status >= 300:
            self.user.subscriptions.pop(self.call, None)
        if answer.status >= 200:
            done(answer)

    def notified(self, m):
        if parameter(m.get("to"), "tag") != self.tag or m.cseq[0] <= self.remote_cseq:
            self.home.complain(f"NOTIFY with To {m.get('to')}, CSeq {m.get('cseq')} after {self.remote_cseq}")
        self.remote_cseq = m.cseq[0]
        state = m.get("subscription-state", "")
        event = Event("presence", of=self.to, state=state.partition(";")[0].strip(), reason=parameter(state, "reason"), raw=m)
        if m.body:
            kind = m.get("content-type", "").partition(";")[0].strip().lower()
            try:
                if kind != lyncdocs.STANDARD:
                    raise ValueError(f"it is {kind}")
                event.entity, event.basic, event.activity, event.note, event.display = lyncdocs.read_presence(m.body)
                if aor(event.entity if ":" in event.entity else "sip:" + event.entity) != self.to:
                    raise ValueError(f"it is about {event.entity}")
            except ValueError as e:
                self.home.complain(f"the presence document of {self.to}: {e}")
        self.endpoint.reply(m, 200, "OK")
        self.user.seen.add(event)
        if event.state == "terminated":
            self.user.subscriptions.pop(self.call, None)
        if self.endpoint.client and m.body:
            self._hand_on(m)

    def _hand_on(self, m):
        """To the real client, in the dialog of its own subscription; it does not answer (BENOTIFY)."""
        asked, answer, link = self.endpoint.client
        self.endpoint.given = getattr(self.endpoint, "given", 0) + 1
        b = SipMessage("BENOTIFY", address(asked.get("contact")), body=m.body)
        for name, value in (("Via", f"{self.home.via};branch=z9hG4bK{token(12)}"), ("Max-Forwards", 70), ("From", answer.get("to")),
                            ("To", asked.get("from")), ("Call-ID", asked.get("call-id")), ("CSeq", f"{self.endpoint.given + 1} BENOTIFY"),
                            ("Event", "presence"), ("Subscription-State", "active;expires=3600"), ("Content-Type", m.get("content-type"))):
            b.add(name, value)
        link.send(b)
