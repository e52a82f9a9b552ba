# SPDX-License-Identifier: Apache-2.0
"""Asking to watch, saying yes or no, and ending it (interworking 3.1 and 3.2)."""
from scenario import MODERN, check, check_status, reason_of, scenario


@scenario("a SIP user's request is pending until the XMPP user says yes")
def approved(lab):
    romeo, juliet = lab.couple()
    romeo.subscribe(juliet.name)
    event = romeo.expect_presence(juliet.name, state="pending")
    check(event.document is None, "a pending NOTIFY should have no document")
    juliet.expect_presence(romeo.name, "subscribe")
    romeo.expect_no_presence(juliet.name, seconds=1, state="active")
    juliet.approve(romeo.name)
    romeo.expect_presence(juliet.name, basic="open", state="active")


@scenario("a SIP user's request ends when the XMPP user says no")
def denied(lab):
    romeo, juliet = lab.couple()
    romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.deny(romeo.name)
    romeo.expect_presence(juliet.name, state="terminated", reason="rejected")


@scenario("an approval can be taken back")
def taken_back(lab):
    romeo, juliet = lab.friends()
    juliet.deny(romeo.name)
    romeo.expect_presence(juliet.name, state="terminated", reason="rejected")
    juliet.show("away", "you do not see this")
    romeo.expect_no_presence(juliet.name, seconds=2)


@scenario("an XMPP user's request is approved by the SIP side")
def x2s(lab):
    romeo, juliet = lab.couple()
    romeo.publish(activity="away", note="before you asked")
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    juliet.expect_presence(romeo.name, show="away", note="before you asked")
    check(juliet.roster().get(romeo.name) == "to", f"the roster says {juliet.roster()}")
    juliet.seen.refuse("got a second subscribed", lambda e: e.kind == "presence" and e.type == "subscribed", 1)


@scenario("asking twice is answered twice and opens nothing more")
def asked_twice(lab):
    romeo, juliet = lab.couple()
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    juliet.expect_presence(romeo.name, "available")
    juliet.unsubscribe(romeo.name)
    juliet.expect_presence(romeo.name, "unavailable")
    juliet.seen.forget()
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    juliet.expect_presence(romeo.name, "available")


@scenario("an XMPP user stops watching")
def x2s_ends(lab):
    romeo, juliet = lab.friends()
    juliet.unsubscribe(romeo.name)
    juliet.expect_presence(romeo.name, "unavailable")
    juliet.seen.forget()
    romeo.publish(activity="busy", note="you do not see this")
    juliet.expect_no_presence(romeo.name, "available", seconds=2)
    juliet.show("away", "you still see this")
    romeo.expect_presence(juliet.name, show="away")


@scenario("a SIP user stops watching; the approval stays")
def s2x_ends(lab):
    romeo, juliet = lab.couple()
    subscription = romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    romeo.expect_presence(juliet.name, basic="open")
    juliet.seen.forget()
    subscription.end()
    romeo.expect_presence(juliet.name, state="terminated", reason="timeout")
    juliet.show("away")
    romeo.expect_no_presence(juliet.name, seconds=1.5)
    juliet.seen.refuse("been unsubscribed", lambda e: e.kind == "presence" and e.type.startswith("unsubscribe"), 0)
    romeo.subscribe(juliet.name)
    romeo.expect_presence(juliet.name, basic="open", show="away")
    juliet.seen.refuse("been asked again", lambda e: e.kind == "presence" and e.type == "subscribe", 0)


@scenario("two devices of a SIP user watch; one stops, the other goes on")
def two_watching_devices(lab):
    romeo, juliet = lab.friends()
    desk = lab.sip_user(romeo.name.split("@")[0])
    second = desk.subscribe(juliet.name)
    desk.expect_presence(juliet.name, basic="open")
    juliet.seen.forget()
    second.end()
    desk.expect_presence(juliet.name, state="terminated")
    juliet.show("away")
    romeo.expect_presence(juliet.name, show="away")
    desk.expect_no_presence(juliet.name, seconds=0)


@scenario("a refresh in the dialog brings the full state")
def refresh(lab):
    romeo, juliet = lab.couple()
    subscription = romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    juliet.show("dnd", "all of it")
    romeo.expect_presence(juliet.name, show="dnd", note="all of it")
    dialog = subscription.call_id
    check_status(subscription.refresh(), 200, 202)
    check(subscription.call_id == dialog, "the refresh should stay in its dialog")
    romeo.expect_presence(juliet.name, state="active", show="dnd", note="all of it")


@scenario("the home's short subscriptions are refreshed in time", peers=["prosody"], presence_expires=8)
def home_refresh(lab):
    sip, xmpp = lab.names()
    romeo, juliet = lab.sip_user(sip), lab.xmpp_user(xmpp)
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "available")
    juliet.seen.forget()
    juliet.expect_no_presence(romeo.name, seconds=10)
    romeo.publish(activity="away", note="after more than one lifetime")
    juliet.expect_presence(romeo.name, show="away", note="after more than one lifetime")


@scenario("a look without watching: Expires 0")
def poll(lab):
    romeo, juliet = lab.friends()
    juliet.show("away")
    romeo.expect_presence(juliet.name, show="away")
    desk = lab.sip_user(romeo.name.split("@")[0])
    desk.subscribe(juliet.name, expires=0)
    desk.expect_presence(juliet.name, state="terminated", show="away")
    juliet.show("dnd")
    romeo.expect_presence(juliet.name, show="dnd")
    desk.expect_no_presence(juliet.name, seconds=0)


@scenario("an XMPP user who is not there is asked later")
def asked_later(lab):
    sip, xmpp = lab.names()
    romeo = lab.sip_user(sip)
    juliet = lab.xmpp_device(xmpp)
    juliet.login()
    juliet.logout()
    romeo.subscribe(juliet.name)
    romeo.expect_presence(juliet.name, state="pending")
    juliet.login()
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    romeo.expect_presence(juliet.name, basic="open", state="active")


@scenario("a SIP user who is not there can be asked, and is seen when there")
def asked_offline(lab):
    sip, xmpp = lab.names()
    juliet = lab.xmpp_user(xmpp)
    juliet.subscribe(f"{sip}@contoso.test")
    juliet.expect_presence(f"{sip}@contoso.test", "subscribed")
    juliet.expect_no_presence(f"{sip}@contoso.test", "available", seconds=1)
    romeo = lab.sip_user(sip)
    juliet.expect_presence(romeo.name, "available")


@scenario("watching a SIP user who does not exist is refused", peers=MODERN)    # jabberd2 keeps the refusal to itself
def unknown_sip(lab):
    _, xmpp = lab.names()
    juliet = lab.xmpp_user(xmpp)
    juliet.subscribe("nobody@contoso.test")
    juliet.expect_presence("nobody@contoso.test", "unsubscribed")
    check("nobody@contoso.test" not in juliet.roster() or juliet.roster()["nobody@contoso.test"] == "none", f"{juliet.roster()}")


@scenario("watching an XMPP user who does not exist shows nobody")
def unknown_xmpp(lab):
    # A server answers such a request with nothing, or as it would for a user who is offline: no telling them apart.
    sip, xmpp = lab.names()
    romeo = lab.sip_user(sip)
    ghost = f"ghost-{xmpp}@fabrikam.test"
    _, answer = romeo.try_subscribe(ghost)
    if answer.status >= 300:
        check_status(answer, "4xx", "6xx")
        return
    romeo.expect_presence(ghost, state="pending")
    romeo.expect_no_presence(ghost, seconds=1, basic="open")


@scenario("another event package is answered 489, too short a time 423, an unfit Accept 406")
def bad_subscribe(lab):
    romeo, juliet = lab.couple()

    def ask(event="presence", expires=600, accept="application/pidf+xml"):
        return romeo.request("SUBSCRIBE", "sip:" + juliet.name, [("Contact", romeo.contact), ("Event", event),
                                                                 ("Expires", expires), ("Accept", accept)])
    answer = ask(event="dialog")
    check_status(answer, 489)
    check("presence" in (answer.get("allow-events") or ""), "no Allow-Events: presence")
    answer = ask(expires=5)
    check_status(answer, 423)
    check(int(answer.get("min-expires", 0)) >= 5, f"Min-Expires is {answer.get('min-expires')}")
    answer = ask(accept="application/cpim-pidf+xml")
    check_status(answer, 406)
    check(reason_of(answer) == "sip/not-acceptable", f"the reason is {reason_of(answer)!r}")
    juliet.expect_no_presence(romeo.name, seconds=1)
