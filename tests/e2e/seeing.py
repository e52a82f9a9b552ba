# SPDX-License-Identifier: Apache-2.0
"""What an administrator sees: tests of a partner, traces, streams, attempts, metrics."""
import re

from scenario import PARTNER, check, scenario

BOTH = ["external", "dialback"]


def test_partner(lab, domain, *options, status=0):
    """`entente partner test --json`: what it printed; the exit status is as expected."""
    code, answer = lab.entente("partner", "test", domain, "--timeout", "15s", *options, check=False)
    check(code == status, f"exit status {code} instead of {status}: {answer}")
    return answer


def steps(answer, *outcomes):
    return [s["step"] for s in answer["steps"] if s["outcome"] in (outcomes or ("ok", "warning"))]


@scenario("{auth}: a partner that works, each step told", each={"auth": BOTH})
def works(lab, auth):
    answer = test_partner(lab, PARTNER)
    check(answer["verdict"] == "works", f"verdict {answer['verdict']}: {answer.get('cause')}")
    check(steps(answer) == ["policy", "dns", "tcp", "stream", "tls", "auth", "ping"], f"steps {steps(answer)}")
    tls = next(s for s in answer["steps"] if s["step"] == "tls" and s["outcome"] != "note")
    check(tls["facts"]["spki-sha256"].startswith("sha256//"), f"no key pin: {tls}")
    proof = next(s for s in answer["steps"] if s["step"] == "auth" and s["outcome"] == "ok")
    check(proof["facts"]["method"] == auth, f"proved by {proof['facts']}")
    said = lab.entented.cli("partner", "test", PARTNER)
    check(said.returncode == 0 and "verdict      works" in said.stdout, f"as text: {said.returncode} {said.stdout} {said.stderr}")
