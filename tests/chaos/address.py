# SPDX-License-Identifier: Apache-2.0
"""An address that moves (R6). The partner is a SIP server that knows one address and stays with its connection, as those of the days of OCS do."""
import contextlib
import itertools
import os
import signal
import socket
import statistics
import threading
import time
import types

from experiment import experiment
from machines import ADDRESS, USER, Site, impossible, ip
from stage import INSTRUMENTED, LabError, wait_until

from federation import RawPeer
from phone import SDP, Phone
from sipmessage import address as uri_of, parameter

US, THEM = f"sip:{USER}", "sip:mercutio@adatum.test"
EVERY, SILENT, TRY = 0.1, 1.0, 0.5      # seconds of the partner: between texts, without an answer until it calls again, for one such call
PROMISE = 3.0


class Partner(threading.Thread):
    """One text after the other over one connection; calls the address again when that ends, or when a text has no answer."""

    def __init__(self, certs):
        super().__init__(daemon=True)
        self.certs, self.peer, self.quiet = certs, None, False
        self.texts, self.connections = [], 0

    def run(self):
        while not self.quiet:
            begin = time.monotonic()
            try:
                self.one()
            except OSError:
                self.drop()
            time.sleep(max(0, begin + EVERY - time.monotonic()))

    def one(self):
        if not self.peer:
            self.peer = RawPeer(self.certs, "adatum", ADDRESS, TRY)
            self.connections += 1
        text = types.SimpleNamespace(body=f"t{len(self.texts)}", sent=time.monotonic(), connection=self.connections, status=None, at=None)
        self.texts.append(text)
        answer = self.peer.ask("MESSAGE", US, THEM, headers=["Content-Type: text/plain"], body=text.body, timeout=SILENT)
        if answer:
            text.status, text.at = answer.status, time.monotonic()
        else:
            self.drop()

    def drop(self):
        if self.peer:
            self.peer.close()
        self.peer = None

    def accepted(self):
        return [t for t in self.texts[:] if t.status and t.status < 300]

    def recovered(self, since, connection):
        """Seconds to the first 2xx for a text that was sent after `since`, over a later connection than that one; None: there is none yet."""
        return next((t.at - since for t in self.accepted() if t.sent > since and t.connection > connection), None)

    def pause(self, since):
        """The longest time without a 2xx."""
        at = [since, *(t.at for t in self.accepted() if t.at > since), time.monotonic()]
        return max(b - a for a, b in itertools.pairwise(at))


class Knocking(threading.Thread):
    """Does the address take connections? One every 50 ms, given up after 0.2 s."""

    def __init__(self):
        super().__init__(daemon=True)
        self.tries, self.quiet = [], False
        self.start()

    def run(self):
        while not self.quiet:
            try:
                socket.create_connection(ADDRESS, timeout=0.2).close()
                self.tries.append((time.monotonic(), True))
            except OSError:
                self.tries.append((time.monotonic(), False))
            time.sleep(0.05)

    def end(self, since):
        """Seconds from `since` to when it took them again, and went on so; 0 when it never stopped."""
        self.quiet = True
        self.join()
        last = max((at for at, up in self.tries if not up), default=None)
        return next((at for at, up in self.tries if up and at > last), float("inf")) - since if last else 0.0


class Session:
    """A session that the partner began, of which no edge keeps anything."""

    def __init__(self, certs):
        self.certs, self.id = certs, {"call_id": "session", "from_tag": "partner"}
        peer = RawPeer(certs, "adatum", ADDRESS)
        answer = peer.ask("INVITE", US, THEM, headers=["Contact: <sip:mercutio@gw.adatum.test:5061;transport=tls>", ": ".join(SDP)],
                          body=Phone.answer_sdp.decode(), **self.id)
        if not answer or answer.status != 200:
            raise LabError(f"the session was answered {answer and answer.status}")
        self.target, self.tag = uri_of(answer.get("contact")), parameter(answer.get("to"), "tag")
        self.routes = [f"Route: {x}" for x in reversed(answer.listed("record-route"))]
        self.cseq = 1
        peer.tell("ACK", self.target, THEM, US, self.routes, tag=self.tag, **self.id)
        peer.close()

    def goes_on(self):
        """By a connection of its own."""
        self.cseq += 1
        try:
            peer = RawPeer(self.certs, "adatum", ADDRESS, SILENT)
            answer = peer.ask("MESSAGE", self.target, THEM, US, [*self.routes, "Content-Type: text/plain"], f"s{self.cseq}", tag=self.tag, cseq=self.cseq,
                              timeout=SILENT, **self.id)
            peer.close()
        except OSError:
            return False
        return bool(answer) and answer.status == 200


# --- evil, until the machine comes back -----------------------------------------------------------------------------

@contextlib.contextmanager
def killed(_, m):
    m.service.unit["Restart"] = "no"
    m.service.kill()
    yield
    m.service.unit["Restart"] = "always"
    m.service.start()


@contextlib.contextmanager
def pulled(r, m):
    """Both ends of the cable see that, whichever it is that goes down."""
    end = r.rng.choice([("-n", m.name, "link", "set", "eth0"), ("link", "set", f"outside-{m.name}")])
    ip(*end, "down")
    yield
    ip(*end, "up")


@contextlib.contextmanager
def cut_off(_, m):
    """Something between: the machine sees no difference."""
    ip("link", "set", f"outside-{m.name}", "nomaster")
    yield
    ip("link", "set", f"outside-{m.name}", "master", "outside")


@contextlib.contextmanager
def frozen(_, m):
    os.killpg(m.service.popen.pid, signal.SIGSTOP)
    yield
    os.killpg(m.service.popen.pid, signal.SIGCONT)


@contextlib.contextmanager
def stopped(_, m):
    m.service.stop()
    yield
    m.service.start()


EVILS = {"entented is killed, and nobody starts it": killed, "entented hangs": frozen, "the cable is pulled": pulled, "the network beyond the cable falls silent": cut_off,
         "entented is stopped": stopped}


def one(r, site, partner, session, evil):
    """Evil on the machine that has the address, and its return. What was seen."""
    victim, other = site.by_role()
    time.sleep(r.rng.uniform(0.5, 1.5))
    connection, knocking, since = partner.connections, Knocking(), time.monotonic()
    with EVILS[evil](r, victim):
        took = wait_until(lambda: partner.recovered(since, connection), 20, f"{evil}: no text is accepted any more")
        time.sleep(0.5)
        free = knocking.end(since)
        r.check(other.has_address(), f"{evil}: the other machine has not got the address")
        kept = session.goes_on()
        time.sleep(1)
        connection, since = partner.connections, time.monotonic()
    wait_until(site.settled, 20, f"{evil}: after the return both machines have the address, or none")
    there = time.monotonic()
    time.sleep(2)
    wait_until(lambda: partner.recovered(there, 0), 30, f"{evil}: after the return no text is accepted")
    seen = {"evil": evil, "seconds": took, "connects": free, "session": kept, "thrown off": partner.connections - connection, "back": victim.has_address(),
            "pause": partner.pause(since)}
    r.say(f"{evil}, {victim.name}: {took:.2f} s, connects after {free:.2f} s; return: {seen['thrown off']} connections broke, "
          f"at most {seen['pause']:.2f} s without a 2xx")
    return seen


def restarted(r, site, partner):
    """kill -9, and systemd starts it again: is the address where it was, and how long was it without service?"""
    victim, _ = site.by_role()
    since = time.monotonic()
    victim.service.kill(wait=True)
    time.sleep(3)
    return victim.has_address() and victim.state() == "MASTER", partner.pause(since)


@experiment("address", "R6", seconds=150, needs=impossible)
def address(r):
    """two edges and a real keepalived share one address, which the partner stays with; the one that has it is killed, cut off, stopped"""
    with Site(r.run) as site:
        partner, session = Partner(site.certs), Session(site.certs)
        partner.start()
        wait_until(partner.accepted, 10, "no text of the partner is accepted")
        seen = [one(r, site, partner, session, evil) for _ in range(1 if r.quick else 4) for evil in r.rng.sample(sorted(EVILS), len(EVILS))]
        stays = [restarted(r, site, partner) for _ in range(1 if r.quick else 3)]
        partner.quiet = True
        partner.join(5)
        time.sleep(1)
        texts, ok = partner.texts, {t.body for t in partner.accepted()}
        came = [e.body for e in site.user.seen.history if e.kind == "message"]
        r.complaints(site)
    r.figures.update(seen=seen, stays=stays)
    for evil in EVILS:
        mine = [s for s in seen if s["evil"] == evil]
        times, worst, free = [s["seconds"] for s in mine], max(s["seconds"] for s in mine), max(s["connects"] for s in mine)
        r.timed("R6", f"{evil}: to the first 2xx for a later text, over a new connection (the partner calls again when a text has no answer for {SILENT:.0f} s)",
                f"median {statistics.median(times):.2f} s, worst {worst:.2f} s of {len(mine)}; the address "
                + (f"takes TCP connections again after {free:.2f} s at worst" if free else "always took TCP connections"),
                max(worst, free) <= PROMISE or (None if INSTRUMENTED else False))
    lost = ok - set(came)
    asked_again = {t.body for t in texts if not t.at} & set(came)
    r.show("R6", "texts answered 2xx, which is the answer of the user's device through home and edge, that did not come", f"{len(lost)} of {len(ok)} ({len(texts)} sent); "
           f"{len(asked_again)} came whose answer was lost on its way, {len(came) - len(set(came))} came twice", not lost and len(ok) > 50)
    r.show("R6", "a session that the partner began before all that goes on over the other machine", f"{sum(s['session'] for s in seen)} of {len(seen)} times",
           all(s["session"] for s in seen))
    calm = [s for s in seen if EVILS[s["evil"]] is not cut_off]
    r.show("R6", "the old machine comes back: connections of the partner that broke", f"{sum(s['thrown off'] for s in calm)}, in {len(calm)} returns", not any(s["thrown off"] for s in calm))
    both = [s for s in seen if s not in calm]
    pause = max(s["pause"] for s in both)
    r.timed("R6", "the same, when it had not seen that it was cut off and both had the address", f"at most {pause:.2f} s without a 2xx; the address went back "
            f"{sum(s['back'] for s in both)} of {len(both)} times, to the machine with the higher address of its own, {sum(s['thrown off'] for s in both)} connections broke", pause <= PROMISE or (None if INSTRUMENTED else False))
    r.timed("R6", "entented is killed, and systemd starts it again: the address stays", f"{sum(a for a, _ in stays)} of {len(stays)} times, at most {max(b for _, b in stays):.2f} s without a 2xx",
            all(a for a, _ in stays))
