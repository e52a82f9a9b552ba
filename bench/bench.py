# SPDX-License-Identifier: Apache-2.0
"""entented under load: translated messages with Kamailio as a plain SIP proxy beside it; relayed stanzas with Prosody, ejabberd
and jabberd2 beside it; thousands of partners. Runs inside the namespaces of tests/lab/ns; started by bench/run. docs/bench.md
says what is measured."""
import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time

import access
import grow
import hold
import page
import partners
import relay
import report
import strain
from common import BUILD, HERE, Bench, LabError, command, field, first_line, memory, peers, render, tree
from daemon import binary
from process import Process, answers

PROXY = "127.0.0.13"
PARTNER = "fabrikam.test"


def options():
    p = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="one short repeat, TLS only, small sizes: some minutes, for a first look")
    p.add_argument("--rows", metavar="REGEX", default="", help="only rows whose name matches, e.g. 'sip-to-xmpp.tls', 'relay' or 'partners'")
    p.add_argument("--repeats", type=int, help="of each row (3)")
    p.add_argument("--warm", type=int, metavar="MS", help="warm-up before each measurement (600)")
    p.add_argument("--measure", type=int, metavar="MS", help="measured time (2500)")
    p.add_argument("--rate", type=int, default=2000, help="messages a second of the rows at a fixed rate (2000)")
    p.add_argument("--window", type=int, default=256, help="messages under way in the rows that go flat out (256)")
    p.add_argument("--users", type=int, default=500, help="pairs of users (500)")
    p.add_argument("--body", type=int, default=100, help="octets of a text (100)")
    p.add_argument("--partners", type=int, metavar="N", help="partners connected at once (2000)")
    p.add_argument("--idle", type=int, metavar="N", help="idle connections of SIP partners (10000)")
    p.add_argument("--subscriptions", type=int, metavar="N", help="held at once, both directions together (1000000)")
    p.add_argument("--conversations", type=int, metavar="N", help="held at once (10000)")
    p.add_argument("--talk", type=int, default=500, metavar="RATE", help="messages a second of the others meanwhile (500)")
    p.add_argument("--write", action="store_true", help="write docs/bench.md and its plots from the results")
    p.add_argument("--add", action="store_true", help="what is not measured now stays as the last run had it")
    p.add_argument("--show", action="store_true", help="measure nothing: print (and --write) the results of the last run")
    p.add_argument("--no-pin", action="store_true", help="let the system place the processes")
    o = p.parse_args()
    o.repeats = o.repeats or (1 if o.quick else 3)
    o.partners = o.partners or (200 if o.quick else 2000)
    o.idle = o.idle or (1000 if o.quick else 10000)
    o.subscriptions = o.subscriptions or (4000 if o.quick else 1000000)
    o.conversations = o.conversations or (1000 if o.quick else 10000)
    o.warm = o.warm or (400 if o.quick else 600)
    o.measure = o.measure or (1500 if o.quick else 2500)
    return o


# --- the machine ----------------------------------------------------------------------------------------------------

def field_shell(path, name):
    try:
        with open(path, encoding="utf-8") as f:
            return next((line.split("=", 1)[1].strip().strip('"') for line in f if line.startswith(f"{name}=")), "")
    except OSError:
        return ""


def machine():
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def build_options():
    """How the build directory compiles, from meson's own notes."""
    try:
        with open(f"{BUILD}/meson-info/intro-buildoptions.json", encoding="utf-8") as f:
            values = {x["name"]: x["value"] for x in json.load(f)}
        return f"-O{values['optimization']} sanitize={values['b_sanitize']} lto={str(values.get('b_lto', False)).lower()}"
    except (OSError, ValueError, KeyError):
        return ""


def package(name):
    return first_line("dpkg-query", "-W", "-f=${Version}", name)


def versions():
    kamailio = first_line(peers.program("kamailio"), "-v")
    entented = first_line(binary("entented"), "--version")
    return {
        "entented": entented.split()[-1] if entented else "",
        "commit": first_line("git", "-C", HERE, "describe", "--always", "--dirty", "--abbrev=12"),
        "build": build_options(),
        "kamailio": (re.search(r"\d+\.\d+\.\d+", kamailio) or [kamailio])[0],
        "prosody": package("prosody"),
        "ejabberd": package("ejabberd"),
        "jabberd2": package("jabberd2"),
        "haproxy": package("haproxy"),
        "openssl": " ".join(first_line("openssl", "version").split()[:2]),
        "system": field_shell("/etc/os-release", "PRETTY_NAME"),
    }


# --- the servers under test -----------------------------------------------------------------------------------------

def entented(bench, transport):
    daemon = bench.entented(f"{bench.run}/{transport}", transport)
    command(daemon, "partner", "xmpp", "add", PARTNER, "--type", "federated")
    return daemon


def kamailio(bench, transport):
    folder = f"{bench.run}/{transport}"
    peers.render("kamailio-tls.cfg.in", f"{folder}/kamailio-tls.cfg", CERTS=bench.certs)
    conf = render("kamailio-proxy.cfg.in", f"{folder}/kamailio-proxy.cfg", RUN=folder, PROXY=PROXY, HOME=peers.HOME, TRANSPORT=transport,
                  PORT=5061 if transport == "tls" else 5060)
    # Its default allocator takes four times as long at this pace, and it keeps every transaction for five seconds.
    argv = [*bench.pin, peers.program("kamailio"), "-f", conf, "-m", "2048", "-M", "16", "-x", "fm", "-X", "fm",
            "-w", folder, "-P", f"{folder}/kamailio.pid", "-Y", folder, "-DD", "-E"]
    return bench.start(Process("kamailio", argv, f"{folder}/kamailio.log", lambda _: answers(PROXY, 5060) and answers(PROXY, 5061)))


def one(bench, row, pids):
    """One run of the generator; its report, or None."""
    o = bench.o
    way = {"sip-to-xmpp": ("sip", "xmpp"), "xmpp-to-sip": ("xmpp", "sip"), "sip-to-sip": ("sip", "sip")}[row["direction"]]
    pace = ["--rate", o.rate] if row["load"] == "rate" else ["--window", o.window]
    return bench.generate("load", "--from", way[0], "--to", way[1], "--transport", row["transport"], "--certs", bench.certs, *pace,
                          "--target", peers.GATEWAY if row["server"] == "entented" else PROXY, "--users", o.users, "--body", o.body,
                          "--warm", o.warm, "--measure", o.measure, "--watch", ",".join(map(str, pids)))


# --- the whole ------------------------------------------------------------------------------------------------------

def rows_of(o):
    rows = []
    for transport in ("tls",) if o.quick else ("tls", "tcp"):
        for load in ("rate", "flat"):
            for server, direction in (("entented", "sip-to-xmpp"), ("entented", "xmpp-to-sip"), ("kamailio", "sip-to-sip")):
                name = f"{'kamailio' if server == 'kamailio' else direction}.{transport}.{load}"
                rows.append({"id": name, "server": server, "direction": direction, "transport": transport, "load": load,
                             "runs": []})
    return [r for r in rows if re.search(o.rows, r["id"])]


def measure(bench, rows, results):
    """Both servers run at the same time and are used in turn, so that a change of the machine's mood hits both."""
    o = bench.o
    if not rows:
        return
    server = bench.start(peers.name_server(bench.run))
    for transport in dict.fromkeys(r["transport"] for r in rows):
        servers = {"entented": entented(bench, transport), "kamailio": kamailio(bench, transport)}
        time.sleep(0.5)     # the children of Kamailio start after its ports are open
        pids = {name: tree(s.popen.pid) for name, s in servers.items()}
        idle = {name: memory(p, "VmRSS") for name, p in pids.items()}
        for n in range(o.repeats):
            for row in (r for r in rows if r["transport"] == transport):
                report.progress(f"{row['id']}, repeat {n + 1} of {o.repeats}")
                row["runs"].append(one(bench, row, pids[row["server"]]))
        results["memory"] += [{"server": name, "transport": transport, "idle_kib": idle[name],
                               "peak_kib": memory(p, "VmHWM")} for name, p in pids.items()]
        bench.stop(*reversed(servers.values()))
    bench.stop(server)
    report.progress("")


def measure_relay(bench, rows, results):
    """As above: all servers at the same time, used in turn."""
    if not rows:
        return
    r = relay.Relay(bench)
    server = peers.name_server(bench.run)
    relay.zone(bench.run)
    bench.start(server)
    servers = [r.start(row["server"]) for row in rows]
    time.sleep(1)
    idle = {row["server"]: memory(r.pids[row["server"]], "VmRSS") for row in rows}
    for n in range(bench.o.repeats):
        for row in rows:
            report.progress(f"{row['id']}, repeat {n + 1} of {bench.o.repeats}")
            row["runs"].append(r.one(row["server"], bench.o))
    for row in rows:
        row["idle_kib"], row["peak_kib"] = idle[row["server"]], memory(r.pids[row["server"]], "VmHWM")
    bench.stop(*reversed(servers), server)
    report.progress("")


def measure_sip(bench, rows, others, results):
    o = bench.o
    if not rows and not others:
        return
    server = bench.start(peers.name_server(bench.run))
    access.measure(bench, rows, results["memory"], report.progress)
    if "sip.quiet" in others:
        results["sip_quiet"] = access.quiet(bench, o.idle, o.measure, o.repeats, report.progress)
    if "sip.workers" in others:
        results["sip_workers"] = access.workers(bench, min(o.repeats, 2), report.progress)
    bench.stop(server)


PATH = f"{BUILD}/bench/results.json"
LISTS = ("rows", "relay", "sip")                        # by id
PARTS = ("sip_quiet", "sip_workers", "partners", "hold", "latency", "workers", "durable")


def last_results():
    try:
        with open(PATH, encoding="utf-8") as f:
            return json.load(f)
    except OSError:
        sys.exit(f"bench: there is no {PATH}: nothing was measured yet")


def add_to(old, new):
    """What `new` does not have it takes from `old`, and says when that was measured."""
    new["parts"] = {}

    def since(name):
        new["parts"][name] = old.get("parts", {}).get(name, old["date"][:16])

    for name in LISTS:
        have = {r["id"] for r in new[name]}
        kept = [r for r in old.get(name, []) if r["id"] not in have]
        if kept:
            since(name if not new[name] else f"{len(kept)} of {name}")
        new[name] = kept + new[name]
    for name in PARTS:
        if name not in new and name in old:
            since(name)
            new[name] = old[name]
    if "grow" in old:
        for half in ("room", "daemon"):
            kept = {k: v for k, v in old["grow"][half].items() if k not in new.get("grow", {}).get(half, {})}
            if kept:
                since("grow")
                new.setdefault("grow", {"room": {}, "daemon": {}, "ok": True})[half].update(kept)
    new["memory"] += [m for m in old["memory"] if all(any(m.get(k) != x.get(k) for k in ("server", "transport", "what")) for x in new["memory"])]


def tell(results, write):
    report.show(results)
    print(f"\nAll figures: {os.path.relpath(PATH)}")
    if write:
        print(f"Written: {os.path.relpath(page.write(results))}")
    if results.get("stopped"):
        sys.exit("\n".join(f"bench: {words}" for words in results["stopped"]) +
                 f"\nbench: the other parts are in {os.path.relpath(PATH)}; these again with --rows ... --add; logs are in {results['run']}")
    if not results["ok"]:
        sys.exit("bench: not every message arrived, see above" + (f"; logs are in {results['run']}" if results.get("run") else ""))


def attempt(bench, name, part):
    """What went wrong with a part of the run, in words, or None: the others have their figures all the same."""
    try:
        part()
    except Exception as e:      # a server that died shows itself as OSError, ValueError, ...
        report.progress("")
        bench.kill()
        return f"{name}: {e if isinstance(e, (LabError, subprocess.SubprocessError)) else repr(e)}"
    return None


def main():
    o = options()
    if o.show:
        results = last_results()
        report.finish(results)
        tell(results, o.write)
        return
    began = time.monotonic()
    rows = rows_of(o)
    relays = [{"id": f"relay.{name}", "server": name, "runs": []} for name in relay.SERVERS if re.search(o.rows, f"relay.{name}")]
    sips = access.rows_of(o)
    strains = [x for x in ("latency", "workers", "durable") if re.search(o.rows, x)]
    grows = [k for k in grow.KINDS if re.search(o.rows, f"grow.{k}")]
    crowd, holding = re.search(o.rows, "partners"), re.search(o.rows, "hold")
    others = [x for x in ("sip.quiet", *([] if o.quick else ["sip.workers"])) if re.search(o.rows, x)]
    if not (rows or relays or sips or others or crowd or holding or grows or strains):
        sys.exit(f"bench: no row matches {o.rows}")
    results = {"schema": 1, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "quick": o.quick,
               "machine": machine(), "memory": []}
    bench = Bench(o)
    results["versions"] = versions()
    results["settings"] = {"repeats": o.repeats, "warm_ms": o.warm, "measure_ms": o.measure, "rate": o.rate, "window": o.window,
                           "users": o.users, "body": o.body, "workers": 1,
                           "server_core": bench.cores and bench.cores[0], "generator_core": bench.cores and bench.cores[1]}

    def keep(name, part, *words):
        results[name] = part(bench, *words, report.progress)

    parts = [("messages", lambda: measure(bench, rows, results)), ("relay", lambda: measure_relay(bench, relays, results)),
             ("sip", lambda: measure_sip(bench, sips, others, results))]
    if crowd:
        parts.append(("partners", lambda: keep("partners", partners.measure, o.partners, o.talk, 1.5 if o.quick else 5.0)))
    if holding:
        parts.append(("hold", lambda: keep("hold", hold.measure, o.subscriptions, o.conversations)))
    parts += [(name, lambda name=name, part=part: keep(name, part, o.quick)) for name, part in
              (("latency", strain.latency), ("workers", strain.two_workers), ("durable", strain.durable)) if name in strains]
    if grows:
        parts.append(("grow", lambda: keep("grow", lambda b, progress: grow.measure(b, grows, o.quick, progress))))
    try:
        stopped = [words for words in (attempt(bench, *part) for part in parts) if words]
        bench.stop()
    except BaseException:
        bench.kill()
        raise
    done = [[r for r in some if len(r["runs"]) == o.repeats and (some is not relays or "peak_kib" in r)] for some in (rows, relays, sips)]
    results.update(rows=done[0], relay=done[1], sip=done[2], seconds=round(time.monotonic() - began), run=bench.run, stopped=stopped)
    if o.add and os.path.exists(PATH):
        add_to(last_results(), results)
    report.finish(results)
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    with open(PATH, "w", encoding="utf-8") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    tell(results, o.write and not stopped)


if __name__ == "__main__":
    main()
