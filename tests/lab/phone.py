# SPDX-License-Identifier: Apache-2.0
"""A SIP user that calls and can be called: sessions (RFC 3261 12 to 15), reliable provisional answers (RFC 3262), UPDATE, REFER."""
from recorder import Event
from sipmessage import SipMessage, address, aor, parameter
from siptransport import Transaction, token
from sipuser import SipUser
from waiting import LabError

SDP = ("Content-Type", "application/sdp")


class Call:
    """A session as one of its sides has it. `invite` and `answer`: the request and the final response that made it."""

    def __init__(self, user, invite, caller):
        self.user, self.invite, self.caller = user, invite, caller
        self.id = invite.get("call-id")
        self.answer = None
        self.seq = invite.cseq[0] if caller else 0
        self.reliable = 0       # RSeq of the last reliable provisional answer
        user.calls[self.id] = self
        if caller:
            self.local = invite.get("from")
            self.remote, self.target, self.route = invite.get("to"), invite.uri, []
        else:
            self.local = f"{invite.get('to')};tag={invite.tag}"
            self.remote, self.target, self.route = invite.get("from"), address(invite.get("contact")), invite.listed("record-route")

    # --- the calling side -------------------------------------------------------------------------------------------

    def _learn(self, answer):
        """The dialog that a provisional or final answer makes (RFC 3261 12.1.2)."""
        self.remote = answer.get("to")
        if answer.get("contact"):
            self.target = address(answer.get("contact"))
        self.route = list(reversed(answer.listed("record-route")))

    def expect(self, status, timeout=20):
        """Wait for this provisional answer."""
        while True:
            answer = self.transaction.next(timeout)
            if answer.status == status:
                if parameter(answer.get("to"), "tag"):
                    self._learn(answer)
                return answer
            if answer.status >= 200:
                raise LabError(f"{self.user.name}: {status} should come, but the call was answered {answer.status} {answer.reason}")

    def finish(self, timeout=35):
        """Wait for the final answer; a 2xx is acknowledged."""
        self.answer = self.transaction.final(timeout)
        if self.answer.status < 300:
            self._learn(self.answer)
            self.acknowledge()
        else:
            self.user.calls.pop(self.id, None)
        return self.answer

    def cancel(self):
        """Returns the answer to CANCEL; that to INVITE comes with finish()."""
        m = SipMessage("CANCEL", self.invite.uri)
        for name in ("max-forwards", "from", "to", "call-id"):
            m.add(name.title(), self.invite.get(name))
        m.add("CSeq", f"{self.invite.cseq[0]} CANCEL")
        return Transaction(self.user.net, m, self.transaction.branch).final()

    # --- the called side --------------------------------------------------------------------------------------------

    def ring(self, reliable=False, sdp=b"", status=180, reason="Ringing"):
        headers = {"Contact": self.user.contact, **({SDP[0]: SDP[1]} if sdp else {})}
        if reliable:
            self.reliable += 1
            headers.update({"Require": "100rel", "RSeq": self.reliable})
        self.invite.respond(status, reason, headers, sdp)

    def pick_up(self, sdp=None):
        self.invite.respond(200, "OK", {"Contact": self.user.contact, SDP[0]: SDP[1], "Supported": "timer"},
                            self.user.answer_sdp if sdp is None else sdp)

    def reject(self, status, reason, **headers):
        self.invite.respond(status, reason, {k.replace("_", "-"): v for k, v in headers.items()})
        self.user.calls.pop(self.id, None)

    # --- both -------------------------------------------------------------------------------------------------------

    def _build(self, method, number, headers=(), body=b""):
        m = SipMessage(method, self.target, body=body)
        m.add("Max-Forwards", 70)
        for route in self.route:
            m.add("Route", route)
        m.add("From", self.local)
        m.add("To", self.remote)
        m.add("Call-ID", self.id)
        m.add("CSeq", f"{number} {method}")
        if method != "ACK":
            m.add("Contact", self.user.contact)
        for name, value in headers:
            m.add(name, value)
        return m

    def acknowledge(self, number=None):
        m = self._build("ACK", number or self.seq)
        m.headers.insert(0, ["Via", f"SIP/2.0/{self.user.net.transport.upper()} {self.user.ip}:{self.user.net.port};branch=z9hG4bK{token(16)};rport"])
        self.user.net._send(m.encode())

    def request(self, method, headers=(), body=b"", timeout=35):
        """A request within the session, and its final answer; a re-INVITE that is accepted is acknowledged."""
        self.seq += 1
        number = self.seq
        answer = self.user.net.ask(self._build(method, number, headers, body), timeout)
        if method == "INVITE" and answer.status < 300:
            self.acknowledge(number)
        return answer

    def confirm(self, provisional):
        """PRACK for a reliable provisional answer."""
        return self.request("PRACK", [("RAck", f"{provisional.get('rseq')} {provisional.get('cseq')}")])

    def end(self):
        answer = self.request("BYE")
        self.user.calls.pop(self.id, None)
        return answer


class Phone(SipUser):
    """Every request that belongs to sessions is in `seen`, whole. `patient`: it lets calls ring until it is told to pick up, else it
    takes each at once."""

    answer_sdp = b"v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    patient = False

    def __init__(self, *arguments, **named):
        self.calls = {}     # Call-ID -> Call
        super().__init__(*arguments, **named)

    def _request(self, m):
        if m.method == "NOTIFY" and not (m.get("event") or "").startswith("refer") or m.method == "OPTIONS":
            return super()._request(m)
        call = self.calls.get(m.get("call-id"))
        if m.method != "MESSAGE":
            self.seen.add(Event("request", method=m.method, from_=aor(address(m.get("from"))), body=m.text, raw=m))
        if m.method in ("ACK", "CANCEL") and not call:
            return None
        if m.method == "INVITE" and not parameter(m.get("to"), "tag"):
            call = Call(self, m, caller=False)
            if not self.patient:
                call.pick_up()
            return None
        if not call:
            return super()._request(m) if m.method == "MESSAGE" and not parameter(m.get("to"), "tag") else (481, "Call/Transaction Does Not Exist")
        if m.method == "CANCEL":
            m.respond(200, "OK")
            call.invite.respond(487, "Request Terminated")
            return None
        if m.method == "ACK":
            return None
        if m.uri != self.contact[1:-1] or m.listed("route"):     # what went through the whole chain names us and nobody else
            self.seen.add(Event("trouble", text=f"{m.method} has the Request-URI {m.uri} and Routes {m.listed('route')}"))
            return 500, "Routed wrongly"
        if m.method == "MESSAGE":
            return super()._request(m)
        if m.method == "BYE":
            self.calls.pop(call.id, None)
        if m.method in ("INVITE", "UPDATE"):
            return 200, "OK", {"Contact": self.contact, SDP[0]: SDP[1]}, self.answer_sdp
        return (202, "Accepted") if m.method == "REFER" else (200, "OK")

    def expect_request(self, method, timeout=10):
        return self.seen.expect(f"received {method}", lambda e: e.kind == "request" and e.method == method, timeout)

    def expect_call(self, from_, timeout=20):
        """The call that `from_` makes; when the phone is patient it rings."""
        event = self.seen.expect(f"been called by {from_}", lambda e: e.kind == "request" and e.method == "INVITE" and e.from_ == from_, timeout)
        return self.calls[event.raw.get("call-id")]

    def dial(self, to, sdp, headers=()):
        """Begin a call; expect() or finish() it."""
        m = SipMessage("INVITE", f"sip:{to}", body=sdp)
        m.add("Max-Forwards", 70)
        m.add("From", f"<sip:{self.name}>;tag={token(8)}")
        m.add("To", f"<sip:{to}>")
        m.add("Call-ID", token(16) + "@" + self.ip)
        m.add("CSeq", "1 INVITE")
        m.add("Contact", self.contact)
        for name, value in (SDP, *headers):
            m.add(name, value)
        call = Call(self, m, caller=True)
        call.transaction = Transaction(self.net, m)
        return call

    def call(self, to, sdp, headers=(), timeout=35):
        """Call and wait for the answer, which is in the call."""
        call = self.dial(to, sdp, headers)
        call.finish(timeout)
        return call
