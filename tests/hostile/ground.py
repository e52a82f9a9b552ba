# SPDX-License-Identifier: Apache-2.0
"""The ground of the hostile tests: entented between a real SIP home with a real user and an honest XMPP neighbour, a name server
that lies on request, and the questions that are asked after every attack."""
import glob
import itertools
import os
import re
import tempfile
import time

import daemon
import peers
from case import SANITIZER
from certificates import Certificates
from daemon import BUILD, Entented
from lab import Lab
from names import Names
from peer import Initiator, Receiver, message
from waiting import LabError, wait_until

HONEST = "honest.test"
HONEST_AT = "127.0.0.31"
ROMEO = "romeo@contoso.test"
SECRET = "body-marker"      # in every message body; must never be in a log
SETTINGS = "timers:\n  notify-interval: 200ms\n"


class Ground(Lab):
    """One for all tests of a file. `settings`: more of entented's configuration."""
    external = ""       # lines of the configuration in the place of those for SIP over TLS

    def __init__(self, workers=1, settings=SETTINGS, run=None):
        if not os.environ.get("ENTENTE_NS"):
            raise LabError("the tests use fixed addresses: start them through tests/hostile/run")
        os.makedirs(f"{BUILD}/lab", exist_ok=True)
        self.run = run or tempfile.mkdtemp(prefix="run.", dir=f"{BUILD}/lab")
        self.certs = peers.certificates(f"{BUILD}/lab/certs")
        self.certificates = Certificates(self.certs)
        self.names = self.dns = Names(peers.DNS)
        self.home = peers.sip_home(self.run, self.certs, "tcp")
        self.xmpp = None
        own = re.findall(r"(?m)^(\w+)\.(.*\n)", settings)     # "xmpp.private-addresses: false": into a section that is there
        self.entented = Entented(self.run, self.certs, "external", "tcp", workers, "debug", re.sub(r"(?m)^\w+\..*\n", "", settings),
                                 external=self.external)
        self._settle(own)
        # where DNS may not lead to private addresses, the administrator's word does
        self.neighbour_options = ["--server", f"{HONEST_AT}:5269"] if "private-addresses: false" in settings else []
        self.clock = self._faketime() if "faketime" in settings else None
        self.users, self.accounts, self.observer = [], set(), None
        self.auth, self.peer, self.partner_now, self.refused = "external", None, None, False
        self._addresses = (f"127.0.1.{n}" for n in itertools.cycle(range(1, 255)))
        self._couples, self._ports = itertools.count(1), itertools.count(4444)
        self._sources = itertools.count(10)
        self._words = itertools.count(1)
        self._mark = 0
        self.open_things = []       # closed after each test

    def _settle(self, own):
        with open(self.entented.config, encoding="utf-8") as f:
            text = f.read()
        for section, line in own:
            text = text.replace(f"\n{section}:\n", f"\n{section}:\n  {line}", 1)
        with open(self.entented.config, "w", encoding="utf-8") as f:
            f.write(text)

    def _faketime(self):
        """Has entented run under libfaketime; returns a function that sets its clock off by "+400d", or None."""
        library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
        if not library or SANITIZER or os.environ.get("ENTENTE_WRAPPER"):
            return None
        path = f"{self.run}/clock"

        def jump(offset):
            with open(f"{path}.new", "w", encoding="ascii") as f:
                f.write(offset + "\n")
            os.rename(f"{path}.new", path)
        jump("+0")
        self.entented.env = {**(self.entented.env or {}), "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
                             "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        return jump

    def programs(self):
        return [self.dns, self.home, self.entented]

    def start(self):
        self._zone()
        super().start()
        self.neighbour_server = Receiver(HONEST, HONEST_AT, self.certificates)
        self.names.domain(HONEST, HONEST_AT)
        self.partner_add(HONEST, "--sasl", "required", "--no-dialback", *self.neighbour_options)
        self.romeo = self.sip_user("romeo")
        self.users.remove(self.romeo)       # stays for all tests
        self.neighbour = None
        self.lay()
        self.check_neighbour()

    def lay(self):
        """What else is there before the first test."""

    def _zone(self):
        """What the lab's zone has, for the programs that need it."""
        for name, address in (("sip.contoso.test", peers.HOME), ("gw.contoso.test", peers.GATEWAY), ("xmpp.contoso.test", peers.GATEWAY)):
            self.names.host(name, address)
        self.names.put("_xmpp-server._tcp.contoso.test", (33, (0, 0, 5269, "xmpp.contoso.test")))
        for name, port in (("_sip._udp", 5060), ("_sip._tcp", 5060), ("_sips._tcp", 5061)):
            self.names.put(f"{name}.contoso.test", (33, (0, 0, port, "sip.contoso.test")))

    def stop(self):
        if self.neighbour:
            self.neighbour.close()
        self.neighbour_server.close()
        self.romeo.close()
        super().stop()

    # --- making enemies ---------------------------------------------------------------------------------------------

    def source(self):
        """An address in a /24 that nobody used yet."""
        return f"127.{next(self._sources)}.1.1"

    def keep(self, thing):
        """Closed when the test is over, however it ends."""
        self.open_things.append(thing)
        return thing

    def partner_add(self, domain, *options, type="federated"):
        self.entente("partner", "xmpp", "add", domain, "--type", type, *options)
        return domain

    def partner_set(self, domain, *options):
        self.entente("partner", "xmpp", "set", domain, *options)

    def initiator(self, domain, leaf=None, source=None, certificates=None, **options):
        """A connection that claims to be `domain`, by default with a certificate that proves it."""
        certificates = certificates or self.certificates
        leaf = certificates.leaf(domain) if leaf is None else leaf
        return self.keep(Initiator(domain, certificates=certificates, leaf=leaf or None, source=source or self.source(), **options))

    def server(self, domain, address, cls=Receiver, names=True, certificates=None, **options):
        """A server for `domain` at `address`, and DNS that says so."""
        if names:
            self.names.domain(domain, address, **({"direct": options["port"]} if options.get("direct") else {}))
        return self.keep(cls(domain, address, certificates or self.certificates, **options))

    # --- looking at entented ----------------------------------------------------------------------------------------

    def streams(self):
        return self.entente("show", "streams")["streams"]

    def up(self, domain, direction=None):
        """The open streams that are proven for this domain."""
        return [s for s in self.streams() if s["remote"] == domain and s["state"] in ("up", "open") and direction in (None, s["direction"])]

    def metric(self, name):
        return self.entente("status")["metrics"].get(name, 0)

    def rss(self):
        """Resident memory of entented, KiB."""
        with open(f"/proc/{self.entented.popen.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def bounded(self, before, octets, slack=2048, factor=4):
        """RSS has not grown by more than `factor` times the octets that entented got since `before` (plus slack, KiB)."""
        after = self.rss()
        if not SANITIZER and after - before > octets * factor / 1024 + slack:
            raise LabError(f"entented grew from {before} to {after} KiB by {octets} octets of input")
        return after - before

    def mark(self):
        """From here on events() counts."""
        self._mark = len(self.entented.output())

    def events(self, event, **fields):
        found = [daemon.parse_line(x) for x in self.entented.output()[self._mark:].splitlines()]
        return [f for f in found if f and f[2] == event and all(f[3].get(k) == v for k, v in fields.items())]

    def wait_event(self, event, timeout=10, **fields):
        return wait_until(lambda: self.events(event, **fields), timeout, f"a log line {event} {fields}")

    # --- honest traffic ---------------------------------------------------------------------------------------------

    def word(self):
        return f"{SECRET} {next(self._words)}"

    def neighbour_stream(self):
        if not self.neighbour or self.neighbour.wire.ended():
            self.neighbour = Initiator(HONEST, certificates=self.certificates, leaf=self.certificates.leaf(HONEST), source=HONEST_AT).up()
        return self.neighbour

    def check_neighbour(self, timeout=20):
        """An honest message goes through in both directions. Returns the seconds that it took."""
        begin = time.monotonic()
        word = self.word()
        self.neighbour_stream().send(message(f"juliet@{HONEST}/home", ROMEO, word))
        self.romeo.expect_message(f"juliet@{HONEST}", word, timeout)
        word = self.word()
        self.romeo.say(f"juliet@{HONEST}", word)
        self.neighbour_server.expect_stanza("message", to=f"juliet@{HONEST}", body=word, timeout=timeout)
        return time.monotonic() - begin

    # --- after each test --------------------------------------------------------------------------------------------

    def aftermath(self, authorised):
        """What must be true after every attack; LabError when it is not."""
        for thing in self.open_things:
            thing.close()
        self.open_things.clear()
        allowed = self.allowed_after() | set(authorised)
        if not self.entented.alive():
            raise LabError(f"entented ended with status {self.entented.popen.returncode}")
        proven = {e[3].get("partner") for e in self.events("xmpp/stream-up")} - allowed
        heard = {e.from_ for e in self.romeo.seen.history if e.kind == "message" and e.from_.split("@")[-1] not in allowed}
        self.mark()
        self.romeo.seen.history.clear()
        self.romeo.seen.forget()
        if proven:
            raise LabError(f"authorised though it should not be: {', '.join(map(str, proven))}")
        if heard:
            raise LabError(f"romeo heard from {', '.join(heard)}")
        self.check_neighbour()

    def allowed_after(self):
        """Domains from which romeo may always hear."""
        return {HONEST}

    def leaks(self):
        """Secrets in the log of the whole run: bodies, and the name that only bodies have."""
        with open(self.entented.log, encoding="utf-8", errors="replace") as f:
            return [x.rstrip()[:300] for x in f if SECRET in x]
