# SPDX-License-Identifier: Apache-2.0
"""Something that stands where entented will: takes what Kamailio sends to other domains, and notifies its watchers.

It proves the home's routes (Record-Route, requests inside a dialog, both transports); it translates nothing."""
import threading

import peers
import pidf
from sipmessage import SipMessage, address, aor, parameter
from siptransport import SipTransport, token
from waiting import LabError


class StandIn:
    def __init__(self, transport, log):
        self.net = SipTransport("stand-in", peers.GATEWAY, transport, (peers.HOME, 5060), self.request, log)
        self.seen = []
        self.contact = f"<sip:gw.contoso.test:5060;transport={transport}>"

    def request(self, m):
        self.seen.append(m)
        if m.method == "MESSAGE":
            return 403, "Forbidden", {"Entente-Reason": "policy/partner-unknown"}
        if m.method == "SUBSCRIBE":
            tag = parameter(m.get("to"), "tag") or token(8)
            ends = m.get("expires") == "0"
            threading.Thread(target=self.notify, args=(m, tag, ends), daemon=True).start()
            to = m.get("to") if parameter(m.get("to"), "tag") else f"{m.get('to')};tag={tag}"
            m.headers = [[k, to if k.lower() in ("to", "t") else v] for k, v in m.headers]
            return 200, "OK", {"Expires": m.get("expires"), "Contact": self.contact}
        return 405, "Method Not Allowed", {}

    def notify(self, m, tag, ends):
        target = aor(address(m.get("to")))
        n = SipMessage("NOTIFY", address(m.get("contact")), body=pidf.write(target, "ID-x", activity="away"))
        for name, value in (("Max-Forwards", 70), ("From", f"<sip:{target}>;tag={tag}"), ("To", m.get("from")),
                            ("Call-ID", m.get("call-id")), ("CSeq", "1 NOTIFY"), ("Contact", self.contact), ("Event", "presence"),
                            ("Subscription-State", "terminated;reason=timeout" if ends else "active;expires=600"),
                            ("Content-Type", "application/pidf+xml")):
            n.add(name, value)
        for route in m.listed("record-route"):
            n.add("Route", route)
        try:
            self.net.ask(n, 5)
        except LabError:    # we are closed before the answer is there
            pass

    def close(self):
        self.net.close()
