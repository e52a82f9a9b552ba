# SPDX-License-Identifier: Apache-2.0
"""The three types of XMPP partner, in both directions, notes included (interworking 3.6)."""
from scenario import befriend, check, scenario

ALL = ["federated", "public-verified", "public-unverified"]
TRUSTED = ALL[:2]


def with_type(lab, type):
    lab.partner(type)
    return lab.couple()


@scenario("{type}: the SIP user sees the contact, notes included", each={"type": ALL})
def sip_sees_all(lab, type):
    romeo, juliet = with_type(lab, type)
    romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    juliet.show("dnd", "a note of the XMPP user")
    romeo.expect_presence(juliet.name, basic="open", show="dnd", note="a note of the XMPP user")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")


@scenario("{type}: a stranger may write and watch", each={"type": TRUSTED})
def strangers_welcome(lab, type):
    romeo, juliet = with_type(lab, type)
    juliet.message(romeo.name, "we have not met")
    romeo.expect_message(juliet.name, "we have not met")
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    juliet.expect_presence(romeo.name, "available")


@scenario("public-unverified: a stranger may neither write nor watch")
def strangers_refused(lab):
    romeo, juliet = with_type(lab, "public-unverified")
    number = juliet.message(romeo.name, "we have not met")
    error = juliet.expect_error(romeo.name, id=number)
    check(error.condition in ("service-unavailable", "not-allowed", "forbidden"), f"the error is {error.condition}")
    juliet.subscribe(romeo.name)
    romeo.expect_no_message(juliet.name, 1)
    juliet.seen.refuse("been approved, or seen the user",
                       lambda e: e.kind == "presence" and e.type in ("subscribed", "available"), 2)


@scenario("public-unverified: after the SIP user watches the contact, it may write and watch")
def contact_by_watching(lab):
    romeo, juliet = with_type(lab, "public-unverified")
    befriend(romeo, juliet)
    juliet.message(romeo.name, "you added me")
    romeo.expect_message(juliet.name, "you added me")


@scenario("public-unverified: after the SIP user wrote first, the contact may answer")
def contact_by_writing(lab):
    romeo, juliet = with_type(lab, "public-unverified")
    romeo.say(juliet.name, "may I?")
    juliet.expect_message(romeo.name, "may I?")
    juliet.message(romeo.name, "you may")
    romeo.expect_message(juliet.name, "you may")
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")


@scenario("public-unverified: what one SIP user allowed counts for that user only")
def contact_of_another(lab):
    romeo, juliet = with_type(lab, "public-unverified")
    mercutio = lab.sip_user(romeo.name.split("@")[0].replace("romeo", "mercutio"))
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    number = juliet.message(mercutio.name, "and you?")
    juliet.expect_error(mercutio.name, id=number)
    mercutio.expect_no_message(juliet.name, 1)


@scenario("federated: the contact sees the SIP user's note")
def note_shown(lab):
    romeo, juliet = with_type(lab, "federated")
    befriend(romeo, juliet)
    romeo.publish(activity="busy", note="a note of the SIP user")
    juliet.expect_presence(romeo.name, show="dnd", note="a note of the SIP user")


@scenario("{type}: the contact sees the SIP user, never the note", each={"type": ALL[1:]})
def note_hidden(lab, type):
    romeo, juliet = with_type(lab, type)
    romeo.publish(note="secret from the start")
    befriend(romeo, juliet)
    romeo.publish(activity="busy", note="secret")
    juliet.expect_presence(romeo.name, show="dnd", note=None)
    romeo.publish(activity="away", note="another secret")
    juliet.expect_presence(romeo.name, show="away", note=None)
    for event in juliet.seen.history:
        check(not event.raw or "secret" not in event.raw, f"the note came through: {event.raw}")


@scenario("a type that changes counts at once")
def changed(lab):
    romeo, juliet = with_type(lab, "federated")
    befriend(romeo, juliet)
    romeo.publish(note="shown")
    juliet.expect_presence(romeo.name, note="shown")
    lab.partner("public-verified")
    romeo.publish(activity="away", note="hidden")
    juliet.expect_presence(romeo.name, show="away", note=None)
    lab.partner("federated")
    romeo.publish(activity="busy", note="shown again")
    juliet.expect_presence(romeo.name, show="dnd", note="shown again")
