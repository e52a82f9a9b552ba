# SPDX-License-Identifier: Apache-2.0
"""Two machines that share an address: each is a network namespace with an Access Edge under ../lab/service.py and a real keepalived, which runs our
example for administrators (packaging/examples/keepalived.conf).

    partner 192.0.2.1 --- bridge "outside" --- eth0, .11 [one] eth1, 10.0.0.2 --- bridge "inside" --- 10.0.0.5 home, 10.0.0.20 user
                                          \\-- eth0, .12 [two] eth1, 10.0.0.3 --/
    192.0.2.10: the address that moves"""
import os
import re
import shutil
import subprocess

from stage import BUILD, TOP, Entented, LabError, Service, peers, wait_until

from federation import home_at
from phone import Phone
from process import Process

ADDRESS = ("192.0.2.10", 5061)
USER = "romeo@contoso.test"
CONFIG = """server:
  name: gw.contoso.test
  workers: 2
  state-directory: {state}
  control-socket: {socket}
dns:
  servers: [10.0.0.5]     # where no name server is
tls:
  certificate: {certs}/contoso.pem
  key: {certs}/contoso.key
  trust: {certs}/ca.pem
metrics:
  listen: 127.0.0.1:9464
sip:
  listen:
    - {{address: 10.0.0.{own}, port: 5060, transport: tcp}}
  external-listen:
    - {{address: 0.0.0.0, port: 5061}}
  pool: ["10.0.0.{other}:5060"]
xmpp:
  dialback-secret-file: {secret}
  listen:
    - {{address: 127.0.0.1, port: 5269}}
homes:
  - {{name: contoso, domains: [contoso.test], next-hop: "sip:10.0.0.5:5060;transport=tcp"}}
"""
COMMANDS = ("access-edge set --federated-users", "allowed-domain add adatum.test --proxy-fqdn gw.adatum.test --verification-level always-verifiable")


def keepalived():
    return shutil.which("keepalived", path="/usr/sbin:/sbin:" + os.environ.get("PATH", ""))


def impossible():
    """Why this cannot be done here, or None."""
    if os.geteuid():
        return "keepalived in network namespaces needs root"
    if not keepalived() or not shutil.which("curl"):
        return "keepalived or curl is not installed: tools/deps chaos"
    words = "ip link add entente0 type bridge && ip link add entente1 type veth peer name entente2"
    return None if subprocess.run(["unshare", "--net", "sh", "-c", words], capture_output=True, check=False).returncode == 0 else "this kernel has no bridges, or no veth pairs"


def ip(*words):
    return subprocess.run(["ip", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Edge(Entented):
    """entented on one of the machines."""

    def __init__(self, run, certs, name, number):
        super().__init__(run, certs, "external", "tcp")
        self.name, self.socket = f"entented {name}", f"/run/entente/{name}.sock"
        secret = f"{os.path.dirname(run)}/secret"
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
            f.write("what both edges have in common, so that each knows the dialogs of the other\n")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(state=self.state, socket=self.socket, certs=certs, secret=secret, own=1 + number, other=4 - number))
        self.argv = ["ip", "netns", "exec", name, *self.argv]

    def after_start(self, new):
        super().after_start(new)
        for words in COMMANDS if new else ():
            done = self.cli(*words.split())
            if done.returncode:
                raise LabError(f"entente {words}: {done.stdout}{done.stderr}")


class Machine:
    def __init__(self, run, certs, number):
        self.name = ("one", "two")[number - 1]
        own = f"{run}/{self.name}"
        os.makedirs(own)
        ip("netns", "add", self.name)
        for net, device, at in (("outside", "eth0", f"192.0.2.{10 + number}/24"), ("inside", "eth1", f"10.0.0.{1 + number}/24")):
            ip("link", "add", f"{net}-{self.name}", "type", "veth", "peer", "name", device, "netns", self.name)
            ip("link", "set", f"{net}-{self.name}", "master", net, "up")
            ip("-n", self.name, "address", "add", at, "dev", device)
            ip("-n", self.name, "link", "set", device, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        self.service = Service(Edge(own, certs, self.name, number))
        self.keepalived = Process(f"keepalived {self.name}", [
            "ip", "netns", "exec", self.name, keepalived(), "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file=/run/address/keepalived.conf",
            f"--pid=/run/address/{self.name}.pid", f"--vrrp_pid=/run/address/{self.name}-vrrp.pid"], f"{own}/keepalived.log", lambda p: self.state() in ("MASTER", "BACKUP"))

    def state(self):
        """MASTER, BACKUP or FAULT, by keepalived's own words."""
        return (re.findall(r"Entering (\w+) STATE", self.keepalived.output()) or [None])[-1]

    def has_address(self):
        return f" {ADDRESS[0]}/" in ip("-n", self.name, "-4", "address", "show", "dev", "eth0")


class Site:
    """Everything but the partner."""

    def __init__(self, run):
        self.certs = peers.certificates(f"{BUILD}/lab/certs")
        for net, addresses in (("outside", ["192.0.2.1/24"]), ("inside", ["10.0.0.5/24", "10.0.0.20/24"])):
            ip("link", "add", net, "type", "bridge")
            ip("link", "set", net, "up")
            for at in addresses:
                ip("address", "add", at, "dev", net)
        os.makedirs("/run/address")     # where user nobody may read
        shutil.copy(f"{TOP}/packaging/edge-check", "/run/address/edge-check")
        with open(f"{TOP}/packaging/examples/keepalived.conf", encoding="utf-8") as f, open("/run/address/keepalived.conf", "w", encoding="utf-8") as to:
            to.write(f.read().replace("/usr/lib/entente/edge-check", "/run/address/edge-check"))
        _, self.home = home_at("home", f"{run}/home", self.certs, "10.0.0.5", ENTENTE="sip:10.0.0.2:5060;transport=tcp", DOMAINS="contoso[.]test")
        self.machines = [Machine(run, self.certs, n) for n in (1, 2)]
        self.log, self.user = f"{run}/sip-users.log", None

    def __enter__(self):
        self.home.start()
        self.user = Phone(USER, "10.0.0.20", "udp", self.log, None, ("10.0.0.5", 5060))
        self.user.register()
        for m in self.machines:
            m.service.start()
        for m in self.machines:
            m.keepalived.start()
        wait_until(self.settled, 20, "keepalived gives the address to nobody, or to both")
        return self

    def __exit__(self, *_):
        for m in self.machines:
            m.keepalived.kill()
            m.service.end()
        if self.user:
            self.user.close()
        self.home.kill()

    def settled(self):
        return sorted(m.state() or "" for m in self.machines) == ["BACKUP", "MASTER"] and sum(m.has_address() for m in self.machines) == 1

    def by_role(self):
        """(the machine that has the address, the other one)"""
        return sorted(self.machines, key=lambda m: not m.has_address())

    def complaints(self):
        return [x for m in self.machines for x in m.service.complaints() + m.service.refused + [f"nobody asked it to end: {u}" for u in m.service.unasked]]
