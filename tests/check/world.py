# SPDX-License-Identifier: Apache-2.0
"""A small real world, with faults: addresses, DNS, certificates, web servers, entented. Everything in namespaces of our own (../lab/ns)."""
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab")
sys.path.insert(0, LAB)
from daemon import binary       # noqa: E402
from peers import program       # noqa: E402
from process import Process     # noqa: E402

RUN = "/srv/check"      # a file system of our own: what is in /tmp or /run is a finding
KEYS = "/srv/check-keys"
DNS, HOME, WEB = "127.0.0.53", ("127.0.0.11", 5060), ("127.0.0.61", 8061)
OURS, PARTNER, OLD = "192.0.2.10", "192.0.2.20", "192.0.2.30"       # litware.test is the one with the old certificate
OTHER, PLAIN, REFUSES, SILENT = "192.0.2.41", "192.0.2.42", "192.0.2.43", "192.0.2.44"
SIX = "2001:db8::10"


def sh(*words, **more):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=RUN, **more).stdout


def network():
    if not os.environ.get("ENTENTE_NS"):
        sys.exit("start it through tests/check/run")     # else the machine's own /srv would be hidden
    os.makedirs("/srv", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/srv"], check=True)
    os.makedirs(RUN)
    for a in (OURS, PARTNER, OLD, OTHER, PLAIN, REFUSES, SILENT):
        sh("ip", "addr", "add", f"{a}/32", "dev", "lo")
    sh("ip", "addr", "add", f"{SIX}/128", "dev", "lo", "nodad")


# --- certificates ---------------------------------------------------------------------------------------------------

NAMES = ["sip.contoso.test", "contoso.test", "gw.contoso.test"]
DAY = 86400


class Authority:
    def __init__(self, name, issuer=None, days=(-10, 3650)):
        self.name = name
        sh("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        with open(f"{RUN}/{name}.index", "w", encoding="ascii"):
            pass
        with open(f"{RUN}/{name}.cnf", "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={name}.index\ndefault_md=sha256\npolicy=p\nunique_subject=no\nrand_serial=yes\nnew_certs_dir=.\n"
                    "[p]\ncommonName=optional\n")
        if issuer:
            issuer.issue(name, None, days=days, extensions="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n", key=f"{name}.key")
        else:
            sh("openssl", "req", "-x509", "-new", "-key", f"{name}.key", "-sha256", "-days", "3650", "-subj", f"/CN={name}", "-addext",
               "keyUsage=critical,keyCertSign,cRLSign", "-out", f"{name}.pem")

    def issue(self, name, names=NAMES, days=(-1, 300), usage="serverAuth,clientAuth", crl=None, key=None, new=("-newkey", "ec", "-pkeyopt",
              "ec_paramgen_curve:P-256"), digest="sha256", extensions=None, chain=()):
        """NAME.pem (with `chain` after it) and NAME.key."""
        if key:
            sh("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", f"{name}.csr")
        else:
            sh("openssl", "req", "-new", *new, "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
            os.chmod(f"{RUN}/{name}.key", 0o640)
        if extensions is None:
            extensions = f"basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n"
            extensions += "subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n" if names else ""
            extensions += f"crlDistributionPoints=URI:http://{WEB[0]}:{WEB[1]}/{crl}\n" if crl else ""
        with open(f"{RUN}/{name}.ext", "w", encoding="ascii") as f:
            f.write(extensions)

        def stamp(d):
            return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + d * DAY))
        sh("openssl", "ca", "-batch", "-config", f"{self.name}.cnf", "-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key", "-md", digest, "-in",
           f"{name}.csr", "-out", f"{name}.pem", "-notext", "-startdate", stamp(days[0]), "-enddate", stamp(days[1]), "-extfile", f"{name}.ext")
        with open(f"{RUN}/{name}.pem", "a", encoding="ascii") as f:
            for one in chain:
                with open(f"{RUN}/{one}.pem", encoding="ascii") as g:
                    f.write(g.read())

    def list(self, hours=24):
        """A revocation list, DER."""
        sh("openssl", "ca", "-config", f"{self.name}.cnf", "-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key", "-gencrl", "-crlsec", str(hours * 3600),
           "-out", f"{self.name}.crl")
        sh("openssl", "crl", "-in", f"{self.name}.crl", "-outform", "DER", "-out", f"{self.name}.der")
        with open(f"{RUN}/{self.name}.der", "rb") as f:
            return f.read()

    def revoke(self, name):
        sh("openssl", "ca", "-config", f"{self.name}.cnf", "-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key", "-revoke", f"{name}.pem")


def certificates():
    """All of them; returns what the web server has: {path: octets}."""
    ca, rogue = Authority("ca"), Authority("rogue")
    middle, gone = Authority("middle", ca), Authority("gone", ca, days=(-400, -5))
    ca.issue("good", crl="ca.crl")
    ca.issue("fabrikam", ["fabrikam.test", "gw.fabrikam.test"])
    ca.issue("litware", ["litware.test", "gw.litware.test"], days=(-300, 5))
    ca.issue("stranger", ["stranger.test"])
    ca.issue("expired", days=(-300, -3))
    ca.issue("not-yet", days=(2, 300))
    ca.issue("soon", days=(-85, 15))
    ca.issue("last-days", days=(-95, 5))
    ca.issue("no-names", names=None)
    ca.issue("lacks", ["contoso.test", "gw.contoso.test"])
    ca.issue("wildcard", ["contoso.test", "*.contoso.test"])
    ca.issue("weak", new=("-newkey", "rsa:1024"))
    ca.issue("sha1", digest="sha1")
    ca.issue("client-only", usage="clientAuth")
    ca.issue("server-only", usage="serverAuth")
    ca.issue("no-list", crl="nowhere.crl")
    ca.issue("stale", crl="stale.crl")
    ca.issue("revoked", crl="ca.crl")
    ca.revoke("revoked")
    middle.issue("whole", chain=["middle"])
    middle.issue("cut")
    gone.issue("old-chain", chain=["gone"])
    rogue.issue("rogue-leaf", chain=["rogue"])
    ca.issue("exposed")
    os.chmod(f"{RUN}/exposed.key", 0o644)
    os.makedirs(KEYS, mode=0o750)       # where the sandbox of a server does not open it
    for name in ("good", "fabrikam"):
        shutil.copy(f"{RUN}/{name}.key", KEYS)
    sh("openssl", "pkey", "-in", "good.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")
    with open(f"{RUN}/rubbish.pem", "w", encoding="ascii") as f:
        f.write("this is no certificate\n")
    return {"/ca.crl": ca.list(), "/stale.crl": stale(ca)}


def stale(authority):
    """A list that was to be renewed an hour ago."""
    def stamp(s):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + s))
    sh("openssl", "ca", "-config", f"{authority.name}.cnf", "-cert", f"{authority.name}.pem", "-keyfile", f"{authority.name}.key", "-gencrl", "-crl_lastupdate",
       stamp(-2 * DAY), "-crl_nextupdate", stamp(-3600), "-out", "stale-list.pem")
    sh("openssl", "crl", "-in", "stale-list.pem", "-outform", "DER", "-out", "stale.der")
    with open(f"{RUN}/stale.der", "rb") as f:
        return f.read()


# --- DNS --------------------------------------------------------------------------------------------------------------

def right(domain, gateway="gw.contoso"):
    """The records of a domain of ours without a fault, by what they are for; `None` in a change takes one away."""
    return {"xmpp": f"_xmpp-server._tcp.{domain} SRV 10 10 5269 {gateway}", "xmpps": f"_xmpps-server._tcp.{domain} SRV 5 10 5270 {gateway}",
            "sip": f"_sipfederationtls._tcp.{domain} SRV 0 10 5061 sip.{domain}", "a": f"sip.{domain} A {OURS}"}


def zone(faults):
    """faults: {domain below test: {what: record or None}}."""
    lines = ["$ORIGIN test.", "$TTL 60", "@ SOA ns hostmaster 1 3600 600 86400 1", "@ NS ns", f"ns A {DNS}", f"gw.contoso A {OURS}",
             f"_xmpp-server._tcp.fabrikam SRV 10 10 5269 gw.fabrikam", f"gw.fabrikam A {PARTNER}",
             f"_xmpp-server._tcp.litware SRV 10 10 5269 gw.litware", f"gw.litware A {OLD}",
             f"_xmpp-server._tcp.northwind SRV 10 10 5269 gw.northwind", f"gw.northwind A {REFUSES}"]
    for domain, changes in faults.items():
        records = {**right(domain), **changes}
        lines += [r for r in records.values() if r]
    return "\n".join(lines) + "\n"


def name_server(faults):
    os.makedirs(f"{RUN}/knot")
    os.makedirs("/run/knot", exist_ok=True)
    with open(f"{RUN}/knot/test.zone", "w", encoding="ascii") as f:
        f.write(zone(faults))
    with open(f"{RUN}/knot/bogus.example.zone", "w", encoding="ascii") as f:     # not signed, and the trust anchor says that it is
        f.write("$ORIGIN bogus.example.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\nns A 127.0.0.53\n_xmpp-server._tcp SRV 10 10 5269 gw\n"
                f"gw A {OURS}\n")
    with open(f"{RUN}/anchor", "w", encoding="ascii") as f:
        f.write("bogus.example. IN DS 12345 13 2 " + "ab" * 32 + "\n")
    zones = "".join(f'  - domain: {z}\n    storage: "{RUN}/knot"\n    file: "{z}.zone"\n    zonefile-sync: -1\n    journal-content: none\n'
                    for z in ("test", "bogus.example", "broken.example"))        # broken.example has no file: SERVFAIL
    with open(f"{RUN}/knot.conf", "w", encoding="ascii") as f:
        f.write(f'server:\n    rundir: "/run/knot"\n    listen: {DNS}@53\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n'
                f'database:\n    storage: "{RUN}/knot"\nlog:\n  - target: stderr\n    any: info\nzone:\n{zones}')

    def ready(_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            try:
                s.sendto(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02gw\x07contoso\x04test\x00\x00\x01\x00\x01", (DNS, 53))
                return socket.inet_aton(OURS) in s.recv(512)
            except OSError:
                return False
    return Process("knotd", [program("knotd"), "-c", f"{RUN}/knot.conf"], f"{RUN}/knot.log", ready)


# --- servers of ours --------------------------------------------------------------------------------------------------

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def serve(at, handler):
    server = Server(at, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def web(files):
    """Revocation lists; /fast and /right say what time it is there."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = files.get(self.path) or (b"time" if self.path in ("/fast", "/right") else b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp=None):
            return super().date_time_string(time.time() + (4000 if self.path == "/fast" else 0))

        def log_message(self, *_):
            pass
    serve(WEB, Handler)


class Holds(socketserver.BaseRequestHandler):
    """A home as far as a connection tells: takes everything, says nothing."""
    def handle(self):
        while self.request.recv(4096):
            pass


class Babbles(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"220 this is no TLS\r\n")
        self.request.recv(100)


def stranger(at, certificate="stranger"):
    """Another server with TLS, whose certificate is not ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{RUN}/{certificate}.pem", f"{RUN}/{certificate}.key")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                with context.wrap_socket(self.request, server_side=True) as s:
                    s.recv(100)
            except OSError:
                pass
    serve(at, Handler)


def silent(at):
    """A listener whose queue is full: whoever connects gets no answer."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(at)
    s.listen(0)
    keep = [s]
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(at)
        keep.append(c)
    return keep


# --- entented ---------------------------------------------------------------------------------------------------------

def settings(name="gw.contoso.test", domains=("contoso.test",), at=OURS, socket_name="contoso", certificate="good", state=None):
    """A configuration without a fault, as a dictionary."""
    return {
        "server": {"name": name, "workers": 1, "state-directory": state or f"{RUN}/{socket_name}", "control-socket": f"/run/entente/{socket_name}.sock"},
        "dns": {"servers": [DNS]},
        "tls": {"certificate": f"{RUN}/{certificate}.pem", "key": f"{KEYS}/{certificate}.key", "trust": f"{RUN}/ca.pem"},
        "sip": {"listen": [{"address": "127.0.0.12", "port": 5060, "transport": "tcp"}], "external-listen": [{"address": at}]},
        "xmpp": {"listen": [{"address": at}, {"address": at, "port": 5270, "tls": "direct"}]},
        "homes": [{"name": "home", "domains": list(domains), "next-hop": f"sip:{HOME[0]}:{HOME[1]};transport=tcp"}],
    }


def merged(base, changes):
    """Deep; None takes a key away."""
    out = dict(base)
    for key, value in (changes or {}).items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def write(name, config):
    """YAML: a section a line, its contents in JSON, which is YAML too."""
    path = f"{RUN}/{name}.yaml"
    with open(path, "w", encoding="utf-8") as f:
        for section, contents in config.items():
            f.write(f"{section}: {json.dumps(contents)}\n")
    os.chmod(path, 0o640)
    return path


def entented(name, config, descriptors=None):
    os.makedirs(config["server"]["state-directory"], mode=0o750, exist_ok=True)
    os.makedirs("/run/entente", exist_ok=True)
    path = write(name, config)
    limit = [program("prlimit"), f"--nofile={descriptors}:{descriptors}"] if descriptors else []
    return Process(name, [*limit, binary("entented"), "--config", path], f"{RUN}/{name}.log", lambda p: " server/ready" in p.output(),
                   env={"JOURNAL_STREAM": None, "NOTIFY_SOCKET": None}, timeout=60)


def entente(*words, env=None, timeout=120):
    return subprocess.run([binary("entente"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, check=False)
