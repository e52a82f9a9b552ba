# SPDX-License-Identifier: Apache-2.0
"""The way between the home and entented: UDP, TCP or TLS."""
from scenario import STRANGE, check, check_status, scenario, wait_until

ALL = ["udp", "tcp", "tls"]


@scenario("over {transport}: messages both ways", each={"transport": ALL})
def messages(lab, transport):
    for device in ("udp", "tcp"):
        romeo, juliet = lab.couple(device)
        romeo.say(juliet.name, STRANGE)
        juliet.expect_message(romeo.name, STRANGE)
        juliet.message(romeo.name, STRANGE)
        romeo.expect_message(juliet.name, STRANGE)


@scenario("over {transport}: presence both ways, with refreshes", each={"transport": ALL})
def presence(lab, transport):
    romeo, juliet = lab.couple()
    subscription = romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    romeo.expect_presence(juliet.name, basic="open")
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "available")
    juliet.show("away", "note")
    romeo.expect_presence(juliet.name, show="away", note="note")
    romeo.publish(activity="busy", note="note")
    juliet.expect_presence(romeo.name, show="dnd", note="note")
    check_status(subscription.refresh(), 200, 202)
    romeo.expect_presence(juliet.name, show="away", note="note")
    juliet.unsubscribe(romeo.name)
    juliet.expect_presence(romeo.name, "unavailable")
    subscription.end()
    romeo.expect_presence(juliet.name, state="terminated")


@scenario("over {transport}: errors both ways", each={"transport": ALL})
def errors(lab, transport):
    romeo, juliet = lab.couple()
    number = juliet.message("nobody@contoso.test", "?")
    juliet.expect_error("nobody@contoso.test", "service-unavailable", id=number)
    check_status(romeo.message("ghost@fabrikam.test", "?"), "4xx")
    check_status(romeo.message("tybalt@litware.test", "?"), 403)


@scenario("over udp: a text too long for a datagram comes back or arrives, but is never cut", transport="udp")
def long_over_udp(lab):
    romeo, juliet = lab.couple()
    number = juliet.message(romeo.name, "x" * 4000)

    def outcome():
        return next((e for e in romeo.seen.history + juliet.seen.history
                     if e.kind == "message" or (e.kind == "error" and e.id == number)), None)
    event = wait_until(outcome, 15, "neither the message nor an error came")
    if event.kind == "message":
        check(event.body == "x" * 4000, "the text is not whole")
    else:
        check(event.condition == "policy-violation", f"the error is {event.condition}")
