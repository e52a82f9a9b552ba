# SPDX-License-Identifier: Apache-2.0
"""DANE (RFC 7673): what TLSA records say about a partner's certificate, behind DNSSEC with a zone of our own signing. The server
would do dialback too: a certificate that its TLSA record denies must not be saved by it."""
from scenario import check, check_status, reason_of, scenario

PROSODY = ["prosody"]


def pair(lab, name, *options):
    domain = f"{name}.dane.test"
    lab.entente("partner", "xmpp", "add", domain, "--type", "federated", *options)
    return lab.sip_user(lab.names()[0]), lab.xmpp_user(f"juliet@{domain}"), domain


def proof(lab, domain, direction="out"):
    up = lab.entented.events("xmpp/stream-up", direction=direction, partner=domain)
    return up[-1][3]["proof"] if up else None


def refused(lab, name, reason, *options):
    romeo, juliet, domain = pair(lab, name, *options)
    answer = romeo.message(juliet.name, "hello")
    check_status(answer, "5xx")
    check(reason_of(answer) == reason, f"Entente-Reason is {answer.get('entente-reason')!r}, not {reason}")
    check(proof(lab, domain) is None, "a stream came up")
    juliet.expect_no_message(romeo.name, 0.5)


@scenario("the record matches a certificate that nobody signed: proven by it", partner=None, peers=PROSODY, world="dane")
def match(lab):
    romeo, juliet, domain = pair(lab, "match")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    check(proof(lab, domain) == "dane", f"the proof is {proof(lab, domain)}")
    how = lab.entented.events("xmpp/stream-up", direction="out", partner=domain)[-1][3]["how"]
    check("dnssec" in how, f"found by: {how}")
    juliet.message(romeo.name, "and you")
    romeo.expect_message(juliet.name, "and you", timeout=20)


@scenario("T08 the record names another key: refused, dialback or not", partner=None, peers=PROSODY, world="dane")
def mismatch(lab):
    refused(lab, "mismatch", "xmpp/dane-mismatch")


@scenario("T03 the record's signature is broken: refused", partner=None, peers=PROSODY, world="dane")
def bogus(lab):
    refused(lab, "bogus", "xmpp/dnssec-bogus")


@scenario("T09 the SRV record's signature is broken: refused", partner=None, peers=PROSODY, world="dane")
def forged(lab):
    refused(lab, "forged", "xmpp/dnssec-bogus")


@scenario("no record, a certificate that nobody signed: PKIX rules, refused", partner=None, peers=PROSODY, world="dane")
def missing(lab):
    refused(lab, "missing", "xmpp/certificate", "--sasl", "required", "--no-dialback")


@scenario("no record, a certificate of an authority: PKIX rules, proven", partner=None, peers=PROSODY, world="dane")
def pkix(lab):
    romeo, juliet, domain = pair(lab, "pkix", "--sasl", "required", "--no-dialback")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    check(proof(lab, domain) == "external", f"the proof is {proof(lab, domain)}")


@scenario("a matching record in a zone without signatures counts for nothing", partner=None, peers=PROSODY, world="dane")
def insecure(lab):
    refused(lab, "insecure", "xmpp/certificate", "--sasl", "required", "--no-dialback")


def they_write(lab, name):
    lab.entente("partner", "xmpp", "remove", f"{name}.dane.test", check=False)      # another scenario may have left it
    lab.entented.stop()
    lab.entented.start()
    romeo, juliet, domain = pair(lab, name)
    return romeo, juliet, domain, juliet.message(romeo.name, "hello")


@scenario("the XMPP server begins: its record proves it", partner=None, peers=PROSODY, world="dane")
def they_begin(lab):
    romeo, juliet, domain, _ = they_write(lab, "match")
    romeo.expect_message(juliet.name, "hello", timeout=20)
    check(proof(lab, domain, "in") == "dane", f"the proof is {proof(lab, domain, 'in')}")


@scenario("T08 the XMPP server begins: its record names another key, nobody vouches for it", partner=None, peers=PROSODY,
          world="dane")
def they_begin_in_vain(lab):
    romeo, juliet, domain, number = they_write(lab, "mismatch")
    juliet.expect_error(romeo.name, id=number, timeout=30)
    check(proof(lab, domain, "in") is None, "a stream came up")
    check(lab.entented.events(partner=domain, reason="xmpp/dane-mismatch"), "the log does not say why")
    romeo.expect_no_message(juliet.name, 0.3)


@scenario("xmpp.dane false: the record is not even looked up", partner=None, peers=PROSODY, world="dane-off")
def off(lab):
    refused(lab, "match", "xmpp/certificate", "--sasl", "required", "--no-dialback")
    romeo, juliet, domain = pair(lab, "mismatch")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    check(proof(lab, domain) == "dialback", f"the proof is {proof(lab, domain)}")
