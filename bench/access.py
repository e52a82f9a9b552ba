# SPDX-License-Identifier: Apache-2.0
"""SIP transactions between two organisations: entented's Access Edge beside Kamailio as a proxy and haproxy as a mere relay of octets.
Part of bench.py; docs/bench.md says what is measured."""
import os
import re
import time

from common import LIMITS, command, memory, peers, pids_of, render, rewrite
from process import Process, answers

EDGE, PARTNER = "127.0.0.14", "127.0.0.32"      # entented's outside; gw.adatum.test
ADDRESS = {"entented": peers.GATEWAY, "kamailio": "127.0.0.13", "haproxy": "127.0.0.16"}
CALLS_PER_MESSAGE = 8       # a call is so many messages that it gets a pace and a window of its own


def rows_of(o):
    """What is measured. transport: of the home's side; the partner's side has TLS, except in rows "plain", which are TCP throughout and
    which entented does not know."""
    rows = []
    for transport in ("tls",) if o.quick else ("tls", "tcp"):
        for kind in ("message", "call"):
            for load in ("flat",) if o.quick else ("rate", "flat"):
                ways = [("entented", "out"), ("entented", "in"), ("kamailio", "out"), ("haproxy", "out")]
                if transport == "tcp" and load == "flat":
                    ways += [("kamailio", "plain"), ("haproxy", "plain")]
                rows += [{"id": f"sip.{kind}.{transport}.{load}.{server}" + ("" if way == "out" else f"-{way}"), "kind": kind,
                          "transport": transport, "load": load, "server": server, "way": way, "runs": []} for server, way in ways]
    return [r for r in rows if re.search(o.rows, r["id"])]


def entented(bench, folder, transport, extra=LIMITS, workers=1):
    inner = "    - {address: %s, port: 5061, transport: tls}\n  external-listen:\n    - {address: %s, port: 5061}\n" % (peers.GATEWAY, EDGE)
    daemon = bench.entented(folder, transport, extra, workers, (5060, 5061), inner)
    command(daemon, "access-edge", "set", "--federated-users")
    command(daemon, "allowed-domain", "add", "adatum.test", "--verification-level", "always-verifiable")
    return daemon


def kamailio(bench, folder, transport):
    os.makedirs(folder)
    address = ADDRESS["kamailio"]
    peers.render("kamailio-tls.cfg.in", f"{folder}/kamailio-tls.cfg", CERTS=bench.certs)
    rewrite(f"{folder}/kamailio-tls.cfg", ("verify_certificate = no", "verify_certificate = yes"),
            ("require_certificate = no", "require_certificate = yes"))
    conf = render("kamailio-federation.cfg.in", f"{folder}/kamailio.cfg", RUN=folder, ADDRESS=address, HOME=peers.HOME, PARTNER=PARTNER,
                  TRANSPORT=transport, PORT=5061 if transport == "tls" else 5060)
    # Its default allocator takes four times as long at this pace, and it keeps every transaction for five seconds.
    argv = [*bench.pin, peers.program("kamailio"), "-f", conf, "-m", "2048", "-M", "16", "-x", "fm", "-X", "fm",
            "-w", folder, "-P", f"{folder}/kamailio.pid", "-Y", folder, "-DD", "-E"]
    return bench.start(Process("kamailio", argv, f"{folder}/kamailio.log", lambda _: answers(address, 5060) and answers(address, 5061)))


def haproxy(bench, folder, _):
    os.makedirs(folder)
    conf = render("haproxy.cfg.in", f"{folder}/haproxy.cfg", RUN=folder, ADDRESS=ADDRESS["haproxy"], CERTS=bench.certs, PARTNER=PARTNER)
    argv = [*bench.pin, peers.program("haproxy"), "-db", "-f", conf]
    return bench.start(Process("haproxy", argv, f"{folder}/haproxy.log", lambda p: os.path.exists(f"{folder}/haproxy.sock")))


START = {"entented": entented, "kamailio": kamailio, "haproxy": haproxy}


def run(bench, row, pids, *more):
    """One run of the generator; its report, or None."""
    o, transport, calls = bench.o, row["transport"], row["kind"] == "call"
    pace = ["--rate", o.rate] if row["load"] == "rate" else ["--window", o.window]
    pace[1] = max(pace[1] // (CALLS_PER_MESSAGE if calls else 1), 1)
    home, partner = (peers.HOME, "home", transport, "contoso.test"), (PARTNER, "adatum", "tcp" if row["way"] == "plain" else "tls", "adatum.test")
    near, far = (partner, home) if row["way"] == "in" else (home, partner)
    target = EDGE if row["way"] == "in" else ADDRESS[row["server"]] + (":5070" if row["way"] == "plain" else "")
    return bench.generate("load", "--from", "sip", "--to", "sip", "--certs", bench.certs, "--home", near[0], "--identity", near[1],
                          "--transport", near[2], "--from-domain", near[3], "--far", far[0], "--far-identity", far[1],
                          "--far-transport", far[2], "--to-domain", far[3], "--target", target, *pace, "--users", o.users,
                          "--body", o.body, "--warm", o.warm, "--measure", o.measure, "--watch", ",".join(map(str, pids)),
                          *(["--calls"] if calls else []), *more)


def measure(bench, rows, memories, progress):
    """All servers at the same time, used in turn, repeat by repeat."""
    for transport in dict.fromkeys(r["transport"] for r in rows):
        mine = [r for r in rows if r["transport"] == transport]
        servers = {name: START[name](bench, f"{bench.run}/sip-{transport}-{name}", transport)
                   for name in dict.fromkeys(r["server"] for r in mine)}
        time.sleep(0.5)     # the children of Kamailio start after its ports are open
        pids = {name: pids_of(s) for name, s in servers.items()}
        idle = {name: memory(p, "VmRSS") for name, p in pids.items()}
        for n in range(bench.o.repeats):
            for row in mine:
                progress(f"{row['id']}, repeat {n + 1} of {bench.o.repeats}")
                row["runs"].append(run(bench, row, pids[row["server"]]))
        memories += [{"server": name, "transport": transport, "what": "federation", "idle_kib": idle[name],
                      "peak_kib": memory(p, "VmHWM")} for name, p in pids.items()]
        bench.stop(*reversed(servers.values()))
    progress("")
