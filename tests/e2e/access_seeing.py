# SPDX-License-Identifier: Apache-2.0
"""What an administrator sees of SIP federation: partner test with each fault that a partner, its DNS or we can have; traces."""
import contextlib
import json
import socket
import ssl
import threading

from access_setting import COUNT, DISCOVERY, LAB, TRUSTED, allow, arrange, switch
from federation import adatum_user, contoso_user
from scenario import check, check_status, reason_of, scenario, wait_until
from seeing import Tracer

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Edge:
    """mallory.test's edge, at 127.0.0.39: TLS with a certificate of its choice, and one answer to whatever it is asked. `answer`: a start line; None:
    silence; bytes: those; "close": the end of the connection. `certificate` None: TCP without TLS. Everything that it was asked is in `seen`."""

    def __init__(self, certs, certificate, answer="SIP/2.0 200 OK", trust="ca"):
        self.answer, self.seen, self.context = answer, [], None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certs}/{certificate}.pem", f"{certs}/{certificate}.key")
            self.context.load_verify_locations(f"{certs}/{trust}.pem")
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.socket = socket.create_server(("127.0.0.39", 5061), reuse_port=False)
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                one = self.socket.accept()[0]
                threading.Thread(target=self._serve, args=[one], daemon=True).start()

    def _serve(self, one):
        with contextlib.suppress(OSError):
            one.settimeout(20)
            if self.context:
                one = self.context.wrap_socket(one, server_side=True)
            text = b"" if self.context else one.recv(1) + b"\r\n\r\n"
            while b"\r\n\r\n" not in text:
                data = one.recv(4096)
                if not data:
                    return
                text += data
            self.seen.append(text.decode("latin-1"))
            if self.answer is None:
                one.recv(1)
            elif isinstance(self.answer, bytes):
                one.sendall(self.answer)
                one.recv(1)
            elif self.answer != "close":
                keep = [x for x in text.decode().split("\r\n") if x.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")]
                to = next(x for x in text.decode().split("\r\n") if x.startswith("To:"))
                one.sendall("\r\n".join([self.answer, *keep, to + ";tag=x", "Server: RTC/6.0", "Content-Length: 0", "", ""]).encode())
                one.recv(1)
        with contextlib.suppress(OSError):
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.threads[0].join(5)


def tried(lab, domain, *options, status=None):
    got, answer = lab.entente("partner", "test", domain, *options, check=False)
    check(isinstance(answer, dict) and (status is None or got == status), f"exit {got}, {answer}")
    check(answer["protocol"] == "sip", f"by {answer['protocol']}")
    return answer


def steps(answer):
    return [(s["step"], s["outcome"]) for s in answer["steps"] if s["outcome"] != "note"]


def step(answer, name, outcome=None):
    found = [s for s in answer["steps"] if s["step"] == name and s["outcome"] != "note" and outcome in (None, s["outcome"])]
    check(found, f"no step {name} {outcome or ''}: {answer['steps']}")
    return found[-1]


@scenario("a test of a partner that works: every step", **LAB)
def works(lab):
    switch(lab, [allow("adatum.test")], [allow("contoso.test")])
    answer = tried(lab, "adatum.test", status=0)    # decided by the configuration
    check(answer["verdict"] == "works" and answer["partner"] and answer["answered"] == "1 of 1", f"{answer}")
    check(steps(answer) == [(s, "ok") for s in ("policy", "dns", "tcp", "tls", "identity", "options")], f"{steps(answer)}")
    tls = step(answer, "tls")["facts"]
    check(tls["protocol"] == "TLSv1.3" and tls["usage"] == "serverAuth, clientAuth" and "gw.adatum.test" in tls["names"] and tls["not-after"], f"{tls}")
    check(step(answer, "identity")["facts"]["rule"] == "edge", f"{answer['steps']}")
    lab.entente("allowed-domain", "set", "adatum.test", "--proxy-fqdn", "gw.adatum.test")
    answer = tried(lab, "adatum.test", status=0)
    check(step(answer, "identity")["facts"]["rule"] == "fixed" and not any("SRV" in s["text"] for s in answer["steps"]), f"{answer['steps']}")
    text = lab.entented.cli("partner", "test", "adatum.test").stdout
    check("verdict      works" in text and "certificate names the configured server" in text, text)


@scenario("a test needs no partner, and DNS says by which protocol", **LAB)
def stranger(lab):
    switch(lab, [], [allow("contoso.test")])
    answer = tried(lab, "adatum.test", status=0)
    check(not answer["partner"] and step(answer, "policy")["outcome"] == "warning", f"{answer}")
    check("allowed-domain add adatum.test" in answer["next_step"], f"{answer['next_step']}")
    check(any("DNS has _sipfederationtls" in s["text"] for s in answer["steps"]), f"{answer['steps']}")
    lab.entente("blocked-domain", "add", "adatum.test")
    check("blocked-domain remove adatum.test" in tried(lab, "adatum.test", status=0)["next_step"], "a block is not named")
    switch(lab)
    answer = lab.entente("partner", "test", "fabrikam.test", "--dialback", check=False)[1]
    check(answer["protocol"] == "xmpp", "its options say by which protocol")


# fault: (domain, how it ends: step, reason, who; a word of the cause)
DNS = {
    "no SRV record": ("unlisted.test", "dns", "sip/srv-not-found", "dns", "_sipfederationtls._tcp.unlisted.test"),
    "the SRV target is outside the domain": ("tailspin.test", "identity", "sip/srv-outside-domain", "partner", "not in the domain"),
    "nobody listens": ("gone.test", "tcp", "sip/partner-unreachable", "partner", "refused"),
    "a certificate for others": ("imposter.test", "identity", "sip/certificate", "partner", "neither the domain nor the server"),
    "we are not let in": ("adatum.test", "options", "sip/partner-refuses", "partner", "403"),
}


@scenario("a test finds the fault: {fault}", each={"fault": list(DNS)}, **LAB)
def faults(lab, fault):
    domain, at, reason, who, word = DNS[fault]
    switch(lab)
    answer = tried(lab, domain, "--sip", status=1)
    check((answer["verdict"], answer["failed_step"], answer["reason"], answer["who"]) == ("fails", at, reason, who), f"{answer}")
    check(word in answer["cause"] and answer["next_step"], f"{answer['cause']}; {answer['next_step']}")
    if domain == "tailspin.test":
        check("Lync's rule" in step(answer, "dns", "warning")["text"], f"{answer['steps']}")
        fixed = tried(lab, domain, "--sip", "--server", "gw.adatum.test", status=1)     # the way out: its server, named; there it has to be let in
        check(step(fixed, "identity", "ok")["facts"]["rule"] == "fixed" and fixed["failed_step"] == "options", f"{fixed}")


# fault: (certificate, its answer, how it ends: step, reason, who, a word of the cause)
SERVERS = {
    "an expired certificate": ("mallory-expired", "", "tls", "sip/certificate", "partner", "expired"),
    "a certificate for clients only": ("mallory-client", "", "tls", "sip/certificate", "partner", "is for clientAuth only"),
    "an authority that we do not know": ("mallory-rogue", "", "tls", "sip/certificate", "partner", "issuer"),
    "a certificate with a wildcard": ("mallory-wildcard", "", "identity", "sip/certificate", "partner", "neither"),
    "no answer to OPTIONS": ("mallory", None, "options", "sip/partner-silent", "partner", "OPTIONS"),
    "it does not believe us": ("mallory", "SIP/2.0 504 Server time-out", "options", "sip/partner-refuses", "us", "504"),
    "it is out of service": ("mallory", "SIP/2.0 503 Service Unavailable", "options", "sip/partner-unreachable", "partner", "503"),
    "it closes instead of an answer": ("mallory", "close", "options", "sip/partner-refuses", "unclear", "ends the connection"),
    "it speaks something else": ("mallory", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "options", "sip/malformed", "partner", "not SIP"),
    "no TLS": (None, b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls", "sip/partner-unreachable", "partner", "TLS"),
}


@scenario("a test finds the fault of a server: {fault}", each={"fault": list(SERVERS)}, **LAB)
def server_faults(lab, fault):
    certificate, said, at, reason, who, word = SERVERS[fault]
    switch(lab)
    with Edge(lab.certs, certificate, said) as edge:
        answer = tried(lab, "mallory.test", "--sip", *(["--timeout", "2s"] if said is None else []), status=1)
    check((answer["verdict"], answer["failed_step"], answer["reason"], answer["who"]) == ("fails", at, reason, who), f"{answer}")
    check(word in answer["cause"], f"{answer['cause']}")
    check(at != "tls" or certificate is None or not edge.seen, "OPTIONS went to a server that has proved nothing")


@scenario("it does not know our authority: we have to act", **LAB)
def distrusted(lab):
    switch(lab)
    with Edge(lab.certs, "mallory", trust="rogue"):
        answer = tried(lab, "mallory.test", "--sip", status=1)
    check((answer["verdict"], answer["reason"], answer["who"]) == ("fails", "sip/certificate", "us"), f"{answer}")


@scenario("any SIP answer of a server is a good one, and what it was asked is in order", **LAB)
def asked(lab):
    switch(lab, [allow("mallory.test", TRUSTED)])
    with Edge(lab.certs, "mallory-server", "SIP/2.0 405 Method Not Allowed") as edge:
        answer = tried(lab, "mallory.test", status=0)
    check("405" in step(answer, "options")["text"] and step(answer, "identity")["facts"]["rule"] == "rfc5922", f"{answer['steps']}")
    check(step(answer, "tls")["facts"]["usage"] == "serverAuth", f"{step(answer, 'tls')}")
    request = edge.seen[0]
    for line in ("OPTIONS sip:mallory.test SIP/2.0\r\n", "\r\nMax-Forwards: 70\r\n", "\r\nTo: <sip:mallory.test>\r\n", "\r\nFrom: <sip:contoso.test>;tag=",
                 "\r\nms-asserted-verification-level: ms-source-verified-user=verified\r\n"):
        check(line in request, f"{line!r} is missing: {request}")


@scenario("one of two servers is dead: it works, and the dead one is told of", **LAB)
def one_dead(lab):
    switch(lab)
    answer = tried(lab, "pool.test", "--sip", status=1)     # woodgrove's Kamailio does not carry pool.test, and says so
    check(answer["answered"] == "0 of 2" and answer["failed_step"] == "options" and "403" in answer["cause"], f"{answer}")
    check(step(answer, "tcp", "failed")["who"] == "partner", f"{answer['steps']}")


@scenario("a trace shows what passes with a SIP partner, while it passes", **LAB)
def live(lab):
    arrange(lab, "allowed domain")
    romeo, mercutio = users(lab)
    with Tracer(lab, "--partner", "adatum.test") as trace:
        romeo.say(mercutio.name, "between us")
        mercutio.expect_message(romeo.name, "between us")
        for side, direction, peer in (("home", "in", "contoso"), ("partner", "out", "adatum.test")):
            m = trace.expect(f"the request on the side {side}", event="sip", side=side, direction=direction, what="MESSAGE", peer=peer)
            check(m["body_size"] == len("between us") and romeo.name in m["from"] and mercutio.name in m["to"], f"{m}")
        trace.expect("the answer", side="partner", direction="in", what="200 OK (MESSAGE)")
        trace.expect("the answer", side="home", direction="out", what="200 OK (MESSAGE)")
        check("between" not in str(trace.lines) and not any("body" in x for x in trace.lines), "what was written was shown")
    switch(lab, [allow("adatum.test")])
    with Tracer(lab, "--failed") as trace:
        romeo.message(mercutio.name, "refused there")
        trace.expect("the refusal", side="partner", direction="in", what="403 Forbidden (MESSAGE)")
        check(not trace.find(what="MESSAGE"), f"more than what failed: {trace.lines}")


@scenario("what has passed can be looked at afterwards", **LAB)
def kept(lab):
    switch(lab, [allow("adatum.test")], [allow("contoso.test")])
    romeo, mercutio = users(lab)
    romeo.say(mercutio.name, "remember me")
    mercutio.expect_message(romeo.name, "remember me")
    check_status(romeo.message(f"nobody{romeo.name[:5]}@adatum.test", "lost"), 404)

    def recalled(*options):
        done = lab.entented.cli("trace", "--since", "10m", "--json", *options)
        check(done.returncode == 0, f"{done.returncode} {done.stderr}")
        return [x for x in map(json.loads, done.stdout.splitlines()) if x.get("event") == "sip"]

    mine = recalled("--user", f"sip:{romeo.name}", "--partner", "adatum.test")
    passed = [(x["side"], x["direction"], x["what"]) for x in mine if mercutio.name in x["to"] and "MESSAGE" in x["what"]]
    check(passed == [("home", "in", "MESSAGE"), ("partner", "out", "MESSAGE"), ("partner", "in", "200 OK (MESSAGE)"), ("home", "out", "200 OK (MESSAGE)")],
          f"{passed}")
    check("remember" not in str(mine), "what was written was kept")
    check(mine == sorted(mine, key=lambda x: x["at"]), "not in order")
    failed = recalled("--user", f"sip:{romeo.name}", "--failed")
    check({x["what"].split()[0] for x in failed} == {"MESSAGE", "404"} and all("nobody" in x["to"] for x in failed), f"{failed}")
    check(len(recalled("--limit", "3")) == 3, "--limit is not kept to")
    done = lab.entented.cli("trace", "--since", "5m", "--limit", "1")
    check("older ones: --limit shows more" in done.stdout, done.stdout)
    done = lab.entented.cli("trace", "--since", "5m", "--bodies", "--user", f"sip:{romeo.name}")
    check(done.returncode == 2 and "not kept" in done.stderr, f"{done.returncode} {done.stderr}")


@scenario("sessions and subscriptions are listed while they last", **LAB)
def dialogs(lab):
    arrange(lab, "allowed domain")
    romeo, mercutio = users(lab)

    def listed(entente, *options):
        return [d for d in entente("show", "sip", "dialogs", *options)["dialogs"] if romeo.name in d["local"] + d["remote"]]

    watch = romeo.subscribe(mercutio.name)
    romeo.expect_presence(mercutio.name, basic="open")
    mercutio.patient = True
    call = romeo.dial(mercutio.name, SDP)
    there = mercutio.expect_call(romeo.name)
    there.ring()
    call.expect(180)
    found = {d["kind"]: d for d in listed(lab.entente)}
    check(set(found) == {"session", "subscription"}, f"{found}")
    check((found["session"]["state"], found["session"]["direction"]) == ("early", "out") and mercutio.name in found["session"]["remote"], f"{found}")
    check(found["subscription"]["event"] == "presence" and found["subscription"]["left"] > 60 and found["subscription"]["requests_in"] >= 1, f"{found}")
    ringing = [t for t in lab.entente("show", "sip", "transactions", "--partner", "adatum.test")["transactions"] if t["method"] == "INVITE"]
    check(ringing and romeo.name in ringing[0]["from"] and ringing[0]["domain"] == "adatum.test" and ringing[0]["state"] == "proceeding", f"{ringing}")
    there.pick_up()
    check_status(call.finish(), 200)
    for entente, direction in ((lab.entente, "out"), (lab.adatum.entente, "in")):       # each edge from its side
        session = next(d for d in listed(entente) if d["kind"] == "session")
        check((session["state"], session["direction"]) == ("up", direction), f"{session}")
    check(len(listed(lab.entente, "--partner", "adatum.test")) == 2 and not listed(lab.entente, "--partner", "woodgrove.test"), "--partner")
    check(len(lab.entente("show", "sip", "dialogs", "--limit", "1")["dialogs"]) == 1, "--limit")
    check_status(call.end(), 200)
    mercutio.expect_request("BYE")
    watch.end()
    romeo.expect_presence(mercutio.name, state="terminated")
    wait_until(lambda: not [d for d in listed(lab.entente) if d["state"] != "ending"], 10, f"they have ended: {listed(lab.entente)}")
    mercutio.patient = False
    connections = lab.entente("show", "sip", "connections", "--partner", "adatum.test")["connections"]
    check(connections and all(c["domain"] == "adatum.test" and c["tls"] == "TLSv1.3" for c in connections), f"{connections}")


def users(lab):
    n = next(COUNT)
    return contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}")


POLICIES = {
    "nothing": [],
    "allowed": [allow("adatum.test", TRUSTED)],
    "allowed, its mark is wanted": [allow("adatum.test")],
    "allowed, unverified": [allow("adatum.test", "--verification-level always-unverifiable")],
    "blocked": [allow("test", TRUSTED), "blocked-domain add adatum.test"],
    "another server": [allow("adatum.test", "--proxy-fqdn sip.woodgrove.test", TRUSTED)],
    "discovery": [DISCOVERY],
    "a provider": ["hosting-provider add Carrier --proxy-fqdn gw.adatum.test --enabled"],
    "federation off": ["access-edge set --federated-users=false"],
}


@scenario("explain says beforehand what happens: {policy}", each={"policy": list(POLICIES)}, **LAB)
def foretold(lab, policy):
    switch(lab, POLICIES[policy], [DISCOVERY + " --discovered-partner-verification-level always-verifiable"])
    romeo, mercutio = users(lab)
    suppose = ["--srv", "gw.adatum.test", "--peer", "gw.adatum.test"]

    def explained(from_, to, *more):
        return lab.entente("explain", "--from", f"sip:{from_.name}", "--to", f"sip:{to.name}", "--kind", "message", *more, check=False)[1]

    def remembered(who):
        """What the decision log says of the last message, and that explain says the same of it afterwards."""
        message = lab.entente("show", "messages", "--from", who.name, "--limit", "1")["messages"][0]
        told = lab.entente("explain", "--message", message["key"], check=False)[1]
        check(told["message"]["id"] == message["id"] and not told["policy_changed"], f"found by its Call-ID: {told}")
        check(told["same"] is not False, f"it was {message}, explained afterwards: {told}")
        return message

    # first: a message out makes the other one a contact. It comes by SIP: with federation off nothing else tells that it would
    inward = explained(mercutio, romeo, "--via", "sip", *suppose)
    answer = mercutio.message(romeo.name, "may I?")
    refused = [e[3]["reason"] for e in lab.entented.events("access/refused-in") if mercutio.name in e[3]["from"]]
    check(inward["allowed"] == (answer.status < 300), f"explain: {inward}; it was answered {answer.status}")
    message = remembered(mercutio)
    check((message["outcome"] == "delivered") == (answer.status < 300) and message["reason"] == inward["reason"], f"remembered: {message}, it was answered {answer.status}")
    expected = [] if inward["allowed"] else [inward["reason"]]
    check(refused in (expected, []), f"explain: {inward['reason']}, the log: {refused}")        # which does not repeat itself without end
    outward = explained(romeo, mercutio, *(["--srv", "gw.adatum.test"] if policy == "another server" else suppose))
    answer = romeo.message(mercutio.name, "may I?")
    check((outward["reason"] or "") == reason_of(answer), f"explain: {outward['reason']}, it was answered {answer.status} {reason_of(answer)}")
    message = remembered(romeo)
    check((message["reason"] or "") == reason_of(answer) and message["hops"][-1]["status"] == answer.status, f"remembered: {message}, it was answered {answer.status}")


@scenario("a test message to a SIP partner's user, each hop told; in the other direction it is said that nothing can be made", **LAB)
def test_message(lab):
    switch(lab, [allow("adatum.test")], [allow("contoso.test")])
    romeo, bob = users(lab)
    answer = lab.entente("test", "im", f"sip:{romeo.name}", f"sip:{bob.name}")
    got = bob.expect_message(romeo.name, timeout=20)
    check("This is a test message" in got.body, f"it came as {got.body!r}")
    check(answer["verdict"] == "delivered" and answer["way"] == "sip-to-sip", f"{answer}")
    told = [h["step"] for h in answer["hops"] if h["outcome"] == "ok"]
    check(told == ["taken", "policy", "sent", "answer", "told"], f"{answer['hops']}")
    check(not [x for x in lab.entente("contact", "list")["contacts"] if x["local"] == romeo.name], "the sender has a new contact")
    code, answer = lab.entente("test", "im", f"sip:{bob.name}", f"sip:{romeo.name}", check=False)
    check(code == 1 and answer["error"]["code"] == "cannot-be-seen", f"{code} {answer}")
    switch(lab, [allow("adatum.test")], ["blocked-domain add contoso.test"])
    code, answer = lab.entente("test", "im", f"sip:{romeo.name}", f"sip:{bob.name}", check=False)
    check(code == 1 and answer["verdict"] == "failed" and any(h["step"] == "answer" and "403" in h["text"] for h in answer["hops"]), f"{answer}")
