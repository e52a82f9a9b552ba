# SPDX-License-Identifier: Apache-2.0
"""Certificates of SIP partners that their authority takes back: a list over HTTP, connections in both directions, a list that cannot be had. And
our own, renewed while connections are open."""
from access_setting import COUNT, LAB, TRUSTED, allow, switch
from authority import Authority
from federation import RawPeer, RawServer, contoso_user
from scenario import check, check_status, reason_of, scenario, wait_until

PARTNER = allow("mallory.test", TRUSTED)


def speak(peer, romeo):
    return peer.ask("MESSAGE", f"sip:{romeo.name}", "sip:m@mallory.test", headers=["Content-Type: text/plain"], body="it is me")


def connection(lab):
    return next((r for r in lab.entente("show", "sip", "connections")["connections"] if r.get("subject") == "CN=mallory.test"), None)


def certificate(lab, state):
    return next((r for r in lab.entente("show", "sip", "certificates")["certificates"] if r["state"] == state and r["subject"] == "CN=mallory.test"), None)


def refused(lab, reason):
    return lab.entented.events("tls/certificate-refused", reason=reason)


def rewrite(lab, old, new):
    with open(lab.entented.config, encoding="utf-8") as f:
        text = f.read()
    check(old in text, f"{lab.entented.config} has no {old!r}")
    with open(lab.entented.config, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    lab.entente("reload")


@scenario("a partner that connects, before and after its certificate is revoked", **LAB)
def inbound(lab):
    switch(lab, [PARTNER])
    romeo = contoso_user(lab, f"romeo{next(COUNT)}")
    with Authority(lab.run, lab.certs) as authority:
        authority.issue("mallory", "mallory.test")
        peer = RawPeer(authority.folder, "mallory")
        check_status(speak(peer, romeo), 200)
        row = connection(lab)
        check(row["revocation"] == "good" and row["state"] == "up", f"the connection is shown as {row}")
        row = certificate(lab, "accepted")
        check(row and row["domains"] == "mallory.test" and row["revocation"] == "good", f"the certificate is shown as {row}")
        lists = [r for r in lab.entente("show", "revocation-lists")["lists"] if r["url"] == authority.url]
        check(len(lists) == 1 and lists[0]["state"] == "kept" and lists[0]["revoked"] == 0, f"the list is shown as {lists}")
        second = RawPeer(authority.folder, "mallory")
        check_status(speak(second, romeo), 200)
        check(authority.fetches == 1, f"the list was fetched {authority.fetches} times for two connections")
        before = len(refused(lab, "tls/certificate-revoked"))
        authority.revoke("mallory")
        lab.entente("reload")       # fetches lists anew; else they are kept until their next update
        for known in (peer, second):
            known.socket.settimeout(20)
            check(known.socket.recv(1) == b"", "a connection with a revoked certificate is still open")
            known.close()
        wait_until(lambda: len(refused(lab, "tls/certificate-revoked")) > before, 5, "the log does not say that the certificate was revoked")
        peer = RawPeer(authority.folder, "mallory")
        check(speak(peer, romeo) is None, "a revoked certificate was let in")
        peer.close()
        row = certificate(lab, "rejected")
        check(row and "revoked" in row["why"] and row["revocation"] == "revoked", f"the certificate is shown as {row}")


@scenario("a partner's server whose certificate is revoked", **LAB)
def outbound(lab):
    switch(lab, [PARTNER])
    romeo = contoso_user(lab, f"romeo{next(COUNT)}")
    with Authority(lab.run, lab.certs) as authority:
        for name in ("good", "bad"):
            authority.issue(name, "mallory.test", "gw.mallory.test")
        authority.revoke("bad")
        with RawServer(authority.folder, "bad") as server:
            answer = romeo.message("m@mallory.test", "hello")
            check_status(answer, 504)
            check(reason_of(answer) == "tls/certificate-revoked", f"reason {reason_of(answer)}")
            check((answer.get("ms-diagnostics") or "").startswith("1010;"), f"a Lync client is told {answer.get('ms-diagnostics')}")
            check(not server.requests, "a request went to a server whose certificate is revoked")
        with RawServer(authority.folder, "good"):
            wait_until(lambda: romeo.message("m@mallory.test", "hello").status == 200, 60, "a server with a good certificate of the same authority")


@scenario("a revocation list that cannot be had: soft, switched off, hard", **LAB)
def unknown(lab):
    switch(lab, [PARTNER])
    romeo = contoso_user(lab, f"romeo{next(COUNT)}")
    with Authority(lab.run, lab.certs) as authority:
        authority.served = False
        authority.issue("mallory", "mallory.test")
        peer = RawPeer(authority.folder, "mallory")
        check_status(speak(peer, romeo), 200)
        check(connection(lab)["revocation"] == "unknown", f"the connection is shown as {connection(lab)}")
        lists = [r for r in lab.entente("show", "revocation-lists")["lists"] if r["url"] == authority.url]
        check(lists and lists[0]["state"] == "failed" and "404" in lists[0]["error"], f"the list is shown as {lists}")
        fetches = authority.fetches
        check(fetches == 1, f"the list was asked for {fetches} times")
        peer.close()
        lab.entente("access-edge", "set", "--keep-crls-up-to-date=false")
        peer = RawPeer(authority.folder, "mallory")
        check_status(speak(peer, romeo), 200)
        peer.close()
        lab.entente("access-edge", "set", "--keep-crls-up-to-date=true")
        peer = RawPeer(authority.folder, "mallory")
        check_status(speak(peer, romeo), 200)
        rewrite(lab, "  revocation: soft", "  revocation: hard")
        try:
            peer.socket.settimeout(20)
            check(peer.socket.recv(1) == b"", "a connection that cannot be looked up is still open, though that is demanded")
            again = RawPeer(authority.folder, "mallory")
            check(speak(again, romeo) is None, "who cannot be looked up was let in, though that is demanded")
            again.close()
            wait_until(lambda: refused(lab, "tls/revocation-unknown"), 5, "the log does not say why")
        finally:
            rewrite(lab, "  revocation: hard", "  revocation: soft")
        peer.close()


@scenario("an invented dialog leads to nobody new", **LAB)
def invented(lab):
    discovered = "access-edge set --partner-discovery --max-contacts-per-discovered-partner 3 --discovered-partner-verification-level"
    switch(lab, [f"{discovered} always-unverifiable"])
    romeo, benvolio = (contoso_user(lab, f"romeo{next(COUNT)}") for _ in range(2))
    romeo.message("m@mallory.test", "hello")    # nobody is there; from now on he has that contact
    with Authority(lab.run, lab.certs) as authority:
        authority.issue("mallory", "mallory.test")      # nobody has seen this one: its count of local users begins anew
        peer = RawPeer(authority.folder, "mallory")
        check_status(speak(peer, romeo), 200)
        text = {"headers": ["Content-Type: text/plain"], "body": "it is me"}
        for how in ({}, {"to": f"sip:{romeo.name}", "tag": "invented"}, {"tag": "invented"}):
            check_status(peer.ask("MESSAGE", f"sip:{benvolio.name}", "sip:m@mallory.test", **how, **text), 403)
        benvolio.expect_no_message("m@mallory.test", 1)
        lab.entente(*f"{discovered} always-verifiable".split())
        answers = [peer.ask("MESSAGE", f"sip:guess{n}@contoso.test", "sip:m@mallory.test", tag="invented", **text).status for n in range(6)]
        check(403 not in answers[:2] and answers[3:] == [403] * 3, f"more than three local users could be tried out: {answers}")
        check_status(speak(peer, romeo), 200)
        peer.close()


def serial(tls):
    return tls.getpeercert()["serialNumber"]


@scenario("our certificate is renewed while connections are open", **LAB)
def renewed(lab):
    switch(lab, [PARTNER])
    romeo = contoso_user(lab, f"romeo{next(COUNT)}")
    with Authority(lab.run, lab.certs) as authority:
        authority.issue("ours", "contoso.test", "gw.contoso.test", "xmpp.contoso.test")
        old = RawPeer(lab.certs, "mallory")
        check_status(speak(old, romeo), 200)
        with RawServer(lab.certs, "mallory") as server:
            wait_until(lambda: romeo.message("m@mallory.test", "hello").status == 200, 60, "the partner's server")
            shown = serial(server._sockets[-1])
            check(shown == serial(old.socket), "listener and connections outward show different certificates")
            rewrite(lab, f"{lab.certs}/contoso", f"{authority.folder}/ours")
            try:
                check_status(speak(old, romeo), 200)    # what was open stays
                check_status(romeo.message("m@mallory.test", "still there"), 200)
                check(serial(server._sockets[-1]) == shown, "the connection outward was made anew")
                new = RawPeer(lab.certs, "mallory")
                check_status(speak(new, romeo), 200)
                check(serial(new.socket) != shown, "the listener shows the old certificate")
                server.drop()
                wait_until(lambda: romeo.message("m@mallory.test", "hello").status == 200, 60, "the partner's server, after it cut us off")
                check(serial(server._sockets[-1]) == serial(new.socket), "connections outward show the old certificate")
                new.close()
            finally:
                rewrite(lab, f"{authority.folder}/ours", f"{lab.certs}/contoso")
        old.close()
