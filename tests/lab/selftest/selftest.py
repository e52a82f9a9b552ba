# SPDX-License-Identifier: Apache-2.0
"""The lab proves itself: Kamailio between two SIP users, the XMPP server between two XMPP users. No entented."""
import os
import shutil
import sys
import tempfile
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import lynchome                 # noqa: E402
from lab import Lab             # noqa: E402
from lyncuser import Answer     # noqa: E402
from process import Process, answers    # noqa: E402
from sipe import Sipe           # noqa: E402
from standin import StandIn     # noqa: E402
from waiting import LabError    # noqa: E402

TEXT = "Grüße, 世界 \U0001f600 <b>&amp; \"quotes\"</b>"


def two(lab, transport):
    """Two SIP users that were never there before (Kamailio remembers the devices of those that were)."""
    name, _ = lab.names()
    return lab.sip_user(name, transport), lab.sip_user(name.replace("romeo", "mercutio"), transport)


def sip_messages(lab, transport):
    romeo, mercutio = two(lab, transport)
    romeo.say(mercutio.name, TEXT)
    mercutio.expect_message(romeo.name, TEXT)
    mercutio.answer_messages(486, "Busy Here", Warning='399 mercutio "fencing"')
    answer = romeo.message(mercutio.name, "again")
    assert answer.status == 486 and "fencing" in answer.get("warning"), answer.first_line()
    assert romeo.message("nobody@contoso.test", "?").status == 404
    assert romeo.message("benvolio@contoso.test", "?").status == 480
    if transport == "tcp":
        mercutio.answer_messages()
        romeo.say(mercutio.name, "x" * 20000)
        assert len(mercutio.expect_message(romeo.name, "x" * 20000).body) == 20000


def sip_presence(lab, transport):
    romeo, mercutio = two(lab, transport)
    subscription = romeo.subscribe(mercutio.name)
    romeo.expect_presence(mercutio.name, basic="open", state="active")
    mercutio.publish(activity="away")
    romeo.expect_presence(mercutio.name, basic="open", show="away")
    mercutio.publish(activity="busy", note="Im Gespräch & <so>")
    romeo.expect_presence(mercutio.name, show="dnd", note="Im Gespräch & <so>")
    assert subscription.refresh().status == 202 or subscription.granted, "refresh"
    romeo.expect_presence(mercutio.name, show="dnd")
    mercutio.unpublish()
    romeo.expect_presence(mercutio.name, match=None, state="active")
    subscription.end()
    romeo.expect_presence(mercutio.name, state="terminated")


def home_restart(lab):
    romeo, mercutio = two(lab, "udp")
    subscription = romeo.subscribe(mercutio.name)
    romeo.expect_presence(mercutio.name, basic="open")
    lab.home.stop()
    lab.home.start()
    for user in (romeo, mercutio):
        user.register()
    mercutio.publish(activity="away")       # 412, then afresh
    subscription.refresh()                  # 481, then a new dialog
    romeo.expect_presence(mercutio.name, show="away")


def other_domains(transport):
    """Kamailio hands other domains to where entented will be, and lets dialogs pass both ways."""
    with Lab(entented=False, transport=transport) as lab:
        standin = StandIn(transport, f"{lab.run}/sip-users.log")
        for device in ("udp", "tcp"):
            romeo, _ = two(lab, device)
            answer = romeo.message("juliet@fabrikam.test", "hello")
            assert answer.status == 403 and answer.get("entente-reason") == "policy/partner-unknown", answer.first_line()
            subscription = romeo.subscribe("juliet@fabrikam.test")
            romeo.expect_presence("juliet@fabrikam.test", show="away")
            assert subscription.refresh().status == 200
            romeo.expect_presence("juliet@fabrikam.test", show="away")
            subscription.end()
            romeo.expect_presence("juliet@fabrikam.test", state="terminated")
        standin.close()
    shutil.rmtree(lab.run)


def real_client(lab):
    name, _ = lab.names()
    mercutio = lab.sip_user(name.replace("romeo", "mercutio"))
    romeo = lab.baresip(name, mercutio.name)
    romeo.expect_contact("Online")
    subscription = mercutio.subscribe(romeo.name)
    mercutio.expect_presence(romeo.name, basic="open")
    romeo.presence("offline")
    mercutio.expect_presence(romeo.name, basic="closed")
    subscription.end()
    romeo.message("hello from baresip")
    mercutio.expect_message(romeo.name, "hello from baresip")
    mercutio.say(romeo.name, "Grüße, baresip")
    romeo.expect_message("Grüße, baresip")
    mercutio.unpublish()
    romeo.expect_contact("Offline")


def linphone_client(lab):
    """It answers a text with notifications that are no text."""
    name, _ = lab.names()
    mercutio, romeo = lab.sip_user(name.replace("romeo", "mercutio")), lab.linphone(name)
    romeo.message(mercutio.name, "hello from linphone")
    mercutio.expect_message(romeo.name, "hello from linphone")
    mercutio.say(romeo.name, "hello linphone")
    romeo.expect_message(mercutio.name, "hello linphone")
    notification = mercutio.seen.expect("been notified", lambda e: e.kind == "message" and e.content_type == "message/imdn+xml", 10)
    assert notification.raw.get("content-encoding") == "deflate" and b"imdn" in zlib.decompress(notification.raw.body), notification


def lync_client(lab):
    """pidgin-sipe and a simulated user, who agree on the dialect."""
    home = lynchome.LyncHome(lab.run, lab.certs)
    home.start()
    client = Sipe(lab.run, "bob@fourthcoffee.test")
    try:
        ann, bob = home.user("ann", endpoints=2), client.start()
        bob.message(ann.name, "hello <b>ann</b> &amp; all")
        assert ann.expect_message(bob.name, "hello ann & all").by == "message"      # also in the invitation, but nobody took it there
        ann.expect_no_message(bob.name, 0.3)
        ann.type(bob.name)
        bob.expect_typing(ann.name)
        ann.tell(bob.name, "Grüße")
        bob.expect_message(ann.name, "Grüße")
        bob.type(ann.name)
        ann.expect_typing(bob.name)
        ann.bye(bob.name)
        ann.answer = Answer(by="all")       # both endpoints pick up: bob's client keeps one
        ann.open(bob.name, "again", mode="once")
        bob.expect_message(ann.name, "again")
        home.check()
    finally:
        client.kill()
        home.kill()


def signals(lab):
    """What stands beside texts."""
    juliet, nurse = lab.xmpp_user("juliet"), lab.xmpp_user("nurse", receipts=True)
    phone = lab.xmpp_user("juliet", "phone")
    phone.carbons()
    number = juliet.chat(nurse.name, "read this", "active", receipt=True, markable=True)
    seen = nurse.expect_message(juliet.name, "read this")
    assert seen.state == "active" and seen.request and seen.markable, seen
    phone.expect_carbon("sent", "read this")
    juliet.expect_receipt(nurse.name, number)
    nurse.displayed(f"{juliet.name}/home", number)
    juliet.expect_marker(nurse.name, number)
    nurse.chat(f"{juliet.name}/home", state="composing")
    juliet.expect_state(nurse.name, "composing")
    juliet.chat(nurse.name, "read that", replace=number)
    assert nurse.expect_message(juliet.name, "read that").replace == number


def xmpp_all(lab):
    juliet, nurse = lab.xmpp_user("juliet"), lab.xmpp_user("nurse")
    juliet.message(nurse.name, TEXT)
    nurse.expect_message(juliet.name, TEXT)
    juliet.subscribe(nurse.name)
    nurse.expect_presence(juliet.name, "subscribe")
    nurse.approve(juliet.name)
    juliet.expect_presence(nurse.name, "subscribed")
    juliet.expect_presence(nurse.name, "available")
    nurse.show("dnd", "beschäftigt & <so>")
    juliet.expect_presence(nurse.name, show="dnd", note="beschäftigt & <so>")
    nurse.logout()
    juliet.expect_presence(nurse.name, "unavailable")
    number = juliet.message("nobody@fabrikam.test", "?")
    juliet.expect_error("nobody@fabrikam.test", "service-unavailable", id=number)
    assert juliet.roster()[nurse.name] == "to", juliet.roster()
    assert juliet.ping("fabrikam.test") is None


def xmpp_other_domain(lab):
    juliet, tybalt = lab.xmpp_user("juliet"), lab.xmpp_user("tybalt@litware.test")
    tybalt.message(juliet.name, TEXT)
    juliet.expect_message(tybalt.name, TEXT)


def xmpp_restart(lab):
    juliet = lab.xmpp_user("juliet")
    lab.xmpp.stop()
    lab.xmpp.start()
    juliet.login()
    assert juliet.ping("fabrikam.test") is None


# how a program looks that loops for ever, that is busy but serves, that sleeps
LOOKS = {"endless": ("while True: pass", True),
         "busy": ("while True:\n s.settimeout(0.01)\n try: c, _ = s.accept(); c.sendall(b'x')\n except OSError: pass\n for _ in range(10**6): pass", False),
         "asleep": ("import time; time.sleep(60)", False)}


def endless_loop():
    for look, (code, expected) in LOOKS.items():
        with tempfile.NamedTemporaryFile() as log:
            program = Process(look, [sys.executable, "-c", f"import socket\ns = socket.create_server(('127.0.0.1', 5999))\n{code}"], log.name,
                              lambda _: answers("127.0.0.1", 5999))
            program.start()
            try:
                proof = program.endless_loop("127.0.0.1", 5999, b"hello")
                assert bool(proof) == expected, f"{look}: {proof}"
            finally:
                program.kill()


def main():
    peer = sys.argv[2] if sys.argv[1:2] == ["--peer"] else "prosody"
    passed = failed = 0
    steps = []

    def run(logs=None, after=None):
        nonlocal passed, failed
        for name, step in steps:
            start = time.monotonic()
            try:
                step()
                passed += 1
                print(f"ok {name} ({time.monotonic() - start:.1f}s)", flush=True)
            except (LabError, AssertionError) as e:
                failed += 1
                print(f"not ok {name}: {e or type(e).__name__}" + (f"\n  logs: {logs}" if logs else ""), flush=True)
            if after:
                after()

    steps = [("a program in an endless loop is told from a busy one", endless_loop)]
    run()
    with Lab(peer=peer, entented=False) as lab:
        steps = [("SIP messages over udp", lambda: sip_messages(lab, "udp")),
                 ("SIP messages over tcp", lambda: sip_messages(lab, "tcp")),
                 ("SIP presence over udp", lambda: sip_presence(lab, "udp")),
                 ("SIP presence over tcp", lambda: sip_presence(lab, "tcp")),
                 ("Kamailio restarts", lambda: home_restart(lab)),
                 ("baresip as a SIP user", lambda: real_client(lab)),
                 ("linphone as a SIP user", lambda: linphone_client(lab)),
                 ("pidgin-sipe at the Lync-dialect home", lambda: lync_client(lab)),
                 (f"receipts, states, markers, carbons inside {peer}", lambda: signals(lab)),
                 (f"messages and presence inside {peer}", lambda: xmpp_all(lab)),
                 (f"two domains on one {peer}", lambda: xmpp_other_domain(lab)),
                 (f"{peer} restarts", lambda: xmpp_restart(lab))]
        run(lab.run, lab.close_users)
    if not failed:
        shutil.rmtree(lab.run)
    steps = [(f"other domains over {t}", lambda t=t: other_domains(t)) for t in ("udp", "tcp")]
    run()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
