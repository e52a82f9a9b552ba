# SPDX-License-Identifier: Apache-2.0
"""entented as a service: planned restarts, kills and reloads under load, seen from outside. tests/lab/service.py plays systemd.

    tests/lab/ns /usr/bin/python3 tests/e2e/lifecycle.py restarts 100      one JSON line with what was measured; the exit status says
    tests/lab/ns /usr/bin/python3 tests/e2e/lifecycle.py reloads 1000      whether the promise was kept
    tests/lab/ns /usr/bin/python3 tests/e2e/lifecycle.py restarts 100 0.3  ... so many seconds after each other (1)
    tests/lab/ns /usr/bin/python3 tests/e2e/lifecycle.py crashes 20 10000  ... with so many partners in the database

restarts(lab, n), reloads(lab, n) and crashes(lab, n) return the figures; `kept` in them is what holds on any machine, times are judged by
who knows how busy it is."""
import collections
import itertools
import json
import os
import socket
import sqlite3
import sys
import threading
import time

from scenario import PARTNER, check, scenario, wait_until
import peers
from ledgers import OURS, USERS, Certificates, Deliveries, Partner, Sending, SipLoad, listen_to, local
from ledgers import ADDRESS as PARTNER_ADDRESS
from waiting import LabError

GATEWAY = peers.GATEWAY
HOME = peers.HOME
SETTINGS = "timers:\n  notify-interval: 200ms\n"
OPTIONS = {"service": True, "lync": True, "settings": SETTINGS}
STREAM = (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='{OURS}' "
          f"from='{PARTNER}' version='1.0'>").encode()
branches = itertools.count(1)


def options(transport, source):
    number = next(branches)
    return number, (f"OPTIONS sip:{OURS} SIP/2.0\r\nVia: SIP/2.0/{transport} {source[0]}:{source[1]};branch=z9hG4bKknock{number};rport\r\n"
                    f"Max-Forwards: 70\r\nFrom: <sip:knock@{OURS}>;tag=k{number}\r\nTo: <sip:{OURS}>\r\nCall-ID: knock{number}\r\n"
                    f"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n").encode()


def dial(port, source, timeout=60):
    return socket.create_connection((GATEWAY, port), timeout, source_address=(source, 0))


class Knocking:
    """Somebody who comes anew all the time, at each TCP listener, and asks something where an answer can be expected; and who asks by UDP."""

    def __init__(self):
        self.refused, self.cut, self.delays = [], 0, []     # connect() failed; closed without an answer; seconds from connect() to the answer
        self.connects = 0
        self.asked, self.answered = {}, {}                  # by UDP: number -> when
        self.ended = False
        self.sources = itertools.cycle(f"127.7.{a}.{b}" for a in range(1, 5) for b in range(1, 250))
        jobs = [(self.sip, ()), (self.xmpp, ()), (self.only, (5061, True)), (self.only, (5270, False)), (self.udp, ()), (self.udp_answers, ())]
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind((HOME, 0))
        self.datagrams.settimeout(0.2)
        self.threads = [threading.Thread(target=self._loop, args=job, daemon=True) for job in jobs]
        for t in self.threads:
            t.start()

    def _loop(self, what, arguments):
        while not self.ended:
            what(*arguments)

    def _knock(self, port, source, hello):
        began = time.monotonic()
        self.connects += 1
        try:
            s = dial(port, source)
        except OSError as e:
            self.refused.append((port, str(e)))
            time.sleep(0.02)
            return
        with s:
            if not hello:
                return
            try:
                s.sendall(hello(s))
                if s.recv(1):
                    self.delays.append(time.monotonic() - began)
                else:
                    self.cut += 1
            except OSError:
                self.cut += 1

    def sip(self):
        self._knock(5060, HOME, lambda s: options("TCP", s.getsockname())[1])
        time.sleep(0.02)

    def xmpp(self):
        self._knock(5269, next(self.sources), lambda s: STREAM)
        time.sleep(0.02)

    def only(self, port, home):
        self._knock(port, HOME if home else next(self.sources), None)
        time.sleep(0.02)

    def udp(self):
        number, octets = options("UDP", self.datagrams.getsockname())
        self.asked[number] = time.monotonic()
        self.datagrams.sendto(octets, (GATEWAY, 5060))
        time.sleep(0.02)

    def udp_answers(self):
        try:
            text = self.datagrams.recv(65536).decode("utf-8", "replace")
            self.answered[int(text.split("z9hG4bKknock")[1].split(";")[0].split("\r")[0])] = time.monotonic()
        except (OSError, IndexError, ValueError):
            pass

    def end(self):
        unanswered = lambda: [n for n in list(self.asked) if n not in self.answered and time.monotonic() - self.asked[n] > 1]
        time.sleep(1)
        try:
            wait_until(lambda: not unanswered(), 10, "")
        except LabError:
            pass
        self.ended = True
        for t in self.threads:
            t.join(70)
        self.unanswered = len(unanswered())
        self.datagrams.close()

    def figures(self):
        waits = sorted([*self.delays, *(self.answered[n] - self.asked[n] for n in self.answered if n in self.asked)])
        return {"connects": self.connects, "connect_errors": len(self.refused), "closed_without_answer": self.cut, "datagrams": len(self.asked),
                "datagrams_unanswered": self.unanswered, "longest_wait_s": round(waits[-1], 3) if waits else None,
                "median_wait_ms": round(1000 * waits[len(waits) // 2], 2) if waits else None}


class Watched(Sending):
    """Counts how its streams end, too."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.ends = collections.Counter()

    def listen(self, s, seconds):
        take = s.wire.next

        def next_item(left):
            item = take(left)
            if local(item.tag) == "error":
                self.ends.update(local(child.tag) for child in item)
            return item
        s.wire.next = next_item
        try:
            super().listen(s, seconds)
        finally:
            s.wire.next = take


class Load:
    """Texts both ways: a partner with acknowledgements that sends again what was not, SIP users; and one of Lync in a session."""

    def __init__(self, lab):
        self.lab = lab
        certificates = Certificates(lab.certs)
        first = 2000 + 10 * next(branches)   # at Kamailio those of the run before may still be signed in
        users = [lab.sip_user(f"romeo{first + i}") for i in range(USERS)]
        self.delivered = listen_to(users)
        lab.xmpp.stop()
        self.partner = Partner(PARTNER, PARTNER_ADDRESS, certificates)
        self.sending = Watched(certificates, [u.name for u in users])
        self.sending.start()
        self.juliet = f"juliet0@{PARTNER}"
        self.in_session = []
        try:
            # the server of before went away a moment ago: entented may wait before it calls again
            wait_until(lambda: users[0].message(self.juliet, "is anybody there?").status < 300, 40, "the partner cannot be reached", step=0.3)
            self.ann = lab.lync.user(f"ann{next(branches)}")
            self.ann.tell(self.juliet, "hello")
            self.session = self.ann.session(self.juliet)
        except BaseException:
            self.close()
            raise
        self.load = SipLoad(users, [f"juliet{i}@{PARTNER}" for i in range(USERS)])

    def in_dialog(self):
        """A MESSAGE in the session of before."""
        self.in_session.append(self.session.request("MESSAGE", "text/plain; charset=UTF-8", f"text {len(self.in_session)}".encode()).status)

    def end(self):
        """Figures, when everything has an end."""
        self.sending.quiet = True
        self.load.end()
        try:
            wait_until(lambda: not self.sending.unacked, 60, "the partner waits for acknowledgements of what it sent again")
            received, errors = Deliveries(), set()
            for e in self.partner.seen.history:
                if e.kind == "message" and e.el.get("type") == "error":
                    errors.add(e.el.get("id"))
                elif e.kind == "message":
                    received.note(next((c.text for c in e.el if local(c.tag) == "body"), None))
        finally:
            self.close()
        acked, ok = {f"x{n}" for n in self.sending.acked}, self.load.with_status(200, 300)
        return {"xmpp_to_sip": len(self.sending.sent), "acknowledged": len(acked), "acknowledged_lost": len(acked - set(self.delivered) - errors),
                "returned": len(acked & errors), "came_twice": len([b for b in self.delivered.twice() if b and b.startswith("x")]),
                "sip_to_xmpp": len(self.load.answers), "accepted": len(ok), "accepted_lost": len(ok - set(received)),
                "refused": len(self.load.with_status(300, 700)), "no_answer": sum(s is None for s in self.load.answers.values()),
                "accepted_twice": len([b for b in received.twice() if b and b.startswith("s")]),
                "streams_with_system_shutdown": self.sending.ends["system-shutdown"], "in_session": len(self.in_session),
                "in_session_481": self.in_session.count(481), "in_session_other": [s for s in self.in_session if s not in (200, 481)]}

    def close(self):
        self.sending.ended = True
        self.sending.join(10)
        self.partner.close()
        self.lab.xmpp.start()


def restarts(lab, count, between=1.0):
    """R3."""
    service, load = lab.entented, Load(lab)
    first = len(service.gaps())
    knocking = Knocking()
    try:
        time.sleep(between)
        for _ in range(count):
            service.restart()
            wait_until(lambda: lab.entented.events("sip/home-up", home="fourthcoffee"), 15, "entented did not find the home again")
            load.in_dialog()
            time.sleep(between)
    finally:
        knocking.end()
        figures = {"restarts": count, **knocking.figures(), **load.end()}
    gaps = sorted(g["seconds"] for g in service.gaps()[first:])
    figures.update(gap_median_s=gaps[len(gaps) // 2], gap_longest_s=gaps[-1], sockets_kept=len(service.stored()), systemd_complains=service.refused)
    figures["kept"] = not (figures["connect_errors"] or figures["acknowledged_lost"] or figures["accepted_lost"] or figures["in_session_481"] or
                           figures["accepted_twice"] or figures["datagrams_unanswered"] or service.refused) and \
        figures["streams_with_system_shutdown"] >= count and figures["accepted"] > 5 * count
    return figures


# --- R2 ----------------------------------------------------------------------------------------------------------------

def first_answer(port, source, hello, killed):
    """Seconds from the kill until something is answered there."""
    while time.monotonic() < killed + 60:
        try:
            with dial(port, source) as s:
                s.sendall(hello(s))
                if s.recv(1):
                    return time.monotonic() - killed
        except OSError:
            pass
        time.sleep(0.001)
    raise LabError(f"nobody answers at port {port}")


def many_partners(lab, count):
    """So many more, straight into the database of a daemon that does not run."""
    db = sqlite3.connect(f"{lab.entented.program.state}/entente.db", timeout=10)
    with db:
        db.executemany("INSERT INTO xmpp_partner(domain, type, enabled, tls, sasl, dialback, keep_alive, connection_limit, server_host, server_port, "
                       "description) VALUES(?, 'federated', 1, 'required', 'required', 0, 1, 0, '', 0, '')",
                       ((f"p{i}.many.test",) for i in range(count)))
        db.executemany("INSERT INTO xmpp_partner_domain(domain, partner, position) VALUES(?, ?, 0)",
                       ((f"p{i}.many.test", f"p{i}.many.test") for i in range(count)))
    db.close()


def crashes(lab, count, partners=0):
    service = lab.entented
    if partners:
        service.stop()
        many_partners(lab, partners)
        service.start()
    found = {"sip": [], "xmpp": []}
    for i in range(count):
        before = service.generation
        killed = time.monotonic()
        service.kill()

        def ask(kind, port, source, hello, killed=killed):
            found[kind].append(first_answer(port, source, hello, killed))
        threads = [threading.Thread(target=ask, args=a) for a in (("sip", 5060, HOME, lambda s: options("TCP", s.getsockname())[1]),
                                                                  ("xmpp", 5269, f"127.7.9.{i % 250 + 1}", lambda s: STREAM))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        service.wait_ready(after=before)
        time.sleep(3.2 if count > 8 else 0)     # so that they are no quick deaths
    figures = {"kills": count, "partners": partners}
    for kind, waits in found.items():
        waits.sort()
        figures.update({f"{kind}_median_s": round(waits[len(waits) // 2], 3), f"{kind}_longest_s": round(waits[-1], 3)} if waits else {})
    figures["kept"] = all(len(x) == count for x in found.values())
    return figures


# --- R4 ----------------------------------------------------------------------------------------------------------------

# What somebody may do to the file, so that it must be refused.
BAD = [
    lambda text: text + "\n  : : not YAML\n",
    lambda text: text + "servr:\n  name: wrong\n",
    lambda text: text.replace("contoso.pem", "nothing-is-there.pem"),
    lambda text: text.replace("notify-interval: ", "notify-interval: minus "),
    lambda text: text[:len(text) // 2] + "\n- [",
    lambda text: text.replace("role: all", "role: edge") if "role: all" in text else text.replace("server:\n", "server:\n  role: edge\n", 1),
]


class Asking(threading.Thread):
    """OPTIONS on one connection, one after the other: how long does the answer take?"""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = dial(5060, HOME)
        self.longest, self.count, self.broken, self.ended = 0.0, 0, None, False
        self.start()

    def run(self):
        try:
            while not self.ended:
                began = time.monotonic()
                self.socket.sendall(options("TCP", self.socket.getsockname())[1])
                got = b""
                while b"\r\n\r\n" not in got:
                    more = self.socket.recv(65536)
                    if not more:
                        raise OSError("the connection was closed")
                    got += more
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
                time.sleep(0.005)
        except OSError as e:
            self.broken = str(e)


def reloads(lab, count):
    service = lab.entented
    with open(service.config, encoding="utf-8") as f:
        good = f.read()
    load, asking = Load(lab), Asking()
    idle = [dial(5060, HOME) for _ in range(20)]
    wrong, slowest = [], 0.0
    figures = {}
    try:
        wait_until(lambda: load.sending.streams, 20, "the partner has no stream")
        pid, streams, longest_before = service.pid, load.sending.streams, 0.0
        time.sleep(0.5)
        longest_before, asking.longest = asking.longest, 0.0
        for i in range(count):
            is_good = i % 2 == 0
            with open(service.config, "w", encoding="utf-8") as f:
                f.write(good.replace("notify-interval: 200ms", f"notify-interval: {200 + i % 50}ms") if is_good else BAD[i // 2 % len(BAD)](good))
            began = time.monotonic()
            done = service.cli("reload")
            slowest = max(slowest, time.monotonic() - began)
            if (done.returncode == 0) != is_good:
                wrong.append(f"{i}: {done.returncode} {done.stdout}{done.stderr}"[:300])
        load.in_dialog()
        figures = {"reloads": count, "good": count - count // 2, "bad": count // 2, "wrong": wrong[:3], "slowest_s": round(slowest, 3),
                   "pause_ms": round(1000 * asking.longest, 1), "pause_before_ms": round(1000 * longest_before, 1), "asked": asking.count,
                   "streams_lost": load.sending.streams - streams, "same_process": service.pid == pid}
        dead = 0
        for s in idle:
            s.setblocking(False)
            try:
                dead += s.recv(1) == b""
            except BlockingIOError:
                pass
        figures["connections_lost"] = dead + bool(asking.broken)
    finally:
        with open(service.config, "w", encoding="utf-8") as f:
            f.write(good)
        service.cli("reload")
        asking.ended = True
        asking.join(5)
        for s in [*idle, asking.socket]:
            s.close()
        figures.update(load.end())
    figures["kept"] = not (wrong or figures["connections_lost"] or figures["streams_lost"] or figures["acknowledged_lost"] or figures["accepted_lost"] or
                           figures["in_session_481"] or figures["accepted_twice"]) and figures["same_process"]
    return figures


# --- short -------------------------------------------------------------------------------------------------------------

def told(figures, *names):
    return ", ".join(f"{n} {figures[n]}" for n in names)


@scenario("planned restarts under load: nobody is refused, nothing is lost, sessions go on", peers=["prosody"], **OPTIONS)
def restarts_short(lab):
    figures = restarts(lab, 3, 0.5)
    check(figures["kept"], json.dumps(figures))
    lab.remark = told(figures, "connects", "connect_errors", "longest_wait_s", "gap_longest_s", "accepted", "acknowledged", "came_twice", "in_session_481")


@scenario("reloads under load, good and bad ones in turn: nothing breaks", peers=["prosody"], **OPTIONS)
def reloads_short(lab):
    figures = reloads(lab, 20)
    check(figures["kept"], json.dumps(figures))
    lab.remark = told(figures, "reloads", "pause_ms", "streams_lost", "connections_lost", "acknowledged", "accepted")


@scenario("killed, it answers again before anybody has looked", peers=["prosody"], **OPTIONS)
def crashes_short(lab):
    figures = crashes(lab, 3)
    check(figures["kept"], json.dumps(figures))
    lab.remark = told(figures, "sip_longest_s", "xmpp_longest_s")


def main():
    from lab import Lab
    what, count, *more = sys.argv[1], int(sys.argv[2]), *(float(x) if "." in x else int(x) for x in sys.argv[3:])
    with Lab(log_level="info", **OPTIONS) as lab:
        lab.partner("federated")
        figures = {"restarts": restarts, "reloads": reloads, "crashes": crashes}[what](lab, count, *more)
        print(json.dumps(figures), flush=True)
    return 0 if figures["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
