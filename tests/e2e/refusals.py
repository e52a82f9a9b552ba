# SPDX-License-Identifier: Apache-2.0
"""What policy does not let pass: in both directions, with a reason, and nothing arrives."""
import json

from scenario import befriend, check, check_status, reason_of, scenario

TYBALT = "tybalt@litware.test"


@scenario("a SIP user's message to an unlisted domain: 403 with the reason")
def message_out(lab):
    sip, _ = lab.names()
    romeo, tybalt = lab.sip_user(sip), lab.xmpp_user(TYBALT)
    answer = romeo.message(tybalt.name, "villain!")
    check_status(answer, 403)
    check(reason_of(answer) == "policy/partner-unknown", f"Entente-Reason is {answer.get('entente-reason')!r}")
    tybalt.expect_no_message(romeo.name, 1)


@scenario("a SIP user's watching of an unlisted domain: 403 with the reason")
def watch_out(lab):
    sip, _ = lab.names()
    romeo, tybalt = lab.sip_user(sip), lab.xmpp_user(TYBALT)
    _, answer = romeo.try_subscribe(tybalt.name)
    check_status(answer, 403)
    check(reason_of(answer) == "policy/partner-unknown", f"Entente-Reason is {answer.get('entente-reason')!r}")
    tybalt.expect_no_presence(romeo.name, seconds=1)


@scenario("an XMPP user of an unlisted domain gets an error, and nothing arrives")
def message_in(lab):
    sip, _ = lab.names()
    romeo, tybalt = lab.sip_user(sip), lab.xmpp_user(TYBALT)
    number = tybalt.message(romeo.name, "have at thee")
    tybalt.expect_error(romeo.name, id=number, timeout=40)
    tybalt.subscribe(romeo.name)
    romeo.expect_no_message(tybalt.name, 1)
    tybalt.seen.refuse("been approved", lambda e: e.kind == "presence" and e.type in ("subscribed", "available"), 1)


@scenario("the other domain of the same server still works beside it")
def other_domain(lab):
    romeo, juliet = lab.couple()
    tybalt = lab.xmpp_user(TYBALT)
    tybalt.message(romeo.name, "one")
    juliet.message(romeo.name, "two")
    romeo.expect_message(juliet.name, "two")
    tybalt.message(romeo.name, "three")
    romeo.say(juliet.name, "four")
    juliet.expect_message(romeo.name, "four")
    romeo.expect_no_message(tybalt.name, 1)


@scenario("no partner at all: both directions are refused", partner=None)
def no_partner(lab):
    romeo, juliet = lab.couple()
    answer = romeo.message(juliet.name, "hello?")
    check_status(answer, 403)
    check(reason_of(answer) == "policy/partner-unknown", f"Entente-Reason is {answer.get('entente-reason')!r}")
    number = juliet.message(romeo.name, "hello?")
    juliet.expect_error(romeo.name, id=number, timeout=40)
    romeo.expect_no_message(juliet.name, 0.5)


@scenario("a partner that is removed is refused at once, and comes back")
def removed(lab):
    romeo, juliet = lab.friends()
    lab.partner(None)
    check_status(romeo.message(juliet.name, "are you there?"), 403)
    juliet.message(romeo.name, "are you there?")
    romeo.expect_no_message(juliet.name, 1)
    romeo.publish(activity="busy", note="unseen")
    juliet.seen.refuse("seen presence", lambda e: e.kind == "presence" and e.note == "unseen", 2)
    lab.partner("federated")
    romeo.say(juliet.name, "back again")
    juliet.expect_message(romeo.name, "back again", timeout=20)


@scenario("a SIP user cannot write in the name of another domain")
def forged_sender(lab):
    romeo, juliet = lab.couple()
    romeo.name = "romeo@elsewhere.test"
    answer = romeo.message(juliet.name, "it was I")
    check_status(answer, 403)
    juliet.seen.refuse("received the forged message", lambda e: e.kind == "message" and e.body == "it was I", 1)


@scenario("an address of our own domain does not come back through the gateway")
def own_domain(lab):
    romeo, juliet = lab.couple()
    answer = romeo.message("sip:juliet@gw.contoso.test", "who is this?")
    check_status(answer, 403, 404)


@scenario("entente explain says why, in the same words as the refusal")
def explained(lab):
    sip, xmpp = lab.names()
    def explain(to, kind):
        _, said = lab.entente("explain", "--from", f"sip:{sip}@contoso.test", "--to", f"xmpp:{to}", "--kind", kind, check=False)
        return json.dumps(said)
    for kind in ("message", "presence"):
        refused, allowed = explain(TYBALT, kind), explain(f"{xmpp}@fabrikam.test", kind)
        check("policy/partner-unknown" in refused, f"explain said {refused}")
        check("policy/" not in allowed, f"explain said {allowed}")


@scenario("a user who was refused is not refused when the domain becomes a partner", partner=None)
def listed_later(lab):
    romeo, juliet = lab.couple()
    check_status(romeo.message(juliet.name, "now?"), 403)
    lab.partner("federated")
    befriend(romeo, juliet)
    romeo.say(juliet.name, "now!")
    juliet.expect_message(romeo.name, "now!")
