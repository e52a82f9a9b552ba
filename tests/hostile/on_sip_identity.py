# SPDX-License-Identifier: Apache-2.0
"""SIP partners that say they are somebody else (threats 3, 6 to 13, 33, 40, 45)."""
import itertools
import re
import threading

from case import LabError, check, hostile, same
from certificates import CLIENT_ONLY, SERVER_ONLY
from ground import ROMEO
from names import A, CNAME, SRV
from sip_ground import HONEST_SIP, THIRD, refused
from sip_peer import EDGE, OURS, Partner, answer, request
from sipmessage import SipMessage, address

BORDER = ["ms-edge-proxy-message-trust", "ms-asserted-verification-level", "ms-user-data", "ms-user-logon-data", "ms-split-domain-info",
          "ms-application-via", "ms-diagnostics", "ms-received-port", "ms-received-cid", "ms-keep-alive", "p-charging-vector",
          "p-charging-function-addresses", "p-preferred-identity", "remote-party-id", "entente-reason"]
TAGS = itertools.count(1)


# --- 6, 7: certificates -------------------------------------------------------------------------------------------------

P = HONEST_SIP
NAMES = {    # what -> (leaf, welcome)
    "the domain": ((P,), {}, True),
    "the domain in capitals": ((P.upper(),), {}, True),
    "the server that DNS names": ((f"gw.{P}",), {}, True),
    "a sip: URI of the domain": ((f"URI:sip:{P}",), {}, True),
    "for servers only": ((P,), {"usage": SERVER_ONLY}, True),
    "no purpose at all": ((P,), {"usage": None}, True),
    "the common name, and no other": ((), {"cn": P}, True),
    "for clients only": ((P,), {"usage": CLIENT_ONLY}, False),
    "code signing": ((P,), {"usage": "codeSigning"}, False),
    "another authority": ((P,), {"signer": "other"}, False),
    "its own authority": ((P,), {"signer": "self"}, False),
    "expired": ((P,), {"dates": ("20200101000000Z", "20210101000000Z")}, False),
    "not valid yet": ((P,), {"dates": ("20400101000000Z", "20410101000000Z")}, False),
    "the common name beside another name": (("evil.test",), {"cn": P}, False),
    "a wildcard for the domain": (("*.test",), {}, False),
    "a wildcard for its servers": ((f"*.{P}",), {}, False),
    "a part of a wildcard": ((f"g*.{P}",), {}, False),
    "below its server": ((f"a.gw.{P}",), {}, False),
    "a longer name": ((f"x{P}",), {}, False),
    "as a part of another": ((f"{P}.evil.test",), {}, False),
    "a name with a final dot and more": ((f"{P}.evil",), {}, False),
    "a sip: URI of a user": ((f"URI:sip:tybalt@{P}",), {}, False),
    "a sips: URI": ((f"URI:sips:{P}",), {}, False),
    "another sip: URI beside the domain": (("URI:sip:evil.test", P), {}, False),
    "an https: URI": ((f"URI:https://{P}/",), {}, False),
    "an e-mail address": ((f"email:tybalt@{P}",), {}, False),
    "the address of its server": (("IP:127.0.0.33",), {}, False),
    "an XMPP address": ((f"otherName:1.3.6.1.5.5.7.8.5;UTF8:{P}",), {}, False),
}


@hostile("T06 T07 T10 SIP: what a certificate must say, and what it may not")
def certificates(g):
    wrong = []
    for what, (names, options, welcome) in NAMES.items():
        leaf = g.certificates.leaf(*names, **({"cn": "", **options} if names else options))
        try:
            status = g.caller(P, leaf).message(ROMEO, g.word(), f"sip:mallory@{P}")
        except LabError:
            status = 0
        if (status == 200) != welcome or status in (408, 500):
            wrong.append(f"{what}: {status}")
    check(not wrong, "; ".join(wrong))
    status = 0
    try:
        status = g.caller(P, False).message(ROMEO, g.word(), f"sip:mallory@{P}")
    except LabError:
        pass
    same("without a certificate", status, 0)


@hostile("T07 T09 SIP: our messages go only to who proves the partner's domain", authorised=())
def servers(g):
    """DNS is poisoned: it leads to a server of somebody else, or the certificate there is of no use."""
    bad = {"another name": ((("gw.evil.test", "evil.test"), {})), "for clients only": (("gw.%", "%"), {"usage": CLIENT_ONLY}),
           "expired": (("gw.%",), {"dates": ("20200101000000Z", "20210101000000Z")}), "another authority": (("gw.%",), {"signer": "other"}),
           "a wildcard": (("*.%",), {}), "the common name beside another": (("evil.test",), {"cn": "gw.%"})}
    asked, servers_ = {}, []
    for n, (what, (names, options)) in enumerate(bad.items()):
        domain = f"t09{n}.test"
        options = {k: v.replace("%", domain) if isinstance(v, str) else v for k, v in options.items()}
        leaf = g.certificates.leaf(*(x.replace("%", domain) for x in names), **options)
        servers_.append(g.sip_server(domain, f"127.0.0.{40 + n}", leaf=leaf))
        g.allow(domain)
        asked[what] = g.romeo.message(f"x@{domain}", g.word(), timeout=30).status
    g.names.put("_sipfederationtls._tcp.t09r.test", (SRV, (0, 0, 5061, "gw.evil2.test")))      # a proven server, of another domain
    g.names.put("gw.evil2.test", (A, "127.0.0.50"))
    servers_.append(g.keep(Partner("evil2.test", "127.0.0.50", g.certificates)))
    g.allow("t09r.test")
    asked["an SRV record that leads to another domain"] = g.romeo.message("x@t09r.test", g.word(), timeout=30).status
    same("answers", {k: v for k, v in asked.items() if v != 504}, {})
    heard = [e for s in servers_ for e in s.seen.history if e.kind not in ("ended",)]
    check(not heard, f"somebody else got {heard}")


# --- 10, 12: forged senders ---------------------------------------------------------------------------------------------

FORGED = [f"sip:tybalt@{P}", f"sip:tybalt@{P.upper()}", f"sip:tybalt@{P}.", f"sip:tybalt@{P}:5061", f"sip:tybalt@{P};transport=tls", f"sips:tybalt@{P}",
          f"sip:tybalt:evil.test@{P}", f"sip:{P}", f"sip:mallory%40evil.test@{P}", f"sip:mallory@evil.test@{P}", "sip:tybalt@%70artner.test",
          f"sip:romeo@{OURS}", f"sip:romeo@{OURS.upper()}", f"sip:romeo@{OURS}.", f"sips:romeo@{OURS}", f"sip:romeo@sub.{OURS}", f"sip:romeo@gw.{OURS}",
          "sip:romeo@127.0.0.12", "sip:romeo@[::1]", "tel:+15551234", f"im:tybalt@{P}", "sip:", "sip:@", f"sip:x@{'a' * 300}.test",
          f'"<sip:mallory@evil.test>" <sip:tybalt@{P}>;tag=1', f'<sip:tybalt@{P}>;tag=1;x="<sip:mallory@evil.test>"',
          f"<sip:mallory@evil.test>, <sip:tybalt@{P}>;tag=1", f"<sip:tybalt@{P}>, <sip:mallory@evil.test>;tag=1",
          f"<sip:tybalt@{P}?From=sip:mallory@evil.test>;tag=1", f"mallory <mallory@evil.test> <sip:tybalt@{P}>;tag=1",
          f"<sip:mallory@evil.test\r\nFrom: <sip:tybalt@{P}>>;tag=1", f"<sip:mallory@evil.test>;tag=1\r\nFrom: <sip:tybalt@{P}>;tag=1",
          f"<sip:mallory@evil.test>;tag=1\r\nf: <sip:tybalt@{P}>;tag=1", f"<sip:mallory@evil.test>;tag=1\r\nfRoM : <sip:tybalt@{P}>;tag=1",
          f"\r\n <sip:tybalt@{P}>;tag=1", f"<sip:mallory@evil.test>;tag=1\nFrom: <sip:tybalt@{P}>;tag=1",
          f"<sip:mallory@evil.test>;tag=1\rFrom: <sip:tybalt@{P}>;tag=1", f"<sip:mallory@evil.test>;tag=1\0From: <sip:tybalt@{P}>",
          f"<sip:mallory@evil.test \0@{P}>;tag=1", f"<sip:mallory@evil.test>;tag=1\r\n\r\nFrom: <sip:tybalt@{P}>"]


@hostile("T10 T12 T16 SIP: a sender of another domain, however it is written, does not get through", authorised=("evil.test",))
def forged(g):
    g.allow("evil.test")
    c = g.caller("evil.test")
    same("an honest one", c.message(ROMEO, g.word()), 200)
    for method, tag in (("MESSAGE", None), ("MESSAGE", "x"), ("INVITE", None), ("SUBSCRIBE", None), ("BYE", "x")):
        for sender in FORGED if method == "MESSAGE" else FORGED[:13]:
            if c.wire.ended():
                c = g.caller("evil.test")
            refused(f"{method} from {sender!r}", c.status(method, f"sip:{ROMEO}", sender if "<" in sender else f"<{sender}>;tag={next(TAGS)}", tag=tag,
                                                          body=g.word()))
    same("the honest one again", g.caller("evil.test").message(ROMEO, g.word()), 200)


@hostile("T10 T12 SIP: P-Asserted-Identity names nobody else", authorised=("evil.test", "t10p.test"))
def asserted(g):
    g.allow("t10p.test")
    c = g.caller("t10p.test")

    def status(*values):
        return c.status("MESSAGE", f"sip:{ROMEO}", body=g.word(), headers=["Content-Type: text/plain", *values])
    same("its own", status("P-Asserted-Identity: <sip:boss@t10p.test>"), 200)
    for values in ([f"P-Asserted-Identity: <sip:boss@{OURS}>"], [f"P-Asserted-Identity: <sip:tybalt@{P}>"],
                   ["P-Asserted-Identity: <sip:boss@t10p.test>", f"P-Asserted-Identity: <sip:tybalt@{P}>"],
                   [f"P-Asserted-Identity: <sip:boss@t10p.test>, <sip:tybalt@{P}>"], [f"p-asserted-identity : \"x\" <sip:boss@{OURS}>"],
                   [f"P-Asserted-Identity: <sip:boss@t10p.test>, <tel:+1555>, <sips:boss@{OURS}>"],
                   ["P-Asserted-Identity: " + ", ".join(f"<sip:b{n}@t10p.test>" for n in range(20)) + f", <sip:boss@{OURS}>"]):
        refused(values, status(*values))


@hostile("T10 SIP: nobody speaks in the dialogs of others", authorised=("t10d.test",))
def dialogs(g):
    """The partner and a user of ours have a session; the attacker knows everything about it."""
    g.allow("t10d.test")
    phone = g.phone("romeo7")
    line, mallory = g.friend_line(), g.caller("t10d.test")
    number, tag = "dialog-1", "from-tag-1"
    from_ = f"<sip:tybalt@{P}>;tag={tag}"

    def told(c, method, to, seq, sender=from_, **more):
        text = request(method, target, sender, to=to, drop=("Call-ID", "CSeq"), body=g.word(), **more,
                       headers=[f"Call-ID: {number}", f"CSeq: {seq} {method}", "Contact: <sip:gw.partner.test:5061;transport=tls>", "Content-Type: text/plain", *routes])
        c.send(text)
        return text
    routes, target = [], f"sip:{phone.name}"
    told(line, "INVITE", f"<sip:{phone.name}>", 1)
    ok = line.next()
    same("the call", ok.status, 200)
    routes, target = [f"Route: {r}" for r in reversed(ok.listed("record-route"))], address(ok.get("contact"))
    told(line, "ACK", ok.get("to"), 1)
    phone.expect_request("INVITE")
    for n, method in enumerate(("BYE", "INFO", "INVITE", "UPDATE", "MESSAGE", "NOTIFY", "REFER", "CANCEL"), 2):
        told(mallory, method, ok.get("to"), n)
        m = mallory.next()
        check(m is None or m.status in (403, 481), f"{method} of somebody else in the dialog: {m and m.status}")
        if m is None:
            mallory = g.caller("t10d.test")
    told(mallory, "ACK", ok.get("to"), 1)       # has no answer
    seen = [e.method for e in phone.seen.history if e.kind == "request"]
    same("what the phone got", [m for m in seen if m not in ("INVITE", "ACK")], [])
    told(line, "BYE", ok.get("to"), 50)
    same("BYE of the partner itself", line.next().status, 200)
    answers = [e for e in phone.seen.history if e.kind == "request" and e.method == "BYE"]
    same("BYE at the phone", len(answers), 1)


@hostile("T10 SIP: an answer counts only from the server that was asked", authorised=("evil.test",))
def answers_of_others(g):
    """A partner keeps silent; another connection, and another one of the partner's own, answer in its place."""
    taken = threading.Event()

    class Silent(Partner):
        def on_request(self, wire, m):
            if m.method == "MESSAGE":
                self.question = m
                taken.set()
                return None
            return 200, "OK"
    server = g.sip_server("t10s.test", "127.0.0.51", Silent)
    g.allow("t10s.test")
    said = []
    word = g.word()
    asking = threading.Thread(target=lambda: said.append(g.romeo.message("x@t10s.test", word, timeout=30).status), daemon=True)
    asking.start()
    check(taken.wait(15), "the partner was not asked")
    for line in (g.caller("evil.test"), g.friend_line(), g.caller("t10s.test")):
        line.send(answer(server.question, 603, "Decline"))
        line.ask("OPTIONS", f"sip:gw.{OURS}:5061;transport=tls")     # it was read
    same("answered by somebody else", said, [])
    server.wires[-1].send(answer(server.question, 202, "Accepted"))
    asking.join(20)
    same("the answer", said, [202])


# --- 11: trust headers --------------------------------------------------------------------------------------------------

SPELLINGS = [lambda n, v: f"{n}: {v}", lambda n, v: f"{n.upper()}:{v}", lambda n, v: f"{n.title()} \t: {v}", lambda n, v: f"{n}:\r\n {v}",
             lambda n, v: f"{n}: x\r\n{n}: {v}", lambda n, v: f"{n}:"]


@hostile("T11 SIP: no trust header crosses the border inward, however it is written", authorised=("t11.test",))
def injected(g):
    g.allow("t11.test")
    c = g.caller("t11.test")
    value = f"ms-source-type=InternetUser;ms-ep-fqdn=gw.{OURS};ms-source-verified-user=verified;ms-source-network=federation"
    for spell in SPELLINGS:
        word = g.word()
        lines = ["Content-Type: text/plain", *(spell(n, value if n.startswith("ms-e") else f"<sip:boss@{OURS}>") for n in BORDER)]
        same(f"status ({spell('x', 'y')!r})", c.status("MESSAGE", f"sip:{ROMEO}", body=word, headers=lines), 200)
        raw = g.romeo.expect_message("mallory@t11.test", word).raw
        through = {k.strip().lower() for k, _ in raw.headers} & set(BORDER)
        check(not through, f"through the border came {through}, written {spell('NAME', 'VALUE')!r}")
    for trick in ("Subject: x\nms-user-data: ms-federation=true", "Subject: x\rms-user-data: ms-federation=true",
                  "Subject: x\0\r\nms-user-data\0: y", "ms-user-data\r\n : ms-federation=true", "Subject: x\x0bms-user-data: y"):
        if c.wire.ended():
            c = g.caller("t11.test")
        word = g.word()
        status = c.status("MESSAGE", f"sip:{ROMEO}", body=word, headers=["Content-Type: text/plain", trick])
        if status == 200:
            raw = g.romeo.expect_message("mallory@t11.test", word).raw
            check(not any("ms-user-data" in k.lower() for k, _ in raw.headers), f"{trick!r} came through as a header of its own")


@hostile("T11 T45 SIP: nor in answers, and nothing of ours goes out with them")
def injected_answers(g):
    class Liar(Partner):
        def on_request(self, wire, m):
            return 200, "OK", [(n, f"<sip:boss@{OURS}>") for n in BORDER] + [("P-Asserted-Identity", f"<sip:boss@{OURS}>")]
    server = g.sip_server("t11a.test", "127.0.0.52", Liar)
    g.allow("t11a.test")
    ours = [(n, f"<sip:boss@{OURS}>") for n in BORDER] + [("P-Asserted-Identity", f"<sip:tybalt@{P}>")]
    got = g.romeo.request("MESSAGE", "sip:x@t11a.test", [("Content-Type", "text/plain"), *ours], g.word().encode())
    same("status", got.status, 200)
    through = {k.lower() for k, _ in got.headers} & (set(BORDER) | {"p-asserted-identity"})
    check(not through, f"with the answer came {through}")
    seen = server.expect("MESSAGE").raw
    through = {k.lower() for k, _ in seen.headers} & (set(BORDER) | {"p-asserted-identity"})
    check(through <= {"ms-asserted-verification-level"}, f"with the request went {through}")
    same("our own mark", seen.all("ms-asserted-verification-level"), ["ms-source-verified-user=verified"])


@hostile("T33 T45 SIP: who is refused learns neither why nor whether a user exists", authorised=())
def silence(g):
    g.entente("allowed-domain", "add", "t45.test", "--verification-level", "always-unverifiable")
    g.sip_names("t45.test", "127.0.0.99")
    c = g.caller("t45.test")
    fates = {}
    for user in ("romeo", "nobody", "mercutio", "no.such.user"):
        m = c.ask("MESSAGE", f"sip:{user}@{OURS}", body=g.word())
        text = m.encode().decode()
        for name in ("via", "to", "from", "call-id"):
            text = re.sub(rf"(?mi)^{name}: .*\r\n", "", text)
        fates.setdefault(text, []).append(user)
        low = m.encode().decode().lower()
        for secret in ("entente-reason", "ms-diagnostics", "127.0.0.11", "home", "policy", "contact"):
            check(secret not in low.replace("sip:home", ""), f"a stranger is told: {secret} in {low!r}")
    check(len(fates) == 1, f"users can be told apart: {fates}")
    for sender, uri in ((f"sip:x@{P}", f"sip:{ROMEO}"), (f"sip:romeo@{OURS}", f"sip:{ROMEO}"), ("sip:m@t45.test", f"sip:x@{THIRD}")):
        m = c.ask("MESSAGE", uri, sender, body=g.word())
        check(not m.get("entente-reason") and not m.get("ms-diagnostics"), f"a stranger is told why: {m.encode()!r}")


# --- 13: loops ----------------------------------------------------------------------------------------------------------

@hostile("T13 SIP: Max-Forwards counts down, ends, and lies to nobody", authorised=("t13.test",))
def hops(g):
    g.allow("t13.test")
    c = g.caller("t13.test")

    def sent(value, method="MESSAGE", uri=f"sip:{ROMEO}", n=1):
        word = g.word()
        lines = ["Content-Type: text/plain"] + ([] if value is None else [f"Max-Forwards: {value}"] * n)
        return c.status(method, uri, body=word, headers=lines, drop=("Max-Forwards",)), word
    same("none left", sent("0")[0], 483)
    same("OPTIONS with none left", sent("0", "OPTIONS")[0], 200)
    for value, most in (("70", 69), ("2", 2), ("255", 254), ("99999999999999999999", 255), (None, 70)):
        status, word = sent(value)
        same(f"status with {value}", status, 200)
        left = int(g.romeo.expect_message("mallory@t13.test", word).raw.get("max-forwards"))
        check(left <= most, f"of {value} the user got {left}")
    for value in ("-1", "abc", "", "1 1", "70;x=y", "0x10"):
        if c.wire.ended():
            c = g.caller("t13.test")
        refused(f"Max-Forwards: {value}", sent(value)[0])
    if c.wire.ended():
        c = g.caller("t13.test")
    refused("two Max-Forwards", sent("70", n=2)[0])


@hostile("T13 SIP: what comes back to us goes no further")
def loops(g):
    passes = []

    class Mirror(Partner):
        """Sends everything back to where it came from, as a proxy would that believes our users are elsewhere."""
        def on_request(self, wire, m):
            if m.method != "MESSAGE":
                return 200, "OK"
            passes.append(m)
            own = ["Via", f"SIP/2.0/TLS gw.{self.domain}:5061;branch=z9hG4bKmirror{len(passes)}"]
            back.send(SipMessage(m.method, m.uri, headers=[own, *m.headers], body=m.body).encode())
            got = back.next()
            return got.status, got.reason
    g.sip_server("t13m.test", "127.0.0.53", Mirror)
    g.allow("t13m.test")
    back = g.caller("t13m.test")
    status = g.romeo.message("x@t13m.test", g.word(), timeout=30).status
    check(status in (403, 404, 482, 483), f"the mirrored message: {status}")
    check(len(passes) <= 2, f"it passed {len(passes)} times")
    # the same request with our own Via in it has been here before
    word = g.word()
    lines = ["Call-ID: spiral", "CSeq: 1 MESSAGE", "Content-Type: text/plain"]
    again = dict(drop=("Call-ID", "CSeq"), body=word)
    line, sender = g.friend_line(), f"<sip:tybalt@{P}>;tag=spiral"
    line.send(request("MESSAGE", f"sip:{ROMEO}", sender, headers=lines, **again))
    same("at first", line.next().status, 200)
    vias = [f"Via: {v}" for v in g.romeo.expect_message(f"tybalt@{P}", word).raw.all("via")]
    line.send(request("MESSAGE", f"sip:{ROMEO}", sender, headers=[*vias, *lines], **again))
    same("when it comes round", line.next().status, 482)
    # DNS makes us our own partner
    g.names.put("gw.t13self.test", (A, EDGE))
    g.names.put("_sipfederationtls._tcp.t13self.test", (SRV, (0, 0, 5061, "gw.t13self.test")))
    g.allow("t13self.test")
    same("a partner that is we", g.romeo.message("x@t13self.test", g.word(), timeout=30).status, 504)
    g.names.put("_sipfederationtls._tcp.t13own.test", (SRV, (0, 0, 5061, f"gw.{OURS}")))
    g.allow("t13own.test")
    same("a partner whose server is ours", g.romeo.message("x@t13own.test", g.word(), timeout=30).status, 504)


# --- 40: DNS ------------------------------------------------------------------------------------------------------------

@hostile("T40 T03 SIP: records that lead nowhere, in circles, or to a thousand places", settings="  connect: 2s\n")
def traps(g):
    for n in range(20):
        g.names.put(f"c{n}.t40c.test", (CNAME, f"c{n + 1}.t40c.test"))
    g.names.put("a.t40l.test", (CNAME, "b.t40l.test"))
    g.names.put("b.t40l.test", (CNAME, "a.t40l.test"))
    targets = {"nowhere": [(0, 0, 0, ".")], "loop": [(0, 0, 5061, "a.t40l.test")], "chain": [(0, 0, 5061, "c0.t40c.test")],
               "thousand": [(n, 0, 5061, f"h{n}.t40thousand.test") for n in range(1000)], "none": [(0, 0, 5061, "no.t40none.test")],
               "any": [(0, 0, 5061, "gw.t40any.test")], "port": [(0, 0, 0, "gw.t40port.test")], "root": [(0, 0, 5061, "test")]}
    g.names.put("gw.t40any.test", (A, "0.0.0.0"))
    g.names.put("gw.t40port.test", (A, "127.0.0.99"))
    for n in range(1000):
        g.names.put(f"h{n}.t40thousand.test", (A, "127.0.0.99"))
    lines = {}
    for what, records in targets.items():
        domain = f"t40{what}.test"
        g.names.put(f"_sipfederationtls._tcp.{domain}", *((SRV, r) for r in records))
        g.allow(domain)
        lines[what] = domain
    g.names.silent.add("_sipfederationtls._tcp.t40silent.test")
    g.allow("t40silent.test")
    statuses = {}

    def ask(what):
        statuses[what] = g.romeo.message(f"x@t40{what}.test", g.word(), timeout=35).status
    threads = [threading.Thread(target=ask, args=(what,), daemon=True) for what in [*targets, "silent"]]
    for t in threads:
        t.start()
    took = g.check_neighbour()
    check(took < 8, f"an honest message took {took:.1f} s meanwhile")
    for t in threads:
        t.join(40)
    same("answers", {k: v for k, v in statuses.items() if v != 504}, {})
    same("answered", len(statuses), len(targets) + 1)
    # and inward: the sender's records are asked for before it is let in
    for what in ("nowhere", "loop", "thousand"):
        leaf = g.certificates.leaf("gw.evil.test")
        refused(f"{what}, inward", g.caller(f"t40{what}.test", leaf).message(ROMEO, g.word(), timeout=30))
    refused("a domain whose name server is silent", g.caller("t40silent.test", g.certificates.leaf("gw.evil.test")).message(ROMEO, g.word(), timeout=30))
