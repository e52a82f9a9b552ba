# SPDX-License-Identifier: Apache-2.0
"""SIP federation in the lab: a second organisation, adatum.test, complete with a home (Kamailio, 127.0.0.31) and an edge of its own
(entented, 127.0.0.32, and in scenarios about pools 127.0.0.33), which also host tailspin.test and others; woodgrove.test, whose home and edge is one Kamailio with TLS (127.0.0.41), and
which has the users cloud* of contoso.test; their users; and peers that say what they like.

contoso.test is the lab's own organisation, with sip.external-listen at gw.contoso.test:5061."""
import contextlib
import json
import os
import shlex
import socket
import ssl
import subprocess
import threading

import peers
from baresip import Baresip
from daemon import EVERYBODY_MAY, binary, parse_line
from process import Process, answers
from phone import Phone
from sipmessage import SipMessage, cut
from siptransport import token
from sipuser import REGISTRAR
from waiting import LabError

PORT = 5061
SOCKET = "/run/entente/adatum-%d.sock"
EDGES = ("127.0.0.32", "127.0.0.33")
HOSTED = ("adatum", "tailspin", "proseware", "wingtip")     # domains of adatum's home and edges
EXTERNAL = "    - {{address: {0}, port: 5063, transport: tls}}\n  external-listen:\n    - {{address: {0}, port: 5061}}\n"


def _rewrite(path, *pairs):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in pairs:
        text = text.replace(old, new)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def home_at(name, own, certs, ip, **values):
    """As contoso's home, at another address: (its configuration, the program)."""
    os.makedirs(own, exist_ok=True)
    peers.render("kamailio-tls.cfg.in", f"{own}/kamailio-tls.cfg", CERTS=certs)
    conf = peers.render("kamailio.cfg.in", f"{own}/kamailio.cfg", RUN=own, PRESENCE_EXPIRES=3600, **values)
    _rewrite(conf, ("127.0.0.11", ip))
    peers._presence_tables(f"{own}/kamailio.db")
    return conf, Process(name, [peers.program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", own, "-P", f"{own}/kamailio.pid", "-Y", own,
                                "-DD", "-E"], f"{own}/kamailio.log", lambda _: answers(ip, 5060))


def adatum_home(run, certs):
    """The home of adatum.test and of what its edges host; when the first edge does not answer it asks the second."""
    conf, home = home_at("adatum-home", f"{run}/adatum", certs, "127.0.0.31", ENTENTE="sip:127.0.0.32:5060;transport=tcp",
                         DOMAINS=f"({'|'.join(HOSTED)})[.]test")
    _rewrite(conf, ("contoso.test", "adatum.test"), ('\nalias="adatum', "".join(f'\nalias="{d}.test"' for d in HOSTED[1:]) + '\nalias="adatum'),
             ("#!KAMAILIO\n", "#!KAMAILIO\n#!define WITH_POOL\n"))
    return home


WAYS = {"udp": ("sip:127.0.0.13:5060;transport=udp", "sip:127.0.0.12:5060;transport=udp"),
        "tcp": ("sip:127.0.0.13:5060;transport=tcp", "sip:127.0.0.12:5060;transport=tcp"),
        "tls": ("sip:sip2.contoso.test:5061;transport=tls", "sip:127.0.0.12:5063;transport=tls")}


@contextlib.contextmanager
def second_home(lab, way="tcp", next_hop=None):
    """Another Kamailio for contoso.test, at 127.0.0.13, between which and entented requests go this way. entented's next hop is that, or
    `next_hop`, until the end; users that contoso_user makes sign in there."""
    there, back = WAYS[way]
    _, home = home_at("contoso-home-2", f"{lab.run}/home2", lab.certs, "127.0.0.13", ENTENTE=back, DOMAINS="contoso[.]test")
    first = ("sip:127.0.0.11:5060;transport=tcp", next_hop or there)
    try:
        home.start()
        _rewrite(lab.entented.config, first)
        lab.entente("reload")
        lab.registrar = ("127.0.0.13", 5060)
        yield home
    finally:
        lab.registrar = REGISTRAR
        home.kill()
        _rewrite(lab.entented.config, first[::-1])
        lab.entente("reload")


def woodgrove(run, certs):
    """Kamailio as another organisation's edge and home: TLS, certificates demanded."""
    own = f"{run}/woodgrove"
    os.makedirs(own, exist_ok=True)
    peers.render("kamailio-tls.cfg.in", f"{own}/kamailio-tls.cfg", CERTS=certs)
    _rewrite(f"{own}/kamailio-tls.cfg", ("home.", "woodgrove."), ("verify_certificate = no", "verify_certificate = yes"),
             ("require_certificate = no", "require_certificate = yes"))
    conf = peers.render("kamailio-edge.cfg.in", f"{own}/kamailio.cfg", RUN=own)
    peers._presence_tables(f"{own}/kamailio.db")
    return Process("woodgrove", [peers.program("kamailio"), "-f", conf, "-m", "64", "-M", "8", "-w", own, "-P", f"{own}/kamailio.pid",
                                 "-Y", own, "-DD", "-E"], f"{own}/kamailio.log", lambda _: answers("127.0.0.41", 5061))


class AdatumEdge(Process):
    """entented of adatum.test; two of them are a pool."""
    ends_well = True

    def __init__(self, run, certs, workers=1, number=1):
        own = f"{run}/adatum" if number == 1 else f"{run}/adatum{number}"
        ip, self.socket, self.workers = EDGES[number - 1], SOCKET % number, workers
        os.makedirs(f"{own}/state", exist_ok=True)
        with open(os.open(f"{run}/adatum-secret", os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as f:
            f.write("what the edges of a pool have in common, so that they know their dialogs\n")
        self.config = peers.render("entented.yaml.in", f"{own}/entented.yaml", WORKERS=workers, STATE=f"{own}/state", SOCKET=self.socket,
                                   LOG_LEVEL="debug", CERTS=certs, CERTIFICATE="adatum", NEXT_HOP="sip:127.0.0.31:5060;transport=tcp",
                                   TLS=EXTERNAL.format("127.0.0.12"))
        _rewrite(self.config, ("contoso", "adatum"), ("127.0.0.12", ip), ("127.0.0.11", "127.0.0.31"),
                 ("domains: [adatum.test]\n", f"domains: [{', '.join(d + '.test' for d in HOSTED)}]\n    type: lync\n"),
                 ("\nxmpp:\n", f"\nxmpp:\n  dialback-secret-file: {run}/adatum-secret\n"), ("\nsip:\n", f"\nsip:\n  pool: [{', '.join(x + ':5060' for x in EDGES if x != ip)}]\n"))
        wrapper = shlex.split(os.environ.get("ENTENTE_WRAPPER", ""))
        super().__init__(f"adatum-edge-{number}", [*wrapper, binary("entented"), "--config", self.config], f"{own}/entented.log",
                         lambda p: " server/ready" in p.output(), env={"JOURNAL_STREAM": None, "NOTIFY_SOCKET": None},
                         timeout=60 if wrapper else 15)
        self.state = f"{own}/state"

    def start(self):
        new = not os.path.exists(f"{self.state}/entente.db")
        super().start()
        if new:
            self.entente(*EVERYBODY_MAY)

    def entente(self, *words):
        done = subprocess.run([binary("entente"), "--socket", self.socket, *words, "--json"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20, check=False)
        if done.returncode:
            raise LabError(f"adatum: entente {' '.join(words)} failed: {done.stderr or done.stdout}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def events(self, event=None, **fields):
        found = [parse_line(line) for line in self.output().splitlines()]
        return [e for e in found if e and (event is None or e[2] == event) and all(e[3].get(k) == v for k, v in fields.items())]


class RawPeer:
    """A TLS client with a certificate of its choice that says what it likes to an edge."""

    def __init__(self, certs, certificate, to=("127.0.0.12", PORT), timeout=10):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(f"{certs}/ca.pem")
        if certificate:
            context.load_cert_chain(f"{certs}/{certificate}.pem", f"{certs}/{certificate}.key")
        self.socket = context.wrap_socket(socket.create_connection(to, timeout=timeout))
        self.rest = b""

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())

    def tell(self, *request, **more):
        """Sends a request and waits for nothing: ACK. As _request()."""
        self.send(self._request(*request, **more))

    @staticmethod
    def _request(method, uri, from_, to=None, headers=(), body="", tag=None, call_id=None, from_tag=None, cseq=1):
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/TLS mallory.test:5061;branch=z9hG4bK{token(12)}", "Max-Forwards: 70",
                 f"From: <{from_}>;tag={from_tag or token(6)}", f"To: <{to or uri}>" + (f";tag={tag}" if tag else ""), f"Call-ID: {call_id or token(12)}",
                 f"CSeq: {cseq} {method}", *headers, f"Content-Length: {len(body)}", "", body]
        return "\r\n".join(lines).encode()

    def ask(self, *request, timeout=10, **more):
        """Sends a request, returns its final answer; None when the connection ends instead. As _request()."""
        self.send(self._request(*request, **more))
        return self._answer(timeout)

    def ask_at_once(self, count, *request, **more):
        """So many requests without waiting; the answers as they come."""
        self.send(b"".join(self._request(*request, **more) for _ in range(count)))
        return [self._answer(20) for _ in range(count)]

    def _answer(self, timeout):
        self.socket.settimeout(timeout)
        while True:
            m, self.rest = cut(self.rest)
            if m and m.status and m.status >= 200:
                return m
            if m:
                continue
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return None
            if not data:
                return None
            self.rest += data

    def close(self):
        self.socket.close()


class RawServer:
    """A SIP server of mallory.test, at gw.mallory.test, with a certificate of its choice: answers every request 200. `requests`: what came."""

    def __init__(self, certs, certificate, at=("127.0.0.39", PORT)):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{certs}/{certificate}.pem", f"{certs}/{certificate}.key")
        self.context.load_verify_locations(f"{certs}/ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.connections, self.requests, self._sockets = 0, [], []
        self.listener = socket.create_server(at)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self.listener, *self._sockets):   # their threads close them: a number that is used again must not be read from
            with contextlib.suppress(OSError):
                socket.socket.shutdown(s, socket.SHUT_RDWR)
        self._thread.join(5)

    def drop(self):
        """Ends the connections that are open."""
        for s in self._sockets[:]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        with self.listener:
            while True:
                try:
                    plain, _ = self.listener.accept()
                except OSError:
                    return
                self.connections += 1
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        rest = b""
        plain.settimeout(20)
        try:
            with self.context.wrap_socket(plain, server_side=True) as secured:
                self._sockets.append(secured)
                secured.settimeout(None)
                while data := secured.recv(65536):
                    rest += data
                    while True:
                        m, rest = cut(rest)
                        if not m:
                            break
                        if m.method and m.method != "ACK":
                            self.requests.append(m)
                            secured.sendall(self._answer(m))
        except OSError:
            pass

    @staticmethod
    def _answer(m):
        answer = SipMessage(status=200, reason="OK")
        for name in ("Via", "Record-Route", "From", "Call-ID", "CSeq"):
            for value in m.all(name):
                answer.add(name, value)
        answer.add("To", m.get("to") + ";tag=mallory")
        answer.add("Contact", "<sip:m@gw.mallory.test:5061;transport=tls>")
        answer.add("Expires", m.get("expires", "0"))
        return answer.encode()


def _user(lab, address, registrar, cls):
    user = cls(address, next(lab._addresses), "udp", f"{lab.run}/sip-users.log", lab.observer, registrar)
    lab.users.append(user)
    return user.online()


def contoso_user(lab, name, cls=Phone):
    """A user of contoso.test, signed in."""
    return _user(lab, f"{name}@contoso.test", lab.registrar, cls)


def adatum_user(lab, name, domain="adatum.test", cls=Phone):
    """One of a domain that adatum's home has."""
    return _user(lab, f"{name}@{domain}", ("127.0.0.31", 5060), cls)


def woodgrove_user(lab, name, domain="woodgrove.test", cls=Phone):
    """One of woodgrove.test, or of contoso.test in the cloud (cloud*)."""
    return _user(lab, f"{name}@{domain}", ("127.0.0.41", 5060), cls)


def baresip_pair(lab, ours, theirs):
    """baresip as a user of contoso.test and as one of adatum.test, who takes calls."""
    pair = []
    for name, other, home in ((ours, theirs, "127.0.0.11"), (theirs, ours, "127.0.0.31")):
        client = Baresip(lab.run, name, next(lab._addresses), other, control_port=next(lab._ports), home=home, accept=name == theirs)
        lab.users.append(client)
        client.start()
        pair.append(client)
    return pair
