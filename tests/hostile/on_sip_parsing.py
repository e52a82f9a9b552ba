# SPDX-License-Identifier: Apache-2.0
"""Octets that SIP does not allow, or barely (threats 14 to 16, 21, 22, 25, 26, 35, 48)."""
import glob
import os
import socket
import time

from case import LabError, check, hostile, same
from ground import ROMEO
from peer import GATEWAY
from sip_ground import HONEST_SIP, refused
from sip_peer import OURS, SipPipe, request

TORTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "sip-torture")


def opened(g, domain="evil.test"):
    """A connection of an allowed partner."""
    if not getattr(g, "evil", None):
        g.evil = g.allow("evil.test")
    return g.caller(domain)


def statuses(c, seconds=3):
    """All final answers that come until the connection ends or nothing comes for a while; and whether it has ended."""
    found = []
    try:
        while True:
            m = c.wire.next(seconds)
            if m.status and m.status >= 200:
                found.append(m.status)
    except LabError:
        return found, bool(c.wire.eof)


# --- 15: Content-Length -------------------------------------------------------------------------------------------------

SMUGGLED = "smuggled"
LENGTHS = {     # what stands for Content-Length -> lines, and the body
    "negative": (["Content-Length: -1"], b""), "minus zero": (["Content-Length: -0"], b""), "plus": (["Content-Length: +5"], b"hello"),
    "hexadecimal": (["Content-Length: 0x5"], b"hello"), "with a fraction": (["Content-Length: 5.0"], b"hello"), "two numbers": (["Content-Length: 5 5"], b"hello"),
    "a list": (["Content-Length: 5, 5"], b"hello"), "a parameter": (["Content-Length: 5;x=y"], b"hello"), "quoted": (['Content-Length: "5"'], b"hello"),
    "empty": (["Content-Length:"], b"hello"), "letters": (["Content-Length: five"], b"hello"), "2^32 and 5": (["Content-Length: 4294967301"], b"hello"),
    "2^64 and 5": (["Content-Length: 18446744073709551621"], b"hello"), "2^63": (["Content-Length: 9223372036854775808"], b"hello"),
    "a thousand digits": (["Content-Length: 1" + "0" * 1000], b"hello"), "twice, differing": (["Content-Length: 5", "Content-Length: 50"], b"hello"),
    "twice, the short form": (["Content-Length: 5", "l: 0"], b"hello"),
    "twice in different letters": (["content-length: 0", "CONTENT-LENGTH: 5"], b"hello"), "none": ([], b"hello"), "a digit of another script": (["Content-Length: ٥"], b"hello"),
    "a NUL": (["Content-Length: 5\0"], b"hello"), "a tab inside": (["Content-Length: 0\t5"], b"hello"), "more than we take": (["Content-Length: 99999999"], b"hello"),
    "in the name a space": (["Content -Length: 5"], b"hello"), "behind a bare LF": (["Subject: x\nContent-Length: 0", "Content-Length: 5"], b"hello"),
}


@hostile("T15 T16 SIP: no Content-Length desynchronises us; behind a broken one nothing is read", authorised=("evil.test",))
def lengths(g):
    """Behind each message stands another one, which must not be found: neither by us nor by the home."""
    hidden = request("MESSAGE", f"sip:{ROMEO}", f"<sip:{SMUGGLED}@{HONEST_SIP}>;tag=1", body=g.word(), headers=["Content-Type: text/plain"])
    own = request("MESSAGE", f"sip:{ROMEO}", f"<sip:{SMUGGLED}@evil.test>;tag=1", body=g.word(), headers=["Content-Type: text/plain"])
    wrong = []
    for what, (lines, body) in LENGTHS.items():
        c = opened(g)
        c.send(request("MESSAGE", f"sip:{ROMEO}", "sip:mallory@evil.test", headers=["Content-Type: text/plain", *lines], drop=("Content-Length",)) + body)
        try:
            c.send(hidden + own)
        except LabError:
            pass    # cut already
        c.wire.half_close()
        found, ended = statuses(c)
        if any(s < 400 for s in found) or not ended:
            wrong.append(f"{what}: answers {found}, {'cut' if ended else 'still open'}")
    check(not wrong, "; ".join(wrong))
    heard = [e.from_ for e in g.romeo.seen.history if e.kind == "message" and e.from_ and SMUGGLED in e.from_]
    check(not heard, f"smuggled: {heard}")


@hostile("T15 SIP: a body that is shorter or longer than said", authorised=("evil.test",))
def bodies(g):
    word = g.word()
    c = opened(g)       # longer than said: the rest is no message
    c.send(request("MESSAGE", f"sip:{ROMEO}", "sip:mallory@evil.test", headers=["Content-Type: text/plain"], body=word + "more", length=len(word)))
    found, ended = statuses(c, 1)
    same("the first one", found[:1], [200])
    same("answers", len([s for s in found if s < 400]), 1)
    g.romeo.expect_message("mallory@evil.test", word)
    c = opened(g)       # shorter: what follows belongs to it, and is its body, whatever it looks like
    inner = request("MESSAGE", f"sip:{ROMEO}", f"sip:{SMUGGLED}@{HONEST_SIP}", body="x").decode()
    same("a request as body", c.message(ROMEO, inner), 200)
    g.romeo.expect_message("mallory@evil.test", inner)
    c = opened(g)       # never comes: ends in time (T29), and until then nobody minds
    c.send(request("MESSAGE", f"sip:{ROMEO}", "sip:mallory@evil.test", headers=["Content-Type: text/plain"], body="short", length=500))
    g.check_partner()
    c.close()
    c = opened(g)       # none said, none there: also wrong on a stream
    c.send(request("OPTIONS", f"sip:{ROMEO}", "sip:mallory@evil.test", drop=("Content-Length",)))
    found, ended = statuses(c, 1)
    check(ended and all(s >= 400 for s in found), f"without Content-Length: {found}")


# --- 14, 16: the rest of the grammar ------------------------------------------------------------------------------------

@hostile("T14 SIP: the torture messages of RFC 4475, each on a connection of its own", authorised=("evil.test",))
def torture(g):
    """Nothing in them is from who connects: nothing may pass to the home."""
    g.mark()
    files = sorted(glob.glob(f"{TORTURE}/*.dat"))
    check(len(files) > 40, f"only {len(files)} messages are there")
    through = []
    for path in files:
        with open(path, "rb") as f:
            data = f.read()
        c = opened(g)
        c.send(data)
        c.wire.half_close()
        found, ended = statuses(c)
        if not ended or any(s < 300 for s in found):
            through.append(f"{os.path.basename(path)}: {found}, {'cut' if ended else 'still open'}")
    check(not [x for x in through if "still open" in x], "; ".join(through))
    same("requests at the home", g.events("trace/sip-out", peer="contoso"), [])
    g.note = f"{len(files)} messages, answered well: {through or 'none'}"


ODD = {
    "no start line": b"\r\n\r\n\r\nVia: SIP/2.0/TLS x\r\n\r\n", "HTTP": b"GET / HTTP/1.1\r\nHost: gw.contoso.test\r\n\r\n", "XMPP": b"<?xml version='1.0'?><stream:stream>\r\n\r\n",
    "another version": b"OPTIONS sip:gw.contoso.test SIP/3.0\r\n\r\n", "two spaces": b"OPTIONS  sip:gw.contoso.test SIP/2.0\r\n\r\n",
    "a space in front of a header": b"OPTIONS sip:gw.contoso.test SIP/2.0\r\n Via: SIP/2.0/TLS x\r\n\r\n",
    "a control character in a name": b"OPTIONS sip:gw.contoso.test SIP/2.0\r\nVi\x01a: SIP/2.0/TLS x;branch=z9hG4bKx\r\n\r\n",
    "a header without colon": b"OPTIONS sip:gw.contoso.test SIP/2.0\r\nVia SIP/2.0/TLS x\r\n\r\n", "only LF": b"OPTIONS sip:gw.contoso.test SIP/2.0\nVia: SIP/2.0/TLS x\n\n",
    "only CR": b"OPTIONS sip:gw.contoso.test SIP/2.0\rVia: SIP/2.0/TLS x\r\r", "NULs": bytes(1000), "0xFF": b"\xff" * 1000,
    "an endless method": b"A" * 20000, "an endless header": b"OPTIONS sip:x SIP/2.0\r\nSubject: " + b"x" * 80000,
    "SigComp": b"\xf8\x00\x01" + bytes(range(100)), "a response to nothing": b"SIP/2.0 200 OK\r\n\r\n", "a status of 5 digits": b"SIP/2.0 20000 OK\r\n\r\n",
    "TLS inside TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), "a STUN request": b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
}


@hostile("T14 T15 T22 SIP: what is no SIP is not answered well, and ends", authorised=("evil.test",))
def nonsense(g):
    for what, data in ODD.items():
        c = opened(g)
        try:
            c.send(data)
            c.send(request("MESSAGE", f"sip:{ROMEO}", f"sip:{SMUGGLED}@{HONEST_SIP}", body=g.word()))
            c.wire.half_close()
        except (LabError, OSError):
            pass
        found, ended = statuses(c, 10)
        check(ended and all(s >= 400 for s in found), f"{what}: {found}, {'cut' if ended else 'still open'}")


@hostile("T16 SIP: what two readers might read differently is refused or passes as one thing", authorised=("evil.test",))
def differing(g):
    c = opened(g)
    for what, lines in {
            "two Call-IDs": ["Call-ID: other"], "two CSeqs": ["CSeq: 2 MESSAGE"], "two Tos": [f"To: <sip:mercutio@{OURS}>"], "short To": [f"t: <sip:mercutio@{OURS}>"],
            "CSeq of another method": None, "a From behind a colon with space": [f"From : <sip:tybalt@{HONEST_SIP}>;tag=2"],
            "LF ends a line": [f"Subject: x\nf: <sip:tybalt@{HONEST_SIP}>;tag=2"], "CR ends a line": [f"Subject: x\rf: <sip:tybalt@{HONEST_SIP}>;tag=2"],
            "an empty name": [": value"], "a name with a space": ["Sub ject: x"], "a name with a slash": ["Sub/ject: x"], "a NUL in a name": ["Sub\0ject: x"],
            "a colon on the next line": ["Content-Length\r\n : 0"]}.items():
        if c.wire.ended():
            c = opened(g)
        if lines is None:
            status = c.status("MESSAGE", f"sip:{ROMEO}", body=g.word(), headers=["CSeq: 1 INVITE", "Content-Type: text/plain"], drop=("CSeq",))
        else:
            status = c.status("MESSAGE", f"sip:{ROMEO}", body=g.word(), headers=["Content-Type: text/plain", *lines])
        refused(what, status)
    for what, line in {"a folded value": "Subject: one\r\n two", "UTF-8": "Subject: Grüße ☃", "not UTF-8": "Subject: \udcff\udcfe", "quotes that do not end": 'Subject: "x',
                       "a tab": "Subject:\tx", "an empty value": "Subject:", "unknown with commas": "X-Odd: ,,;;==<>", "a comment": "Server: a (b (c) d) e"}.items():
        if c.wire.ended():
            c = opened(g)
        word = g.word()
        same(what, c.status("MESSAGE", f"sip:{ROMEO}", body=word, headers=["Content-Type: text/plain", line]), 200)
        raw = g.romeo.expect_message("mallory@evil.test", word).raw
        name = line.split(":")[0]
        check(raw.get(name) is not None, f"{what}: {name} was lost")


@hostile("T14 T21 SIP: limits of headers, addresses and messages", authorised=("evil.test",), settings="  connect: 3s\n")
def limits(g):
    before, sent = g.rss(), 0
    cases = {"129 header fields": dict(headers=[f"X-H{n}: {n}" for n in range(129)]), "10000 header fields": dict(headers=["A: b"] * 10000),
             "a line of 9000 octets": dict(headers=["Subject: " + "x" * 9000]), "a Request-URI of 9000 octets": dict(uri=f"sip:{'x' * 9000}@{OURS}"),
             "a body of 66000 octets": dict(body="x" * 66000), "a tag of 9000 octets": dict(from_=f"<sip:mallory@evil.test>;tag={'t' * 9000}"),
             "500 Vias": dict(headers=["Via: SIP/2.0/TLS x.test;branch=z9hG4bKx"] * 500), "a Via of 2000 values": dict(headers=["Via: " + ",".join(["SIP/2.0/TLS x"] * 2000)]),
             "10000 parameters": dict(from_="<sip:mallory@evil.test>;tag=1" + ";a" * 10000), "a deep quote": dict(from_='"' + "\\\"" * 4500 + '" <sip:mallory@evil.test>;tag=1'),
             "a folded line of 500 pieces": dict(headers=["Subject: " + "\r\n x" * 4000])}
    for what, options in cases.items():
        c = opened(g)
        options = {"uri": f"sip:{ROMEO}", "body": "x", **options}
        data = request("MESSAGE", from_=options.pop("from_", "sip:mallory@evil.test"), **options)
        sent += len(data)
        try:
            c.send(data)
        except LabError:
            pass
        m = None
        try:
            m = c.next()
        except LabError as e:
            raise LabError(f"{what}: {e}") from None
        check(m is None or m.status in (400, 403, 404, 413, 414, 494, 513), f"{what}: answered {m and m.status}")
        check(m is None or len(m.encode()) < 2 * len(data) + 1000, f"{what}: the answer is {len(m.encode()) if m else 0} octets")
        c.close()
    g.bounded(before, sent, slack=4096)
    c = opened(g)
    word = g.word()
    same("a large body that is allowed", c.message(ROMEO, word + "x" * 12000), 200)
    g.romeo.expect_message("mallory@evil.test", word + "x" * 12000)


# --- 25, 26: bodies -----------------------------------------------------------------------------------------------------

@hostile("T25 T26 SIP: bodies pass as they are, bombs or not: nobody looks into them", authorised=("evil.test",))
def bombs(g):
    c = opened(g)
    deep = "".join(f"--b{n}\r\nContent-Type: multipart/mixed;boundary=b{n + 1}\r\n\r\n" for n in range(200))
    bodies_ = {
        "nested 200 deep": ("multipart/mixed;boundary=b0", deep), "1000 parts": ("multipart/mixed;boundary=b", "--b\r\n\r\nx\r\n" * 1000 + "--b--\r\n"),
        "no boundary": ("multipart/mixed", "--\r\n\r\n--"), "an empty boundary": ('multipart/mixed;boundary=""', "----\r\n"),
        "a boundary of 5000 octets": (f"multipart/mixed;boundary={'b' * 5000}", "--" + "b" * 5000), "boundary twice": ("multipart/mixed;boundary=a;boundary=b", "--a\r\n\r\n--b--"),
        "a request within": ("message/sip", request("BYE", f"sip:{ROMEO}", f"sip:tybalt@{HONEST_SIP}").decode()),
        "lines that look like headers": ("text/plain", "\r\nFrom: <sip:x@y>\r\n\r\n\r\n"), "an entity bomb": ("application/pidf+xml", '<?xml version="1.0"?><!DOCTYPE x ['
         '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><presence>&c;</presence>'),
        "deep XML": ("application/pidf+xml", "<a>" * 3000), "a bomb in gzip": ("text/plain", "\x1f\x08" + "x" * 500),
    }
    before = g.rss()
    for what, (kind, body) in bodies_.items():
        body = body.encode("latin-1")
        if c.wire.ended():
            c = opened(g)
        status = c.status("MESSAGE", f"sip:{ROMEO}", body=body, headers=[f"Content-Type: {kind}"])
        same(what, status, 200)
        got = g.romeo.seen.expect("the message", lambda e: e.kind == "message" and e.from_ == "mallory@evil.test", 10)
        check(got.raw.body == body, f"{what}: the body was changed")
    g.bounded(before, 200000)


# --- 35: UDP ------------------------------------------------------------------------------------------------------------

@hostile("T35 SIP: strangers on UDP get no answer, or one that is not larger than the question")
def reflection(g):
    """The port for the homes is reachable here; a firewall would close it. The questions come from addresses of many victims."""
    asked = answered = 0
    for n in range(60):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((f"127.66.{n}.1", 5060))
        s.settimeout(0.02)
        questions = [request(method, f"sip:{ROMEO}", f"sip:x@{HONEST_SIP}", transport="UDP", via=f"127.66.{n}.1", body="x" if method == "MESSAGE" else "")
                     for method in ("OPTIONS", "MESSAGE", "INVITE", "NEGOTIATE", "REGISTER")]
        for data in (*questions, b"\r\n\r\n", b"\0" * 20, b"x" * 1200, b"OPTIONS sip:x SIP/2.0\r\n\r\n"):
            s.sendto(data, (GATEWAY, 5060))
            asked += len(data)
        end = time.monotonic() + 0.02
        try:
            while time.monotonic() < end:
                data = s.recv(65536)
                answered += len(data)
                method = data.split(b"CSeq: 1 ")[1].split(b"\r")[0]
                check(len(data) <= 1.2 * len(next(q for q in questions if q.startswith(method))), f"{method} is answered with {len(data)} octets: {data!r}")
        except OSError:
            pass
        s.close()
    check(answered <= asked / 2, f"{asked} octets were answered with {answered}")
    # the external port has no UDP at all
    s = g.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    s.connect((GATEWAY, 5061))
    s.settimeout(1)
    s.send(request("OPTIONS", f"sip:gw.{OURS}", "sip:x@y.test", transport="UDP"))
    try:
        check(not s.recv(65536), "port 5061 answers over UDP")
    except OSError:
        pass
    g.note = f"{asked} octets asked, {answered} answered"


@hostile("T35 SIP: nobody speaks in the clear on the port of partners, nor as a home on the port of homes")
def plain(g):
    for port in (5061, 5060):
        w = g.keep(SipPipe.connect(GATEWAY, port, g.source()))
        try:
            w.send(request("MESSAGE", f"sip:{ROMEO}", f"sip:tybalt@{HONEST_SIP}", transport="TCP", body=g.word()))
            m = w.next(10)
            check(m.status in (403, 503), f"a stranger on port {port} was answered {m.status}")
        except LabError:
            pass
    g.romeo.expect_no_message(f"tybalt@{HONEST_SIP}", 0.5)


# --- 48: the log --------------------------------------------------------------------------------------------------------

@hostile("T48 SIP: nothing in a request makes a line of the log", authorised=("evil.test",))
def log_lines(g):
    c = opened(g)
    g.mark()
    forged_line = "2026-01-01T00:00:00.000Z error server/forged text=owned"
    for what in (f"sip:x@evil.test\n{forged_line}", f"sip:x@evil.test\r{forged_line}", f"sip:x%0a{forged_line.replace(' ', '%20')}@{HONEST_SIP}",
                 f"sip:\x1b[31mred@{HONEST_SIP}", f'sip:"quote@{HONEST_SIP}', f"sip:x\\@{HONEST_SIP}", f"sip:\u202edlrow@{HONEST_SIP}", "sip:" + "x" * 4000 + f"@{HONEST_SIP}"):
        for data in (request("MESSAGE", f"sip:{ROMEO}", f"<{what}>;tag=1", body="x"),
                     request("X" + what.split("@")[0].replace("sip:", ""), f"sip:{ROMEO}", "sip:mallory@evil.test"),
                     request("MESSAGE", f"sip:{ROMEO}", f"sip:x@{HONEST_SIP}", headers=[f"Subject: {what}"], body="x")):
            if c.wire.ended():
                c = opened(g)
            c.send(data)
            c.ask("OPTIONS", f"sip:gw.{OURS}:5061;transport=tls")    # that one was read
    for line in g.entented.output()[g._mark:].splitlines():
        check(" server/forged " not in f" {line} ".split(" text=")[0] and "\x1b" not in line and len(line) < 20000, f"a line was forged: {line[:200]!r}")
    same("forged events", g.events("server/forged"), [])
