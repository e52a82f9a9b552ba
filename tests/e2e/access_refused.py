# SPDX-License-Identifier: Apache-2.0
"""SIP federation: each refusal, with what the sender is told and what the log says. Towards a partner the home learns the reason; a partner
learns the status alone."""
import re

from access_kinds import IM
from access_setting import AV, COUNT, DISCOVERY, LAB, TRUSTED, allow, arrange, couple, default, keeps_quiet, provider, switch
from federation import RawPeer, RawServer, adatum_user, contoso_user
from scenario import check, check_status, reason_of, scenario, wait_until
from sipmessage import parameter


def each_kind(user, to):
    """What a user tries, and the answers: presence, page mode, session of messages, call."""
    return {"SUBSCRIBE": user.try_subscribe(to)[1], "MESSAGE": user.message(to, "knock"), "INVITE (messages)": user.call(to, IM, timeout=60).answer,
            "INVITE (call)": user.call(to, AV, timeout=60).answer}


def pair(domain="adatum.test"):
    def make(lab):
        n = next(COUNT)
        return contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}", domain)
    return make


ELSEWHERE = "xmpp.adatum.test"      # leads to adatum's edge, whose certificate does not name it
OFF = "access-edge set --federated-users=false"
# what is refused here, before or while a connection is made: (commands, whom, status, reason, Lync's diagnosis)
OUTWARD = {
    "discovery off": ([], "mercutio@adatum.test", 403, "policy/partner-unknown", 1005),
    "federation off": ([allow("adatum.test"), OFF], "mercutio@adatum.test", 403, "policy/federation-off", 1012),
    "domain blocked": ([DISCOVERY, "blocked-domain add adatum.test"], "mercutio@adatum.test", 403, "policy/domain-blocked", 1005),
    "domain above it blocked": ([DISCOVERY, "blocked-domain add adatum.test"], "x@deep.sub.adatum.test", 403, "policy/domain-blocked", 1005),
    "hosted, not allowed": ([provider("hosting-provider", "gw.adatum.test")], "mercutio@tailspin.test", 403, "policy/partner-unknown", 1005),
    "hosting provider off": ([allow("tailspin.test"), provider("hosting-provider", "gw.adatum.test").replace("--enabled", "")],
                             "mercutio@tailspin.test", 403, "policy/partner-disabled", 1005),
    "public provider off": ([provider("public-provider", "gw.adatum.test").replace("--enabled", "")], "mercutio@tailspin.test", 403,
                            "policy/partner-disabled", 1005),
    "record leaves the domain": ([allow("tailspin.test")], "mercutio@tailspin.test", 504, "sip/srv-outside-domain", 1009),
    "discovered, record leaves the domain": ([DISCOVERY], "mercutio@tailspin.test", 504, "sip/srv-outside-domain", 1009),
    "no record": ([allow("unlisted.test")], "x@unlisted.test", 504, "sip/srv-not-found", 1008),
    "DNS refuses": ([allow("elsewhere.example")], "x@elsewhere.example", 504, "sip/dns-failed", 1008),
    "certificate of another": ([allow("imposter.test")], "x@imposter.test", 504, "sip/certificate", 1010),
    "allowed server, certificate of another": ([allow("adatum.test", "--proxy-fqdn", ELSEWHERE)], "mercutio@adatum.test", 504, "sip/certificate", 1010),
    "default route, certificate of another": ([default(ELSEWHERE)], "mercutio@adatum.test", 504, "sip/certificate", 1010),
    "nobody there": ([allow("gone.test")], "x@gone.test", 504, "sip/partner-unreachable", 1046),
    "shared address space, nobody there": ([provider("hosting-provider", "gw.gone.test", "--shared-address-space")], "cloud1@contoso.test", 504,
                                           "sip/partner-unreachable", 1046),
}


@scenario("what we send is refused: {why}", each={"why": list(OUTWARD)}, **LAB)
def outward(lab, why):
    commands, to, status, reason, diagnosis = OUTWARD[why]
    switch(lab, commands, [DISCOVERY])
    romeo = contoso_user(lab, f"romeo{next(COUNT)}")
    for what, answer in each_kind(romeo, to).items():
        check(answer.status == status and reason_of(answer) == reason, f"{what} was answered {answer.status} {reason_of(answer)}, not {status} {reason}")
        told = (answer.get("ms-diagnostics") or "").split(";")[0]
        check(told == str(diagnosis), f"a Lync client is told {answer.get('ms-diagnostics')} for {what}")


# what comes is refused here: (commands, from a user of, reason in the log); the other side lets everything go
INWARD = {
    "discovery off": ([], "adatum.test", "policy/partner-unknown"),
    "federation off": ([allow("adatum.test"), OFF], "adatum.test", "policy/federation-off"),
    "domain blocked": ([DISCOVERY, "blocked-domain add adatum.test"], "adatum.test", "policy/domain-blocked"),
    "hosted, not allowed": ([provider("hosting-provider", "gw.adatum.test")], "tailspin.test", "policy/partner-unknown"),
    "hosting provider off": ([allow("tailspin.test"), provider("hosting-provider", "gw.adatum.test").replace("--enabled", "")], "tailspin.test",
                             "policy/partner-disabled"),
    "public provider off": ([provider("public-provider", "gw.adatum.test").replace("--enabled", "")], "tailspin.test", "policy/partner-disabled"),
    "record leaves the domain": ([allow("tailspin.test", TRUSTED)], "tailspin.test", "policy/peer-identity"),
    "certificate does not name the allowed server": ([allow("adatum.test", "--proxy-fqdn", ELSEWHERE)], "adatum.test", "policy/peer-identity"),
    "certificate does not name the default route": ([default(ELSEWHERE)], "adatum.test", "policy/peer-identity"),
    "sender unverified, not a contact": ([allow("adatum.test", "--verification-level always-unverifiable")], "adatum.test", "policy/contact-required"),
}


def refused(lab, reason):
    """How often contoso's edge has refused for this reason."""
    text = lab.entented.cli("show", "metrics").stdout
    return int(re.search(rf'(?m)^entente_refused\w*{{reason="{reason}"}} (\d+)$', text).group(1))


@scenario("what comes is refused: {why}", each={"why": list(INWARD)}, **LAB)
def inward(lab, why):
    commands, domain, reason = INWARD[why]
    switch(lab, commands, [allow("contoso.test")])
    romeo, mercutio = pair(domain)(lab)
    before = refused(lab, reason)
    answers = each_kind(mercutio, romeo.name)
    for what, answer in answers.items():
        check(answer.status == 403, f"{what} was answered {answer.status}")
        keeps_quiet(answer)
    # the log says it too, but not each time; a worker may count a moment after it has answered
    wait_until(lambda: refused(lab, reason) >= before + len(answers), 5, f"it was not {reason} that refused")
    check(not [e for e in romeo.seen.history if e.kind in ("message", "request")], f"something came through: {romeo.seen.history}")


@scenario("an unknown user, in either direction", **LAB)
def unknown_user(lab):
    arrange(lab, "allowed domain")
    romeo, mercutio = couple(lab, "allowed domain")
    for user, to in ((romeo, "nobody@adatum.test"), (mercutio, "nobody@contoso.test")):
        for what, answer in each_kind(user, to).items():
            check(answer.status == 404 and not answer.get("entente-reason"), f"{what} was answered {answer.status} {answer.get('entente-reason')}")


@scenario("methods that do not pass between organisations", **LAB)
def methods(lab):
    arrange(lab, "allowed domain")
    romeo, _ = couple(lab, "allowed domain")
    for method in ("PUBLISH", "SERVICE", "INVENTED"):
        answer = romeo.request(method, "sip:mercutio1@adatum.test", [("Event", "presence"), ("Content-Type", "text/plain")], b"x")
        check_status(answer, 403)
        check(reason_of(answer) == "policy/method-not-federated", f"{method}: {reason_of(answer)}")
        check((answer.get("ms-diagnostics") or "").startswith("1027;"), f"{method}: {answer.get('ms-diagnostics')}")
    peer = RawPeer(lab.certs, "mallory")
    switch(lab, [allow("mallory.test", TRUSTED)])
    for method in ("PUBLISH", "SERVICE", "REGISTER", "INVENTED"):
        answer = peer.ask(method, f"sip:{romeo.name}", "sip:m@mallory.test")
        check_status(answer, 403)
        check(not answer.get("entente-reason"), "a partner is told why")
    peer.close()


@scenario("a home says that it is somebody else", **LAB)
def forging_home(lab):
    arrange(lab, "allowed domain")
    romeo, mercutio = couple(lab, "allowed domain")
    own = romeo.name
    for name in ("tybalt@adatum.test", "m@mallory.test"):
        romeo.name = name
        answers = each_kind(romeo, mercutio.name)
        romeo.name = own
        for what, answer in answers.items():
            check(answer.status == 403 and reason_of(answer) == "policy/spoofed-domain", f"{what} of {name} was answered {answer.status} {reason_of(answer)}")
    check(not [e for e in mercutio.seen.history if e.kind in ("message", "request")], f"something came through: {mercutio.seen.history}")


@scenario("a session ends when the partner is blocked, and nobody else can touch it", **LAB)
def within_a_session(lab):
    arrange(lab, "allowed domain")
    romeo, mercutio = couple(lab, "allowed domain")
    call = romeo.call(mercutio.name, IM)
    check_status(call.answer, 200)
    there = mercutio.expect_call(romeo.name)
    lab.entente("allowed-domain", "add", "mallory.test", "--verification-level", "always-verifiable")
    lab.arranged = None
    mallory = RawPeer(lab.certs, "mallory")
    mine, theirs = parameter(call.local, "tag"), parameter(call.remote, "tag")
    for sender, status in (("sip:" + mercutio.name, 403), ("sip:m@mallory.test", 404)):     # the second is itself, and has no such session
        for method in ("BYE", "MESSAGE"):
            answer = mallory.ask(method, f"sip:{romeo.name}", sender, tag=mine, from_tag=theirs, call_id=call.id if status == 403 else "x" + call.id)
            check(answer.status == status, f"{method} of {sender} was answered {answer.status}")
    mallory.close()
    check_status(there.request("INFO", [("Content-Type", "text/plain")], b"still here"), 200)
    lab.entente("allowed-domain", "remove", "adatum.test")
    lab.entente("blocked-domain", "add", "adatum.test")
    answer = call.request("INFO", [("Content-Type", "text/plain")], b"gone")
    check(answer.status == 403 and reason_of(answer) == "policy/domain-blocked", f"answered {answer.status} {reason_of(answer)}")
    check_status(there.request("INFO", [("Content-Type", "text/plain")], b"gone"), 403)


@scenario("more than a discovered partner may send", **LAB)
def rate(lab):
    switch(lab, [DISCOVERY], ["access-edge set --partner-discovery --discovered-partner-standard-rate 1"])
    romeo, mercutio = pair()(lab)
    answers = [romeo.message(mercutio.name, f"{n}") for n in range(12)]
    refused = [a for a in answers if a.status != 200]
    check(answers[0].status == 200 and refused, f"all of 12 got through: {[a.status for a in answers]}")
    for a in refused:
        check(a.status in (500, 504) and not a.get("retry-after"), f"another's overload is told as ours: {a.status} {a.get('retry-after')}")
    wait_until(lambda: lab.adatum.events("access/refused-in", reason="limit/rate"), 10, "adatum's log does not say why")


FATES = {"mallory": None, "mallory-server": None, "mallory-edge": None, "mallory-client": "sip/certificate", "mallory-rogue": "sip/certificate",
         "mallory-expired": "sip/certificate", "mallory-wildcard": "sip/certificate"}


@scenario("the certificate of a server that we connect to: {certificate}", each={"certificate": list(FATES)}, **LAB)
def certificates(lab, certificate):
    reason = FATES[certificate]
    with RawServer(lab.certs, certificate) as server:
        switch(lab, [DISCOVERY])
        romeo = contoso_user(lab, f"romeo{next(COUNT)}")
        answer = romeo.message("m@mallory.test", "are you mallory?")
        if not reason:
            check_status(answer, 200)
            check(len(server.requests) == 1, "it was not this server that answered")
            return
        check(answer.status == 504 and reason_of(answer) == reason, f"answered {answer.status} {reason_of(answer)}")
        check(server.connections and not server.requests, f"{server.connections} connections, requests {server.requests}")
