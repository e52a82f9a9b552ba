# SPDX-License-Identifier: Apache-2.0
"""The host: hashes, crashes, logs, clocks (threats 38, 41, 47, 48, 52)."""
import os
import re
import time

import daemon
from case import check, hostile, same
from ground import HONEST, ROMEO, SANITIZER, SECRET
from on_floods import Pulse, calm
from peer import OURS, Receiver, dialback_key, iq, message, presence
from waiting import LabError, wait_until

ROOM = "limits:\n  partner-rate: 100000\n  sender-rate: 100000\n"
EVIL = ("\n2026-01-01T00:00:00Z error server/owned by=mallory", "\r\n<3>error", "\x1b[31mred", "\" reason=none \"", "\\", "\u2028line", "\u202egnp", "%s%n",
        "a" * 2000, "\x7f", "\u0085next")


# --- 38 -----------------------------------------------------------------------------------------------------------------

def colliding(n):
    """Names that collide in the unkeyed hash that many tables use (x33 of DJB): pieces of equal hash, combined."""
    pairs = ("Ez", "FY")    # 33 * 69 + 122 == 33 * 70 + 89
    return ["".join(pairs[(i >> bit) & 1] for bit in range(14)) for i in range(n)]


@hostile("T38 names that are made to collide cost what other names cost", authorised=("t38.test",), settings=ROOM)
def collisions(g):
    g.partner_add("t38.test")
    server = g.server("t38.test", "127.0.44.1")
    s = g.initiator("t38.test").up()
    g.romeo.say("juliet@t38.test", g.word())

    def seconds(names, mark):
        begin = time.monotonic()
        for n, name in enumerate(names):
            s.send(iq(f"{name}@t38.test/{name}", OURS, "<ping xmlns='urn:xmpp:ping'/>", id=f"{mark}{n}"))
        server.expect("iq", 30, lambda e: e.el.get("id") == f"{mark}{len(names) - 1}")
        return time.monotonic() - begin
    plain = [f"{n * 7919:028x}" for n in range(3000)]
    seconds(plain[:200], "warm")
    easy, hard = seconds(plain, "a"), seconds(colliding(3000), "b")
    check(hard < 4 * easy + 1, f"{hard:.2f} s instead of {easy:.2f} s")
    g.note = f"{easy * 1000:.0f} ms for plain names, {hard * 1000:.0f} ms for colliding ones"


# --- 41 -----------------------------------------------------------------------------------------------------------------

@hostile("T41 a kill with a message in hand: it comes once more at most, the neighbour is served after each restart", authorised=("t41.test",), settings=ROOM)
def crashes(g):
    g.partner_add("t41.test")
    g.server("t41.test", "127.0.44.2")
    g.romeo.answer_messages(200)
    word = f"{SECRET} poison"

    def times():
        return sum(1 for e in g.romeo.seen.history if e.kind == "message" and e.body == word)
    s = g.initiator("t41.test").up()
    s.send(message("juliet@t41.test/x", ROMEO, word))
    g.romeo.expect_message("juliet@t41.test", word)
    for n in range(2):
        g.entented.kill()
        g.entented.start()
        g.neighbour = None
        g._mark = 0
        # its server does not acknowledge, so it is in our journal until the home's answer is noted, and that may have been cut off: after
        # the first kill it may come again, and is answered then. (What crashes us, and is not killed, is left alone the second time: the
        # unit test `poison`, tests/chaos.)
        end = time.monotonic() + 3
        while time.monotonic() < end and (n or times() < 2):
            time.sleep(0.05)
        check(times() <= 2, f"it came {times()} times")
        g.check_neighbour()
    unit = os.path.join(daemon.TOP, "packaging", "entented.service.in")
    with open(unit, encoding="utf-8") as f:
        text = f.read()
    check("Restart=on-failure" in text or "Restart=always" in text, "systemd does not start it again")
    check("RestartSec=" in text, "and not with a pause")


# --- 47, 48 -------------------------------------------------------------------------------------------------------------

@hostile("T47 keys, certificates' keys and texts are in no log and in no answer of the command", authorised=("t47.test",), settings=ROOM)
def secrets(g):
    g.partner_add("t47.test", "--no-sasl", "--dialback")
    server = g.server("t47.test", "127.0.44.3")
    g.romeo.say("juliet@t47.test", f"{SECRET} one")
    ours = server.expect("result").el.text.strip()
    with g.initiator("t47.test") as s:
        s.secure()
        theirs = dialback_key(server.secret, OURS, "t47.test", s.id)
        s.result(theirs)
        same("dialback", s.answer(), "valid")
        s.send(message("juliet@t47.test", ROMEO, f"{SECRET} two", more=f"<subject>{SECRET} three</subject><thread>{SECRET}-four</thread>"))
        s.send(presence("juliet@t47.test/x", ROMEO, more=f"<status>{SECRET} five</status>"))
        s.send(message("juliet@t47.test", "x@contoso.test", f"{SECRET} six"))
        g.romeo.expect_message("juliet@t47.test")
    g.romeo.message("x@nowhere.test", f"{SECRET} seven")
    with open(g.entented.log, encoding="utf-8", errors="replace") as f:
        log = f.read()
    with open(f"{g.certs}/contoso.key", encoding="ascii") as f:
        key = "".join(f.read().splitlines()[1:2])
    shown = "".join(g.entented.cli(*words, "--json").stdout for words in (("status",), ("show", "streams"), ("show", "conversations"), ("show", "subscriptions"),
                                                                            ("history",), ("partner", "xmpp", "show", "t47.test")))
    for what, secret in (("our dialback key", ours), ("the partner's dialback key", theirs), ("the private key", key), ("a text", SECRET)):
        check(secret and secret not in log, f"{what} is in the log")
        check(secret not in shown, f"{what} is shown by the command")


@hostile("T48 nothing that comes from outside makes a line of its own in the log", authorised=("t48.test",), settings=ROOM)
def injection(g):
    g.partner_add("t48.test")
    server = g.server("t48.test", "127.0.44.4")
    def reference(text):    # line feeds and the like as character references, so that they reach us as they are
        return "".join(c if c.isalnum() else f"&#{ord(c)};" for c in text if c in "\t\n\r" or (ord(c) >= 32 and ord(c) != 0x1b))
    for evil in EVIL:
        bad = reference(evil)
        s = g.initiator("t48.test").up()
        s.send(f"<message from='juliet@t48.test/{bad}' to='nobody@contoso.test' id='{bad}'><body>{SECRET}</body></message>")
        s.send(f"<message from='juliet@t48.test' to='nobody{bad}@contoso.test'><body>{SECRET}</body></message>")
        s.send(f"<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{bad}</text></stream:error>")
        s.wire.expect_end(10)
        s.close()
        s = g.initiator("t48.test")
        s.wire.send(f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{bad}' to='x{bad}' version='1.0'>")
        s.wire.expect_end(10)
        s.close()
        g.romeo.message("juliet@t48.test", f"{SECRET}", headers=[("Subject", evil.replace("\n", " ").replace("\r", " "))])
    lines = g.entented.output().split("\n")[:-1]
    odd = [x for x in lines if not daemon.LINE.match(x)]
    check(not odd, f"lines that are none of ours: {odd[:3]}")
    control = [x for x in lines if any(ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or c in "\u2028\u2029\u202e" for c in x)]
    check(not control, f"control characters in the log: {control[:3]}")
    check(not g.events("server/owned"), "a line was forged")
    check(max(len(x) for x in lines) < 16384, "a line without end")


# --- 52 -----------------------------------------------------------------------------------------------------------------

CLOCK = "# faketime\n"


@hostile("T52 the clock jumps: streams, timers and delivery go on; certificates are judged by the new time", settings=CLOCK)
def clock(g):
    if not g.clock:
        g.note = "not run: libfaketime is not there, or a sanitizer is"
        return
    pulse = Pulse(g, gap=0.1)
    for jump in ("+400d", "-3000d", "+0"):
        g.clock(jump)
        time.sleep(0.3)
        g.check_neighbour()             # on the streams that are there
        seen = daemon.parse_line(g.entented.output().splitlines()[-1])
        check((seen[0][:4] == time.strftime("%Y")) == (jump == "+0"), f"the clock did not jump by {jump}: {seen[0]}")
        if jump == "+400d":             # the certificates of this lab live 365 days
            s = g.initiator(HONEST)
            check("EXTERNAL" not in (s.open().start_tls() and refused(s)), "a certificate that has expired by the new time proves a domain")
            s.close()
        g.romeo.message("juliet@nowhere52.test", g.word())
    pings, lost, p99 = pulse.end()
    same("pings lost", lost, 0)
    g.note = f"{pings} pings"


def refused(stream):
    try:
        return stream.open().offers()
    except LabError as e:
        return str(e)
