# SPDX-License-Identifier: Apache-2.0
"""Where private keys are: with the process that makes signatures, and nowhere in the one that reads what others send."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile

from scenario import befriend, check, gets_through, scenario, wait_until

CHUNK = 4 << 20
SHADOW = 4 << 30    # what is larger is a sanitizer's own: terabytes of nothing


def der_values(octets):
    """The primitive values of a DER structure, flat: (tag, octets)."""
    found, at = [], 0
    while at + 2 <= len(octets):
        tag, length, at = octets[at], octets[at + 1], at + 2
        if length & 0x80:
            n = length & 0x7f
            length, at = int.from_bytes(octets[at:at + n], "big"), at + n
        value, at = octets[at:at + length], at + length
        found += der_values(value) if tag & 0x20 else [(tag, value)]
    return found


def secrets_of(path):
    """What must be found nowhere: the numbers of the private key as they lie in memory, in both orders of octets, and a piece of the file."""
    octets = subprocess.run(["openssl", "pkey", "-in", path, "-outform", "DER", "-traditional"], capture_output=True, check=True).stdout
    values = der_values(octets)
    # ECPrivateKey: 1, the number; RSAPrivateKey: 0, n, e, d, p, q and more
    numbers = [values[1][1]] if values[1][0] == 4 else [values[i][1].lstrip(b"\0") for i in (3, 4, 5)]
    check(all(len(n) >= 30 for n in numbers), f"{path}: numbers of {[len(n) for n in numbers]} octets")
    with open(path, "rb") as f:
        text = f.read()
    lines = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", text, re.S).group(1).splitlines()
    return [n[:24] for n in numbers] + [n[::-1][:24] for n in numbers] + [lines[1][:40]]


def holds(pid, secrets):
    """How many of them are somewhere in the memory of the process; and how much of that could be read, in octets."""
    found, size = set(), 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            if "r" not in line.split()[1] or line.endswith(("[vvar]\n", "[vsyscall]\n", "[vvar_vclock]\n")):
                continue
            if last - first > SHADOW:
                continue
            rest = b""
            for at in range(first, last, CHUNK):
                try:
                    memory.seek(at)
                    piece = memory.read(min(CHUNK, last - at))
                except (OSError, ValueError):
                    break
                size += len(piece)
                rest = rest[-64:] + piece
                found.update(i for i, s in enumerate(secrets) if s in rest)
    return len(found), size


def keeper_of(part):
    return int(part.events("server/keys")[-1][3]["pid"])


def parts_of(entented):
    return getattr(entented, "parts", [entented])


def talk(lab):
    """Both networks, so both roles of TLS have shown the certificate."""
    romeo, juliet = lab.couple()
    gets_through(juliet, romeo, "by another process")      # first: her server may have it in mind that it could not connect
    befriend(romeo, juliet)
    romeo.say(juliet.name, "signed?")
    juliet.expect_message(romeo.name, "signed?")


@scenario("T51 the private key is in no memory but its keeper's")
def memory_scan(lab):
    for part in parts_of(lab.entented):
        with open(part.config, encoding="utf-8") as f:
            settings = f.read()
        keys = set(re.findall(r"^ +key: (\S+)", settings, re.M))
        check(keys, f"{part.name} has no key")
        secrets = [s for k in keys for s in secrets_of(k)]
        talk(lab)
        check(part.cli("reload").returncode == 0, "the reload failed")
        talk(lab)
        in_server, size = holds(part.popen.pid, secrets)
        check(size > 1 << 20, f"{part.name}: only {size} octets could be read")
        check(in_server == 0, f"{part.name}: {in_server} of {len(secrets)} secrets are in the server's memory ({size} octets)")
        in_keeper, size = holds(keeper_of(part), secrets)
        check(in_keeper > 0, f"{part.name}: none of {len(secrets)} secrets is in the keeper's memory ({size} octets): the scan finds nothing")
        shown = part.cli("status").stdout
        check("in a process of their own" in shown, shown)


@scenario("T51 a key in a folder of its own is closed to the server")
def own_folder(lab):
    """Beside its certificate it is opened along with it; the status tells which it is."""
    for part in parts_of(lab.entented):
        def closed(p=part):
            sandbox = json.loads(p.cli("status", "--json").stdout)["sandbox"]
            return (sandbox["files"], sandbox["keys"])

        def noted(p=part):
            said = p.cli("check", "system", "--file", p.config, "--json").stdout
            return "check/system-keys-open" in [f["id"] for f in json.loads(said)["findings"]]
        files, keys = closed()
        check(noted() == files, f"files are restricted: {files}, the check has a note: {noted()}")
        check(not keys, "the key beside the certificate is said to be closed")
        with open(part.config, encoding="utf-8") as f:
            settings = f.read()
        with tempfile.TemporaryDirectory() as folder:
            key = re.search(r"^ +key: (\S+)", settings, re.M).group(1)
            own = shutil.copy(key, f"{folder}/own.key")
            os.chmod(folder, 0o755)
            check(part.stop() == 0, f"{part.name} did not end well")
            try:
                with open(part.config, "w", encoding="utf-8") as f:
                    f.write(settings.replace(f"key: {key}\n", f"key: {own}\n"))
                part.start()
                check(closed() == (files, files), f"files, keys: {closed()}")
                check(not noted(), "the check has a note about a key that is closed")
                check(part.cli("reload").returncode == 0, "the reload failed: the keeper should read it")
                if not hasattr(lab.entented, "linked"):
                    talk(lab)
            finally:
                part.stop()
                with open(part.config, "w", encoding="utf-8") as f:
                    f.write(settings)
                part.start()
    if hasattr(lab.entented, "linked"):
        lab.entented.linked()


@scenario("the keeper of the keys is killed: the server ends, says why, and comes back")
def keeper_killed(lab):
    for part in parts_of(lab.entented):
        keeper = keeper_of(part)
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda p=part: not p.alive(), 30, f"{part.name} goes on without keys")
        check(part.popen.returncode == 70, f"{part.name} ended with status {part.popen.returncode}")
        lost = part.events("server/keys-lost")
        check(len(lost) == 1 and "signal 9" in lost[0][3]["text"], f"the log says {lost}")
        part.start()
        check(keeper_of(part) != keeper, "the same keeper")
    if hasattr(lab.entented, "linked"):
        lab.entented.linked()
    talk(lab)


@scenario("the server is killed: its keeper goes too")
def server_killed(lab):
    for part in parts_of(lab.entented):
        keeper = keeper_of(part)
        os.kill(part.popen.pid, signal.SIGKILL)      # only the server itself
        part.popen.wait()

        def gone(pid=keeper):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    return f.read().rpartition(")")[2].split()[0] in "ZX"    # nobody may be there to bury it
            except OSError:
                return True
        wait_until(gone, 30, f"the keeper of {part.name} goes on without it")
        part.start()
    if hasattr(lab.entented, "linked"):
        lab.entented.linked()
    talk(lab)


@scenario("keys in the server itself, as server.key-process off has it")
def keys_in_the_server(lab):
    """The control of the scan: there it finds them."""
    for part in parts_of(lab.entented):
        with open(part.config, encoding="utf-8") as f:
            settings = f.read()
        check(part.stop() == 0, f"{part.name} did not end well")
        try:
            with open(part.config, "w", encoding="utf-8") as f:
                f.write(settings.replace("\nserver:\n", "\nserver:\n  key-process: off\n", 1))
            part.start()
            check(not part.events("server/keys"), "there is a keeper")
            secrets = [s for k in set(re.findall(r"^ +key: (\S+)", settings, re.M)) for s in secrets_of(k)]
            found, size = holds(part.popen.pid, secrets)
            check(found > 0, f"{part.name}: none of {len(secrets)} secrets is in its {size} octets")
            check("in the server itself" in part.cli("status").stdout, "entente status does not say so")
            if not hasattr(lab.entented, "linked"):
                talk(lab)
        finally:
            part.stop()
            with open(part.config, "w", encoding="utf-8") as f:
                f.write(settings)
            part.start()
    if hasattr(lab.entented, "linked"):
        lab.entented.linked()
