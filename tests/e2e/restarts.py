# SPDX-License-Identifier: Apache-2.0
"""Programs that go away in the middle and come back: nobody has to be asked again, nothing stays wrong."""
import sqlite3

from scenario import LabError, befriend, check, check_status, gets_through, scenario, wait_until


def no_flap(juliet, romeo):
    """What the XMPP user saw since the last forget(): no end of the subscription, no question, no error. (The own server's
    errors are its business: it says when it does not reach us.)"""
    seen = [e for e in juliet.seen._open if e.kind == "presence" and e.from_ == romeo.name]
    bad = [e for e in seen if e.type in ("unsubscribed", "unsubscribe", "subscribe") or e.type == "error" and e.by == "contoso.test"]
    check(not bad, f"{juliet.name} saw {bad}")


def still_friends(romeo, juliet, subscription):
    """Presence and messages flow both ways; the SIP client may need its next refresh, as its timer would send it."""
    romeo.publish(activity="busy", note="afterwards")
    juliet.expect_presence(romeo.name, show="dnd", note="afterwards", timeout=30)
    juliet.show("away", "afterwards")
    try:
        romeo.expect_presence(juliet.name, show="away", note="afterwards", timeout=10)
    except LabError:
        check_status(subscription.refresh(), "2xx")
        romeo.expect_presence(juliet.name, show="away", note="afterwards", timeout=15)
    romeo.say(juliet.name, "still there?")
    juliet.expect_message(romeo.name, "still there?", timeout=20)
    juliet.message(romeo.name, "still here")
    romeo.expect_message(juliet.name, "still here", timeout=20)


def friends(lab):
    romeo, juliet = lab.couple()
    subscription = befriend(romeo, juliet)
    juliet.seen.forget()
    romeo.seen.forget()
    return romeo, juliet, subscription


def back(juliet):
    """Log in to a server that was away, and wait until it has its connection: what Prosody queued for that is overtaken by what comes
    a moment later."""
    juliet.login()
    wait_until(lambda: juliet.ping("contoso.test") is None, 20, f"{juliet.name} does not reach contoso.test")


@scenario("entented restarts")
def entented_restarts(lab):
    romeo, juliet, subscription = friends(lab)
    status = lab.entented.stop()
    check(status == 0, f"entented ended with status {status}")
    lab.entented.start()
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


@scenario("entented is killed and started again")
def entented_killed(lab):
    romeo, juliet, subscription = friends(lab)
    lab.entented.kill()
    lab.entented.start()
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


def on_disk(lab):
    """How many pieces of the record of texts are there."""
    db = sqlite3.connect(f"{lab.entented.state}/entente.db", timeout=10)
    try:
        return db.execute("SELECT count(*) FROM seen").fetchone()[0]
    finally:
        db.close()


@scenario("a message that is sent again after a kill comes once")
def repeated(lab):
    romeo, juliet, _ = friends(lab)
    name = {"call_id": "again@contoso", "from_tag": "again", "cseq": 70}
    before = on_disk(lab)
    check_status(romeo.message(juliet.name, "once", **name), "2xx")
    juliet.expect_message(romeo.name, "once")
    wait_until(lambda: on_disk(lab) > before, 10, "the text is not on the disk")
    juliet.seen.forget()
    check_status(romeo.message(juliet.name, "once", **name), "2xx")
    lab.entented.kill()
    lab.entented.start()
    check_status(romeo.message(juliet.name, "once", **name), "2xx")
    # what comes after it would come behind it
    romeo.say(juliet.name, "twice?")
    juliet.expect_message(romeo.name, "twice?", timeout=40)
    check(not [e for e in juliet.seen.history if e.kind == "message" and e.body == "once"][1:], "it came again")


@scenario("entented is killed right after a subscription was made")
def killed_after_subscribe(lab):
    romeo, juliet = lab.couple()
    juliet.subscribe(romeo.name)
    juliet.expect_presence(romeo.name, "subscribed")
    lab.entented.kill()
    juliet.seen.forget()
    lab.entented.start()
    romeo.publish(activity="away", note="you knew me")
    juliet.expect_presence(romeo.name, show="away", note="you knew me", timeout=30)
    no_flap(juliet, romeo)


@scenario("what changed while entented was down is seen when it is back")
def changed_meanwhile(lab):
    romeo, juliet, subscription = friends(lab)
    lab.entented.kill()
    romeo.publish(activity="away", note="changed meanwhile")
    juliet.show("dnd", "changed meanwhile")
    lab.entented.start()
    juliet.expect_presence(romeo.name, show="away", note="changed meanwhile", timeout=30)
    try:
        romeo.expect_presence(juliet.name, show="dnd", note="changed meanwhile", timeout=10)
    except LabError:
        check_status(subscription.refresh(), "2xx")
        romeo.expect_presence(juliet.name, show="dnd", note="changed meanwhile", timeout=15)
    no_flap(juliet, romeo)


@scenario("partners are still there after a kill")
def partners_stay(lab):
    lab.entented.kill()
    lab.entented.start()
    listed = lab.entente("partner", "xmpp", "list")
    check("fabrikam.test" in str(listed), f"the list is {listed}")


@scenario("a public-unverified contact is still one after a kill", partner="public-unverified")
def contact_stays(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "hello")
    juliet.expect_message(romeo.name, "hello")
    lab.entented.kill()
    lab.entented.start()
    gets_through(juliet, romeo, "hello to you")


@scenario("the XMPP server restarts")
def xmpp_restarts(lab):
    romeo, juliet, subscription = friends(lab)
    lab.xmpp.stop()
    lab.xmpp.start()
    back(juliet)
    juliet.seen.forget()
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


@scenario("the XMPP server is killed")
def xmpp_killed(lab):
    romeo, juliet, subscription = friends(lab)
    lab.xmpp.settle()
    lab.xmpp.kill()
    lab.xmpp.start()
    back(juliet)
    juliet.seen.forget()
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


@scenario("the XMPP server is down for a while: the SIP user is told, then all is well")
def xmpp_down(lab):
    romeo, juliet, subscription = friends(lab)
    lab.xmpp.stop()
    try:
        answer = romeo.message(juliet.name, "in between", timeout=70)
        check_status(answer, 202, 408, 480, 504)
    finally:
        lab.xmpp.start()
    back(juliet)
    if answer.status == 202:
        juliet.expect_message(romeo.name, "in between", timeout=70)
    still_friends(romeo, juliet, subscription)
    if answer.status != 202:    # what was refused must not come after all
        juliet.seen.refuse("received what was refused", lambda e: e.kind == "message" and e.body == "in between", 0.5)


@scenario("the home restarts and forgets everything", peers=["prosody"], presence_expires=8)
def home_restarts(lab):
    romeo, juliet, subscription = friends(lab)
    lab.home.stop()
    lab.home.start()
    romeo.register()
    romeo.publish()
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


@scenario("the home is down: the XMPP user is told", presence_expires=8)
def home_down(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "before")
    romeo.expect_message(juliet.name, "before")
    lab.home.stop()
    try:
        number = juliet.message(romeo.name, "in between")
        error = juliet.expect_error(romeo.name, id=number, timeout=70)
        check(error.error_type == "wait", f"the type should be wait, but is {error.error_type}")
    finally:
        lab.home.start()
    romeo.register()

    def works():
        juliet.message(romeo.name, "after")
        try:
            return romeo.expect_message(juliet.name, "after", timeout=2)
        except LabError:
            return None
    wait_until(works, 40, "messages do not flow again")
