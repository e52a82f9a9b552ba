# SPDX-License-Identifier: Apache-2.0
"""Certificates of every kind, made by openssl(1) when first asked for, and TLS contexts that show them."""
import hashlib
import os
import ssl
import subprocess
import tempfile

SERVER_ONLY, CLIENT_ONLY, BOTH = "serverAuth", "clientAuth", "serverAuth,clientAuth"


class Certificates:
    """`folder` is what tests/lab/certs made: its authority signs; what is made here stays beside it."""

    def __init__(self, folder, made="made"):
        """`made`: where; another name makes another key."""
        self.authority = folder
        self.folder = f"{folder}/{made}"
        os.makedirs(self.folder, exist_ok=True)
        self.key = self._file("key", lambda to: self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", to))
        self.other = self._file("other-authority", self._other)     # nobody trusts it

    def _openssl(self, *words, data=None):
        done = subprocess.run(["openssl", *words], input=data, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr}")

    def _file(self, name, make):
        path = f"{self.folder}/{name}.pem"
        if not os.path.exists(path):
            handle, work = tempfile.mkstemp(dir=self.folder)
            os.close(handle)
            make(work)
            os.rename(work, path)
        return path

    def _other(self, to):
        self._openssl("req", "-x509", "-new", "-key", self.key, "-days", "3650", "-subj", "/CN=Another authority",
                      "-addext", "keyUsage=critical,keyCertSign", "-out", to)

    def leaf(self, *names, cn=None, usage=BOTH, signer="lab", dates=None, extra=""):
        """A certificate for `names` (openssl's words: "DNS:a.test", "otherName:..."; without a colon: DNS). signer: lab, other (an
        authority that nobody trusts), self. dates: (from, to) as YYYYMMDDHHMMSSZ. extra: more lines of openssl's extensions."""
        san = ",".join(n if ":" in n else f"DNS:{n}" for n in names)
        text = f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n{extra}"
        if usage:
            text += f"extendedKeyUsage={usage}\n"
        if san:
            text += f"subjectAltName={san}\n"
        subject = f"/CN={cn or names[0].split(':')[-1]}" if cn != "" else "/O=Nobody"
        digest = hashlib.sha256(repr((text, subject, signer, dates)).encode()).hexdigest()[:20]
        return self._file(digest, lambda to: self._sign(to, text, subject, signer, dates))

    def _sign(self, to, text, subject, signer, dates):
        with open(f"{to}.ext", "w", encoding="utf-8") as f:
            f.write(text)
        self._openssl("req", "-new", "-key", self.key, "-subj", subject, "-out", f"{to}.csr")
        by = {"lab": ("-CA", f"{self.authority}/ca.pem", "-CAkey", f"{self.authority}/ca.key"),
              "other": ("-CA", self.other, "-CAkey", self.key), "self": ("-signkey", self.key)}[signer]
        if dates:   # openssl x509 of 3.0 takes days only, openssl ca takes dates
            self._by_date(to, dates)
        else:
            self._openssl("x509", "-req", "-in", f"{to}.csr", *by, "-set_serial", str(int.from_bytes(os.urandom(8), "big")),
                          "-days", "365", "-sha256", "-extfile", f"{to}.ext", "-out", to)
        os.unlink(f"{to}.ext")
        os.unlink(f"{to}.csr")

    def _by_date(self, to, dates):
        with tempfile.TemporaryDirectory(dir=self.folder) as d:
            open(f"{d}/index", "w", encoding="utf-8").close()
            with open(f"{d}/conf", "w", encoding="utf-8") as f:
                f.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={d}/index\nnew_certs_dir={d}\nrand_serial=yes\ndefault_md=sha256\n"
                        "policy=p\nunique_subject=no\n[p]\ncommonName=optional\norganizationName=optional\n")
            self._openssl("ca", "-batch", "-notext", "-config", f"{d}/conf", "-cert", f"{self.authority}/ca.pem", "-keyfile",
                          f"{self.authority}/ca.key", "-in", f"{to}.csr", "-out", to, "-extfile", f"{to}.ext",
                          "-startdate", dates[0], "-enddate", dates[1])

    def pin(self):
        """SHA-256 of the public key, in hex."""
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], capture_output=True, timeout=60, check=True).stdout
        return hashlib.sha256(der).hexdigest()

    # --- contexts ---------------------------------------------------------------------------------------------------

    def client(self, leaf=None, alpn=None, version=None):
        """Trusts everybody, shows `leaf`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return self._finish(context, leaf, alpn, version)

    def server(self, leaf, alpn=None, version=None):
        """Asks for a certificate, and takes those of the lab's authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(f"{self.authority}/ca.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        return self._finish(context, leaf, alpn, version)

    def _finish(self, context, leaf, alpn, version):
        if leaf:
            context.load_cert_chain(leaf, self.key)
        if alpn:
            context.set_alpn_protocols([alpn])
        if version:
            context.minimum_version = context.maximum_version = version
        return context
