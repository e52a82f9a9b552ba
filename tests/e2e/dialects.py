# SPDX-License-Identifier: Apache-2.0
"""Homes that speak the Lync dialect: presence, what is found out about them, and Debian's real client of it."""
from lync_setting import couple, introduce, lync
from scenario import MODERN, check, check_status

STATES = [(3500, None), (6500, "dnd"), (9500, "dnd"), (15500, "away")]


@lync("presence both ways: one tuple, draft activities, notes, refreshes, the end", peers=MODERN)
def presence(lab):
    ann, juliet = couple(lab)
    check_status(ann.watch(juliet.name), 200)
    juliet.expect_presence(ann.name, "subscribe")
    juliet.approve(ann.name)
    ann.expect_presence(juliet.name, basic="open", state="active")
    juliet.show("away", "gone fishing")
    ann.expect_presence(juliet.name, basic="open", activity="away", note="gone fishing")
    lab.xmpp_user(juliet.name, "phone").show(priority=10)
    ann.expect_presence(juliet.name, basic="open", activity=None)       # the best of her devices, in the one tuple
    check_status(ann.watch(juliet.name), 200)       # a refresh
    ann.expect_presence(juliet.name, basic="open")
    juliet.subscribe(ann.name)
    juliet.expect_presence(ann.name, "subscribed")
    for availability, show in STATES:
        ann.publish(availability, f"state {availability}")
        juliet.expect_presence(ann.name, show=show, note=f"state {availability}")
    ann.publish(18500)
    juliet.expect_presence(ann.name, "unavailable")
    check_status(ann.watch(juliet.name, expires=0), 200)
    ann.expect_presence(juliet.name, state="terminated")


@lync("the NOTIFY that comes before the answer to SUBSCRIBE counts")
def early_notify(lab):
    ann, juliet = couple(lab)
    ann.notify_first = True
    ann.publish(6500)
    juliet.subscribe(ann.name)
    juliet.expect_presence(ann.name, "subscribed")
    juliet.expect_presence(ann.name, show="dnd")


@lync("a text and presence of the same two at once, in one session and one subscription")
def together(lab):
    ann, juliet = couple(lab, auto_approve=True)
    check_status(ann.watch(juliet.name), 200)
    introduce(ann, juliet)
    juliet.show("dnd")
    ann.expect_presence(juliet.name, activity="busy") if ann.seen.take(lambda e: e.activity == "do-not-disturb") is None else None
    juliet.message(ann.name, "busy now")
    ann.expect_message(juliet.name, "busy now")


@lync("pidgin-sipe: texts and typing both ways, presence both ways")
def real_client(lab):
    name, other = lab.names()
    juliet = lab.xmpp_user(other, auto_approve=True)
    bob = lab.sipe(name.replace("romeo", "bob"), juliet.name)
    bob.expect_presence(juliet.name, "available")
    bob.message(juliet.name, "hello <b>Juliet</b> &amp; all")
    juliet.expect_message(bob.name, "hello Juliet & all")
    juliet.chat(bob.name, "Grüße, 世界 <&>", "active")
    bob.expect_message(juliet.name, "Grüße, 世界 <&>")
    juliet.chat(bob.name, state="composing")
    bob.expect_typing(juliet.name)
    bob.type(juliet.name)
    juliet.expect_state(bob.name, "composing")
    juliet.show("dnd")
    bob.expect_presence(juliet.name, "busy")
    juliet.expect_presence(bob.name)
    bob.be("away")
    juliet.expect_presence(bob.name, show="away")
    texts = [e.body for e in juliet.seen.history if e.kind == "message" and e.body]
    check(texts == ["hello Juliet & all"], f"{juliet.name} saw {texts}")


@lync("pidgin-sipe is spoken to first, and answers")
def spoken_to(lab):
    name, other = lab.names()
    juliet, bob = lab.xmpp_user(other), lab.sipe(name.replace("romeo", "bob"))
    juliet.message(bob.name, "are you there?")
    bob.expect_message(juliet.name, "are you there?")
    bob.message(juliet.name, "I am")
    juliet.expect_message(bob.name, "I am")
    bob.command("close", f"sip:{juliet.name}")      # its BYE
    juliet.message(bob.name, "still?")
    bob.expect_message(juliet.name, "still?")


@lync("of a home that says nothing about itself it is found out", lync="auto")
def found_out(lab):
    ann, juliet = couple(lab)
    ann.tell(juliet.name, "her client opens a session")
    juliet.expect_message(ann.name, "her client opens a session")
    check_status(ann.bye(juliet.name), 200)
    juliet.message(ann.name, "so this opens one, too")
    ann.expect_message(juliet.name, "so this opens one, too")
