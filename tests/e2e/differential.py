# SPDX-License-Identifier: Apache-2.0
"""The same octets through a Kamailio that forwards statefully and through entented's Access Edge. What comes out on the other side may differ
only where a table below says why; a row that explains nothing any more fails as well."""
import os
import re
import time

import peers
from process import Process, answers
from scenario import check, scenario
from octets import Client, FarEnd, Way, differences

TORTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "sip-torture")
NOTHING = "nothing"

# --- why the messages that both carry are not the same: (who has it, what, why) ---

KAMAILIO, ENTENTE = 0, 1
EXPLAINED = [
    (KAMAILIO, rb"Via: SIP/2\.0/TCP 127\.0\.0\.51;branch=\S+", "each proxy puts its own Via on top"),
    (ENTENTE, rb"Via: SIP/2\.0/TLS gw\.contoso\.test:5061;branch=\S+", "each proxy puts its own Via on top"),
    (KAMAILIO, rb"Record-Route: <sip:127\.0\.0\.51;transport=tcp;\S*lr\S*>", "each proxy records itself"),
    (ENTENTE, rb"Record-Route: <sip:(gw\.contoso\.test:5061;transport=tls|127\.0\.0\.12:5060;transport=tcp);lr(;dlg=[\w-]+)?>",
     "twice, once for each side (RFC 5658); what the dialog is stands in the one"),
    (KAMAILIO, rb"(?i:via|v)\s*:.*;received=127\.0\.0\.11.*", "where the receiver's parameters stand in the sender's Via is each one's own"),
    (ENTENTE, rb"(?i:via|v)\s*:.*;received=127\.0\.0\.11.*", "where the receiver's parameters stand in the sender's Via is each one's own"),
    (KAMAILIO, rb"Max-Forwards: +70", "Kamailio is told a highest number of hops; ours is RFC 3261's, 255"),
    (ENTENTE, rb"Max-Forwards: (86|254)", "Kamailio is told a highest number of hops; ours is RFC 3261's, 255"),
    (ENTENTE, rb"order: .* max-forwards", "what is added has no place of its own"),
    (KAMAILIO, rb"(?i:ms-edge-proxy-message-trust|ms-user-data|p-charging-vector|remote-party-id|ms-diagnostics):.*", "between the servers of one organisation only"),
    (KAMAILIO, rb"P-Asserted-Identity: <sip:boss@elsewhere\.test>", "RFC 3325: a home may assert its own users only"),
    (ENTENTE, rb"Max-Breadth: 60", "RFC 5393 5.3.3: a proxy adds it"),
    (ENTENTE, rb"ms-asserted-verification-level: ms-source-verified-user=verified", "what Lync's edges say of their own users"),
]

# --- what one does and the other does not: case -> (Kamailio, entented, why) ---

CLOSES = "Kamailio closes the connection without a word; the sender is told first (RFC 3261 18.3, 8.2)"
DROPS = "Kamailio drops it without a word; the sender is told"
METHOD = "not a method of federation (sip.federated-methods)"
STRICT = "malformed: what two readers may read in two ways goes no further"
LENGTH = "a lie or a doubt about the length: nothing on that connection can be believed"

OUTCOMES = {name: (*outcomes, why) for why, rows in {
    METHOD: {"cparam01": ("carried", "403"), "cparam02": ("carried", "403"), "escnull": ("carried", "403"), "regaut01": ("carried", "403"), "regbadct": ("carried", "403"),
             "regescrt": ("carried", "403"), "PUBLISH": ("carried", "403"), "unknown method": ("carried", "403"), "small letters": ("carried", "403")},
    METHOD + "; the second request on the connection passes": {"dblreq": ("carried 2 times", "carried")},
    METHOD + "; Kamailio looks at the URIs in From and To as well": {"unksm2": ("400", "403")},
    METHOD + "; " + DROPS: {"esc02": (NOTHING, "403"), "intmeth": (NOTHING, "403")},
    STRICT: {"badaspec": ("carried", "400"), "escruri": ("carried", "400"), "headers in the URI": ("carried", "400"), "trws": ("carried", "400"), "NUL": ("carried", "400")},
    CLOSES: {name: ("closed", "400") for name in ("badinv01", "insuf", "inv2543", "lwsruri", "lwsstart", "multi01", "quotbal", "no From", "no To", "CSeq of another")},
    CLOSES + ", with the status that RFC 4475 3.1.2.16 names": {"badvers": ("closed", "505")},
    DROPS: {name: (NOTHING, "400") for name in ("two From", "two To", "two Call-ID", "two CSeq", "no colon", "space in a name")},
    LENGTH + "; " + CLOSES: {name: ("closed", "400") for name in ("mcl01", "ncl", "length Content-Length: +5", "length Content-Length: -5", "length Content-Length: 5x",
                                                                "length Content-Length: 5, 5", "length X: y")},
    LENGTH + "; " + DROPS: {name: (NOTHING, "400") for name in ("length Content-Length: 5\r\nContent-Length: 5", "length Content-Length: 5\r\nl: 3",
                                                              "length Content-Length: 4294967301")},
    "nobody can be answered: we wait for the next message, Kamailio closes": {"bigcode": ("closed", NOTHING), "no Via": ("closed", NOTHING)},
    "a header without CRLF never ends: we close, Kamailio waits": {"bare LF": (NOTHING, "closed")},
    "white space before the colon and a folded value are allowed (RFC 3261 7.3.1); Kamailio's reader of streams does not know them": {
        "wsinv": ("closed", "carried"), "length Content-Length : 5": (NOTHING, "carried"), "length Content-Length:\r\n 5": ("closed", "carried")},
    "RFC 3261 16.3, 8.2.1: 416 for a scheme that is not ours": {"novelsc": ("400", "416"), "unkscm": ("400", "416")},
    "RFC 4475 3.1.2.18: 501 for a method that nobody knows": {"mismatch02": ("400", "501")},
    "RFC 3261 16.3: an OPTIONS may be answered where its hops end": {"zeromf": ("483", "200")},
    "Kamailio's sanity check leaves Proxy-Require to the script (RFC 3261 16.3: 420)": {"bext01": ("carried", "420"), "extension": ("carried", "420")},
    "no number is not a number of zero": {"hops Max-Forwards: -1": ("483", "400"), "hops Max-Forwards: x": ("483", "400")},
    "RFC 5393 5.3.3: nothing may be going on any more": {"no breadth": ("carried", "440")},
    "sip.telephone-numbers": {"telephone": ("carried", "403")},
    "a tel URI names no organisation": {"tel": ("carried", "416")},
    "RFC 3261 26.2.2: sips needs TLS on every hop, and this home is reached by TCP": {"sips": ("carried", "480")},
}.items() for name, outcomes in rows.items()}

SDP46 = (b"v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video\r\nc=IN IP6 2001:db8::20\r\nt=3338481189 3370017201\r\n"
         b"m=audio 6000 RTP/AVP 2\r\na=rtpmap:2 G726-32/8000\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP4 192.0.2.1\r\n")


def torture():
    """The messages of RFC 4475, between our two domains where they can be read that far."""
    for file in sorted(os.listdir(TORTURE)):
        if file.endswith(".dat"):
            with open(f"{TORTURE}/{file}", "rb") as f:
                yield file[:-4], between(f.read())


def between(message):
    """From contoso.test to mallory.test: host parts of From, To and Request-URI, nothing else."""
    head, blank, body = message.partition(b"\r\n\r\n")
    head = re.sub(rb"^(\S+ sips?:(?:[^@ ]*@)?)[\w.:-]+", rb"\1mallory.test", head)
    for name, domain in ((rb"from|f", b"contoso.test"), (rb"to|t", b"mallory.test")):
        head = re.sub(rb"(?im)^((?:" + name + rb")[ \t]*:(?:[^\r]|\r\n[ \t])*?sips?:(?:[^@>\r\n]*@)?)[\w.-]+", rb"\1" + domain, head)
    body, gap = body.lstrip(b"\r\n"), body[:len(body) - len(body.lstrip(b"\r\n"))]
    if re.match(rb"[A-Z]+ sips?:[^\r\n]* SIP/2.0\r\n", body):       # dblreq: on a stream, what follows is the next request
        body = between(body)
    return head + blank + gap + body


def request(name, *lines, method="MESSAGE", uri="sip:bob@mallory.test", body=b"", length=True, via="Via: SIP/2.0/TCP 127.0.0.11:5098;branch=z9hG4bK-%s",
            hops="Max-Forwards: 20", to="To: <sip:bob@mallory.test>", from_="From: <sip:alice@contoso.test>;tag=1", end="\r\n"):
    """One well-formed request but for what is said."""
    number = re.sub(r"\W+", "-", name)
    head = [f"{method} {uri} SIP/2.0", via % number if "%" in via else via, hops, from_, to, f"Call-ID: {number}", f"CSeq: 7 {method}", *lines]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return name, end.join([*filter(None, head), "", ""]).encode() + body


def cases():
    yield from torture()
    # RFC 5118: addresses of IPv6 wherever they may stand beside the domains of the two organisations
    yield request("5118 4.1", "Contact: \"Caller\" <sip:caller@[2001:db8::1]>", method="OPTIONS", via="Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111")
    yield request("5118 4.5 brackets", method="OPTIONS", via="Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-112")
    yield request("5118 4.5 none", method="OPTIONS", via="Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3")
    yield request("5118 4.6 4.8", "Contact: \"Caller\" <sip:caller@[2001:db8::20]>", "Content-Type: application/sdp", method="INVITE", body=SDP46,
                  via="Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-113")
    yield request("5118 4.7", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
                  "Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200", via="Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-114")
    yield request("5118 4.9", "Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>", via="Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19")
    yield request("5118 4.10", "Contact: <sip:user@[2001:db8:::192.0.2.1]>", method="OPTIONS")
    # what is nobody's business between sender and receiver
    yield request("Lync", "Contact: <sip:alice@contoso.test;opaque=user:epid:Wx9_;gruu>", "Ms-Conversation-ID: AdAB=", "Ms-Sender: <sip:x>", "ms-text-format: text/plain; charset=UTF-8",
                  "Supported: ms-dialog-route-set-update, timer,gruu-10", "Session-Expires: 1800;refresher=uac", "Identity: \"x=\"", "Allow:INVITE,ACK", "EndPoints: \"A\" <sip:a@b>, <sip:c@d>",
                  from_="From: \"A, B\"<sip:alice@contoso.test>;tag=1;epid=0a0B", method="INVITE")
    yield request("odd spaces", "Subject :  x\t", "X-Fold: a\r\n\tb\r\n  c", "X-Empty:", "X-Tab:\tx", "X-UTF: \u00fc\u2603", "s: again", to="t:<sip:bob@mallory.test>")
    yield request("binary body", "Content-Type: application/octet-stream", body=bytes(range(256)) + b"\r\n\r\nINVITE sip:x@y SIP/2.0\r\n\r\n")
    yield request("quoted pairs", from_='From: "a\\"<sip:m@evil.test>\\\\" <sip:alice@contoso.test>;tag=1')
    yield request("other routes", "Route: <sip:far.mallory.test;lr;ms-route-sig=abCD>")
    yield request("rport", via="Via: SIP/2.0/TCP 127.0.0.11:5098;rport;branch=z9hG4bK-rport;alias;ms-received-cid=1")
    yield request("two in one Via", via="Via: SIP/2.0/TCP 127.0.0.11:5098;branch=z9hG4bK-two , SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK-low")
    # headers by which servers trust each other
    yield request("trust", "ms-edge-proxy-message-trust: ms-source-type=x", "MS-User-Data: ms-publiccloud=true", "P-Charging-Vector: icid=1", "Remote-Party-ID: <sip:a@b>", "ms-diagnostics: 1;x")
    yield request("own identity", "P-Asserted-Identity: <sip:alice@contoso.test>")
    yield request("other identity", "P-Asserted-Identity: <sip:boss@elsewhere.test>")
    # hops
    for hops in ("", "Max-Forwards: 0", "Max-Forwards: 1", "Max-Forwards: 255", "Max-Forwards: 256", "Max-Forwards: -1", "Max-Forwards: x", "max-forwards :\t9 "):
        yield request(f"hops {hops}", hops=hops)
    yield request("no breadth", "Max-Breadth: 0")
    # what a request may be for
    yield request("telephone", uri="sip:+4930@mallory.test;user=phone")
    yield request("tel", uri="tel:+4930")
    yield request("sips", uri="sips:bob@mallory.test")
    yield request("headers in the URI", uri="sip:bob@mallory.test?Subject=x")
    yield request("unknown method", method="FOO")
    yield request("small letters", method="message")
    yield request("PUBLISH", "Event: presence", method="PUBLISH")
    yield request("extension", "Proxy-Require: foo")
    yield request("far extension", "Require: foo")
    # framing and syntax
    for length in ("Content-Length: 5", "l:5", "Content-Length : 5", "Content-Length:\r\n 5", "Content-Length: 0005", "Content-Length: +5", "Content-Length: -5", "Content-Length: 5x",
                   "Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nl: 3", "Content-Length: 4294967301", "X: y"):
        yield request(f"length {length}", length, length=False, body=b"12345")
    yield request("two From", "From: <sip:m@contoso.test>;tag=2")
    yield request("two To", "To: <sip:m@mallory.test>")
    yield request("two Call-ID", "Call-ID: other")
    yield request("two CSeq", "CSeq: 8 MESSAGE")
    yield request("no From", from_="")
    yield request("no To", to="")
    yield request("no Via", via="")
    yield request("bare LF", end="\n")
    yield request("NUL", "X: a\0b")
    yield request("no colon", "Subject x")
    yield request("space in a name", "Sub ject: x")
    yield request("CSeq of another", "X: y", method="MESSAGE\x20\x20")
    yield "three in a row and pings", (b"\r\n\r\n".join(request(f"row {n}", body=b"\r\n" * n)[1] for n in range(3)) + b"\r\n\r\n")


def outcome(way, client, since):
    """(what became of it, in a word; the messages that were carried)"""
    carried = way.carried(since)
    if carried:
        return "carried" if len(carried) == 1 else f"carried {len(carried)} times", carried
    return (str(client.final()) if client.final() else "closed" if client.over else NOTHING), []


def through(way, message):
    since = len(way.far.seen)
    client = Client(way.proxy, way.source)
    client.send(message)
    return client, since


@scenario("the same octets through Kamailio and entented", partner=None, federation=True, peers=["prosody"])
def same(lab):
    lab.entente("access-edge", "set", "--federated-users=true", "--routing", "dns-srv")
    lab.entente("allowed-domain", "add", "mallory.test", "--verification-level", "always-verifiable")
    own = f"{lab.run}/forward"
    os.makedirs(own, exist_ok=True)
    conf = peers.render("kamailio-forward.cfg.in", f"{own}/kamailio.cfg")
    kamailio = Process("forward", [peers.program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", own, "-P", f"{own}/kamailio.pid", "-Y", own, "-DD", "-E"],
                       f"{own}/kamailio.log", lambda _: answers("127.0.0.51", 5060))
    ends = [FarEnd(("127.0.0.52", 5060)), FarEnd(("127.0.0.39", 5061), f"{lab.certs}/mallory", f"{lab.certs}/ca.pem")]
    ways = [Way("kamailio", ("127.0.0.51", 5060), "127.0.0.11", ends[0]), Way("entented", (peers.GATEWAY, 5060), "127.0.0.11", ends[1])]
    try:
        kamailio.start()
        compare(ways)
    finally:
        for end in ends:
            end.close()
        kamailio.kill()
        lab.entente("allowed-domain", "remove", "mallory.test")


def compare(ways):
    for way in ways:
        check(way.probe(), f"nothing passes through {way.name}")
    trouble, used, met = [], set(), set()
    for name, message in cases():
        begun = [through(way, message) for way in ways]
        for way in ways:
            check(way.probe(), f"after {name} nothing passes through {way.name}")
        expected = OUTCOMES.get(name)
        end, quiet = time.monotonic() + 5, time.monotonic() + 0.05
        while True:
            got = [outcome(way, *b) for way, b in zip(ways, begun)]
            words = tuple(word for word, _ in got)
            if (words == expected[:2] if expected else words[0] == words[1]) and (NOTHING not in words or time.monotonic() > quiet):
                break
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        for client, _ in begun:
            client.close()
        if expected and words == expected[:2]:
            met.add(name)
        elif expected or words[0] != words[1]:
            trouble.append(f"{name}: Kamailio {words[0]}, entented {words[1]}" + (f", and not {expected[0]}, {expected[1]}" if expected else ""))
        if len(got[0][1]) == len(got[1][1]) == 1:
            for who, piece in differences(got[0][1][0], got[1][1][0]):
                row = next((n for n, (w, pattern, _) in enumerate(EXPLAINED) if w == who and re.fullmatch(pattern, piece, re.S)), None)
                if row is None:
                    trouble.append(f"{name}: only {ways[who].name} has {piece!r}")
                used.add(row)
    trouble += [f"no case needs the explanation {EXPLAINED[n]}" for n in range(len(EXPLAINED)) if n not in used]
    trouble += [f"no case {name} any more" for name in OUTCOMES if name not in met and not any(t.startswith(name + ":") for t in trouble)]
    check(not trouble, "unexplained:\n  " + "\n  ".join(trouble))
