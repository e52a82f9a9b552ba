# SPDX-License-Identifier: Apache-2.0
"""That a text has come, or has been read: XEP-0184 and XEP-0333, IMDN (RFC 5438), the answers in a session (interworking 4.4)."""
import re
import zlib

from lync_setting import couple, lync
from scenario import MODERN, befriend, check, check_status, scenario

CPIM = ("From: <sip:{0}>\r\nTo: <sip:{1}>\r\nDateTime: 2026-11-22T05:00:00Z\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {2}\r\n"
        "imdn.Disposition-Notification: {3}\r\n\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{4}")
NOTICE = ('<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="urn:ietf:params:xml:ns:imdn"><message-id>{}</message-id><datetime>2026-11-22T05:00:01Z</datetime>'
          "<{}-notification><status><{}/></status></{}-notification></imdn>")


def watched(lab, **options):
    """A SIP user whose presence the XMPP user sees."""
    name, other = lab.names()
    romeo, juliet = lab.sip_user(name), lab.xmpp_user(other, **options)
    befriend(romeo, juliet)
    return romeo, juliet


def ask(romeo, juliet, text, wanted="positive-delivery, negative-delivery, display", number="34jk324j"):
    return romeo.message(juliet.name, CPIM.format(romeo.name, juliet.name, number, wanted, text), content_type="message/cpim")


def notice(event):
    """(message-id, delivery or display, status) of a notification that came to a SIP user."""
    body = event.raw.body
    if event.raw.get("content-encoding") == "deflate":
        body = zlib.decompress(body)
    found = re.search(r"<message-id>([^<]*)</message-id>.*<(delivery|display)-notification>\s*<status>\s*<(\w+)", body.decode(), re.S)
    check(found, f"that is no notification: {body[:300]!r}")
    return found.groups()


def no_texts(juliet, *wanted):
    """What came as text is this."""
    texts = [e.body for e in juliet.seen.history if e.kind == "message" and e.body]
    check(texts == list(wanted), f"{juliet.name} saw the texts {texts}")


@lync("in a session the client's answer is the receipt; a text that is refused gets none")
def by_answer(lab):
    ann, juliet = couple(lab)
    juliet.subscribe(ann.name)
    juliet.expect_presence(ann.name, "subscribed")
    number = juliet.chat(ann.name, "one", receipt=True)
    juliet.expect_receipt(ann.name, number)
    ann.message_answer = (606, "Not Acceptable", {"Warning": '309 sip.fourthcoffee.test "Incompatible content"'})
    number = juliet.chat(ann.name, "two", receipt=True)
    juliet.expect_error(ann.name, id=number)
    juliet.seen.refuse("got a receipt, too", lambda e: e.receipt == number, 0.5)


@scenario("linphone: texts both ways, and its notifications are receipts, never texts", peers=["prosody"])
def with_linphone(lab):
    name, other = lab.names()
    romeo, juliet = lab.linphone(name), lab.xmpp_user(other, receipts=True)
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    numbers = [juliet.chat(romeo.name, f"to linphone {n}", "active", receipt=True) for n in range(3)]
    for n in range(3):
        romeo.expect_message(juliet.name, f"to linphone {n}")
    romeo.message(juliet.name, "from linphone")
    juliet.expect_message(romeo.name, "from linphone")
    for number in numbers:
        juliet.expect_receipt(romeo.name, number)
    no_texts(juliet, "from linphone")


@scenario("a SIP client asks in CPIM: the receipt and the marker of the XMPP user's client come back as IMDN", peers=MODERN)
def asked_by_sip(lab):
    romeo, juliet = watched(lab, receipts=True)
    check_status(ask(romeo, juliet, "have you got this?"), 200, 202)
    seen = juliet.expect_message(romeo.name, "have you got this?")
    check(seen.request and seen.markable, f"her client was not asked: {seen.raw}")
    told = notice(romeo.expect_message(juliet.name))
    check(told == ("34jk324j", "delivery", "delivered"), f"he was told {told}")
    juliet.displayed(romeo.name, seen.id)
    told = notice(romeo.expect_message(juliet.name))
    check(told == ("34jk324j", "display", "displayed"), f"he was told {told}")


@scenario("a client that asks for nothing is told nothing, and a stranger's notification about nothing goes nowhere", peers=["prosody"])
def forged(lab):
    romeo, juliet = watched(lab, receipts=True)
    mercutio = lab.sip_user(romeo.name.split("@")[0].replace("romeo", "mercutio"))
    romeo.say(juliet.name, "plain")
    seen = juliet.expect_message(romeo.name, "plain")
    juliet.received(romeo.name, seen.id)
    juliet.displayed(romeo.name, seen.id)
    romeo.expect_no_message(juliet.name, 0.5)
    number = juliet.chat(romeo.name, "plain, too", receipt=True)
    mine = romeo.expect_message(juliet.name)
    for who in (mercutio, romeo):
        for made_up in ("made-up", "../../etc", mine.raw.get("call-id") if who is mercutio else "other"):
            check_status(who.message(juliet.name, NOTICE.format(made_up, "delivery", "delivered", "delivery"), content_type="message/imdn+xml"), 200, 202, "4xx")
    check_status(romeo.message(juliet.name, "<imdn", content_type="message/imdn+xml"), 200, 202, "4xx")
    bomb = zlib.compress(NOTICE.format("x" * 30_000_000, "delivery", "delivered", "delivery").encode())
    check_status(romeo.message(juliet.name, bomb, content_type="message/imdn+xml", headers=[("Content-Encoding", "deflate")]), 200, 202, "4xx", 513)
    juliet.seen.refuse("got a receipt", lambda e: e.receipt == number, 0.5)
    no_texts(juliet, "plain")
    romeo.say(juliet.name, "unharmed")
    juliet.expect_message(romeo.name, "unharmed")


@scenario("corrections and reactions: what SIP users see of them", peers=["prosody"])
def corrected(lab):
    romeo, juliet = lab.couple()
    number = juliet.chat(romeo.name, "I love the mon")
    romeo.expect_message(juliet.name, "I love the mon")
    juliet.chat(romeo.name, "I love the moon", replace=number)
    seen = romeo.expect_message(juliet.name)
    check(seen.body.endswith("I love the moon") and seen.body != "I love the moon", f"a correction is to be marked as one: {seen.body!r}")
    juliet.message(romeo.name, extra=f"<reactions xmlns='urn:xmpp:reactions:0' id='{number}'><reaction>\U0001f44d</reaction></reactions>")
    juliet.message(romeo.name, "This message is encrypted", extra="<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>"
                   "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AAAA</payload></encrypted>", id="sealed")
    juliet.expect_error(romeo.name, "not-acceptable", id="sealed")
    romeo.expect_no_message(juliet.name, 0.5)


@scenario("several devices: the answer goes to the one that wrote last, copies to the other", peers=MODERN)
def devices(lab):
    romeo, juliet = lab.couple()
    phone = lab.xmpp_user(juliet.name, "phone")
    for device in (juliet, phone):
        device.carbons()
    phone.chat(romeo.name, "from the phone", "active")
    romeo.expect_message(juliet.name, "from the phone")
    juliet.expect_carbon("sent", "from the phone")
    romeo.say(juliet.name, "to you")
    seen = [d.seen.expect("got it, or a copy", lambda e: e.body == "to you", 10) for d in (juliet, phone)]
    check(any(e.kind == "message" for e in seen), f"nobody got it: {seen}")
