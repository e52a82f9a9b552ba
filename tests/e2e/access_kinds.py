# SPDX-License-Identifier: Apache-2.0
"""SIP federation between complete organisations: contoso.test (Kamailio home, entented edge) with adatum.test and tailspin.test (the same),
and with woodgrove.test (a Kamailio that is home and edge), over mutual TLS found by DNS. Each kind of partner carries presence, page mode,
sessions of messages as Lync has them, MSRP and calls, whoever begins."""
from access_setting import CLEARING_HOUSE, COUNT, DISCOVERY, FOREIGN, KINDS, LAB, TRUSTED, allow, arrange, call_all_through, couple, explained, keeps_quiet, provider, switch
from federation import RawPeer, adatum_user, baresip_pair, woodgrove_user
from scenario import check, check_status, scenario, wait_until

IM = (b"v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"
      b"a=accept-types:text/plain multipart/alternative image/gif text/rtf text/html application/x-ms-ink application/ms-imdn+xml\r\n")
MSRP = (b"v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 7394 TCP/TLS/MSRP *\r\n"
        b"a=accept-types:message/cpim text/plain\r\na=path:msrps://192.0.2.1:7394/2s93i93idj;tcp\r\na=setup:active\r\n")
TYPING = b'<?xml version="1.0"?>\r\n<KeyboardActivity>\r\n  <status status="type" />\r\n</KeyboardActivity>\r\n'
LYNC = [("Ms-Conversation-ID", "AdL0Bq+7"), ("EndPoints", '<sip:a@contoso.test>, "B, C" <sip:b@adatum.test>'), ("Supported", "ms-conf-invite"),
        ("Roster-Manager", "sip:a@contoso.test"), ("ms-text-format", "text/plain; charset=UTF-8; ms-body=aGVsbG8=")]


def page_mode(lab, kind):
    ours, theirs = couple(lab, kind)
    ours.say(theirs.name, "hello over there, grüß Gott")
    got = theirs.expect_message(ours.name, "hello over there, grüß Gott").raw
    check(kind in FOREIGN or not got.get("ms-asserted-verification-level"), "a trust header crossed the border")
    explained(kind, got)
    theirs.say(ours.name, "and back")
    got = ours.expect_message(theirs.name, "and back").raw
    check(not got.get("ms-edge-proxy-message-trust"), "a home that is no Lync was given Lync's trust header")
    domain = theirs.name.split("@")[1]
    answer = ours.message(f"cloud0@{domain}" if kind == "shared address space" else f"nobody@{domain}", "hello?")
    check_status(answer, 480 if kind == "shared address space" else 404)
    answer = theirs.message("nobody@contoso.test", "hello?")
    check_status(answer, 404)
    keeps_quiet(answer)


def presence(lab, kind):
    pair = couple(lab, kind)
    for watcher, watched in (pair, pair[::-1]):
        watch = watcher.subscribe(watched.name)
        watcher.expect_presence(watched.name, basic="open")
        watched.publish(activity="busy", note="in a meeting")
        watcher.expect_presence(watched.name, basic="open", note="in a meeting")
        check_status(watch.refresh(), 200, 202)
        watched.publish(basic="closed")
        watcher.expect_presence(watched.name, basic="closed")
        watch.end()
        watcher.expect_presence(watched.name, state="terminated")


def im_session(lab, kind):
    pair = couple(lab, kind)
    for caller, callee in (pair, pair[::-1]):
        callee.answer_sdp = IM.replace(b"192.0.2.1", b"192.0.2.2")
        call = caller.call(callee.name, IM, LYNC)
        check_status(call.answer, 200)
        check(call.answer.body == callee.answer_sdp, "the answer's SDP was changed")
        there = callee.expect_call(caller.name)
        check(there.invite.body == IM, "the offer's SDP was changed")
        for name, value in LYNC:
            check(value in there.invite.all(name), f"{name} was changed: {there.invite.all(name)}")
        callee.expect_request("ACK")
        for n, (one, other, line) in enumerate(((caller, callee, call), (callee, caller, there)) * 2):
            check_status(line.request("INFO", [("Content-Type", "application/xml")], TYPING), 200)
            check(other.expect_request("INFO").body.encode() == TYPING, "the body of INFO was changed")
            check_status(line.request("MESSAGE", [("Content-Type", "text/plain; charset=UTF-8"), LYNC[4]], f"line {n} ✓".encode()), 200)
            got = other.expect_message(one.name, f"line {n} ✓").raw
            check(got.get("ms-text-format") == LYNC[4][1], "ms-text-format was changed")
        check_status(there.end(), 200)
        caller.expect_request("BYE")
        check_status(call.request("MESSAGE", [("Content-Type", "text/plain")], b"too late"), 481)
    ours, theirs = pair
    theirs.answer_sdp = MSRP.replace(b"192.0.2.1", b"192.0.2.2")
    call = ours.call(theirs.name, MSRP)
    check(call.answer.status == 200 and call.answer.body == theirs.answer_sdp, "the SDP of the MSRP answer was changed")
    check(theirs.expect_call(ours.name).invite.body == MSRP, "the SDP of the MSRP offer was changed")
    check_status(call.end(), 200)


def calls(lab, kind):
    pair = couple(lab, kind)
    for caller, callee in (pair, pair[::-1]):
        call_all_through(caller, callee)


CARRIED = {"page mode both ways": page_mode, "presence both ways": presence, "a session of messages, whoever begins": im_session,
           "calls, whoever begins": calls}


@scenario("{kind}: {what}", each={"kind": list(KINDS), "what": list(CARRIED)}, **LAB)
def carries(lab, kind, what):
    arrange(lab, kind)
    CARRIED[what](lab, kind)


@scenario("a call between two baresips: they hear each other", **LAB)
def real_clients(lab):
    arrange(lab, "allowed domain")
    n = next(COUNT)
    romeo, mercutio = baresip_pair(lab, f"romeo{n}@contoso.test", f"mercutio{n}@adatum.test")
    romeo.dial(mercutio.name)
    for one in (romeo, mercutio):
        one.expect_said("CALL_ESTABLISHED")
        wait_until(one.hears_tone, 20, f"{one.name} does not hear the other's tone")
    romeo.command("hangup")
    mercutio.expect_said("CALL_CLOSED")


@scenario("clearing house: two partners through our edge, whoever begins", **LAB)
def clearing_house(lab):
    switch(lab, *CLEARING_HOUSE)
    n = next(COUNT)
    mercutio, laura = adatum_user(lab, f"mercutio{n}"), woodgrove_user(lab, f"laura{n}")
    mercutio.say(laura.name, "through the middle, grüß Gott")
    got = laura.expect_message(mercutio.name, "through the middle, grüß Gott").raw
    check(got.get("ms-asserted-verification-level") == "ms-source-verified-user=verified", "the mark of the sender was lost")
    check(not got.get("ms-edge-proxy-message-trust"), "a trust header crossed the border")
    check(not got.all("record-route") and "gw.contoso.test" in " ".join(got.all("via")), "it did not come through contoso's edge")
    laura.say(mercutio.name, "and back")
    got = mercutio.expect_message(laura.name, "and back").raw
    check("ms-ep-fqdn=gw.adatum.test" in (got.get("ms-edge-proxy-message-trust") or ""), "the trust header is not of adatum's own edge")
    for one, other in ((mercutio, laura), (laura, mercutio)):
        watch = one.subscribe(other.name)
        one.expect_presence(other.name, basic="open")
        other.publish(activity="busy", note="in a meeting")
        one.expect_presence(other.name, basic="open", note="in a meeting")
        watch.end()
        one.expect_presence(other.name, state="terminated")
        call_all_through(one, other)
    answer = mercutio.message("laura0@woodgrove.test", "hello?")
    check_status(answer, 404, 480)
    keeps_quiet(answer)
    words = ["--via", "sip", "--kind", "message", "--from", f"sip:{mercutio.name}", "--to", f"sip:{laura.name}"]
    told = lab.entente("explain", *words)
    check(told["allowed"] and told["direction"] == "through", f"explain says {told}")
    lab.entente("access-edge", "set", "--clearing-house=false")     # from now on, also within dialogs
    for asker, asked in ((mercutio, laura), (laura, mercutio)):
        answer = asker.message(asked.name, "through?")
        check_status(answer, 404)
        keeps_quiet(answer)
    wait_until(lambda: lab.entented.events("access/refused-in", **{"from": f"sip:{laura.name}", "reason": "policy/local-domain-unknown"}), 10, "the log does not say why")
    status, told = lab.entente("explain", *words, check=False)
    check(status == 1 and told["reason"] == "policy/local-domain-unknown", f"explain says {told}")
    lab.entente("access-edge", "set", "--clearing-house")
    lab.entente("allowed-domain", "remove", "woodgrove.test")       # one listed end is not enough
    check_status(mercutio.message(laura.name, "through?"), 404)


@scenario("clearing house: nobody else's relay, and nothing goes back to where it came from", **LAB)
def no_relay(lab):
    ours, theirs = CLEARING_HOUSE
    switch(lab, [*ours, DISCOVERY, "access-edge set --discovered-partner-verification-level always-verifiable",
                 provider("hosting-provider", "gw.adatum.test"), allow("tailspin.test", TRUSTED)], theirs)
    mercutio = adatum_user(lab, f"mercutio{next(COUNT)}")
    text = {"headers": ["Content-Type: text/plain", "ms-asserted-verification-level: ms-source-verified-user=verified"], "body": "relay"}
    mallory = RawPeer(lab.certs, "mallory")     # discovered: it may write to us, and to us alone
    check_status(mallory.ask("MESSAGE", f"sip:{mercutio.name}", "sip:m@mallory.test", **text), 404)
    check_status(mallory.ask("MESSAGE", f"sip:{mercutio.name}", "sip:m@mallory.test", tag="x", **text), 404)
    check_status(mallory.ask("MESSAGE", f"sip:{mercutio.name}", "sip:laura0@woodgrove.test", **text), 403)
    mallory.close()
    adatum = RawPeer(lab.certs, "adatum")       # allowed, but not to whom it likes
    check_status(adatum.ask("MESSAGE", "sip:m@mallory.test", "sip:x@adatum.test", **text), 404)
    check_status(adatum.ask("MESSAGE", "sip:x@adatum.test", "sip:x@adatum.test", **text), 482)
    check_status(adatum.ask("MESSAGE", f"sip:{mercutio.name.split('@')[0]}@tailspin.test", "sip:x@adatum.test", **text), 482)   # the same server has it
    wait_until(lambda: lab.entented.events("access/refused-out", reason="policy/loop", to="tailspin.test"), 10, "the log does not say why")
    check_status(adatum.ask("MESSAGE", "sip:echo@woodgrove.test", "sip:x@adatum.test", **text), 200)
    for status, tag, uri in ((404, "x", "sip:m@mallory.test"), (403, "x", "sip:inside@10.0.0.9")):      # no dialog was made
        check_status(adatum.ask("INFO", uri, "sip:x@adatum.test", to="sip:m@mallory.test" if status == 404 else "sip:laura0@woodgrove.test", tag=tag, **text), status)
    adatum.close()
    mercutio.expect_no_message("m@mallory.test", 1)
