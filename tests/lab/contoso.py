# SPDX-License-Identifier: Apache-2.0
"""The world of the documentation, for a fresh machine (tests/lab/machine): contoso.example with its SIP server (Kamailio, 10.0.0.5), fabrikam.example
and litware.example with their XMPP server (Prosody, 198.51.100.20), a name server (192.0.2.53), an authority that the machine trusts. The machine itself,
gw.contoso.example, is 10.0.0.10 inside and 192.0.2.10 outside, in the network namespace `machine`; nothing is installed on it yet.

    with Contoso() as world:
        world.machine("apt install ./entente.deb")
"""
import os
import shutil
import subprocess
import tempfile

import peers
import xmppserver
import xmppuser
from daemon import BUILD
from federation import _rewrite
from process import Process, answers
from sipuser import SipUser
from waiting import LabError, wait_until
from xmppuser import XmppUser

HOME, DNS, PARTNER = "10.0.0.5", "192.0.2.53", "198.51.100.20"
ZONE = """@ SOA a.root. hostmaster.example. {serial} 3600 600 86400 1
@ NS a.root.
a.root. A {dns}
xmpp.fabrikam.example. A {partner}
_xmpp-server._tcp.fabrikam.example. SRV 0 0 5269 xmpp.fabrikam.example.
_xmpp-client._tcp.fabrikam.example. SRV 0 0 5222 xmpp.fabrikam.example.
_xmpp-server._tcp.litware.example. SRV 0 0 5269 xmpp.fabrikam.example.
sip.adatum.example. A {partner}
_sipfederationtls._tcp.adatum.example. SRV 0 0 5061 sip.adatum.example.
"""
CERTS = r"""
set -eu
cd "$1"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -sha256 -days 30 -subj "/CN=Authority of the documentation" -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
for name in fabrikam.example litware.example; do
    key $name
    openssl req -new -key $name.key -subj "/CN=$name" | openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $name.pem \
        -extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' $name) 2>/dev/null
done
"""


class Contoso:
    def __init__(self, run=None):
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as f:      # what follows writes below /etc
            if not any(x.split()[1] == "/" and "upperdir=/run/machine/upper" in x for x in f):
                raise LabError("start it through tests/lab/machine")
        os.makedirs(f"{BUILD}/lab", exist_ok=True)
        self.run = run or tempfile.mkdtemp(prefix="run.", dir=f"{BUILD}/lab")
        xmppuser.log_to(f"{self.run}/xmpp-users.log")
        self.certs = f"{self.run}/certs"
        os.makedirs(self.certs)
        subprocess.run(["bash", "-c", CERTS, "certs", self.certs], check=True, stderr=subprocess.DEVNULL)
        self._trust()
        self.records, self.serial = [], 1
        self.dns, self.home, self.xmpp = self._name_server(), self._home(), self._partner()
        self.users = []

    # --- peers ------------------------------------------------------------------------------------------------------

    def _trust(self):
        with open(f"{self.certs}/ca.pem", encoding="utf-8") as f, open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="utf-8") as to:
            to.write(f.read())

    def _zone(self):
        folder = f"{self.run}/knot"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/root.zone", "w", encoding="utf-8") as f:
            f.write("$ORIGIN .\n$TTL 60\n" + ZONE.format(serial=self.serial, dns=DNS, partner=PARTNER) + "".join(self.records))

    def _name_server(self):
        """Authority for the root and all below it: to the machine it looks like a resolver."""
        self._zone()
        os.makedirs("/run/knot", exist_ok=True)
        conf = peers.render("knot.conf.in", f"{self.run}/knot.conf", RUN=self.run,
                            ZONES=f'  - domain: .\n    storage: "{self.run}/knot"\n    file: "root.zone"\n    zonefile-sync: -1\n    journal-content: none\n')
        _rewrite(conf, ("127.0.0.53", DNS))
        return Process("knotd", [peers.program("knotd"), "-c", conf], f"{self.run}/knot.log", lambda p: "loaded, serial" in p.output() and "server started" in p.output())

    def publish(self, zone_text):
        """Put lines of a zone file, as `entente plan dns --format bind` prints them, into DNS."""
        self.records.append(zone_text if zone_text.endswith("\n") else zone_text + "\n")
        self.serial += 1
        self._zone()
        self.dns.stop()
        self.dns.start()

    def _home(self):
        own = f"{self.run}/home"
        os.makedirs(own)
        shutil.copy(f"{self.certs}/fabrikam.example.pem", f"{self.certs}/home.pem")     # its TLS side is not used here
        shutil.copy(f"{self.certs}/fabrikam.example.key", f"{self.certs}/home.key")
        peers.render("kamailio-tls.cfg.in", f"{own}/kamailio-tls.cfg", CERTS=self.certs)
        conf = peers.render("kamailio.cfg.in", f"{own}/kamailio.cfg", RUN=own, PRESENCE_EXPIRES=3600, ENTENTE="sip:10.0.0.10:5060;transport=tcp",
                            DOMAINS="contoso[.]example")
        _rewrite(conf, ("127.0.0.11", HOME), ("contoso.test", "contoso.example"))
        peers._presence_tables(f"{own}/kamailio.db")
        return Process("kamailio", [peers.program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", own, "-P", f"{own}/kamailio.pid", "-Y", own, "-DD", "-E"],
                       f"{own}/kamailio.log", lambda _: answers(HOME, 5060))

    def _partner(self):
        stance = xmppserver.Stance("*")     # trusts the authority, else asks for dialback: as Prosody comes
        server = xmppserver.Prosody(self.run, self.certs, stance, ("fabrikam.example", "litware.example"), PARTNER)
        _rewrite(f"{self.run}/prosody.cfg.lua", ('forward = "127.0.0.53"', f'forward = "{DNS}"'))
        return server

    def __enter__(self):
        try:
            for program in (self.dns, self.home, self.xmpp):
                program.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        for user in self.users:
            try:
                user.close()
            except (LabError, OSError):
                pass
        self.kill()

    def kill(self):
        subprocess.run(["systemctl", "stop", "entented"], check=False, stderr=subprocess.DEVNULL)
        for program in (self.xmpp, self.home, self.dns):
            program.kill()

    # --- the machine ------------------------------------------------------------------------------------------------

    def machine(self, line, timeout=120, check=True, cwd=None, env=None):
        """A line of shell, as root on the machine; a CompletedProcess."""
        done = subprocess.run(["nsenter", "--net=/run/netns/machine", "--", "bash", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                              check=False, cwd=cwd, env={**os.environ, **(env or {})}, errors="replace")
        if check and done.returncode:
            raise LabError(f"`{line}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}")
        return done

    def log(self, lines=20):
        """The end of what the daemon wrote."""
        try:
            with open("/run/stand-in/entented.log", encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return "(the daemon wrote nothing)\n"

    def sign(self, request, to):
        """What a certificate authority does with a request; its names are copied."""
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", f"{self.certs}/ca.pem", "-CAkey", f"{self.certs}/ca.key", "-CAcreateserial", "-days", "30",
                        "-copy_extensions", "copyall", "-out", f"{self.run}/signed.pem"], check=True, stderr=subprocess.DEVNULL)
        with open(f"{self.run}/signed.pem", encoding="utf-8") as f, open(to, "w", encoding="utf-8") as out:
            out.write(f.read())

    # --- users ------------------------------------------------------------------------------------------------------

    def sip_user(self, name, last=101):
        user = SipUser(f"{name}@contoso.example", f"10.0.0.{last}", "udp", f"{self.run}/sip-users.log", registrar=(HOME, 5060))
        self.users.append(user)
        return user.online()

    def xmpp_user(self, jid):
        self.xmpp.add_account(jid)
        user = XmppUser(jid, "home", server=(PARTNER, 5222))
        self.users.append(user)
        return user.login()


def uninstalled():
    """Nothing of ours is on the machine, as on a fresh one."""
    for name in ("entente", "entented"):
        found = shutil.which(name)
        if found:
            raise LabError(f"{found} is there already: this machine is not fresh")


def ready(world):
    wait_until(lambda: world.machine("entente status", check=False).returncode in (0, 1), 30, "the daemon does not answer")
