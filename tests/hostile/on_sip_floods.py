# SPDX-License-Identifier: Apache-2.0
"""SIP partners that are too many, too slow, too dear or too many-voiced (threats 28 to 33, 36), while honest traffic goes on."""
import os
import select
import subprocess
import threading
import time

import openssl
from case import LabError, check, hostile, same, wait_until
from ground import ROMEO, SANITIZER
from on_floods import Flood, calm
from phone import Phone
from pipe import Gone
from sip_ground import HONEST_SIP, refused
from sip_peer import EDGE, OURS, PORT, Caller, Partner, SipPipe, request

HEAVY = bool(os.environ.get("HOSTILE_HEAVY"))
SHORT = "  connect: 3s\n  stream-authentication: 4s\n  slow-reader: 2s\n"
FEW = SHORT + "limits:\n  max-transactions: 100\n  max-connections-per-partner: 5\n  queue-size: 262144\n"
LONG = 30 if HEAVY else 3
US = f"sip:gw.{OURS}:5061;transport=tls"


class SipPulse:
    """OPTIONS on the honest partner's established connection; how long each took."""

    def __init__(self, g, gap=0.05):
        self.g, self.gap, self.took, self.lost = g, gap, [], 0
        g.check_partner()
        self.line = g.friend_line()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        g.open_things.insert(0, self)
        self.thread.start()

    def _run(self):
        while not self.stop.wait(self.gap):
            begin = time.monotonic()
            try:
                good = self.line.status("OPTIONS", US, timeout=10) == 200
            except LabError:
                good = False
            self.lost += not good
            self.took.append(time.monotonic() - begin)
            if not good:
                return

    def close(self):
        self.stop.set()
        self.thread.join()

    def end(self):
        """(number, those lost, 99th percentile in seconds)"""
        self.close()
        took = sorted(self.took)
        return len(took), self.lost, took[int(len(took) * 0.99)] if took else 99.0


# --- 28: connections ----------------------------------------------------------------------------------------------------

@hostile("T28 SIP: a flood of connections: caps by address and network, memory flat, neighbours unhurt", settings=SHORT)
def connections(g):
    few = [f"127.{n}.{net}.{host}" for n in (201, 202) for net in (1, 2) for host in range(1, 9)]
    warm = g.keep(Flood("connect", 1.5, few, port=PORT))
    first = warm.wait()
    check(first["per_source"] <= 20, f"{first['per_source']} connections from one address")
    check(first["per_network"] <= 64, f"{first['per_network']} connections from one network")
    before = g.rss()
    pulse = SipPulse(g)
    Caller(HONEST_SIP, g.certificates, g.certificates.leaf(HONEST_SIP), "127.77.1.1").close()    # a new one, from another network
    many = [f"127.{n}.{net}.{host}" for n in range(203, 209) for net in range(1, 5) for host in range(1, 5)]
    flood = g.keep(Flood("connect", LONG, few + many, port=PORT))
    most = 0
    while flood.program.poll() is None and not select.select([flood.program.stdout], [], [], 0.2)[0]:
        most = max(most, len(g.entente("show", "sip", "connections")["connections"]))
    seen = flood.wait()
    after = g.rss()
    note = calm("a flood of connections", pulse.end(), 0.5)
    check(100 < most <= 650, f"{most} connections, of which 500 may be unknown")     # some are on their way out
    check(SANITIZER or after <= before + 24 * 1024, f"memory went from {before} to {after} KiB")
    for f in (warm, flood):
        f.close()
    g.note = f"{first['tried'] + seen['tried']} connects, {most} held at most, RSS {before} -> {after} KiB, {note}"
    wait_until(lambda: len(g.entente("show", "sip", "connections")["connections"]) <= 4, 15, "the flood's connections are gone")


@hostile("T28 SIP: a trusted certificate alone is no partner: such connections stay among the unknown, and one partner has so many",
         authorised=("t28.test",), settings=FEW)
def strangers(g):
    leaf = g.certificates.leaf("t28x.test")
    held, begin = [], time.monotonic()
    for n in range(80):
        try:
            held.append(g.caller("t28x.test", leaf, source=f"127.78.1.{n % 250 + 1}"))
        except LabError:
            pass    # the network's share is taken
    quick = time.monotonic() - begin < 3       # else the first ones are closed already
    alive = [c for c in held if not c.wire.ended()]
    check(len(alive) <= 64 and (not quick or 60 <= len(held) <= 64), f"{len(alive)} connections of one network with a trusted certificate, {len(held)} in all")
    g.check_partner()
    wait_until(lambda: all(c.wire.ended() for c in held), 15, "those that say nothing are closed")
    g.allow("t28.test")
    held, statuses = [], []
    for n in range(10):
        held.append(g.caller("t28.test", source=f"127.{79 + n}.1.1"))
        statuses.append(held[-1].message(ROMEO, g.word()))
    same("statuses of ten connections, of which five may be", statuses, [200] * 5 + [503] * 5)
    m = held[-1].ask("MESSAGE", f"sip:{ROMEO}", body=g.word())
    check(m.get("retry-after"), "503 without Retry-After")
    held[0].close()
    wait_until(lambda: held[-1].message(ROMEO, g.word()) == 200, 10, "when one has ended, another may be")


# --- 29: slow ones ------------------------------------------------------------------------------------------------------

@hostile("T29 SIP: silent, dripping, half-open and half-closed connections end in time", authorised=("t29.test",), settings=SHORT)
def slow(g):
    """connect is 3 s, stream-authentication 4 s here."""
    g.allow("t29.test")
    source, opened, drips = g.source(), {}, {}
    begin = time.monotonic()

    def wire():
        return g.keep(SipPipe.connect(EDGE, PORT, source))
    opened["nothing said"] = wire()
    half = opened["half a ClientHello"] = wire()
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
    opened["nothing after TLS"] = g.caller("t29.test", source=source).wire
    whole = request("MESSAGE", f"sip:{ROMEO}", "sip:mallory@t29.test", headers=["Content-Type: text/plain"], body="x" * 300)
    for what, data in (("half a start line", whole[:20]), ("half a header", whole[:200]), ("half a body", whole[:-100])):
        c = g.caller("t29.test", source=source)
        c.send(data)
        opened[what] = c.wire
    c = g.caller("t29.test", source=source)
    same("a proven one", c.message(ROMEO, g.word()), 200)
    c.send(whole[:-1])
    opened["half a message of a proven one"] = c.wire
    c = g.caller("t29.test", source=source)
    c.wire.half_close()
    opened["half-closed"] = c.wire
    for what, data in (("a ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(400)), ("a message", whole)):
        w = wire() if what == "a ClientHello" else g.caller("t29.test", source=source).wire
        drips[what] = w
        threading.Thread(target=lambda w=w, data=data: w.drip(data, 0.1), daemon=True).start()
    took = {}
    for what, w in opened.items():
        check(w.ended(max(begin + 25 - time.monotonic(), 0.01)), f"{what}: still open after {time.monotonic() - begin:.0f} s")
        took[what] = time.monotonic() - begin
    wait_until(lambda: all(w.eof for w in drips.values()), 15, f"the drips are cut: {[k for k, w in drips.items() if not w.eof]}")
    g.note = f"all cut within {max(took.values()):.1f} s"


@hostile("T29 SIP: many first requests of a domain whose name server is silent: the connection is read on after a second, its surplus is refused", authorised=("late.test",))
def undecided(g):
    record = "_sipfederationtls._tcp.late.test"
    leaf = g.certificates.leaf("gw.late.test")      # names the server, not the domain: the record has to tell whose it is
    g.allow("late.test")
    g.names.silent.add(record)
    c = g.caller("late.test", leaf)
    begin = time.monotonic()
    c.send(b"".join(request("MESSAGE", f"sip:{ROMEO}", "sip:mallory@late.test", headers=["Content-Type: text/plain"], body="x") for _ in range(120)))
    c.send(request("OPTIONS", US, "sip:mallory@late.test"))
    early = c.answers(120 - 32 + 1)
    took = time.monotonic() - begin
    same("refused with Retry-After, and what needs no record", {s: early.count(s) for s in set(early)}, {500: 88, 200: 1})
    check(SANITIZER or took < 2.5, f"they were answered after {took:.1f} s")
    same("those that waited", set(c.answers(32)), {504})
    g.names.silent.discard(record)


@hostile("T29 SIP: keep-alives as fast as they go cost nothing and prove nothing", settings=SHORT)
def pings(g):
    c = g.caller("evil.test")
    before, sent = g.rss(), 0
    end = time.monotonic() + 1
    try:
        while time.monotonic() < end:
            c.send(b"\r\n\r\n" * 4000)
            sent += 16000
    except Gone:
        pass
    g.check_partner()
    g.bounded(before, sent, slack=4096)


# --- 30, 31: TLS --------------------------------------------------------------------------------------------------------

@hostile("T30 SIP: handshakes take turns: a flood of them does not stop established traffic", settings=SHORT)
def handshakes(g):
    floods = [g.keep(Flood("hello", LONG, [f"127.{210 + n}.{net}.{host}" for net in range(1, 5) for host in range(1, 30)], port=PORT)) for n in range(2)]
    before = g.rss()
    pulse = SipPulse(g)
    done = [f.wait() for f in floods]
    note = calm("a flood of handshakes", pulse.end(), 0.25)
    after = g.rss()
    for f in floods:
        f.close()
    check(SANITIZER or after <= before + 32 * 1024, f"memory went from {before} to {after} KiB")
    g.note = f"{sum(d['tried'] for d in done) / LONG:.0f} handshakes/s begun, {sum(d['answered'] for d in done) / LONG:.0f}/s answered; {note}"


@hostile("T30 SIP: one network has its share of handshakes, and those of others do not wait behind it",
         settings=SHORT + "limits:\n  handshake-rate-per-network: 10\n")
def turns(g):
    """Twice ten at once, then ten a second, at most five seconds ahead: the rest is cut."""
    leaf = g.certificates.leaf("evil.test")
    results, begin = [], time.monotonic()

    def one(n):
        at = time.monotonic()
        try:
            Caller("evil.test", g.certificates, leaf, f"127.90.1.{n % 200 + 1}").close()
            results.append(time.monotonic() - at)
        except LabError:
            results.append(None)
    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(60)]
    for t in threads:
        t.start()
    line = Caller(HONEST_SIP, g.certificates, g.certificates.leaf(HONEST_SIP), "127.91.1.1")
    line.close()
    other = time.monotonic() - begin
    for t in threads:
        t.join(20)
    done = sorted(x for x in results if x is not None)
    check(done and done[-1] > 1.5, f"60 handshakes of one network took {done[-1] if done else 0:.1f} s at most, though 10 a second may be")
    g.note = f"{len(done)} of 60 within {done[-1]:.1f} s, another network's in {other:.1f} s"


@hostile("T31 SIP: no renegotiation, no early data, no old TLS; floods of key updates end", settings=SHORT)
def renegotiation(g):
    c = openssl.Client(EDGE, PORT, g.source(), openssl.TLS12)
    check(not c.renegotiate() or not c.write(b" ") or not c.read(), "TLS was renegotiated")
    c.close()
    for version in (openssl.TLS10, openssl.TLS11):
        try:
            openssl.Client(EDGE, PORT, g.source(), version).close()
            raise LabError(f"TLS {version:x} was taken")
        except OSError:
            pass
    same("octets of early data that are offered", openssl.early_data(EDGE, PORT, g.source()), 0)
    pulse = SipPulse(g)
    cut = 0
    for words in ((), ("asking", "between")):
        done = subprocess.run(["/usr/bin/python3", openssl.__file__, EDGE, str(PORT), g.source(), "1", *words], capture_output=True, text=True,
                              timeout=30, check=False)
        check(done.returncode == 0, done.stderr)
        cut += int(done.stdout.split()[1])
    note = calm("key updates", pulse.end())
    same("connections cut for changing their keys all the time", cut, 2)
    g.note = note


# --- 32, 33: requests ---------------------------------------------------------------------------------------------------

@hostile("T32 SIP: a partner that floods is answered, and others do not wait for it", authorised=("t32.test",), settings=SHORT)
def messages(g):
    g.allow("t32.test")
    lines = [g.caller("t32.test") for _ in range(4)]
    pulse = SipPulse(g)
    before = g.rss()
    each, answered = 1000 if HEAVY else 250, []
    # to a user that does not exist: the home answers each one
    data = [b"".join(request("MESSAGE", f"sip:nobody@{OURS}", "sip:mallory@t32.test", headers=["Content-Type: text/plain"], body="x" * 200)
                     for _ in range(each)) for _ in lines]
    readers = [threading.Thread(target=lambda c=c: answered.extend(c.answers(each, 40)), daemon=True) for c in lines]
    for c, all_of_it in zip(lines, data):
        c.send(all_of_it)
    for t in readers:
        t.start()
    for t in readers:
        t.join(45)
    note = calm("a flood of messages", pulse.end(), 0.5)
    check(SANITIZER or g.rss() <= before + 48 * 1024, f"memory went from {before} to {g.rss()} KiB")
    check(len(answered) == 4 * each and set(answered) <= {404, 503}, f"{len(answered)} of {4 * each} answered: {set(answered)}")
    g.note = f"{len(answered)} answered; {note}"


@hostile("T32 SIP: requests that never end: one partner has its share of them, 503 with Retry-After beyond, others unhurt",
         authorised=("t32r.test",), settings=FEW)
def ringing(g):
    """100 may be under way, so 25 of one partner."""
    class Deaf(Phone):
        def _request(self, m):
            return None if m.method == "INVITE" else super()._request(m)
    g.allow("t32r.test")
    deaf = g.phone("mercutio9", Deaf)
    c = g.caller("t32r.test")
    calls = [request("INVITE", f"sip:{deaf.name}", "sip:mallory@t32r.test", headers=["Contact: <sip:gw.t32r.test>", "Content-Type: application/sdp"],
                     body="v=0\r\n") for _ in range(60)]
    c.send(b"".join(calls))
    refusals = [c.next() for _ in range(35)]
    same("statuses beyond", {m.status for m in refusals}, {503})
    check(all(m.get("retry-after") for m in refusals), "503 without Retry-After")
    check(not any(m.get("entente-reason") for m in refusals), "a partner is told our reasons")
    g.check_partner()
    same("still under way", len([t for t in g.entente("show", "sip", "transactions")["transactions"] if t["method"] == "INVITE"]), 25)
    refused("one more", c.message(ROMEO, g.word()))
    for call in calls:
        text = call.decode().split("\r\n\r\n")[0].replace("INVITE", "CANCEL").split("\r\n")
        c.send("\r\n".join(x for x in text if not x.startswith("Content-")) + "\r\nContent-Length: 0\r\n\r\n")
    wait_until(lambda: c.message(ROMEO, g.word()) == 200, 20, "after they are cancelled, messages pass")


@hostile("T32 T33 SIP: a discovered partner: 20 a second, one when suspicious, so many addresses; allowed ones are exempt",
         authorised=("t33.test", "t33a.test"), settings=SHORT)
def discovered(g):
    g.entente("access-edge", "set", "--max-contacts-per-discovered-partner", "5")
    try:
        c = g.caller("t33.test")
        statuses = [c.message(ROMEO, g.word()) for _ in range(45)]
        same("at first", statuses[0], 200)
        check(503 in statuses, f"45 at once are not too many for 20 a second: {statuses}")
        guesses, end = [], time.monotonic() + 40     # nobody of these exists: it becomes suspicious, and in the end no further address is let in
        while (not guesses or guesses[-1] != 403) and time.monotonic() < end:
            guesses.append(c.message(f"guess{len(guesses)}@{OURS}", g.word()))
        same("the address too many", guesses[-1], 403)
        check(guesses.count(404) <= 5, f"{guesses.count(404)} addresses could be tried")
        same("one that was used before", wait_until(lambda: c.message(ROMEO, g.word()) in (200,), 10, "known addresses pass"), True)
        m = c.ask("MESSAGE", f"sip:mercutio@{OURS}", body=g.word())
        same("an address that exists, and one that does not", m.status, 403, 503)
        row = next(r for r in g.entente("show", "sip", "watch-list")["watched"] if "t33.test" in r["domains"])
        check(row["throttled"] > 0 and row["contacts"] == 5 and row["contacts_refused"] > 0 and row["serial"] and row["issuer"], f"the watch list has {row}")
        g.allow("t33a.test")
        c = g.caller("t33a.test")
        statuses = [c.message(f"guess{n % 9}@{OURS}" if n % 2 else ROMEO, g.word()) for n in range(60)]
        same("an allowed partner's", set(statuses), {200, 404})
    finally:
        g.entente("access-edge", "set", "--max-contacts-per-discovered-partner", "1000")


# --- 36: slow readers ---------------------------------------------------------------------------------------------------

@hostile("T36 SIP: a partner that does not read our answers is not listened to, and is cut off", authorised=("t36.test",), settings=FEW)
def deaf_caller(g):
    """slow-reader is 2 s, queue-size 256 KiB here."""
    g.allow("t36.test")
    c = g.caller("t36.test", receive_buffer=4096)
    same("at first", c.message(ROMEO, g.word()), 200)
    before, sent, begin = g.rss(), 0, time.monotonic()
    pulse = SipPulse(g)
    one = request("OPTIONS", US, f"<sip:mallory@t36.test>;tag={'t' * 2000}")
    c.wire.sock.settimeout(20)
    try:
        while time.monotonic() < begin + 20:
            c.send(one)
            sent += len(one)
        raise LabError("it may say more and more, though it does not read")
    except Gone:
        pass
    took = time.monotonic() - begin
    grown = g.rss() - before
    note = calm("a deaf partner", pulse.end())
    check(SANITIZER or grown < 8192, f"memory grew by {grown} KiB")
    check(g.events("access/slow-reader"), "the log does not say why it was cut off")
    g.note = f"cut after {took:.1f} s and {sent // 1024} KiB, RSS +{grown} KiB; {note}"


class Stuck(Partner):
    """Reads nothing more once it is told to."""
    stuck = False

    def reading(self, wire):
        if self.stuck:
            time.sleep(0.2)
            if wire.sock.fileno() < 0:
                raise Gone("ended")
            return
        super().reading(wire)


@hostile("T36 SIP: a partner's server that does not read: memory bounded, senders are told, others unhurt", authorised=(), settings=FEW)
def deaf_server(g):
    server = g.sip_server("t36s.test", "127.0.0.56", Stuck, receive_buffer=4096)
    g.allow("t36s.test")
    g.romeo.say("x@t36s.test", g.word())
    server.stuck = True
    before, statuses = g.rss(), []

    def speak(n):
        try:
            statuses.append(g.romeo.message(f"x{n}@t36s.test", g.word() + "x" * 8000, timeout=12).status)
        except LabError:
            statuses.append(0)
    threads = [threading.Thread(target=speak, args=(n,), daemon=True) for n in range(120)]
    for t in threads:
        t.start()
    pulse = SipPulse(g)
    for t in threads:
        t.join(20)
    note = calm("a deaf server", pulse.end())
    grown = g.rss() - before
    check(SANITIZER or grown < 16384, f"memory grew by {grown} KiB")
    check(statuses.count(200) <= 1, f"{statuses.count(200)} messages count as delivered")     # it was about to read one
    check(g.events("access/slow-reader") or g.events("access/peer-lost", peer="t36s.test"), "the log does not say that it does not read")
    g.note = f"answers {sorted(set(statuses))}, RSS +{grown} KiB; {note}"
