# SPDX-License-Identifier: Apache-2.0
"""That somebody types (XEP-0085, RFC 3994, KeyboardActivity) and what is never told (interworking 4.4)."""
from lync_setting import couple, introduce, lync
from scenario import MODERN, check, check_status, scenario

COMPOSING = '<?xml version="1.0" encoding="UTF-8"?>\n<isComposing xmlns="urn:ietf:params:xml:ns:im-iscomposing">\n<state>{}</state>\n</isComposing>\n'
COMPOSING_TYPE = "application/im-iscomposing+xml"


@lync("in a session: KeyboardActivity and chat states, both ways, each once")
def keyboard(lab):
    ann, juliet = couple(lab)
    juliet.chat(ann.name, "hello", "active")
    ann.expect_message(juliet.name, "hello")
    check_status(ann.type(juliet.name), 200)
    juliet.expect_state(ann.name, "composing")
    check_status(ann.type(juliet.name), 200)        # clients repeat it while somebody types
    juliet.expect_no_state(ann.name, "composing", 0.5)
    ann.tell(juliet.name, "hello, Juliet")
    juliet.expect_message(ann.name, "hello, Juliet")
    juliet.chat(ann.name, state="composing")
    ann.expect_typing(juliet.name, "type")
    juliet.chat(ann.name, state="paused")
    ann.expect_typing(juliet.name, "idle")
    check({e.how for e in ann.seen.history if e.kind == "typing"} == {"info"}, "in this dialect it is an INFO")
    check(not [e for e in juliet.seen.history if e.body and "KeyboardActivity" in e.body], "typing came as a text")


@lync("a chat state alone opens no session, and an INFO without one is refused")
def no_session_for_states(lab):
    ann, juliet = couple(lab)
    juliet.chat(ann.name, state="composing")
    ann.seen.refuse("been invited for a chat state", lambda e: e.kind in ("session", "typing"), 1)
    introduce(ann, juliet)


@scenario("page mode: isComposing and chat states, both ways", peers=MODERN)
def composing(lab):
    romeo, juliet = lab.couple()
    juliet.chat(romeo.name, "hello", "active")
    romeo.expect_message(juliet.name, "hello")
    check_status(romeo.message(juliet.name, COMPOSING.format("active"), content_type=COMPOSING_TYPE), 200)
    juliet.expect_state(romeo.name, "composing")
    romeo.say(juliet.name, "hello, Juliet")
    juliet.expect_message(romeo.name, "hello, Juliet")
    juliet.chat(romeo.name, state="composing")
    seen = romeo.expect_message(juliet.name)
    check(seen.content_type.startswith(COMPOSING_TYPE) and "<state>active</state>" in seen.body, f"he was told {seen}")
    juliet.chat(romeo.name, "there", "active")
    check(romeo.expect_message(juliet.name).body == "there", "the text is enough to end it")


@scenario("page mode: who never sent isComposing gets none", peers=["prosody"])
def not_asked(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    juliet.chat(romeo.name, state="composing")
    romeo.expect_no_message(juliet.name, 1)


@scenario("a state that is no document, or huge, is refused and hurts nobody", peers=["prosody"])
def bad_states(lab):
    romeo, juliet = lab.couple()
    for body in ("", "<isComposing", COMPOSING.format("asleep"), "<!DOCTYPE x [<!ENTITY a 'b'>]>" + COMPOSING.format("&a;"), "<a>" * 3000):
        check_status(romeo.message(juliet.name, body, content_type=COMPOSING_TYPE), 200, 202, "4xx", 513)
    juliet.seen.refuse("been told anything", lambda e: e.kind == "message", 0.5)
    romeo.say(juliet.name, "unharmed")
    juliet.expect_message(romeo.name, "unharmed")
