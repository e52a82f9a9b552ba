# SPDX-License-Identifier: Apache-2.0
"""The home's side of SIP federation: the way to it over each transport, and two homes of one domain of which one dies."""
from access_kinds import im_session, page_mode, presence
from access_setting import COUNT, LAB, arrange, call_all_through, couple
from federation import adatum_user, contoso_user, second_home
from scenario import check, check_status, scenario, wait_until

KIND = "allowed domain"


@scenario("a home over {way}", each={"way": ["udp", "tcp", "tls"]}, **LAB)
def home_over(lab, way):
    arrange(lab, KIND)
    with second_home(lab, way):
        for part in (page_mode, presence, im_session):
            part(lab, KIND)
        ours, theirs = couple(lab, KIND)
        call_all_through(ours, theirs)
        call_all_through(theirs, ours)
        theirs.say(ours.name, "by which way?")
        ways = ours.expect_message(theirs.name, "by which way?").raw.all("via")
        check(any(v.startswith(f"SIP/2.0/{way.upper()} ") and ("127.0.0.12" in v or "gw.contoso.test" in v) for v in ways), f"not over {way}: {ways}")


def through(user, sender, text):
    """The home that the message came by."""
    sender.say(user.name, text)
    return user.expect_message(sender.name, text).raw.all("via")[0]


@scenario("two homes of one domain: one dies, the other serves", **LAB)
def failover(lab):
    arrange(lab, KIND)
    with second_home(lab, next_hop="sip:homes.contoso.test;transport=tcp") as second:
        n = next(COUNT)
        romeo, mercutio = contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}")
        first_line = romeo.net.proxy
        romeo.net.proxy = ("127.0.0.11", 5060)
        romeo.online()      # at both; they know nothing of each other
        check("127.0.0.11" in through(romeo, mercutio, "by the first"), "the first of the SRV records was not used")
        lab.home.kill()
        answer = mercutio.message(romeo.name, "is anybody there?")
        if answer.status != 200:    # it was on its way when the connection broke
            check_status(answer, 500, 504)
            wait_until(lambda: mercutio.message(romeo.name, "is anybody there?").status == 200, 15, "the second home is not used")
        check("127.0.0.13" in romeo.expect_message(mercutio.name, "is anybody there?").raw.all("via")[0], "it did not come by the second home")
        romeo.net.proxy = first_line
        romeo.say(mercutio.name, "by the second")
        mercutio.expect_message(romeo.name, "by the second")
        call = romeo.call(mercutio.name, b"v=0\r\n")
        check_status(call.answer, 200)
        check_status(call.end(), 200)
        lab.home.start()
        romeo.net.proxy = ("127.0.0.11", 5060)
        romeo.register()
        second.kill()
        wait_until(lambda: mercutio.message(romeo.name, "and back?").status == 200, 15, "the first home is not used again")
        check("127.0.0.11" in romeo.expect_message(mercutio.name, "and back?").raw.all("via")[0], "it did not come by the first home")
