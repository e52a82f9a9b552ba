# SPDX-License-Identifier: Apache-2.0
"""Sessions by MSRP (RFC 4975, 7573) with a home whose clients offer them, and a client written from the RFCs (../lab/msrpuser.py)."""
import peers
from scenario import MARKUP, STRANGE, befriend, check, check_status, scenario

SETTINGS = """timers:
  notify-interval: 200ms
msrp:
  listen:
    - {address: 127.0.0.12}
    - {address: 127.0.0.12, port: 2856, transport: tls}
  clients: [127.0.1.0/24, 127.0.0.61]
  max-message: 20000
"""
LONG = "".join(f"{n} Grüße, " for n in range(700))


def msrp(name, **options):
    def add(function):
        scenario(name, peers=["prosody"], settings=SETTINGS, **options)(function)
        return function
    return add


def couple(lab, **options):
    """A SIP user with MSRP, an XMPP user. The home is known for MSRP, as one of its users has offered it."""
    name, other = lab.names()
    romeo, juliet = lab.msrp_user(name), lab.xmpp_user(other, **options)
    return romeo, juliet


def known(lab):
    """What is found out about a home when one of its users offers MSRP."""
    romeo, juliet = couple(lab)
    check_status(romeo.open(juliet.name).end(), 200)


@msrp("a SIP user opens a session: texts both ways, long ones in chunks of any order, then it leaves")
def opened_by_sip(lab):
    romeo, juliet = couple(lab)
    call = romeo.open(juliet.name)
    for text in ("Wherefore?", STRANGE, MARKUP, LONG[:6000]):
        romeo.send(text)
        juliet.expect_message(romeo.name, text)
        juliet.message(romeo.name, text)
        check(romeo.expect_text(text).type.startswith("text/plain"), "a text is text/plain")
    romeo.send(LONG[:6000] + "!", size=700, order=lambda chunks: chunks[::-1])
    juliet.expect_message(romeo.name, LONG[:6000] + "!")
    id = romeo.send("once")
    romeo.send("once", id=id)   # repeated: acknowledged, not shown again (5.4)
    romeo.send("after it")
    juliet.expect_message(romeo.name, "once")
    juliet.expect_message(romeo.name, "after it")
    check(sum(e.kind == "message" and e.body == "once" for e in juliet.seen.history) == 1, "a repetition is not shown")
    check(romeo.their["max-size"] == "20000", "max-size is what we take")
    check_status(call.end(), 200)
    romeo.check()


@msrp("an XMPP user opens a session, the client is {setup}", each={"setup": ["passive"]})
@msrp("an XMPP user opens a session, the client is {setup}", each={"setup": ["active", "silent"]}, rare=True)
def opened_by_xmpp(lab, setup):
    known(lab)
    romeo, juliet = couple(lab)
    for text in ("one", "two", LONG):
        juliet.message(romeo.name, text)
    romeo.take(juliet.name, None if setup == "silent" else setup)
    check([romeo.expect_text().body for _ in range(3)] == ["one", "two", LONG], "texts come in their order")
    romeo.send("back")
    juliet.expect_message(romeo.name, "back")
    check(romeo.line == 1, "one connection is enough")
    romeo.check()


@msrp("TLS: the certificate is {proof}", each={"proof": ["trusted by its name"]})
@msrp("TLS: the certificate is {proof}", each={"proof": ["that of the description", "another one"]}, rare=True)
def tls(lab, proof):
    known(lab)
    romeo, juliet = couple(lab)
    romeo.secure, romeo.certs = ("home", lab.certs)
    romeo.fingerprint = {"trusted by its name": None, "that of the description": lab.fingerprint("home"), "another one": lab.fingerprint("fabrikam")}[proof]
    call = romeo.open(juliet.name, "passive")      # entented connects
    if proof == "another one":
        romeo.expect_request("BYE")
        return
    romeo.seen.expect("a SEND without a text", lambda e: e.kind == "bodiless", 20)
    juliet.message(romeo.name, "by TLS")
    romeo.expect_text("by TLS")
    check_status(call.end(), 200)
    call = romeo.open(juliet.name)                  # romeo connects
    romeo.send("to the name of the server")
    juliet.expect_message(romeo.name, "to the name of the server")
    romeo.check()


@msrp("what is refused: too large, a type, a session that is not, a stranger; the session goes on")
def refused(lab):
    romeo, juliet = couple(lab)
    romeo.open(juliet.name)
    romeo.send(LONG * 3, status=413, order=lambda chunks: chunks[:1])     # at the first chunk, by its total (RFC 7573 8)
    romeo.send(b"\x89PNG", kind="image/png", status=415)
    true, romeo.peer = romeo.peer, romeo.peer.replace(";tcp", "x;tcp")
    check(romeo.status(romeo.frame("SEND", [("Message-ID", "nobody")])) == 481, "no such session")
    romeo.peer = true
    first = romeo.socket
    romeo.connect_again()
    check(romeo.status(romeo.frame("SEND", [("Message-ID", "second")])) == 506, "the session has its connection")
    romeo.socket = first
    romeo.send("unharmed")
    juliet.expect_message(romeo.name, "unharmed")
    for answer, condition in ((403, "forbidden"), (413, "policy-violation"), (415, "not-acceptable")):
        romeo.answer = answer
        id = juliet.message(romeo.name, f"refused {answer}")
        juliet.expect_error(romeo.name, condition, id)
    romeo.answer = 200
    juliet.message(romeo.name, "taken")
    romeo.expect_text("taken")
    romeo.check()


@msrp("the connection is cut before the answer: the text comes again in a new session, as the same message")
def cut_off(lab):
    romeo, juliet = couple(lab)
    romeo.open(juliet.name)
    romeo.answer = None
    juliet.message(romeo.name, "did it arrive?")
    first = romeo.expect_text("did it arrive?")
    romeo.answer = 200
    romeo.hang_up()
    romeo.take(juliet.name, "passive")
    again = romeo.expect_text("did it arrive?")
    check(again.id == first.id, "the Message-ID tells that it is the same one (RFC 4975 5.4)")
    juliet.message(romeo.name, "and on")
    romeo.expect_text("and on")
    check(not [e for e in juliet.seen.history if e.kind == "error"], "nobody is told that it failed")
    romeo.check()


@msrp("clients behind a relay (Kamailio): whoever opens the session, texts both ways")
def relayed(lab):
    relay = peers.msrp_relay(lab.run)
    relay.start()
    try:
        for opens in ("romeo", "juliet"):
            romeo, juliet = couple(lab)
            romeo.ask_relay("msrp://127.0.0.61:2855;tcp")
            if opens == "romeo":
                call = romeo.open(juliet.name)
            else:
                juliet.message(romeo.name, "first")
                call = romeo.take(juliet.name, "active")      # Kamailio would open a second connection else, which is refused (506)
                romeo.expect_text("first")
            for text in (STRANGE, LONG[:5000]):
                romeo.send(text)
                juliet.expect_message(romeo.name, text)
                juliet.message(romeo.name, text)
                romeo.expect_text(text)
            check_status(call.end(), 200)
            romeo.check()
    finally:
        relay.stop()


ACTIVE = "<?xml version='1.0'?><isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state><refresh>90</refresh></isComposing>"


@msrp("typing and receipts both ways: RFC 3994 in a SEND, REPORT")
def signals(lab):
    romeo, juliet = couple(lab)
    romeo.online()
    befriend(romeo, juliet)
    call = romeo.open(juliet.name)
    juliet.chat(romeo.name, "hello", "active")      # her client knows of chat states
    romeo.expect_text("hello")
    romeo.send(ACTIVE, kind="application/im-iscomposing+xml")
    juliet.expect_state(romeo.name, "composing")
    number = romeo.send("did you get it?", headers=[("Success-Report", "yes")])
    asked = juliet.expect_message(romeo.name, "did you get it?")
    juliet.received(romeo.name, asked.id)
    check(romeo.expect_report(number).status.startswith("000 200"), "a receipt is a REPORT of 200")
    juliet.chat(romeo.name, state="composing")
    check("active" in romeo.expect_text().body, "composing is active")
    mine = juliet.chat(romeo.name, "and you?", receipt=True)
    text = romeo.expect_text("and you?")
    check(text.success == "yes", "a receipt that is asked for is Success-Report: yes")
    juliet.seen.refuse("got a receipt before there was a REPORT", lambda e: e.receipt == mine, 0.3)
    romeo.report(text.id, len("and you?"))
    juliet.expect_receipt(romeo.name, mine)
    check_status(call.end(), 200)
    romeo.check()
