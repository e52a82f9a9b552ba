# SPDX-License-Identifier: Apache-2.0
"""sip.hide-topology: both organisations hide what is behind their edges, and everything goes on working."""
from access_setting import LAB, arrange, call_all_through, couple
from daemon import with_settings
from scenario import check, check_status, scenario

HIDE = "sip:\n  hide-topology: true\n"


def seen_of(user, other):
    """Each line that reached `user` and names a machine behind the other edge."""
    inside = ["127.0.0.11", "sip.contoso"] if other.name.endswith("contoso.test") else ["127.0.0.31", "sip.adatum"]
    messages = [e.raw for e in list(user.seen.history) if e.raw]
    check(any(m.method == "INVITE" for m in messages) and any(m.method == "NOTIFY" for m in messages), f"{user.name}'s messages were not looked at")
    for m in messages:
        for name, value in m.headers:
            if name.lower() not in ("call-id", "i") and any(x in value for x in (*inside, other.ip)):
                yield f"{m.first_line()}: {name}: {value}"


@scenario("calls, messages and presence while both sides hide what is behind them", **LAB)
def hidden(lab):
    arrange(lab, "allowed domain")
    edges = [(lab.entented.config, lab.entente), (lab.adatum.config, lab.adatum.entente)]
    before = []
    for config, entente in edges:
        with open(config, encoding="utf-8") as f:
            before.append(f.read())
        with open(config, "w", encoding="utf-8") as f:
            f.write(with_settings(before[-1], HIDE))
        entente("reload")
    try:
        ours, theirs = couple(lab, "allowed domain")
        for one, other in ((ours, theirs), (theirs, ours)):
            one.say(other.name, "nobody sees where I am")
            other.expect_message(one.name, "nobody sees where I am")
            watch = one.subscribe(other.name)
            one.expect_presence(other.name, basic="open")
            check_status(watch.refresh(), 200, 202)
            watch.end()
            one.expect_presence(other.name, state="terminated")
            call_all_through(one, other)
        for one, other in ((ours, theirs), (theirs, ours)):
            lines = list(seen_of(one, other))
            check(not lines, f"{one.name} sees what is behind the other edge:\n  " + "\n  ".join(lines[:10]))
    finally:
        for (config, entente), text in zip(edges, before):
            with open(config, "w", encoding="utf-8") as f:
                f.write(text)
            entente("reload")
