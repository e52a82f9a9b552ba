# SPDX-License-Identifier: Apache-2.0
"""A TLS client by libssl itself, for what Python's ssl does not let one do: key updates, renegotiation, early data.

openssl.py ADDRESS PORT SOURCE SECONDS [asking] [between]: key updates as fast as they go; `asking`: the other side is to change its
keys too; `between`: with an octet of data after each. Prints how many were sent and whether the connection was cut."""
import ctypes
import ctypes.util
import socket
import sys
import time

lib = ctypes.CDLL(ctypes.util.find_library("ssl"))
for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
    getattr(lib, name).restype = ctypes.c_void_p
for name in ("SSL_CTX_new", "SSL_new", "SSL_CTX_free", "SSL_free", "SSL_connect", "SSL_do_handshake", "SSL_renegotiate"):
    getattr(lib, name).argtypes = [ctypes.c_void_p]
lib.SSL_get1_session.restype = ctypes.c_void_p
lib.SSL_get1_session.argtypes = lib.SSL_SESSION_get_max_early_data.argtypes = lib.SSL_SESSION_free.argtypes = [ctypes.c_void_p]
lib.SSL_SESSION_get_max_early_data.restype = ctypes.c_uint32
lib.SSL_set_fd.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.SSL_write.argtypes = lib.SSL_read.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
lib.SSL_ctrl.argtypes = lib.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304


class Client:
    """Connected, with TLS of this version. Every call says whether it worked."""

    def __init__(self, address, port, source, version):
        self.sock = socket.create_connection((address, port), 10, (source, 0))
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\5" + bytes(15))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, b"\5" + bytes(15))
        self.context = lib.SSL_CTX_new(lib.TLS_client_method())
        lib.SSL_CTX_ctrl(self.context, 123, version, None)      # minimum
        lib.SSL_CTX_ctrl(self.context, 124, version, None)      # maximum
        self.tls = lib.SSL_new(self.context)
        lib.SSL_set_fd(self.tls, self.sock.fileno())
        if lib.SSL_connect(self.tls) != 1:
            raise OSError("no TLS")

    def write(self, data):
        return lib.SSL_write(self.tls, data, len(data)) == len(data)

    def read(self, size=65536):
        buffer = ctypes.create_string_buffer(size)
        n = lib.SSL_read(self.tls, buffer, size)
        return buffer.raw[:n] if n > 0 else b""

    def key_update(self, asking):
        return lib.SSL_key_update(self.tls, 1 if asking else 0) == 1 and lib.SSL_do_handshake(self.tls) == 1

    def renegotiate(self):
        return lib.SSL_renegotiate(self.tls) == 1 and lib.SSL_do_handshake(self.tls) == 1

    def close(self):
        self.sock.close()
        lib.SSL_free(self.tls)
        lib.SSL_CTX_free(self.context)


def early_data(address, port, source):
    """How many octets of early data a session of this server lets a client send (RFC 8446 4.6.1)."""
    c = Client(address, port, source, TLS13)
    try:
        c.read()        # the tickets come behind the handshake; then nothing for five seconds, or the end
        session = lib.SSL_get1_session(c.tls)
        n = lib.SSL_SESSION_get_max_early_data(session)
        lib.SSL_SESSION_free(session)
        return n
    finally:
        c.close()


def main(address, port, source, seconds, *words):
    c = Client(address, int(port), source, TLS13)
    n, cut, end = 0, 0, time.monotonic() + float(seconds)
    while time.monotonic() < end and not cut:
        if c.key_update("asking" in words) and ("between" not in words or c.write(b" ")):
            n += 1
        else:
            cut = 1
    print(n, cut)


if __name__ == "__main__":
    main(*sys.argv[1:])
