# SPDX-License-Identifier: Apache-2.0
"""The programs that stand around entented: name server and SIP home. One function makes each. XMPP servers: xmppserver.py."""
import os
import re
import shutil
import socket
import sqlite3
import subprocess

from process import Process, answers
from waiting import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
ETC = os.path.join(HERE, "etc")

DNS = "127.0.0.53"
HOME = "127.0.0.11"
GATEWAY = "127.0.0.12"
XMPP = "127.0.0.21"


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


def certificates(folder):
    """The path of the lab's certificates, made below `folder` if they are not there."""
    return subprocess.run([f"{HERE}/certs", folder], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _zone(run, direct, more):
    """The zone as in etc/ and the lines `more`, with direct TLS (XEP-0368) before STARTTLS when `direct` is a port: of entented always 5270, of the partner
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
        f.write("\n".join([zone, *more, ""]))


def name_server(run, direct=None, more=(), zones=None):
    """more: lines of the zone test. zones: {name: text} of further ones, which may be signed."""
    os.makedirs(f"{run}/knot", exist_ok=True)
    os.makedirs("/run/knot", exist_ok=True)
    _zone(run, direct, more)
    for name, text in (zones or {}).items():
        with open(f"{run}/knot/{name}.zone", "w", encoding="utf-8") as f:
            f.write(text)
    conf = render("knot.conf.in", f"{run}/knot.conf", RUN=run, ZONES="".join(
        f'  - domain: {name}\n    storage: "{run}/knot"\n    file: "{name}.zone"\n    zonefile-sync: -1\n    journal-content: none\n'
        for name in ["test", *(zones or {})]))
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


def msrp_relay(run):
    """Kamailio as the relay of clients that speak MSRP."""
    conf = render("kamailio-msrp.cfg.in", f"{run}/kamailio-msrp.cfg")
    return Process("msrp-relay", [program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", run, "-P", f"{run}/kamailio-msrp.pid", "-Y", f"{run}/msrp", "-DD", "-E"],
                   f"{run}/kamailio-msrp.log", lambda _: answers("127.0.0.61", 2855))


def sip_home(run, certs, transport, presence_expires=3600):
    """Kamailio. `transport` is the way from it to entented: udp, tcp or tls."""
    port = 5061 if transport == "tls" else 5060
    render("kamailio-tls.cfg.in", f"{run}/kamailio-tls.cfg", CERTS=certs)
    conf = render("kamailio.cfg.in", f"{run}/kamailio.cfg", RUN=run, PRESENCE_EXPIRES=presence_expires,
                  ENTENTE=f"sip:{GATEWAY}:{port};transport={transport}", DOMAINS="contoso[.]test")
    _presence_tables(f"{run}/kamailio.db")
    return Process("kamailio", [program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", run,
                                "-P", f"{run}/kamailio.pid", "-Y", run, "-DD", "-E"],
                   f"{run}/kamailio.log", _kamailio_ready)
