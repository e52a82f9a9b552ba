# SPDX-License-Identifier: Apache-2.0
"""What a scenario is, and the words that scenarios are written with."""
import itertools
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from lab import PARTNER, STANCE_DOMAINS, befriend   # noqa: E402,F401
from waiting import LabError, wait_until    # noqa: E402,F401

SCENARIOS = []
PEERS = ["prosody", "ejabberd", "jabberd2"]
MODERN = PEERS[:2]      # SASL, direct TLS, acknowledgements
DEFAULTS = {"auth": "external", "transport": "tcp"}     # of the lab
STRANGE = "Grüße aus Zürich, 世界, العربية, e\u0301, \U0001f600\U0001f469\u200d\U0001f4bb"
MARKUP = "<b>bold</b> & &amp; \"quoted\" 'single' ]]> <!-- not a comment --> <?php ?>"


class Scenario:
    def __init__(self, topic, name, function, partner, options, arguments, peers, rare):
        self.topic, self.name, self.function, self.partner = topic, name, function, partner
        self.options, self.arguments, self.peers, self.rare = options, arguments, peers, rare

    def __str__(self):
        return f"{self.topic}/{self.name}"


def scenario(name, partner="federated", each=None, peers=PEERS, rare=False, **options):
    """Decorator: the function is a scenario and gets the lab. `partner`: the type that fabrikam.test has at the start,
    None for no partner. `options`: what the lab has to be started with (auth, transport, presence_expires); scenarios with
    the same options share one lab. `each`: {argument: [values]}: one scenario per value, given as argument, and as lab option
    when the lab has such an option; {argument} in the name is replaced. `peers`: the XMPP servers that can do it. `rare`:
    only run when a pattern of the command line names it."""
    def add(function):
        topic = function.__module__.replace("_", " ")
        for values in itertools.product(*(each or {}).values()):
            arguments = dict(zip(each or {}, values))
            lab_options = {**options, **{k: v for k, v in arguments.items() if k in ("auth", "transport")}}
            lab_options = {k: v for k, v in lab_options.items() if v != DEFAULTS.get(k)}
            able = [p for p in peers if p != "jabberd2" or "external" not in arguments.values()]
            SCENARIOS.append(Scenario(topic, name.format(**arguments), function, partner, lab_options, arguments, able, rare))
        return function
    return add


def check(condition, text):
    if not condition:
        raise LabError(text)


def gets_through(juliet, romeo, text, timeout=40):
    """The first message from the XMPP side after entented was away. Her own server may still have it in mind that it could not connect
    a moment ago, and returns the message; then she sends it again, as a person would."""
    end, number = time.monotonic() + timeout, None
    while True:
        number = number or juliet.message(romeo.name, text)
        try:
            return romeo.expect_message(juliet.name, text, timeout=1)
        except LabError:
            if time.monotonic() > end:
                raise
        error = juliet.seen.take(lambda e: e.kind == "error" and e.id == number)
        if error:
            check(error.by != "contoso.test", f"{romeo.name}'s side refused: {error}")
            number = None


def check_status(answer, *allowed):
    """A SIP answer has one of these: a status (403) or a class ("4xx")."""
    fits = any(answer.status == a if isinstance(a, int) else str(answer.status)[0] == a[0] for a in allowed)
    check(fits, f"the answer should be {' or '.join(map(str, allowed))}, but is {answer.status} {answer.reason}")


def reason_of(answer):
    """The reason ID that a refusal carries."""
    return (answer.get("entente-reason") or "").split(";")[0].strip()
