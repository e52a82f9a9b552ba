# SPDX-License-Identifier: Apache-2.0
"""Messages, both ways (interworking 4.1 and 4.2)."""
from scenario import MARKUP, STRANGE, check, check_status, scenario


def both_ways(romeo, juliet, text):
    romeo.say(juliet.name, text)
    juliet.expect_message(romeo.name, text)
    juliet.message(romeo.name, text)
    romeo.expect_message(juliet.name, text)


@scenario("plain text both ways, between strangers")
def plain(lab):
    romeo, juliet = lab.couple()
    both_ways(romeo, juliet, "Wherefore art thou?")


@scenario("non-ASCII both ways")
def non_ascii(lab):
    romeo, juliet = lab.couple()
    both_ways(romeo, juliet, STRANGE)


@scenario("markup characters both ways")
def markup(lab):
    romeo, juliet = lab.couple()
    both_ways(romeo, juliet, MARKUP)


@scenario("several lines both ways: CRLF for SIP, LF for XMPP")
def lines(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "one\r\ntwo\r\n\r\nfour")
    juliet.expect_message(romeo.name, "one\ntwo\n\nfour")
    juliet.message(romeo.name, "one\ntwo\n\nfour")
    romeo.expect_message(juliet.name, "one\r\ntwo\r\n\r\nfour")


@scenario("long text both ways is whole")
def long_text(lab):
    romeo, juliet = lab.couple(transport="tcp")
    text = "".join(f"{n:06d} " for n in range(1500))    # 10,500 octets, every place different
    both_ways(romeo, juliet, text.rstrip())


@scenario("too long a text from XMPP comes back as policy-violation")
def too_long_from_xmpp(lab):
    romeo, juliet = lab.couple(transport="tcp")
    number = juliet.message(romeo.name, "x" * 60000)
    error = juliet.expect_error(romeo.name, "policy-violation", id=number)
    check(error.error_type == "modify", f"the error type should be modify, but is {error.error_type}")
    romeo.expect_no_message(juliet.name, 1)
    both_ways(romeo, juliet, "short again")


@scenario("an empty text crosses in neither direction")
def empty(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "")
    romeo.expect_no_message(juliet.name, 1)
    check_status(romeo.message(juliet.name, ""), "2xx", 400)
    juliet.expect_no_message(romeo.name, 1)
    both_ways(romeo, juliet, "not empty")


@scenario("many messages arrive in order")
def order(lab):
    romeo, juliet = lab.couple()
    texts = [f"line {n}" for n in range(15)]
    for text in texts:
        romeo.say(juliet.name, text)
        juliet.message(romeo.name, text)
    seen = [juliet.expect_message(romeo.name).body for _ in texts]
    check(seen == texts, f"the XMPP user saw {seen}")
    seen = [romeo.expect_message(juliet.name).body for _ in texts]
    check(seen == texts, f"the SIP user saw {seen}")


@scenario("type chat, and an id, towards XMPP")
def type_chat(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "hello")
    message = juliet.expect_message(romeo.name, "hello")
    check(message.type in (None, "normal", "chat"), f"the message has type {message.type}")
    check(message.id, "the message has no id")
    check(not message.thread, "a single message should open no thread")


@scenario("a message to one device of an XMPP user reaches that device only")
def reply_to_device(lab):
    romeo, juliet = lab.couple()
    phone = lab.xmpp_user(juliet.name, "phone")
    phone.message(romeo.name, "from my phone")
    message = romeo.expect_message(juliet.name, "from my phone")
    check(message.instance is None, f"From should have no gr (interworking 1.3 step 7), but has {message.instance}")
    romeo.say(f"sip:{juliet.name};gr=phone", "to your phone")
    phone.expect_message(romeo.name, "to your phone")
    juliet.seen.refuse("received the message for the other device",
                       lambda e: e.kind == "message" and e.body == "to your phone" and e.type is not None, 1)


@scenario("a message to a user of several devices reaches one")
def several_devices(lab):
    romeo, juliet = lab.couple()
    juliet.show(priority=1)
    phone = lab.xmpp_device(juliet.name, "phone").login(present=False)
    phone.show(priority=5)
    romeo.say(juliet.name, "to whom it may concern")
    phone.expect_message(romeo.name, "to whom it may concern")


@scenario("a message to a SIP user of several devices reaches each")
def several_sip_devices(lab):
    romeo, juliet = lab.couple()
    desk = lab.sip_user(romeo.name.split("@")[0])
    juliet.message(romeo.name, "ring ring")
    desk.expect_message(juliet.name, "ring ring")
    romeo.expect_message(juliet.name, "ring ring")


@scenario("a message waits for an XMPP user who is away")
def stored(lab):
    sip, xmpp = lab.names()
    romeo = lab.sip_user(sip)
    juliet = lab.xmpp_user(xmpp)
    juliet.logout()
    answer = romeo.message(juliet.name, "for later")
    if answer.status >= 300:    # a server without offline storage says so
        check_status(answer, 403, 405, 480)
        return
    juliet.login()
    juliet.expect_message(romeo.name, "for later")
