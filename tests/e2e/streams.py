# SPDX-License-Identifier: Apache-2.0
"""How the two servers prove who they are to each other: SASL EXTERNAL with certificates, or dialback inside TLS."""
from scenario import STRANGE, check, gets_through, scenario

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


@scenario("{auth}: the XMPP server begins", each={"auth": BOTH})
def partner_begins(lab, auth):
    lab.entented.stop()
    lab.entented.start()
    romeo, juliet = lab.couple()
    gets_through(juliet, romeo, "first")


@scenario("{auth}: entented begins", each={"auth": BOTH})
def we_begin(lab, auth):
    lab.entented.stop()
    lab.entented.start()
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "first")
    juliet.expect_message(romeo.name, "first", timeout=30)


@scenario("{auth}: show streams says how they were proved", each={"auth": BOTH})
def shown(lab, auth):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello", timeout=20)
    streams = str(lab.entente("show", "streams")).lower()
    check("fabrikam.test" in streams, f"no stream with fabrikam.test: {streams}")
    check({"external": "external", "dialback": "dialback"}[auth] in streams, f"not {auth}: {streams}")
