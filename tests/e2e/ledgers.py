# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, in both directions, with XEP-0198: both sides keep ledgers, and they must agree.

    XMPP to SIP   what the partner's server was told is taken (acknowledged) has reached the SIP user, or its error the sender;
                  nothing reaches the SIP user again once it is acknowledged, or once its delivery is on the disk
    SIP to XMPP   what was answered 200 is in the partner's ledger; nothing is there twice

The partner is one that the test plays itself (and that sends again what has no acknowledgement), or Prosody (which returns it to its
sender).

A third one knows no XEP-0198, reads slowly, and sends nothing again (as ejabberd does): what entented answers 2xx is in its journal until the
partner's kernel has it, and what the partner sends is there until the home has it. What was not confirmed may come twice, nothing may be
lost. `tests/e2e/run ledgers/` runs these, too."""
import collections
import os
import sys
import threading
import time

from scenario import PARTNER, check, scenario, wait_until
from waiting import LabError

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
from certificates import Certificates   # noqa: E402
from peer import Initiator, Receiver, message   # noqa: E402
from wire import SM, Gone, local        # noqa: E402

OURS = "contoso.test"
ADDRESS = "127.0.0.21"
USERS = 6
KILLS = 3
BETWEEN = 2.5       # seconds from one kill to the next
RATE = 90           # messages a second from the partner, of all its users
THINKS = 0.04       # seconds that a SIP user and the partner's server take to answer: so that something is always under way


class Sending(threading.Thread):
    """The partner's server as sender: counts what entented acknowledges, and sends the rest again on the next stream."""

    def __init__(self, certificates, targets):
        super().__init__(daemon=True)
        self.certificates, self.targets = certificates, targets
        self.sent, self.acked = {}, {}      # number -> how often; number -> when
        self.open = collections.deque()     # on the present stream, in order
        self.unacked = collections.OrderedDict()
        self.taken = self.streams = 0
        self.quiet = self.ended = False
        self.number = 0

    def run(self):
        while not self.ended:
            try:
                self.stream()
            except (LabError, OSError):
                time.sleep(0.1)

    def stream(self):
        s = Initiator(PARTNER, OURS, self.certificates, self.certificates.leaf(PARTNER), source=ADDRESS)
        try:
            s.up()
            s.send(f"<enable xmlns='{SM}'/>").expect("enabled")
            self.streams += 1
            self.open.clear()
            self.taken = 0
            for number in list(self.unacked):
                self.put(s, number)
            while not self.ended:
                if not self.quiet:
                    self.number += 1
                    self.put(s, self.number)
                s.send(f"<r xmlns='{SM}'/>")
                self.listen(s, 1 / RATE)
        finally:
            s.close()

    def put(self, s, number):
        to = self.targets[number % len(self.targets)]
        self.unacked[number] = True
        self.sent[number] = self.sent.get(number, 0) + 1
        self.open.append(number)
        s.send(message(f"juliet{number % USERS}@{PARTNER}/home", to, f"x{number}", id=f"x{number}"))

    def listen(self, s, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                item = s.wire.next(left)
            except Gone:
                raise
            except LabError:
                return
            if local(item.tag) == "a":
                while self.taken < int(item.get("h")):
                    self.taken += 1
                    number = self.open.popleft()
                    self.acked[number] = time.monotonic()
                    self.unacked.pop(number, None)
            elif local(item.tag) in ("error", "/stream"):
                raise Gone("the stream ended")


class Partner(Receiver):
    acknowledge = True

    def on_r(self, stream, el):
        time.sleep(THINKS)
        super().on_r(stream, el)


class Deliveries(dict):
    """body -> [when, ...]"""

    def note(self, body, when=None):
        self.setdefault(body, []).append(when or time.monotonic())

    def twice(self):
        return {k: v for k, v in self.items() if len(v) > 1}


def text_of(event):
    return next((c.text for c in event.el if local(c.tag) == "body"), None)


def listen_to(users, thinks=0):
    """What these users are given from now on."""
    found = Deliveries()
    for user in users:
        add = user.seen.add

        def noted(event, add=add):
            add(event)
            if event.kind == "message":
                found.note(event.body)
                time.sleep(thinks)
        user.seen.add = noted
    return found


class SipLoad:
    """Each user sends one message after the other; `answers`: body -> status, None for no answer."""

    def __init__(self, users, names):
        self.answers, self.quiet = {}, False
        self.threads = [threading.Thread(target=self.run, args=(i, user, name), daemon=True) for i, (user, name) in enumerate(zip(users, names))]
        for t in self.threads:
            t.start()

    def run(self, index, user, name):
        number = 0
        while not self.quiet:
            number += 1
            body = f"s{index}-{number}"
            self.answers[body] = None
            try:
                self.answers[body] = user.message(name, body, timeout=40).status
            except LabError:
                pass
            time.sleep(0.05)

    def end(self):
        self.quiet = True
        for t in self.threads:
            t.join(45)

    def with_status(self, low, high):
        return {b for b, s in self.answers.items() if s and low <= s < high}


def kills(lab, victim):
    """Returns when."""
    program, killed = lab.entented if victim == "all" else getattr(lab.entented, victim), []
    for _ in range(KILLS):
        time.sleep(BETWEEN)
        killed.append(time.monotonic())
        program.kill()
        program.start()
        if victim != "all":
            lab.entented.linked()
    time.sleep(BETWEEN)
    return killed


def sip_to_xmpp(load, received):
    """Checks that direction; returns its line."""
    ok = load.with_status(200, 300)
    lost = ok - set(received)
    twice = {b for b in received.twice() if b.startswith("s")}
    check(len(ok) > 20, f"only {len(ok)} messages were answered 200: that is no load")
    check(not lost, f"answered 200 and never came: {sorted(lost)[:10]}")
    check(not twice, f"came twice: {sorted(twice)[:10]}")
    refused, none = load.with_status(300, 700), [b for b, s in load.answers.items() if s is None]
    return (f"SIP to XMPP: {len(load.answers)} sent, {len(ok)} answered 200, {len(ok & set(received))} of them came, {len(refused)} refused, "
            f"{len(none)} without answer, 0 lost, 0 twice")


def layouts(function):
    for victim, layout in (("all", "one"), ("edge", "split"), ("gateway", "split")):
        def run(lab, victim=victim):
            function(lab, victim)
        run.__module__ = function.__module__
        scenario(f"{function.__doc__}: kill -9 of {victim}", peers=["prosody"], **({"layout": layout} if layout != "one" else {}))(run)
    return function


@layouts
def raw(lab, victim):
    "a partner that sends again"
    certificates = Certificates(lab.certs)
    # names of its own for each: at Kamailio the users of the scenario before may still be signed in, when the machine is busy
    first = 900 + 10 * ("all", "edge", "gateway").index(victim)
    users = [lab.sip_user(f"romeo{first + i}") for i in range(USERS)]
    delivered = listen_to(users, THINKS)
    lab.xmpp.stop()
    partner = Partner(PARTNER, ADDRESS, certificates)
    sending = Sending(certificates, [u.name for u in users])
    try:
        sending.start()
        load = SipLoad(users, [f"juliet{i}@{PARTNER}" for i in range(USERS)])
        killed = kills(lab, victim)
        sending.quiet = True
        load.end()
        wait_until(lambda: not sending.unacked, 60, "the partner waits for acknowledgements of what it sent again")
        errors, received = set(), Deliveries()
        for e in partner.seen.history:
            if e.kind == "message" and e.el.get("type") == "error":
                errors.add(e.el.get("id"))
            elif e.kind == "message":
                received.note(text_of(e))
        acked = {f"x{n}" for n in sending.acked}
        lost = acked - set(delivered) - errors
        late = [b for b, when in delivered.twice().items() if b.startswith("x") and when[-1] > sending.acked.get(int(b[1:]), 1e18) + 0.2]
        check(len(acked) > 100, f"only {len(acked)} were acknowledged: that is no load")
        check(sending.streams > KILLS or victim == "gateway", f"{sending.streams} streams: nobody was killed")
        check(not lost, f"acknowledged, but neither delivered nor refused: {sorted(lost)[:10]}")
        # what was taken a second before a kill is in the record of texts, acknowledged or not
        known = [b for b, when in delivered.twice().items() if b.startswith("x") and any(when[0] + 1 < k < when[-1] for k in killed)]
        check(not known, f"delivered before a kill, and again after it: {sorted(known)[:10]}")
        check(not late, f"delivered again after the acknowledgement: {sorted(late)[:10]}")
        again = sum(1 for n in sending.sent.values() if n > 1)
        lab.remark = (f"XMPP to SIP: {len(sending.sent)} sent, {again} of them more than once, {len(acked)} acknowledged, "
                      f"{len(acked & set(delivered))} of them delivered, {len(acked & errors)} refused to the sender, 0 lost, "
                      f"{len(delivered.twice())} delivered twice before the acknowledgement; " + sip_to_xmpp(load, received))
    finally:
        sending.ended = True
        sending.join(10)
        partner.close()
        lab.xmpp.start()


class Slow(Partner):
    acknowledge = False
    thinks = 0.02

    def one(self, stream):
        time.sleep(self.thinks)
        super().one(stream)


class Plain(threading.Thread):
    """A server without acknowledgements as sender: number -> when it was written."""

    def __init__(self, certificates, targets):
        super().__init__(daemon=True)
        self.certificates, self.targets, self.sent = certificates, targets, {}
        self.quiet = self.ended = False

    def run(self):
        while not self.ended:
            try:
                s = Initiator(PARTNER, OURS, self.certificates, self.certificates.leaf(PARTNER), source=ADDRESS)
                try:
                    s.up()
                    while not self.ended:
                        if not self.quiet:
                            number = len(self.sent) + 1
                            to = self.targets[number % len(self.targets)]
                            s.send(message(f"juliet{number % USERS}@{PARTNER}/home", to, f"x{number}", id=f"x{number}"))
                            self.sent[number] = time.monotonic()
                        self.listen(s, 2 / RATE)
                finally:
                    s.close()
            except (LabError, OSError):
                time.sleep(0.1)

    @staticmethod
    def listen(s, seconds):
        try:
            item = s.wire.next(seconds)
        except Gone:
            raise
        except LabError:
            return
        if local(item.tag) in ("error", "/stream"):
            raise Gone("the stream ended")


def unacknowledged(lab, victim):
    certificates = Certificates(lab.certs)
    first = 980 + 10 * ("all", "edge", "gateway").index(victim)
    users = [lab.sip_user(f"romeo{first + i}") for i in range(USERS)]
    delivered = listen_to(users)
    lab.xmpp.stop()
    partner = Slow(PARTNER, ADDRESS, certificates, receive_buffer=4096)
    sending = Plain(certificates, [u.name for u in users])
    received, errors, looked, ours, came_by = Deliveries(), set(), [0], {u.name for u in users}, []

    def ledger():
        history = partner.seen.history
        for e in history[looked[0]:len(history)]:
            looked[0] += 1
            if e.kind == "message" and e.el.get("type") == "error":
                errors.add(e.el.get("id"))
            elif e.kind == "message" and e.el.get("from").split("/")[0] in ours: # not what the scenario before could not confirm
                received.note(text_of(e))
                came_by.append((e.stream.number, text_of(e)))
        return received
    try:
        sending.start()
        load = SipLoad(users, [f"juliet{i}@{PARTNER}" for i in range(USERS)])
        killed = kills(lab, victim)
        sending.quiet = True
        load.end()
        partner.thinks = 0
        taken = load.with_status(200, 300)
        # what was written well before a kill was read by then, and so it is in the journal, or through
        safe = {f"x{n}" for n, at in sending.sent.items() if not any(at - 2 < k < at + 1 for k in killed)}
        try:
            wait_until(lambda: not taken - set(ledger()) and not safe - set(delivered) - errors, 60, "")
        except LabError:
            ledger()
        lost, gone = taken - set(received), safe - set(delivered) - errors
        check(len(taken) > 20, f"only {len(taken)} messages were answered 2xx: that is no load")
        check(not lost, f"answered 2xx and never came: {sorted(lost)[:10]} and {len(lost)} in all")
        check(len(safe) > 20, f"only {len(safe)} stanzas were written in peace: that is no load")
        check(not gone, f"written long before a kill, and neither delivered nor refused: {sorted(gone)[:10]} and {len(gone)} in all")
        # a slow reader still has much of the stream that broke when the next one is there, and reads both at once: what is in the older one came before
        texts = dict.fromkeys(text for _, text in sorted(came_by, key=lambda x: x[0]))
        for i in range(USERS): # by their first arrival
            came = [int(b.split("-")[1]) for b in texts if b and b.startswith(f"s{i}-")]
            check(came == sorted(came), f"out of order: {[(a, b) for a, b in zip(came, came[1:]) if a > b][:5]} of s{i}")
        waited = len(load.with_status(202, 203))
        lab.remark = (f"SIP to XMPP: {len(load.answers)} sent, {len(taken)} answered 2xx ({waited} of them 202), all came, {len(received.twice())} of "
                      f"them twice; XMPP to SIP: {len(sending.sent)} written, {len(safe)} of them in peace, {len(delivered)} delivered, "
                      f"{len(errors)} refused, {len(delivered.twice())} delivered twice")
    finally:
        sending.ended = True
        sending.join(10)
        partner.close()
        lab.xmpp.start()


for VICTIM, LAYOUT in (("all", "one"), ("edge", "split"), ("gateway", "split")):
    def without_acknowledgements(lab, victim=VICTIM):
        unacknowledged(lab, victim)
    scenario(f"a partner without acknowledgements: kill -9 of {VICTIM}", peers=["prosody"], rare=True,
             **({"layout": LAYOUT} if LAYOUT != "one" else {}))(without_acknowledgements)


@layouts
def prosody(lab, victim):
    "Prosody"
    users = [lab.sip_user(f"romeo{950 + i}") for i in range(USERS)]
    friends = [lab.xmpp_user(f"juliet{950 + i}") for i in range(USERS)]
    delivered, received = listen_to(users, THINKS), listen_to(friends)
    returned, sent = set(), {}
    quiet = threading.Event()

    def talk(index, friend, to):
        number = 0
        while not quiet.is_set():
            number += 1
            sent[friend.message(to, f"x{index}-{number}")] = f"x{index}-{number}"
            time.sleep(USERS / RATE)
    threads = [threading.Thread(target=talk, args=(i, f, u.name), daemon=True) for i, (f, u) in enumerate(zip(friends, users))]
    for t in threads:
        t.start()
    load = SipLoad(users, [f.name for f in friends])
    kills(lab, victim)
    quiet.set()
    for t in threads:
        t.join(10)
    load.end()

    def silent():
        for f in friends:
            returned.update(sent.get(e.id) for e in f.seen.history if e.kind == "error")
        return set(sent.values()) - set(delivered) - returned
    try:
        wait_until(lambda: not silent(), 60, "")
    except LabError:
        lost = silent()
        check(not lost, f"neither delivered nor returned to the sender: {sorted(lost)[:10]} and {len(lost)} in all")
    check(len(delivered) > 100, f"only {len(delivered)} came to the SIP users: that is no load")
    both = set(delivered) & returned
    lab.remark = (f"XMPP to SIP: {len(sent)} sent, {len(delivered)} delivered, {len(returned)} returned to the sender, {len(both)} both, 0 lost, "
                  f"{len(delivered.twice())} twice; " + sip_to_xmpp(load, received))
