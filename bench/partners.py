# SPDX-License-Identifier: Apache-2.0
"""Thousands of partners connected at once: memory per idle link, time and processor time to bring them up, and a storm in which
all of them are cut off and come back at once while some others go on writing. Part of bench.py."""
import json
import os
import socket
import time

from common import Generator, LabError, cpu, memory, peers
from daemon import SOCKET

TALKERS = 10
AT_ONCE = 50        # that come up at the same time when there is no storm
SETTLE_S = 7.0       # a stream is at rest 5 s after the last octet


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ask(words, args, timeout=120):
    """One request to the control socket, as `entente` makes it; the answer, which must not be an error."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(timeout)
        s.connect(SOCKET)
        return request(s, s.makefile("rb"), words, args)


def request(s, answers_in, words, args):
    s.sendall(json.dumps({"command": words, "json": True, "color": False, "width": 80, "args": args}).encode() + b"\n")
    said = json.loads(answers_in.readline())
    if said.get("exit"):
        raise LabError(f"{' '.join(words)} {args}: {said}")
    return said


def add_partners(domains):
    """On one connection with the control socket, as `entente partner xmpp add` would, one after the other."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(SOCKET)
        answers_in = s.makefile("rb")
        for domain in domains:
            request(s, answers_in, ["partner", "xmpp", "add"], {"domain": domain, "type": "federated"})
    return time.monotonic() - began


def zone(run, hosts):
    """SRV records of all domains, at the end of the lab's zone. hosts: {name: (address, [domain])}."""
    with open(f"{run}/knot/test.zone", "a", encoding="utf-8") as f:
        for name, (address, domains) in hosts.items():
            f.write(f"{name}  A  {address}\n")
            for domain in domains:
                f.write(f"_xmpp-server._tcp.{domain}.  SRV  0 0 5269 {name}\n")


def name_server(run, count):
    server = peers.name_server(run)
    zone(run, {"xmpp.many": ("127.0.0.22", crowd_domains(count)), "xmpp.talk": ("127.0.0.23", talk_domains(64))})
    return server


def crowd_domains(count):
    return [f"p{i:04}.many.test" for i in range(count)]


def talk_domains(count=TALKERS):
    return [f"t{i:04}.talk.test" for i in range(count)]


def spent(before, after):
    ticks = after[1] - before[1] + after[2] - before[2]
    user = (after[1] - before[1]) / ticks if ticks else 0
    return {"cpu_s": round(after[0] - before[0], 3), "user_s": round((after[0] - before[0]) * user, 3)}


def measure(bench, count, rate, calm_s, progress):
    """The whole run; returns the figures."""
    folder = f"{bench.run}/partners"
    server = bench.start(name_server(bench.run, count))
    # the defaults are for 1,000 connections, half of them not proven yet
    entented = bench.entented(folder, "tls", extra=f"limits:\n  max-connections: {4 * count + 1000}\n  max-unproven: {count + 500}\n")
    pid = entented.popen.pid
    generators = []

    def generator(name, n):
        g = Generator([bench.generator(name), "--certs", bench.certs, "--own", f"/run/bench-{name}", "--n", str(n)],
                      f"{bench.run}/{name}.log")
        generators.append(g)
        return g

    try:
        progress(f"{count} partners: adding them")
        seconds = add_partners(talk_domains() + crowd_domains(count))
        out = {"partners": count, "links": 2 * count, "talkers": TALKERS, "rate": rate, "add_s": round(seconds, 3)}
        progress(f"{count} partners: making their certificates")
        crowd, talk = generator("crowd", count), generator("talk", TALKERS)
        talk.hear("ready", 30)
        crowd.hear("ready", 180)
        talk.tell(f"go {rate}")
        time.sleep(1.5)     # the first message of each pair waits half a second; then memory is what it is without the crowd
        talk.ask("lap", "lap")

        progress(f"{count} partners: bringing them up")
        rss, before = memory([pid], "VmRSS"), cpu(pid)
        out["up"] = crowd.ask(f"up {AT_ONCE}", "up", 180)
        out["up"].update(spent(before, cpu(pid)))
        out["up"]["others"] = talk.ask("lap", "lap")
        time.sleep(SETTLE_S)
        links = out["up"]["streams_in"] + out["up"]["streams_out"]
        out["memory"] = {"before_kib": rss, "after_kib": memory([pid], "VmRSS"), "descriptors": descriptors(pid)}
        out["memory"]["per_link_kib"] = round((out["memory"]["after_kib"] - rss) / links, 2) if links else None

        progress(f"{count} partners: at rest")
        talk.ask("lap", "lap")
        before = cpu(pid)
        time.sleep(calm_s)
        out["calm"] = {"others": talk.ask("lap", "lap"), **spent(before, cpu(pid))}

        progress(f"{count} partners: storm")
        before = cpu(pid)
        out["storm"] = crowd.ask("storm", "storm", 180)
        out["storm"].update(spent(before, cpu(pid)))
        out["storm"]["others"] = talk.ask("lap", "lap")
        time.sleep(SETTLE_S)
        out["memory"]["after_storm_kib"] = memory([pid], "VmRSS")
        out["memory"]["peak_kib"] = memory([pid], "VmHWM")
        talk.tell("stop")
        time.sleep(1)
        out["last"] = talk.ask("lap", "lap")
        for g in generators:
            g.stop()
        bench.stop(entented, server)
    except BaseException:
        for g in generators:
            g.kill()
        raise
    progress("")
    laps = [out["up"]["others"], out["calm"]["others"], out["storm"]["others"], out["last"]]
    out["refused"] = sum(x["refused"] for x in laps)
    out["lost"] = out["last"]["open"]
    out["missing"] = 2 * count - out["storm"]["there"] - out["up"]["there"]
    out["ok"] = not (out["refused"] or out["lost"] or out["missing"])
    return out
