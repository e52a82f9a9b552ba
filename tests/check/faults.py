# SPDX-License-Identifier: Apache-2.0
"""The cases: see README.md."""
import concurrent.futures
import ctypes
import glob
import json
import os
import sqlite3
import sys
import time
import traceback

import world
from world import DNS, OLD, OTHER, OURS, PLAIN, REFUSES, RUN, SILENT, SIX, WEB, entente, merged, right, settings, sh, write

CASES = []


class Case:
    """`area`: what is checked; `config`: changes of the healthy configuration; `expected`: [(id without check/, subject has, evidence has)]. `more`: further
    words of the command. `socket`: whose daemon is asked; None: nobody's. `who`: {id: who} that is not the table's."""
    def __init__(self, name, area, expected, config=None, more=(), socket="contoso", env=None, prepare=None, who=None, base=None, exit=None):
        self.name, self.area, self.expected, self.config, self.more = name, area, expected, config, more
        self.socket, self.env, self.prepare, self.who, self.base, self.exit = socket, env, prepare, who or {}, base, exit
        CASES.append(self)

    def run(self):
        began = time.monotonic()
        try:
            return self.judge()
        finally:
            self.seconds = time.monotonic() - began

    def judge(self):
        if self.prepare:
            self.prepare()
        path = write(f"case-{CASES.index(self)}", merged(self.base or settings(), self.config)) if self.area != "file" else self.config
        words = ["check", self.area, "--file", path, "--json", *self.more]
        done = entente(*words, "--socket", f"/run/entente/{self.socket or 'nobody'}.sock", env=self.env)
        try:
            said = json.loads(done.stdout)
        except ValueError:
            return f"entente {' '.join(words)} printed no JSON: {done.stdout[:200]} {done.stderr[:500]}", done
        if "findings" not in said:
            return f"no findings: {done.stdout[:500]}", done
        return self.compare(said, done), done

    def compare(self, said, done):
        trouble, open_ones = [], list(self.expected)
        for f in said["findings"]:
            for field in ("id", "area", "severity", "who", "subject", "title", "evidence", "why", "remedy", "doc"):
                if not f.get(field):
                    trouble.append(f"{f.get('id')} has no {field}")
            if f["id"] == "check/time-unsynchronised" and unsynchronised():
                continue
            for one in open_ones:
                if f["id"] == f"check/{one[0]}" and one[1] in f["subject"] and one[2] in f["evidence"]:
                    open_ones.remove(one)
                    if one[0] in self.who and f["who"] != self.who[one[0]]:
                        trouble.append(f"{one[0]}: {self.who[one[0]]} can fix it, not {f['who']}")
                    break
            else:
                trouble.append(f"not expected: {f['severity']} {f['id']} {f['subject']}: {f['evidence']}")
        trouble += [f"not found: {one}" for one in open_ones]
        expect = self.exit if self.exit is not None else int(said["errors"] + said["warnings"] > 0)
        if done.returncode != expect:
            trouble.append(f"exit {done.returncode} instead of {expect}")
        if said["checks"] - said["passed"] != len(said["findings"]):
            trouble.append(f"{said['checks']} checks, {said['passed']} passed, {len(said['findings'])} findings")
        return "\n".join(trouble)


def unsynchronised():
    """What the kernel says of this machine is true, and no fault of the world."""
    class Timex(ctypes.Structure):
        _fields_ = [("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 512)]
    t = Timex()
    return ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(t)) == 5 or int.from_bytes(bytes(t.rest)[36:40], "little") & 0x40


# --- DNS: one run, a domain for each fault ----------------------------------------------------------------------------

DOMAINS = {
    "contoso": {},
    "d-missing": {"xmpp": None},
    "d-target": {"xmpp": "_xmpp-server._tcp.d-target SRV 10 10 5269 old.elsewhere"},
    "d-port": {"xmpp": "_xmpp-server._tcp.d-port SRV 10 10 5222 gw.contoso"},
    "d-dot": {"xmpps": "_xmpps-server._tcp.d-dot SRV 0 0 0 ."},
    "d-foreign": {"sip": "_sipfederationtls._tcp.d-foreign SRV 0 10 5061 sip.elsewhere"},
    "d-alias": {"a": "sip.d-alias CNAME gw.contoso"},
    "d-prio": {"more": "_xmpp-server._tcp.d-prio SRV 1 10 5269 old.elsewhere"},
    "d-other": {"more": "_xmpp-server._tcp.d-other SRV 10 10 5269 old.elsewhere"},
    "d-weight": {"xmpp": "_xmpp-server._tcp.d-weight SRV 10 0 5269 gw.contoso", "more": "_xmpp-server._tcp.d-weight SRV 10 90 5269 old.elsewhere"},
    "d-noaddr": {"a": None},
    "d-local": {"a": "sip.d-local A 127.0.1.1"},
    "d-private": {"a": "sip.d-private A 10.0.0.7"},
    "d-elsewhere": {"a": "sip.d-elsewhere A 198.51.100.7"},
    "d-tlsa": {"more": "_5061._tcp.sip.d-tlsa TLSA 3 1 1 " + "cd" * 32},
    "eu.d-parent": {"more": "_xmpp-server._tcp.d-parent SRV 10 10 5269 gw.contoso"},
}
OTHERS = {      # not in the run of all domains
    "six": {"a": f"sip.six A {OURS}\nsip.six AAAA {SIX}"},
    "refused": {"a": f"sip.refused A {REFUSES}"},
    "silent": {"a": f"sip.silent A {SILENT}"},
    "other": {"a": f"sip.other A {OTHER}"},
    "plain": {"a": f"sip.plain A {PLAIN}"},
    "pool": {"a": f"sip.pool A {OURS}\nsip.pool A {OTHER}\nsip.pool A {REFUSES}"},
}
Case("dns/healthy", "dns", [])
Case("dns/every fault of records", "dns", [
    ("dns-srv-missing", "_xmpp-server._tcp.d-missing.test", f"resolver {DNS}"),
    ("dns-srv-target", "_xmpp-server._tcp.d-target.test", "10 10 5269 old.elsewhere.test."),
    ("dns-srv-port", "_xmpp-server._tcp.d-port.test", "5222 gw.contoso.test."),
    ("dns-srv-no-service", "_xmpps-server._tcp.d-dot.test", "0 0 0 ."),
    ("dns-srv-foreign", "_sipfederationtls._tcp.d-foreign.test", "sip.elsewhere.test."),
    ("dns-srv-alias", "sip.d-alias.test", "leads to gw.contoso.test"),
    ("dns-srv-priority", "_xmpp-server._tcp.d-prio.test", "1 10 5269 old.elsewhere.test."),
    ("dns-srv-other", "_xmpp-server._tcp.d-other.test", "old.elsewhere.test."),
    ("dns-srv-weight", "_xmpp-server._tcp.d-weight.test", "10 0 5269 gw.contoso.test."),
    ("dns-srv-other", "_xmpp-server._tcp.d-weight.test", "10 90 5269"),
    ("dns-address-missing", "sip.d-noaddr.test", "A: "),
    ("dns-address-local", "sip.d-local.test", "A 127.0.1.1"),
    ("dns-address-private", "sip.d-private.test", "A 10.0.0.7"),
    ("dns-address-other", "sip.d-elsewhere.test", "A 198.51.100.7"),
    ("dns-tlsa", "_5061._tcp.sip.d-tlsa.test", "3 1 1 cdcd"),
    ("dns-domain-not-ours", "d-parent.test", "gw.contoso.test"),
], {"homes": [{"name": "h", "domains": [f"{d}.test" for d in DOMAINS], "next-hop": "sip:127.0.0.11:5060;transport=tcp"}]}, socket=None)
Case("dns/an address that was named is not published", "dns", [("dns-address-unpublished", "gw.contoso.test", "192.0.2.50"), ("dns-address-unpublished", "sip.contoso.test", "192.0.2.50")],
     more=["--address", OURS, "--address", "192.0.2.50"])
Case("dns/a home that has no address", "dns", [("dns-home", "nohome.test", "homes[].next-hop")],
     {"homes": [{"name": "h", "domains": ["contoso.test"], "next-hop": "sip:nohome.test:5060;transport=tcp"}]})
Case("dns/the signature is broken", "dns", [("dns-bogus", "_xmpp-server._tcp.bogus.example", "SRV"), ("dns-bogus", "gw.bogus.example", "A gw"), ("dns-bogus", "gw.bogus.example", "AAAA gw")],
     {"server": {"name": "gw.bogus.example"}, "dns": {"trust-anchor": f"{RUN}/anchor"}, "sip": {"external-listen": None}, "xmpp": {"listen": [{"address": OURS}]},
      "homes": [{"name": "h", "domains": ["bogus.example"], "next-hop": "sip:127.0.0.11:5060;transport=tcp"}]})
Case("dns/the zone's servers fail", "dns", [("dns-failed", "_xmpp-server._tcp.broken.example", "SRV"),
     ("dns-domain-not-ours", "contoso.test", "gw.contoso.test")],       # the certificate names it, no home serves it any more
     {"sip": {"external-listen": None},
     "xmpp": {"listen": [{"address": OURS}]}, "homes": [{"name": "h", "domains": ["broken.example"], "next-hop": "sip:127.0.0.11:5060;transport=tcp"}]},
     who={"dns-failed": "network"})
Case("dns/the resolver is dead", "dns", [("dns-resolver", "127.0.0.99", "none of ")], more=["--resolver", "127.0.0.99"], who={"dns-resolver": "network"})

# --- certificates -----------------------------------------------------------------------------------------------------


def certificate(name, *expected, key=None, pem=None, who=None, **more):
    config = {"tls": {"certificate": f"{RUN}/{pem or name}.pem", "key": f"{RUN}/{key or pem or name}.key"}}
    Case(f"certs/{name}", "certs", list(expected), merged(config, more), who=who)


certificate("good")
certificate("whole")
certificate("expired", ("cert-expired", "expired.pem", "valid until"))
certificate("not-yet", ("cert-not-yet", "not-yet.pem", "valid from"))
certificate("soon", ("cert-soon", "soon.pem", "days are left of"))
certificate("last-days", ("cert-soon", "last-days.pem", "days are left of"))
certificate("no-names", ("cert-no-names", "no-names.pem", "CN=no-names"))
certificate("lacks", ("cert-name", "sip.contoso.test", "contoso.test, gw.contoso.test"))
certificate("wildcard", ("cert-wildcard", "sip.contoso.test", "*.contoso.test"), ("cert-wildcard", "gw.contoso.test", "*.contoso.test"))
certificate("weak", ("cert-key-weak", "weak.pem", "RSA with 1024 bits"))
certificate("sha1", ("cert-signature", "sha1.pem", "ecdsa-with-SHA1"), who={"cert-signature": "authority"})
certificate("client-only", ("cert-not-server", "client-only.pem", "clientAuth"))
certificate("server-only", ("cert-not-client", "server-only.pem", "serverAuth"))
certificate("no-list", ("cert-list-unreachable", "no-list.pem", "nowhere.crl"))
certificate("stale", ("cert-list-stale", "stale.pem", "stale.crl"))
certificate("revoked", ("cert-revoked", "revoked.pem", "ca.crl"))
certificate("cut", ("cert-intermediate", "cut.pem", "CN=middle"))
certificate("old-chain", ("cert-chain-expired", "old-chain.pem", "CN=gone"))
certificate("rogue-leaf", ("cert-self-signed", "rogue-leaf.pem", "CN=rogue"))
certificate("exposed", ("cert-key-exposed", "exposed.key", "mode 0644"))
certificate("another key", ("cert-key-mismatch", "good.pem", "differ"), pem="good", key="soon")
certificate("a key with a passphrase", ("cert-malformed", "locked.key", "passphrase"), pem="good", key="locked")
certificate("no key", ("cert-unreadable", "nothing.key", "No such file"), pem="good", key="nothing")
certificate("no file", ("cert-unreadable", "nothing.pem", "No such file"), pem="nothing")
certificate("rubbish", ("cert-malformed", "rubbish.pem", "no certificate in PEM"), pem="rubbish", key="good")
Case("certs/none", "certs", [("cert-none", "gw.contoso.test", "tls.certificate")], {"tls": {"certificate": None, "key": None}, "sip": {"external-listen": None},
     "xmpp": {"listen": [{"address": OURS}]}})

# --- ports and pools --------------------------------------------------------------------------------------------------


def domain(name, **more):
    return {"homes": [{"name": "h", "domains": [f"{name}.test"], "next-hop": "sip:127.0.0.11:5060;transport=tcp"}], **more}


def ports(name, *expected, who=None, area="ports", **config):
    Case(f"{area}/{name}", area, list(expected), domain(name, **config), who=who)


Case("ports/healthy", "ports", [])
Case("pool/healthy", "pool", [])
ports("refused", ("port-refused", f"sip.refused.test ({REFUSES}:5061)", "refused"), who={"port-refused": "network"})
ports("silent", ("port-filtered", f"sip.silent.test ({SILENT}:5061)", "no answer"), who={"port-filtered": "network"})
ports("other", ("port-other", f"sip.other.test ({OTHER}:5061)", "stranger.test"))
ports("plain", ("port-tls", f"sip.plain.test ({PLAIN}:5061)", "TLS"))
ports("six", ("port-ipv6", "sip.six.test", SIX), ("port-refused", f"[{SIX}]:5061", "refused"))
Case("ports/another program has it", "ports", [("port-taken", "127.0.0.12:7777", "python3")],
     {"sip": {"listen": [{"address": "127.0.0.12", "port": 5060, "transport": "tcp"}, {"address": "127.0.0.12", "port": 7777, "transport": "tcp"}]}})
Case("ports/set since the daemon was started", "ports", [("port-not-bound", "127.0.0.12:7778", "nothing listens")],
     {"sip": {"listen": [{"address": "127.0.0.12", "port": 5060, "transport": "tcp"}, {"address": "127.0.0.12", "port": 7778, "transport": "tcp"}]}})
Case("ports/metrics for everybody", "ports", [("port-metrics", "metrics.listen", "192.0.2.10:9464"), ("port-not-bound", "metrics.listen", "9464")],
     {"metrics": {"listen": f"{OURS}:9464"}})
ports("pool", ("pool-certificate", f"{OTHER}:5061", "serial"), ("pool-down", f"{REFUSES}:5061", "Connection refused; 2 of 3 answer"), area="pool")

# --- configuration ----------------------------------------------------------------------------------------------------

Case("config/healthy", "config", [])
Case("config/what does harm", "config", [
    ("config-pool-secret", "xmpp.dialback-secret-file", "sip.pool"), ("config-home-loop", "home", "127.0.0.12 port 5060"),
    ("config-keepalive", "timers.keepalive-timeout", "300 s"), ("config-revocation-off", "tls.revocation", "off"), ("config-sip-port", "sip.external-listen", "5099"),
    ("config-internal-udp", "sip.listen", "5060 on 192.0.2.10"), ("config-limits", "limits.max-connections", "is 100,"), ("config-volatile", "server.state-directory", "/tmp/entente"),
], {"server": {"state-directory": "/tmp/entente"}, "tls": {"revocation": "off"}, "timers": {"keepalive": "250s", "keepalive-timeout": "300s"},
         "limits": {"max-connections": 100, "max-unproven": 200},
         "sip": {"pool": ["192.0.2.99:5060"], "external-listen": [{"address": OURS, "port": 5099}],
                 "listen": [{"address": "127.0.0.12", "port": 5060, "transport": "tcp"}, {"address": OURS, "port": 5060, "transport": "udp"}]},
         "homes": [{"name": "home", "domains": ["contoso.test"], "next-hop": "sip:127.0.0.12:5060;transport=tcp"}]})
Case("config/lists from private places", "config", [("config-fetch-private", "tls.revocation-private-addresses", "true")], {"tls": {"revocation-private-addresses": True}})
Case("config/a certificate that is not there is for the area certs", "config", [], {"tls": {"certificate": f"{RUN}/nothing.pem"}})
Case("config/authorities that are not there", "config", [("config-invalid", ".yaml:3", "nothing.pem")], {"tls": {"trust": f"{RUN}/nothing.pem"}})
Case("dns/a resolver that is none", "dns", [("dns-resolver", "dns.servers", "resolver")], more=["--resolver", "resolver"])
Case("config/an unknown key", "config", [("config-invalid", ".yaml:1", "nmae")], {"server": {"nmae": "x"}})

# --- time -------------------------------------------------------------------------------------------------------------

FAKE = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") or [None])[0]
Case("time/healthy", "time", [], more=["--clock", f"http://{WEB[0]}:{WEB[1]}/right"])
Case("time/others say another time", "time", [("time-skew", "/fast", "behind")], more=["--clock", f"http://{WEB[0]}:{WEB[1]}/fast"])
if FAKE and not os.environ.get("ASAN_OPTIONS"):
    Case("time/before this program was made", "time", [("time-before-release", "clock", "2020-01-01"), ("time-skew", "ca.crl", "behind")],
         env={"LD_PRELOAD": FAKE, "FAKETIME": "@2020-01-01 00:00:00", "NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"})

# --- disk -------------------------------------------------------------------------------------------------------------


def disk(name, *expected, prepare):
    path = f"{RUN}/disk-{name.replace(' ', '-')}"

    def make():
        os.makedirs(path, mode=0o750)
        prepare(path)
    Case(f"disk/{name}", "disk", list(expected), {"server": {"state-directory": path}}, socket=None if name == "missing" else "contoso", prepare=make)


def mounted(*options, after=None):
    def prepare(path):
        sh("mount", "-t", "tmpfs", "-o", ",".join(("mode=750", *options)), "tmpfs", path)
        if after:
            after(path)
    return prepare


def database(path, pages=200):
    db = sqlite3.connect(f"{path}/entente.db")
    with db:
        db.execute("CREATE TABLE t(x TEXT UNIQUE)")
        db.executemany("INSERT INTO t VALUES(?)", ((f"{i:05d}" + "x" * 500,) for i in range(pages)))
    db.close()
    os.chmod(f"{path}/entente.db", 0o600)


def spoil(path):
    database(path)
    with open(f"{path}/entente.db", "r+b") as f:
        f.seek(4096 * 7)
        f.write(b"\xff" * 4096 * 3)


def journal(path):
    database(path)
    with open(f"{path}/entente.db-wal", "wb") as f:
        f.truncate(200 << 20)
    os.chmod(f"{path}/entente.db-wal", 0o600)


def fill_inodes(path):
    for i in range(20):
        with open(f"{path}/{i}", "w", encoding="ascii"):
            pass


def others_own(path):
    database(path)
    os.chown(f"{path}/entente.db", 12345, 12345)


def open_to_all(path):
    database(path)
    os.chmod(path, 0o755)
    os.chmod(f"{path}/entente.db", 0o644)


Case("disk/healthy", "disk", [])
disk("full", ("disk-full", "disk-full", "of 8 MiB"), prepare=mounted("size=8m"))
disk("read-only", ("disk-read-only", "disk-read-only", "read-only"), prepare=mounted("size=512m", after=lambda p: sh("mount", "-o", "remount,ro", p)))
disk("inodes", ("disk-inodes", "disk-inodes", "of 30 inodes"), prepare=mounted("size=512m", "nr_inodes=30", after=fill_inodes))
disk("damaged", ("disk-database", "disk-damaged/entente.db", "SQLite"), prepare=spoil)
disk("journal", ("disk-wal", "entente.db-wal", "200 MiB"), prepare=journal)
disk("modes", ("disk-mode", "disk-modes", "0755"), ("disk-mode", "entente.db", "0644"), prepare=open_to_all)
if os.geteuid() == 0 and not open("/proc/self/uid_map", encoding="ascii").read().split()[2] == "1":
    disk("owner", ("disk-owner", "entente.db", "12345"), prepare=others_own)
disk("missing", ("disk-missing", "disk-missing", "No such file"), prepare=os.rmdir)

# --- the daemon and partners ------------------------------------------------------------------------------------------

Case("system/healthy", "system", [])
Case("system/nobody answers", "system", [("system-daemon", "nobody.sock", "No such file")], socket=None)
LITWARE = settings("gw.litware.test", ("litware.test",), OLD, "litware", "litware")
LITWARE["sip"] = {"listen": [{"address": "127.0.0.13", "port": 5060, "transport": "tcp"}]}
LITWARE["tls"]["key"] = f"{RUN}/litware.key"
LITWARE["xmpp"] = {"listen": [{"address": OLD}]}
LITWARE["homes"][0]["next-hop"] = "sip:127.0.0.11:5999;transport=tcp"
Case("system/few descriptors, an open socket, no home", "system", [
    ("system-descriptors", "limits.max-connections", "300 files"), ("system-socket", "litware.sock", "0666"), ("system-problem", "entented", "home home cannot be reached"),
    ("system-problem", "entented", "certificate"), ("system-keys-open", "server.sandbox", "litware.key")], socket="litware", base=LITWARE, prepare=lambda: os.chmod("/run/entente/litware.sock", 0o666))
Case("partners/healthy", "partners", [], more=["fabrikam.test"])
Case("partners/faults", "partners", [
    ("partner-fails", "northwind.test", "fails at tcp"), ("partner-clear", "northwind.test", "tls is optional"), ("partner-cert-soon", "litware.test", "days are left")],
    more=["northwind.test", "litware.test"], who={"partner-fails": "partner"}, prepare=lambda: add("contoso", ["litware.test"], ["northwind.test", "--tls", "optional"]))
Case("all/healthy", "all", [])


def add(who, *partners):
    for one in partners:
        done = entente("partner", "xmpp", "add", *one, "--type", "federated", "--socket", f"/run/entente/{who}.sock")
        if done.returncode:
            raise RuntimeError(f"partner {one} of {who}: {done.stdout}{done.stderr}")


def make():
    world.network()
    files = world.certificates()
    world.web(files)
    world.serve(world.HOME, world.Holds)
    world.serve(("127.0.0.12", 7777), world.Holds)
    world.stranger((OTHER, 5061))
    world.serve((PLAIN, 5061), world.Babbles)
    keep = world.silent((SILENT, 5061))
    dns = world.name_server({**DOMAINS, **OTHERS})
    dns.start()
    fabrikam = settings("gw.fabrikam.test", ("fabrikam.test",), world.PARTNER, "fabrikam", "fabrikam")
    fabrikam["sip"] = {"listen": [{"address": "127.0.0.14", "port": 5060, "transport": "tcp"}]}
    fabrikam["xmpp"] = {"listen": [{"address": world.PARTNER}]}
    daemons = [world.entented("contoso", settings()), world.entented("fabrikam", fabrikam), world.entented("litware", LITWARE, descriptors=300)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda d: d.start(), daemons))
    add("contoso", ["fabrikam.test"])
    add("fabrikam", ["contoso.test"])
    add("litware", ["contoso.test"])
    return keep, [*daemons, dns]


def main():
    loud = "-v" in sys.argv
    patterns = [a for a in sys.argv[1:] if a != "-v"]
    chosen = [c for c in CASES if not patterns or any(p in c.name for p in patterns)]
    began = time.monotonic()
    keep, processes = make()
    failed = number = 0
    print(f"# the world stands after {time.monotonic() - began:.1f} s")

    def tell(case, result):
        nonlocal failed, number
        trouble, done = result
        number += 1
        failed += bool(trouble)
        print(f"{'not ok' if trouble else 'ok'} {number} {case.name} ({case.seconds:.1f}s)")
        for line in (trouble or "").splitlines():
            print(f"    {line}")
        if loud:
            print(done.stdout, done.stderr)
    try:
        last = [c for c in chosen if c.name == "partners/faults"]     # what the daemon learns there it does not forget
        early = sorted((c for c in chosen if c not in last), key=lambda c: c.name not in ("ports/silent", "dns/the resolver is dead"))   # what waits, first
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for case, result in zip(early, pool.map(Case.run, early)):
                tell(case, result)
        for case in last:
            tell(case, case.run())
    except Exception:   # noqa: BLE001 the output is all that is left
        traceback.print_exc()
        failed += 1
    finds = {e[0] for c in chosen for e in c.expected}
    print(f"# {sum(len(c.expected) for c in chosen)} seeded faults of {len(finds)} kinds, {time.monotonic() - began:.1f} s")
    for p in reversed(processes):
        p.kill()
    del keep
    print(f"{number - failed} passed, {failed} failed")
    sys.stdout.flush()
    os._exit(1 if failed else 0)


main()
