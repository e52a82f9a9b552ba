# SPDX-License-Identifier: Apache-2.0
"""One stream for both directions (XEP-0288). Prosody has it, ejabberd 23.01 has not: then there are two streams, as ever."""
import os
import signal
import threading

from scenario import check, gets_through, scenario, wait_until

BOTH = ["external", "dialback"]


def begin(lab):
    """Nobody is connected with anybody."""
    lab.entented.stop()
    lab.entented.start()
    return lab.couple()


def streams(lab):
    """(direction, carries) of the streams that are up, in order."""
    shown = lab.entente("show", "streams")["streams"]
    return sorted((s["direction"], s["carries"]) for s in shown if s["state"] == "open")


@scenario("{auth}: the XMPP server begins", each={"auth": BOTH}, bidi=True)
def partner_begins(lab, auth):
    romeo, juliet = begin(lab)
    for n in range(3):
        gets_through(juliet, romeo, f"there {n}")
        romeo.say(juliet.name, f"and back {n}")
        juliet.expect_message(romeo.name, f"and back {n}", timeout=30)
    up = streams(lab)
    if lab.peer == "prosody":
        check(up == [("in", "both")], f"not one stream of the partner for both directions: {up}")
    else:
        check(up == [("in", "in"), ("out", "out")], f"not one stream for each direction: {up}")


@scenario("{auth}: entented begins", each={"auth": BOTH}, bidi=True)
def we_begin(lab, auth):
    romeo, juliet = begin(lab)
    for n in range(3):
        romeo.say(juliet.name, f"there {n}")
        juliet.expect_message(romeo.name, f"there {n}", timeout=30)
        gets_through(juliet, romeo, f"and back {n}")
    up = streams(lab)
    if lab.peer == "prosody" and auth == "external":
        check(up == [("out", "both")], f"not one stream of ours for both directions: {up}")
    else:   # dialback: a certificate that proves nothing does not make its owner speak on our stream
        check(("out", "out") in up and len(up) == 2, f"not one stream for each direction: {up}")


@scenario("the XMPP server dies with a message in its hands: the sender is told", bidi=True, peers=["prosody"])
def dies_with_message(lab):
    romeo, juliet = begin(lab)
    gets_through(juliet, romeo, "hello")
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello", timeout=30)
    check(streams(lab) == [("in", "both")], "the partner's stream does not carry both directions")
    answers = []
    os.killpg(lab.xmpp.popen.pid, signal.SIGSTOP)
    sender = threading.Thread(target=lambda: answers.append(romeo.message(juliet.name, "lost")))
    sender.start()
    try:
        wait_until(lambda: any(s["unacknowledged"] for s in lab.entente("show", "streams")["streams"]), 10, "the message is in its hands")
        check(not answers, f"answered {answers} before the XMPP server had taken it")
    finally:
        lab.xmpp.kill()
        sender.join(20)
        lab.xmpp.start()
    check(answers, "the message had no answer")
    check(answers[0].status >= 400, f"answered {answers[0].status}")
