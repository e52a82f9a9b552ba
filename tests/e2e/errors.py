# SPDX-License-Identifier: Apache-2.0
"""Errors that travel back (interworking 2.1, 2.2 and 2.3)."""
import time

from scenario import check, check_status, scenario

# what the SIP user answers -> condition and type that the XMPP user sees
ANSWERS = {403: ("forbidden", "auth"), 413: ("policy-violation", "modify"), 415: ("not-acceptable", "modify"),
           480: ("recipient-unavailable", "wait"), 486: ("recipient-unavailable", "wait"), 488: ("not-acceptable", "modify"),
           500: ("internal-server-error", "cancel"), 501: ("feature-not-implemented", "cancel"),
           513: ("policy-violation", "modify"), 600: ("recipient-unavailable", "wait"), 603: ("recipient-unavailable", "wait"),
           606: ("not-acceptable", "modify")}


@scenario("a SIP user who does not exist: service-unavailable")
def unknown_sip_user(lab):
    _, xmpp = lab.names()
    juliet = lab.xmpp_user(xmpp)
    number = juliet.message("nobody@contoso.test", "anybody home?")
    error = juliet.expect_error("nobody@contoso.test", "service-unavailable", id=number)
    check(error.error_type == "cancel", f"the type should be cancel, but is {error.error_type}")


@scenario("a SIP user who is not signed in: recipient-unavailable, wait")
def offline_sip_user(lab):
    _, xmpp = lab.names()
    juliet = lab.xmpp_user(xmpp)
    number = juliet.message("benvolio@contoso.test", "are you there?")
    error = juliet.expect_error("benvolio@contoso.test", "recipient-unavailable", id=number)
    check(error.error_type == "wait", f"the type should be wait, but is {error.error_type}")


@scenario("an XMPP user who does not exist: 4xx")
def unknown_xmpp_user(lab):
    sip, xmpp = lab.names()
    romeo = lab.sip_user(sip)
    check_status(romeo.message(f"ghost-{xmpp}@fabrikam.test", "anybody home?"), "4xx")


@scenario("a SIP user answers {status}", each={"status": list(ANSWERS)})
def answered(lab, status):
    romeo, juliet = lab.couple()
    phrase = "No & <never>"
    romeo.answer_messages(status, phrase, Retry_After="5")
    number = juliet.message(romeo.name, "hello?")
    condition, kind = ANSWERS[status]
    error = juliet.expect_error(romeo.name, condition, id=number)
    check(error.error_type == kind, f"the type should be {kind}, but is {error.error_type}")
    check(error.text and phrase in error.text, f"the text should carry the phrase, but is {error.text!r}")
    romeo.answer_messages()
    juliet.message(romeo.name, "and now?")
    romeo.expect_message(juliet.name, "and now?")


@scenario("addresses that cannot be: refused in the right words")
def impossible(lab):
    sip, _ = lab.names()
    romeo = lab.sip_user(sip)
    check_status(romeo.message("sip:%20juliet@fabrikam.test", "hm"), 404)
    check_status(romeo.message("sip:%C3%28@fabrikam.test", "hm"), 400)
    check_status(romeo.message("sip:%E2%84%A2@fabrikam.test", "hm"), 404)


@scenario("a method that has no meaning here is refused")
def methods(lab):
    romeo, juliet = lab.couple()
    check_status(romeo.request("PUBLISH", "sip:" + juliet.name, [("Event", "presence"), ("Expires", "60")]), 405, 489, 501)
    refer = [("Contact", romeo.contact), ("Refer-To", "<sip:x@y.test>")]
    check_status(romeo.request("REFER", "sip:" + juliet.name, refer), 603)


@scenario("a partner whose server is not there: 4xx or 504, soon")
def server_gone(lab):
    sip, _ = lab.names()
    romeo = lab.sip_user(sip)
    lab.entente("partner", "xmpp", "add", "northwind.test", "--type", "federated")
    try:
        start = time.monotonic()
        answer = romeo.message("anne@northwind.test", "hello?", timeout=70)
        check_status(answer, 404, 408, 480, 504)
        check(time.monotonic() - start < 40, "it took longer than the client's patience")
    finally:
        lab.entente("partner", "xmpp", "remove", "northwind.test")


@scenario("a partner whose domain has no DNS record: 404 or 504, soon")
def no_dns(lab):
    sip, _ = lab.names()
    romeo = lab.sip_user(sip)
    lab.entente("partner", "xmpp", "add", "nowhere.test", "--type", "federated")
    try:
        check_status(romeo.message("anne@nowhere.test", "hello?", timeout=70), 404, 408, 504)
    finally:
        lab.entente("partner", "xmpp", "remove", "nowhere.test")


@scenario("other questions are answered: a ping, and one about nothing")
def questions(lab):
    romeo, juliet = lab.couple()
    check(juliet.ping("contoso.test") in (None, "service-unavailable"), "the gateway did not answer a ping")
    check(juliet.ping(romeo.name) in (None, "service-unavailable", "feature-not-implemented"), "a user's ping was not answered")
