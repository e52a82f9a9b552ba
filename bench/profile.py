# SPDX-License-Identifier: Apache-2.0
"""Where entented's time goes, by room and by function, under one kind of load. With perf: samples of the processor's time, the kernel's part too, under
full load. With callgrind: instructions of each message, exact and repeatable to about a percent whatever else the machine does, without the kernel.
Started by bench/profile; docs/bench.md has tables of it."""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import threading
import time

import access
import relay
import strain
from common import BUILD, LIMITS, Bench, Generator, LabError, binary, command, peers
from partners import add_partners, zone

PARTNER = "fabrikam.test"
ROWS = {
    "sip-to-xmpp": "a message, SIP over TLS to XMPP", "xmpp-to-sip": "a message, XMPP to SIP over TLS", "journal": "the same with a home that takes 30 ms to answer: each is in the journal",
    "relay": "an XMPP stanza in and its answer out",
    "sip.message": "a MESSAGE through the Access Edge, TLS to TLS", "sip.call": "a call through the Access Edge, TLS to TLS",
    "watch": "a SIP user begins to watch an XMPP user", "watched": "an XMPP user begins to watch a SIP user",
}
LIBRARIES = (("libcrypto", "OpenSSL"), ("libssl", "OpenSSL"), ("libexpat", "expat"), ("libsqlite3", "SQLite"), ("libevent", "libevent"), ("libc.so", "libc"),
             ("libc-", "libc"), ("libicu", "ICU"), ("ld-", "libc"), ("libunbound", "libunbound"), ("vgpreload", "libc"))
SECONDS = 5.0


# --- the loads ------------------------------------------------------------------------------------------------------

class Load:
    """A daemon and what drives it. `drive(ms)` runs the load and returns how many messages there were in all."""
    quick = False                               # under callgrind
    open = "server:\n  sandbox: off\n  key-process: off\n"      # valgrind needs more than a server may, and starts no program by another name

    def __init__(self, bench, row):
        self.bench, self.row, self.calls = bench, row, 0
        self.window = 32 if self.quick else 256
        getattr(self, "start_" + ("hold" if row.startswith("watch") else "sip" if row.startswith("sip.") else row.replace("-", "_")))()
        # under valgrind the program's process is valgrind's: the same
        self.pid = self.daemon.popen.pid

    def generate(self, name, *words):
        report = self.bench.generate(name, "--certs", self.bench.certs, *words, timeout=300)
        if not report:
            raise LabError(f"{self.row}: the generator failed")
        return report

    def start_translation(self):
        self.bench.start(peers.name_server(self.bench.run))
        self.daemon = self.bench.entented(f"{self.bench.run}/p", "tls", LIMITS + self.open)
        command(self.daemon, "partner", "xmpp", "add", PARTNER, "--type", "federated")
        way, late = (("xmpp", "sip"), strain.LATE) if self.row == "journal" else (self.row.split("-to-"), [])
        self.drive = lambda ms: self.generate("load", "--from", way[0], "--to", way[1], "--transport", "tls", "--target", peers.GATEWAY, "--users", 100 if self.quick else 500,
                                              "--warm", 0, "--measure", int(ms), "--window", self.window, *late)["total"]
    start_sip_to_xmpp = start_xmpp_to_sip = start_journal = start_translation

    def start_relay(self):
        r = relay.Relay(self.bench)
        server = peers.name_server(self.bench.run)
        relay.zone(self.bench.run)
        self.bench.start(server)
        self.daemon = r.start("entented")
        address, domain, listen = relay.SERVERS["entented"]
        self.drive = lambda ms: self.generate("relay", "--own", r.own, "--listen", listen, "--target", address, "--server", domain, "--prefix", "entented",
                                              "--window", self.window, "--warm", 0, "--measure", int(ms))["stanzas"]

    def start_sip(self):
        self.bench.start(peers.name_server(self.bench.run))
        self.daemon = access.entented(self.bench, f"{self.bench.run}/p", "tls", LIMITS + self.open)
        row = {"kind": self.row.split(".")[1], "transport": "tls", "load": "flat", "server": "entented", "way": "out"}
        self.drive = lambda ms: access.run(self.bench, row, [], "--warm", 0, "--measure", int(ms), "--window", self.window // (8 if row["kind"] == "call" else 1),
                                           "--users", 100 if self.quick else 500)["total"]

    def start_hold(self):
        server = peers.name_server(self.bench.run)
        zone(self.bench.run, {"xmpp.hold": ("127.0.0.24", ["h0000.hold.test"])})
        self.bench.start(server)
        self.daemon = self.bench.entented(f"{self.bench.run}/p", "tls", "limits:\n  max-subscriptions: 2000000\n  partner-rate: 100000\n  sender-rate: 100000\n" + self.open)
        add_partners(["h0000.hold.test"])
        self.g = Generator([self.bench.generator("hold"), "--certs", self.bench.certs, "--own", "/run/bench-hold"], f"{self.bench.run}/hold.log")
        self.g.hear("ready", 120)
        self.g.ask("say 1", "say", 60)      # streams and connections are there
        self.users = 0

        def drive(ms):
            n = max(int(ms * (0.1 if self.quick else 5)), 10)
            done = self.g.ask(f"{self.row} {self.users + n} {self.users}", self.row, 600)
            self.users += n
            return done["done"]
        self.drive = drive

    def stop(self):
        if self.row.startswith("watch"):
            self.g.stop()
        self.bench.stop()


# --- places ---------------------------------------------------------------------------------------------------------

def room_of(path, library=""):
    found = re.search(r"(?:^|/)src/(\w+)/", path or "")
    if found:
        return found.group(1)
    return next((name for word, name in LIBRARIES if word in library), os.path.basename(library) or "?")


class Profile:
    """What was counted: {(room, function): amount}."""

    def __init__(self, row, tool, unit, messages):
        self.row, self.tool, self.unit, self.messages = row, tool, unit, messages
        self.found = collections.Counter()

    def table(self, top):
        total = sum(self.found.values()) or 1
        rooms = collections.Counter()
        for (room, _), amount in self.found.items():
            rooms[room] += amount
        each = total / self.messages if self.messages else 0

        def share(name, amount):
            row = {"name": name, "share": round(amount / total, 4)}
            return {**row, "each": round(amount / self.messages, 1)} if self.messages else row
        return {"row": self.row, "words": ROWS[self.row], "tool": self.tool, "unit": self.unit, "messages": self.messages, "each": round(each, 1),
                "rooms": [share(name, amount) for name, amount in rooms.most_common() if amount / total >= 0.001],
                "functions": [{**share(f, amount), "room": room} for (room, f), amount in self.found.most_common(top)]}


# --- perf -----------------------------------------------------------------------------------------------------------

def with_perf(bench, row):
    work = Load(bench, row)
    data, driven = f"{bench.run}/perf.data", []
    work.drive(1000)        # what is made once is there
    thread = threading.Thread(target=lambda: driven.append(work.drive(SECONDS * 1000)))
    thread.start()
    time.sleep(0.8)         # it connects, and each pair is known
    subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-o", data, "-p", str(work.pid), "--", "sleep", str(SECONDS - 1.5)],
                   check=True, stderr=subprocess.DEVNULL, timeout=60)
    base = load_address(work.pid)
    thread.join()
    profile = Profile(row, "perf", "samples of CPU time", 0)
    said = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"], check=True, capture_output=True, text=True, timeout=120).stdout
    ours = collections.Counter()
    for line in said.splitlines():
        found = re.match(r"\s*([0-9a-f]+) (.+?)(?:\+0x[0-9a-f]+)? \((.*)\)\s*$", line)
        if not found:
            continue
        ip, symbol, dso = found.groups()
        if os.path.basename(dso) == "entented":
            ours[int(ip, 16) - base] += 1
        elif dso.startswith("[") and dso != "[vdso]":
            profile.found["kernel", symbol] += 1
        else:
            profile.found[room_of("", dso), symbol] += 1
    for address, (function, path) in places(list(ours)).items():
        profile.found[room_of(path), function] += ours[address]
    work.stop()
    return profile


def load_address(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words[-1].endswith("/entented"):
                return int(words[0].split("-")[0], 16) - int(words[2], 16)
    return 0


def places(addresses):
    """{address: (function that it is part of, not what was inlined there; file)}."""
    if not addresses:
        return {}
    said = subprocess.run(["addr2line", "-e", binary("entented"), "-a", "-f", "-i"], input="\n".join(hex(a) for a in addresses), check=True, capture_output=True,
                          text=True, timeout=120).stdout
    found, lines, at = {}, said.splitlines(), None
    i = 0
    while i < len(lines):
        if lines[i].startswith("0x"):
            at = int(lines[i], 16)
            i += 1
            continue
        found[at] = (lines[i], lines[i + 1].rsplit(":", 1)[0])     # the last one is the outermost
        i += 2
    return found


# --- callgrind ------------------------------------------------------------------------------------------------------

def with_callgrind(bench, row):
    out = f"{bench.run}/callgrind"
    os.environ["ENTENTE_WRAPPER"] = ("valgrind --tool=callgrind --compress-strings=no --compress-pos=no --dump-line=no --trace-children=no "
                                     f"--callgrind-out-file={out}")
    Load.quick = True
    work = Load(bench, row)
    counts = []
    for ms in (1500, 1500, 6000):       # the first one makes what is made once; the longer one less the shorter one is messages alone
        counts.append(work.drive(ms))
        subprocess.run(["callgrind_control", "--dump", str(work.pid)], check=True, capture_output=True, timeout=60)
    work.stop()
    _, short, long = (read_callgrind(f"{out}.{n}") for n in (1, 2, 3))
    profile = Profile(row, "callgrind", "instructions", counts[2] - counts[1])
    for key, amount in long.items():
        if amount > short[key]:
            profile.found[key] += amount - short[key]
    if profile.messages <= 0:
        raise LabError(f"{row}: the longer run had no more messages than the shorter one: is the machine very busy?")
    return profile


def read_callgrind(path):
    """Own cost of each function: {(room, function): instructions}."""
    found, ob, fl, fn, skip = collections.Counter(), "", "", "", False
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("ob="):
                ob = line[3:].strip()
            elif line.startswith("fl="):
                fl = line[3:].strip()
            elif line.startswith("fn="):
                fn = re.sub(r"'\d+$", "", line[3:].strip())
            elif line.startswith("calls="):
                skip = True         # the next line is what was called, not its own
            elif line[:1].isdigit() or line[:1] in "+-*":
                if not skip:
                    found[room_of(fl, ob), fn] += int(line.split()[1])
                skip = False
    return found


# --- the whole ------------------------------------------------------------------------------------------------------

def show(t, top):
    print(f"\n{t['row']}: {t['words']}" + (f"; {t['each']:.0f} {t['unit']} each, {t['messages']} of them" if t["messages"] else f"; {t['unit']}"))
    for title, rows in (("room", t["rooms"]), ("function", t["functions"][:top])):
        print(f"  {'share':>7}{'each' if t['messages'] else '':>10}  {title}")
        for r in rows:
            where = f"{r['room'] + '/' if 'room' in r else ''}{r['name']}"
            print(f"  {r['share'] * 100:6.1f}%{r['each'] if t['messages'] else '':>10}  {where}")


def main():
    p = argparse.ArgumentParser(prog="bench/profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="Rows: " + "; ".join(f"{k}: {v}" for k, v in ROWS.items()))
    p.add_argument("rows", nargs="*", metavar="ROW", help="which loads (all)")
    p.add_argument("--tool", choices=("perf", "callgrind"), default="perf")
    p.add_argument("--top", type=int, default=25, help="functions to print (25)")
    p.add_argument("--no-pin", action="store_true", help="let the system place the processes")
    o = p.parse_args()
    o.__dict__.update(users=500, body=100, warm=0, measure=1000, rate=1000, window=256, repeats=1, quick=False)
    unknown = [r for r in o.rows if r not in ROWS]
    if unknown:
        p.error(f"no row {unknown[0]}; rows are {', '.join(ROWS)}")
    tables = []
    for row in o.rows or ROWS:
        bench = Bench(o)
        try:
            profile = {"perf": with_perf, "callgrind": with_callgrind}[o.tool](bench, row)
        except (LabError, subprocess.SubprocessError, OSError) as e:
            bench.kill()
            sys.exit(f"profile: {row}: {e}\nprofile: logs are in {bench.run}")
        except BaseException:
            bench.kill()
            raise
        tables.append(profile.table(40))
        show(tables[-1], o.top)
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    path = f"{BUILD}/bench/profile-{o.tool}.json"
    kept = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            kept = [t for t in json.load(f) if t["row"] not in {x["row"] for x in tables}]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(kept + tables, f, indent=1)
        f.write("\n")
    print(f"\nAll figures: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
