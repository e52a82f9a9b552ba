# SPDX-License-Identifier: Apache-2.0
"""The programs that stand around entented: name server, SIP home, XMPP server. One function makes each."""
import glob
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import time

from process import Process, answers
from waiting import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
ETC = os.path.join(HERE, "etc")

DNS = "127.0.0.53"
HOME = "127.0.0.11"
GATEWAY = "127.0.0.12"
XMPP = "127.0.0.21"
PASSWORD = "secret"


def render(template, to, **values):
    """Write ETC/template to the file `to`, each @NAME@ replaced."""
    with open(os.path.join(ETC, template), encoding="utf-8") as f:
        text = f.read()
    for key, value in {"ETC": ETC, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    with open(to, "w", encoding="utf-8") as f:
        f.write(text)
    return to


def program(name):
    """The path of a program that may live in sbin; LabError with the remedy when it is missing."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin")
    if not found:
        raise LabError(f"{name} is not installed: run tools/deps test")
    return found


# --- name server ----------------------------------------------------------------------------------------------------

def _dns_ready(_):
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03sip\x07contoso\x04test\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        try:
            s.sendto(query, (DNS, 53))
            return socket.inet_aton(HOME) in s.recv(512)
        except OSError:
            return False


def _zone(run, direct):
    """The zone as in etc/, with direct TLS (XEP-0368) before STARTTLS when `direct` is a port: of entented always 5270, of the partner
    that port, right or wrong."""
    with open(f"{ETC}/test.zone", encoding="utf-8") as f:
        zone = f.read()
    if direct:
        zone, found = re.subn(r"(?m)^(_xmpp-server\._tcp\.(?:contoso|fabrikam) +SRV +)0 ", r"\g<1>10 ", zone)
        if found != 2:
            raise LabError("test.zone has not the SRV records that are to come second")
        zone += ("_xmpps-server._tcp.contoso    SRV  0 0 5270 xmpp.contoso\n"
                 f"_xmpps-server._tcp.fabrikam   SRV  0 0 {direct} xmpp.fabrikam\n")
    with open(f"{run}/knot/test.zone", "w", encoding="utf-8") as f:
        f.write(zone)


def name_server(run, direct=None):
    os.makedirs(f"{run}/knot", exist_ok=True)
    os.makedirs("/run/knot", exist_ok=True)
    _zone(run, direct)
    conf = render("knot.conf.in", f"{run}/knot.conf", RUN=run)
    return Process("knotd", [program("knotd"), "-c", conf], f"{run}/knot.log", _dns_ready)


# --- SIP home -------------------------------------------------------------------------------------------------------

def _kamailio_ready(_):
    return answers(HOME, 5060) and answers(HOME, 5061)


def _presence_tables(path):
    """The presence module wants its tables even when it keeps all in memory."""
    if os.path.exists(path):
        return
    with sqlite3.connect(path) as db:
        for name in ("standard", "presence"):
            with open(f"/usr/share/kamailio/db_sqlite/{name}-create.sql", encoding="utf-8") as f:
                db.executescript(f.read())


def sip_home(run, certs, transport, presence_expires=3600):
    """Kamailio. `transport` is the way from it to entented: udp, tcp or tls."""
    port = 5061 if transport == "tls" else 5060
    render("kamailio-tls.cfg.in", f"{run}/kamailio-tls.cfg", CERTS=certs)
    conf = render("kamailio.cfg.in", f"{run}/kamailio.cfg", RUN=run, PRESENCE_EXPIRES=presence_expires,
                  ENTENTE=f"sip:{GATEWAY}:{port};transport={transport}")
    _presence_tables(f"{run}/kamailio.db")
    return Process("kamailio", [program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", run,
                                "-P", f"{run}/kamailio.pid", "-Y", run, "-DD", "-E"],
                   f"{run}/kamailio.log", _kamailio_ready)


# --- XMPP servers ---------------------------------------------------------------------------------------------------

class Prosody(Process):
    def settle(self):
        """Wait until what it was told would survive kill -9."""

    def forgive(self):
        """Wait until it connects again to who refused it."""

    def __init__(self, run, certs, auth):
        certificate = "fabrikam" if auth == "external" else "fabrikam-self"
        self.data = f"{run}/prosody-data"
        os.makedirs(self.data, exist_ok=True)
        os.makedirs(f"{run}/prosody-certs", exist_ok=True)
        for domain in ("fabrikam.test", "litware.test"):
            shutil.copy(f"{certs}/{certificate}.pem", f"{run}/prosody-certs/{domain}.crt")
            shutil.copy(f"{certs}/{certificate}.key", f"{run}/prosody-certs/{domain}.key")
        conf = render("prosody.cfg.lua.in", f"{run}/prosody.cfg.lua", RUN=run, CERTS=certs,
                      SECURE_AUTH="true" if auth == "external" else "false")
        super().__init__("prosody", [program("prosody"), "-F", "--config", conf], f"{run}/prosody.out",
                         lambda _: answers(XMPP, 5269) and answers(XMPP, 5222))

    def add_account(self, jid):
        user, domain = jid.split("@")
        user, domain = (re.sub(r"[^A-Za-z0-9]", lambda c: f"%{ord(c[0]):02x}", x) for x in (user, domain))
        folder = f"{self.data}/{domain}/accounts"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{user}.dat", "w", encoding="utf-8") as f:
            f.write('return {\n\t["password"] = "%s";\n};\n' % PASSWORD)


class Ejabberd(Process):
    def __init__(self, run, certs, auth):
        folder = f"{run}/ejabberd"
        os.makedirs(folder, exist_ok=True)
        conf = render("ejabberd.yml.in", f"{run}/ejabberd.yml", CERTS=certs,
                      CERTIFICATE="fabrikam" if auth == "external" else "fabrikam-self",
                      DIALBACK="" if auth == "external" else "mod_s2s_dialback: {}")
        libraries = glob.glob("/usr/lib/*/ejabberd-*")
        if not libraries:
            raise LabError("ejabberd is not installed: run tools/deps test")
        env = {"EJABBERD_CONFIG_PATH": conf, "EJABBERD_LOG_PATH": f"{run}/ejabberd.log", "HOME": folder,
               "ERL_INETRC": f"{ETC}/ejabberd.inetrc", "ERL_LIBS": os.path.dirname(libraries[0]),
               "ERL_CRASH_DUMP_BYTES": "0"}
        # straight from erl: no epmd, no ejabberdctl, no other user
        argv = [program("erl"), "-noinput", "-mnesia", "dir", f'"{folder}/db"', "-s", "ejabberd"]
        super().__init__("ejabberd", argv, f"{run}/ejabberd.out",
                         lambda _: answers(XMPP, 5280) and answers(XMPP, 5269) and answers(XMPP, 5222),
                         env=env, cwd=folder, timeout=60)

    def settle(self):
        time.sleep(2.2)     # Erlang keeps what it appends to a log in memory for two seconds

    def forgive(self):
        time.sleep(1.2)     # s2s_max_retry_delay: until then it answers for a domain that refused it

    def add_account(self, jid):
        user, domain = jid.split("@")
        link = http.client.HTTPConnection(XMPP, 5280, timeout=10)
        link.request("POST", "/api/register", json.dumps({"user": user, "host": domain, "password": PASSWORD}),
                     {"Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read().decode("utf-8", "replace")
        link.close()
        if answer.status not in (200, 409):
            raise LabError(f"ejabberd did not make the account {jid}: {answer.status} {text}")


def xmpp_server(name, run, certs, auth):
    """name: prosody or ejabberd. auth: external (SASL EXTERNAL required) or dialback (TLS, self-signed, dialback)."""
    return {"prosody": Prosody, "ejabberd": Ejabberd}[name](run, certs, auth)
