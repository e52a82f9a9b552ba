# SPDX-License-Identifier: Apache-2.0
"""The audit log of a running daemon: start, changes, reloads, stop are in it, and what is done to it afterwards is found."""
import json
import os
import signal
import shutil

from scenario import MODERN, PARTNER, check, scenario, wait_until


def verify(part):
    done = part.cli("audit", "verify", "--file", part.config, "--json")
    return done.returncode, json.loads(done.stdout)


@scenario("changes, reloads, starts and stops are in the audit log, and tampering is found", peers=MODERN[:1])
def log(lab):
    part = lab.entented.gateway if hasattr(lab.entented, "parts") else lab.entented
    state = f"{lab.run}/entente"
    lab.entente("partner", "xmpp", "set", PARTNER, "--description", "audited")
    status, _ = lab.entente("partner", "xmpp", "remove", "no-such.test", check=False)
    check(status == 1, f"removing what is not there: {status}")
    check(part.cli("reload").returncode == 0, "reload")
    reloaded = len(part.events("server/reloaded"))
    os.kill(part.popen.pid, signal.SIGHUP)
    wait_until(lambda: len(part.events("server/reloaded")) > reloaded, 20, "the reload by signal")
    rows = lab.entente("audit", "list", "--limit", "50")["records"]
    commands = [(r["command"] or r.get("text"), r["via"], r.get("exit")) for r in rows]
    for wanted in (("partner xmpp set", "socket", 0), ("partner xmpp remove", "socket", 1), ("reload", "socket", 0), ("reload", "signal", 0), ("start", "service", None)):
        check(wanted in commands, f"{wanted} is not in the log: {commands}")
    code, report = verify(part)
    check(code == 0 and report["whole"] and report["head"] == report["last"], f"verify beside the daemon: {report}")
    # stopped and started: the chain goes on
    part.stop()
    code, after = verify(part)
    check(code == 0 and after["last"] > report["last"], f"verify without the daemon: {after}")
    path = f"{state}/audit.jsonl"
    whole = open(path, "rb").read()
    check(b'"text":"stop"' in whole.splitlines()[-1], f"the last record is not the stop: {whole.splitlines()[-1]}")
    shutil.copyfile(path, f"{lab.run}/audit.whole")
    try:
        lines = whole.splitlines(keepends=True)
        with open(path, "wb") as f:
            f.write(whole.replace(b"audited", b"AUDITED", 1))
        at = next(i for i, x in enumerate(lines) if b"audited" in x)
        code, broken = verify(part)
        check(code == 1 and broken["line"] in (at + 1, at + 2), f"an altered record {at + 1}: {broken}")
        with open(path, "wb") as f:
            f.write(b"".join(lines[:-1]))
        code, cut = verify(part)
        check(code == 1 and "cut off" in cut["fault"], f"an end that was cut off: {cut}")
    finally:
        shutil.copyfile(f"{lab.run}/audit.whole", path)
    part.start()
    if hasattr(lab.entented, "parts"):
        lab.entented.linked()
    code, again = verify(part)
    check(code == 0 and again["last"] > after["last"], f"after the next start: {again}")
