# SPDX-License-Identifier: Apache-2.0
"""SIP transactions between two organisations: entented's Access Edge beside Kamailio as a proxy and haproxy as a mere relay of octets.
Part of bench.py; docs/bench.md says what is measured."""
import os
import re
import time

from common import LIMITS, Generator, LabError, command, cpu, memory, peers, pids_of, render, rewrite, threads, tree
from process import Process, answers

EDGE, PARTNER = "127.0.0.14", "127.0.0.32"      # entented's outside; gw.adatum.test
BARE = "127.0.0.17"
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


# --- connections that say nothing -----------------------------------------------------------------------------------

SOURCES = 50        # networks that they come from
SETTLE_S = 1.5


def quiet(bench, count, shake_ms, repeats, progress):
    """Memory of idle connections and full handshakes, entented's Access Edge beside bare OpenSSL."""
    limits = (f"limits:\n  max-connections: {count + 2000}\n  max-unproven: {count + 1000}\n  max-unproven-per-network: {count}\n"
              f"  max-connections-per-address: 10000\n  handshake-rate: 1000000\n  handshake-rate-per-network: 1000000\n")
    argv = [*bench.pin, bench.generator("bare"), BARE, "5061", bench.certs, "contoso"]
    servers = {"entented": entented(bench, f"{bench.run}/sip-quiet", "tls", limits),
               "openssl": bench.start(Process("bare", argv, f"{bench.run}/bare.log", lambda _: answers(BARE, 5061)))}
    targets = {"entented": f"{EDGE}:5061", "openssl": f"{BARE}:5061"}
    generators, rows = {}, []
    try:
        for name, server in servers.items():
            pid = server.popen.pid
            g = generators[name] = Generator([bench.generator("idle"), "--certs", bench.certs, "--identity", "adatum", "--target", targets[name],
                                              "--sources", str(SOURCES)], f"{bench.run}/idle-{name}.log")
            g.hear("ready", 15)
            g.ask("shake 300", "shaken")        # what is made once is there
            time.sleep(SETTLE_S)
            progress(f"{count} idle connections, {name}")
            before = memory([pid], "VmRSS")
            up = g.ask(f"up {count}", "up", 600)
            time.sleep(SETTLE_S)
            after = memory([pid], "VmRSS")
            g.ask("down", "down", 60)
            if up["open"] < count or up["failed"] or up["resumed"]:
                raise LabError(f"{name}: {up['open']} of {count} idle connections, {up['failed']} failed ({up['trouble']}), {up['resumed']} resumed")
            rows.append({"server": name, "connections": up["open"], "seconds": up["seconds"], "before_kib": before, "after_kib": after,
                         "per_connection_kib": round((after - before) / up["open"], 2), "runs": []})
        time.sleep(SETTLE_S)
        for n in range(repeats):
            for row in rows:
                progress(f"handshakes, {row['server']}, repeat {n + 1} of {repeats}")
                pid = servers[row["server"]].popen.pid
                pids = tree(pid)        # who keeps entented's keys works, too
                before = sum(cpu(p)[0] for p in pids)
                done = generators[row["server"]].ask(f"shake {shake_ms}", "shaken", 60)
                used = sum(cpu(p)[0] for p in pids) - before
                if not done["n"] or done["failed"] or done["resumed"]:
                    raise LabError(f"{row['server']}: {done}")
                row["runs"].append({"handshakes": done["n"], "rate": round(done["n"] / done["seconds"], 1),
                                    "cpu_us": round(used * 1e6 / done["n"], 1), "busy": round(used / done["seconds"], 3)})
        for g in generators.values():
            g.stop()
    except BaseException:
        for g in generators.values():
            g.kill()
        raise
    bench.stop(*reversed(servers.values()))
    progress("")
    return rows


# --- two workers ----------------------------------------------------------------------------------------------------

STABLE_MS = 5500    # a home's connection that lived so long is opened again at once when it ends: the next run finds it


def workers(bench, repeats, progress):
    """One worker and two, the same load on eight connections on either side. With the generator on two cores too, the throughput of a
    machine cannot be seen: what a transaction costs, and how evenly it is divided, can."""
    rows = []
    wrapper = os.environ.get("ENTENTE_WRAPPER")
    os.environ["ENTENTE_WRAPPER"] = ""
    cores = bench.cores
    try:
        for n in (1, 2):
            daemon = entented(bench, f"{bench.run}/sip-workers-{n}", "tls", workers=n)
            if cores:
                os.sched_setaffinity(daemon.popen.pid, cores)
                for tid in os.listdir(f"/proc/{daemon.popen.pid}/task"):
                    os.sched_setaffinity(int(tid), cores)
            for kind in ("message", "call"):
                row = {"workers": n, "kind": kind, "transport": "tls", "load": "flat", "server": "entented", "way": "in", "runs": []}
                for i in range(repeats):
                    progress(f"{n} workers, {kind}, repeat {i + 1} of {repeats}")
                    before = threads(daemon.popen.pid)
                    report = run(bench, row, pids_of(daemon), "--conns", 8, "--warm", STABLE_MS)
                    after = threads(daemon.popen.pid)
                    used = [after[w] - before[w] for w in sorted(after) if w.startswith("worker-")]
                    if report:
                        report["least_share"] = round(min(used) / sum(used), 3)
                    row["runs"].append(report)
                rows.append(row)
            bench.stop(daemon)
    finally:
        if wrapper is not None:
            os.environ["ENTENTE_WRAPPER"] = wrapper
    progress("")
    return rows
