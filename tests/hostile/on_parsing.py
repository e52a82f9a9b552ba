# SPDX-License-Identifier: Apache-2.0
"""XML that lies, swells or hides something (threats 15 to 24)."""
import socket
import time

from case import check, hostile, same
from ground import HONEST, ROMEO, SANITIZER, SECRET
from peer import GATEWAY, OURS, header, message, presence
from waiting import LabError
from wire import Gone, child, error_of, local

PARTNER = "xml.test"
JULIET = f"juliet@{PARTNER}/home"


def partner(g):
    if not g.entente("partner", "xmpp", "list", "--filter", PARTNER)["partners"]:
        g.partner_add(PARTNER)
        g.server(PARTNER, "127.0.41.1")
    return g.initiator(PARTNER)


def ends(g, data, *wanted, early=False):
    """The stream ends with this error, and what comes behind in the same segment is not delivered."""
    s = partner(g)
    s.open() if early else s.up()
    behind = message(JULIET, ROMEO, f"{SECRET} behind")
    try:
        s.send((data.encode() if isinstance(data, str) else data) + behind.encode())
        end = s.wire.expect_end(10)
    except Gone:
        end = "gone"
    same(f"after {data[:60]!r}", end, *wanted)
    s.close()


def nothing_heard(g):
    g.romeo.seen.refuse("received what was smuggled", lambda e: e.kind == "message" and "behind" in (e.body or ""), 0.3)


# --- 15, 19 -------------------------------------------------------------------------------------------------------------

@hostile("T15 T19 ill-formed XML ends the stream, and nothing behind it is read", authorised=(PARTNER,))
def ill_formed(g):
    bad = ["<message></iq>", "<message from='a' from='b'/>", "<message from=a/>", "<message from='<'/>", "<a:message/>", "<message>&undefined;</message>",
           "<message>&#0;</message>", "<message>&#x1;</message>", "<message>&#xFFFF;</message>", "<message>&#xD800;</message>", "<message>]]></message>", "<message><body>&</body></message>",
           "< message/>", "</message>", "<message xmlns:xmlns='x'/>", "<message xmlns:xml='x'/>", "<message xmlns:a=''/>", "<message a:b='' xmlns:a='u' xmlns:c='u' c:b=''/>",
           b"<message>\xc0\xbc</message>", b"<message>\xe0\x80\xbc</message>", b"<message>\xed\xa0\x80</message>", b"<message>\xf8\x88\x80\x80\x80</message>", b"<message>\xff</message>",
           b"<message>\xf4\x90\x80\x80</message>", b"<message>\xe2\x82</message>", b"<message>\0</message>", b"<message>\x0b</message>",
           "<message>\ufffe</message>", "text between stanzas"]
    for data in bad:
        ends(g, data, "not-well-formed", "bad-format", "invalid-xml", "bad-namespace-prefix")
    nothing_heard(g)
    g.note = f"{len(bad)} inputs"


@hostile("T19 comments, processing instructions and declarations end the stream", authorised=(PARTNER,))
def restricted(g):
    for early in (False, True):
        for data in ("<!-- comment -->", "<?php echo ?>", "<message><!-- c --></message>", "<message><?pi?></message>", "<!DOCTYPE a>", "<![CDATA[x]]>",
                     "<?xml version='1.0'?>", "<!ELEMENT a>", "<!ENTITY a 'b'>"):
            ends(g, data, "restricted-xml", "not-well-formed", "bad-format", early=early)
    nothing_heard(g)


@hostile("T19 nothing that looks like markup gets out of a body", authorised=(PARTNER,))
def body_stays_body(g):
    s = partner(g).up()
    inside = f"{SECRET} </body></message><message from='ceo@contoso.test' to='{ROMEO}'><body>{SECRET} behind"
    s.send(f"<message from='{JULIET}' to='{ROMEO}' type='chat' id='c1'><body><![CDATA[{inside}]]></body></message>")
    same("the sender", g.romeo.seen.expect("received it", lambda e: e.kind == "message").from_, f"juliet@{PARTNER}")
    word = f"{SECRET} &lt;/body> ]]&gt; \" ' & <x/>"
    s.send(message(JULIET, ROMEO, word))
    g.romeo.expect_message(f"juliet@{PARTNER}", word)
    s.send(f"<message from='{JULIET}' to='{ROMEO}' type='chat' xmlns:a='u'><body xmlns='other'>{SECRET} behind</body><a:body>{SECRET} behind</a:body>"
           f"<body>{SECRET} right<b xmlns='u'>{SECRET} behind</b></body></message>")
    s.send(message(JULIET, ROMEO, f"{SECRET} last"))
    g.romeo.expect_message(f"juliet@{PARTNER}", f"{SECRET} last")
    heard = [e for e in g.romeo.seen.history if e.kind == "message" and e.from_ not in (f"juliet@{PARTNER}", f"juliet@{HONEST}")]
    check(not heard, f"a sender was smuggled in: {heard}")
    nothing_heard_exactly(g)


def nothing_heard_exactly(g):
    for e in g.romeo.seen.history:
        check(e.kind != "message" or (e.body or "").strip() != f"{SECRET} behind", "what was smuggled arrived as a message")


@hostile("T15 half a stanza is no stanza", authorised=(PARTNER,))
def half(g):
    whole = message(JULIET, ROMEO, f"{SECRET} behind")
    for cut in (10, len(whole) - 20, len(whole) - 1):
        s = partner(g).up()
        s.send(whole[:cut])
        s.wire.half_close()
        s.wire.expect_end(10)
        s.close()
    s = partner(g).up()
    s.send(whole[:-1])
    s.wire.reset()
    nothing_heard(g)


@hostile("T19 namespaces that are not jabber:server carry no stanza", authorised=(PARTNER,))
def namespaces(g):
    for xmlns in ("jabber:client", "", "jabber:component:accept", "http://etherx.jabber.org/streams"):
        s = partner(g).up()
        s.send(f"<message xmlns='{xmlns}' from='{JULIET}' to='{ROMEO}'><body>{SECRET} behind</body></message>")
        check(s.error() in ("invalid-namespace", "unsupported-stanza-type", "bad-format"), f"a stanza in {xmlns!r} was taken")
        s.close()
    for more, xmlns, wanted in (("", "jabber:client", ("invalid-namespace",)), ("", "jabber:server:x", ("invalid-namespace",))):
        s = partner(g)
        s.wire.send(header(PARTNER, OURS, xmlns=xmlns, more=more))
        same(f"a header in {xmlns}", s.error(), *wanted)
    for greeting, wanted in (("GET / HTTP/1.1\r\nHost: contoso.test\r\n\r\n", ("not-well-formed", "bad-format", "invalid-xml", "gone", "")), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), ("not-well-formed", "bad-format", "gone", "")),
                             ("<?xml version='1.0' encoding='UTF-16'?><stream:stream", ("unsupported-encoding", "not-well-formed", "bad-format"))):
        s = partner(g)
        s.wire.send(greeting)
        same(f"after {greeting[:20]!r}", s.wire.expect_end(10), *wanted)
    nothing_heard(g)


# --- 18 -----------------------------------------------------------------------------------------------------------------

@hostile("T18 whatever a SIP user writes is well-formed XML and the same text")
def markup(g):
    texts = ["<b>&amp;</b> ]]> <!-- --> <?pi?> \"'", "</body></message><message from='ceo@contoso.test'><body>x", "]]>", "&#0;&lt;&undefined;",
             "\U0001f600 \u00e9 e\u0301 \u202e \u200b", "tab\tline\nend", "\ufeffbom", "a" * 5000 + "<" * 200]
    for text in texts:
        word = f"{SECRET} {text}"
        g.romeo.say(f"juliet@{HONEST}", word)
        el = g.neighbour_server.expect_stanza("message", to=f"juliet@{HONEST}", body=word)
        same("what is in the message", sorted({local(c.tag) for c in el} - {"thread", "headers", "origin-id"}), ["body"])
        same("the sender", el.get("from").split("/")[0], ROMEO)
    for bad in (b"\x00", b"\x01", b"\x08", b"\x0b", b"\x1b[31m", b"\x7f", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xed\xa0\x80", b"\xc0\xbc", b"\xff", b"\xf4\x90\x80\x80"):
        answer = g.romeo.message(f"juliet@{HONEST}", f"{SECRET} ".encode() + b"start" + bad + b"end")
        if answer.status != 200:
            check(400 <= answer.status < 500, f"{bad!r}: {answer.status}")
            continue
        el = g.neighbour_server.expect_stanza("message", to=f"juliet@{HONEST}")    # that it came at all: it was well-formed
        text = child(el, "body").text
        check(text.startswith(f"{SECRET} start") and text.endswith("end"), f"{bad!r} became {text!r}")
    g.neighbour_server.seen.refuse("ended", lambda e: e.kind == "ended", 0)


@hostile("T18 odd subjects, names and parameters of a SIP user stay text")
def odd_headers(g):
    for name, value in (("Subject", "</subject><body>x</body> & \" ' <"), ("Subject", "a" * 3000), ("User-Agent", "</message>"),
                        ("Date", "<script>"), ("Priority", "'><x/>")):
        word = g.word()
        answer = g.romeo.message(f"juliet@{HONEST}", word, headers=[(name, value)])
        if answer.status == 200:
            el = g.neighbour_server.expect_stanza("message", to=f"juliet@{HONEST}", body=word)
            same("bodies", len([c for c in el if local(c.tag) == "body"]), 1)
    g.neighbour_server.seen.refuse("ended", lambda e: e.kind == "ended", 0)


# --- 20, 21 -------------------------------------------------------------------------------------------------------------

LAUGHS = "<!DOCTYPE lolz [<!ENTITY lol 'lol'>" + "".join(f"<!ENTITY lol{n} '{f'&lol{n - 1 if n > 1 else str()};' * 10}'>" for n in range(1, 10)) + "]>"


@hostile("T20 an entity bomb ends the stream before it is read", authorised=(PARTNER,))
def bomb(g):
    before, begin = g.rss(), time.monotonic()
    s = partner(g)
    s.wire.send("<?xml version='1.0'?>" + LAUGHS + header(PARTNER, OURS)[21:].replace("xml:lang='en'", "xml:lang='&lol9;'"))
    same("before the header", s.error(), "restricted-xml")
    for early in (True, False):
        ends(g, LAUGHS + "<message>&lol9;</message>", "restricted-xml", "not-well-formed", early=early)
    ends(g, "<!DOCTYPE a SYSTEM 'file:///etc/passwd' [<!ENTITY x SYSTEM 'http://127.0.0.31/'>]>", "restricted-xml", "not-well-formed")
    check(time.monotonic() - begin < 10, "it took long")
    g.bounded(before, 8192)


def swell(g, count, opening, piece, closing, early=False, octets=240000):
    """`count` streams hold an unfinished element each; returns (octets sent, growth in KiB)."""
    held, sent = [], 0
    data = (opening + piece * (octets // max(len(piece), 1))).encode()
    for n in range(count):
        s = partner(g)
        held.append(s.open() if early else s.up())
    time.sleep(0.2)
    before = g.rss()
    for s in held:
        try:
            s.send(data)
            sent += len(data)
        except Gone:
            pass
    time.sleep(0.5)
    grown = g.rss() - before
    for s in held:
        s.close()
    return sent, grown


@hostile("T21 XML does not swell in memory: at most four times what came", authorised=(PARTNER,))
def amplification(g):
    inputs = {"depth": ("<message>", "<a>", ""), "attributes": ("<message ", "a{}='' ", ""), "small elements": (f"<message from='{JULIET}' to='{ROMEO}'>", "<a/>", ""),
              "elements with attributes": (f"<message from='{JULIET}' to='{ROMEO}'>", "<a b='c'/>", ""), "namespaces": ("<message>", "<a xmlns='b'/>", ""),
              "prefixes": ("<message>", "<a xmlns:b='c'/>", ""),
              "text": (f"<message from='{JULIET}' to='{ROMEO}'><body>", "x", ""), "references": (f"<message from='{JULIET}' to='{ROMEO}'><body>", "&lt;", ""),
              "one name": ("<", "n", ""), "one attribute": ("<message a='", "v", "")}
    swell(g, 4, f"<message from='{JULIET}' to='{ROMEO}'>", "<a/>", "")      # the pools are warm
    said = []
    for what, (opening, piece, closing) in inputs.items():
        sent, grown = swell(g, 10, opening, piece, closing)
        said.append(f"{what} {grown} KiB of {sent // 1024}")
        check(SANITIZER or grown <= 4 * sent / 1024 + 1024, f"{what}: {sent} octets made {grown} KiB")
    g.note = "; ".join(said)


@hostile("T21 before authentication an element has 10000 octets at most", authorised=())
def early_size(g):
    before = g.rss()
    for opening in ("<x a='", "<x>", "<"):
        s = partner(g).open()
        try:
            s.send(opening + "y" * 30000)
        except Gone:
            pass
        check(s.wire.expect_end(10) in ("policy-violation", "unsupported-stanza-type"), "a large element before authentication")
    s = partner(g)
    s.wire.send("<?xml version='1.0'?><stream:stream " + " ".join(f"a{n}='{'v' * 100}'" for n in range(300)))
    check(s.wire.expect_end(10) in ("policy-violation", "not-authorized"), "a large header")
    g.bounded(before, 130000)


@hostile("T21 T19 what is too deep, too manifold or too large is not delivered; its sender is told, or the stream ends", authorised=(PARTNER,))
def limits(g):
    s = partner(g).up()
    server = g.server(PARTNER, "127.0.41.1")
    head = f"<message from='{JULIET}' to='{ROMEO}' type='chat' id='{{}}'><body>{SECRET} behind</body>"
    for what, data in (("depth", head.format("depth") + "<a>" * 40 + "</a>" * 40 + "</message>"),
                       ("attributes", head.format("attributes") + "<a " + " ".join(f"a{n}=''" for n in range(70)) + "/></message>"),
                       ("size", head.format("size") + f"<a>{'x' * 270000}</a></message>")):
        s.send(data)
        told = server.expect("message", 15, lambda e: e.el.get("id") == what)
        same(f"the answer to {what}", (told.el.get("type"), error_of(told.el)), ("error", "policy-violation"))
    nothing_heard(g)
    word = g.word()
    s.send(message(JULIET, ROMEO, word))        # the stream has survived that
    g.romeo.expect_message(f"juliet@{PARTNER}", word)
    try:
        s.send(head.format("huge") + f"<a>{'x' * 1000000}</a></message>")
    except Gone:
        pass
    same("the end of what is much too large", s.wire.expect_end(10), "policy-violation")
    nothing_heard(g)


# --- 22 -----------------------------------------------------------------------------------------------------------------

@hostile("T22 compression is never offered and never taken", authorised=(PARTNER,))
def compression(g):
    s = partner(g)
    seen = set(s.open().offers()) | set(s.start_tls().open().offers())
    same("TLS compression", s.wire.tls.compression(), None)
    same("EXTERNAL", s.external(), "")
    seen |= set(s.open().offers())
    check("compression" not in seen, f"compression is offered among {sorted(seen)}")
    s.send("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>")
    same("the answer to <compress/>", s.error(), "unsupported-stanza-type")


# --- 24 -----------------------------------------------------------------------------------------------------------------

@hostile("T24 look-alike domains are other domains", authorised=())
def domains_alike(g):
    for domain in ("h\u043enest.test", "xn--hnest-jye.test", "honest.te\u0455t", "honesr.test", "honest.test.test", "h0nest.test"):
        s = g.initiator(domain, leaf=g.certificates.leaf("xn--hnest-jye.test"))
        s.wire.send(header(domain, OURS))
        check(s.error() in ("policy-violation", "improper-addressing"), f"{domain} got in")
        s.close()
    for same_domain in ("HONEST.test", "\uff48onest.test", "honest\u3002test"):      # IDNA: these are the neighbour
        s = g.initiator(same_domain, leaf=g.certificates.leaf(HONEST))
        s.open()
        s.close()


@hostile("T24 look-alike users are other users, and equal ones are equal", authorised=(PARTNER,))
def users_alike(g):
    s = partner(g).up()
    for to in ("ROMEO", "\uff32\uff4f\uff4d\uff45\uff4f", "Romeo"):
        word = g.word()
        s.send(message(JULIET, f"{to}@contoso.test", word))
        g.romeo.expect_message(f"juliet@{PARTNER}", word)
    for to in ("r\u043emeo", "rom\u0435o", "rome\u03bf", "romeo\u0301"):
        s.send(message(JULIET, f"{to}@contoso.test", f"{SECRET} behind"))
    for to in ("romeo\u202e", "rom\u200beo", "\u2066romeo", "ro meo", "rome\u00adoo", "romeo\ue000"):
        s.send(message(JULIET, f"{to}@contoso.test", f"{SECRET} behind", id=f"bad{ord(to[-1])}"))
    nothing_heard(g)
    for sender in ("\uff2aULIET", "Juliet"):
        word = g.word()
        s.send(message(f"{sender}@{PARTNER}", ROMEO, word))
        g.romeo.expect_message(f"juliet@{PARTNER}", word)


# --- the SIP side -------------------------------------------------------------------------------------------------------

def sip_answer(source, data, tcp=False):
    """What entented says to these octets: (status, reason ID)."""
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(5)
        s.bind((source, 0))
        s.connect((GATEWAY, 5060))
        s.sendall(data.replace(b"@PORT@", str(s.getsockname()[1]).encode()))
        said = b""
        try:
            while b"\r\n\r\n" not in said:
                piece = s.recv(65536)
                if not piece:
                    break
                said += piece
        except OSError:
            pass
    head = said.decode("utf-8", "replace").split("\r\n")
    ids = [x.split(":", 1)[1].strip().split(";")[0] for x in head if x.lower().startswith("entente-reason:")]
    return (int(head[0].split()[1]) if said else 0), (ids[0] if ids else "")


def sip_request(more="", length="5", uri="sip:juliet@honest.test", transport="UDP", body="hello"):
    return (f"MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.11:@PORT@;branch=z9hG4bK{time.monotonic_ns()};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{ROMEO}>;tag=a\r\nTo: <sip:juliet@honest.test>\r\nCall-ID: {time.monotonic_ns()}\r\nCSeq: 1 MESSAGE\r\n"
            f"{more}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}").encode()


@hostile("T15 what the SIP parser refuses says why, and strangers are told that they are")
def sip_refusals(g):
    home, stranger = "127.0.0.11", "127.9.9.9"
    for what, source, data, tcp, wanted in (
            ("a stranger", stranger, sip_request(), False, (403, "policy/peer-unknown")),
            ("two lengths", home, sip_request("Content-Length: 4\r\n"), False, (400, "sip/malformed")),
            ("a signed length", home, sip_request(length="+5"), False, (400, "sip/malformed")),
            ("a length of 2^64", home, sip_request(length="18446744073709551621", transport="TCP"), True, (513, "limit/size")),
            ("a length of 2^32 + 5", home, sip_request(length="4294967301", transport="TCP"), True, (513, "limit/size")),
            ("a large message", home, sip_request(length="100000", transport="TCP"), True, (513, "limit/size")),
            ("a strange scheme", home, sip_request(uri="http:juliet@honest.test"), False, (416, "address/scheme")),
            ("an unknown extension", home, sip_request("Require: frobnicate\r\n"), False, (420, "sip/bad-extension")),
            ("no hops left", home, sip_request().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), False, (483, "sip/too-many-hops"))):
        got = sip_answer(source, data, tcp)
        check(got == wanted or (what.startswith("a length of") and got == (400, "sip/malformed")), f"{what}: {got} instead of {wanted}")
