# SPDX-License-Identifier: Apache-2.0
"""A name server that says whatever a test wants, at once: UDP and TCP, changes without a restart, traps included."""
import socket
import socketserver
import struct
import threading

A, CNAME, SOA, AAAA, SRV = 1, 5, 6, 28, 33


def encode_name(name):
    return b"".join(bytes([len(x)]) + x for x in name.encode("ascii").split(b".") if x) + b"\0"


class Names:
    """`records`: name -> list of (type, data): A/AAAA the address, CNAME the name, SRV (priority, weight, port, target)."""

    def __init__(self, address, suffix="test"):
        self.name = "names"
        self.address, self.suffix = address, suffix
        self.records = {}
        self.silent = set()     # questions for these names have no answer
        self.asked = []         # (name, type), in order
        self.popen = None
        self._servers = []

    # --- what a test says -------------------------------------------------------------------------------------------

    def put(self, name, *records):
        self.records[name.lower().rstrip(".")] = list(records)

    def host(self, name, *addresses):
        self.put(name, *((AAAA if ":" in a else A, a) for a in addresses))

    def domain(self, domain, address, port=5269, host=None, direct=None):
        """An XMPP domain with one server; `direct`: also direct TLS on that port."""
        host = host or f"xmpp.{domain}"
        self.host(host, address)
        self.put(f"_xmpp-server._tcp.{domain}", (SRV, (0, 0, port, host)))
        if direct:
            self.put(f"_xmpps-server._tcp.{domain}", (SRV, (0, 0, direct, host)))

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(self, query, stream):
        """The answer to one message, or None."""
        number, flags, questions = struct.unpack("!HHH", query[:6])
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]])
            at += query[at] + 1
        question = query[12:at + 5]
        kind = struct.unpack("!H", query[at + 1:at + 3])[0]
        name = b".".join(labels).decode("latin-1").lower()
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        found, code, current = [], 0, name
        for _ in range(40):     # follows CNAMEs, as a resolver does
            here = self.records.get(current)
            if here is None:
                inside = any(n.endswith("." + current) for n in list(self.records)) or current == self.suffix
                code = 0 if found or inside else 3
                break
            alias = next((d for t, d in here if t == CNAME), None)
            matching = [(current, t, d) for t, d in here if t == kind]
            found += matching
            if matching or alias is None or kind == CNAME:
                break
            found.append((current, CNAME, alias))
            current = alias.lower().rstrip(".")
        body = b"".join(self._record(*r) for r in found)
        negative = b""
        if not found:
            negative = encode_name(self.suffix) + struct.pack("!HHIH", SOA, 1, 1, 0)
            data = encode_name("ns." + self.suffix) + encode_name("who." + self.suffix) + struct.pack("!5I", 1, 60, 60, 60, 1)
            negative = negative[:-2] + struct.pack("!H", len(data)) + data
        flags = 0x8480 | (flags & 0x0100) | code
        head = struct.pack("!6H", number, flags, 1, len(found), 1 if negative else 0, 0)
        whole = head + question + body + negative
        if not stream and len(whole) > 1200:
            return struct.pack("!6H", number, flags | 0x0200, 1, 0, 0, 0) + question
        return whole[:65535]

    @staticmethod
    def _record(name, kind, data):
        if kind == A:
            data = socket.inet_pton(socket.AF_INET, data)
        elif kind == AAAA:
            data = socket.inet_pton(socket.AF_INET6, data)
        elif kind == CNAME:
            data = encode_name(data)
        elif kind == SRV:
            data = struct.pack("!HHH", *data[:3]) + encode_name(data[3])
        return encode_name(name) + struct.pack("!HHIH", kind, 1, 1, len(data)) + data     # one second, so that a test can change it

    # --- life, as a program of the lab ------------------------------------------------------------------------------

    def start(self):
        outer = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self):
                answer = outer.answer(self.request[0], False)
                if answer:
                    self.request[1].sendto(answer, self.client_address)

        class Stream(socketserver.StreamRequestHandler):
            def handle(self):
                self.request.settimeout(5)
                try:
                    while True:
                        size = self.rfile.read(2)
                        if len(size) < 2:
                            return
                        answer = outer.answer(self.rfile.read(struct.unpack("!H", size)[0]), True)
                        if answer:
                            self.wfile.write(struct.pack("!H", len(answer)) + answer)
                except OSError:
                    pass

        class Udp(socketserver.ThreadingUDPServer):
            daemon_threads = True

        class Tcp(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        self._servers = [Udp((self.address, 53), Datagram), Tcp((self.address, 53), Stream)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def alive(self):
        return bool(self._servers)

    def stop(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    kill = stop

    def tail(self, _=20):
        return "(no log)"
