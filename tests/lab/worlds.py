# SPDX-License-Identifier: Apache-2.0
"""Labs whose DNS is out of the ordinary. A world is a function (run, certs) -> World."""
import base64
import glob
import hashlib
import os
import re
import subprocess
from typing import NamedTuple

from peers import XMPP, name_server, program
from waiting import LabError
from xmppserver import Stance, xmpp_server

REFUSING, SILENT, BROKEN = "127.0.0.29", "127.0.0.30", "127.0.0.28"     # nothing listens; never answers; speaks no TLS
XMPP6, REFUSING6, SILENT6 = "fd00::21", "fd00::29", "fd00::30"


class World(NamedTuple):
    dns: object
    xmpp: object
    settings: str       # of entented


# --- DANE: DNSSEC with a zone signed here, nobody but us believes in its key -----------------------------------------

DANE = ["match", "mismatch", "bogus", "missing", "pkix", "insecure", "forged"]


def _tlsa(certificate):
    """The data of a DANE-EE record (3 1 1, RFC 7671 5.1) for the key of a certificate."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], check=True, stdout=subprocess.PIPE).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True, stdout=subprocess.PIPE).stdout
    return "3 1 1 " + hashlib.sha256(der).hexdigest()


def _head(zone):
    return [f"$ORIGIN {zone}.", "$TTL 60", "@ SOA ns.test. hostmaster.test. 1 3600 600 86400 1", "@ NS ns.test."]


def _spoil(zone, owner, covered):
    """Break the signature of one record set."""
    def other(match):
        signature = bytearray(base64.b64decode(match.group(2)))
        signature[7] ^= 1
        return match.group(1) + base64.b64encode(signature).decode()
    spoiled, found = re.subn(rf"(?m)^({re.escape(owner)}\.\s+\d+\s+IN\s+RRSIG\s+{covered} .*\s)(\S+)$", other, zone)
    if found != 1:
        raise LabError(f"the signed zone has {found} signatures of {owner} {covered}")
    return spoiled


def _sign(folder, zone):
    """Sign the zone file, the signatures last: its new text, and a file with the key to trust."""
    def make(*options):
        return subprocess.run([program("ldns-keygen"), "-a", "ECDSAP256SHA256", *options, zone], cwd=folder, check=True,
                              stdout=subprocess.PIPE, text=True).stdout.strip()
    keys = [make(), make("-k")]
    subprocess.run([program("ldns-signzone"), "-o", zone, "-f", "signed", f"{zone}.zone", *keys], cwd=folder, check=True)
    with open(f"{folder}/signed", encoding="utf-8") as f:
        return f.read(), f"{folder}/{keys[1]}.key"


def dane(run, certs):
    """dane.test is signed; insecure.dane.test is not, and says so securely. The XMPP server has a certificate of its own signing
    for each but pkix.dane.test."""
    folder = f"{run}/dnssec"
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(f"{folder}/*"):
        os.unlink(old)
    records = {name: [f"xmpp.{name} A {XMPP}", f"_xmpp-server._tcp.{name} SRV 0 0 5269 xmpp.{name}"] for name in DANE}
    for name, of in {"match": "match", "mismatch": "match", "bogus": "bogus", "insecure": "insecure"}.items():
        records[name].append(f"_5269._tcp.xmpp.{name} TLSA {_tlsa(f'{certs}/{of}.dane.pem')}")
    child = [line.replace(".insecure ", " ").replace("xmpp.insecure", "xmpp") for line in records.pop("insecure")]
    with open(f"{folder}/dane.test.zone", "w", encoding="utf-8") as f:
        f.write("\n".join([*_head("dane.test"), "insecure NS ns.test.", *(x for lines in records.values() for x in lines), ""]))
    signed, key = _sign(folder, "dane.test")
    signed = _spoil(signed, "_5269._tcp.xmpp.bogus.dane.test", "TLSA")
    signed = _spoil(signed, "_xmpp-server._tcp.forged.dane.test", "SRV")
    zones = {"dane.test": signed, "insecure.dane.test": "\n".join([*_head("insecure.dane.test"), *child, ""])}
    dns = name_server(run, more=["dane NS ns", "insecure.dane NS ns"], zones=zones)
    xmpp = xmpp_server("prosody", run, certs, Stance("*"), [f"{name}.dane.test" for name in DANE])
    return World(dns, xmpp, f"dns:\n  trust-anchor: {key}\n")


def dane_off(run, certs):
    world = dane(run, certs)
    return world._replace(settings=world.settings + "xmpp:\n  dane: false\n")


# --- SRV: where to connect ----------------------------------------------------------------------------------------------

def _srv(name, *records, service="xmpp-server"):
    """records: "priority weight port target"."""
    return [f"_{service}._tcp.{name}.srv SRV {record}" for record in records]


def srv(run, certs):
    """Each NAME.srv.test is a domain of the one XMPP server, which is at live.srv.test; dead and silent are places where it is not."""
    for address in (XMPP6, REFUSING6, SILENT6):
        subprocess.run([program("ip"), "-6", "addr", "replace", f"{address}/128", "dev", "lo", "nodad"], check=True)
    live, dead, silent, broken = (f"{x}.srv" for x in ("live", "dead", "silent", "broken"))
    zone = [f"{live} A {XMPP}", f"{dead} A {REFUSING}", f"{silent} A {SILENT}", f"{broken} A {BROKEN}", f"live2.srv A {XMPP}",
            f"v6dead.srv A {XMPP}", f"v6dead.srv AAAA {SILENT6}", f"v4dead.srv A {SILENT}", f"v4dead.srv AAAA {XMPP6}",
            f"v6only.srv AAAA {XMPP6}", f"v6refuses.srv A {XMPP}", f"v6refuses.srv AAAA {REFUSING6}",
            f"alias.srv CNAME alias2.srv", "alias2.srv CNAME alias3.srv", f"alias3.srv CNAME {live}",
            "loop.srv CNAME loop2.srv", "loop2.srv CNAME loop.srv", "loopback.srv A 127.0.0.1", "private.srv A 10.1.2.3"]
    zone += [f"chain{n}.srv CNAME chain{n + 1}.srv" for n in range(30)] + [f"chain30.srv A {XMPP}"]
    zone += [line for lines in [
        _srv("refused", f"10 0 5269 {dead}", f"20 0 5269 {live}"),
        _srv("silence", f"10 0 5269 {silent}", f"20 0 5269 {live}"),
        _srv("no-tls", f"10 0 5269 {broken}", f"20 0 5269 {live}"),
        _srv("starttls-first", f"5 0 5269 {live}"), _srv("starttls-first", f"10 0 5270 {live}", service="xmpps-server"),
        _srv("direct-first", f"10 0 5269 {live}"), _srv("direct-first", f"5 0 5270 {live}", service="xmpps-server"),
        _srv("direct-dead", f"10 0 5269 {live}"), _srv("direct-dead", f"5 0 5270 {dead}", service="xmpps-server"),
        _srv("direct-only", f"5 0 5270 {live}", service="xmpps-server"),
        _srv("no-direct", f"5 0 5269 {live}"), _srv("no-direct", "0 0 0 .", service="xmpps-server"),
        _srv("nowhere", "0 0 0 ."), [f"nowhere.srv A {XMPP}"],
        _srv("all-dead", f"0 0 5269 {dead}"), [f"all-dead.srv A {XMPP}"],
        [f"fallback.srv A {XMPP}"],
        _srv("heavy", f"5 0 5269 {live}", "5 65535 5269 live2.srv"),
        _srv("even", f"5 1 5269 {live}", "5 1 5269 live2.srv"),
        _srv("aliases", "0 0 5269 alias.srv"), _srv("looping", "0 0 5269 loop.srv"), _srv("long-chain", "0 0 5269 chain0.srv"),
        _srv("loop-then-live", "0 0 5269 loop.srv", f"5 0 5269 {live}"),
        ["_xmpp-server._tcp.elsewhere.srv CNAME _xmpp-server._tcp.refused.srv"],
        ["_xmpp-server._tcp.circle.srv CNAME _xmpp-server._tcp.circle2.srv",
         "_xmpp-server._tcp.circle2.srv CNAME _xmpp-server._tcp.circle.srv"],
        _srv("thousand", *(f"{n} 0 5269 {broken}" for n in range(1000))),
        _srv("sixty", *(f"{n} 0 {20000 + n} {dead}" for n in range(1, 60)), f"0 0 5269 {live}"),
        _srv("v6-dead", "0 0 5269 v6dead.srv"), _srv("v4-dead", "0 0 5269 v4dead.srv"), _srv("v6-only", "0 0 5269 v6only.srv"),
        _srv("v6-refuses", "0 0 5269 v6refuses.srv"),
        _srv("to-loopback", "0 0 5269 loopback.srv"), _srv("to-private", "0 0 5269 private.srv"),
    ] for line in lines]
    domains = {m.group(1) for line in zone for m in [re.match(r"_xmpps?-server\._tcp\.([\w-]+)\.srv ", line)] if m}
    dns = name_server(run, more=zone)
    hosts = sorted(f"{d}.srv.test" for d in domains | {"fallback"})
    xmpp = xmpp_server("prosody", run, certs, Stance("srv", strict=True), hosts, more_addresses=[XMPP6])
    return World(dns, xmpp, "timers:\n  connect: 3s\n")


def srv_public(run, certs):
    return srv(run, certs)._replace(settings="xmpp:\n  private-addresses: false\n")


# --- one way ----------------------------------------------------------------------------------------------------------

def deaf(run, certs):
    """The name of contoso.test leads to a port where nobody listens: we come to partners, and they do not come to us."""
    dns = name_server(run)
    with open(f"{run}/knot/test.zone", encoding="utf-8") as f:
        zone, found = re.subn(r"(?m)^(_xmpp-server\._tcp\.contoso +SRV +0 0) 5269 ", r"\1 5999 ", f.read())
    if found != 1:
        raise LabError("test.zone has not one SRV record of contoso.test")
    with open(f"{run}/knot/test.zone", "w", encoding="utf-8") as f:
        f.write(zone)
    return World(dns, xmpp_server("prosody", run, certs, "external"), "")


WORLDS = {"deaf": deaf, "dane": dane, "dane-off": dane_off, "srv": srv, "srv-public": srv_public}
