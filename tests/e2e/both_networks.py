# SPDX-License-Identifier: Apache-2.0
"""A partner that is reached by XMPP and by SIP: which network a message takes, what happens when that one has no server, and a move from one to the other and back."""
import itertools

from access_setting import LAB, TRUSTED, allow, switch
from federation import adatum_user, contoso_user
from scenario import befriend, check, check_status, reason_of, scenario

COUNT = itertools.count(900)



@scenario("xmpp-first: without an XMPP server it goes by SIP, and back by SIP", **LAB)
def xmpp_first(lab):
    switch(lab, [], [allow("contoso.test", TRUSTED)])
    lab.entente("partner", "xmpp", "add", "adatum.test", "--type", "federated", "--protocol", "xmpp-first")
    try:
        lab.entente(*allow("adatum.test", TRUSTED).split())
        n = next(COUNT)
        romeo, mercutio = contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}")
        romeo.say(mercutio.name, "is there an XMPP server?")
        mercutio.expect_message(romeo.name, "is there an XMPP server?")
        romeo.say(mercutio.name, "the second does not wait")
        mercutio.expect_message(romeo.name, "the second does not wait")
        mercutio.say(romeo.name, "no, SIP only")
        romeo.expect_message(mercutio.name, "no, SIP only")
        watch = romeo.subscribe(mercutio.name)
        romeo.expect_presence(mercutio.name, basic="open")
        watch.end()
    finally:
        lab.entente("allowed-domain", "remove", "adatum.test")
        lab.entente("partner", "xmpp", "remove", "adatum.test")


@scenario("sip-first: without a SIP server it goes by XMPP, and back by XMPP", **LAB)
def sip_first(lab):
    switch(lab)
    lab.entente("partner", "xmpp", "add", "fabrikam.test", "--type", "federated", "--protocol", "sip-first")
    try:
        lab.entente(*allow("fabrikam.test").split())
        romeo, juliet = lab.couple()
        romeo.say(juliet.name, "is there a SIP server?")
        juliet.expect_message(romeo.name, "is there a SIP server?")
        juliet.message(romeo.name, "no, XMPP only")
        romeo.expect_message(juliet.name, "no, XMPP only")
        befriend(romeo, juliet)
    finally:
        lab.entente("allowed-domain", "remove", "fabrikam.test")
        lab.entente("partner", "xmpp", "remove", "fabrikam.test")


@scenario("a partner that has moved to SIP: XMPP is refused, nothing is lost, and it can move back", **LAB)
def moved(lab):
    switch(lab)
    lab.entente("partner", "xmpp", "add", "fabrikam.test", "--type", "federated")
    try:
        romeo, juliet = lab.friends()
        lab.entente("partner", "xmpp", "set", "fabrikam.test", "--protocol", "sip")
        number = juliet.message(romeo.name, "by the old way")
        juliet.expect_error(romeo.name, id=number, timeout=40)
        answer = romeo.message(juliet.name, "by the new way")     # she has no SIP server here: but XMPP it must not be
        check_status(answer, "4xx", "5xx")
        check(reason_of(answer) != "policy/other-protocol", "it did not go by SIP")
        juliet.expect_no_message(romeo.name, 1)
        lab.entente("partner", "xmpp", "set", "fabrikam.test", "--protocol", "xmpp")
        romeo.publish(activity="away")
        juliet.expect_presence(romeo.name, "available", show="away", timeout=60)     # the authorisation was kept
        romeo.say(juliet.name, "back again")
        juliet.expect_message(romeo.name, "back again")
    finally:
        lab.entente("partner", "xmpp", "remove", "fabrikam.test")
