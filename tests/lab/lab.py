# SPDX-License-Identifier: Apache-2.0
"""The whole lab: name server, Kamailio, an XMPP server, entented and its CLI, and users on both sides.

    with Lab(peer="prosody") as lab:
        romeo, juliet = lab.couple()

runs inside the private namespaces that tests/lab/ns makes.
"""
import hashlib
import itertools
import json
import os
import re
import ssl
import tempfile

import federation as federation_lab
import lynchome
import peers
import worlds
import xmppserver
import xmppuser
from baresip import Baresip
from daemon import BUILD, Entented, Split
from linphone import Linphone
from msrpuser import MsrpUser
from service import Service
from sipe import Sipe
from sipuser import REGISTRAR, SipUser
from waiting import LabError
from xmppuser import XmppUser

PARTNER = "fabrikam.test"
STANCE_DOMAINS = tuple(f"{tls}{sasl}{dialback}.stance.test" for tls in "ron" for sasl in "ron" for dialback in "dn")


class Lab:
    """peer: prosody | ejabberd | jabberd2. auth: external | dialback (jabberd2: always). transport (home <-> entented): udp | tcp | tls.
    presence_expires: the longest presence subscription or publication that the home grants, in seconds.
    direct: DNS names direct TLS (XEP-0368) before STARTTLS, the partner's on this port (5270 is right).
    bidi: the XMPP server takes stanzas of both directions on one stream (XEP-0288), where it can.
    layout: one process, or "split": edge and gateway are two.
    stance: a Stance (xmppserver.py) for the XMPP server in the place of auth's; then its domains are those below stance.test, and
    entented has the certificate that others trust, as always with jabberd2.
    world: a name of worlds.py, for DNS out of the ordinary. entented: False for a lab of peers alone.
    service: entented runs as it would under systemd (service.py): its sockets outlive it, and when it dies it is started again.
    lync: with the home of fourthcoffee.test (lynchome.py), as self.lync; a word: what homes.dialect of it says.
    settings: more of entented's configuration; tests shorten the time that has to pass between two notifications."""

    def __init__(self, peer="prosody", auth="external", transport="tcp", workers=1, presence_expires=3600,
                 entented=True, run=None, log_level="debug", direct=None, stance=None, bidi=False, layout="one",
                 world=None, settings="timers:\n  notify-interval: 200ms\n", federation=False, lync=False,
                 service=False):
        if not os.environ.get("ENTENTE_NS"):
            raise LabError("the lab uses fixed addresses: start it through tests/lab/ns")
        stance = stance and xmppserver.Stance(*stance)
        auth = "dialback" if peer == "jabberd2" and not stance else auth
        self.peer, self.auth, self.transport = peer, auth, transport
        os.makedirs(f"{BUILD}/lab", exist_ok=True)
        self.run = run or tempfile.mkdtemp(prefix="run.", dir=f"{BUILD}/lab")
        os.makedirs(self.run, exist_ok=True)
        self.certs = peers.certificates(f"{BUILD}/lab/certs")
        xmppuser.log_to(f"{self.run}/xmpp-users.log")
        self.home = peers.sip_home(self.run, self.certs, transport, presence_expires)
        if world:
            self.dns, self.xmpp, more = worlds.WORLDS[world](self.run, self.certs)
            settings += more
        else:
            more = [f"_xmpp-server._tcp.{d}. SRV 0 0 5269 xmpp.fabrikam" for d in STANCE_DOMAINS if stance]
            self.dns = peers.name_server(self.run, direct, more)
            self.xmpp = self._server(peer, stance, auth, bidi)
        self.lync = lync and lynchome.LyncHome(self.run, self.certs)
        if lync:
            settings += lynchome.SETTINGS.replace("dialect: lync", f"dialect: {lync}") if isinstance(lync, str) else lynchome.SETTINGS
        ours = "external" if stance or peer == "jabberd2" else auth
        external = {"external": federation_lab.EXTERNAL.format(peers.GATEWAY)} if federation else {}
        make = Split if layout == "split" else Entented
        self.entented = make(self.run, self.certs, ours, transport, workers, log_level, settings, **external) if entented else None
        if service:
            self.entented = Service(self.entented)
        self.federation = federation    # with adatum.test and woodgrove.test (federation.py)
        if federation:
            self.adatum_home = federation_lab.adatum_home(self.run, self.certs)
            self.adatum = federation_lab.AdatumEdge(self.run, self.certs, workers)
            self.registrar = REGISTRAR      # of contoso's users
            self.woodgrove = federation_lab.woodgrove(self.run, self.certs)
        self.accounts = set()
        self.users = []
        self.partner_now = None
        self.refused = False    # the partner once was none: it may be sulking
        self._addresses = (f"127.0.1.{n}" for n in itertools.cycle(range(1, 255)))
        self._couples = itertools.count(1)
        self._ports = itertools.count(4444)
        self.observer = None

    def _server(self, peer, stance, auth, bidi):
        if stance:
            return xmppserver.xmpp_server(peer, self.run, self.certs, stance, STANCE_DOMAINS)
        return xmppserver.xmpp_server(peer, self.run, self.certs, xmppserver.STANCES[auth]._replace(bidi=bidi))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.close_users()
        self.stop()

    def programs(self):
        more = (self.adatum_home, self.adatum, self.woodgrove) if self.federation else ()
        return [p for p in (self.dns, self.home, self.lync, self.xmpp, *getattr(self.entented, "parts", [self.entented]), *more) if p]

    def start(self):
        for program in self.programs():
            program.start()
        if isinstance(self.entented, Split):
            self.entented.linked()

    def stop(self):
        """Stop all; LabError when one did not end well."""
        trouble = []
        for program in reversed(self.programs()):
            try:
                program.stop()
            except LabError as e:
                trouble.append(str(e))
        if trouble:
            raise LabError("; ".join(trouble))

    def kill(self):
        for program in self.programs():
            program.kill()

    # --- users ------------------------------------------------------------------------------------------------------

    def sip_user(self, name, transport="udp", **state):
        """A SIP user that is signed in. name: romeo*, mercutio*; state as in SipUser.publish."""
        user = self.sip_device(name, transport)
        return user.online(**state)

    def sip_device(self, name, transport="udp"):
        """The same, not signed in yet."""
        user = SipUser(f"{name}@contoso.test", next(self._addresses), transport, f"{self.run}/sip-users.log", self.observer)
        self.users.append(user)
        return user

    def msrp_user(self, name):
        """A SIP user whose client speaks MSRP; registered."""
        user = MsrpUser(f"{name}@contoso.test", next(self._addresses), "tcp", f"{self.run}/sip-users.log", self.observer)
        self.users.append(user)
        user.register()
        return user

    def fingerprint(self, name):
        """Of one of our certificates, as a=fingerprint has it."""
        with open(f"{self.certs}/{name}.pem", encoding="ascii") as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        return "sha-256 " + ":".join(f"{b:02X}" for b in hashlib.sha256(der).digest())

    def baresip(self, name, contact, transport="udp"):
        """baresip as the SIP user `name`, with `contact` (user@domain) on its list; started."""
        client = Baresip(self.run, f"{name}@contoso.test", next(self._addresses), contact, transport, next(self._ports))
        self.users.append(client)
        client.start()
        for tag in client.forgotten():
            self.sip_device(name).withdraw(tag)
        return client

    def sipe(self, name, *contacts):
        """pidgin-sipe as the user `name` of fourthcoffee.test, with these addresses on its list; signed in."""
        address = f"{name}@{lynchome.DOMAIN}"
        self.lync.lists[address] = contacts
        client = Sipe(self.run, address)
        self.users.append(client)
        return client.start()

    def linphone(self, name, transport="udp"):
        """linphone as the SIP user `name`; registered."""
        client = Linphone(self.run, f"{name}@contoso.test", next(self._addresses), transport)
        self.users.append(client)
        return client.start()

    def xmpp_user(self, jid, resource="home", **options):
        """An XMPP user that is logged in; the account is made when there is none."""
        return self.xmpp_device(jid, resource, **options).login()

    def xmpp_device(self, jid, resource="home", **options):
        """The same, not logged in yet."""
        jid = jid if "@" in jid else f"{jid}@{PARTNER}"
        if jid not in self.accounts:
            self.xmpp.add_account(jid)
            self.accounts.add(jid)
        user = XmppUser(jid, resource, observer=self.observer, **options)
        self.users.append(user)
        return user

    def names(self):
        """Two names that nobody used yet: (SIP, XMPP)."""
        n = next(self._couples)
        return f"romeo{n}", f"juliet{n}"

    def couple(self, transport="udp", auto_approve=False):
        """A SIP user and an XMPP user, both signed in, who do not know each other yet."""
        sip, xmpp = self.names()
        return self.sip_user(sip, transport), self.xmpp_user(xmpp, auto_approve=auto_approve)

    def friends(self, transport="udp"):
        """A couple that watches each other's presence, and has seen it once."""
        romeo, juliet = self.couple(transport)
        befriend(romeo, juliet)
        return romeo, juliet

    def close_users(self):
        """Sign everybody off, without caring whether it works."""
        for user in self.users:
            try:
                user.kill() if isinstance(user, Baresip) else user.close()
            except (LabError, OSError):
                pass
        self.users.clear()

    # --- administration ---------------------------------------------------------------------------------------------

    def entente(self, *words, check=True):
        """Run the CLI with --json and return what it printed, parsed. check=False: (status, parsed or text)."""
        if not self.entented:
            raise LabError("this lab runs without entented")
        done = self.entented.cli(*words, "--json")
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else None
        except ValueError:
            if check:
                raise LabError(f"entente {' '.join(words)} --json printed no JSON: {done.stdout[:300]!r}") from None
            answer = done.stdout + done.stderr
        if not check:
            return done.returncode, answer if answer is not None else done.stderr
        if done.returncode:
            raise LabError(f"entente {' '.join(words)} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
        return answer

    def partner(self, type="federated", domain=PARTNER):
        """Have the XMPP partner in the wished state: a type, or None for no partner. Idempotent."""
        wanted = type and (domain, type)
        self.refused = self.refused or not type
        if wanted == self.partner_now:
            return
        if self.partner_now:
            if type:
                self.entente("partner", "xmpp", "set", domain, "--type", type)
            else:
                self.entente("partner", "xmpp", "remove", self.partner_now[0])
        elif type:
            options = ["--dialback", "--no-sasl"] if self.auth == "dialback" else []
            self.entente("partner", "xmpp", "add", domain, "--type", type, *options)
            if self.refused:
                self.xmpp.forgive()
        self.partner_now = wanted

    # --- logs -------------------------------------------------------------------------------------------------------

    def log_excerpt(self, lines=15):
        """The ends of the logs, for a person who has to find out why."""
        names = ["entented.log", "entented-edge.log", "entented-gateway.log", "kamailio.log", self.xmpp.log_name]
        parts = []
        for name in names:
            path = f"{self.run}/{name}"
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    tail = [re.sub(r"\s+$", "", x)[:300] for x in f.readlines()[-lines:]]
                parts.append(f"== the end of {path}\n" + "\n".join("   " + x for x in tail))
        return "\n".join(parts)


def befriend(romeo, juliet):
    """Both ask, both say yes, both see the other available."""
    subscription = romeo.subscribe(juliet.name)
    juliet.expect_presence(romeo.name, "subscribe")
    juliet.approve(romeo.name)
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    juliet.expect_presence(romeo.name, "available")
    romeo.expect_presence(juliet.name, basic="open")
    return subscription
