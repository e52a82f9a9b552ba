# SPDX-License-Identifier: Apache-2.0
"""What all experiments stand on: name server, entented (one process or two), the ledger that plays both networks, and who kills and starts
again. Runs inside the namespaces of tests/lab/ns."""
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, f"{TOP}/tests/lab", f"{TOP}/bench"]
import peers                                                # noqa: E402
from common import Generator, command, cpu, field, memory, rewrite, tree      # noqa: E402,F401
from daemon import BUILD, SOCKET, Entented, Split           # noqa: E402,F401
from partners import add_partners                           # noqa: E402
from service import Service                                 # noqa: E402
from waiting import LabError, wait_until                    # noqa: E402,F401

CHAOS = os.environ.get("CHAOS_BIN") or f"{BUILD}/tests/chaos"      # the laboratory's own programs: never a sanitizer's build
SETTINGS = ("limits:\n  partner-rate: 100000\n  sender-rate: 100000\n  max-connections: 20000\n  max-unproven: 10000\n  max-unproven-per-network: 10000\n"
            "  max-connections-per-address: 10000\n")


KEYS_LOST = 70      # EXIT_SOFTWARE of entented: whose keeper of keys is gone


def instrumented():
    return any(os.environ.get(v) for v in ("ASAN_OPTIONS", "TSAN_OPTIONS"))


INSTRUMENTED = instrumented()


def phase(service):
    return service.__dict__.get("phase", service.__dict__.get("state"))


class Group:
    """Partners of one kind, all at one server."""

    def __init__(self, name, acks, n=4, listen=None, target=peers.GATEWAY, source=None, number=0, netns=None):
        self.name, self.acks, self.n, self.netns, self.target = name, acks, n, netns, target
        self.listen = listen or f"127.0.0.{60 + number}"
        self.source = source or f"127.{201 + number}.0.1"

    def domains(self):
        return [f"{self.name}{i:04}.chaos.test" for i in range(self.n)]

    def words(self):
        return ["--group", f"name={self.name},n={self.n},acks={int(self.acks)},listen={self.listen},target={self.target},from={self.source}"
                + (f",netns={self.netns}" if self.netns else "")]

    def zone(self):
        return [f"xmpp.{self.name} A {self.listen}", *(f"_xmpp-server._tcp.{d}. SRV 0 0 5269 xmpp.{self.name}" for d in self.domains())]


BOTH = (("sm", True), ("plain", False))     # the kinds of partners: with XEP-0198, and without


class Stage:
    """with Stage(run, ...) as s: everything runs. `groups`: Group; without: four partners that acknowledge, four that do not."""

    def __init__(self, folder, groups=None, users=10, think=20, workers=2, layout="one", settings="", log_level="info", transport="tls", grace=50, ends=1500,
                 conns=2, env=None, before=(), zones=None, certs=None, listen="", unit=None, body=100):
        os.makedirs(folder, exist_ok=True)
        self.run = folder
        self.certs = certs or peers.certificates(f"{BUILD}/lab/certs")
        self.groups = groups or [Group(name, acks, number=i) for i, (name, acks) in enumerate(BOTH)]
        self.dns = peers.name_server(folder, more=[line for g in self.groups for line in g.zone()], zones=zones)
        make = Split if layout == "split" else Entented
        self.daemon = make(folder, self.certs, "external", transport, workers, log_level, SETTINGS + settings)
        self.parts = getattr(self.daemon, "parts", [self.daemon])
        # as under systemd: what dies comes back by itself, by the settings of our unit file
        self.services = [Service(p, {"WatchdogSec": "0", **(unit or {})}) for p in self.parts]
        for part in self.parts:
            rewrite(part.config, ("trace: true", "trace: false"), *([("xmpp:\n  listen:\n", f"xmpp:\n  listen:\n{listen}")] if listen else []))
            part.env = {**part.env, **(env or {})}
            part.argv = [*before, *part.argv]
        self.options = ["--users", users, "--think", think, "--transport", transport, "--grace", grace * (6 if INSTRUMENTED else 1), "--ends", ends, "--body", body, "--conns", conns]
        self.ledger = None
        self.deaths = set()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
        else:
            self.stop()

    def start(self):
        self.dns.start()
        for service in self.services:
            service.start()
        if len(self.parts) > 1:
            self.daemon.linked()
        self.add(d for g in self.groups for d in g.domains())
        words = [str(x) for x in self.options] + [w for g in self.groups for w in g.words()]
        self.ledger = Generator([f"{CHAOS}/ledger", "--certs", self.certs, "--own", f"{self.run}/partners", *words], f"{self.run}/ledger.log")
        self.ledger.hear("ready", 60)
        self.all_up(30)

    def add(self, domains):
        """Partners, at the part that has the store."""
        gateway = self.parts[-1]
        if gateway.socket == SOCKET:
            add_partners(domains)
            return
        for d in domains:
            command(gateway, "partner", "xmpp", "add", d, "--type", "federated")

    def all_up(self, timeout):
        def up():
            s = self.status()
            return s["home_links"] and all(g["up"] == g["members"] for g in s["groups"].values())
        wait_until(up, timeout, "not every partner has its stream")

    def status(self):
        return self.ledger.ask("status", "status")

    def tell(self, *words):
        self.ledger.tell(" ".join(map(str, words)))

    def rate(self, to_xmpp, to_sip):
        """Messages a second, of all groups together."""
        n = len(self.groups)
        for g in self.groups:
            self.tell("rate", g.name, max(1, to_xmpp // n) if to_xmpp else 0, max(1, to_sip // n) if to_sip else 0)

    def mark(self, name, kind="note", at=None):
        """Something is done to entented, now or at that monotonic second. kind: kill, power, restart, or note: nothing is excused by it. What the ledger cuts it notes itself."""
        self.tell("mark", kind, name.replace(" ", "-"), *([int(at * 1e9)] if at else []))

    def mark_deaths(self):
        """Processes that died by what an experiment did to them, or ended in order for it."""
        for gap in self.gaps():
            if gap["why"] in ("died", "ended") and gap["at"] not in self.deaths:
                self.deaths.add(gap["at"])
                self.mark(gap["why"], "kill" if gap["why"] == "died" else "restart", gap["at"])

    def lap(self):
        return self.ledger.ask("lap", "lap")

    def end(self, seconds=60):
        """The account of both books."""
        return self.ledger.ask(f"end {int(seconds * 1000)}", "end", seconds + 30)

    # --- evil -------------------------------------------------------------------------------------------------------

    def kill_part(self, number=0, child=False, kind="kill"):
        """kill -9 of a process, or of its child (the keeper of its keys: then it ends by itself, with KEYS_LOST); it comes back as systemd would have it.
        False when there is nothing to be killed: it just comes up."""
        service = self.services[number]
        pid = service.pid
        if phase(service) != "ready" or not pid:
            return False
        children = tree(pid)[1:] if child else []
        victims = children or [pid]
        service.about_to_end("child" if children else "kill", KEYS_LOST if children else -signal.SIGKILL)
        self.mark(f"kill {service.name}{' child' if children else ''}", kind, time.monotonic())
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return "child" if children else "process"

    def expect(self, *statuses):
        """These ends (exit status, or -signal) are what the experiment is about: they are no complaints."""
        for service in self.services:
            service.expected.update(statuses)

    def gaps(self):
        return [g for s in self.services for g in s.gaps()]

    def wait_ready(self):
        for service in self.services:
            service.wait_ready()

    # --- the end ----------------------------------------------------------------------------------------------------

    def complaints(self):
        """What sanitizers said, and ends that nobody asked for."""
        found = self.daemon.complaints()
        for s in self.services:
            found += [f"nobody asked {s.name} to end: {x}" for x in s.unasked]
            found += [f"systemd would say of {s.name}: {x}" for x in s.refused]
            if phase(s) == "failed":
                found.append(f"{s.name} failed for good")
        return found

    def stop(self):
        if self.ledger:
            self.ledger.stop()
        for s in reversed(self.services):
            s.stop()
        self.dns.stop()

    def kill(self):
        if self.ledger:
            self.ledger.kill()
        for s in self.services:
            s.end()
        self.dns.kill()


# --- judging the account --------------------------------------------------------------------------------------------

def total(account, key, side=None, acks=None):
    """A figure of the account, over groups and directions."""
    return sum(g[s][key] for g in account["groups"].values() if acks in (None, g["acks"]) for s in ("to_xmpp", "to_sip") if side in (None, s))


def books(account):
    """The account in one line, and what is wrong in it."""
    deeds = account["deeds"]
    violent = deeds["kill"] + deeds["power"] + account["home_cuts"]
    grace = account["power_grace_ms"] if deeds["power"] else account["grace_ms"]
    n = {key: total(account, key) for key in ("sent", "accepted", "lost", "lost_there", "doubled", "doubled_wrong", "disordered", "refused", "refused_came", "refused_came_wrong",
                                              "failed", "unanswered", "unanswered_wrong", "held_back", "repeated_late", "silent_wrong")}
    bare, silent, repeated = total(account, "sent", "to_sip", False), total(account, "silent"), account["home"]["repeated"]
    wrong = [text for bad, text in (
        (n["lost"], f"{n['lost']} accepted messages were lost"),
        (n["doubled_wrong"], f"{n['doubled_wrong']} came twice, and no kill or cut before their confirmation, or at most {grace} ms after it, explains it"),
        (n["disordered"], f"{n['disordered']} came out of order"),
        (n["silent_wrong"], f"{n['silent_wrong']} of partners without acknowledgements vanished, and nothing died and nothing was cut within {account['grace_ms']} ms of their sending"),
        (n["refused_came_wrong"], f"{n['refused_came_wrong']} came although their sender was told that they had not, and no kill or cut between the two explains it"),
        (n["unanswered_wrong"], f"{n['unanswered_wrong']} had no answer, and no kill, cut or restart broke their connection"),
        (repeated and not violent, f"{repeated} requests were sent to the home again though nothing was killed or cut"),
        (account["unsettled"], f"{account['unsettled']} were still open at the end"),
        (n["accepted"] < 50, f"only {n['accepted']} were accepted: that is no load")) if bad]
    line = f"{n['sent']} sent, {n['accepted']} accepted, {n['lost']} lost, {n['doubled']} twice"
    if n["doubled"]:
        worst = max(g[s]["doubled_ms"] for g in account["groups"].values() for s in ("to_xmpp", "to_sip"))
        line += (f" ({n['doubled_wrong']} of them by a kill or cut more than {grace} ms after the far side had confirmed, or by none; the others at most "
                 f"{worst:.0f} ms after it)")
    line += f", {n['disordered']} out of order"
    if bare:
        line += f"; {bare} of partners whose texts nobody acknowledges, {silent} of them vanished"
    more = [(n["refused"], "refused"), (n["unanswered"], "without an answer, for their connection broke" if not n["unanswered_wrong"] else "without an answer"),
            (n["failed"], "were followed by an error or a notice to their sender"), (n["refused_came"], "refused or failed, and came all the same" + (
                "" if n["refused_came_wrong"] else ": their stream or process had ended before they were confirmed")),
            (n["held_back"], "not sent, for their user had no answer yet or no connection"), (n["repeated_late"], "of those that came twice came again after a later text"),
            (repeated, "requests to the home repeated with the same branch"),
            (n["lost_there"], "taken by the kernel of a partner without XEP-0198 whose server then died, and lost there")]
    said = ", ".join(f"{count} {words}" for count, words in more if count)
    return line + (f"; {said}" if said else ""), wrong
