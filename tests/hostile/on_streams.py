# SPDX-License-Identifier: Apache-2.0
"""Must-haves of the stream protocol that need sockets and time: odd partners rather than wicked ones."""
import re
import ssl
import statistics
import threading
import time

from case import check, hostile, in_time, same
from ground import HONEST, HONEST_AT, ROMEO, SANITIZER, SECRET
from names import SRV
from peer import GATEWAY, OURS, Receiver, header, iq, message, presence
from waiting import LabError, wait_until
from wire import SASL, TLS, Gone, Wire, child, error_of, local

SHORT = "  stream-setup: 8s\n  connect: 3s\n  dialback: 2s\n"


def reason(answer):
    return (answer.get("entente-reason") or "").split(";")[0].strip()


@hostile("S05 EXTERNAL refused, then dialback on the same stream, both roles", authorised=("s05.test", "s05b.test"), settings=SHORT)
def falls_back(g):
    class Refusing(Receiver):
        def on_auth(self, stream, el):
            stream.send(f"<failure xmlns='{SASL}'><not-authorized/></failure>")
    g.partner_add("s05.test")
    server = g.server("s05.test", "127.0.43.1", Refusing)
    word = g.word()
    g.romeo.say("juliet@s05.test", word)
    same("the message came", server.expect_stanza("message", body=word).get("from").split("/")[0], ROMEO)
    kinds = [e.kind for e in server.seen.history if e.kind in ("auth", "result", "stream") and e.stream is server.streams[0]]
    same("on one stream", kinds, ["auth", "result"])
    g.partner_add("s05b.test")
    server = g.server("s05b.test", "127.0.43.2")
    with g.initiator("s05b.test") as s:
        same("EXTERNAL for somebody else", s.secure().external(HONEST), "invalid-authzid")
        from peer import dialback_key
        s.result(dialback_key(server.secret, OURS, "s05b.test", s.id))
        same("dialback after it", s.answer(), "valid")
        word = g.word()
        s.send(message("juliet@s05b.test/x", ROMEO, word))
        g.romeo.expect_message("juliet@s05b.test", word)


@hostile("S06 dialback that nobody answers ends by our own timer, both roles", settings=SHORT)
def silent_dialback(g):
    class Silent(Receiver):
        external = False

        def on_result(self, stream, el):
            pass

        def on_verify(self, stream, el):
            pass
    g.partner_add("s06.test", "--no-sasl", "--dialback")
    server = g.server("s06.test", "127.0.43.3", Silent)
    begin = time.monotonic()
    answer = g.romeo.message("juliet@s06.test", g.word())
    took = time.monotonic() - begin
    check(answer.status in (504, 408), f"answered {answer.status}")
    same("reason", reason(answer), "xmpp/dialback-failed")
    check(1.5 < took < 8, f"it took {took:.1f} s, timers.dialback is 2 s")
    with g.initiator("s06.test") as s:
        begin = time.monotonic()
        s.secure().result("ab" * 32)
        same("our answer when the authoritative server is silent", s.answer(), "error remote-server-timeout")
        check(time.monotonic() - begin < 8, "it took long")
    check(len([e for e in server.seen.history if e.kind == "verify"]) == 1, "it was not asked once")


@hostile("S08 T01 verdicts that come before we ask do not open our stream", settings=SHORT)
def early_verdict(g):
    class Eager(Receiver):
        external = False

        def features(self, stream):
            right = (("s08.test", "contoso.test"), ("contoso.test", "s08.test"))
            wrong = (("s08.test", "other.test"), ("honest.test", "contoso.test"))
            return super().features(stream) + "".join(f"<db:result from='{a}' to='{b}' type='valid'/><db:verify from='{a}' to='{b}' id='1' type='valid'/>"
                                                      for a, b in (wrong if stream.secured else right))

        def on_result(self, stream, el):
            pass
    g.partner_add("s08.test", "--no-sasl", "--dialback")
    server = g.server("s08.test", "127.0.43.4", Eager)
    same("reason", reason(g.romeo.message("juliet@s08.test", g.word())), "xmpp/dialback-failed")
    check(not [e for e in server.seen.history if e.kind == "message"], "a stanza was sent on an unproven stream")


@hostile("S12 <starttls/> though we did not offer it is refused cleanly", settings=SHORT)
def starttls_unasked(g):
    g.partner_add("s12.test", "--no-tls", "--no-sasl", "--dialback")
    g.server("s12.test", "127.0.43.5", tls="off")
    with g.initiator("s12.test") as s:
        check("starttls" not in s.open().offers(), "STARTTLS is offered to a partner without TLS")
        s.send(f"<starttls xmlns='{TLS}'/>")
        s.expect("failure")
        same("the end", s.wire.expect_end(10), "")


@hostile("S16 direct TLS with ALPN, without, and with another protocol", authorised=("s16.test", "s16b.test"), settings=SHORT)
def alpn(g):
    g.partner_add("s16.test")
    for protocols in ("xmpp-server", None):
        w = g.keep(Wire.connect(GATEWAY, 5270, g.source()))
        w.start_tls(g.certificates.client(g.certificates.leaf("s16.test"), alpn=protocols), name=OURS)
        check(w.tls.selected_alpn_protocol() in (protocols, None), f"ALPN {w.tls.selected_alpn_protocol()}")
        w.send(header("s16.test", OURS))
        same("mechanism", child(w.expect("features"), "mechanisms")[0].text, "EXTERNAL")
    w = g.keep(Wire.connect(GATEWAY, 5270, g.source()))
    try:
        w.start_tls(g.certificates.client(g.certificates.leaf("s16.test"), alpn="h2"), name=OURS)
        check(w.tls.selected_alpn_protocol() is None, "another protocol was agreed to")
    except Gone:
        pass                    # no_application_protocol is as good
    for server_speaks_alpn in (True, False):
        domain, seen = ("s16.test" if server_speaks_alpn else "s16b.test"), {}

        class Direct(Receiver):
            def start_tls(self, stream):
                context = self.certificates.server(self.leaf, alpn="xmpp-server" if server_speaks_alpn else None)
                context.sni_callback = lambda tls, name, _: seen.update(name=name)
                stream.wire.start_tls(context, server=True)
                seen["alpn"] = stream.wire.tls.selected_alpn_protocol()
                stream.secured = True
        if not server_speaks_alpn:
            g.partner_add(domain)
        server = g.server(domain, "127.0.43.6" if server_speaks_alpn else "127.0.43.7", Direct, direct=True, port=5270)
        g.romeo.say(f"juliet@{domain}", g.word())
        server.expect_stanza("message")
        same("server name", seen.get("name"), domain)
        same("protocol", seen.get("alpn"), "xmpp-server" if server_speaks_alpn else None)


@hostile("S17 SRV: the next target, weights, '.', and no address of the domain where SRV has answered", settings=SHORT,
         authorised=("fails17.test", "plain17.test", *(f"w{n}of17.test" for n in range(12))))
def srv(g):
    put = g.names.put
    good = g.keep(Receiver("fails17.test", "127.0.43.20", g.certificates,
                           leaf=g.certificates.leaf("fails17.test", "plain17.test", "dot17.test", "all17.test", *(f"w{n}of17.test" for n in range(12)))))
    other = g.keep(Receiver("w17.test", "127.0.43.21", g.certificates, leaf=good.leaf))
    for name, address in (("dead", "127.0.43.29"), ("good", "127.0.43.20"), ("other", "127.0.43.21")):
        g.names.host(f"{name}.hosts17.test", address)

    def connections():
        return len(good.streams)
    put("_xmpp-server._tcp.fails17.test", (SRV, (10, 0, 5269, "good.hosts17.test")), (SRV, (0, 0, 5269, "dead.hosts17.test")))
    g.partner_add("fails17.test")
    g.romeo.say("juliet@fails17.test", g.word())        # the second one
    g.names.host("plain17.test", "127.0.43.20")
    g.partner_add("plain17.test")
    g.romeo.say("juliet@plain17.test", g.word())        # no SRV: the address
    before = connections()
    put("_xmpp-server._tcp.dot17.test", (SRV, (0, 0, 0, ".")))
    put("_xmpp-server._tcp.all17.test", (SRV, (0, 0, 5269, "dead.hosts17.test")), (SRV, (1, 0, 5270, "dead.hosts17.test")))
    for domain, wanted in (("dot17.test", "xmpp/dns-not-found"), ("all17.test", "xmpp/unreachable")):
        g.names.host(domain, "127.0.43.20")             # an address that would do
        g.partner_add(domain)
        same(domain, reason(g.romeo.message(f"juliet@{domain}", g.word())), wanted)
    same("connections to the address of a domain whose SRV says otherwise", connections() - before, 0)
    for n in range(12):
        domain = f"w{n}of17.test"
        put(f"_xmpp-server._tcp.{domain}", (SRV, (0, 90, 5269, "good.hosts17.test")), (SRV, (0, 10, 5269, "other.hosts17.test")))
        g.partner_add(domain)
        g.romeo.say(f"juliet@{domain}", g.word())
    share = connections() - before
    check(share >= 6, f"the target of weight 90 was chosen {share} times of 12")
    check(share + len(other.streams) == 12, "not one connection for each")
    g.note = f"weight 90 against 10: {share} of 12"


@hostile("S22 one direction up, the other not: both are told apart", authorised=("s22.test",), settings=SHORT)
def one_way(g):
    g.partner_add("s22.test")
    g.names.domain("s22.test", "127.0.43.8")    # nothing listens there
    s = g.initiator("s22.test").up()
    word = g.word()
    s.send(message("juliet@s22.test/x", ROMEO, word))
    g.romeo.expect_message("juliet@s22.test", word)
    same("the way back", reason(g.romeo.message("juliet@s22.test", g.word())), "xmpp/unreachable")
    rows = [r for r in g.streams() if r["remote"] == "s22.test"]
    same("in", [r["state"] for r in rows if r["direction"] == "in"], ["open"], ["up"])
    out = [r for r in rows if r["direction"] == "out"]
    check(out and out[0]["state"] not in ("open", "up") and out[0]["error"], f"out: {out}")
    g.note = f"out: {out[0]['state']}, {out[0]['error']}"


@hostile("S23 probe, unavailable and unsubscribe from the other form of an address than one expects", authorised=("s23.test",), settings=SHORT)
def addresses(g):
    g.partner_add("s23.test")
    server = g.server("s23.test", "127.0.43.13")
    s = g.initiator("s23.test").up()
    romeo = g.sip_user("romeo23")
    name, bare, full = "romeo23@contoso.test", "juliet@s23.test", "juliet@s23.test/home"
    s.send(presence(full, name, "subscribe"))                       # by the full address
    server.expect_stanza("presence", to=bare, type="subscribed")
    server.expect_stanza("presence", to=bare, type=None)
    server.seen.forget()
    s.send(presence(full, name, "probe"))                           # a probe from a resource
    server.expect_stanza("presence", to=bare, type=None)
    s.send(presence(bare, name, "unavailable"))                     # from nobody in particular
    subscription = romeo.subscribe(bare)
    server.expect_stanza("presence", to=bare, type="subscribe")
    s.send(presence(full, name, "subscribed") + presence(full, name))
    romeo.expect_presence(bare, basic="open")
    s.send(presence(bare, name, "unavailable") + presence(full, name, "unavailable"))   # the account as a whole, and then her device
    romeo.expect_presence(bare, basic="closed")
    s.send(presence(full, name, "unsubscribe"))                     # by a resource again
    def rows():
        return [x for x in g.entente("show", "subscriptions")["subscriptions"] if x["watcher"].endswith(bare) and x["direction"] == "to-sip"]
    wait_until(lambda: not rows(), 10, "her subscription has ended", step=0.1)
    s.send(presence(full, name, "unsubscribe"))                     # once more: nothing happens
    subscription.end()


@hostile("S24 a contact whose server never answers is shown as offline, and nothing waits for it", authorised=("s24.test",), settings=SHORT)
def silent_contact(g):
    g.partner_add("s24.test")
    server = g.server("s24.test", "127.0.43.9")
    s = g.initiator("s24.test").up()
    romeo = g.sip_user("romeo24")
    subscription = romeo.subscribe("juliet@s24.test")
    server.expect_stanza("presence", type="subscribe")
    s.send(presence("juliet@s24.test", "romeo24@contoso.test", "subscribed"))    # and never any presence
    romeo.expect_presence("juliet@s24.test", state="active", timeout=15)
    subscription.end()
    again = romeo.subscribe("juliet@s24.test")      # a probe, which has no answer
    server.expect_stanza("presence", type="probe", timeout=15)
    romeo.seen.expect("been told something", lambda e: e.kind == "presence" and e.state in ("pending", "active"), 15)
    check(not [e for e in romeo.seen.history if e.basic == "open"], "she is shown as available")
    again.end()


@hostile("S25 disco, vCard, ping, version and unknown requests are answered in 50 ms", authorised=("s25.test",), settings=SHORT)
def services(g):
    g.partner_add("s25.test")
    server = g.server("s25.test", "127.0.43.10")
    s = g.initiator("s25.test").up()
    g.romeo.say("juliet@s25.test", g.word())        # she is a contact, and our stream is up
    server.expect_stanza("message")
    disco = "<query xmlns='http://jabber.org/protocol/disco#{}'/>"
    asked = [(OURS, disco.format("info"), "result"), (OURS, disco.format("items"), "result"), (ROMEO, disco.format("info"), "result"),
             (ROMEO, disco.format("items"), None), (OURS, "<ping xmlns='urn:xmpp:ping'/>", "result"), (OURS, "<query xmlns='jabber:iq:version'/>", None),
             (ROMEO, "<vCard xmlns='vcard-temp'/>", None), (OURS, "<vCard xmlns='vcard-temp'/>", None), (OURS, "<time xmlns='urn:xmpp:time'/>", None),
             (ROMEO, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub>", None),
             (OURS, "<query xmlns='jabber:iq:register'/>", "error"), (ROMEO, "<open xmlns='http://jabber.org/protocol/ibb' sid='x' block-size='1'/>", "error"),
             (ROMEO + "/nowhere", "<jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='a'/>", "error"), (OURS, "<what xmlns='urn:unknown'/>", "error")]
    took, number = [], 0
    for turn in range(3):
        for to, payload, wanted in asked:
            for kind in ("get", "set")[: 2 if "unknown" in payload else 1]:
                number += 1
                begin = time.monotonic()
                s.send(iq(f"juliet{number}@s25.test/x", to, payload, id=f"q{number}", type=kind))
                e = server.expect("iq", 5, lambda e: e.el.get("id") == f"q{number}")
                took.append((time.monotonic() - begin, payload[:40]))
                check(wanted in (None, e.el.get("type")), f"{payload} to {to}: {e.el.get('type')} {error_of(e.el)}")
                if e.el.get("type") == "error":
                    check(error_of(e.el), f"{payload}: an error without a condition")
    s.send(iq("juliet@s25.test/x", OURS, "<x xmlns='urn:unknown'/>", id="r1", type="result") + iq("juliet@s25.test/x", OURS, "", id="r2", type="error"))
    server.seen.refuse("an answer to an answer", lambda e: e.kind == "iq" and e.el.get("id") in ("r1", "r2"), 0.3)
    middle = statistics.median(t for t, _ in took)
    slowest = max(took)
    check(middle < 0.05, f"half of them took longer than {middle * 1000:.0f} ms")
    in_time(slowest[0] < 0.05, f"{slowest[1]} took {slowest[0] * 1000:.0f} ms, 50 ms are allowed")
    g.note = f"{len(took)} requests, median {middle * 1000:.1f} ms, slowest {slowest[0] * 1000:.1f} ms"


@hostile("S27 whoever says good-bye is answered, and what it sent before is delivered", authorised=("s27.test",), settings=SHORT)
def good_bye(g):
    g.partner_add("s27.test")
    server = g.server("s27.test", "127.0.43.11")
    with g.initiator("s27.test").up() as s:
        word = g.word()
        s.send(message("juliet@s27.test/x", ROMEO, word) + "</stream:stream>")
        g.romeo.expect_message("juliet@s27.test", word)
        begin = time.monotonic()
        same("the end", s.wire.expect_end(10), "")
        check(time.monotonic() - begin < 3, "the good-bye took long")
    word = g.word()
    g.romeo.say("juliet@s27.test", word)
    server.expect_stanza("message", body=word)
    for stream in reversed(server.streams):         # the partner closes the stream that we opened; another attempt may be over already
        try:
            stream.send("</stream:stream>")
            break
        except LabError:
            continue
    wait_until(lambda: not g.up("s27.test", "out"), 10, "our stream is closed too")
    word = g.word()
    g.romeo.say("juliet@s27.test", word)            # and the next message opens another
    server.expect_stanza("message", body=word)


@hostile("S28 many domains of one server are called a few at a time: its backlog may be five", settings=SHORT,
         authorised=tuple(f"p{n}of28.test" for n in range(12)))
def pacing(g):
    domains = [f"p{n}of28.test" for n in range(12)]
    lock, now = threading.Lock(), [0, 0]

    class Slow(Receiver):
        def accepted(self, stream):     # connected, and nothing heard yet
            with lock:
                now[0] += 1
                now[1] = max(now)
            time.sleep(0.2)
            with lock:
                now[0] -= 1
    server = g.keep(Slow(domains[0], "127.0.43.30", g.certificates, leaf=g.certificates.leaf(*domains)))
    for domain in domains:
        g.names.domain(domain, "127.0.43.30", host="host28.test")
        g.partner_add(domain)
    answers = []
    threads = [threading.Thread(target=lambda d=d: answers.append(g.romeo.message(f"juliet@{d}", g.word()).status)) for d in domains]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    same("the answers", answers, [200] * len(domains))
    check(now[1] <= 5, f"{now[1]} connections at once with a server that had not answered yet")
    g.note = f"{now[1]} at once, {len(server.streams)} in all"


@hostile("S29 a partner that was down is called again as soon as it calls us", authorised=("s29.test",), settings=SHORT)
def retry_memory(g):
    g.partner_add("s29.test")
    g.names.domain("s29.test", "127.0.43.12")
    for _ in range(4):          # each failure makes the wait longer
        answer = g.romeo.message("juliet@s29.test", g.word())
        same("nothing listens", reason(answer), "xmpp/unreachable")
    server = g.server("s29.test", "127.0.43.12")
    s = g.initiator("s29.test").up()
    word = g.word()
    s.send(message("juliet@s29.test/x", ROMEO, word))
    g.romeo.expect_message("juliet@s29.test", word)
    word = g.word()
    g.romeo.say("juliet@s29.test", word)
    server.expect_stanza("message", body=word)


@hostile("S30 certificates change without a stream being dropped", settings=SHORT)
def reload(g):
    g.check_neighbour()
    streams = {(r["id"], r["direction"]) for r in g.up(HONEST)}
    leaf = g.certificates.leaf(OURS, "gw.contoso.test", "xmpp.contoso.test", cn="the new one")

    def shown():
        with g.initiator(HONEST).open().start_tls() as s:
            return s.wire.tls.getpeercert(True)
    before = shown()
    with open(g.entented.config, encoding="utf-8") as f:
        text = f.read()
    changed = re.sub(r"certificate: .*\n", f"certificate: {leaf}\n", text, count=1)
    changed = re.sub(r"\n  key: .*\n", f"\n  key: {g.certificates.key}\n", changed, count=1)
    try:
        for config in (changed, text, changed):
            with open(g.entented.config, "w", encoding="utf-8") as f:
                f.write(config)
            check(g.entente("reload")["reloaded"], "the new certificate was not taken")
            g.check_neighbour()
    finally:
        with open(g.entented.config, "w", encoding="utf-8") as f:
            f.write(changed)
    with open(leaf, encoding="ascii") as f:
        same("what is shown now is the new one", shown() == ssl.PEM_cert_to_DER_cert(f.read()), True)
    check(before != shown(), "the certificate has not changed")
    same("the streams", {(r["id"], r["direction"]) for r in g.up(HONEST)} >= streams, True)
