# SPDX-License-Identifier: Apache-2.0
"""A flood in a process of its own: flooder.py MODE SECONDS ADDRESS PORT SOURCE... prints one JSON line.

connect  connects from all sources in turn, holds what is not closed
hello    a TLS ClientHello on each connection, reads the server's answer, goes away: dear to the server, cheap to us"""
import errno
import json
import select
import socket
import ssl
import sys
import time
from collections import Counter

LIMIT = 4000        # sockets at once


def client_hello():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="contoso.test")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def main():
    mode, seconds, address, port, sources = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:]
    hello = client_hello()
    poll = select.epoll()
    held = {}               # fd -> (socket, source, since)
    tried = ended = answered = failed = 0
    by_source, by_network, most = Counter(), Counter(), Counter()
    end = time.monotonic() + seconds
    turn = 0

    def drop(fd):
        sock, source, _ = held.pop(fd)
        poll.unregister(fd)
        sock.close()
        if mode == "connect":
            by_source[source] -= 1
            by_network[source.rsplit(".", 1)[0]] -= 1

    while time.monotonic() < end:
        for _ in range(50):
            if len(held) >= (LIMIT if mode == "connect" else 64):
                break
            source = sources[turn % len(sources)]
            turn += 1
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((source, 0))
                sock.connect((address, port))
            except BlockingIOError:
                pass
            except OSError as e:
                failed += 1
                sock.close()
                if e.errno == errno.EADDRINUSE:
                    continue
                continue
            tried += 1
            held[sock.fileno()] = (sock, source, time.monotonic())
            poll.register(sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if mode == "hello" else 0))
            if mode == "connect":
                by_source[source] += 1
                by_network[source.rsplit(".", 1)[0]] += 1
        for fd, what in poll.poll(0.002):
            sock = held[fd][0]
            if what & select.EPOLLOUT and mode == "hello":
                try:
                    sock.send(hello)
                    poll.modify(fd, select.EPOLLIN)
                except OSError:
                    drop(fd)
                    continue
            if what & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                try:
                    data = sock.recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if mode == "hello":
                    answered += bool(data)
                if not data or mode == "hello":
                    ended += 1
                    drop(fd)
    quiet = 0
    while mode == "connect" and quiet < 5:      # what is still open when nothing is closed any more is what the server admitted
        ready = poll.poll(0.1)
        quiet = 0 if ready else quiet + 1
        for fd, _ in ready:
            try:
                if not held[fd][0].recv(65536):
                    drop(fd)
            except BlockingIOError:
                pass
            except OSError:
                drop(fd)
    for fd in list(held):       # SYNs that the kernel has dropped are no connections
        try:
            held[fd][0].getpeername()
        except OSError:
            drop(fd)
    print(json.dumps({"tried": tried, "ended": ended, "answered": answered, "failed": failed, "held": len(held),
                      "per_source": max(by_source.values(), default=0), "per_network": max(by_network.values(), default=0)}), flush=True)
    if mode == "connect" and not sys.stdin.isatty():
        sys.stdin.read()    # holds them until told


main()
