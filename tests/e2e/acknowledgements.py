# SPDX-License-Identifier: Apache-2.0
"""What is known of a message when the partner's server dies with it (XEP-0198). Prosody acknowledges between servers, ejabberd does not."""
import os
import signal
import threading
import time

from scenario import MODERN, check, scenario


def talk(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "hello")     # whoever hears from a server does not wait before calling it again
    romeo.expect_message(juliet.name, "hello", timeout=20)
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    return romeo, juliet


@scenario("the XMPP server dies with a message in its hands: the sender is told, unless it cannot be known", peers=MODERN)
def dies_with_message(lab):
    romeo, juliet = talk(lab)
    lab.xmpp.settle()
    answers = []
    os.killpg(lab.xmpp.popen.pid, signal.SIGSTOP)
    sender = threading.Thread(target=lambda: answers.append(romeo.message(juliet.name, "lost")))
    sender.start()
    time.sleep(0.5)
    taken = bool(answers)
    lab.xmpp.kill()
    sender.join(20)
    lab.xmpp.start()
    check(answers, "the message had no answer")
    if lab.peer == "prosody":
        check(not taken, f"answered {answers[0].status} before anybody had taken it")
        check(answers[0].status >= 400, f"answered {answers[0].status}")
    else:
        check(taken and answers[0].status == 200, f"answered {answers[0].status}")


@scenario("a partner that takes long to acknowledge: the message counts as sent after a while", peers=MODERN)
def slow(lab):
    romeo, juliet = talk(lab)
    os.killpg(lab.xmpp.popen.pid, signal.SIGSTOP)
    threading.Timer(5, lambda: os.killpg(lab.xmpp.popen.pid, signal.SIGCONT)).start()
    begin = time.monotonic()
    romeo.say(juliet.name, "no hurry")
    check(time.monotonic() - begin < 4.5, "the answer came only when the server had taken it")
    juliet.expect_message(romeo.name, "no hurry", timeout=15)


@scenario("entented dies with a message in its hands: it was not acknowledged, so the XMPP user is told", partner="federated")
def we_die_with_message(lab):
    romeo, juliet = talk(lab)
    juliet.message(romeo.name, "taken")
    romeo.expect_message(juliet.name, "taken", timeout=20)
    os.killpg(lab.home.popen.pid, signal.SIGSTOP)
    try:
        lost = juliet.message(romeo.name, "lost")
        time.sleep(0.7)
        check(lab.entented.alive(), "entented is gone already")
        lab.entented.kill()
    finally:
        os.killpg(lab.home.popen.pid, signal.SIGCONT)
    lab.entented.start()
    if lab.peer == "prosody":   # ejabberd does not count, so it does not know
        juliet.expect_error(romeo.name, id=lost, timeout=30)
