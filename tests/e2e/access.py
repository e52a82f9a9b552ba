# SPDX-License-Identifier: Apache-2.0
"""SIP federation: contoso.test and adatum.test, each a Kamailio home behind an entented edge, over mutual TLS found by DNS: who is refused,
whom a certificate lets in, limits, outages. What passes: access_kinds.py."""
from access_setting import COUNT, LAB as OPTIONS, switch
from scenario import check, check_status, reason_of, scenario, wait_until
from federation import RawPeer, adatum_user, contoso_user


def switches(lab, ours=(), theirs=(), on=True):
    """Both edges in a known state: nothing allowed, discovery off; then words of `access-edge set`."""
    switch(lab)
    for entente, words in ((lab.entente, ours), (lab.adatum.entente, theirs)):
        words = [*words, *([] if on else ["--federated-users=false"])]
        if words:
            entente("access-edge", "set", *words)


def allowed(lab, ours=("adatum.test",), theirs=("contoso.test",)):
    switches(lab)
    lab.entente("allowed-domain", "add", *ours)
    lab.adatum.entente("allowed-domain", "add", *theirs)


def pair(lab):
    n = next(COUNT)
    return contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}")


@scenario("refused: discovery off and not allowed", **OPTIONS)
def unknown(lab):
    switches(lab)
    romeo, mercutio = pair(lab)
    answer = romeo.message(mercutio.name, "knock")
    check_status(answer, 403)
    check(reason_of(answer) == "policy/partner-unknown", f"reason {reason_of(answer)}")
    check("1005" in (answer.get("ms-diagnostics") or ""), "a Lync client learns why, too")
    lab.entente("allowed-domain", "add", "adatum.test")     # one side alone is not enough
    answer = romeo.message(mercutio.name, "knock")
    check_status(answer, 403)
    check(not answer.get("ms-diagnostics") or "adatum" not in answer.get("ms-diagnostics"), "the other side's reasons are its own")
    wait_until(lambda: lab.adatum.events("access/refused-in", reason="policy/partner-unknown"), 5, "adatum's log does not say why")
    mercutio.expect_no_message(romeo.name, 1)


@scenario("refused: who is not who he says", **OPTIONS)
def identity(lab):
    allowed(lab)
    romeo, _ = pair(lab)
    to = f"sip:{romeo.name}"
    lab.entente("access-edge", "set", "--partner-discovery", "--discovered-partner-verification-level", "always-verifiable")
    mallory = RawPeer(lab.certs, "mallory")
    verified = ["ms-asserted-verification-level: ms-source-verified-user=verified", "Content-Type: text/plain"]
    check_status(mallory.ask("MESSAGE", to, "sip:m@mallory.test", headers=verified, body="it is me"), 200)
    romeo.expect_message("m@mallory.test", "it is me")
    for sender, why in (("sip:mercutio@adatum.test", "policy/peer-identity"), (f"sip:{romeo.name}", "policy/spoofed-domain"),
                        ("sip:juliet@fabrikam.test", "policy/peer-identity")):
        answer = mallory.ask("MESSAGE", to, sender, headers=verified, body="forged")
        check_status(answer, 403, 504)
        check(not answer.get("entente-reason") and not answer.get("ms-diagnostics"), "a stranger is told why")
        wait_until(lambda s=sender, w=why: lab.entented.events("access/refused-in", **{"from": s, "reason": w}), 5,
                   f"the log does not say why {sender} was refused")
    forged = [*verified, "P-Asserted-Identity: <sip:boss@contoso.test>"]
    check_status(mallory.ask("MESSAGE", to, "sip:m@mallory.test", headers=forged, body="forged"), 403)
    # inside a dialog that does not exist, the same
    check_status(mallory.ask("INFO", to, "sip:mercutio@adatum.test", headers=verified, body="forged", tag="x"), 403)
    # we are nobody's relay
    check_status(mallory.ask("MESSAGE", "sip:a@adatum.test", "sip:m@mallory.test", headers=verified, body="relay"), 404)
    check_status(mallory.ask("MESSAGE", to, "sip:m@mallory.test", headers=[*verified, "Route: <sip:elsewhere.test;lr>"], body="relay"), 403)
    check_status(mallory.ask("REGISTER", "sip:contoso.test", "sip:m@mallory.test"), 403)
    check_status(mallory.ask("NEGOTIATE", "sip:gw.contoso.test:5061", "sip:m@mallory.test"), 405)
    check_status(mallory.ask("OPTIONS", "sip:gw.contoso.test:5061;transport=tls", "sip:m@mallory.test"), 200)
    mallory.close()
    romeo.expect_no_message("mercutio@adatum.test", 1)


@scenario("refused: no certificate, or one that nobody trusts", **OPTIONS)
def certificates(lab):
    allowed(lab)
    romeo, _ = pair(lab)
    for certificate in (None, "contoso-self"):
        peer = RawPeer(lab.certs, certificate)
        answer = peer.ask("MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", headers=["Content-Type: text/plain"], body="x")
        check(answer is None, f"a connection with the certificate {certificate} was answered {answer and answer.status}")
        peer.close()
    romeo.expect_no_message("m@mallory.test", 1)


FATES = {"mallory": "in", "mallory-server": "in", "mallory-edge": "in", "mallory-client": "cut off", "mallory-rogue": "cut off",
         "mallory-expired": "cut off", "mallory-wildcard": "refused"}


@scenario("a discovered partner's certificate: {certificate}", each={"certificate": list(FATES)}, **OPTIONS)
def purposes(lab, certificate):
    fate = FATES[certificate]
    switches(lab, ours=["--partner-discovery", "--discovered-partner-verification-level", "always-verifiable"])
    romeo, _ = pair(lab)
    peer = RawPeer(lab.certs, certificate)
    answer = peer.ask("MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", headers=["Content-Type: text/plain"], body="it is me")
    peer.close()
    if fate == "cut off":
        check(answer is None, f"answered {answer and answer.status}")
    else:
        check_status(answer, 200 if fate == "in" else 403)


@scenario("a discovered partner is held down: rate, suspicion, contacts", **OPTIONS)
def limits(lab):
    switches(lab, ours=["--partner-discovery", "--discovered-partner-verification-level", "always-verifiable",
                        "--max-contacts-per-discovered-partner", "5"])
    romeo, _ = pair(lab)
    peer = RawPeer(lab.certs, "mallory-server")
    text = {"headers": ["Content-Type: text/plain"], "body": "x"}
    answers = [a.status for a in peer.ask_at_once(60, "MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", **text)]
    check(200 in answers and 503 in answers, f"60 at once should be too many for 20 a second: {answers}")
    guesses = []
    for n in range(30):     # nobody of these exists: the partner becomes suspicious
        wait_until(lambda: guesses.append(peer.ask("MESSAGE", f"sip:guess{n % 9}@contoso.test", "sip:m@mallory.test", **text).status) or guesses[-1] != 503,
                   10, "everything is refused for good")
        if guesses[-1] == 403:
            break
    check(guesses[-1] == 403, f"more than five local users could be tried out: {guesses}")
    row = next(r for r in lab.entente("show", "sip", "watch-list")["watched"] if "mallory.test" in r["domains"] and r["contacts_refused"])
    check(row["throttled"] > 0 and row["contacts"] == 5 and row["subject"] == "CN=mallory.test", f"the watch list has {row}")
    lab.entente("allowed-domain", "add", "mallory.test", "--verification-level", "always-verifiable")   # is exempt
    answers = [a.status for a in peer.ask_at_once(60, "MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", **text)]
    check(set(answers) == {200}, f"an allowed partner was held down: {answers}")
    rows = lab.entente("show", "sip", "connections")["connections"]
    check(any(r["direction"] == "in" and r["domain"] == "mallory.test" and r["requests"] > 100 for r in rows), f"the connection is not shown: {rows}")
    peer.close()


@scenario("a partner's first words, all at once, wait for its record", **OPTIONS)
def burst(lab):
    switches(lab)
    lab.entente("allowed-domain", "add", "mallory.test", "--verification-level", "always-verifiable")
    romeo, _ = pair(lab)
    lab.entented.stop()         # nobody has asked for the record
    lab.entented.start()
    peer = RawPeer(lab.certs, "mallory-edge")
    answers = [a.status for a in peer.ask_at_once(120, "MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", headers=["Content-Type: text/plain"], body="x")]
    check(set(answers) == {200}, f"not all were taken: {answers}")
    peer.close()


@scenario("the partner has two servers, one is dead", **OPTIONS)
def two_servers(lab):
    switches(lab)
    lab.entente("allowed-domain", "add", "twins.test", "--verification-level", "always-verifiable")
    romeo, _ = pair(lab)
    for n in range(3):      # gw1 never answers, gw2 is woodgrove's Kamailio, whose certificate names neither
        answer = romeo.message("echo@twins.test", f"try {n}")
        check_status(answer, 504)
        check(reason_of(answer) in ("sip/partner-unreachable", "sip/certificate"), f"reason {reason_of(answer)}")
    events = lab.entented.events("access/peer-refused", host="gw2.twins.test")
    check(events, "the second server was not tried")


@scenario("the partner's first server is dead: the next one is used", **OPTIONS)
def failover(lab):
    allowed(lab, ("pool.test", "--verification-level", "always-verifiable"))
    romeo, _ = pair(lab)
    answer = romeo.message("echo@pool.test", "which one?")      # gw1.pool.test is never there, gw2.pool.test is woodgrove's Kamailio
    check_status(answer, 403)       # it does not serve pool.test, but it has been asked
    check(lab.entented.events("access/peer-lost", host="gw1.pool.test"), "the first server was not tried")
    check(lab.entented.events("access/peer-up", host="gw2.pool.test", identity="edge"), "the second server was not used")


@scenario("framing traps end the connection and nothing else", **OPTIONS)
def framing(lab):
    switches(lab, ours=["--partner-discovery", "--discovered-partner-verification-level", "always-verifiable"])
    romeo, _ = pair(lab)
    start = (f"MESSAGE sip:{romeo.name} SIP/2.0\nVia: SIP/2.0/TLS m.test;branch=z9hG4bKtrap\nFrom: <sip:m@mallory.test>;tag=1\n"
             f"To: <sip:{romeo.name}>\nCall-ID: trap\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n")
    for trap in ("Content-Length: -1\n\nx", "Content-Length: 5\nContent-Length: 1\n\nxxxxx", "Content-Length: 4294967298\n\nxx", "l: 99999999\n\nx",
                 "\nsmuggled", "Content-Length: +1\n\nx", "Content-Length: 1x\n\nx"):
        peer = RawPeer(lab.certs, "mallory")
        peer.send(start + trap)
        peer.send(start.replace("trap", "after") + "Content-Length: 8\n\nsmuggled")
        peer.socket.settimeout(10)
        data = b""
        try:
            while chunk := peer.socket.recv(65536):
                data += chunk
        except (ConnectionError, OSError):
            pass
        check(b"SIP/2.0 2" not in data, f"after {trap!r} something was let in: {data[:300]!r}")
        peer.close()
    romeo.expect_no_message("m@mallory.test", 1)
    peer = RawPeer(lab.certs, "mallory")    # one octet at a time is slow, not wrong
    for octet in (start + "Content-Length: 2\n\nok").replace("\n", "\r\n").encode():
        peer.socket.sendall(bytes([octet]))
    romeo.expect_message("m@mallory.test", "ok")
    peer.close()


@scenario("explain says what the data path does", **OPTIONS)
def explained(lab):
    allowed(lab)
    words = ["--from", "sip:romeo@contoso.test", "--kind", "message"]
    answer = lab.entente("explain", "--to", "sip:mercutio@adatum.test", *words)
    check(answer["allowed"] and answer["network"] == "sip" and answer["class"] == "allowed-domain", f"{answer}")
    status, answer = lab.entente("explain", "--to", "sip:m@mallory.test", *words, check=False)
    check(status == 1 and answer["reason"] == "policy/partner-unknown", f"{answer}")
    lab.entente("blocked-domain", "add", "sub.adatum.test")
    status, answer = lab.entente("explain", "--from", "sip:x@sub.adatum.test", "--to", "sip:romeo@contoso.test", "--kind", "session", check=False)
    check(status == 1 and answer["reason"] == "policy/domain-blocked" and answer["steps"][-1]["rule"] == "blocked", f"{answer}")


@scenario("unverified senders reach only those who know them", **OPTIONS)
def unverified(lab):
    allowed(lab, ("adatum.test", "--verification-level", "always-unverifiable"))
    romeo, mercutio = pair(lab)
    check_status(mercutio.message(romeo.name, "you do not know me"), 403)
    romeo.say(mercutio.name, "now I know you")
    mercutio.expect_message(romeo.name, "now I know you")
    mercutio.say(romeo.name, "hello then")
    romeo.expect_message(mercutio.name, "hello then")


@scenario("a Kamailio that answers by itself", **OPTIONS)
def kamailio(lab):
    switches(lab)
    lab.entente("allowed-domain", "add", "woodgrove.test", "--verification-level", "always-verifiable")
    romeo, _ = pair(lab)
    romeo.say("echo@woodgrove.test", "anybody there?")
    romeo.expect_message("echo@woodgrove.test", "echo of anybody there?")


@scenario("the partner's edge goes away and comes back", **OPTIONS)
def outage(lab):
    allowed(lab)
    romeo, mercutio = pair(lab)
    romeo.say(mercutio.name, "one")
    mercutio.expect_message(romeo.name, "one")
    lab.adatum.stop()
    answer = romeo.message(mercutio.name, "two")
    check_status(answer, 504)
    check(reason_of(answer) == "sip/partner-unreachable", f"reason {reason_of(answer)}")
    lab.adatum.start()
    wait_until(lambda: romeo.message(mercutio.name, "three").status == 200, 40, "no message gets through again")
