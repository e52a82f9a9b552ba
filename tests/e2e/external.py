# SPDX-License-Identifier: Apache-2.0
"""External access policies: who may reach partners at all, in both networks and directions; granted means at once."""
from access_setting import AV, COUNT, DISCOVERY, LAB, allow, provider, switch
from federation import adatum_user, contoso_user
from scenario import check, check_status, reason_of, scenario

ALL = ("--federation", "--xmpp", "--public-cloud", "--public-cloud-audio-video")
NOTHING = tuple(f"{x}=false" for x in ALL)


def globally(lab, *words):
    lab.entente("external-access", "set", "global", *words)


def forget(lab):
    """As the lab begins: everybody may, no other policy, no records."""
    globally(lab, *ALL)
    for row in lab.entente("user", "list")["users"]:
        lab.entente("user", "remove", row["address"])
    for row in lab.entente("external-access", "list")["policies"]:
        if row["name"] != "global":
            lab.entente("external-access", "remove", row["name"], "--force")


def refused(answer, reason="policy/user-denied"):
    check_status(answer, 403)
    check(reason_of(answer) == reason, f"the reason is {reason_of(answer)}, not {reason}")


@scenario("XMPP: closed as installed, the remedy of explain opens it, for everybody")
def xmpp_global(lab):
    lab.partner("federated")
    romeo, juliet = lab.couple()
    try:
        globally(lab, *NOTHING)
        refused(romeo.message(juliet.name, "closed"))
        refused(romeo.try_subscribe(juliet.name)[1])
        juliet.expect_error(romeo.name, id=juliet.message(romeo.name, "closed"))
        romeo.expect_no_message(juliet.name, 1)
        code, told = lab.entente("explain", "--from", f"sip:{romeo.name}", "--to", f"xmpp:{juliet.name}", "--kind", "message", check=False)
        step = told["steps"][-1]
        check(code == 1 and step["rule"] == "external-access" and step["object"].startswith("external-access global"), f"{step}")
        remedy = told["next_step"].split(";")[0]
        check(remedy == "entente external-access set global --federation --xmpp", f"the remedy is {remedy!r}")
        globally(lab, "--xmpp")
        refused(romeo.message(juliet.name, "federation is needed, too"))
        lab.entente(*remedy.split()[1:])
        romeo.say(juliet.name, "open")
        juliet.expect_message(romeo.name, "open")
        juliet.message(romeo.name, "and back")
        romeo.expect_message(juliet.name, "and back")
    finally:
        forget(lab)


@scenario("XMPP: a grant counts at once and for one user alone; taken back, presence ends")
def xmpp_grant(lab):
    lab.partner("federated")
    (romeo, juliet), (other, _) = lab.couple(), lab.couple()
    try:
        globally(lab, *NOTHING)
        lab.entente("external-access", "add", "Partners", "--federation", "--xmpp")
        refused(romeo.message(juliet.name, "not yet"))
        lab.entente("external-access", "grant", "Partners", "--user", f"sip:{romeo.name}")
        romeo.say(juliet.name, "now")
        juliet.expect_message(romeo.name, "now")
        refused(other.message(juliet.name, "not I"))
        juliet.subscribe(romeo.name)
        juliet.expect_presence(romeo.name, "subscribed")
        juliet.expect_presence(romeo.name, "available")
        lab.entente("external-access", "grant", "--global", "--user", romeo.name)
        juliet.expect_presence(romeo.name, "unavailable")
        refused(romeo.message(juliet.name, "no more"))
    finally:
        forget(lab)


@scenario("XMPP: users of a survivable branch appliance are not reached")
def branch(lab):
    lab.partner("federated")
    romeo, juliet = lab.couple()
    try:
        lab.entente("user", "add", romeo.name, "--branch")
        refused(romeo.message(juliet.name, "from the branch"), "policy/survivable-branch")
        juliet.expect_error(romeo.name, id=juliet.message(romeo.name, "to the branch"))
        lab.entente("user", "set", romeo.name, "--branch=false")
        romeo.say(juliet.name, "moved")
        juliet.expect_message(romeo.name, "moved")
    finally:
        forget(lab)


@scenario("a contact that an administrator gives reaches the user at once, and no longer when it is taken")
def contacts(lab):
    lab.partner("public-unverified")
    romeo, juliet = lab.couple()
    try:
        juliet.expect_error(romeo.name, id=juliet.message(romeo.name, "who are you?"))
        lab.entente("contact", "add", romeo.name, juliet.name)
        juliet.message(romeo.name, "we have been introduced")
        romeo.expect_message(juliet.name, "we have been introduced")
        rows = lab.entente("contact", "list", "--user", romeo.name)["contacts"]
        check([(r["local"], r["remote"], r["how"]) for r in rows] == [(romeo.name, juliet.name, "admin")], f"{rows}")
        lab.entente("contact", "remove", romeo.name, juliet.name)
        juliet.expect_error(romeo.name, id=juliet.message(romeo.name, "again?"))
    finally:
        lab.partner("federated")


def tries(user, to):
    return {"MESSAGE": user.message(to, "knock"), "SUBSCRIBE": user.try_subscribe(to)[1], "INVITE": user.call(to, AV, timeout=60).answer}


@scenario("SIP federation: closed as installed, in both directions; a grant counts at once", **LAB)
def sip_federation(lab):
    switch(lab, [allow("adatum.test")], [allow("contoso.test")])
    n = next(COUNT)
    romeo, other, mercutio = contoso_user(lab, f"romeo{n}"), contoso_user(lab, f"romeo{next(COUNT)}"), adatum_user(lab, f"mercutio{n}")
    try:
        globally(lab, *NOTHING)
        for answer in tries(romeo, mercutio.name).values():
            refused(answer)
            check("1002" in (answer.get("ms-diagnostics") or ""), f"a Lync client is told {answer.get('ms-diagnostics')}")
        answer = mercutio.message(romeo.name, "knock")
        check_status(answer, 403)
        check(not answer.get("entente-reason"), "a partner is told why")
        check(lab.entented.events("access/refused-in", reason="policy/user-denied", rule="external-access"), "the log does not say why")
        lab.entente("external-access", "add", "Partners", "--federation")
        lab.entente("external-access", "grant", "Partners", "--user", romeo.name)
        romeo.say(mercutio.name, "now")
        mercutio.expect_message(romeo.name, "now")
        check_status(mercutio.message(other.name, "not he"), 403)
        refused(other.message(mercutio.name, "not I"))
        globally(lab, *ALL)
        lab.entente("external-access", "add", "Shut")
        lab.entente("external-access", "grant", "Shut", "--user", other.name)
        user = other.name.split("@")[0]
        for spelt in (user, user.upper(), user.replace("r", "%72"), user.replace("m", "%4d")):
            check_status(mercutio.message(f"{spelt}@contoso.test", "however it is spelt"), 403)
        lab.entente("external-access", "set", "Shut", "--federation")
        mercutio.say(other.name, "at last")
        other.expect_message(mercutio.name, "at last")
    finally:
        forget(lab)


@scenario("public IM provider: its own switch, and one more for calls", **LAB)
def public(lab):
    switch(lab, [provider("public-provider", "gw.adatum.test")], [provider("public-provider", "gw.contoso.test"), DISCOVERY])
    n = next(COUNT)
    romeo, mercutio = contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}", "tailspin.test")
    try:
        globally(lab, "--public-cloud=false", "--public-cloud-audio-video=false")
        refused(romeo.message(mercutio.name, "federation alone is not enough"))
        globally(lab, "--public-cloud")
        romeo.say(mercutio.name, "messages")
        mercutio.expect_message(romeo.name, "messages")
        refused(romeo.call(mercutio.name, AV, timeout=60).answer)
        globally(lab, "--public-cloud-audio-video")
        call = romeo.call(mercutio.name, AV, timeout=60)
        check_status(call.answer, 200)
        check_status(call.end(), 200)
    finally:
        forget(lab)
