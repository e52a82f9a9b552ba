# SPDX-License-Identifier: Apache-2.0
"""What an administrator does on purpose: restarts (R3), reloads (R4), certificates that are replaced (R9)."""
import json
import os
import subprocess
import time

from asking import Control, Knocking, biggest
from experiment import experiment, percentile
from stage import INSTRUMENTED, TOP, Stage, rewrite, total

RATE = 200
PAUSE, RELOAD = (12, 600) if INSTRUMENTED else (2, 100)     # s, ms: a build with a sanitizer is several times slower


def made_again(before, after):
    """How many connections were made again between two statuses of the ledger, by whoever made them: the partners' streams, those that entented opens
    to partners, the home's connections, those that entented opens to the home. And what is missing at the end."""
    def of(key):
        return sum(after["groups"][g][key] - before["groups"][g][key] for g in after["groups"])
    found = {"by partners": of("dialled"), "to partners": of("streams_in"), "by the home": after["home"]["dialled"] - before["home"]["dialled"],
             "to the home": after["home"]["accepted"] - before["home"]["accepted"],
             "not up": sum(g["members"] - g["up"] for g in after["groups"].values()) + sum(max(0, b["in"] - after["groups"][g]["in"]) for g, b in before["groups"].items())}
    there = sum(g["up"] + g["in"] for g in before["groups"].values()) + before["home"]["dialled"] + before["home"]["accepted"]
    words = f"{sum(found.values())} of {there} (" + ", ".join(f"{k} {v}" for k, v in found.items()) + ")"
    both = all(b["in"] for b in before["groups"].values()) and before["home"]["accepted"]     # else there was nothing to lose in one direction
    return words, not any(found.values()) and bool(both)


def lifecycle(r, what, count, *more):
    """The loops of tests/e2e/lifecycle.py, in namespaces of their own: its figures."""
    program = [f"{TOP}/tests/lab/ns", "/usr/bin/python3", f"{TOP}/tests/e2e/lifecycle.py", what, str(count), *map(str, more)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120 + 5 * count, check=False, stdin=subprocess.DEVNULL)
    try:
        figures = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        r.say(done.stdout[-1000:] + done.stderr[-1000:])
        figures = None
    r.figures[f"lifecycle {what}"] = figures
    return figures


@experiment("restarts", "R3", seconds=160)
def restarts(r):
    """planned restarts under load, while somebody knocks at the ports all the time"""
    count = 5 if r.quick else 100
    with Stage(r.run, settings="timers:\n  drain: 3s\n", think=5, log_level="warning", unit={"StartLimitIntervalSec": "0"}) as s:
        s.rate(RATE, RATE)
        time.sleep(3)
        knocking = Knocking()
        for n in range(count):
            s.mark("restart", "restart")
            s.services[0].restart()
            time.sleep(r.rng.uniform(0.2, 0.8))
            if n % 20 == 19:
                r.say(f"{n + 1} restarts, {len(knocking.refused)} connections refused, {len(knocking.cut)} ended without an answer")
        knocking.end()
        time.sleep(2)
        account = s.end(90)
        r.complaints(s)
        times = [g["seconds"] for g in s.gaps() if g["why"] == "restart" and "seconds" in g]
    r.books("R3", f"{count} planned restarts under {RATE} messages/s each way", account)
    r.show("R3", "two who connect all the time and wait for an answer: OPTIONS over TLS at the SIP port, a stream's header at the XMPP port",
           f"{knocking.answered['SIP']} and {knocking.answered['XMPP']} answered, {len(knocking.refused)} refused, {len(knocking.cut)} ended without an answer",
           not knocking.refused and not knocking.cut and min(knocking.answered.values()) > 5 * count)
    r.figures.update(refused=knocking.refused[:10], cut=knocking.cut[:10])
    r.timed("R3", f"the pause: their longest wait for an answer, at most {PAUSE} s", f"SIP {knocking.worst['SIP']:.2f} s, XMPP {knocking.worst['XMPP']:.2f} s", max(knocking.worst.values()) <= PAUSE)
    r.timed("R3", f"from the order to READY=1 again, at most {PAUSE} s", f"median {percentile(times, 0.5):.2f} s, worst {max(times, default=0):.2f} s of {len(times)}",
            len(times) == count and max(times, default=99) <= PAUSE)
    r.timed("R3", f"from the order to the first 2xx for a message sent after it, 90 % within {PAUSE} s",
            f"median {account['answered_ms']['p50'] / 1000:.2f} s, worst {account['answered_ms']['max'] / 1000:.2f} s", 0 < account["answered_ms"]["p90"] <= PAUSE * 1000)
    again = lifecycle(r, "restarts", 5 if r.quick else 100, 0.3) or {}
    what = f"{again.get('restarts', 0)} restarts with Kamailio, a session of a Lync client that goes on, and a partner's stream (tests/e2e/lifecycle.py)"
    r.show("R3", what, f"of {again['in_session']} messages in the session {again['in_session'] - again['in_session_481'] - len(again['in_session_other'])} were answered 200, "
           f"{again['in_session_481']} with 481; {again['streams_with_system_shutdown']} streams ended with system-shutdown; {again['connects']} connections and "
           f"{again['datagrams']} datagrams: {again['connect_errors']} refused, {again['closed_without_answer'] + again['datagrams_unanswered']} without an answer; "
           f"{again['accepted'] + again['acknowledged']} texts accepted, {again['accepted_lost'] + again['acknowledged_lost']} lost" if again else "it did not finish",
           bool(again) and again["kept"] and not again["in_session_other"] and not again["closed_without_answer"])


@experiment("reloads", "R4", seconds=40)
def reloads(r):
    """reloads under load, by turns with a good and a bad configuration"""
    count = 60 if r.quick else 1000
    limits = (8, 12)        # KiB, of limits.max-sip-message; what is asked has 10
    with Stage(r.run, think=5, log_level="error") as s:
        config = s.parts[0].config
        with open(config, encoding="utf-8") as f:
            first = f.read()

        def limited(n):
            return first.replace("limits:\n", f"limits:\n  max-sip-message: {limits[n % 2]}KiB\n")
        bad = [lambda good: good + "\nnonsense:\n  here: 1\n", lambda good: good.replace("next-hop:", "next-hopp:"),
               lambda good: good.replace(".pem", ".not-there"), lambda good: good[:len(good) // 2] + "\t\x01{"]
        s.rate(RATE, RATE)
        time.sleep(4)
        s.lap()
        time.sleep(4)
        calm, before = s.lap(), s.status()
        times, said, wrong = [], {"good": [], "bad": []}, {"good": 0, "bad": 0}
        with Control() as control:
            for n in range(count):
                # each good one changes the limit; each bad one would, were there not a fault in it
                kind = "bad" if n % 2 else "good"
                text = bad[n // 2 % len(bad)](limited(n // 2 + 1)) if n % 2 else limited(n // 2)
                with open(config + ".new", "w", encoding="utf-8") as f:
                    f.write(text)
                os.rename(config + ".new", config)
                begin = time.monotonic()
                said[kind].append(control.ask("reload").get("exit", 0))
                times.append(time.monotonic() - begin)
                wrong[kind] += biggest(10 << 10) != (513, 200)[n // 2 % 2]
        time.sleep(1)
        lap, after = s.lap(), s.status()
        account = s.end(60)
        r.complaints(s)
    again, kept = made_again(before, after)
    r.books("R4", f"{count} reloads, every other one bad, under {RATE} messages/s each way", account)
    r.show("R4", f"good reloads: taken, and the limit that each changes is in force at once (limits.max-sip-message {limits[0]} or {limits[1]} KiB, asked with 10)",
           f"{said['good'].count(0)} taken of {len(said['good'])}, {wrong['good']} not in force", not any(said["good"]) and not wrong["good"])
    r.show("R4", "bad reloads: refused, and the limit of before is in force (in the file that was refused it was another)",
           f"{len(said['bad']) - said['bad'].count(0)} refused of {len(said['bad'])}, {wrong['bad']} changed something", all(said["bad"]) and not wrong["bad"])
    r.show("R4", "connections that were lost and made again, of all that were open", again, kept)
    r.timed("R4", f"a reload, from the order to the answer, at most {RELOAD} ms", f"median {percentile(times, 0.5) * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms", max(times) * 1000 <= RELOAD)
    worst = {w: max(x["groups"][g][d]["arrival_ms"]["max"] for g in x["groups"] for d in ("to_xmpp", "to_sip")) for w, x in (("calm", calm), ("reloads", lap))}
    r.timed("R4", f"the slowest message before, and while reload follows reload, at most {RELOAD} ms more", f"{worst['calm']:.0f} ms and {worst['reloads']:.0f} ms",
            worst["reloads"] <= worst["calm"] + RELOAD)
    r.figures.update(reload_s=[percentile(times, 0.5), max(times)], messages=total(account, "sent"))
    more = lifecycle(r, "reloads", 60 if r.quick else 1000) or {}
    r.show("R4", f"{more.get('reloads', 0)} reloads, every other one bad, with Kamailio, a session of a Lync client and idle connections (tests/e2e/lifecycle.py)",
           f"{more['streams_lost'] + more['connections_lost']} connections lost, {more['in_session_481']} of {more['in_session']} messages in the session answered 481; "
           f"{more['accepted'] + more['acknowledged']} texts accepted, {more['accepted_lost'] + more['acknowledged_lost']} lost" if more else "it did not finish",
           bool(more) and more["kept"])
    r.timed("R4", f"OPTIONS one after the other meanwhile: the longest pause, at most {RELOAD} ms", f"{more.get('pause_ms', 0):.0f} ms, before {more.get('pause_before_ms', 0):.0f} ms of {more.get('asked', 0)}",
            bool(more) and more["pause_ms"] <= RELOAD)


@experiment("rotation", "R9", seconds=25)
def rotation(r):
    """the certificate is replaced again and again under load; then it is one that is about to expire"""
    import shutil
    import sys
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hostile"))
    from certificates import Certificates
    count = 10 if r.quick else 100
    with Stage(r.run, think=5) as s:
        certificates = Certificates(s.certs, "chaos")
        names = ("contoso.test", "gw.contoso.test", "xmpp.contoso.test", "sip.contoso.test")
        config = s.parts[0].config
        own = f"{s.run}/own"
        os.makedirs(own)
        rewrite(config, (f"{s.certs}/contoso.pem", f"{own}/live.pem"), (f"{s.certs}/contoso.key", f"{own}/live.key"))

        def put(leaf):
            shutil.copyfile(leaf, f"{own}/new")
            os.rename(f"{own}/new", f"{own}/live.pem")
        put(certificates.leaf(*names))
        shutil.copyfile(certificates.key, f"{own}/live.key")
        with Control() as control:
            said = control.ask("reload")
            r.check(not said.get("exit"), f"the first reload: {said}")
            s.rate(RATE, RATE)
            time.sleep(4)
            before = s.status()
            for n in range(count):
                put(certificates.leaf(*names, extra=f"nsComment=turn {n % 5}\n"))
                said = control.ask("reload")
                r.check(not said.get("exit"), f"reload {n}: {said}")
                time.sleep(0.1)
            # a life of an hour, of which 30 s are left: what is told is told by the share that is left
            now = time.time()
            stamp = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(t)) for t in (now - 3570, now + 30)]
            put(certificates.leaf(*names, dates=stamp))
            control.ask("reload")
        begin = time.monotonic()
        told = None
        while time.monotonic() < begin + 45 and not told:
            told = next(iter(s.parts[0].events("tls/certificate-expires", role="own")), None)
            time.sleep(0.2)
        waited = time.monotonic() - begin
        again, kept = made_again(before, s.status())
        account = s.end(60)
        r.complaints(s)
    r.books("R9", f"certificates replaced {count} times under {RATE} messages/s each way", account)
    r.show("R9", "connections that were lost and made again, of all that were open", again, kept)
    r.show("R9", "a certificate that has 30 s of its hour left", f"{told[1]} {told[2]} level={told[3].get('level')} after {waited:.1f} s" if told else "nothing was said", bool(told))
