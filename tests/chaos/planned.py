# SPDX-License-Identifier: Apache-2.0
"""What an administrator does on purpose: restarts (R3), reloads (R4), certificates that are replaced (R9)."""
import os
import time

from asking import Control, Knocking
from experiment import experiment, percentile
from stage import Stage, rewrite, total

RATE = 200


@experiment("restarts", "R3", seconds=200)
def restarts(r):
    """planned restarts under load, while somebody knocks at the ports all the time"""
    count = 5 if r.quick else 100
    with Stage(r.run, settings="timers:\n  drain: 3s\n", think=5, log_level="warning", unit={"StartLimitIntervalSec": "0"}) as s:
        s.rate(RATE, RATE)
        time.sleep(3)
        knocking = Knocking(5061, 5269)
        for n in range(count):
            s.mark("restart", "restart")
            s.services[0].restart()
            time.sleep(r.rng.uniform(0.2, 0.8))
            if n % 20 == 19:
                r.say(f"{n + 1} restarts, {len(knocking.refused)} connections refused")
        knocking.end()
        time.sleep(2)
        account = s.end(90)
        r.complaints(s)
        times = [g["seconds"] for g in s.gaps() if g["why"] == "restart" and "seconds" in g]
    r.books("R3", f"{count} planned restarts under {RATE} messages/s each way", account)
    r.show("R3", "connections that were tried all the time, at the SIP and the XMPP port",
           f"{knocking.connected} connected, {len(knocking.refused)} refused, the slowest after {knocking.worst * 1000:.0f} ms", not knocking.refused)
    r.timed("R3", "from the order to READY=1 again", f"median {percentile(times, 0.5):.2f} s, worst {max(times, default=0):.2f} s of {len(times)}", bool(times))
    r.timed("R3", "from the order to the first 2xx for a message sent after it", f"median {account['answered_ms']['p50'] / 1000:.2f} s, worst {account['answered_ms']['max'] / 1000:.2f} s",
            account["answered_ms"]["p90"] <= 2000)


@experiment("reloads", "R4", seconds=75)
def reloads(r):
    """reloads under load, by turns with a good and a bad configuration"""
    count = 60 if r.quick else 1000
    with Stage(r.run, think=5, log_level="error") as s:
        config = s.parts[0].config
        with open(config, encoding="utf-8") as f:
            good = f.read()
        bad = [good + "\nnonsense:\n  here: 1\n", good.replace("next-hop:", "next-hopp:"), good.replace(".pem", ".not-there"), good[:len(good) // 2] + "\t\x01{"]
        s.rate(RATE, RATE)
        time.sleep(4)
        s.lap()
        time.sleep(4)
        calm, before = s.lap(), s.status()
        times, said = [], {"good": [], "bad": []}
        with Control() as control:
            for n in range(count):
                kind = "bad" if n % 2 else "good"
                # good ones change something each time
                text = bad[n // 2 % len(bad)] if n % 2 else good.replace("log:\n", f"log:\n  # {n}\n")
                with open(config + ".new", "w", encoding="utf-8") as f:
                    f.write(text)
                os.rename(config + ".new", config)
                begin = time.monotonic()
                said[kind].append(control.ask("reload").get("exit", 0))
                times.append(time.monotonic() - begin)
        lap, after = s.lap(), s.status()
        account = s.end(60)
        r.complaints(s)
    r.check(not any(said["good"]), f"{sum(1 for x in said['good'] if x)} good configurations were refused")
    r.check(all(said["bad"]), f"{sum(1 for x in said['bad'] if not x)} bad configurations were taken")
    lost = sum(after["groups"][g]["failed"] - before["groups"][g]["failed"] for g in after["groups"]) + sum(g["members"] - g["up"] for g in after["groups"].values())
    again = sum(g["dialled"] - g["members"] for g in account["groups"].values()) + account["home"]["dialled"] - 2
    r.books("R4", f"{count} reloads ({len(said['bad'])} of them bad, all refused) under {RATE} messages/s each way", account)
    r.show("R4", "connections that were lost", f"{lost + again}", lost + again == 0)
    worst = {w: max(x["groups"][g][d]["arrival_ms"]["max"] for g in x["groups"] for d in ("to_xmpp", "to_sip")) for w, x in (("calm", calm), ("reloads", lap))}
    r.timed("R4", "the slowest message before, and while reload follows reload", f"{worst['calm']:.0f} ms and {worst['reloads']:.0f} ms; a reload takes {percentile(times, 0.5) * 1000:.0f} ms, "
            f"at worst {max(times) * 1000:.0f} ms", worst["reloads"] <= worst["calm"] + 100)
    r.figures.update(reload_s=[percentile(times, 0.5), max(times)], messages=total(account, "sent"))


@experiment("rotation", "R9", seconds=60)
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
        account = s.end(60)
        r.complaints(s)
    again = sum(g["dialled"] - g["members"] for g in account["groups"].values()) + account["home"]["dialled"] - 2
    r.books("R9", f"certificates replaced {count} times under {RATE} messages/s each way", account)
    r.show("R9", "connections that were lost by it", str(again), again == 0)
    r.show("R9", "a certificate that has 30 s of its hour left", f"{told[1]} {told[2]} level={told[3].get('level')} after {waited:.1f} s" if told else "nothing was said", bool(told))
