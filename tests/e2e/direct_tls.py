# SPDX-License-Identifier: Apache-2.0
"""TLS from the first octet (XEP-0368): found in DNS, in both directions, and what happens when it does not work."""
from scenario import MODERN, PARTNER, check, scenario

BOTH = ["external", "dialback"]


def how(lab, direction):
    """How the latest stream of this direction came up, as the log tells."""
    lines = lab.entented.events("xmpp/stream-up", direction=direction)
    check(lines, f"no stream came up: {direction}")
    return lines[-1][3]["how"]


def talk(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "over there")
    juliet.expect_message(romeo.name, "over there", timeout=20)
    juliet.message(romeo.name, "and back")
    romeo.expect_message(juliet.name, "and back", timeout=20)


@scenario("{auth}: both servers use it", each={"auth": BOTH}, direct=5270, peers=MODERN)
def both_ways(lab, auth):
    talk(lab)
    check(how(lab, "out") == "srv 0 0 xmpp.fabrikam.test:5270 direct", f"out: {how(lab, 'out')}")
    check(how(lab, "in") == "direct TLS", f"in: {how(lab, 'in')}")


@scenario("nobody listens there: STARTTLS is used", direct=5271, peers=MODERN)
def nobody_there(lab):
    talk(lab)
    check(how(lab, "out") == "srv 10 0 xmpp.fabrikam.test:5269", f"out: {how(lab, 'out')}")


@scenario("the port speaks STARTTLS: STARTTLS is used", direct=5269, peers=MODERN)
def wrong_port(lab):
    talk(lab)
    check(how(lab, "out") == "srv 10 0 xmpp.fabrikam.test:5269", f"out: {how(lab, 'out')}")


@scenario("a server of the partner's own on port 5270", peers=MODERN)
def own_server(lab):
    lab.entente("partner", "xmpp", "set", PARTNER, "--server", "xmpp.fabrikam.test:5270")
    try:
        lab.entented.stop()
        lab.entented.start()
        talk(lab)
        check(how(lab, "out") == "fixed xmpp.fabrikam.test:5270 direct", f"out: {how(lab, 'out')}")
    finally:
        lab.entente("partner", "xmpp", "set", PARTNER, "--no-server")
