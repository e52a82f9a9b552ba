# SPDX-License-Identifier: Apache-2.0
"""What a message may contain, and what crosses of it (interworking 4.1 to 4.3)."""
from scenario import check, check_status, reason_of, scenario


@scenario("subject both ways")
def subject(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "text", headers=[("Subject", "Über den Balkon")])
    check(juliet.expect_message(romeo.name, "text").subject == "Über den Balkon", "the subject did not reach XMPP")
    juliet.message(romeo.name, "text", subject="Über den Garten")
    check(romeo.expect_message(juliet.name, "text").subject == "Über den Garten", "the subject did not reach SIP")


@scenario("language both ways")
def language(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "ciao", headers=[("Content-Language", "it")])
    message = juliet.expect_message(romeo.name, "ciao")
    check('lang="it"' in message.raw, f"no xml:lang in {message.raw}")
    juliet.message(romeo.name, "buona sera", language="it")
    check(romeo.expect_message(juliet.name, "buona sera").raw.get("content-language") == "it", "no Content-Language")


@scenario("of bodies in several languages the one without a language is taken")
def languages(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, {"de": "guten Abend", None: "good evening", "fr": "bonsoir"})
    romeo.expect_message(juliet.name, "good evening")


@scenario("ISO-8859-1 from SIP becomes UTF-8")
def charset(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "Grüße".encode("latin-1"), content_type="text/plain;charset=ISO-8859-1")
    juliet.expect_message(romeo.name, "Grüße")


@scenario("control characters from SIP break no stream")
def control_characters(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "a\x01b\x08c")
    juliet.expect_message(romeo.name, "a\ufffdb\ufffdc")
    romeo.say(juliet.name, "and on")
    juliet.expect_message(romeo.name, "and on")


@scenario("octets that are no UTF-8 break no stream")
def not_utf8(lab):
    romeo, juliet = lab.couple()
    answer = romeo.message(juliet.name, b"caf\xe9 \xff\xfe")
    check_status(answer, "2xx", 400)
    romeo.say(juliet.name, "and on")
    juliet.expect_message(romeo.name, "and on")


@scenario("an unsupported content type is answered 415 with Accept")
def unsupported(lab):
    romeo, juliet = lab.couple()
    answer = romeo.message(juliet.name, b"\x89PNG", content_type="image/png")
    check_status(answer, 415)
    check("text/plain" in (answer.get("accept") or ""), "the answer has no Accept with text/plain")
    check(reason_of(answer) == "content/unsupported-type", f"the reason is {reason_of(answer)!r}")
    juliet.expect_no_message(romeo.name, 1)


@scenario("of an alternative the text crosses")
def alternative(lab):
    romeo, juliet = lab.couple()
    body = ('--edge\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\nplain wörds\r\n'
            '--edge\r\nContent-Type: text/html\r\n\r\n<b>plain</b> w&ouml;rds\r\n--edge--\r\n')
    romeo.say(juliet.name, body, content_type='multipart/alternative;boundary="edge"')
    check("plain w" in juliet.expect_message(romeo.name).body, "not the text")


@scenario("a chat state, a receipt or an unknown payload alone is no message")
def no_body(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, extra='<composing xmlns="http://jabber.org/protocol/chatstates"/>')
    juliet.message(romeo.name, extra='<received xmlns="urn:xmpp:receipts" id="1"/>')
    juliet.message(romeo.name, extra='<thing xmlns="urn:example:unknown"/>')
    romeo.expect_no_message(juliet.name, 1.5)
    juliet.message(romeo.name, "text", extra='<active xmlns="http://jabber.org/protocol/chatstates"/>')
    romeo.expect_message(juliet.name, "text")


@scenario("a typing indication from SIP is no text")
def composing(lab):
    romeo, juliet = lab.couple()
    body = ('<?xml version="1.0"?><isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing"><state>active</state>'
            '</isComposing>')
    romeo.message(juliet.name, body, content_type="application/im-iscomposing+xml")
    juliet.expect_no_message(romeo.name, 1)


@scenario("headline crosses, groupchat is refused")
def types(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "news", kind="headline")
    romeo.expect_message(juliet.name, "news")
    juliet.message(romeo.name, "normal", kind="normal")
    romeo.expect_message(juliet.name, "normal")
    number = juliet.message(romeo.name, "to the room", kind="groupchat")
    juliet.expect_error(romeo.name, "service-unavailable", id=number)
    romeo.expect_no_message(juliet.name, 1)


@scenario("an error from XMPP that nobody waits for becomes nothing")
def stray_error(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "was it you?", kind="error",
                   extra='<error xmlns="jabber:client" type="cancel">'
                         '<item-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>')
    romeo.expect_no_message(juliet.name, 1.5)
    juliet.seen.refuse("got an answer to an error", lambda e: e.kind == "error", 0)


@scenario("an encrypted message is refused in words")
def encrypted(lab):
    romeo, juliet = lab.couple()
    number = juliet.message(romeo.name, "This message is encrypted.",
                            extra='<encryption xmlns="urn:xmpp:eme:0" namespace="eu.siacs.conversations.axolotl"/>')
    error = juliet.expect_error(romeo.name, "not-acceptable", id=number)
    check("encrypted" in (error.text or ""), f"the text is {error.text!r}")
    romeo.expect_no_message(juliet.name, 1)


@scenario("an expired message is not shown")
def expired(lab):
    romeo, juliet = lab.couple()
    written = [("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Expires", "60")]
    check_status(romeo.message(juliet.name, "too late", headers=written), "2xx")
    juliet.expect_no_message(romeo.name, 1)


@scenario("addresses with characters that only one side knows")
def addresses(lab):
    sip, xmpp = lab.names()
    romeo = lab.sip_user(sip)
    omalley = lab.xmpp_user(rf"o\27malley{xmpp}@fabrikam.test")
    romeo.say(f"sip:o'malley{xmpp}@fabrikam.test", "top of the morning")
    omalley.expect_message(romeo.name, "top of the morning")
    omalley.message(romeo.name, "and to you")
    romeo.expect_message(f"o'malley{xmpp}@fabrikam.test", "and to you")
    romeo.say(f"sip:O%27MALLEY{xmpp}@Fabrikam.TEST", "again")
    omalley.expect_message(romeo.name, "again")
