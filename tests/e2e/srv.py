# SPDX-License-Identifier: Apache-2.0
"""Where to connect (RFC 6120 3.2, RFC 2782, XEP-0368, RFC 8305): each name here is a domain of one living server with other records."""
import collections
import socket
import threading
import time

from scenario import LabError, check, reason_of, scenario
from worlds import BROKEN, SILENT, SILENT6

PROSODY = ["prosody"]
OPTIONS = {"partner": None, "peers": PROSODY, "world": "srv"}
HEADER = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='x' "
          b"version='1.0'>"
          b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>")


class Silent:
    """A port whose queue of connections is full: who connects hears nothing, as behind a firewall that drops."""

    def __init__(self, address, port=5269):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sockets = [socket.socket(family) for _ in range(4)]
        self.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sockets[0].bind((address, port))
        self.sockets[0].listen(0)
        for s in self.sockets[1:]:
            s.setblocking(False)
            s.connect_ex((address, port))

    def __enter__(self):
        probe = socket.socket(self.sockets[0].family)
        probe.settimeout(0.3)
        try:
            probe.connect(self.sockets[0].getsockname()[:2])
            raise LabError("the silent port answers")
        except TimeoutError:
            return self
        finally:
            probe.close()

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()


class Broken(threading.Thread):
    """A server that says yes to STARTTLS and then no TLS record."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server((BROKEN, 5269))
        self.asked = 0

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(5)
                try:
                    peer.recv(4096)
                    peer.sendall(HEADER)
                    while b"starttls" not in peer.recv(4096):
                        pass
                    self.asked += 1
                    peer.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.recv(4096)
                except OSError:
                    pass

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def pair(lab, name):
    domain = f"{name}.srv.test"
    lab.entente("partner", "xmpp", "add", domain, "--type", "federated")
    return lab.sip_user(lab.names()[0]), lab.xmpp_user(f"juliet@{domain}"), domain


def arrives(lab, name, how, within=10):
    """A message to NAME.srv.test arrives by the target `how`, in so many seconds."""
    romeo, juliet, domain = pair(lab, name)
    start = time.monotonic()
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    seconds = time.monotonic() - start
    found = lab.entented.events("xmpp/stream-up", direction="out", partner=domain)[-1][3]["how"]
    check(found == how, f"it went by {found!r}, not {how!r}")
    check(seconds < within, f"it took {seconds:.1f} s")
    return seconds


def refused(lab, name, *reasons, within=20):
    romeo, juliet, domain = pair(lab, name)
    start = time.monotonic()
    answer = romeo.message(juliet.name, "hello")
    check(answer.status >= 400 and reason_of(answer) in reasons, f"the answer is {answer.status}, {answer.get('entente-reason')!r}")
    check(time.monotonic() - start < within, f"it took {time.monotonic() - start:.1f} s")
    check(not lab.entented.events("xmpp/stream-up", direction="out", partner=domain), "a stream came up")
    juliet.expect_no_message(romeo.name, 0.3)
    return domain


@scenario("S17 the first target refuses: the second", **OPTIONS)
def first_refuses(lab):
    arrives(lab, "refused", "srv 20 0 live.srv.test:5269")


@scenario("S17 the first target is a black hole: the second, in time", **OPTIONS)
def first_silent(lab):
    with Silent(SILENT):
        arrives(lab, "silence", "srv 20 0 live.srv.test:5269", within=8)


@scenario("S17 the first target fails its TLS handshake: the second", **OPTIONS)
def first_broken(lab):
    with Broken() as broken:
        arrives(lab, "no-tls", "srv 20 0 live.srv.test:5269")
        check(broken.asked, "the first target was not asked")


@scenario("S17 STARTTLS and direct TLS in one row by priority: {name}",
          each={"name": ["starttls-first", "direct-first", "direct-dead", "direct-only", "no-direct"]}, **OPTIONS)
def both_services(lab, name):
    arrives(lab, name, {"starttls-first": "srv 5 0 live.srv.test:5269", "direct-first": "srv 5 0 live.srv.test:5270 direct",
                        "direct-dead": "srv 10 0 live.srv.test:5269", "direct-only": "srv 5 0 live.srv.test:5270 direct",
                        "no-direct": "srv 5 0 live.srv.test:5269"}[name])


@scenario("S17 the target is a dot: there is no service, whatever address the domain has", **OPTIONS)
def dot(lab):
    refused(lab, "nowhere", "xmpp/dns-not-found")


@scenario("S17 SRV answered and its targets are dead: no fallback to the domain's address", **OPTIONS)
def no_fallback(lab):
    refused(lab, "all-dead", "xmpp/unreachable")


@scenario("S17 no SRV: the domain's address, port 5269", **OPTIONS)
def fallback(lab):
    arrives(lab, "fallback", "fallback fallback.srv.test:5269")


@scenario("S17 weights: {name}", each={"name": ["heavy", "even"]}, **OPTIONS)
def weights(lab, name):
    used = collections.Counter()
    romeo, juliet, domain = pair(lab, name)
    for n in range(16):
        if n:       # a new stream
            lab.entented.stop()
            lab.entented.start()
        romeo.say(juliet.name, str(n))
        juliet.expect_message(romeo.name, str(n))
        used[lab.entented.events("xmpp/stream-up", direction="out", partner=domain)[-1][3]["how"]] += 1
    if name == "heavy":     # weight 0 has a very small chance (RFC 2782), 1 in 65536
        check(list(used) == ["srv 5 65535 live2.srv.test:5269"], f"{dict(used)}")
    else:                   # all 16 on one side: 1 in 32768
        check(set(used) == {"srv 5 1 live.srv.test:5269", "srv 5 1 live2.srv.test:5269"}, f"{dict(used)}")


@scenario("S17 the target is an alias of an alias of an alias", **OPTIONS)
def aliases(lab):
    arrives(lab, "aliases", "srv 0 0 alias.srv.test:5269")


@scenario("S17 the SRV name itself is an alias", **OPTIONS)
def alias_of_records(lab):
    arrives(lab, "elsewhere", "srv 20 0 live.srv.test:5269")


@scenario("S17 aliases that go in a circle, or without end, lead nowhere: {name}",
          each={"name": ["looping", "circle", "long-chain"]}, **OPTIONS)
def alias_traps(lab, name):
    refused(lab, name, "xmpp/dns-not-found", "xmpp/unreachable", "xmpp/dns-failed")
    check(lab.entented.alive(), "entented died")


@scenario("S17 a circle first, a living target second", **OPTIONS)
def circle_then_live(lab):
    arrives(lab, "loop-then-live", "srv 5 0 live.srv.test:5269", within=15)


@scenario("S17 sixty targets: the best is used", **OPTIONS)
def sixty(lab):
    arrives(lab, "sixty", "srv 0 0 live.srv.test:5269")


@scenario("S17 a thousand targets: a dozen are tried, and it ends", **OPTIONS)
def thousand(lab):
    with Broken() as broken:
        refused(lab, "thousand", "xmpp/tls-failed", "xmpp/unreachable")
        check(1 <= broken.asked <= 12, f"{broken.asked} were tried")


@scenario("S17 IPv6 is a black hole, IPv4 is alive: at once", **OPTIONS)
def v6_dead(lab):
    with Silent(SILENT6):
        arrives(lab, "v6-dead", "srv 0 0 v6dead.srv.test:5269", within=2.5)


@scenario("S17 IPv4 is a black hole, IPv6 is alive: at once", **OPTIONS)
def v4_dead(lab):
    with Silent(SILENT):
        arrives(lab, "v4-dead", "srv 0 0 v4dead.srv.test:5269", within=2.5)


@scenario("S17 IPv6 {name}", each={"name": ["v6-only", "v6-refuses"]}, **OPTIONS)
def v6(lab, name):
    arrives(lab, name, {"v6-only": "srv 0 0 v6only.srv.test:5269", "v6-refuses": "srv 0 0 v6refuses.srv.test:5269"}[name])


@scenario("S17 xmpp.private-addresses false: DNS leads to no {name} address", each={"name": ["loopback", "private"]}, partner=None,
          peers=PROSODY, world="srv-public")
def private(lab, name):
    domain = refused(lab, f"to-{name}", "xmpp/unreachable")
    failed = lab.entented.events("xmpp/link-failed", partner=domain)
    check(failed and "private-addresses" in failed[-1][3]["text"], f"the log does not say why: {failed}")


@scenario("S17 xmpp.private-addresses false: a server that the administrator names is allowed", partner=None, peers=PROSODY,
          world="srv-public")
def private_named(lab):
    lab.entente("partner", "xmpp", "add", "refused.srv.test", "--type", "federated", "--server", "live.srv.test")
    romeo, juliet = lab.sip_user(lab.names()[0]), lab.xmpp_user("juliet@refused.srv.test")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
