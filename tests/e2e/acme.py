# SPDX-License-Identifier: Apache-2.0
"""Certificates from an ACME authority: certbot asks pebble for them (RFC 8555, HTTP-01), our hook puts them into their place, the daemon shows
them, and no stream notices."""
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request

import peers
from daemon import TOP, binary
from process import Process, answers
from scenario import MODERN, check, scenario, wait_until

HOOK = f"{TOP}/packaging/acme-hook"
CHALLENGES, DNS, DIRECTORY, MANAGEMENT = 5002, 8053, 14000, 15000


class Authority:
    """pebble, and a name server that says that every name is here."""

    def __init__(self, run):
        self.run = run
        self.ca = f"{run}/pebble-https.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=pebble",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{run}/pebble-https.key", "-out", self.ca], check=True, capture_output=True)
        with open(f"{run}/pebble.json", "w", encoding="utf-8") as f:
            json.dump({"pebble": {"listenAddress": f"127.0.0.1:{DIRECTORY}", "managementListenAddress": f"127.0.0.1:{MANAGEMENT}", "certificate": self.ca,
                                  "privateKey": f"{run}/pebble-https.key", "httpPort": CHALLENGES, "tlsPort": 5001, "ocspResponderURL": "",
                                  "externalAccountBindingRequired": False}}, f)
        self.programs = [
            Process("challtestsrv", ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{DNS}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1",
                                     "-defaultIPv6", "", "-management", "127.0.0.1:8055"], f"{run}/challtestsrv.log", lambda p: answers("127.0.0.1", 8055)),
            Process("pebble", ["pebble", "-config", f"{run}/pebble.json", "-dnsserver", f"127.0.0.1:{DNS}", "-strict"], f"{run}/pebble.log",
                    lambda p: answers("127.0.0.1", DIRECTORY) and answers("127.0.0.1", MANAGEMENT), env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}),
        ]

    def __enter__(self):
        for p in self.programs:
            p.start()
        context = ssl.create_default_context(cafile=self.ca)
        self.root = f"{self.run}/pebble-root.pem"
        with urllib.request.urlopen(f"https://127.0.0.1:{MANAGEMENT}/roots/0", context=context, timeout=20) as answer, open(self.root, "wb") as f:
            f.write(answer.read())
        return self

    def __exit__(self, *_):
        for p in self.programs:
            p.kill()

    def certbot(self, *words, **env):
        """Its exit status and what it printed."""
        where = [x for d in ("config", "work", "logs") for x in (f"--{d}-dir", f"{self.run}/certbot/{d}")]
        done = subprocess.run(["certbot", *words, "--non-interactive", *where], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "REQUESTS_CA_BUNDLE": self.ca, "ENTENTE": binary("entente"), **env})
        return done.returncode, done.stdout + done.stderr


def shown(port, trust, *more):
    """What the daemon shows there: (serial, names). The chain must lead to `trust`."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"{peers.GATEWAY}:{port}", "-CAfile", trust, "-verify_return_error", "-showcerts", *more],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    check("Verify return code: 0 (ok)" in done.stdout, f"port {port}: {done.stdout[-600:]} {done.stderr[-600:]}")
    text = subprocess.run(["openssl", "x509", "-noout", "-serial", "-ext", "subjectAltName"], input=done.stdout, capture_output=True, text=True, check=True).stdout
    return re.search(r"serial=(\w+)", text).group(1).lower(), sorted(re.findall(r"DNS:([^\s,]+)", text))


def serials(trust, split):
    xmpp = shown(5269, trust, "-starttls", "xmpp-server", "-xmpphost", "contoso.test")
    both = [xmpp, shown(5270, trust)] + ([] if split else [shown(5061, trust)])
    check(len(set(serial for serial, _ in both)) == 1, f"the ports show different certificates: {both}")
    return xmpp


def streams(lab):
    return sorted((s["id"], s["direction"]) for s in lab.entente("show", "streams")["streams"] if s["state"] == "open" and s["remote"] == "fabrikam.test")


def talk(romeo, juliet, text):
    romeo.say(juliet.name, text)
    juliet.expect_message(romeo.name, text, timeout=20)
    juliet.message(romeo.name, text + " too")
    romeo.expect_message(juliet.name, text + " too", timeout=20)


def read(path):
    with open(path, "rb") as f:
        return f.read()


@scenario("certbot gets a certificate, the hook puts it into its place, no stream notices; and again at the renewal", peers=MODERN[:1])
def certbot(lab):
    split = hasattr(lab.entented, "parts")
    part = lab.entented.parts[0] if split else lab.entented
    place, lineage = f"{lab.run}/acme", f"{lab.run}/certbot/config/live/contoso.test"
    os.makedirs(place, exist_ok=True)
    before = read(part.config)
    for kind in ("pem", "key"):
        shutil.copyfile(f"{lab.certs}/contoso.{kind}", f"{place}/live.{kind}")
    with open(part.config, "wb") as f:
        f.write(re.sub(rb"(?m)^  (certificate|key): \S*/contoso\.(pem|key)$", rb"  \1: " + place.encode() + rb"/live.\2", before))
    try:
        check(part.cli("reload").returncode == 0, "the reload with the files of our own")
        romeo, juliet = lab.couple()
        talk(romeo, juliet, "before")
        open_before = streams(lab)
        check(open_before, "there is no stream")
        with Authority(lab.run) as authority:
            env = {"ENTENTE_CONFIG": part.config, "ENTENTE_SOCKET": part.socket}
            status, said = authority.certbot("certonly", "--standalone", "--http-01-port", str(CHALLENGES), "--server", f"https://127.0.0.1:{DIRECTORY}/dir", "--agree-tos",
                                             "--register-unsafely-without-email", "--key-type", "ecdsa", "-d", "contoso.test", "-d", "gw.contoso.test",
                                             "--deploy-hook", HOOK, **env)
            check(status == 0 and "Hook 'deploy-hook' ran with error" not in said, f"certbot: {status} {said}")
            first, names = serials(authority.root, split)
            check(names == ["contoso.test", "gw.contoso.test"], f"names: {names}")
            check(streams(lab) == open_before, f"streams: {open_before} before, {streams(lab)} now")
            talk(romeo, juliet, "after")
            check(streams(lab) == open_before, f"the messages did not take the streams that were open: {streams(lab)}")
            # the hook is in the lineage's own settings now
            status, said = authority.certbot("renew", "--force-renewal", "--no-random-sleep-on-renew", **env)
            check(status == 0, f"certbot renew: {status} {said}")
            second, _ = serials(authority.root, split)
            check(second != first, "the renewed certificate is not shown")
            check(streams(lab) == open_before, "the renewal cost a stream")
            talk(romeo, juliet, "and after that")
            check(read(f"{place}/live.pem") == read(f"{lineage}/fullchain.pem"), "what is in the place is not what certbot has")
            check(os.stat(f"{place}/live.key").st_mode & 0o077 == 0o040, "mode of the key")
            check(os.path.exists(f"{place}/live.key.previous"), "the old key is not beside it")
            own = part.cli("certificate", "list", "--json")
            check(second.lstrip("0") in own.stdout, f"certificate list: {own.stdout}")
            # what is not usable is refused, and the hook says so
            kept = read(f"{place}/live.pem")
            shutil.copyfile(f"{lab.certs}/contoso.key", f"{lab.run}/other.key")
            done = subprocess.run([HOOK, f"{lineage}/fullchain.pem", f"{lab.run}/other.key"], env={**os.environ, "ENTENTE": binary("entente"), **env}, capture_output=True,
                                  text=True, timeout=30, check=False)
            check(done.returncode == 1 and "no private key belongs" in done.stderr, f"the hook with the key of another: {done.returncode} {done.stderr}")
            check(read(f"{place}/live.pem") == kept, "it was changed all the same")
    finally:
        with open(part.config, "wb") as f:
            f.write(before)
        wait_until(lambda: part.cli("reload").returncode == 0, 20, "the lab's certificate again")
