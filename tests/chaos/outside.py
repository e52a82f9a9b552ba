# SPDX-License-Identifier: Apache-2.0
"""What surrounds entented goes wrong: DNS is silent or lies (R8), the clock jumps (R10)."""
import glob
import os
import signal
import time

import asking
from experiment import experiment
from planned import made_again
from stage import Group, Stage, instrumented, rewrite

RATE = 100


@experiment("dns", "R8", seconds=60)
def dns(r):
    """the name server is dead, then silent, then lies; streams that are open go on"""
    groups = [Group("sm", True, number=0), Group("plain", False, number=1), Group("late", True, 2, number=2), Group("liar", True, 2, number=3)]
    stage = Stage(r.run, groups=groups, think=5)
    # answers are old after a second: whoever is called again then is found by one whose time is over
    rewrite(f"{r.run}/knot/test.zone", ("$TTL 60", "$TTL 1"))
    with stage as s:
        s.add(["nobody.chaos.test", "slow.chaos.test"])
        for g in groups:
            s.tell("rate", g.name, RATE // 4, RATE // 4)
        time.sleep(4)
        s.lap()
        seconds = 5 if r.quick else 20
        slowest, statuses, called = 0.0, set(), []
        begun = s.status()
        for name in ("dead", "silent"):
            s.mark(f"dns {name}")
            if name == "dead":
                s.dns.kill()
            else:
                s.dns.popen.send_signal(signal.SIGSTOP)
            # some known partners lose their streams meanwhile: can they be called again?
            time.sleep(1.5)     # the time of all answers is over
            s.tell("group", "late", "cut")
            time.sleep(0.1)
            cut = s.status()["groups"]["late"]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                status, reason, took = asking.message(f"juliet@{'nobody' if name == 'dead' else 'slow'}.chaos.test")
                slowest, statuses = max(slowest, took), statuses | {f"{status} {reason}"}
                r.check(status >= 400, f"a message to a domain that cannot be found was answered {status} {reason}")
                # whoever is not to be found is asked for again only after a while: then it waits for the resolver anew
                time.sleep(1)
            found = s.status()["groups"]["late"]
            called.append({"who": name, "streams": found["streams_in"] - cut["streams_in"], "in": found["in"],
                           **{k: found["to_xmpp"][k] - cut["to_xmpp"][k] for k in ("sent", "accepted")}})
            lap = s.lap()
            r.say(f"name server {name}: others { {g: lap['groups'][g]['to_xmpp']['arrival_ms'] for g in ('sm', 'plain')} }; partners that were cut: {called[-1]}")
            r.figures[f"dns {name}"] = lap
            if name == "dead":
                s.dns.start()
            else:
                s.dns.popen.send_signal(signal.SIGCONT)
            s.all_up(60)
        open_ones = made_again({**begun, "groups": {k: begun["groups"][k] for k in ("sm", "plain")}}, {**s.status(), "groups": {k: s.status()["groups"][k] for k in ("sm", "plain")}})
        # the zone now says that the liar's partners live at the server of the others
        s.mark("dns lies")
        with open(f"{s.run}/knot/test.zone", encoding="utf-8") as f:
            zone = f.read()
        with open(f"{s.run}/knot/test.zone", "w", encoding="utf-8") as f:
            f.write(zone.replace(f"xmpp.liar A {groups[3].listen}", f"xmpp.liar A {groups[0].listen}"))
        s.dns.kill()
        s.dns.start()
        s.mark("restart", "restart")
        s.services[0].restart()     # nothing is remembered of where they were
        s.tell("group", "liar", "off")
        time.sleep(3)
        status, reason, took = asking.message("juliet@liar0000.chaos.test")
        lied = f"{status} {reason} after {took:.1f} s"
        time.sleep(1)
        s.tell("group", "liar", "on")
        account = s.end(60)
        r.complaints(s)
    near = {**account, "groups": {k: v for k, v in account["groups"].items() if k in ("sm", "plain")}}
    r.books("R8", "partners whose streams were open, while DNS was dead, then silent, then lied", near)
    r.show("R8", "of their connections, and the home's, were lost and made again while DNS was dead and silent", *open_ones)
    r.show("R8", "partners whose streams were cut meanwhile, called again by answers whose time was over (TTL 1 s)",
           "; ".join(f"DNS {c['who']}: {c['in']} of 2, {c['sent']} texts sent to them from then on, {min(c['accepted'], c['sent'])} taken" for c in called),
           all(c["in"] == 2 and c["streams"] >= 2 and c["accepted"] >= 0.5 * c["sent"] > 0 for c in called))
    r.timed("R8", "answers to messages for a partner that cannot be found meanwhile", f"{', '.join(sorted(statuses))}; the slowest after {slowest:.1f} s", slowest <= 5)
    # it must be the server that was found which does not prove who it is, not a name that could not be found
    r.show("R8", "a text to a partner whose name leads to somebody else's server is refused", lied, status >= 400 and reason.startswith("xmpp/") and reason != "xmpp/dns-failed")
    r.books("R8", "all partners, also those whose streams were cut meanwhile", account)


def no_faketime():
    if instrumented():
        return "libfaketime and a sanitizer do not go together"
    return None if library() else "libfaketime is not installed"


def library():
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


@experiment("clock", "R10", seconds=60, needs=no_faketime)
def clock(r):
    """the clock of entented jumps ten years ahead, ten back, and is right again; the monotonic clock runs on"""
    path = f"{r.run}/clock"

    def jump(offset):
        with open(f"{path}.new", "w", encoding="ascii") as f:
            f.write(offset + "\n")
        os.rename(f"{path}.new", path)
    jump("+0")
    from disk import unboxed
    environment = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    with Stage(f"{r.run}/stage", settings=unboxed(), think=5, env=environment) as s:
        s.rate(RATE, RATE)
        time.sleep(3)
        begun = s.status()
        seconds = 3 if r.quick else 12
        years, alarm = [], []
        for offset in ("+3650d", "+0", "-3650d", "+0"):
            s.mark(f"clock {offset}")
            jump(offset)
            time.sleep(seconds)
            years.append(s.parts[0].output().splitlines()[-1][:4])
            lap = s.lap()
            late = max(lap["groups"][g][d]["arrival_ms"]["max"] for g in ("sm", "plain") for d in ("to_xmpp", "to_sip"))
            r.say(f"clock {offset}: {lap['groups']['sm']['to_xmpp']['accepted']} taken so far, slowest {late:.0f} ms")
            r.check(sum(lap["groups"][g][d]["arrival_ms"]["n"] for g in ("sm", "plain") for d in ("to_xmpp", "to_sip")) > RATE * seconds, f"clock {offset}: hardly anything came")
        alarm = [e for e in s.parts[0].events() if e[2] in ("tls/certificate-expires", "server/clock-jumped")]
        before = s.status()
        again, kept = made_again(begun, before)
        account = s.end(60)
        r.complaints(s)
    r.books("R10", f"clock +10 years, right, -10 years, right, under {RATE} messages/s each way", account)
    r.show("R10", "connections that were lost by it and made again, of all that were open", again, kept)
    r.show("R10", "alarms", ", ".join(sorted({f"{e[1]} {e[2]} {e[3].get('level', '')}".strip() for e in alarm})) or "none", bool(alarm))
    r.figures.update(years=years, status=before)
