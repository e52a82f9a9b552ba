# SPDX-License-Identifier: Apache-2.0
"""Stanzas through one XMPP server, in on one stream and out on another: entented beside Prosody, ejabberd and jabberd2, which are
here as they are fastest. Part of bench.py; docs/bench.md says what is measured."""
import glob
import os
import re
import subprocess

from common import LIMITS, LabError, command, peers, pids_of, render, rewrite
from daemon import Split
from process import Group, Process, answers

SERVERS = {     # name: (its address, its domain, the address of the partner that it talks with)
    "entented": (peers.GATEWAY, "contoso.test", "127.0.0.41"),
    "split": ("127.0.0.15", "contoso.test", "127.0.0.45"),      # edge and gateway as two processes, linked by mutual TLS
    "prosody": ("127.0.0.32", "prosody.test", "127.0.0.42"),
    "ejabberd": ("127.0.0.33", "ejabberd.test", "127.0.0.43"),
    "jabberd2": ("127.0.0.34", "jabberd2.test", "127.0.0.44"),
}


def partner(name):
    return f"{name}0000.relay.test"


def zone(run):
    with open(f"{run}/knot/test.zone", "a", encoding="utf-8") as f:
        for name, (_, _, address) in SERVERS.items():
            f.write(f"{name}.relay  A  {address}\n_xmpp-server._tcp.{partner(name)}.  SRV  0 0 5269 {name}.relay\n")


class Relay:
    def __init__(self, bench):
        self.bench = bench
        self.own = f"{bench.run}/relay-certs"
        self.pids = {}
        domains = [d for _, d, _ in SERVERS.values()] + [partner(n) for n in SERVERS]
        subprocess.run([bench.generator("certificate"), bench.certs, self.own, *domains], check=True, timeout=60)

    def folder(self, name):
        folder = f"{self.bench.run}/relay-{name}"
        os.makedirs(folder)
        return folder, {"RUN": folder, "CERTS": self.bench.certs, "OWN": self.own, "ADDRESS": SERVERS[name][0], "DOMAIN": SERVERS[name][1]}

    def both(self, folder, domain):
        """Certificate and key in one file."""
        with open(f"{folder}/{domain}-both.pem", "w", encoding="utf-8") as out:
            for end in ("pem", "key"):
                with open(f"{self.own}/{domain}.{end}", encoding="utf-8") as f:
                    out.write(f.read())

    def split(self):
        folder, _ = self.folder("split")
        server = Split(folder, self.bench.certs, "external", "tls", 1, "info", LIMITS)
        for part in server.parts:
            # entented of one process has the usual address; the link keeps it, as DNS says
            rewrite(part.config, ("trace: true", "trace: false"), ("address: 127.0.0.12, port", f"address: {SERVERS['split'][0]}, port"))
        return server

    def prosody(self):
        folder, values = self.folder("prosody")
        os.makedirs(f"{folder}/data")
        conf = render("prosody.cfg.lua.in", f"{folder}/prosody.cfg.lua", **values)
        return Process("prosody", [*self.bench.pin, peers.program("prosody"), "-F", "--config", conf], f"{folder}/out",
                       lambda _: answers(values["ADDRESS"], 5269))

    def ejabberd(self):
        folder, values = self.folder("ejabberd")
        self.both(folder, values["DOMAIN"])
        conf = render("ejabberd.yml.in", f"{folder}/ejabberd.yml", **values)
        libraries = glob.glob("/usr/lib/*/ejabberd-*")
        if not libraries:
            raise LabError("ejabberd is not installed: run tools/deps bench")
        env = {"EJABBERD_CONFIG_PATH": conf, "EJABBERD_LOG_PATH": f"{folder}/ejabberd.log", "HOME": folder,
               "ERL_INETRC": f"{peers.ETC}/ejabberd.inetrc", "ERL_LIBS": os.path.dirname(libraries[0]), "ERL_CRASH_DUMP_BYTES": "0"}
        # one scheduler, that does not spin: it has one core, as the others have
        argv = [*self.bench.pin, peers.program("erl"), "+S", "1:1", "+SDcpu", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                "-noinput", "-mnesia", "dir", f'"{folder}/db"', "-s", "ejabberd"]
        return Process("ejabberd", argv, f"{folder}/out", lambda _: answers(values["ADDRESS"], 5269), env=env, cwd=folder, timeout=60)

    def jabberd2(self):
        folder, values = self.folder("jabberd2")
        os.makedirs(f"{folder}/fs")
        self.both(folder, values["DOMAIN"])
        modules = glob.glob("/usr/lib/*/jabberd2")
        if not modules:
            raise LabError("jabberd2 is not installed: run tools/deps bench")
        programs = []
        render("jabberd2-router-users.xml.in", f"{folder}/router-users.xml", **values)
        for name, ready in (("router", lambda _: answers(values["ADDRESS"], 5347)),
                            ("sm", lambda _: self.joined(folder, values["DOMAIN"])),
                            ("s2s", lambda _: answers(values["ADDRESS"], 5269))):
            conf = render(f"jabberd2-{name}.xml.in", f"{folder}/{name}.xml", MODULES=modules[0], **values)
            programs.append(Process(f"jabberd2-{name}", [*self.bench.pin, peers.program(f"jabberd2-{name}"), "-c", conf],
                                    f"{folder}/{name}.out", ready))
        return Group("jabberd2", programs)

    @staticmethod
    def joined(folder, domain):
        """Has the session manager told the router its domain?"""
        try:
            with open(f"{folder}/router.log", encoding="utf-8", errors="replace") as f:
                return re.search(rf"\[{re.escape(domain)}\] online", f.read()) is not None
        except OSError:
            return False

    def start(self, name):
        if name == "entented":
            server = self.bench.entented(f"{self.bench.run}/relay-entented", "tls")
        else:
            server = self.bench.start(getattr(self, name)())
        if name in ("entented", "split"):
            command(server, "partner", "xmpp", "add", partner(name), "--type", "federated")
        self.pids[name] = pids_of(server)
        return server

    def one(self, name, o):
        address, domain, listen = SERVERS[name]
        return self.bench.generate("relay", "--certs", self.bench.certs, "--own", self.own, "--listen", listen, "--target", address,
                                   "--server", domain, "--prefix", name, "--window", o.window, "--warm", o.warm, "--measure", o.measure,
                                   "--watch", ",".join(map(str, self.pids[name])), *(["--dialback"] if name == "jabberd2" else []))
