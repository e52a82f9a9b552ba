# SPDX-License-Identifier: Apache-2.0
"""Drafts in the running daemon: what a commit leaves behind when the daemon is killed in the middle of it, and policy tests at a reload."""
import json
import socket
import time

from scenario import check, scenario

MANY = 40


def ask(lab, *words, status=0):
    done = lab.entented.cli(*words, "--json")
    check(done.returncode == status, f"entente {' '.join(words)}: exit {done.returncode}, not {status}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else {}


def staged(lab):
    """Those of the partners that this test makes, which are in force."""
    return [p["domain"] for p in ask(lab, "partner", "xmpp", "list")["partners"] if p["domain"].startswith("staged")]


def setting(lab):
    with open(lab.entented.config, encoding="utf-8") as f:
        return "  notify-interval: 7s" in f.read()


def send(lab, *words):
    """The request, without waiting for its answer."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(lab.entented.socket)
    s.sendall(json.dumps({"command": list(words), "json": True}).encode() + b"\n")
    return s


@scenario("entented is killed in the middle of a commit: all of it or nothing, database and file together")
def killed_at_commit(lab):
    before = open(lab.entented.config, encoding="utf-8").read()
    seen = set()
    for delay in (0, 0.02, 0.05, 0.1, 0.2, 5):
        ask(lab, "config", "begin")
        document = f"{lab.entented.state}/more.yaml"
        with open(document, "w", encoding="utf-8") as f:
            f.write("format: entente-policy/1\nxmpp-partners:\n")
            f.writelines(f"  - {{domain: staged{i}.example, type: federated}}\n" for i in range(MANY))
        ask(lab, "policy", "import", document, "--merge")
        ask(lab, "config", "set", "timers.notify-interval", "7s")
        check(not staged(lab), "a draft is in force before its commit")
        waiting = send(lab, "config", "commit")
        if delay < 5:
            time.sleep(delay)
        else:
            waiting.recv(65536)
        lab.entented.kill()
        waiting.close()
        lab.entented.start()
        now = staged(lab)
        check(len(now) in (0, MANY), f"{len(now)} of {MANY} partners are in force")
        check(setting(lab) == (len(now) == MANY), f"{len(now)} partners, but the setting is {'' if setting(lab) else 'not '}in the file")
        seen.add(len(now))
        # whatever it was, the draft can be ended and the next one begun
        lab.entented.cli("config", "abort")
        if now:
            ask(lab, "config", "begin")
            for domain in now[:1]:
                ask(lab, "partner", "xmpp", "show", domain, "--staged")
            ask(lab, "config", "abort")
            newest = ask(lab, "config", "history", "--limit", "1")["history"][0]["generation"]
            ask(lab, "config", "rollback", str(newest - 1))
            check(not staged(lab), "rolled back, and still there")
            with open(lab.entented.config, "w", encoding="utf-8") as f:
                f.write(before)
            ask(lab, "reload")
    check(MANY in seen, "no commit came through, not even the one that was waited for")


@scenario("a policy test that fails refuses a reload and a commit, and the policy stays")
def policy_tests(lab):
    before = open(lab.entented.config, encoding="utf-8").read()
    line = before.count("\n") + 2
    with open(lab.entented.config, "a", encoding="utf-8") as f:
        f.write("policy-tests:\n  - {from: romeo@contoso.test, to: a@spam.example, network: xmpp, expect: refuse, reason: policy/domain-blocked}\n")
    refused = lab.entented.cli("reload")
    check(refused.returncode == 78, f"exit {refused.returncode}: {refused.stdout}{refused.stderr}")
    check(f":{line}:" in refused.stdout and "policy/partner-unknown" in refused.stdout, refused.stdout)
    ask(lab, "blocked-domain", "add", "spam.example")
    ask(lab, "reload")
    check("1 policy tests, 0 failed" in lab.entented.cli("policy", "test").stdout, "the test is not run")
    ask(lab, "config", "begin")
    ask(lab, "blocked-domain", "remove", "spam.example")
    error = ask(lab, "config", "commit", status=4)["error"]
    check(error["code"] == "policy-test" and f"line {line}:" in error["text"], error)
    ask(lab, "config", "abort")
    check("spam.example" in lab.entented.cli("blocked-domain", "list").stdout, "the refused commit has changed something")
