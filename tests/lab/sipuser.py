# SPDX-License-Identifier: Apache-2.0
"""A SIP user with one device: registers, publishes and watches presence, sends and receives messages.

Every method blocks until the answer is there and raises LabError when it does not come. What arrives by itself
(MESSAGE, NOTIFY) is in `seen`, a Recorder, and is waited for with the expect_ methods.
"""
import threading

import pidf
from recorder import Event, Recorder
from sipdialog import Subscription
from sipmessage import SipMessage, address, aor, instance
from siptransport import SipTransport, token
from waiting import LabError

REGISTRAR = ("127.0.0.11", 5060)


class SipUser:
    """`name` is user@domain. `ip` is this device's own address; `transport` (udp or tcp) is its way to the home."""

    def __init__(self, name, ip, transport="udp", log=None, observer=None, registrar=REGISTRAR):
        self.name, self.ip = name, ip
        self.device = "d" + token(6)
        self.seen = Recorder(name)
        self.observer = observer
        self.net = SipTransport(name, ip, transport, registrar, self._request, log)
        self.contact = f"<sip:{name.split('@')[0]}@{ip}:{self.net.port}" + (";transport=tcp>" if transport == "tcp" else ">")
        self.subscriptions = {}         # Call-ID -> Subscription
        self.message_answer = (200, "OK", {})
        self._cseq = 0
        self._etag = None
        self._document = None
        self._registration = None       # its Call-ID: one for all REGISTERs of a device
        self._timers = {}
        self._lock = threading.RLock()

    # --- requests ---------------------------------------------------------------------------------------------------

    def request(self, method, uri, headers=(), body=b"", to=None, call_id=None, from_tag=None, cseq=None, timeout=35):
        """Build and send a request, return the final response (a SipMessage)."""
        with self._lock:
            self._cseq += 1
            number = cseq or self._cseq
        m = SipMessage(method, uri, body=body)
        m.add("Max-Forwards", 70)
        m.add("From", f"<sip:{self.name}>;tag={from_tag or token(8)}")
        m.add("To", to or f"<{uri}>")
        m.add("Call-ID", call_id or token(20) + "@" + self.ip)
        m.add("CSeq", f"{number} {method}")
        for name, value in headers:
            m.add(name, value)
        return self.net.ask(m, timeout)

    def online(self, **state):
        """What a client does when its user signs in: register and publish."""
        self.register()
        self.publish(**state)
        return self

    def register(self, expires=600):
        self._registration = self._registration or token(20) + "@" + self.ip
        self.tell("out", "REGISTER", "" if expires else "sign off")
        answer = self.request("REGISTER", "sip:" + self.name.split("@")[1], call_id=self._registration,
                              to=f"<sip:{self.name}>",
                              headers=[("Contact", f"{self.contact};expires={expires}"), ("Expires", expires)])
        self._need(answer, "REGISTER")
        self._later("register", expires * 0.8 if expires else None, self.register)

    def unregister(self):
        self.register(0)

    def publish(self, basic="open", activity=None, note=None, priority=None, expires=3600):
        """Publish this device's presence: activity is an RPID one (away, busy, ...)."""
        self._document = pidf.write(self.name, self.device, basic, activity, note, priority, self.contact[1:-1])
        detail = " ".join(filter(None, [activity or basic, note and f'"{note}"']))
        self._publish(self._document, expires, detail)

    def unpublish(self):
        """Withdraw what this device published: it is gone."""
        self._publish(b"", 0, "withdrawn")

    def withdraw(self, tag):
        """Withdraw another device's publication."""
        self._etag = tag
        self.unpublish()

    def _publish(self, body, expires, detail=None):
        if not body and not self._etag and not expires:
            return
        if detail:
            self.tell("out", "PUBLISH", detail)
        while True:
            headers = [("Event", "presence"), ("Expires", expires)]
            if self._etag:
                headers.append(("SIP-If-Match", self._etag))
            if body:
                headers.append(("Content-Type", "application/pidf+xml"))
            answer = self.request("PUBLISH", "sip:" + self.name, headers, body)
            if answer.status != 412:
                break
            self._etag = None           # the server forgot us: publish afresh
            if not expires:
                return
            body = self._document
        self._need(answer, "PUBLISH")
        self._etag = answer.get("sip-etag") if expires else None
        granted = int(answer.get("expires", expires))
        # with the document: after a refresh without one, Kamailio tells the watchers that there is none
        self._later("publish", granted * 0.7 if expires else None, lambda: self._publish(self._document, expires))

    def message(self, to, text, content_type="text/plain;charset=UTF-8", headers=(), timeout=35, **more):
        """Send a MESSAGE; returns the final response whatever it is."""
        uri = to if to.startswith(("sip:", "sips:")) else "sip:" + to
        body = text if isinstance(text, bytes) else text.encode("utf-8")
        self.tell("out", "MESSAGE", text if isinstance(text, str) else content_type)
        answer = self.request("MESSAGE", uri, [("Content-Type", content_type), *headers], body, timeout=timeout, **more)
        self.tell("in", f"{answer.status} {answer.reason}", "MESSAGE")
        return answer

    def say(self, to, text, **more):
        """A message that has to be accepted."""
        self._need(self.message(to, text, **more), f"MESSAGE to {to}")

    def subscribe(self, to, expires=3600, **more):
        """Watch somebody's presence; returns the Subscription, whose answer has to be 2xx."""
        subscription, answer = self.try_subscribe(to, expires, **more)
        self._need(answer, f"SUBSCRIBE to {to}")
        return subscription

    def try_subscribe(self, to, expires=3600, **more):
        """As subscribe, but returns (Subscription, response) whatever the response is."""
        subscription = Subscription(self, to, expires, **more)
        self.tell("out", "SUBSCRIBE", "")
        answer = subscription.start()
        self.tell("in", f"{answer.status} {answer.reason}", "SUBSCRIBE")
        return subscription, answer

    def offline(self):
        """What a client does when its user signs out."""
        self.unpublish()
        for subscription in list(self.subscriptions.values()):
            subscription.end()
        self.unregister()

    def close(self):
        """Vanish without a word, as a device that loses power does."""
        with self._lock:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
        for subscription in list(self.subscriptions.values()):
            subscription.cancel_timer()
        self.net.close()

    # --- what comes -------------------------------------------------------------------------------------------------

    def _request(self, m):
        """A request arrived: return the response to send, or None."""
        if m.method == "MESSAGE":
            status, reason, headers = self.message_answer
            sender = address(m.get("from"))
            self.seen.add(Event("message", from_=aor(sender), instance=instance(sender), body=m.text,
                                content_type=m.get("content-type"), subject=m.get("subject"), call_id=m.get("call-id"),
                                answered=status, raw=m))
            self.tell("in", "MESSAGE", m.text)
            return status, reason, headers
        if m.method == "NOTIFY":
            subscription = self.subscriptions.get(m.get("call-id"))
            return subscription.notified(m) if subscription else (481, "Subscription does not exist", {})
        if m.method == "OPTIONS":
            return 200, "OK", {"Allow": "MESSAGE, NOTIFY, OPTIONS", "Accept": "text/plain"}
        if m.method in ("ACK", "CANCEL"):
            return None
        return 405, "Method Not Allowed", {"Allow": "MESSAGE, NOTIFY, OPTIONS"}

    def answer_messages(self, status=200, reason="OK", **headers):
        """From now on answer each MESSAGE so. Headers: Warning='...', Retry_After='5' (underscore for hyphen)."""
        self.message_answer = (status, reason, {k.replace("_", "-"): v for k, v in headers.items()})

    def expect_message(self, from_, body=None, timeout=10):
        what = f"received a message from {from_}" + (f" with text {body[:60]!r}" if body is not None else "")
        return self.seen.expect(what, lambda e: e.kind == "message" and e.from_ == from_ and body in (None, e.body), timeout)

    def expect_no_message(self, from_, seconds=2):
        self.seen.refuse(f"received a message from {from_}", lambda e: e.kind == "message" and e.from_ == from_, seconds)

    def expect_presence(self, of, basic=None, show=..., note=..., state=None, reason=None, match=None, timeout=15):
        """Wait for a NOTIFY about `of` that says this. show and note: None means "there is none"."""
        def right(e):
            return (e.kind == "presence" and e.of == of and (basic is None or e.basic == basic)
                    and (show is ... or e.show == show) and (note is ... or e.note == note)
                    and (state is None or e.state == state) and (reason is None or e.reason == reason)
                    and (match is None or (e.document is not None and match(e.document))))
        wanted = {k: v for k, v in dict(basic=basic, show=show, note=note, state=state, reason=reason).items()
                  if v is not ... and (v is not None or k in ("show", "note"))}
        what = f"been notified that {of} is " + (", ".join(f"{k}={v}" for k, v in wanted.items()) or "as described")
        return self.seen.expect(what, right, timeout, forget_before=lambda e: e.kind == "presence" and e.of == of)

    def expect_no_presence(self, of, seconds=2, **wanted):
        def wrong(e):
            return e.kind == "presence" and e.of == of and all(getattr(e, k) == v for k, v in wanted.items())
        self.seen.refuse(f"been notified about {of} {wanted or ''}", wrong, seconds)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _need(self, answer, what):
        if not 200 <= answer.status < 300:
            raise LabError(f"{self.name}: {what} was answered {answer.status} {answer.reason}")

    def _later(self, key, seconds, action):
        """(Re)arm a refresh timer; None stops it."""
        with self._lock:
            old = self._timers.pop(key, None)
            if old:
                old.cancel()
            if seconds is not None:
                def run():
                    try:
                        action()
                    except LabError as e:
                        self.seen.add(Event("trouble", text=str(e)))
                timer = threading.Timer(seconds, run)
                timer.daemon = True
                self._timers[key] = timer
                timer.start()

    def tell(self, direction, what, detail):
        if self.observer:
            self.observer(self, direction, what, detail)
