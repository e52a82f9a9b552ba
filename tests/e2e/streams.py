# SPDX-License-Identifier: Apache-2.0
"""How the two servers prove who they are to each other: SASL EXTERNAL with certificates, or dialback inside TLS."""
from scenario import PARTNER, STRANGE, check, gets_through, scenario

BOTH = ["external", "dialback"]


@scenario("{auth}: messages both ways, whoever begins", each={"auth": BOTH})
def messages(lab, auth):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, STRANGE)
    juliet.expect_message(romeo.name, STRANGE, timeout=20)
    juliet.message(romeo.name, STRANGE)
    romeo.expect_message(juliet.name, STRANGE, timeout=20)


@scenario("{auth}: presence both ways", each={"auth": BOTH})
def presence(lab, auth):
    romeo, juliet = lab.friends()
    juliet.show("away", "note")
    romeo.expect_presence(juliet.name, show="away", note="note")
    romeo.publish(activity="busy", note="note")
    juliet.expect_presence(romeo.name, show="dnd", note="note")


def first(lab):
    """Who opened the oldest stream that carries messages."""
    shown = lab.entente("show", "streams", "--partner", PARTNER)["streams"]
    return min((s for s in shown if s["state"] == "open" and s["purpose"] == "messages"), key=lambda s: s["id"])["direction"]


@scenario("{auth}: the XMPP server begins", each={"auth": BOTH})
def partner_begins(lab, auth):
    lab.entented.stop()
    lab.entented.forget()
    lab.entented.start()
    romeo, juliet = lab.couple()
    gets_through(juliet, romeo, "first")
    check(first(lab) == "in", "the first stream was not the partner's")


@scenario("{auth}: entented begins", each={"auth": BOTH})
def we_begin(lab, auth):
    lab.entented.stop()
    lab.entented.forget()
    lab.entented.start()
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "first")
    juliet.expect_message(romeo.name, "first", timeout=30)
    check(first(lab) == "out", "the first stream was not ours")


@scenario("{auth}: show streams says how they were proved", each={"auth": BOTH})
def shown(lab, auth):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello", timeout=20)
    shown = lab.entente("show", "streams", "--partner", PARTNER)["streams"]
    proofs = {s["direction"]: s["auth"] for s in shown if s["state"] == "open" and s["purpose"] == "messages"}
    check(proofs.get("out") == auth and proofs.get("in", auth) == auth, f"not {auth}: {shown}")
