# SPDX-License-Identifier: Apache-2.0
"""What it costs to be large: partners, local domains, users and contacts by decades. The room `policy` alone (build/bench/grow), and the
daemon: start, memory, one more change, a reload, and what a message costs beside all that. Part of bench.py."""
import json
import sqlite3
import subprocess
import time

from common import LIMITS, LabError, command, cpu, memory, peers, rewrite
from partners import ask

PARTNER = "fabrikam.test"
KINDS = {   # what grows: (most in the room by itself, most in the daemon)
    "partners": (100_000, 100_000), "allowed": (100_000, 0), "blocked": (100_000, 0), "domains": (100_000, 10_000),
    "users": (1_000_000, 100_000), "contacts": (0, 1_000_000),
}
PER_USER = 100      # contacts of one user
DEFAULT_PARTNER = ("federated", 1, "required", "optional", 1, 1, 0, "", 0, "")


def decades(most, quick):
    sizes = [10 ** n for n in range(1, 7) if 10 ** n <= most]
    return sizes[::2] + sizes[-1:] * (len(sizes) % 2 == 0) if quick else sizes


def room(bench, kind, most):
    """The rows of build/bench/grow."""
    done = subprocess.run([bench.generator("grow"), kind, str(most)], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise LabError(f"grow {kind}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def fill(state, kind, have, want):
    """Rows as the daemon writes them; it does not run."""
    def numbers():
        return range(have, want)
    db = sqlite3.connect(f"{state}/entente.db", timeout=10)
    with db:
        if kind == "partners":
            names = "domain, type, enabled, tls, sasl, dialback, keep_alive, connection_limit, server_host, server_port, description"
            db.executemany(f"INSERT INTO xmpp_partner({names}) VALUES({', '.join('?' * 11)})",
                           ((f"p{i}.partner.test", *DEFAULT_PARTNER) for i in numbers()))
            db.executemany("INSERT INTO xmpp_partner_domain(domain, partner, position) VALUES(?, ?, 0)",
                           ((f"p{i}.partner.test", f"p{i}.partner.test") for i in numbers()))
        elif kind == "users":
            db.executemany("INSERT INTO federation(kind, key, fields) VALUES('user', ?, 'policy=\nsite=\nbranch=true\n')",
                           ((f"u{i}@contoso.test",) for i in numbers()))
        elif kind == "contacts":
            db.executemany("INSERT INTO contact(local_user, remote_user, learned_at, how) VALUES(?, ?, 1750000000, 3)",
                           ((f"u{i // PER_USER}@contoso.test", f"f{i % PER_USER}@{PARTNER}") for i in numbers()))
    db.close()


def spent(pid, what):
    """Seconds of the clock and of the processor that the daemon needs for something."""
    before, began = cpu(pid)[0], time.monotonic()
    what()
    wall = time.monotonic() - began
    return {"wall_s": round(wall, 4), "cpu_s": round(cpu(pid)[0] - before, 4)}


def at_rest(pid, still_s=0.3, patience_s=60):
    """Waits until the daemon does nothing any more; its processor time."""
    end, last = time.monotonic() + patience_s, -1.0
    while cpu(pid)[0] - last > 0.005 and time.monotonic() < end:
        last = cpu(pid)[0]
        time.sleep(still_s)
    return round(cpu(pid)[0], 3)


def messages(bench, pid, way):
    """CPU of a message each way; None when the run failed."""
    o = bench.o
    report = bench.generate("load", "--from", way[0], "--to", way[1], "--transport", "tls", "--certs", bench.certs, "--window", o.window,
                            "--target", peers.GATEWAY, "--users", o.users, "--body", o.body, "--warm", 300, "--measure", min(o.measure, 1500), "--watch", pid)
    return report and report["ok"] and {"cpu_us": report["cpu_per_message_us"], "p99_us": report["latency_us"]["p99"]}


def measure_daemon(bench, kind, sizes, progress):
    folder = f"{bench.run}/grow-{kind}"
    daemon = bench.entented(folder, "tls", LIMITS)
    command(daemon, "partner", "xmpp", "add", PARTNER, "--type", "federated")
    have, rows = 0, []
    for n in sizes:
        progress(f"{n} {kind}")
        daemon.stop(60)
        if kind == "domains":
            rewrite(daemon.config, (", ".join(f"d{i}.contoso.test" for i in range(have)) + "]" if have else "contoso.test]",
                                    ("" if have else "contoso.test, ") + ", ".join(f"d{i}.contoso.test" for i in range(n)) + "]"))
        else:
            fill(daemon.state, kind, have, n)
        have = n
        daemon.timeout = 120
        began = time.monotonic()
        daemon.start()
        pid = daemon.popen.pid
        wall = time.monotonic() - began
        row = {"n": n, "start": {"wall_s": round(wall, 3), "cpu_s": at_rest(pid)}, "rss_kib": memory([pid], "VmRSS")}
        name = f"one-{n}.more.test"
        row["change"] = spent(pid, lambda: ask(["partner", "xmpp", "add"], {"domain": name, "type": "federated"}))
        row["reload"] = spent(pid, lambda: ask(["reload"], {}))
        time.sleep(0.3)
        for way in (("sip", "xmpp"), ("xmpp", "sip")):
            row["-to-".join(way)] = messages(bench, pid, way) or None
        row["peak_kib"] = memory([pid], "VmHWM")
        rows.append(row)
    bench.stop(daemon)
    return rows


def measure(bench, kinds, quick, progress):
    out = {"room": {}, "daemon": {}}
    for kind in kinds:
        in_room, in_daemon = KINDS[kind]
        if in_room:
            progress(f"the policy with up to {in_room} {kind}")
            out["room"][kind] = room(bench, kind, in_room // 10 if quick else in_room)
    server = bench.start(peers.name_server(bench.run))
    for kind in kinds:
        sizes = decades(KINDS[kind][1] // (10 if quick else 1), quick)
        if sizes:
            out["daemon"][kind] = measure_daemon(bench, kind, sizes, progress)
    bench.stop(server)
    out["ok"] = all(row[way] for rows in out["daemon"].values() for row in rows for way in ("sip-to-xmpp", "xmpp-to-sip"))
    progress("")
    return out
