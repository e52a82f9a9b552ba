# SPDX-License-Identifier: Apache-2.0
"""The daemon locks itself in: what its process may do, what `entente status` says of it, and that a reload cannot unlock it."""
import json
import os
import shutil

from scenario import MODERN, check, scenario


def of_process(part):
    with open(f"/proc/{part.popen.pid}/status", encoding="utf-8") as f:
        return {k: v.strip() for k, _, v in (line.partition(":") for line in f)}


def state(part):
    return json.loads(part.cli("status", "--json").stdout)["sandbox"]


def write(part, text):
    with open(part.config, "w", encoding="utf-8") as f:
        f.write(text)


@scenario("required: the daemon has locked itself in, and a reload does not unlock it", peers=MODERN[:1])
def locked(lab):
    part = lab.entented.gateway if hasattr(lab.entented, "parts") else lab.entented
    if state(part)["state"] == "none":     # a build for tests
        return
    with open(part.config, encoding="utf-8") as f:
        before = f.read()
    elsewhere = f"{lab.run}-elsewhere"
    os.makedirs(elsewhere, exist_ok=True)
    try:
        part.stop()
        write(part, before.replace("server:\n", "server:\n  sandbox: required\n", 1))
        part.start()
        have, process = state(part), of_process(part)
        check(have["state"] == "on" and have["syscalls"] and have["files"] and not have["lacks"], f"status says {have}")
        check(process["Seccomp"] == "2" and process["NoNewPrivs"] == "1", f"the kernel says {process}")
        check(int(process["CapPrm"], 16) == 0, f"capabilities: {process}")
        # the same authorities in another folder: not without a restart
        trust = next(line.split()[1] for line in before.splitlines() if line.startswith("  trust: "))
        shutil.copy(trust, f"{elsewhere}/ca.pem")
        write(part, before.replace(f"trust: {trust}", f"trust: {elsewhere}/ca.pem", 1))
        refused = part.cli("reload")
        check(refused.returncode != 0 and "restart" in refused.stdout + refused.stderr, f"the reload: {refused}")
        write(part, before)
        check(part.cli("reload").returncode == 0, "the reload of what was there before")
    finally:
        write(part, before)
        shutil.rmtree(elsewhere, ignore_errors=True)
