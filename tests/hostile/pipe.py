# SPDX-License-Identifier: Apache-2.0
"""One connection as octets and as TLS, both under the control of a test."""
import socket
import ssl
import time

from waiting import LabError


class Gone(LabError):
    """The other side ended the connection."""


class Pipe:
    """`sock` is connected. Not for several threads. All waiting ends with LabError."""

    def __init__(self, sock):
        self.sock = sock
        self.tls = None             # ssl.SSLObject
        self.received = bytearray() # decrypted, the last 256 KiB
        self.total = 0              # octets read from the socket
        self.eof = None             # why nothing comes any more
        self._in = self._out = None
        self.restart()

    @classmethod
    def connect(cls, address, port, source=None, timeout=10, receive_buffer=None):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(timeout)
        try:
            if source:
                sock.bind((source, 0))
            sock.connect((address, port))
        except OSError as e:
            sock.close()
            raise Gone(f"no connection with {address}:{port}: {e}") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    # --- writing ----------------------------------------------------------------------------------------------------

    def send(self, data):
        """Through TLS when there is TLS. Gone when the other side is."""
        data = data.encode("utf-8") if isinstance(data, str) else data
        if self.tls:
            view = memoryview(data)
            while view:
                view = view[self.tls.write(view[:16384]):]
            data = self._out.read()
        self.send_raw(data)

    def send_raw(self, data):
        """Under TLS."""
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Gone(f"the other side does not take more: {e}") from None

    def drip(self, data, gap, until=None):
        """An octet at a time; ends early (False) when the other side has ended or until() is true."""
        for octet in data.encode() if isinstance(data, str) else data:
            try:
                self.send(bytes([octet]))
            except Gone:
                return False
            if self.pump(gap) is False or (until and until()):
                return False
        return True

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        """Also from another thread, which may be reading."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    # --- TLS --------------------------------------------------------------------------------------------------------

    def start_tls(self, context, server=False, name=None, timeout=15, early=b""):
        """The handshake. `early`: octets that were already read."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        if early:
            self._in.write(early)
        tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=None if server else name)
        end = time.monotonic() + timeout
        while True:
            try:
                tls.do_handshake()
                self.send_raw(self._out.read())
                break
            except ssl.SSLWantReadError:
                self.send_raw(self._out.read())
                data = self._read(end - time.monotonic())
                if not data:
                    raise Gone(f"no TLS: {self.eof or 'nothing came'}") from None
                self._in.write(data)
            except ssl.SSLError as e:
                try:
                    self.send_raw(self._out.read())     # the alert
                except Gone:
                    pass
                raise Gone(f"no TLS: {e}") from None
        self.tls = tls
        self.restart()
        return self

    # --- what a protocol makes of it ----------------------------------------------------------------------------------

    def restart(self):
        """What comes next is a new conversation."""

    def take(self, data):
        """Called with what has come, decrypted."""

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self, timeout):
        if self.eof:
            return None
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, BlockingIOError):
            return None
        except OSError as e:
            self.eof = str(e)
            return None
        if not data:
            self.eof = "end of connection"
        self.total += len(data)
        return data

    def pump(self, timeout):
        """Reads once. None: nothing came; False: nothing will come."""
        if self.tls:
            data = self._decrypt()      # what came together with the end of the handshake
            if not data:
                data = self._read(timeout)
                if data:
                    self._in.write(data)
                    data = self._decrypt()
        else:
            data = self._read(timeout)
        if data:
            self.received += data
            del self.received[:-262144]
            self.take(data)
            return True
        return False if self.eof else None

    def _decrypt(self):
        data = b""
        while True:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as e:
                self.eof = self.eof or str(e)
                break
            if not piece:
                self.eof = self.eof or "end of TLS"
                break
            data += piece
        answer = self._out.read()
        if answer:
            try:
                self.send_raw(answer)
            except Gone:
                pass
        return data

    def ended(self, within=0.0):
        """Has the other side ended the connection?"""
        end = time.monotonic() + within
        while not self.eof:
            self.pump(max(end - time.monotonic(), 0.001))
            if time.monotonic() >= end:
                break
        return bool(self.eof)
