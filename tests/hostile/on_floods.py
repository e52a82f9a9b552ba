# SPDX-License-Identifier: Apache-2.0
"""Too many, too slow, too dear (threats 28 to 31), while established traffic goes on."""
import json
import os
import subprocess
import sys
import threading
import time

import openssl
from case import check, hostile, in_time, same
from ground import HONEST, HONEST_AT, SANITIZER
from peer import GATEWAY, OURS, Initiator, header, iq
from waiting import LabError, wait_until
from wire import TLS, Gone, Wire

HERE = os.path.dirname(os.path.abspath(__file__))
HEAVY = bool(os.environ.get("HOSTILE_HEAVY"))
SHORT = "  stream-setup: 4s\n  connect: 3s\n  dialback: 3s\n"
LONG = 30 if HEAVY else 5


class Flood:
    """flooder.py in the background."""

    def __init__(self, mode, seconds, sources, port=5269):
        self.program = subprocess.Popen(["/usr/bin/python3", f"{HERE}/flooder.py", mode, str(seconds), GATEWAY, str(port), *sources],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.result = None

    def wait(self):
        """What it did; it still holds its connections."""
        self.result = self.result or json.loads(self.program.stdout.readline())
        return self.result

    def close(self):
        if self.program.stdin.closed:
            return
        self.program.stdin.close()
        try:
            self.program.wait(5)
        except subprocess.TimeoutExpired:
            self.program.kill()
            self.program.wait()
        self.program.stdout.close()


class Pulse:
    """Pings on the neighbour's established stream; how long each took, there and back (by entented's own stream)."""

    def __init__(self, g, gap=0.05):
        self.g, self.gap = g, gap
        self.sent, self.took = {}, []
        self.stop = threading.Event()
        self.stream = g.neighbour_stream()
        g.check_neighbour()
        self.thread = threading.Thread(target=self._run, daemon=True)
        g.open_things.insert(0, self)   # nobody else may write on that stream while this one does
        self.thread.start()

    def _run(self):
        n = 0
        while not self.stop.wait(self.gap):
            n += 1
            self.sent[f"pulse{n}"] = time.time()
            try:
                self.stream.send(iq(f"pulse{n % 50}@{HONEST}/x", OURS, "<ping xmlns='urn:xmpp:ping'/>", id=f"pulse{n}"))
            except Gone:
                return

    def close(self):
        self.stop.set()
        self.thread.join()

    def end(self):
        """(number of pings, those lost, 99th percentile in seconds)."""
        self.stop.set()
        self.thread.join()

        def answers():
            return {e.el.get("id"): e.at for e in list(self.g.neighbour_server.seen.history) if e.kind == "iq"}
        try:
            wait_until(lambda: set(self.sent) <= set(answers()), 10, "all pings answered", step=0.1)
        except LabError:
            pass
        got = answers()
        self.took = sorted(got[k] - at for k, at in self.sent.items() if k in got)
        lost = len(self.sent) - len(self.took)
        self.g.neighbour_server.seen.forget()
        return len(self.sent), lost, self.took[int(len(self.took) * 0.99)] if self.took else 99.0


def calm(what, pulse, limit=0.25):
    pings, lost, p99 = pulse
    same(f"pings lost during {what}", lost, 0)
    note = f"p99 {p99 * 1000:.0f} ms of {pings} pings"
    in_time(p99 < limit, f"{what}: {note}, {limit * 1000:.0f} ms are allowed")
    return note


# --- 28 -----------------------------------------------------------------------------------------------------------------

@hostile("T28 a flood of connections: caps by address and network, memory flat, neighbours unhurt", settings=SHORT)
def connections(g):
    few = [f"127.{n}.{net}.{host}" for n in (201, 202) for net in (1, 2) for host in range(1, 9)]    # 4 networks of 8 addresses
    warm = g.keep(Flood("connect", 2, few))
    first = warm.wait()
    check(first["per_source"] <= 20, f"{first['per_source']} connections from one address")
    check(first["per_network"] <= 64, f"{first['per_network']} connections from one network")
    check(first["held"] <= 4 * 64, f"{first['held']} connections")
    before = g.rss()
    pulse = Pulse(g)
    newcomer = g.initiator(HONEST).up()     # an honest one from another network
    newcomer.close()
    many = [f"127.{n}.{net}.{host}" for n in range(203, 209) for net in range(1, 5) for host in range(1, 5)]
    flood = g.keep(Flood("connect", LONG, few + many))
    seen = flood.wait()
    after = g.rss()
    note = calm("a flood of connections", pulse.end(), 0.5)
    check(seen["held"] <= 500, f"{seen['held']} connections without a proven domain")
    check(SANITIZER or after <= before + 24 * 1024, f"memory went from {before} to {after} KiB")
    for f in (warm, flood):
        f.close()
    g.note = f"{first['tried'] + seen['tried']} connects, {seen['held']} held at most, RSS {before} -> {after} KiB, {note}"
    wait_until(lambda: len([s for s in g.streams() if s["direction"] == "in"]) <= 2, 15, "the flood's connections are gone")


# --- 29 -----------------------------------------------------------------------------------------------------------------

@hostile("T29 S27 silent, dripping, half-open and half-closed connections end in time", settings=SHORT)
def slow(g):
    """stream-setup is 4 s, connect 3 s here."""
    g.partner_add("t29.test")
    source, opened = g.source(), {}
    begin = time.monotonic()

    def wire(port=5269):
        return g.keep(Wire.connect(GATEWAY, port, source))
    opened["nothing said"] = wire()
    opened["nothing said, direct TLS"] = wire(5270)
    half = opened["half a ClientHello"] = wire(5270)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
    half = opened["half a header"] = wire()
    half.send("<?xml version='1.0'?><stream:stream xmlns='jabber:server' ")
    s = g.initiator("t29.test", source=source).open()
    opened["nothing after the features"] = s.wire
    s = g.initiator("t29.test", source=source).open()
    s.send(f"<starttls xmlns='{TLS}'/>")
    s.expect("proceed")
    s.wire.send_raw(b"\x16\x03\x01")
    opened["half a handshake after <proceed/>"] = s.wire
    s = g.initiator("t29.test", source=source).secure()
    opened["nothing after TLS"] = s.wire
    s = g.initiator("t29.test", source=source).secure()
    s.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>")
    opened["half an <auth/>"] = s.wire
    s = g.initiator("t29.test", source=source).secure()
    same("EXTERNAL", s.external(), "")
    opened["no header after <success/>"] = s.wire
    drips = {}
    for what, text in (("header", header("t29.test", OURS)), ("white space", " " * 400), ("direct TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\1" * 400)):
        w = wire(5270 if what == "direct TLS" else 5269)
        drips[what] = w
        threading.Thread(target=lambda w=w, text=text: w.drip(text.encode("latin-1"), 0.1), daemon=True).start()
    took = {}
    for what, w in opened.items():
        check(w.ended(max(begin + 20 - time.monotonic(), 0.01)), f"{what}: still open after {time.monotonic() - begin:.0f} s")
        took[what] = time.monotonic() - begin
    wait_until(lambda: all(w.eof for w in drips.values()), 15, f"the drips are cut: {[k for k, w in drips.items() if not w.eof]}")
    g.note = f"all cut within {max(took.values()):.1f} s"


@hostile("T29 S27 a peer that does not end its half is not waited for", authorised=("t29b.test",), settings=SHORT)
def half_closed(g):
    g.partner_add("t29b.test")
    s = g.initiator("t29b.test").up()
    s.send("<message/>")            # a stream error, and we say nothing more and close nothing
    error = g.initiator("t29b.test").up()
    error.send("</stream:stream>")  # a clean end on our side only
    error.expect("/stream")
    gone = g.initiator("t29b.test").up()
    gone.wire.half_close()          # FIN, no closing tag
    begin = time.monotonic()
    for what, w in (("after a stream error", s.wire), ("after the closing tags", error.wire), ("after FIN", gone.wire)):
        check(w.ended(max(begin + 12 - time.monotonic(), 0.01)), f"{what}: still open after 12 s")
    same("streams", g.up("t29b.test"), [])


@hostile("T29 a partner that sends an octet at a time is only slow itself", authorised=("t29c.test",), settings=SHORT)
def drip_stanza(g):
    g.partner_add("t29c.test")
    slow_ones = [g.initiator("t29c.test").up() for _ in range(5)]
    stanza = iq("juliet@t29c.test", OURS, "<ping xmlns='urn:xmpp:ping'/>").encode()
    threads = [threading.Thread(target=s.wire.drip, args=(stanza, 0.02), daemon=True) for s in slow_ones]
    for t in threads:
        t.start()
    pulse = Pulse(g)
    for t in threads:
        t.join(20)
    calm("dripping stanzas", pulse.end())


# --- 30 -----------------------------------------------------------------------------------------------------------------

@hostile("T30 a flood of TLS handshakes does not stop established traffic", settings=SHORT)
def handshakes(g):
    quiet = Pulse(g)
    time.sleep(1.5)
    _, _, idle = quiet.end()
    floods = [g.keep(Flood("hello", LONG, [f"127.{210 + n}.{net}.{host}" for net in range(1, 5) for host in range(1, 30)], port=5270)) for n in range(2)]
    before = g.rss()
    pulse = Pulse(g)
    done = [f.wait() for f in floods]
    result = pulse.end()
    after = g.rss()
    for f in floods:
        f.close()
    note = calm("a flood of handshakes", result, 0.25)
    answered = sum(d["answered"] for d in done)
    check(SANITIZER or after <= before + 32 * 1024, f"memory went from {before} to {after} KiB")
    g.note = f"{sum(d['tried'] for d in done) / LONG:.0f} handshakes/s begun, {answered / LONG:.0f}/s answered; {note} (idle: {idle * 1000:.0f} ms); RSS +{after - before} KiB"


# --- 31 -----------------------------------------------------------------------------------------------------------------

@hostile("T31 renegotiation is refused; floods of key updates and empty records end or cost nothing", settings=SHORT)
def renegotiation(g):
    c = openssl.Client(GATEWAY, 5270, g.source(), openssl.TLS12)
    check(not c.renegotiate() or not c.write(b" ") or not c.read(), "TLS was renegotiated")
    c.close()
    before = g.rss()
    pulse = Pulse(g)
    updates = cut = 0
    for words in ((), ("asking",), ("between",), ("asking", "between")):
        done = subprocess.run(["/usr/bin/python3", openssl.__file__, GATEWAY, "5270", g.source(), "1", *words], capture_output=True, text=True,
                              timeout=30, check=False)
        check(done.returncode == 0, done.stderr)
        n, ended = map(int, done.stdout.split())
        updates, cut = updates + n, cut + ended
    same("connections cut for changing their keys all the time", cut, 4)
    note = calm("key updates", pulse.end())
    g.bounded(before, 200000)
    g.note = f"{updates} key updates sent, {cut} of 4 connections cut; {note}"
