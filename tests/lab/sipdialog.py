# SPDX-License-Identifier: Apache-2.0
"""A presence subscription of a SipUser: the dialog (RFC 3261 section 12) and its refreshes (RFC 6665)."""
import threading

import pidf
from recorder import Event
from sipmessage import address, parameter
from siptransport import token
from waiting import LabError

FINAL = ("rejected", "noresource", "invariant")     # reasons after which a client does not try again


class Subscription:
    """state: new, pending, active, terminated. The user's recorder gets one `presence` event per NOTIFY."""

    def __init__(self, user, to, expires, accept="application/pidf+xml", renew=True):
        self.user, self.to, self.expires, self.accept = user, to, expires, accept
        self.renew = renew and expires > 0      # a look with Expires 0 is over after its one NOTIFY
        self.uri = to if to.startswith("sip") else "sip:" + to
        self.timer = None
        self.wanted = True
        self._fresh()

    def _fresh(self):
        self.call_id = token(20) + "@" + self.user.ip
        self.local_tag, self.remote_tag = token(8), None
        self.target, self.route, self.cseq = self.uri, [], 0
        self.state, self.reason, self.granted = "new", None, None

    def start(self):
        """Send the first SUBSCRIBE of a new dialog."""
        self._fresh()
        self.user.subscriptions[self.call_id] = self
        answer = self._send(self.expires)
        if not 200 <= answer.status < 300:
            self.user.subscriptions.pop(self.call_id, None)
        return answer

    def refresh(self):
        """Refresh in the dialog, as the client's timer does; a lost dialog is replaced by a new one."""
        answer = self._send(self.expires)
        if answer.status in (481, 404, 410) and self.wanted:
            self.user.subscriptions.pop(self.call_id, None)
            answer = self.start()
        return answer

    def end(self):
        """Stop watching."""
        self.wanted = False
        self.cancel_timer()
        if self.state != "terminated":
            self._send(0)       # the last NOTIFY comes after the answer, and takes us off the user's table

    def _send(self, expires):
        self.cseq += 1
        headers = [("Route", r) for r in self.route]
        headers += [("Contact", self.user.contact), ("Event", "presence"), ("Expires", expires), ("Accept", self.accept)]
        to = f"<{self.uri}>" + (f";tag={self.remote_tag}" if self.remote_tag else "")
        answer = self.user.request("SUBSCRIBE", self.target, headers, to=to, call_id=self.call_id,
                                   from_tag=self.local_tag, cseq=self.cseq)
        if 200 <= answer.status < 300:
            self.remote_tag = parameter(answer.get("to"), "tag")
            if answer.get("contact"):
                self.target = address(answer.get("contact"))
            if not self.route:
                self.route = list(reversed(answer.listed("record-route")))
            self.granted = int(answer.get("expires", expires))
            if expires and self.wanted:
                self._arm(max(1, self.granted * 0.7), self._refresh_quietly)
        return answer

    def _refresh_quietly(self):
        try:
            if self.wanted and self.refresh().status >= 300:
                self._arm(30, self._refresh_quietly)
        except LabError as e:
            self.user.seen.add(Event("trouble", text=str(e)))
            self._arm(30, self._refresh_quietly)

    def notified(self, m):
        """A NOTIFY of this dialog: record it, return the response."""
        if parameter(m.get("to"), "tag") != self.local_tag:
            return 481, "Subscription does not exist", {}
        if self.remote_tag is None:
            self.remote_tag = parameter(m.get("from"), "tag")
        header = m.get("subscription-state", "")
        self.state = header.split(";")[0].strip().lower()
        self.reason = parameter(header, "reason")
        document = None
        if m.body:
            if (m.get("content-type") or "").split(";")[0].strip() != "application/pidf+xml":
                return 415, "Unsupported Media Type", {"Accept": "application/pidf+xml"}
            try:
                document = pidf.Document(m.body)
            except ValueError as e:
                self.user.seen.add(Event("trouble", text=f"NOTIFY about {self.to}: {e}"))
                return 400, "Bad presence document", {}
        event = Event("presence", of=self.to, state=self.state, reason=self.reason, document=document, raw=m)
        if document:
            event.basic, event.show, event.note, event.entity = document.basic, document.show, document.note, document.entity
        self.user.seen.add(event)
        detail = " ".join(filter(None, [f"sub={self.state}", event.basic, event.show, event.note and f'"{event.note}"']))
        self.user.tell("in", "NOTIFY", detail)
        if self.state == "terminated":
            self.cancel_timer()
            self.user.subscriptions.pop(self.call_id, None)
            if self.wanted and self.renew and self.reason not in FINAL:
                wait = parameter(header, "retry-after") or ("60" if self.reason in ("probation", "giveup") else "0.1")
                self._arm(float(wait), self._start_quietly)
        return 200, "OK", {}

    def _start_quietly(self):
        try:
            if self.wanted:
                self.start()
        except LabError as e:
            self.user.seen.add(Event("trouble", text=str(e)))

    def _arm(self, seconds, action):
        self.cancel_timer()
        self.timer = threading.Timer(seconds, action)
        self.timer.daemon = True
        self.timer.start()

    def cancel_timer(self):
        if self.timer:
            self.timer.cancel()
