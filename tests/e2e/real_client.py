# SPDX-License-Identifier: Apache-2.0
"""baresip, a SIP client that we did not write, as the SIP user."""
from scenario import scenario


def pair(lab, transport="udp"):
    sip, xmpp = lab.names()
    juliet = lab.xmpp_user(xmpp, auto_approve=True)
    return lab.baresip(sip, juliet.name, transport), juliet


@scenario("baresip sees its XMPP contact come and go", each={"device": ["udp", "tcp"]})
def sees(lab, device):
    romeo, juliet = pair(lab, device)
    romeo.expect_contact("Online")
    juliet.unavailable()
    romeo.expect_contact("Offline")
    juliet.show()
    romeo.expect_contact("Online")


@scenario("the XMPP contact sees baresip come and go")
def is_seen(lab):
    romeo, juliet = pair(lab)
    juliet.expect_presence(romeo.name, "subscribed", timeout=20)
    juliet.expect_presence(romeo.name, "available", timeout=20)
    romeo.presence("offline")
    juliet.expect_presence(romeo.name, "unavailable")
    romeo.presence("online")
    juliet.expect_presence(romeo.name, "available")


@scenario("messages both ways with baresip")
def messages(lab):
    romeo, juliet = pair(lab)
    romeo.message("greetings from baresip")
    juliet.expect_message(romeo.name, "greetings from baresip")
    juliet.message(romeo.name, "Grüße, 世界")
    romeo.expect_message("Grüße, 世界")
