# SPDX-License-Identifier: Apache-2.0
"""Real servers that restart in mid-traffic (R18), and what other laboratories here measure (R5, R8, R9): their scenarios are run, and their own figures
taken."""
import re
import subprocess
import sys
import threading
import time

from experiment import experiment
from stage import TOP, LabError, wait_until

sys.path.append(f"{TOP}/tests/e2e")


def scenarios(r, promise, what, words, pattern=None, timeout=420, program="tests/e2e/run"):
    """Runs scenarios of another laboratory; a row with how many passed, and what they say of themselves."""
    done = subprocess.run([f"{TOP}/{program}", *words], capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
    count = re.findall(r"^(\d+) passed, (\d+) failed", done.stdout, re.M)
    remarks = re.findall(pattern, done.stdout, re.M) if pattern else []
    figure = f"{count[-1][0]} scenarios passed, {count[-1][1]} failed" if count else "they did not finish"
    if remarks:
        figure += ": " + "; ".join(remarks)
    r.figures[" ".join(words)] = done.stdout[-6000:]
    good = bool(count) and count[-1][1] == "0" and int(count[-1][0]) > 0
    if not good:
        r.say(done.stdout[-2000:] + done.stderr[-500:])
    r.show(promise, what, figure, good)


@experiment("pool", "R5", seconds=75)
def pool(r):
    """the scenarios of an edge pool of SIP federation: one of two edges dies, or falls silent"""
    scenarios(r, "R5", "a new session after an edge is lost (tests/e2e/run \"access pool\")", ["--peer", "prosody", "access pool"], r"# ([\d.]+ s, before [\d.]+ s)")


@experiment("authority", "R9", seconds=45)
def authority(r):
    """certbot and pebble: a certificate of an ACME authority, and its renewal, while streams are open"""
    scenarios(r, "R9", "ACME: issued and renewed by pebble, put into place by our hook, no stream notices (tests/e2e/run acme)", ["--peer", "prosody", "acme"])


@experiment("lying-dns", "R8", seconds=100)
def lying_dns(r):
    """the hostile scenarios of DNS: loops, a thousand targets, silence, addresses inside"""
    scenarios(r, "R8", "hostile DNS (tests/hostile/run T40)", ["T40"], program="tests/hostile/run")


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
        began, stops = {}, []
        for u in users:     # when each text was sent
            def message(to, body, message=u.message, **options):
                began[body] = time.monotonic()
                return message(to, body, **options)
            u.message = message
        load = SipLoad(users, [f.name for f in friends])
        sent, quiet = {}, threading.Event()

        def talk(index, friend, to):
            number = 0
            while not quiet.is_set():
                number += 1
                try:
                    sent[friend.message(to, f"x{index}-{number}")] = f"x{index}-{number}"
                except (LabError, OSError):
                    pass
                time.sleep(0.08)
        threads = [threading.Thread(target=talk, args=(i, f, u.name), daemon=True) for i, (f, u) in enumerate(zip(friends, users))]
        if victim == "home":
            for t in threads:
                t.start()
        restarts, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(3)
            restarts += 1
            program = lab.xmpp if victim == "xmpp" else lab.home
            if restarts % 2 and victim == "xmpp":
                lab.xmpp.settle() if hasattr(lab.xmpp, "settle") else None
            stops.append(time.monotonic())
            program.stop()
            program.start()
            again = friends if victim == "xmpp" else users
            for x in again:
                try:
                    x.login() if victim == "xmpp" else x.register()
                except (LabError, OSError) as e:
                    r.say(f"{x.name} did not come back at once: {e}")
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
            return set(sent.values()) - set(delivered) - returned if victim == "home" else set()
        ok = load.with_status(200, 300)
        # a server that acknowledges nothing: what its kernel had taken when it stopped may be lost there
        window = {b for b in ok if peer == "ejabberd" and any(-1 < stop - began[b] < 2 for stop in stops)}
        try:
            wait_until(lambda: not (ok - set(received) - window) and not missing(), 60, "")
        except LabError:
            pass
        lost, silent = ok - set(received) - window, missing()
        window -= set(received)
        twice = len(received.twice()) + len(delivered.twice())
        complaints = lab.entented.complaints()
    name = {"xmpp": peer, "home": "Kamailio"}[victim]
    more = f"; XMPP to SIP {len(sent)} sent, {len(set(sent.values()) & set(delivered))} delivered, {len(returned)} returned to the sender, {len(silent)} lost" if victim == "home" else ""
    r.show("R18", f"{name} restarted {restarts} times in mid-traffic", f"SIP to XMPP {len(load.answers)} sent, {len(ok)} accepted, {len(lost)} of them lost, "
           f"{len(load.with_status(300, 700))} refused{more}; {twice} twice"
           + (f"; {len(window)} more were sent within a second of its end, and it acknowledges nothing (XEP-0198)" if window else ""), not lost and not silent and len(ok) > 20)
    for text in complaints[:5]:
        r.check(False, text)


@experiment("prosody", "R18", seconds=75)
def prosody(r):
    """the real Prosody restarts in mid-traffic"""
    restarted(r, "prosody", "xmpp", 10 if r.quick else 35)


@experiment("ejabberd", "R18", seconds=90)
def ejabberd(r):
    """the real ejabberd restarts in mid-traffic"""
    restarted(r, "ejabberd", "xmpp", 10 if r.quick else 40)


@experiment("kamailio", "R18", seconds=75)
def kamailio(r):
    """the real Kamailio, the home, restarts in mid-traffic"""
    restarted(r, "prosody", "home", 10 if r.quick else 35)


