# SPDX-License-Identifier: Apache-2.0
"""Partners that are let in and behave badly (threats 13, 32 to 36, 42, 44)."""
import os
import re
import statistics
import threading
import time

import daemon
from case import check, hostile, in_time, same
from ground import HONEST, ROMEO, SANITIZER, SECRET
from on_floods import Pulse, calm
from peer import OURS, Receiver, iq, message, presence
from sipmessage import SipMessage
from siptransport import token
from waiting import LabError, wait_until
from wire import Gone, child, error_of, local

SENDER_RATE = 2
RATES = "  queue: 4s\nlimits:\n  partner-rate: 100\n  sender-rate: 2\n  max-subscriptions-per-user: 30\n  queue-size: 262144\n  queue-messages: 100\n"
FAST = RATES.replace("partner-rate: 100", "partner-rate: 5000")


def slack(header, name):
    """Seconds that a rate may be exceeded at once, as the source has it."""
    with open(os.path.join(daemon.TOP, header), encoding="utf-8") as f:
        return int(re.search(rf"{name} = (\d+)", f.read()).group(1)) // 1000


FLOOD = 100 * slack("src/edge/xmpp_quota.h", "XMPP_QUOTA_SLACK_MS") + 600      # what partner-rate lets pass at once, and some more


def reason(answer):
    return (answer.get("entente-reason") or "").split(";")[0].strip()


# --- 32 -----------------------------------------------------------------------------------------------------------------

@hostile("T32 a flood of messages from one user: the home gets what the rate allows, the rest is told why", authorised=("t32.test",), settings=RATES)
def one_user(g):
    g.partner_add("t32.test")
    server = g.server("t32.test", "127.0.42.1")
    s = g.initiator("t32.test").up()
    before = g.rss()
    begin = time.monotonic()
    at_once = SENDER_RATE * slack("src/edge/rate.h", "RATE_SLACK_MS")
    sent = at_once + 100
    for n in range(sent):
        s.send(message("mallory@t32.test/x", ROMEO, f"{SECRET} flood {n}", id=f"f{n}"))

    def heard():
        return [e for e in g.romeo.seen.history if e.kind == "message" and e.from_ == "mallory@t32.test"]

    def told():
        return [e for e in server.seen.history if e.kind == "message" and e.el.get("type") == "error"]
    wait_until(lambda: len(heard()) + len(told()) >= sent, 20, "all messages were delivered or refused", step=0.1)
    took = time.monotonic() - begin
    check(len(heard()) <= at_once + SENDER_RATE * took + 2, f"romeo heard {len(heard())} messages in {took:.1f} s")
    same("the refusal", {error_of(e.el) for e in told()}, {"resource-constraint"})
    g.bounded(before, sent * 200)
    g.note = f"{len(heard())} delivered, {len(told())} refused in {took:.1f} s"
    g.romeo.seen.forget()


@hostile("T32 a flood from many users is read at the partner's rate, others do not notice", authorised=("t32b.test",), settings=RATES)
def many_users(g):
    g.partner_add("t32b.test")
    server = g.server("t32b.test", "127.0.42.2")
    streams = [g.initiator("t32b.test").up()]
    g.romeo.say("juliet@t32b.test", g.word())       # the way back is open
    before, begin = g.rss(), time.monotonic()
    pulse = Pulse(g)
    for n in range(FLOOD):    # limits.partner-rate is 100 here
        streams[0].send(iq(f"user{n}@t32b.test/x", OURS, "<ping xmlns='urn:xmpp:ping'/>", id=f"p{n}"))

    def answered():
        return sum(1 for e in list(server.seen.history) if e.kind == "iq")
    wait_until(lambda: answered() >= FLOOD, 20, "all are answered in the end", step=0.1)
    took = time.monotonic() - begin
    check(took > 1, f"{FLOOD} stanzas were taken in {took:.1f} s, at a rate of 100")
    note = calm("a flood of stanzas", pulse.end())
    g.bounded(before, FLOOD * 200)
    g.note = f"{FLOOD} stanzas in {took:.1f} s; {note}"


# --- 33 -----------------------------------------------------------------------------------------------------------------

@hostile("T33 a flood of subscriptions stops at the limit", authorised=("t33.test",), settings=RATES)
def subscriptions(g):
    g.partner_add("t33.test")
    server = g.server("t33.test", "127.0.42.3")
    s = g.initiator("t33.test").up()
    for n in range(60):     # limits.max-subscriptions-per-user is 30 here
        s.send(presence(f"watcher{n}@t33.test", ROMEO, "subscribe"))
        time.sleep(0.01)
    s.send(message("watcher0@t33.test", ROMEO, f"{SECRET} after"))
    g.romeo.expect_message("watcher0@t33.test")
    rows = [x for x in g.entente("show", "subscriptions")["subscriptions"] if "t33.test" in x["watcher"]]
    check(len(rows) <= 30, f"{len(rows)} subscriptions to one user")
    check(len(rows) >= 20, f"only {len(rows)} subscriptions")
    wait_until(lambda: [e for e in server.seen.history if e.kind == "presence" and e.el.get("type") in ("error", "unsubscribed")], 10, "the others are refused")
    g.note = f"{len(rows)} of 60 taken"
    for n in range(60):
        s.send(presence(f"watcher{n}@t33.test", ROMEO, "unsubscribe"))


@hostile("T33 a stranger cannot tell who exists: same answers, same time", settings=RATES)
def enumeration(g):
    g.partner_add("t33b.test", type="public-unverified")
    server = g.server("t33b.test", "127.0.42.4")
    s = g.initiator("t33b.test").up()
    g._mark = len(g.entented.output())      # t33b.test may prove itself, it may only not reach anybody
    answers, took = {}, {}
    kinds = {"message": lambda to, i: message("mallory@t33b.test/x", to, f"{SECRET} who", id=i), "subscribe": lambda to, i: presence("mallory@t33b.test", to, "subscribe"),
             "probe": lambda to, i: presence("mallory@t33b.test", to, "probe"), "vcard": lambda to, i: iq("mallory@t33b.test/x", to, "<vCard xmlns='vcard-temp'/>", id=i),
             "disco": lambda to, i: iq("mallory@t33b.test/x", to, "<query xmlns='http://jabber.org/protocol/disco#info'/>", id=i)}
    users = {"there": ROMEO, "away": "benvolio@contoso.test", "nobody": "nobody@contoso.test", "nobody else": "zz9@contoso.test"}
    number = 0
    for kind, make in kinds.items():
        for turn in range(5):
            for who, to in users.items():
                number += 1
                seen, begin = len(server.seen.history), time.monotonic()
                s.send(make(to, f"e{number}"))
                deadline = begin + (1.5 if turn == 0 else 0.6)
                e = None
                while not e and time.monotonic() < deadline and (turn == 0 or answers[kind, who] != "silence"):
                    time.sleep(0.0005)
                    e = next((e for e in server.seen.history[seen:] if e.kind in ("message", "presence", "iq")), None)
                said = f"{e.el.get('type')} {error_of(e.el)}" if e else "silence"
                if turn == 0:
                    answers[kind, who] = said
                elif e:
                    took.setdefault((kind, who), []).append(time.monotonic() - begin)
                time.sleep(0.055)   # not faster than limits.sender-rate
    for kind in kinds:
        said = {who: answers[kind, who] for who in users}
        check(len(set(said.values())) == 1, f"answers to {kind}: {said}")
        times = {who: statistics.median(took[kind, who]) for who in users if (kind, who) in took}
        if times:
            in_time(max(times.values()) - min(times.values()) < 0.02, f"{kind}: {({w: f'{t * 1000:.1f} ms' for w, t in times.items()})}")
    g.note = "; ".join(f"{kind}: {answers[kind, 'there']}" for kind in kinds)
    s.close()
    wait_until(lambda: not g.up("t33b.test", "in"), 10, "the stream is gone")
    g.mark()


# --- 34 -----------------------------------------------------------------------------------------------------------------

@hostile("T34 presence that changes all the time is told at the interval, the last word always", authorised=("t34.test",), settings=RATES)
def fan_out(g):
    g.partner_add("t34.test")
    server = g.server("t34.test", "127.0.42.5")
    s = g.initiator("t34.test").up()
    subscription = g.romeo.subscribe("juliet@t34.test")
    server.expect_stanza("presence", to="juliet@t34.test", type="subscribe")
    s.send(presence("juliet@t34.test", ROMEO, "subscribed") + presence("juliet@t34.test/home", ROMEO))
    g.romeo.expect_presence("juliet@t34.test", basic="open")
    before, begin = len(g.romeo.seen.history), time.monotonic()
    for n in range(300):
        s.send(presence("juliet@t34.test/home", ROMEO, more=f"<status>{SECRET} {n}</status>"))
    g.romeo.expect_presence("juliet@t34.test", basic="open", note=f"{SECRET} 299", timeout=20)
    took = time.monotonic() - begin
    told = len([e for e in g.romeo.seen.history[before:] if e.kind == "presence"])
    check(told <= took / 0.2 + 3, f"{told} notifications in {took:.1f} s, though one in 0.2 s is allowed")
    subscription.end()
    g.note = f"300 changes, {told} notifications in {took:.1f} s"


# --- 36 -----------------------------------------------------------------------------------------------------------------

class Stuck(Receiver):
    """Reads an octet a second once the stream is proven and something has come."""
    stuck = False

    def one(self, stream):
        if not (self.stuck and stream.proven):
            return super().one(stream)
        time.sleep(1)
        if not stream.wire.sock.recv(1):
            raise Gone("ended")
        return None


@hostile("T36 S21 a partner that reads an octet a second: memory bounded, its senders told, others unhurt", authorised=("t36.test",), settings=FAST)
def slow_reader(g):
    g.partner_add("t36.test")
    server = g.server("t36.test", "127.0.42.6", Stuck, receive_buffer=4096)
    streams = [g.initiator("t36.test").up() for _ in range(2)]
    g.romeo.say("juliet@t36.test", g.word())
    server.expect_stanza("message")
    server.stuck = True
    streams[0].send(iq("juliet@t36.test/x", OURS, "<ping xmlns='urn:xmpp:ping'/>"))     # the read that still waits ends with this
    time.sleep(0.3)
    before = g.rss()
    pulse = Pulse(g)
    begin, n, status = time.monotonic(), 0, None
    while time.monotonic() < begin + 40:    # answers that it does not read, until the messages for it are refused
        try:
            for _ in range(20):
                n += 1
                streams[n % 2].send(iq(f"u{n}@t36.test/{'r' * 900}", f"{'a' * 900}@contoso.test", "<query xmlns='u'/>", id=f"{n}" + "i" * 900))
        except Gone:
            pass
        if n % 200 == 0 and time.monotonic() > begin + 4:
            answer = g.romeo.message("juliet@t36.test", g.word())
            status = answer.status
            if status != 200:
                break
    grown = g.rss() - before
    note = calm("a slow reader", pulse.end())
    check(SANITIZER or grown < 4096, f"memory grew by {grown} KiB")
    check(status in (503, 504, 408), f"the sender was told {status}")
    g.note = f"{n} answers not read, RSS +{grown} KiB, sender told {status} {reason(answer)} after {time.monotonic() - begin:.0f} s; {note}"
    server.close()
    for s in streams:
        s.close()
    wait_until(lambda: not g.up("t36.test"), 20, "the streams are gone")


# --- 42 -----------------------------------------------------------------------------------------------------------------

@hostile("T42 strangers of an unverified public domain reach only who knows them", authorised=("t42.test",), settings=RATES)
def spim(g):
    g.partner_add("t42.test", type="public-unverified")
    server = g.server("t42.test", "127.0.42.7")
    s = g.initiator("t42.test").up()
    for n in range(5):
        s.send(message(f"spam{n}@t42.test", ROMEO, f"{SECRET} buy", id=f"s{n}"))
        same("the answer", error_of(server.expect_stanza("message", type="error")), "service-unavailable")
    s.send(presence("spam0@t42.test", ROMEO, "subscribe"))
    g.romeo.seen.refuse("heard from a stranger", lambda e: e.kind == "message" and e.from_.startswith("spam"), 0.5)
    g.romeo.say("juliet@t42.test", g.word())        # now she is known
    server.expect_stanza("message", to="juliet@t42.test")
    word = g.word()
    s.send(message("juliet@t42.test/x", ROMEO, word))
    g.romeo.expect_message("juliet@t42.test", word)
    s.send(message("spam1@t42.test", ROMEO, f"{SECRET} buy", id="again"))
    same("the answer to others of that domain", error_of(server.expect_stanza("message", type="error")), "service-unavailable")


# --- 44 -----------------------------------------------------------------------------------------------------------------

@hostile("T44 nothing passes from outside to outside", authorised=("t44.test",), settings=RATES)
def relay(g):
    g.partner_add("t44.test")
    for to in (f"juliet@{HONEST}", HONEST, "x@elsewhere.test", "y@t44.test"):
        s = g.initiator("t44.test").up()
        s.send(message("mallory@t44.test", to, f"{SECRET} relay"))
        same(f"a stanza to {to}", s.error(), "host-unknown")
        s.close()
    s = g.initiator("t44.test", to=HONEST)
    try:
        s.open()
        said = "features"
    except LabError as e:
        said = str(e)
    check("host-unknown" in said, f"a stream to another domain: {said}")
    s = g.initiator("t44.test").secure()
    s.result("00" * 32, to=HONEST)
    check(s.answer() in ("error item-not-found", "stream error host-unknown", "error host-unknown"), "dialback to another domain")
    own = g.romeo.name
    g.romeo.name = f"juliet@{HONEST}"       # from the home, but in a foreign name
    answer = g.romeo.message("x@t44.test", f"{SECRET} relay")
    g.romeo.name = own
    same("from outside to outside through the home", answer.status, 403, 482)
    g.neighbour_server.seen.refuse("a relayed stanza", lambda e: e.kind == "message" and "relay" in "".join(e.el.itertext()), 0.3)


# --- 13 -----------------------------------------------------------------------------------------------------------------

class Mirror(Receiver):
    """Another gateway whose home sends everything back to the user `back`, as a gateway does: the hops that are left travel along."""
    stream_back = None
    cycles = 0
    hops = ()

    def on_message(self, stream, el):
        super().on_message(stream, el)
        if el.get("type") == "error":
            return
        left = next((int(h.text) for h in el.iter() if local(h.tag) == "header" and h.get("name") == "Max-Forwards"), None)
        self.cycles += 1
        self.hops = (*self.hops, left)
        more = "" if left is None else ("<headers xmlns='http://jabber.org/protocol/shim'><header name='Max-Forwards'>"
                                        f"{left}</header></headers>")
        self.stream_back.send(message(el.get("to"), ROMEO, child(el, "body").text, id=f"back{self.cycles}", more=more))


@hostile("T13 a loop through two gateways and a home that forwards ends by itself", authorised=("t13.test",), settings=RATES)
def loop(g):
    g.partner_add("t13.test")
    server = g.server("t13.test", "127.0.42.8", Mirror)
    server.stream_back = g.initiator("t13.test").up()
    forwarded = []
    plain = g.romeo._request

    def forward(m):     # romeo's device sends everything on to juliet, as a forwarding home does
        answer = plain(m)
        if m.method == "MESSAGE":
            left = int(m.get("max-forwards"))
            forwarded.append(left)
            threading.Thread(target=lambda: again(left - 1, m.text), daemon=True).start()
        return answer

    def again(left, text):
        r = SipMessage("MESSAGE", "sip:juliet@t13.test", body=text.encode())
        for name, value in (("Max-Forwards", left), ("From", f"<sip:{ROMEO}>;tag={token(8)}"), ("To", "<sip:juliet@t13.test>"), ("Call-ID", token(20)),
                            ("CSeq", f"{len(forwarded)} MESSAGE"), ("Content-Type", "text/plain")):
            r.add(name, value)
        try:
            g.romeo.net.ask(r, 10)
        except LabError:
            pass
    g.romeo.net.handler = forward
    try:
        g.romeo.say("juliet@t13.test", f"{SECRET} loop")
        last, end = -1, time.monotonic() + 30
        while time.monotonic() < end and (server.cycles != last or server.cycles == 0):
            last = server.cycles
            time.sleep(1)
    finally:
        g.romeo.net.handler = plain
    check(time.monotonic() < end, f"it still goes round after 30 s: {server.cycles} times")
    check(1 < server.cycles <= 40, f"{server.cycles} times round")
    check(all(a > b for a, b in zip(server.hops, server.hops[1:])), f"the hops that are left: {server.hops}")
    g.note = f"ended after {server.cycles} rounds"
