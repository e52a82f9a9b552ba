# SPDX-License-Identifier: Apache-2.0
"""The lab's certification authority as one that takes certificates back: it issues certificates that name a revocation list, and serves
that list over HTTP at 127.0.0.61."""
import http.server
import itertools
import os
import subprocess
import tempfile
import threading
import time

AT = ("127.0.0.61", 8061)
NUMBER = itertools.count(1)
CONF = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\n"
EXTENSIONS = """subjectAltName={names}
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth,clientAuth
crlDistributionPoints=URI:{url}
"""


class Authority:
    """`folder` has ca.pem and what was issued, NAME.pem and NAME.key. `served`: whether the list is there; `fetches`: how often it was asked for."""

    def __init__(self, run, certs):
        self.certs = certs
        self.folder = tempfile.mkdtemp(prefix="authority.", dir=run)
        os.symlink(f"{certs}/ca.pem", f"{self.folder}/ca.pem")
        self._write("conf", CONF)
        self._write("index", "")
        self.path = f"/{os.getpid()}-{next(NUMBER)}.crl"    # the daemon keeps lists: each authority has its own
        self.url = f"http://{AT[0]}:{AT[1]}{self.path}"
        self.served, self.fetches, self.list = True, 0, b""
        self._renew()
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = authority.served and self.path == authority.path
                authority.fetches += 1
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(authority.list) if found else 0))
                self.end_headers()
                if found:
                    self.wfile.write(authority.list)

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.http = http.server.ThreadingHTTPServer(AT, Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def _write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def _openssl(self, *words):
        return subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=30).stdout

    def issue(self, name, *names):
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        self._openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={names[0]}", "-out", "request")
        self._write("extensions", EXTENSIONS.format(names=",".join(f"DNS:{n}" for n in names), url=self.url))
        self._openssl("x509", "-req", "-in", "request", "-CA", f"{self.certs}/ca.pem", "-CAkey", f"{self.certs}/ca.key", "-days", "30",
                      "-set_serial", f"0x{os.urandom(15).hex()}", "-sha256", "-extfile", "extensions", "-out", f"{name}.pem")

    def revoke(self, name):
        serial = self._openssl("x509", "-in", f"{name}.pem", "-noout", "-serial").decode().strip().split("=")[1]
        now = time.strftime("%y%m%d%H%M%SZ", time.gmtime())
        with open(f"{self.folder}/index", "a", encoding="utf-8") as f:
            f.write(f"R\t400101000000Z\t{now}\t{serial}\tunknown\t/CN={name}\n")
        self._renew()

    def _renew(self):
        self._openssl("ca", "-gencrl", "-config", "conf", "-cert", f"{self.certs}/ca.pem", "-keyfile", f"{self.certs}/ca.key", "-crldays", "1",
                      "-out", "list.pem")
        self.list = self._openssl("crl", "-in", "list.pem", "-outform", "DER")
