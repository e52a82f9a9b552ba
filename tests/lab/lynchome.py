# SPDX-License-Identifier: Apache-2.0
"""The home of fourthcoffee.test, which speaks the Lync dialect: a front end that is registrar, proxy and presence server, its users
(lyncuser.py), and real clients that register with it (sipe.py).

    home = LyncHome(run, certs); home.start()
    ann = home.user("ann", endpoints=2)

Between it and entented (trusted application gw.contoso.test) goes mutual TLS, each on connections of its own, as in a pool. It is strict:
what a real front end refuses is refused, and what would go wrong later, or what a client of it would take badly, is refused too; both is
kept in `complaints`, and check() raises. A scenario that provokes a refusal takes it off with complaint().
"""
import hashlib
import itertools
import re
import ssl

import lyncwire
from lyncdocs import CATEGORIES, MSRTC, STANDARD, categories_of, contact_list, pidf_of, read_sdp
from lyncuser import LyncUser
from process import answers
from sipmessage import SipMessage, address, aor, parameter
from siptransport import token
from waiting import LabError, wait_until

DOMAIN, HOST, IP = "fourthcoffee.test", "sip.fourthcoffee.test", "127.0.0.51"
SETTINGS = f'homes:\n  - name: fourthcoffee\n    domains: [{DOMAIN}]\n    dialect: lync\n    next-hop: "sip:{HOST}:5061;transport=tls"\n'
GATEWAY, GATEWAY_NAME = ("127.0.0.12", 5061), "gw.contoso.test"
# RFC 3261 8.1.1, and what stands at our end of a connection
NEEDED = ("via", "max-forwards", "from", "to", "call-id", "cseq", "content-length")
KNOWN = ("timer", "ms-early-media", "com.microsoft.autoextend", "100rel", "gruu-10", "ms-sender", "ms-benotify")
METHODS = "INVITE, ACK, BYE, CANCEL, MESSAGE, INFO, SUBSCRIBE, NOTIFY, OPTIONS, UPDATE, PRACK, REFER"
FEDERATED = 'source="sip.fourthcoffee.test"'
# what a mid-dialog MESSAGE from outside may be (RFC 3428 8)
ONE_AT_A_TIME = ("MESSAGE",)


class Forward:
    """A request that was passed on: to one or, when it opens a session to several endpoints, to all."""

    def __init__(self, request, origin):
        self.request, self.origin = request, origin
        self.vias = request.all("via")
        self.branches = {}      # ours -> [link, the request as sent, its final answer]
        self.status = None      # of the final answer that went back
        self.cancelled = False


class LyncHome:
    """secure: TLS to the gateway, else TCP. negotiate: its first request on a connection is NEGOTIATE, and nothing goes before the answer."""
    ends_well = False
    name = "lync home"

    def __init__(self, run, certs, gateway=GATEWAY, secure=True, negotiate=True):
        self.gateway, self.secure, self.negotiate = gateway, secure, negotiate
        self.contexts = lyncwire.contexts(certs, "fourthcoffee") if secure else (None, None)
        self.log_path = f"{run}/lync-home.log"
        self.core = None

    # --- as a program of the lab ------------------------------------------------------------------------------------

    def start(self):
        if self.core:
            return
        self.core, self.log = lyncwire.Core(self.name), lyncwire.Log(self.log_path)
        self.users, self.complaints = {}, []
        self.links = []
        self.out = None             # our connection to the gateway
        self.waiting = []           # for it
        self.forwards, self.asked = {}, {}
        self.routes = {}            # Call-ID -> the Record-Route values that we put in
        self.under_way = set()      # (Call-ID, side) of the MESSAGEs in dialogs that are not answered
        self.watchers = {}          # (Call-ID, tag) -> a Watcher
        self.lists = {}             # of real clients: address -> the contacts on its list
        self.negotiated = None      # the answer to NEGOTIATE
        transport = "TLS" if self.secure else "TCP"
        self.via = f"SIP/2.0/{transport} {IP}:5061"
        self.contact = f"<sip:{HOST}:5061;transport={transport.lower()}>"
        self.listeners = [lyncwire.listen((IP, 5061), self.contexts[0], self._from_outside), lyncwire.listen((IP, 5060), None, self._from_client)]
        wait_until(lambda: answers(IP, 5060), 5, "the front end does not listen")

    def alive(self):
        return self.core is not None

    @property
    def popen(self):
        return None

    def stop(self, timeout=15):
        self.kill()
        return 0

    def kill(self):
        if not self.core:
            return
        for s in self.listeners:
            with lyncwire.contextlib.suppress(OSError):
                s.shutdown(2)
            s.close()
        for link in self.links:
            link.close()
        self.core.close()
        self.log.close()
        self.core = None

    def tail(self, lines=20):
        return "\n".join(self.complaints[-lines:] + self.core.failures[-3:] if self.core else [])

    def drop(self):
        """Its connections to and from the gateway break."""
        for link in self.links[:]:
            if link.gateway:
                link.close()

    def user(self, name, endpoints=1, **more):
        """A user who is signed in at so many endpoints."""
        user = LyncUser(self, f"{name}@{DOMAIN}", **more)
        self.users[user.name] = user
        for _ in range(endpoints):
            user.sign_in()
        return user

    def stranger(self, name):
        """A user who exists and is not signed in."""
        return self.user(name, endpoints=0)

    def check(self):
        """LabError when something was not as it must be."""
        def take():
            found, self.complaints[:] = self.complaints[:] + self.core.failures, []
            self.core.failures.clear()
            return found
        found = self.core.ask(take)
        if found:
            raise LabError("the Lync home complains: " + "; ".join(found))

    def forget(self):
        """Nobody wants to know any more."""
        self.core.ask(self.complaints.clear)

    def complaint(self, pattern):
        """Take off a complaint that was provoked; LabError when there is none."""
        def take():
            for one in self.complaints:
                if re.search(pattern, one):
                    self.complaints.remove(one)
                    return one
            raise LabError(f"the Lync home should have complained of {pattern!r}; it has {self.complaints}")
        return self.core.ask(take)

    def complain(self, what):
        self.complaints.append(what)

    # --- connections ------------------------------------------------------------------------------------------------

    def _from_outside(self, sock, peer, names):
        link = lyncwire.Link(self.core, self.log, f"gateway {peer[0]}:{peer[1]}", sock, self.message, self._closed)
        link.gateway = True
        if self.secure and GATEWAY_NAME not in names:
            self.core.post(self.complain, f"a connection whose certificate names {names}, not {GATEWAY_NAME}")
            sock.close()
            return
        self.links.append(link)
        link.run()

    def _from_client(self, sock, peer, _):
        link = lyncwire.Link(self.core, self.log, f"client {peer[0]}:{peer[1]}", sock, self.message, self._closed)
        self.links.append(link)
        link.run()

    def _closed(self, link):
        self.links.remove(link)
        was_out = link is self.out
        if was_out:
            self.out = None
        for user in self.users.values():
            user.endpoints = [e for e in user.endpoints if e is not link and getattr(e, "link", None) is not link]
        for branch, forward in list(self.forwards.items()):
            if forward.origin is link:
                self.under_way.discard(forward.request.get("call-id"))
            if forward.branches[branch][0] is (self.gateway if was_out else link) and forward.branches[branch][2] is None:
                self._final(forward, branch, self._answer_to(forward.branches[branch][1], 504, "Server time-out"))

    def to_gateway(self, message):
        """In the order in which they come, after the answer to NEGOTIATE."""
        if self.out and self.waiting is None:
            self.out.send(message)
            return
        if self.out is None:
            try:
                sock = lyncwire.connect(self.gateway, IP, self.contexts[1], GATEWAY_NAME)
            except (OSError, ssl.SSLError) as e:
                self.complain(f"no connection to the gateway: {e}")
                return
            self.out = lyncwire.Link(self.core, self.log, "to gateway", sock, self.message, self._closed)
            self.out.gateway = True
            self.links.append(self.out)
            self.out.run()
            self.waiting = []
            if not self.negotiate:
                self._ready(None)
            else:
                m = SipMessage("NEGOTIATE", f"sip:{GATEWAY_NAME}:5061")
                for name, value in (("Max-Forwards", 0), ("From", f"<sip:{HOST}>;tag={token(8)}"), ("To", f"<sip:{GATEWAY_NAME}>"),
                                    ("Call-ID", token(16)), ("CSeq", "1 NEGOTIATE"), ("Compression", "LZ77-64K"), ("Server", "RTC/6.0"),
                                    ("Supported", "NewNegotiate,OCSNative,ECC,IPv6,TlsRecordSplit")):
                    m.add(name, value)
                branch = self._ask(m, self._ready)
                self.core.later(10, self._late, branch)
                self.out.send(m)
        if self.waiting is None:
            self.out.send(message)
        else:
            self.waiting.append(message)

    def _late(self, branch):
        if branch in self.asked:
            self.complain("NEGOTIATE was not answered: nothing that waits behind it is sent")

    def _ready(self, answer):
        self.negotiated = answer
        if answer and answer.status < 300:
            self.complain(f"NEGOTIATE was answered {answer.status}, but nobody compresses")
        for message in self.waiting or ():
            self.out.send(message)
        self.waiting = None

    def _ask(self, m, told):
        """Give a request of our own its Via; told(answer) is called with the final answer."""
        branch = "z9hG4bK" + token(16).upper()
        m.headers.insert(0, ["Via", f"{self.via};branch={branch}"])
        self.asked[branch] = told
        return branch

    # --- messages ---------------------------------------------------------------------------------------------------

    def message(self, m, link):
        """One that came over `link`: a connection, or an endpoint of a user of ours."""
        if m.status:
            self._response(m, link)
        elif link.gateway:
            self._inward(m, link)
        else:
            self._outward(m, link)

    @staticmethod
    def _answer_to(m, status, reason, headers=(), body=b""):
        answer = SipMessage(status=status, reason=reason, body=body)
        for name in ("Via", "Record-Route", "From"):
            for value in m.all(name):
                answer.add(name, value)
        to = m.get("to", "")
        answer.add("To", to if parameter(to, "tag") or status == 100 else f"{to};tag={token(8).upper()}")
        for name in ("Call-ID", "CSeq"):
            answer.add(name, m.get(name, ""))
        for name, value in dict(headers).items():
            answer.add(name, value)
        return answer

    def refuse(self, m, link, status, reason, headers=(), why=None):
        if why:
            self.complain(f"{m.method} {m.uri}: {why}")
        if m.method != "ACK":
            link.send(self._answer_to(m, status, reason, {"Server": "RTC/6.0", **dict(headers)}))

    # --- from the gateway -------------------------------------------------------------------------------------------

    def _inward(self, m, link):
        m.headers[next(n for n, h in enumerate(m.headers) if h[0].lower() in ("via", "v"))][1] += f";ms-received-port=5061;ms-received-cid={link.number}"
        fault = self._fault(m)
        if fault:
            self.refuse(m, link, 400, "Bad request", why=fault)
            return
        tag = parameter(m.get("to"), "tag")
        domain = aor(address(m.get("from"))).partition("@")[2]
        if domain == DOMAIN:
            self.refuse(m, link, 403, "Forbidden", {"ms-diagnostics": f'1017;reason="Cannot route From and To domains in this combination";{FEDERATED}'},
                        f"From is of {DOMAIN} itself")
        elif m.method == "OPTIONS" and not tag:
            link.send(self._answer_to(m, 200, "OK", {"Allow": METHODS, "Server": "RTC/6.0"}))
        elif m.method == "CANCEL":
            self._cancel(m, link)
        elif m.method not in METHODS.split(", ") or not tag and m.method not in ("INVITE", "SUBSCRIBE", "ACK"):
            diagnosis = f'1027;reason="Cannot route this type of SIP request to or from federated partners";{FEDERATED}'
            self.refuse(m, link, 481 if m.method in ("BYE", "INFO", "UPDATE", "NOTIFY") else 403, "Forbidden", {"ms-diagnostics": diagnosis},
                        "outside a session")
        elif unknown := [x for x in m.listed("require") + m.listed("proxy-require") if x.lower() not in KNOWN]:
            self.refuse(m, link, 420, "Bad Extension", {"Unsupported": ", ".join(unknown)}, f"requires {unknown}")
        elif m.method == "ACK" and self._acknowledged(m):
            pass        # of a refusal
        elif tag:
            self._within(m, link)
        elif m.method == "SUBSCRIBE":
            self._subscribed(m, link)
        else:
            self._invited(m, link)

    @staticmethod
    def _fault(m):
        """What is missing or wrong in any request from outside, or None."""
        missing = [h for h in NEEDED if m.get(h) is None]
        if missing:
            return f"without {', '.join(missing)}"
        if not (m.branch or "").startswith("z9hG4bK"):
            return f"Via {m.get('via')}"
        if m.cseq[1] != m.method:
            return f"CSeq {m.get('cseq')}"
        if not parameter(m.get("from"), "tag"):
            return "From without a tag"
        if m.body and not m.get("content-type"):
            return "a body without Content-Type"
        if m.method in ("INVITE", "SUBSCRIBE", "UPDATE"):
            contacts = m.listed("contact")
            if len(contacts) != 1 or not re.match(r"<?sip:", contacts[0].partition("<")[1] + contacts[0].partition("<")[2] or contacts[0]):
                return f"Contact {contacts}"
            if not m.listed("record-route") and GATEWAY_NAME not in address(contacts[0]) and "gruu" not in address(contacts[0]):
                return f"Contact {contacts[0]} cannot be reached: it is neither a GRUU nor the trusted application's name"
        return None

    def _invited(self, m, link):
        offered = m.get("content-type", "").partition(";")[0].strip().lower()
        user = self.users.get(aor(m.uri))
        diagnosis = f'4005;reason="Destination URI either not enabled for SIP or does not exist";{FEDERATED}'
        if user is None:
            self.refuse(m, link, 404, "Not Found", {"ms-diagnostics": diagnosis})
            return
        if offered != "application/sdp":
            self.refuse(m, link, 488, "Not Acceptable Here", {"Warning": '304 sip.fourthcoffee.test "Media type not available"'},
                        f"an offer of {offered or 'nothing'}")
            return
        try:
            read_sdp(m.body)
        except ValueError as e:
            self.refuse(m, link, 488, "Not Acceptable Here", {"Warning": '304 sip.fourthcoffee.test "Media type not available"'}, f"its offer: {e}")
            return
        if not m.get("ms-conversation-id"):
            self.complain("INVITE without Ms-Conversation-ID")
        targets = [e for e in user.endpoints if not e.hidden and ";opaque=" not in m.uri or address(e.contact) == m.uri]
        if not targets:
            self.refuse(m, link, 480, "Temporarily Unavailable", {"ms-diagnostics": f'15030;reason="The user is not signed in";{FEDERATED}'})
            return
        self._forward(m, link, [(e, m.uri) for e in targets], True)

    def _within(self, m, link):
        """In a dialog: the route that we put in, unchanged, and the endpoint's own address."""
        call = m.get("call-id")
        ours = self.routes.get(call)
        routes = m.listed("route")
        if ours is None or not routes or routes[0] != ours:
            self.refuse(m, link, 481, "Call Leg/Transaction Does Not Exist",
                        {"ms-diagnostics": f'1004;reason="Route set is no longer valid";{FEDERATED}'},
                        None if ours is None else f"Route {routes} in the place of {ours}")
            return
        watcher = self.watchers.get((call, parameter(m.get("to"), "tag")))
        if watcher:
            watcher.asked(m, link)
            return
        target = next((e for u in self.users.values() for e in u.endpoints if address(e.contact) == m.uri), None)
        if target is None:
            self.refuse(m, link, 481, "Call Leg/Transaction Does Not Exist", why=f"{m.uri} is no endpoint's address")
            return
        if target.says_epid and parameter(m.get("to"), "epid") != target.epid:
            self.refuse(m, link, 481, "Call Leg/Transaction Does Not Exist", why=f"To is {m.get('to')}, without the epid {target.epid}")
            return
        if m.method in ONE_AT_A_TIME:
            if call in self.under_way:
                self.refuse(m, link, 400, "Bad request", why="another MESSAGE of this session is not answered yet")
                return
            self.under_way.add(call)
        del m.headers[next(n for n, h in enumerate(m.headers) if h[0].lower() == "route")]
        if len(routes) > 1:
            self.complain(f"{m.method} has {len(routes)} routes")
        self._forward(m, link, [(target, m.uri)], False)

    def _acknowledged(self, m):
        """Is this ACK the one for a refusal, which ends here?"""
        return any(f.vias[0].partition(";ms-received")[0] == m.get("via").partition(";ms-received")[0] and f.request.method == "INVITE"
                   for f in self.forwards.values()) or not m.listed("route")

    def _cancel(self, m, link):
        found = next((f for f in self.forwards.values() if f.request.method == "INVITE" and f.vias and f.origin.gateway
                      and parameter(f.vias[0], "branch") == m.branch), None)
        link.send(self._answer_to(m, 200 if found else 481, "OK" if found else "Call Leg/Transaction Does Not Exist"))
        if found:
            found.cancelled = True
            self._cancel_branches(found)

    # --- passing on -------------------------------------------------------------------------------------------------

    def _forward(self, m, origin, targets, record):
        forward = Forward(m, origin)
        if m.method == "INVITE":
            origin.send(self._answer_to(m, 100, "Trying"))
        if record:
            call = m.get("call-id")
            if call not in self.routes:
                signature = hashlib.sha256(f"{call}{IP}".encode()).hexdigest()[:28]
                self.routes[call] = (f"<sip:{HOST}:5061;transport={'tls' if self.secure else 'tcp'};ms-fe=FE1.{DOMAIN};opaque=state:F:T:Eu:"
                                     f"Ci.R{signature[:6]};lr;ms-route-sig={signature}AA>")
        for link, uri in targets:
            copy = SipMessage(m.method, uri, headers=m.headers, body=m.body)
            branch = "z9hG4bK" + token(8).upper() + "." + token(12).upper()
            forward.branches[branch] = [link, copy, None]
            self.forwards[branch] = forward
            for header in copy.headers:
                if header[0].lower() == "max-forwards":
                    header[1] = str(int(header[1]) - 1)
            if record:
                copy.headers.insert(0, ["Record-Route", self.routes[m.get("call-id")]])
            copy.headers.insert(0, ["Via", f"{self.via};branch={branch};branched={'TRUE' if len(targets) > 1 else 'FALSE'}"])
            if link is self.gateway:
                self.to_gateway(copy)
            else:
                link.send(copy)

    def _cancel_branches(self, forward):
        for branch, (link, copy, final) in forward.branches.items():
            if final is None:
                m = SipMessage("CANCEL", copy.uri)
                for name in ("Via", "Max-Forwards", "From", "To", "Call-ID", "Route"):
                    for value in copy.all(name)[:1 if name == "Via" else None]:
                        m.add(name, value)
                m.add("CSeq", f"{copy.cseq[0]} CANCEL")
                self.asked[branch + "CANCEL"] = lambda _: None
                if link is self.gateway:
                    self.to_gateway(m)
                else:
                    link.send(m)

    def _response(self, m, link):
        branch = m.branch
        key = branch + "CANCEL" if m.cseq[1] == "CANCEL" else branch
        if key in self.asked:
            if m.status >= 200:
                self.asked.pop(key)(m)
            return
        forward = self.forwards.get(branch)
        if forward is None:
            self.complain(f"an answer {m.status} to nothing that was asked: Via {m.get('via')}")
            return
        if link.gateway:
            fault = self._answer_fault(m, forward.branches[branch][1])
            if fault:
                self.complain(f"the answer {m.status} to {forward.request.method}: {fault}")
        if m.status < 200:
            if m.status > 100 and forward.status is None:
                self._back(forward, m)
            return
        self._final(forward, branch, m)

    def _answer_fault(self, m, request):
        """What a front end or a client would not take in an answer from outside, or None."""
        for name in ("via", "from", "call-id", "cseq"):
            if m.all(name) != request.all(name):
                return f"{name} is {m.all(name)}, not {request.all(name)}"
        if m.get("content-length") is None:
            return "no Content-Length"
        if address(m.get("to")) != address(request.get("to")) or m.status > 100 and not parameter(m.get("to"), "tag"):
            return f"To is {m.get('to')}"
        if m.status < 300 and m.status >= 200:
            if m.body and request.method not in ("INVITE", "UPDATE"):
                return "a body"
            for name in ("ms-benotify", "ms-piggyback-first-notify", "com.microsoft.autoextend"):
                if name in m.listed("supported") + m.listed("require"):
                    return f"{name} is promised"
            if request.method in ("INVITE", "SUBSCRIBE"):
                if len(m.listed("contact")) != 1:
                    return f"Contact {m.listed('contact')}"
                # in a dialog Record-Route changes nothing (RFC 3261 12.2.1.1), and we put none in
                if m.all("record-route") != request.all("record-route"):
                    return f"Record-Route {m.all('record-route')}, not {request.all('record-route')}"
            if request.method == "INVITE" and request.get("content-type", "").startswith("application/sdp"):
                try:
                    word, _ = read_sdp(m.body)
                except ValueError as e:
                    return f"its session description: {e}"
                if f"m={word} ".encode() not in request.body:
                    return f"m={word} answers another word"
            if request.method == "SUBSCRIBE" and m.get("expires") is None:
                return "no Expires"
        return None

    def _final(self, forward, branch, m):
        link, copy, _ = forward.branches[branch]
        forward.branches[branch][2] = m
        request = forward.request
        if request.method in ONE_AT_A_TIME and forward.origin.gateway:
            self.under_way.discard(request.get("call-id"))
        if request.method == "INVITE" and m.status >= 300:
            ack = SipMessage("ACK", copy.uri)
            for name in ("Via", "Max-Forwards", "From", "Call-ID", "Route"):
                for value in copy.all(name)[:1 if name == "Via" else None]:
                    ack.add(name, value)
            ack.add("To", m.get("to"))
            ack.add("CSeq", f"{copy.cseq[0]} ACK")
            if link is self.gateway:
                self.to_gateway(ack)
            else:
                link.send(ack)
        if m.status < 300:
            if forward.status is None:
                forward.status = m.status
                self.core.later(0.1, self._cancel_branches, forward)      # others may answer in the meantime
            self._back(forward, m)
            return
        finals = [b[2] for b in forward.branches.values()]
        if forward.status is None and all(finals):
            best = min(finals, key=lambda f: (f.status < 600, f.status == 487 and not forward.cancelled, f.status))
            forward.status = best.status
            self._back(forward, best)

    def _back(self, forward, m):
        copy = SipMessage(status=m.status, reason=m.reason, headers=m.headers, body=m.body)
        del copy.headers[next(n for n, h in enumerate(copy.headers) if h[0].lower() in ("via", "v"))]
        forward.origin.send(copy)

    # --- from clients -----------------------------------------------------------------------------------------------

    def _outward(self, m, link):
        method, tag = m.method, parameter(m.get("to"), "tag")
        if getattr(link, "sock", None):
            next(h for h in m.headers if h[0].lower() in ("via", "v"))[1] += f";ms-received-port={link.sock.getpeername()[1]};ms-received-cid={link.number}"
        routes = m.listed("route")
        if routes and HOST in routes[0]:
            if routes[0] != self.routes.get(m.get("call-id")):
                self.complain(f"a client's {method} has Route {routes[0]}")
            m.headers = [h for h in m.headers if h[0].lower() != "route"] + [["Route", r] for r in routes[1:]]
        domain = aor(m.uri).partition("@")[2] if "@" in m.uri else None
        if method == "CANCEL":
            forward = next((f for f in self.forwards.values() if f.origin is link and f.request.method == "INVITE"
                            and f.request.get("call-id") == m.get("call-id")), None)
            link.send(self._answer_to(m, 200 if forward else 481, "OK"))
            if forward:
                forward.cancelled = True
                self._cancel_branches(forward)
        elif method == "ACK" and not routes:
            pass
        elif not tag and (method in ("REGISTER", "SERVICE") or domain == DOMAIN and method in ("SUBSCRIBE", "PUBLISH")):
            self._served(m, link)
        elif tag and (m.get("call-id"), tag) in self.watchers:
            self.watchers[m.get("call-id"), tag].asked(m, link)
        elif tag and m.uri == self.contact[1:-1]:
            link.send(self._answer_to(m, 200, "OK", {"Expires": m.get("expires", "0"), "Contact": self.contact}))   # of sipe, about itself
        elif domain == DOMAIN or any(address(e.contact) == m.uri for u in self.users.values() for e in u.endpoints):
            user = self.users.get(aor(m.uri))
            targets = [(e, m.uri) for e in (user.endpoints if user else ()) if ";opaque=" not in m.uri or address(e.contact) == m.uri]
            if targets:
                self._forward(m, link, targets, method == "INVITE" and not tag)
            else:
                self.refuse(m, link, 480 if user else 404, "Temporarily Unavailable" if user else "Not Found")
        else:
            self._abroad(m, link, tag)

    def _abroad(self, m, link, tag):
        """To the gateway: what a front end adds (and a client's own claims do not leave)."""
        claim = m.get("p-preferred-identity")
        m.headers = [h for h in m.headers if h[0].lower() not in ("p-preferred-identity", "proxy-authorization", "ms-keep-alive")]
        if m.method not in ("ACK", "CANCEL"):
            name = aor(address(m.get("from")))
            user = self.users.get(name)
            m.add("P-Asserted-Identity", f'"{user.display if user else name}"<sip:{name}>' + (", <tel:+15550100>" if claim and "tel:" in claim else ""))
            m.add("ms-user-data", "ms-publiccloud=true;ms-federation=true")
        self._forward(m, link, [(self.gateway, m.uri)], m.method in ("INVITE", "SUBSCRIBE") and not tag)

    def _served(self, m, link):
        """Registration and what else a client asks its own front end. Nobody needs to prove who he is."""
        name = aor(address(m.get("from")))
        user = self.users.get(name)
        headers = {"Server": "RTC/6.0", "Supported": "msrtc-event-categories"}
        if m.method == "REGISTER":
            if user is None:
                user = self.users[name] = LyncUser(self, name)
            epid = parameter(m.get("from"), "epid")
            contact = f"sip:{name};opaque=user:epid:{hashlib.sha256((name + epid).encode()).hexdigest()[:22]};gruu"
            user.endpoints = [e for e in user.endpoints if e.epid != epid]
            if m.get("expires", "600") != "0" and "expires=0" not in m.get("contact", ""):
                user.endpoints.append(RealClient(link, f"<{contact}>", epid))
            instance = re.search(r"\+sip\.instance=\"[^\"]*\"", m.get("contact", ""))
            headers.update({"Contact": f"{m.get('contact').split(';methods')[0]};expires=7200;{instance.group(0) if instance else ''};gruu=\"{contact}\"",
                            "Expires": "7200", "presence-state": 'register-action="added"',
                            "Allow-Events": "vnd-microsoft-provisioning,vnd-microsoft-roaming-contacts,vnd-microsoft-roaming-ACL,presence,"
                                            "presence.wpending,vnd-microsoft-roaming-self,vnd-microsoft-provisioning-v2"})
            answer = self._answer_to(m, 200, "OK", headers)
            answer.add("Supported", "adhoclist")
            answer.add("Supported", "gruu-10")
            link.send(answer)
        elif m.method == "SUBSCRIBE":
            self.sipe_subscribed(m, link)
        else:
            link.send(self._answer_to(m, 200, "OK", headers))
            published = re.findall(r"<availability[^>]*>(\d+)</availability>", m.text)
            if user and m.get("content-type", "").startswith("application/msrtc-category-publish+xml") and published:
                user.availability = int(published[-1])
                notes = re.findall(r"<body type=\"personal\"[^>]*>([^<]*)</body>", m.text)
                user.note = notes[-1] if notes else user.note
                self.presence_changed(user)

    def sipe_subscribed(self, m, link):
        """A client watches itself, its list, or contacts: for those in other domains the front end subscribes, one by one."""
        contacts = re.findall(r"<resource\s+uri=\"(?:sip:)?([^\"]+)\"", m.text) if m.get("event") == "presence" else []
        owner = self.users.get(aor(address(m.get("from"))))
        headers = {"Expires": m.get("expires", "3600"), "Contact": self.contact, "Event": m.get("event"), "Supported": "ms-dialog-route-set-update"}
        body = b""
        if m.get("event") == "vnd-microsoft-roaming-contacts":      # its contact list, without which it watches nobody
            headers.update({"ms-piggyback-cseq": "1", "subscription-state": "active;expires=3600",
                            "Content-Type": "application/vnd-microsoft-roaming-contacts+xml"})
            body = contact_list(self.lists.get(owner and owner.name, ()))
        answer = self._answer_to(m, 200, "OK", headers, body)
        link.send(answer)
        for contact in contacts:
            if owner and not contact.endswith(DOMAIN):
                self.core.post(owner.back_end, contact, (m, answer, link))

    # --- presence of our users, for whom the gateway watches it -----------------------------------------------------

    def _subscribed(self, m, link):
        user = self.users.get(aor(m.uri))
        event = m.get("event", "").partition(";")[0].strip()
        accept = [a.partition(";")[0].strip().lower() for a in m.listed("accept")]
        chosen = next((f for f in (CATEGORIES, MSRTC, STANDARD) if f in accept), None)     # [MS-PRES]: in this order
        if event != "presence":
            self.refuse(m, link, 489, "Bad Event", {"Allow-Events": "presence"}, f"Event {event!r}")
        elif user is None:
            self.refuse(m, link, 404, "Not Found", {"ms-diagnostics": f'4005;reason="Destination URI either not enabled for SIP or does not exist";{FEDERATED}'})
        elif chosen is None:
            self.refuse(m, link, 406, "Not Acceptable", why=f"Accept {accept}")
        elif user.closed_to_watchers:
            self.refuse(m, link, *user.closed_to_watchers)
        else:
            watcher = Watcher(self, user, m, chosen)
            self.watchers[m.get("call-id"), watcher.tag] = watcher
            call = m.get("call-id")
            self.routes[call] = (f"<sip:{HOST}:5061;transport={'tls' if self.secure else 'tcp'};ms-fe=FE1.{DOMAIN};opaque=state:F:Ci.R"
                                 f"{token(6)};lr;ms-route-sig={token(28)}>")
            m.headers.insert(0, ["Record-Route", self.routes[call]])
            watcher.asked(m, link)

    def presence_changed(self, user):
        for watcher in list(self.watchers.values()):
            if watcher.user is user:
                watcher.tell()


class RealClient:
    """An endpoint that is a program of its own, at the other end of a connection."""
    gateway = hidden = False
    says_epid = False       # in To of its answers: then others say it back

    def __init__(self, link, contact, epid):
        self.link, self.contact, self.epid = link, contact, epid

    def send(self, m):
        self.link.send(m)


class Watcher:
    """A subscription of the gateway's to the presence of a user of ours."""
    _numbers = itertools.count(1)

    def __init__(self, home, user, m, accept):
        self.home, self.user, self.accept = home, user, accept
        self.tag = token(8).upper()
        self.call, self.local, self.remote = m.get("call-id"), f"{m.get('to')};tag={self.tag}", m.get("from")
        self.target = address(m.get("contact"))
        self.routes = m.listed("record-route")
        self.cseq, self.expires = 0, 0

    def asked(self, m, link):
        """The first SUBSCRIBE, a refresh, or the end."""
        if m.method != "SUBSCRIBE":
            self.home.refuse(m, link, 405, "Method Not Allowed", why="within a subscription")
            return
        wished = int(m.get("expires", "3600"))
        self.expires = min(wished, self.user.longest_watch)
        headers = {"Expires": self.expires, "Contact": self.home.contact, "Event": "presence", "Server": "RTC/6.0",
                   "Supported": "ms-dialog-route-set-update"}
        answer = self.home._answer_to(m, 200, "OK", headers)
        for h in answer.headers:
            if h[0] == "To" and not parameter(m.get("to"), "tag"):
                h[1] = self.local
        if self.user.notify_first:
            self.tell()
            link.send(answer)
        else:
            link.send(answer)
            self.tell()

    def tell(self):
        body = categories_of(self.user) if self.accept == CATEGORIES else pidf_of(self.user)
        self.cseq += 1
        m = SipMessage("NOTIFY", self.target, body=body)
        state = f"active;expires={self.expires}" if self.expires else "terminated;reason=timeout"
        for name, value in (("Max-Forwards", 70), *(("Route", r) for r in self.routes if HOST not in r), ("From", self.local), ("To", self.remote),
                            ("Call-ID", self.call), ("CSeq", f"{self.cseq} NOTIFY"), ("Contact", self.home.contact), ("Event", "presence"),
                            ("Subscription-State", state), ("Content-Type", CATEGORIES if self.accept == CATEGORIES else STANDARD), ("Server", "RTC/6.0")):
            m.add(name, value)
        self.home._ask(m, self._told)
        self.home.to_gateway(m)
        if not self.expires:
            self.home.watchers.pop((self.call, self.tag), None)

    def _told(self, answer):
        if answer.status == 481:
            self.home.watchers.pop((self.call, self.tag), None)
        elif answer.status >= 300:
            self.home.complain(f"NOTIFY of {self.user.name} was answered {answer.status} {answer.reason}")
