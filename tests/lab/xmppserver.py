# SPDX-License-Identifier: Apache-2.0
"""The partner's XMPP server: Prosody, ejabberd or jabberd2, in the stance that a test wants."""
import glob
import gzip
import http.client
import json
import os
import re
import shutil
import sqlite3
import time
from typing import NamedTuple

from peers import ETC, XMPP, program, render
from process import Group, Process, answers
from waiting import LabError

PASSWORD = "secret"
DOMAINS = ("fabrikam.test", "litware.test")


class Stance(NamedTuple):
    """How a server behaves towards other servers. A server that cannot be had so does what comes nearest: ejabberd offers EXTERNAL
    whenever there is TLS, jabberd2 never offers it and always does dialback."""
    certificate: str = "fabrikam"   # a name of lab/certs; "*": each domain has one of its own, of that name
    tls: str = "required"           # required | optional | off
    external: bool = True           # SASL EXTERNAL
    dialback: bool = True
    strict: bool = False            # a certificate that proves the domain is demanded
    bidi: bool = False              # stanzas of both directions on one stream (XEP-0288); Prosody only


STANCES = {"external": Stance(strict=True), "dialback": Stance("fabrikam-self")}


class Prosody(Process):
    log_name = "prosody.log"

    def __init__(self, run, certs, stance, domains, address=XMPP, direct_port=5270, more_addresses=()):
        self.data = f"{run}/prosody-data"
        os.makedirs(self.data, exist_ok=True)
        os.makedirs(f"{run}/prosody-certs", exist_ok=True)
        for domain in domains:      # the direct TLS port finds its certificate only so
            certificate = stance.certificate if stance.certificate != "*" else domain.removesuffix(".test")
            shutil.copy(f"{certs}/{certificate}.pem", f"{run}/prosody-certs/{domain}.crt")
            shutil.copy(f"{certs}/{certificate}.key", f"{run}/prosody-certs/{domain}.key")
        unwanted = {"tls": stance.tls == "off", "s2s_auth_certs": not stance.external, "dialback": not stance.dialback}
        conf = render("prosody.cfg.lua.in", f"{run}/prosody.cfg.lua", RUN=run, CERTS=certs, ADDRESS=address,
                      ADDRESSES="; ".join(f'"{a}"' for a in (address, *more_addresses)), DIRECT_PORT=direct_port, HOSTS="\n".join(f'VirtualHost "{d}"' for d in domains),
                      BIDI='"s2s_bidi";' if stance.bidi else "", SECURE_AUTH=str(stance.strict).lower(), REQUIRE_TLS=str(stance.tls == "required").lower(),
                      DISABLED=" ".join(f'"{name}";' for name, away in unwanted.items() if away))
        self.address = address
        super().__init__("prosody", [program("prosody"), "-F", "--config", conf], f"{run}/prosody.out",
                         lambda _: answers(address, 5269) and answers(address, 5222))

    def spinning(self):
        """Proof that it fell into LuaSec's endless loop (README.md), or None."""
        return self.endless_loop(self.address, 5222, b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                                 b"to='fabrikam.test' version='1.0'>")

    def settle(self):
        """Wait until what it was told would survive kill -9."""

    def forgive(self):
        """Wait until it connects again to who refused it."""

    def add_account(self, jid):
        user, domain = jid.split("@")
        user, domain = (re.sub(r"[^A-Za-z0-9]", lambda c: f"%{ord(c[0]):02x}", x) for x in (user, domain))
        folder = f"{self.data}/{domain}/accounts"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{user}.dat", "w", encoding="utf-8") as f:
            f.write('return {\n\t["password"] = "%s";\n};\n' % PASSWORD)


class Ejabberd(Process):
    log_name = "ejabberd.log"

    def __init__(self, run, certs, stance, domains, address=XMPP):
        self.address = address
        folder = f"{run}/ejabberd"
        os.makedirs(folder, exist_ok=True)
        conf = render("ejabberd.yml.in", f"{run}/ejabberd.yml", CERTS=certs, ADDRESS=address, HOSTS=", ".join(domains),
                      CERTIFICATE=stance.certificate, TLS="false" if stance.tls == "off" else stance.tls,
                      DIALBACK="mod_s2s_dialback: {}" if stance.dialback and not stance.strict else "")
        libraries = glob.glob("/usr/lib/*/ejabberd-*")
        if not libraries:
            raise LabError("ejabberd is not installed: run tools/deps test")
        env = {"EJABBERD_CONFIG_PATH": conf, "EJABBERD_LOG_PATH": f"{run}/ejabberd.log", "HOME": folder,
               "ERL_INETRC": f"{ETC}/ejabberd.inetrc", "ERL_LIBS": os.path.dirname(libraries[0]),
               "ERL_CRASH_DUMP_BYTES": "0"}
        # straight from erl: no epmd, no ejabberdctl, no other user
        argv = [program("erl"), "-noinput", "-mnesia", "dir", f'"{folder}/db"', "-s", "ejabberd"]
        super().__init__("ejabberd", argv, f"{run}/ejabberd.out",
                         lambda _: answers(address, 5280) and answers(address, 5269) and answers(address, 5222),
                         env=env, cwd=folder, timeout=60)

    def settle(self):
        time.sleep(2.2)     # Erlang keeps what it appends to a log in memory for two seconds

    def forgive(self):
        time.sleep(1.2)     # s2s_max_retry_delay: until then it answers for a domain that refused it

    def add_account(self, jid):
        user, domain = jid.split("@")
        link = http.client.HTTPConnection(self.address, 5280, timeout=10)
        link.request("POST", "/api/register", json.dumps({"user": user, "host": domain, "password": PASSWORD}),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read().decode("utf-8", "replace")
        link.close()
        if answer.status not in (200, 409):
            raise LabError(f"ejabberd did not make the account {jid}: {answer.status} {text}")


class Jabberd2(Group):
    """Four programs. Its SQLite file is made and filled here: it has no tool for accounts."""
    log_name = "jabberd2/s2s.log"
    QUEUE = 2       # seconds after which it returns what it could not deliver; and ends a stream, before Kamailio loses patience

    def __init__(self, run, certs, stance, domains, address=XMPP):
        folder = f"{run}/jabberd2"
        os.makedirs(folder, exist_ok=True)
        libraries = glob.glob("/usr/lib/*/jabberd2")
        if not libraries:
            raise LabError("jabberd2 is not installed: run tools/deps test")
        self.database = f"{folder}/jabberd2.db"
        if not os.path.exists(self.database):
            with gzip.open("/usr/share/doc/jabberd2/db-setup.sqlite.gz", "rt", encoding="utf-8") as f, \
                    sqlite3.connect(self.database) as db:
                db.executescript(f.read())
            db.close()
        tls = ""
        if stance.tls != "off":
            tls = (f"<pemfile>{certs}/{stance.certificate}-both.pem</pemfile><verify-mode>0</verify-mode>"
                   f"<cachain>{certs}/ca.pem</cachain>")
        hosts = "\n".join(f"    <id>{d}</id>" for d in domains)
        for name in ("router", "router-users", "sm", "c2s", "s2s"):
            render(f"jabberd2-{name}.xml.in", f"{folder}/{name}.xml", RUN=folder, ADDRESS=address, HOSTS=hosts, TLS=tls,
                   MODULES=libraries[0], QUEUE=self.QUEUE, REQUIRE_TLS="<require_tls/>" if stance.tls == "required" else "")
        self.router_log, self.router_start = f"{folder}/router.log", 0
        # one after the other: sm and c2s open the same file, and whoever finds it locked gives up
        ready = {"router": lambda _: answers(address, 5347), "sm": lambda _: self._online("sm", *domains),
                 "c2s": lambda _: answers(address, 5222) and self._online("c2s"), "s2s": lambda _: answers(address, 5269) and self._online("s2s")}
        super().__init__("jabberd2", [Process(f"jabberd2-{name}", [program(f"jabberd2-{name}"), "-c", f"{folder}/{name}.xml"],
                                              f"{folder}/{name}.out", up) for name, up in ready.items()])

    def start(self):
        if not any(part.alive() for part in self.parts):
            with sqlite3.connect(self.database, timeout=10) as db:
                db.execute("BEGIN IMMEDIATE")       # what a kill -9 left half written is taken back here, and not by two of them at once
            db.close()
            if os.path.exists(self.router_log):
                self.router_start = os.path.getsize(self.router_log)
        try:
            super().start()
        except LabError:    # on a busy machine its own parts find the file locked by each other, and give up
            self.stop()
            time.sleep(1)
            self.router_start = os.path.getsize(self.router_log)
            super().start()

    def _online(self, *names):
        """The router that runs now knows these."""
        with open(self.router_log, "rb") as f:
            f.seek(self.router_start)
            log = f.read().decode("utf-8", "replace")
        return all(f"[{n}] online" in log for n in names)

    def settle(self):
        """Nothing to wait for: a transaction for each change."""

    def forgive(self):
        time.sleep(2.2)     # its check interval, and bad-host-timeout

    def add_account(self, jid):
        user, domain = jid.split("@")
        db = sqlite3.connect(self.database, timeout=10)
        with db:
            known = db.execute("SELECT 1 FROM authreg WHERE username = ? AND realm = ?", (user, domain)).fetchone()
            if not known:
                db.execute("INSERT INTO authreg (username, realm, password) VALUES (?, ?, ?)", (user, domain, PASSWORD))
                db.execute('INSERT INTO active ("collection-owner", "time") VALUES (?, 1)', (jid,))
        db.close()


SERVERS = {"prosody": Prosody, "ejabberd": Ejabberd, "jabberd2": Jabberd2}


def xmpp_server(name, run, certs, stance, domains=DOMAINS, **more):
    """name: prosody, ejabberd or jabberd2. stance: a Stance, or its name (external: SASL EXTERNAL required; dialback: TLS with a
    certificate that proves nothing, dialback)."""
    return SERVERS[name](run, certs, STANCES.get(stance, stance), domains, **more)
