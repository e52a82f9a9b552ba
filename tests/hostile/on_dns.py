# SPDX-License-Identifier: Apache-2.0
"""DNS that leads astray (threat 40)."""
import time

from case import check, hostile, same
from names import A, AAAA, CNAME, SRV
from peer import GATEWAY, Receiver

QUICK = "  dns: 2s\n  connect: 2s\n  stream-setup: 3s\n  dialback: 3s\n"
GUARDED = QUICK + "xmpp.private-addresses: false\n"


def reason(answer):
    return (answer.get("entente-reason") or "").split(";")[0].strip()


def told(g, domain, limit=10):
    """What romeo is told when he writes to that domain, and how long it took."""
    begin = time.monotonic()
    answer = g.romeo.message(f"juliet@{domain}", g.word())
    took = time.monotonic() - begin
    check(took < limit, f"{domain}: the answer took {took:.1f} s")
    check(answer.status >= 400, f"{domain}: answered {answer.status}")
    return reason(answer)


def asked_for(g, part):
    return len([1 for name, _ in g.names.asked if part in name])


@hostile("T40 a thousand targets, chains and loops of aliases: bounded work, and an answer in time", settings=QUICK)
def shapes(g):
    put = g.names.put
    put("_xmpp-server._tcp.many.test", *((SRV, (n, 1, 5269, f"t{n}.many.test")) for n in range(1000)))
    for n in range(1000):
        put(f"t{n}.many.test", (A, f"127.0.50.{n % 200 + 1}"))
    put("_xmpp-server._tcp.addresses.test", (SRV, (0, 0, 5269, "host.addresses.test")))
    put("host.addresses.test", *((A, f"127.0.51.{n + 1}") for n in range(200)))
    put("_xmpp-server._tcp.alias.test", (CNAME, "_xmpp-server._tcp.alias.test"))
    put("_xmpp-server._tcp.round.test", (SRV, (0, 0, 5269, "a.round.test")))
    put("a.round.test", (CNAME, "b.round.test"))
    put("b.round.test", (CNAME, "a.round.test"))
    put("_xmpp-server._tcp.chain.test", (SRV, (0, 0, 5269, "c0.chain.test")))
    for n in range(30):
        put(f"c{n}.chain.test", (CNAME, f"c{n + 1}.chain.test"))
    put("c30.chain.test", (A, "127.0.50.1"))
    put("_xmpp-server._tcp.absent.test", (SRV, (0, 0, 0, ".")))
    g.names.host("absent.test", "127.0.50.1")
    put("_xmpp-server._tcp.empty.test", (SRV, (0, 0, 5269, "nothing.empty.test")))
    g.names.silent |= {"_xmpp-server._tcp.silent.test", "_xmpps-server._tcp.silent.test", "silent.test"}
    before, said = g.rss(), {}
    for domain in ("many", "addresses", "alias", "round", "chain", "absent", "empty", "silent", "nowhere"):
        g.partner_add(f"{domain}.test")
        said[domain] = told(g, f"{domain}.test")
        check(said[domain] in ("xmpp/unreachable", "xmpp/dns-not-found", "xmpp/dns-failed"), f"{domain}.test: {said[domain]}")
    same("silence", said["silent"], "xmpp/dns-failed")
    check(asked_for(g, ".many.test") <= 2 * 16 + 4, f"{asked_for(g, '.many.test')} questions for the targets of one domain")
    g.bounded(before, 200000)
    g.names.silent.clear()
    g.note = ", ".join(f"{k} {v.split('/')[1]}" for k, v in said.items())


@hostile("T40 targets that are nobody, or ourselves, lead nowhere", settings=QUICK)
def nobody(g):
    for name, kind, address in (("any4", A, "0.0.0.0"), ("any6", AAAA, "::"), ("multicast", A, "224.0.0.1"), ("broadcast", A, "255.255.255.255"),
                                ("mapped", AAAA, "::ffff:0.0.0.0")):
        g.names.put(f"_xmpp-server._tcp.{name}.test", (SRV, (0, 0, 5269, f"h.{name}.test")))
        g.names.put(f"h.{name}.test", (kind, address))
        g.partner_add(f"{name}.test")
        check(told(g, f"{name}.test") in ("xmpp/unreachable", "xmpp/dns-not-found"), name)
    g.names.put("_xmpp-server._tcp.port0.test", (SRV, (0, 0, 0, "xmpp.honest.test")))
    g.partner_add("port0.test")
    check(told(g, "port0.test") in ("xmpp/unreachable", "xmpp/dns-not-found"), "port 0")
    g.names.domain("self.test", GATEWAY)    # we call ourselves
    g.partner_add("self.test")
    check(told(g, "self.test").startswith("xmpp/"), "we reached ourselves as somebody else")
    g.names.domain("sip.test", "127.0.0.11", port=5060)     # the home's own port
    g.partner_add("sip.test")
    check(told(g, "sip.test").split("/")[0] in ("xmpp", ""), "an XMPP stream with a SIP server")


@hostile("T40 xmpp.private-addresses: false keeps us from addresses inside, whatever DNS says", settings=GUARDED)
def inside(g):
    g.check_neighbour()     # its address is an administrator's word: that counts
    hits = []

    class Inside(Receiver):
        def accepted(self, stream):
            hits.append(self.address)
    for name, address in (("loop4", "127.0.52.1"), ("loop6", "::1"), ("ten", "10.0.0.1"), ("link", "169.254.1.1"), ("private", "192.168.0.1"), ("shared", "100.64.0.1"),
                          ("unique", "fd00::1"), ("link6", "fe80::1"), ("mapped10", "::ffff:10.0.0.1"), ("mapped127", "::ffff:127.0.52.1"), ("nat64", "64:ff9b::7f00:3401")):
        domain = f"{name}in.test"
        g.names.domain(domain, address)
        g.partner_add(domain)
        if address == "127.0.52.1":
            g.server(domain, address, Inside, names=False)
        check(told(g, domain) in ("xmpp/unreachable", "xmpp/dns-not-found"), domain)
    same("connections to a server inside", hits, [])


@hostile("T40 T01 who claims a domain of slow or wandering DNS costs one question, and no verdict", settings=QUICK)
def dialback_traps(g):
    g.names.silent |= {"_xmpp-server._tcp.slow40.test", "_xmpps-server._tcp.slow40.test", "slow40.test"}
    g.partner_add("slow40.test", "--no-sasl", "--dialback")
    claims = [g.initiator("slow40.test", source=f"127.53.{n}.1").secure().result(f"{n:064x}") for n in range(12)]
    begin = time.monotonic()
    for s in claims:
        check(s.answer(12).startswith("error "), "a verdict though nobody could be asked")
    check(time.monotonic() - begin < 12, "the answers took long")
    check(asked_for(g, "_xmpp-server._tcp.slow40.test") <= 12, f"{asked_for(g, '_xmpp-server._tcp.slow40.test')} questions")
    g.names.silent.clear()
