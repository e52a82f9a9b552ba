# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of SIP federation share: the kinds of partners as commands, users on both sides, and a call with all its requests."""
import itertools

from federation import adatum_user, contoso_user, woodgrove_user
from scenario import check, check_status

LAB = dict(partner=None, federation=True, peers=["prosody"])     # the XMPP server is not used
COUNT = itertools.count(1)

# Every word that these scenarios can have changed, as it is at first.
CLOSED = ("--federated-users=true", "--partner-discovery=false", "--discovered-partner-verification-level", "use-source-verification",
          "--clearing-house=false", "--discovered-partner-contacts-limit=true", "--max-contacts-per-discovered-partner", "1000", "--discovered-partner-standard-rate", "20", "--mark-source-verifiable=true")


def reset(entente):
    """Federation on; nobody allowed, no provider, nobody blocked, no discovery."""
    for row in entente("allowed-domain", "list")["allowed"]:
        entente("allowed-domain", "remove", row["domain"])
    for kind in ("hosting-provider", "public-provider"):
        for row in entente(kind, "list")["providers"]:
            entente(kind, "remove", row["name"])
    for row in entente("blocked-domain", "list")["blocked"]:
        entente("blocked-domain", "remove", row["domain"])
    entente("access-edge", "set", "--routing", "dns-srv", *CLOSED)


def switch(lab, ours=(), theirs=()):
    """Both edges as at first, then these commands on contoso's and on adatum's: each a line of words."""
    lab.arranged = None
    for entente, commands in ((lab.entente, ours), (lab.adatum.entente, theirs)):
        reset(entente)
        for words in commands:
            entente(*words.split())


def provider(kind, proxy, *more):
    return f"{kind} add Carrier --proxy-fqdn {proxy} --enabled --verification-level always-verifiable {' '.join(more)}"


def default(proxy):
    return f"access-edge set --routing default --default-route-fqdn {proxy} --verification-level always-verifiable"


DISCOVERY = "access-edge set --partner-discovery --discovered-partner-standard-rate 1000"


def allow(domain, *more):
    return f"allowed-domain add {domain} {' '.join(more)}"


TRUSTED = "--verification-level always-verifiable"
# kind: (commands here, commands there, the other domain, what a Lync home there reads of us)
KINDS = {
    "discovered domain": ([DISCOVERY], [DISCOVERY], "adatum.test", "AutoFederation"),
    "allowed domain": ([allow("adatum.test")], [allow("contoso.test")], "adatum.test", "AutoFederation"),
    "allowed server": ([allow("adatum.test", "--proxy-fqdn gw.adatum.test")], [allow("contoso.test", "--proxy-fqdn gw.contoso.test")],
                       "adatum.test", "DirectPartner"),
    # carries a domain whose record leaves the domain: as allowed domain it would be refused
    "hosting provider": ([provider("hosting-provider", "gw.adatum.test"), allow("tailspin.test")],
                         [provider("hosting-provider", "gw.contoso.test"), allow("contoso.test")], "tailspin.test", "AuthorizedServer"),
    "public provider": ([provider("public-provider", "gw.adatum.test")], [provider("public-provider", "gw.contoso.test")], "tailspin.test",
                        "AuthorizedServer"),
    "default route": ([default("gw.adatum.test")], [default("gw.contoso.test")], "tailspin.test", "DirectPartner"),
    "a Kamailio as edge": ([allow("woodgrove.test", TRUSTED)], [], "woodgrove.test", None),
    # whom contoso's home does not have, the provider has
    "shared address space": ([provider("hosting-provider", "sip.woodgrove.test", "--shared-address-space")], [], "contoso.test", None),
}
# contoso carries between adatum.test, which knows of woodgrove.test only that contoso's edge leads there, and woodgrove.test, which sends everything to contoso
CLEARING_HOUSE = ([allow("adatum.test", TRUSTED), allow("woodgrove.test", TRUSTED), "access-edge set --clearing-house"],
                  [allow("woodgrove.test", "--proxy-fqdn gw.contoso.test", TRUSTED)])
FOREIGN = ("a Kamailio as edge", "shared address space")    # the other side is no entented


def arrange(lab, kind):
    """Both edges so that each has the other as partner of this kind."""
    if getattr(lab, "arranged", None) == kind:
        return
    ours, theirs, _, _ = KINDS[kind]
    switch(lab, ours, theirs)
    lab.arranged = kind


def couple(lab, kind):
    """(a user of contoso.test, one of the partner), whom nobody has seen before."""
    n = next(COUNT)
    ours, domain = contoso_user(lab, f"romeo{n}"), KINDS[kind][2]
    if domain in ("adatum.test", "tailspin.test"):
        return ours, adatum_user(lab, f"mercutio{n}", domain)
    return ours, woodgrove_user(lab, f"{'laura' if domain == 'woodgrove.test' else 'cloud'}{n}", domain)


def explained(kind, m):
    """What Lync's trust header, which adatum's edge writes for its home, says of the partner."""
    trust, source = m.get("ms-edge-proxy-message-trust"), KINDS[kind][3]
    if source is None:
        return
    network = "publiccloud" if kind == "public provider" else "federation"
    wanted = f"ms-source-type={source};ms-ep-fqdn=gw.adatum.test;ms-source-verified-user=verified;ms-source-network={network}"
    check(trust == wanted, f"the other home is told {trust}, not {wanted}")


def keeps_quiet(answer):
    """The reasons of the edge that refused stay with it: what adatum's home, a Lync, is told is only that nothing was told (1034)."""
    told = answer.get("ms-diagnostics")
    check(not answer.get("entente-reason") and (not told or told.startswith("1034;") and 'source="gw.adatum.test"' in told),
          f"a partner is told why: {answer.get('entente-reason')} {told}")


AV = ("v=0\r\no=- 0 1 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nb=CT:99980\r\nt=0 0\r\na=x-devicecaps:audio:send,recv;video:send,recv\r\n"
      "m=audio 27248 RTP/SAVP 117 104 114 9 112 111 0 8 116 115 97 13 118 101\r\na=x-ssrc-range:1-1\r\na=rtcp-fb:* x-message app send:dsh recv:dsh\r\n"
      "a=rtcp-rsize\r\na=label:main-audio\r\na=x-source:main-audio\r\na=ice-ufrag:xZ/k\r\na=ice-pwd:2rqGD7oZHV8NZwsHB4Zr6Ld0\r\n"
      "a=candidate:1 1 UDP 2130706431 192.0.2.1 27248 typ host \r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:Q0aGVyZSBpcyBubyBrZXkgaGVyZSwgc29ycnkuLi4u|2^31|1:1\r\n"
      "a=rtpmap:117 G722/8000/2\r\na=rtpmap:0 PCMU/8000\r\na=maxptime:200\r\n"
      "m=video 28274 RTP/SAVP 122 121 123\r\na=x-caps:121 263:1920:1080:30.0:2000000:1;4359:1280:720:30.0:1500000:1\r\na=rtpmap:122 X-H264UC/90000\r\n"
      "a=fmtp:122 packetization-mode=1;mst-mode=NI-TC\r\n").encode()
HOLD = AV.replace(b"a=label:main-audio", b"a=sendonly\r\na=label:main-audio")


def call_all_through(caller, callee):
    """Ringing, answered early and reliably, held, moved, asked, referred, ended; one given up, one declined."""
    callee.patient = True
    callee.answer_sdp = AV.replace(b"192.0.2.1", b"192.0.2.2")
    call = caller.dial(callee.name, AV, [("Supported", "100rel"), ("Allow", "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, REFER, INFO")])
    there = callee.expect_call(caller.name)
    check(there.invite.body == AV, "the offer's SDP was changed")
    there.ring(reliable=True, sdp=callee.answer_sdp, status=183, reason="Session Progress")
    early = call.expect(183)
    check(early.body == callee.answer_sdp, "the SDP of the early answer was changed")
    check_status(call.confirm(early), 200)
    check(callee.expect_request("PRACK").raw.get("rack") == "1 1 INVITE", "RAck was changed")
    check_status(call.request("UPDATE", [("Content-Type", "application/sdp")], AV), 200)
    check(callee.expect_request("UPDATE").raw.body == AV, "the SDP of UPDATE was changed")
    there.ring()
    call.expect(180)
    there.pick_up()
    check_status(call.finish(), 200)
    check(call.answer.body == callee.answer_sdp, "the answer's SDP was changed")
    callee.expect_request("ACK")
    for line, other in ((call, callee), (there, caller)):
        answer = line.request("INVITE", [("Content-Type", "application/sdp")], HOLD)    # on hold
        check_status(answer, 200)
        check(answer.body == other.answer_sdp, "the SDP of the second answer was changed")
        check(other.expect_request("INVITE").raw.body == HOLD, "the SDP of the re-INVITE was changed")
        other.expect_request("ACK")
        check_status(line.request("INFO", [("Content-Type", "application/dtmf-relay")], b"Signal=5\r\nDuration=160\r\n"), 200)
        check(other.expect_request("INFO").body == "Signal=5\r\nDuration=160\r\n", "the body of INFO was changed")
        check_status(line.request("OPTIONS"), 200)
    refer = there.request("REFER", [("Refer-To", f"<sip:third@{caller.name.split('@')[1]}?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>")])
    check_status(refer, 202)
    check("Replaces=a%40b%3Bto-tag%3D1" in caller.expect_request("REFER").raw.get("refer-to"), "Refer-To was changed")
    check_status(call.request("NOTIFY", [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource"),
                                         ("Content-Type", "message/sipfrag;version=2.0")], b"SIP/2.0 200 OK\r\n"), 200)
    check(callee.expect_request("NOTIFY").body == "SIP/2.0 200 OK\r\n", "the body of NOTIFY was changed")
    check_status(call.end(), 200)
    callee.expect_request("BYE")
    given_up = caller.dial(callee.name, AV)
    callee.expect_call(caller.name).ring()
    given_up.expect(180)
    check_status(given_up.cancel(), 200)
    callee.expect_request("CANCEL")
    check_status(given_up.finish(), 487)
    declined = caller.dial(callee.name, AV)
    callee.expect_call(caller.name).reject(486, "Busy Here", Reason='Q.850;cause=17;text="User busy"')
    check_status(declined.finish(), 486)
    check("Q.850" in (declined.answer.get("reason") or ""), "the Reason of the refusal was lost")
    callee.patient = False
