# SPDX-License-Identifier: Apache-2.0
"""Connections that prove nothing: R13."""
import resource
import select
import socket
import time

from experiment import experiment
from stage import INSTRUMENTED, Stage, memory, peers

PLACES = 10000      # limits.max-unproven of stage.SETTINGS
PROMISED_KIB, PATIENCE = 16, 30     # timers.stream-authentication
HEAD = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='sm0000.chaos.test' "
        b"to='contoso.test' version='1.0'>")


def begin(number):
    """A connection that sends the head of its stream, and reads the answer up to the features; None: it was closed."""
    s = socket.socket()
    s.settimeout(20)
    s.bind((f"127.220.{number // 250}.{number % 250 + 1}", 0))
    seen = b""
    try:
        s.connect((peers.GATEWAY, 5269))
        s.sendall(HEAD)
        while b"</stream:features>" not in seen:
            got = s.recv(4096)
            if not got:
                raise ConnectionError
            seen += got
    except ConnectionError:
        s.close()
        return None
    return s


def open_now(connections):
    """Those that the other side has not ended."""
    poll = select.poll()
    for s in connections:
        poll.register(s, select.POLLRDHUP)
    return len(connections) - len(poll.poll(0))


@experiment("unproven", "R13", seconds=75)
def unproven(r):
    """thousands of streams that begin and prove nothing, while others go on writing"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (PLACES + 2000, max(PLACES + 2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    count = 2000 if r.quick else PLACES
    with Stage(r.run, log_level="warning") as s:
        pid = s.services[0].pid
        s.rate(100, 100)
        time.sleep(5)
        s.lap()
        time.sleep(3)
        calm, before = s.lap(), memory([pid], "VmRSS")
        start = time.monotonic()
        taken = [c for c in map(begin, range(count)) if c]
        seconds, each = time.monotonic() - start, (memory([pid], "VmRSS") - before) / max(len(taken), 1)
        beyond = 0 if r.quick else sum(begin(count + i) is None for i in range(500))
        held = s.lap()
        while open_now(taken) and time.monotonic() - start < seconds + PATIENCE + 15:
            time.sleep(0.5)
        closed, left = time.monotonic() - start, open_now(taken)
        account = s.end(60)
        r.complaints(s)
    p99 = [max(lap["groups"][g][d]["arrival_ms"]["p99"] for g in ("sm", "plain") for d in ("to_xmpp", "to_sip")) for lap in (calm, held)]
    r.figures.update(p99_ms=p99, kib=each)
    r.show("R13", f"memory of a connection that has begun a stream and proven nothing, without TLS, of {len(taken)} (made within {seconds:.1f} s)",
           f"{each:.1f} KiB", each <= PROMISED_KIB or (None if INSTRUMENTED else False))
    if not r.quick:
        r.show("R13", "of 500 more than limits.max-unproven were closed at once", str(beyond), beyond >= 490)
    r.show("R13", "all of them ended for want of a proof (timers.stream-authentication: 30 s)", f"the last {closed:.0f} s after the first came, {left} left", not left)
    r.show("R13", "p99 of the others before, and meanwhile", f"{p99[0]:.1f} ms and {p99[1]:.1f} ms", None)
    r.books("R13", "the others' messages", account)
