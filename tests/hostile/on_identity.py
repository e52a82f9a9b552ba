# SPDX-License-Identifier: Apache-2.0
"""Who somebody is: dialback, certificates, DNS, addresses (threats 1 to 12)."""
import random
import threading
import time

from case import check, hostile, same
from certificates import CLIENT_ONLY, SERVER_ONLY, Certificates
from ground import HONEST, ROMEO
from peer import OURS, Receiver, dialback_key, message, presence
from waiting import LabError, wait_until
from wire import TLS, Gone, local

CERTIFICATE_ONLY = ("--sasl", "required", "--no-dialback")
DIALBACK_ONLY = ("--no-sasl", "--dialback")


def refused_stanza(stream, domain, wanted=("not-authorized",)):
    """A stanza on a stream that has not proven `domain` ends it."""
    stream.send(message(f"mallory@{domain}", ROMEO, "body-marker forged"))
    same("the stream error", stream.error(), *wanted)


def reason(answer):
    return (answer.get("entente-reason") or "").split(";")[0].strip()


# --- 1: verdicts that nobody asked for ----------------------------------------------------------------------------------

@hostile("T01 S08 verdicts that come by themselves authorise nothing")
def unsolicited(g):
    g.partner_add("victim01.test", *DIALBACK_ONLY)
    g.names.domain("victim01.test", "127.0.40.1")   # nothing listens: nobody vouches
    for first in ("", "<db:result from='victim01.test' to='contoso.test'>1234</db:result>"):
        with g.initiator("victim01.test") as s:
            s.secure()
            s.send(first)
            for verdict in ("<db:result from='{0}' to='contoso.test' type='valid'/>", "<db:result from='contoso.test' to='{0}' type='valid'/>",
                            "<db:verify from='{0}' to='contoso.test' id='{1}' type='valid'/>",
                            "<db:verify from='contoso.test' to='{0}' id='{1}' type='valid'/>"):
                s.send(verdict.format("victim01.test", s.id))
            refused_stanza(s, "victim01.test")
    g.wait_event("xmpp/odd")


@hostile("T01 an authoritative server that answers for other pairs and other streams authorises nothing", authorised=("mallory01.test",))
def answers_for_others(g):
    for domain in ("victim01b.test", "mallory01.test"):
        g.partner_add(domain, *DIALBACK_ONLY)
    asked = threading.Event()
    target = {}

    class Liar(Receiver):
        """Says that everybody's key is right, whoever was asked about, and then the truth about its own."""
        def on_verify(self, stream, el):
            for from_, to, id in (("victim01b.test", OURS, target["id"]), ("victim01b.test", OURS, el.get("id")), (OURS, "victim01b.test", target["id"]),
                                  ("mallory01.test", OURS, target["id"]), ("mallory01.test", "other.test", el.get("id")),
                                  ("mallory01.test", OURS, "no such id")):
                stream.send(f"<db:verify from='{from_}' to='{to}' id='{id}' type='valid'/>")
                stream.send(f"<db:result from='{from_}' to='{to}' type='valid'/>")
            stream.send(f"<db:verify from='mallory01.test' to='contoso.test' id='{el.get('id')}' type='valid'/>")

    class Late(Receiver):
        def on_verify(self, stream, el):
            asked.wait(10)
            super().on_verify(stream, el)

    g.server("victim01b.test", "127.0.40.2", Late)
    g.server("mallory01.test", "127.0.40.3", Liar)
    with g.initiator("victim01b.test", leaf=g.certificates.leaf("mallory01.test")) as claim, g.initiator("mallory01.test") as own:
        target["id"] = claim.secure().id
        claim.result("cafe" * 16)
        same("the liar's own domain", own.secure().result("beef" * 16).answer(), "valid")
        asked.set()
        same("the victim's", claim.answer(), "invalid")
        refused_stanza(own, "victim01b.test", ("invalid-from",))
    with g.initiator("victim01b.test") as claim:
        claim.secure()
        refused_stanza(claim, "victim01b.test")
    check(len(g.events("xmpp/odd")) >= 2, "no word of it in the log")


# --- 2: keys ------------------------------------------------------------------------------------------------------------

@hostile("T02 a dialback key that was changed, guessed or replayed is invalid", authorised=("t02.test",))
def keys(g):
    g.partner_add("t02.test", *DIALBACK_ONLY)
    g.partner_add("t02b.test", *DIALBACK_ONLY)
    server = g.server("t02.test", "127.0.40.4")
    g.romeo.say("juliet@t02.test", g.word())
    el = server.expect("result")
    key, id = el.el.text.strip(), el.stream.id
    server.expect_stanza("message")
    ask = g.initiator("t02.test").secure()
    same("the key itself", ask.verify(key, id), "valid")
    flipped = key[:-1] + ("0" if key[-1] != "0" else "1")
    for what, said in (("another stream", ask.verify(key, id + "0")), ("no stream", ask.verify(key, "x")), ("one digit changed", ask.verify(flipped, id)),
                       ("cut", ask.verify(key[:32], id)), ("longer", ask.verify(key + "00", id)), ("empty", ask.verify("", id)),
                       ("upside down", ask.verify(key[::-1], id)), ("guessed", ask.verify(dialback_key("secret", "t02.test", OURS, id), id)),
                       ("digits as letters", ask.verify("".join(chr(ord(c) + 0xfee0) for c in key), id))):
        same(f"a key with {what}", said, "invalid")
    ask.close()
    other = g.initiator("t02b.test").secure()
    same("for another domain", other.verify(key, id), "invalid")
    same("a pair that is not ours", other.verify(key, id, to=HONEST), "error item-not-found", "error host-unknown", "invalid",
         "stream error host-unknown")
    other.close()
    server.close()
    wait_until(lambda: not g.up("t02.test"), 10, "the stream is gone")
    server = g.server("t02.test", "127.0.40.5")

    def delivered():
        answer = g.romeo.message("juliet@t02.test", g.word())
        return answer.status == 200
    wait_until(delivered, 15, "the next stream is there", step=0.5)
    check(server.expect("result").el.text.strip() != key, "two streams had the same key")


# --- 3: poisoned DNS ----------------------------------------------------------------------------------------------------

@hostile("T03 poisoned DNS gains nothing where a certificate is required")
def poisoned(g):
    g.partner_add("victim03.test", *CERTIFICATE_ONLY)
    attacker = g.server("victim03.test", "127.0.40.6", leaf=g.certificates.leaf("mallory03.test"))     # DNS leads to him
    answer = g.romeo.message("juliet@victim03.test", g.word())
    same("status", answer.status, 504)
    same("reason", reason(answer), "xmpp/certificate")
    check(not [e for e in attacker.seen.history if e.kind in ("message", "result", "auth")], "something was told to the attacker")
    with g.initiator("victim03.test", leaf=g.certificates.leaf("mallory03.test")) as s:
        same("the end of a stream with the wrong certificate", refusal(s.open().start_tls()), "not-authorized")
    with g.initiator("victim03.test", leaf=g.certificates.leaf("mallory03.test")) as s:
        s.open()
        s.result("00" * 32)     # without TLS
        check(s.answer() in ("error policy-violation", "stream error policy-violation", "stream error not-authorized"), "db:result was taken")
    check(not [e for e in attacker.seen.history if e.kind == "verify"], "the attacker was asked to vouch for the victim")


def refusal(stream):
    """What comes instead of features."""
    try:
        stream.open()
    except LabError as e:
        return str(e).rsplit(" ", 1)[-1]
    return f"features {sorted(stream.offers())}"


# --- 4: TLS taken away --------------------------------------------------------------------------------------------------

@hostile("T04 S12 a server that offers no TLS gets nothing but <starttls/>", authorised=())
def stripped(g):
    g.partner_add("t04.test")

    class Stripped(Receiver):
        tls = "off"

        def on_starttls(self, stream, el):
            stream.send(f"<failure xmlns='{TLS}'/></stream:stream>")
            raise Gone("refused")
    server = g.server("t04.test", "127.0.40.7", Stripped)
    answer = g.romeo.message("juliet@t04.test", g.word())
    same("status", answer.status, 504)
    check(reason(answer) in ("xmpp/tls-required", "xmpp/tls-failed"), f"the reason is {reason(answer)}")
    kinds = {e.kind for e in server.seen.history} - {"ended", "/stream"}
    same("what the server was told", sorted(kinds), ["starttls"], [])


@hostile("T04 TLS is optional, but it was there before: without it nothing goes, either way", authorised=("t04o.test",))
def stripped_later(g):
    g.partner_add("t04o.test", "--tls", "optional")

    class Later(Receiver):
        tls = "optional"

        def on_starttls(self, stream, el):
            if self.tls == "off":
                stream.send(f"<failure xmlns='{TLS}'/></stream:stream>")
                raise Gone("refused")
            super().on_starttls(stream, el)
    server = g.server("t04o.test", "127.0.40.11", Later)
    same("with TLS", g.romeo.message("juliet@t04o.test", g.word()).status, 200)
    check(server.streams[0].secured, "TLS was offered and not used")
    server.tls = "off"
    server.streams[0].send("</stream:stream>")
    wait_until(lambda: not g.up("t04o.test"), 10, "the stream is still there")
    word = g.word()
    answer = g.romeo.message("juliet@t04o.test", word)
    same("without TLS", answer.status, 504)
    check(reason(answer) in ("xmpp/tls-required", "xmpp/tls-failed"), f"the reason is {reason(answer)}")
    check(not [s for s in server.streams if not s.secured and s.stanzas], "a message went in the clear")
    with g.initiator("t04o.test") as s:
        same("the offer", sorted(s.open().offers()), ["dialback", "starttls"], ["starttls"])
        s.result("00" * 32)
        check(s.answer() in ("error policy-violation", "stream error policy-violation"), "db:result without TLS")


@hostile("T04 a partner that needs TLS cannot come in without it", authorised=())
def without_tls(g):
    g.partner_add("t04b.test")
    g.server("t04b.test", "127.0.40.8")
    with g.initiator("t04b.test") as s:
        same("the offer", sorted(s.open().offers()), ["dialback", "starttls"], ["starttls"])
        s.result("00" * 32)
        check(s.answer() in ("error policy-violation", "stream error policy-violation"), "db:result without TLS")
    with g.initiator("t04b.test") as s:
        s.open().send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        same("EXTERNAL without TLS", local(s.expect("failure")[0].tag), "encryption-required")
    with g.initiator("t04b.test") as s:
        s.open()
        refused_stanza(s, "t04b.test")


@hostile("T04 S13 plaintext behind <starttls/> is dropped", authorised=())
def pipelined_in(g):
    g.partner_add("t04c.test")
    server = g.server("t04c.test", "127.0.40.9")
    injected = ("<db:result from='t04c.test' to='contoso.test'>00</db:result>" + message("mallory@t04c.test", ROMEO, "body-marker injected"))
    with g.initiator("t04c.test", leaf="") as s:
        s.open()
        s.send(f"<starttls xmlns='{TLS}'/>" + injected)
        s.expect("proceed")
        s.wire.start_tls(s.context())
        s.open()
        s.wire.expect_silence(0.5)
        refused_stanza(s, "t04c.test")
    check(not server.streams, "the authoritative server was asked about what came in the clear")


@hostile("T04 S13 plaintext behind <proceed/> is dropped", authorised=("t04d.test",))
def pipelined_out(g):
    g.partner_add("t04d.test")

    class Injecting(Receiver):
        def on_starttls(self, stream, el):
            stream.send(f"<proceed xmlns='{TLS}'/><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL"
                        "</mechanism></mechanisms></stream:features><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
            self.start_tls(stream)
    server = g.server("t04d.test", "127.0.40.10", Injecting)
    word = g.word()
    answer = g.romeo.message("juliet@t04d.test", word)
    kinds = [e.kind for e in server.seen.history if e.kind != "ended"]
    check("starttls" in kinds, "it did not even ask for TLS")
    if answer.status == 200:    # dropped: all of it came again inside TLS
        same("the order", kinds[:2], ["starttls", "auth"])
        check(server.streams[0].secured, "without TLS")
    else:                       # or not even TLS was possible
        check("message" not in kinds and "result" not in kinds, f"it went on: {kinds}")


# --- 5: EXTERNAL for somebody else --------------------------------------------------------------------------------------

@hostile("T05 S05 only the stream's own domain can be assumed by EXTERNAL", authorised=("t05.test",))
def assumed(g):
    g.partner_add("t05.test")
    for other in (HONEST, OURS, "x.t05.test", "juliet@t05.test", "t05.test\0.honest.test", "t05.test "):
        with g.initiator("t05.test") as s:
            same(f"authorization identity {other!r}", s.secure().external(other), "invalid-authzid", "malformed-request", "incorrect-encoding")
            refused_stanza(s, HONEST)
    for right in (None, ""):
        with g.initiator("t05.test") as s:
            same("the domain itself", s.secure().external(right), "")
            refused_stanza(s.open(), HONEST, ("invalid-from",))
    with g.initiator(HONEST, leaf=g.certificates.leaf("t05.test")) as s:      # a certificate for t05, a stream from somebody else
        same("a stream from the neighbour", refusal(s.open().start_tls()), "not-authorized")
    with g.initiator("t05.test") as s:          # another name behind TLS than before it
        s.open().start_tls()
        s.domain = HONEST
        check(refusal(s) in ("invalid-from", "improper-addressing", "not-authorized"), "the name could be changed")


# --- 6, 7: certificates -------------------------------------------------------------------------------------------------

def der(*names):
    """subjectAltName of dNSNames with any octets."""
    body = b"".join(b"\x82" + bytes([len(n)]) + n for n in names)
    return "DER:" + (b"\x30" + bytes([len(body)]) + body).hex(":")


@hostile("T06 tricks with names in certificates prove nothing", authorised=())
def tricks(g):
    g.partner_add("t06.test", *CERTIFICATE_ONLY)
    leaf = g.certificates.leaf
    srv = "otherName:1.3.6.1.5.5.7.8.7;IA5STRING:"
    wrong = {
        "only a common name": leaf(cn="t06.test"),
        "a common name beside another name": leaf("mallory.test", cn="t06.test"),
        "a subdomain": leaf("xmpp.t06.test"), "wildcard below": leaf("*.t06.test"), "wildcard of all": leaf("*"), "part of a label": leaf("t*.test"),
        "part of a label, other side": leaf("*6.test"), "longer": leaf("t06.test.mallory.test"), "prefix": leaf("at06.test"),
        "mail address": leaf("email:admin@t06.test"), "URI": leaf("URI:xmpp:t06.test", "URI:sip:t06.test"), "address": leaf("IP:127.0.40.11"),
        "NUL": leaf(cn="nul", extra=f"subjectAltName={der(b't06.test' + bytes(1) + b'.mallory.test')}\n"),
        "space": leaf(cn="space", extra=f"subjectAltName={der(b't06.test ')}\n"),
        "line feed": leaf(cn="line", extra=f"subjectAltName={der(bytes([10]) + b't06.test')}\n"),
        "the client's service": leaf(srv + "_xmpp-client.t06.test"), "another service": leaf(srv + "_sip.t06.test"),
        "a service without a service": leaf(srv + "t06.test"), "an address of XMPP": leaf("otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@t06.test"),
    }
    for what, file in wrong.items():
        with g.initiator("t06.test", leaf=file) as s:
            s.open().start_tls()
            same(f"a certificate with {what}", refusal(s), "not-authorized")
    for what in ("only a common name", "NUL", "wildcard of all", "part of a label"):
        g.entente("partner", "xmpp", "set", "t06.test", "--description", what)   # also ends the wait after the last failure
        server = g.server("t06.test", "127.0.40.11", leaf=wrong[what])
        same(f"a server whose certificate has {what}", reason(g.romeo.message("juliet@t06.test", g.word())), "xmpp/certificate")
        check(not [e for e in server.seen.history if e.kind in ("message", "auth", "result")], "and it was told something")
        server.close()


@hostile("T07 S14 a certificate that is none proves nothing: client's, expired, not yet, self-signed, of another authority", authorised=("t07.test",))
def useless(g):
    g.partner_add("t07.test", *CERTIFICATE_ONLY)
    leaf = g.certificates.leaf
    bad = {"client": leaf("t07.test", usage=CLIENT_ONLY), "expired": leaf("t07.test", dates=("20200101000000Z", "20200201000000Z")),
           "not yet": leaf("t07.test", dates=("20900101000000Z", "20910101000000Z")), "self-signed": leaf("t07.test", signer="self"),
           "stranger": leaf("t07.test", signer="other"), "none": ""}
    for what, file in bad.items():
        with g.initiator("t07.test", leaf=file) as s:
            same(f"{what}", refusal(s.open().start_tls()), "not-authorized")
    for what, file in list(bad.items())[:5]:
        g.entente("partner", "xmpp", "set", "t07.test", "--description", what)
        server = g.server("t07.test", "127.0.40.12", leaf=file)
        same(f"a server with {what}", reason(g.romeo.message("juliet@t07.test", g.word())), "xmpp/certificate")
        check(not [e for e in server.seen.history if e.kind in ("message", "auth", "result")], "and it was told something")
        server.close()
    for usage in (SERVER_ONLY, None):
        with g.initiator("t07.test", leaf=leaf("t07.test", usage=usage)) as s:
            s.up()


@hostile("T08 a certificate that a trusted authority issued to somebody else is refused where the key is pinned", authorised=("t08.test",))
def misissued(g):
    thief = Certificates(g.certs, "made-by-thief")      # the same authority, the right name, another key
    g.partner_add("t08.test", *CERTIFICATE_ONLY, "--pin", g.certificates.pin(), "--pin-mode", "block")
    server = g.server("t08.test", "127.0.40.14", certificates=thief)
    answer = g.romeo.message("juliet@t08.test", g.word())
    check(answer.status >= 400 and reason(answer).startswith("xmpp/"), f"answered {answer.status} {reason(answer)}")
    check(not [e for e in server.seen.history if e.kind in ("message", "auth", "result")], "the thief was told something")
    server.close()
    with g.initiator("t08.test", certificates=thief) as s:
        same("a stream of the thief", refusal(s.open().start_tls()), "not-authorized", "policy-violation")
    check(not g.up("t08.test"), "the thief is in")
    server = g.server("t08.test", "127.0.40.14")
    with g.initiator("t08.test").up() as s:
        word = g.word()
        s.send(message("juliet@t08.test/x", ROMEO, word))
        g.romeo.expect_message("juliet@t08.test", word)
    g.romeo.say("juliet@t08.test", g.word())
    server.expect_stanza("message")
    g.partner_set("t08.test", "--pin-mode", "alarm")
    g.mark()
    with g.initiator("t08.test", certificates=thief).up():
        wait_until(lambda: [x for x in g.entented.output()[g._mark:].splitlines() if " warning " in x and "t08.test" in x and "pin" in x.lower()], 10,
                   "a warning about the other key")


# --- 9: SRV -------------------------------------------------------------------------------------------------------------

@hostile("T09 a certificate for the target of SRV does not prove the domain", authorised=())
def redirected(g):
    g.partner_add("t09.test", *CERTIFICATE_ONLY)
    g.names.domain("t09.test", "127.0.40.13", host="xmpp.mallory09.test")
    server = g.server("xmpp.mallory09.test", "127.0.40.13", names=False, leaf=g.certificates.leaf("xmpp.mallory09.test", "mallory09.test"))
    answer = g.romeo.message("juliet@t09.test", g.word())
    same("reason", reason(answer), "xmpp/certificate")
    check(not [e for e in server.seen.history if e.kind in ("message", "auth", "result")], "the target was told something")


# --- 10, 12: addresses --------------------------------------------------------------------------------------------------

def mutated(rng):
    """An address that is not of t10.test, however it looks."""
    domain = rng.choice([HONEST, OURS, "t10.test.mallory.test", "x.t10.test", "t10-test", "t10.tes", "t1o.test", "xn--t10-test", "t10.test@honest.test",
                         "honest.test/t10.test", "t10.test\u200b.honest.test", "\u04200.test", "127.0.0.1", "[::1]", "t10\u3002test.mallory.test", ""])
    user = rng.choice(["mallory@", "juliet@", "romeo@", "", "a" * 1023 + "@", "\\40@", "t10.test@", "mallory%40t10.test@"])
    return user + domain + rng.choice(["", "/home", "/t10.test", "/" + "r" * 1023])


@hostile("T10 no form of a foreign sender passes", authorised=("t10.test",))
def forged(g):
    g.partner_add("t10.test")
    rng = random.Random(10)
    refused = 0
    for n in range(60):
        s = g.initiator("t10.test", source="127.9.1.1").up()
        victim = mutated(rng)
        for stanza in (message(victim, ROMEO, "body-marker forged", more="<from xmlns='x'>t10.test</from>"), presence(victim, ROMEO),
                       message(victim, ROMEO, "body-marker forged").replace("<message ", "<message xmlns:x='y' x:from='juliet@t10.test' "))[n % 3:][:1]:
            s.send(stanza)
        s.send(message("juliet@t10.test", "nobody-there@contoso.test", "body-marker after", id="after"))
        try:
            end = s.wire.expect_end(3)
        except LabError:
            end = "nothing"
        check(end in ("invalid-from", "improper-addressing"), f"from {victim!r}: ended with {end!r}")
        refused += 1
        s.close()
    g.note = f"{refused} forged senders"


@hostile("T10 what a partner says of identities in headers of its own does not reach the home", authorised=("t10b.test",))
def asserted(g):
    g.partner_add("t10b.test")
    word = g.word()
    with g.initiator("t10b.test").up() as s:
        extra = ("<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='ceo@contoso.test'/></addresses>"
                 "<headers xmlns='http://jabber.org/protocol/shim'><header name='P-Asserted-Identity'>sip:ceo@contoso.test</header>"
                 "<header name='Remote-Party-ID'>sip:ceo@contoso.test</header></headers>"
                 "<nick xmlns='http://jabber.org/protocol/nick'>ceo@contoso.test</nick>")
        s.send(message("juliet@t10b.test/x", ROMEO, word, more=extra))
        raw = g.romeo.expect_message("juliet@t10b.test", word).raw
        for name in ("p-asserted-identity", "p-preferred-identity", "remote-party-id", "ms-asserted-verification-level", "ms-edge-proxy-message-trust"):
            check(raw.get(name) is None, f"{name}: {raw.get(name)}")
        check("ceo@" not in raw.encode().decode(), "the false name is in the request")


@hostile("T12 nobody outside is one of our domains", authorised=())
def ours_claimed(g):
    stolen = g.certificates.leaf(OURS)
    for domain in (OURS, "CONTOSO.test", "\uff43ontoso.test"):
        with g.initiator(domain, leaf=stolen) as s:
            s.wire.send(f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db="
                        f"'jabber:server:dialback' from='{domain}' to='contoso.test' version='1.0'>")
            same(f"a stream from {domain}", s.error(), "invalid-from", "policy-violation")
    with g.initiator("", leaf=stolen) as s:
        s.open().start_tls().open()
        s.send("<db:result from='contoso.test' to='contoso.test'>00</db:result>")
        check(s.answer() not in ("valid", "invalid"), "dialback for our own domain was tried")
    code, _ = g.entente("partner", "xmpp", "add", OURS, "--type", "federated", check=False)
    check(code != 0, "our own domain became a partner")
