# SPDX-License-Identifier: Apache-2.0
"""Real servers that restart in mid-traffic (R18), and what other laboratories here measure (R5, R8, R9): their scenarios are run, and their own figures
taken."""
import re
import subprocess
import sys
import threading
import time

from experiment import experiment, percentile
from stage import INSTRUMENTED, TOP, LabError, wait_until

sys.path.append(f"{TOP}/tests/e2e")
LIMIT = 11      # s: timers.retry is 8 s, give or take a quarter, and a stream takes a moment


def scenarios(r, promise, what, words, timeout=420, program="tests/e2e/run"):
    """Runs scenarios of another laboratory; a row with how many passed. What they printed."""
    done = subprocess.run([f"{TOP}/{program}", *words], capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    count = re.findall(r"^(\d+) passed, (\d+) failed", done.stdout, re.M)
    figure = f"{count[-1][0]} scenarios passed, {count[-1][1]} failed" if count else "they did not finish"
    r.figures[" ".join(words)] = done.stdout[-6000:]
    good = bool(count) and count[-1][1] == "0" and int(count[-1][0]) > 0
    if not good:
        r.say(done.stdout[-2000:] + done.stderr[-500:])
    r.show(promise, what, figure, good)
    return done.stdout


@experiment("pool", "R5", seconds=15)
def pool(r):
    """the scenarios of an edge pool of SIP federation: one of two edges dies, or falls silent"""
    said = scenarios(r, "R5", "an edge of two is lost: new sessions, those that go on, both again (tests/e2e/run \"access pool\")", ["--peer", "prosody", "access pool"])
    for fate, limit in (("dies", 1), ("falls silent", 5)):
        limit *= 4 if INSTRUMENTED else 1       # as the scenario does
        found = re.findall(rf"a pool behind (.*): an edge {fate} .*\n\s+# ([\d.]+) s, before ([\d.]+) s", said)
        r.timed("R5", f"from the moment when an edge {fate} to the 2xx of a new session, at most {limit} s",
                "; ".join(f"found by {how}: {took} s, before {before} s" for how, took, before in found) or "no figure",
                len(found) == 2 and all(float(took) <= limit for _, took, _ in found))


@experiment("authority", "R9", seconds=45)
def authority(r):
    """certbot and pebble: a certificate of an ACME authority, and its renewal, while streams are open"""
    scenarios(r, "R9", "ACME: issued and renewed by pebble, put into place by our hook, no stream notices (tests/e2e/run acme)", ["--peer", "prosody", "acme"])


@experiment("lying-dns", "R8", seconds=20)
def lying_dns(r):
    """the hostile scenarios of DNS: loops, a thousand targets, silence, addresses inside"""
    scenarios(r, "R8", "hostile DNS (tests/hostile/run T40)", ["T40"], program="tests/hostile/run")


def overtaken(came):
    """How many texts came after one that the same user had sent later: {body: [when, ...]}, bodies "s3-17"."""
    highest, wrong = {}, 0
    for body in sorted((b for b in came if b and re.fullmatch(r"[sx]\d+-\d+", b)), key=lambda b: came[b][0]):
        user, number = body.split("-")
        wrong += int(number) < highest.get(user, 0)
        highest[user] = max(int(number), highest.get(user, 0))
    return wrong


def restarted(r, peer, victim, seconds):
    """Texts both ways while `victim` (xmpp or home) is restarted again and again; what was answered 200 must have come."""
    from lab import Lab
    from ledgers import SipLoad, listen_to
    with Lab(peer=peer, run=f"{r.run}/{peer}-{victim}", log_level="info", workers=2) as lab:
        lab.partner()
        count = 6
        users = [lab.sip_user(f"romeo{700 + i}", "tcp" if victim == "xmpp" else "udp") for i in range(count)]
        friends = [lab.xmpp_user(f"juliet{700 + i}") for i in range(count)]
        for u, f in zip(users, friends):    # known to each other: no first contact in the count
            u.say(f.name, "hello")
            f.expect_message(u.name, "hello", timeout=30)
        delivered, received = listen_to(users), listen_to(friends)
        began, written, stops, again, answered = {}, {}, [], [], []
        for u in users:     # when each text was sent, and answered 2xx
            def message(to, body, message=u.message, **options):
                began[body] = time.monotonic()
                said = message(to, body, **options)
                if 200 <= said.status < 300:
                    answered.append(time.monotonic())
                return said
            u.message = message
        load = SipLoad(users, [f.name for f in friends])
        sent, quiet, away = {}, threading.Event(), threading.Event()

        def talk(index, friend, to):
            number = 0
            while not quiet.is_set():
                if away.is_set():       # a client that has no server is silent, and signs in again first
                    time.sleep(0.01)
                    continue
                number += 1
                body = f"x{index}-{number}"
                try:
                    written[body] = time.monotonic()
                    sent[friend.message(to, body)] = body
                except Exception:       # noqa: BLE001: the server is away, and slixmpp says so in many ways
                    written.pop(body, None)
                time.sleep(0.08)
        threads = [threading.Thread(target=talk, args=(i, f, u.name), daemon=True) for i, (f, u) in enumerate(zip(friends, users))]
        for t in threads:
            t.start()
        end = time.monotonic() + seconds
        program = lab.xmpp if victim == "xmpp" else lab.home
        while time.monotonic() < end:
            time.sleep(3)
            if len(stops) % 2 == 0 and victim == "xmpp":
                lab.xmpp.settle()
            stops.append(time.monotonic())
            if victim == "xmpp":
                away.set()
            program.stop()
            program.start()
            again.append(time.monotonic())
            for x in friends if victim == "xmpp" else users:
                try:
                    x.login() if victim == "xmpp" else x.register()
                except (LabError, OSError) as e:
                    r.say(f"{x.name} did not come back at once: {e}")
            away.clear()
            # the first 2xx after it, before it is stopped once more: else there is nothing to be measured
            try:
                wait_until(lambda: any(x > again[-1] for x in answered), 20, "")
            except LabError:
                pass
        time.sleep(3)
        quiet.set()
        load.end()
        for t in threads:
            if t.is_alive():
                t.join(10)
        returned = set()

        def missing():
            for f in friends:
                returned.update(sent.get(e.id) for e in f.seen.history if e.kind == "error")
            return set(sent.values()) - set(delivered) - returned - hands
        ok = load.with_status(200, 300)
        # a server that acknowledges nothing: what its kernel had taken when it stopped may be lost there
        window = {b for b in ok if peer == "ejabberd" and any(-1 < stop - began[b] < 2 for stop in stops)}
        # what the partner's own server had just been given by its client, or was given before the client noticed that it had gone, it may lose by itself
        hands = {b for b, at in written.items() if victim == "xmpp" and any(stop - 2 < at < up + 1 for stop, up in zip(stops, again))}
        try:
            wait_until(lambda: not (ok - set(received) - window) and not missing(), 60, "")
        except LabError:
            pass
        lost, silent = ok - set(received) - window, missing()
        window -= set(received)
        hands = {b for b in hands & set(sent.values()) if b not in delivered and b not in returned}
        twice = {**received.twice(), **delivered.twice()}
        # between the two there must have been a restart: else nobody had a reason to send it again
        unexplained = [b for b, when in twice.items() if not any(when[0] - 1 < stop < when[-1] for stop in stops)]
        order = overtaken({b: when for b, when in received.items() if b in ok}), overtaken(delivered)
        complaints = lab.entented.complaints()
    name = {"xmpp": peer, "home": "Kamailio"}[victim]
    waits = [min((x for x in answered if x > up), default=up + 99) - up for up in again]
    more = f", {len(window)} more were sent within 2 s before its end, and it acknowledges nothing (XEP-0198)" if window else ""
    there = f", {len(hands)} were with {name} itself when it ended" if hands else ""
    came = set(sent.values()) & set(delivered)
    r.figures.update(waits_s=waits, silent=sorted(silent)[:10], lost=sorted(lost)[:10], unexplained=unexplained[:10])
    r.show("R18", f"{name} restarted {len(stops)} times in mid-traffic, SIP to XMPP", f"{len(load.answers)} sent, {len(ok)} accepted, {len(lost)} of them lost{more}; "
           f"{len(load.with_status(300, 700))} refused meanwhile", not lost and len(ok) > 100 * len(stops))
    r.show("R18", f"{name} restarted {len(stops)} times in mid-traffic, XMPP to SIP", f"{len(sent)} sent, {len(came)} delivered, {len(returned)} returned to the sender, {len(silent)} lost{there}",
           not silent and len(hands) <= len(friends) * len(stops) and len(came) > 50 * len(stops))
    r.show("R18", f"{name}: texts that came twice, and out of order", f"{len(twice)} twice, {len(unexplained)} of them without a restart in between; {sum(order)} out of order",
           not unexplained and not any(order))
    # a partner that could not be reached is not called again for timers.retry at most, 8 s, give or take a quarter; each user writes 20 times a second
    r.timed("R18", f"from {name} being up again to the first 200, at most {LIMIT} s (timers.retry, and a quarter)", f"median {percentile(waits, 0.5):.1f} s, worst {max(waits, default=99):.1f} s of {len(waits)}",
            bool(waits) and max(waits) <= LIMIT)
    for text in complaints[:5]:
        r.check(False, text)


@experiment("prosody", "R18", seconds=50)
def prosody(r):
    """the real Prosody restarts in mid-traffic"""
    restarted(r, "prosody", "xmpp", 10 if r.quick else 35)


@experiment("ejabberd", "R18", seconds=60)
def ejabberd(r):
    """the real ejabberd restarts in mid-traffic"""
    restarted(r, "ejabberd", "xmpp", 10 if r.quick else 40)


@experiment("kamailio", "R18", seconds=50)
def kamailio(r):
    """the real Kamailio, the home, restarts in mid-traffic"""
    restarted(r, "prosody", "home", 10 if r.quick else 35)


