# SPDX-License-Identifier: Apache-2.0
"""Texts in sessions with a home that speaks the Lync dialect (sip-wire 2.1, interworking 5.1)."""
import signal
import time

import lyncdocs
from lync_setting import couple, introduce, lync
from lyncuser import Answer
from scenario import MARKUP, MODERN, STRANGE, check, check_status, reason_of, scenario, wait_until
from sipp import Sipp

CROWD = 'homes:\n  - name: fourthcoffee\n    domains: [fourthcoffee.test]\n    dialect: lync\n    next-hop: "sip:127.0.0.51:5060;transport=tcp"\n'


@lync("a client opens a session: texts both ways, then it leaves", peers=MODERN)
def opened_by_sip(lab):
    ann, juliet = couple(lab)
    for text in ("Wherefore art thou?", STRANGE, MARKUP):
        ann.tell(juliet.name, text)
        seen = juliet.expect_message(ann.name, text)
        check(seen.type == "chat", f"in a session the type is chat, not {seen.type}")
        juliet.message(ann.name, text)
        ann.expect_message(juliet.name, text)
    check(len({e.call_id for e in ann.seen.history if e.kind == "message"}) == 1, "one session is enough")
    check_status(ann.bye(juliet.name), 200)
    ann.tell(juliet.name, "again")      # a new one
    juliet.expect_message(ann.name, "again")


@lync("the first text comes in the invitation, and once ({mode})", each={"mode": ["once", "again"], "word": ["message"]})
@lync("the first text comes in the invitation of an old client, with its words", each={"mode": ["again"], "word": ["x-ms-message"]})
def first_text(lab, mode, word):
    ann, juliet = couple(lab)
    session = ann.open(juliet.name, "in the invitation", mode=mode, word=word, named=word != "message")
    check(session.state == "open", f"it was answered {session.answer.status} {session.answer.reason}")
    juliet.expect_message(ann.name, "in the invitation")
    check_status(session.request("MESSAGE", "text/html", b"<html><body>and <b>bold</b> &amp; more</body></html>"), 200)
    check(juliet.expect_message(ann.name).body == "and bold & more", "the text should come once, then what is behind it")


@lync("an XMPP user opens a session; what follows before the answer waits, and comes in order")
def opened_by_xmpp(lab):
    ann, juliet = couple(lab)
    ann.answer = Answer(delay=0.7)
    texts = [f"line {n}" for n in range(12)]
    for text in texts:
        juliet.message(ann.name, text)
    seen = [ann.expect_message(juliet.name) for _ in texts]
    check([e.body for e in seen] == texts, f"she saw {[e.body for e in seen]}")
    check(len({e.call_id for e in seen}) == 1, "they came in several sessions")
    ann.tell(juliet.name, "in the same session")
    juliet.expect_message(ann.name, "in the same session")
    check(len(ann.endpoints[0].sessions) == 1, "her answer needed no session of its own")


@lync("a client that takes the text of the invitation does not get it again")
def taken(lab):
    ann, juliet = couple(lab)
    ann.answer = Answer(first=True)
    for text in ("first", "second"):
        juliet.message(ann.name, text)
        ann.expect_message(juliet.name, text)
    check([e.body for e in ann.seen.history if e.kind == "message"] == ["first", "second"], "one came twice")


@lync("of three clients that ring one answers; the others stop")
def rings_everywhere(lab):
    ann, juliet = couple(lab, endpoints=3)
    ann.answer = Answer(by=1, delay=0.2)
    juliet.message(ann.name, "to whichever client")
    seen = ann.expect_message(juliet.name, "to whichever client")
    check(seen.endpoint == 1, f"it came to client {seen.endpoint}")
    for _ in range(2):
        ann.expect_session(juliet.name, "cancelled")
    juliet.message(ann.name, "and more")
    check(ann.expect_message(juliet.name, "and more").endpoint == 1, "the second went elsewhere")


@lync("when all clients answer at once one session stays, and no text comes twice")
def all_at_once(lab):
    ann, juliet = couple(lab, endpoints=3)
    ann.answer = Answer(by="all", ring=False)
    juliet.message(ann.name, "once")
    ann.expect_message(juliet.name, "once")
    for _ in range(2):
        ann.expect_session(juliet.name, "ended")
    juliet.message(ann.name, "and more")
    ann.expect_message(juliet.name, "and more")
    check([e.body for e in ann.seen.history if e.kind == "message"] == ["once", "and more"], "one came twice")


REFUSALS = {"signed out": (480, "recipient-unavailable"), "busy": (486, "recipient-unavailable"), "declined": (603, "recipient-unavailable"),
            "forbidden": (403, "forbidden"), "no such user": (404, None)}


@lync("an invitation is refused ({why}): the sender is told of each text", each={"why": list(REFUSALS)})
def refused(lab, why):
    status, condition = REFUSALS[why]
    ann, juliet = couple(lab, endpoints=0 if why == "signed out" else 1)
    name = ann.name if why != "no such user" else "nobody@fourthcoffee.test"
    ann.answer = Answer(status, "No", delay=0.1)
    numbers = [juliet.message(name, f"line {n}") for n in range(3)]
    for number in numbers:
        error = juliet.expect_error(name, condition, id=number)
        check(error.condition, "an error has a condition")
    if why in ("busy", "declined"):
        ann.answer = Answer()
        juliet.message(name, "now?")
        ann.expect_message(juliet.name, "now?")


@lync("a session that the client has lost is opened again, with the text that found out")
def dangling(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    for endpoint in ann.endpoints:
        endpoint.sessions.clear()       # as after a restart of the client
    juliet.message(ann.name, "are you there?")
    ann.expect_message(juliet.name, "are you there?")
    check([e.body for e in ann.seen.history if e.kind == "message"] == ["hello, Ann", "are you there?"], "one came twice")


@lync("both begin at the same time: every text comes once")
def glare(lab):
    ann, juliet = couple(lab)
    ann.answer = Answer(delay=0.5)
    juliet.message(ann.name, "from juliet")
    ann.expect_session(juliet.name, "invited")
    ann.tell(juliet.name, "from ann")       # her client does not wait for her to take the other
    juliet.expect_message(ann.name, "from ann")
    ann.expect_message(juliet.name, "from juliet")
    for n in range(3):
        juliet.message(ann.name, f"{n}")
        ann.expect_message(juliet.name, f"{n}")
    check([e.body for e in ann.seen.history if e.kind == "message"] == ["from juliet", "0", "1", "2"], "one came twice")


@lync("conference, old multiparty, files and calls are refused at once; the conversation stays")
def refused_by_us(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    endpoint, session = ann.endpoints[0], ann.session(juliet.name)
    conference = b'<Conferencing version="2.0"><focus-uri>sip:ann@fourthcoffee.test;gruu;opaque=app:conf:focus:id:ABCD</focus-uri><subject/><im available="true"/></Conferencing>'
    audio = b"v=0\r\no=- 0 0 IN IP4 192.0.2.77\r\ns=session\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    multiparty = [("Require", "com.microsoft.rtc-multiparty"), ("TriggeredInvite", "TRUE")]
    start = time.monotonic()
    for kind, body, headers, statuses in (("application/ms-conf-invite+xml", conference, [], (488, 415)), ("application/sdp", audio, [], (488,)),
                                          ("application/sdp", lyncdocs.sdp(), multiparty, (420,))):
        answer = ann._wait_for(lambda done: endpoint.offer(juliet.name, kind, body, headers, done))
        check_status(answer, *statuses)
        check(reason_of(answer), f"{answer.status} has no reason of ours")
    check(time.monotonic() - start < 5, "that took too long: her client waits")
    invite = b"Application-Name: File Transfer\r\nApplication-GUID: {5D3E02AB-6190-11d3-BBBB-00C04F795683}\r\nInvitation-Command: INVITE\r\nInvitation-Cookie: 1\r\n\r\n"
    check_status(session.request("MESSAGE", "text/x-msmsgsinvite; charset=UTF-8", invite), 606, 415, 488)
    told = juliet.expect_message(ann.name)
    check("invites you to a group chat" in told.body, f"{told.body!r} instead of words about the invitation")
    juliet.expect_no_message(ann.name, 0.5)
    ann.tell(juliet.name, "still here")
    juliet.expect_message(ann.name, "still here")


@lync("requests in a session: a second INVITE, OPTIONS and UPDATE keep it, REFER is refused, BYE ends it")
def inside(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    session = ann.session(juliet.name)
    check_status(session.again(), 200)
    check_status(session.request("OPTIONS"), 200)
    check_status(session.request("UPDATE"), 200)
    check_status(session.request("REFER", headers=[("Refer-To", "<sip:third@fourthcoffee.test>")]), 403, 603, 405)
    juliet.message(ann.name, "still the same")
    check(ann.expect_message(juliet.name, "still the same").call_id == session.call, "that was another session")
    check_status(session.end(), 200)
    juliet.message(ann.name, "a new one")
    check(ann.expect_message(juliet.name, "a new one").call_id != session.call, "that was the session that she had left")


@lync("entented is killed in a session: the client opens another, nothing is lost or doubled")
def restarted(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    session = ann.session(juliet.name)
    lab.entented.kill()
    lab.entented.start()
    wait_until(lambda: lab.entented.events("sip/home-up", home="fourthcoffee"), 15, "entented did not find the home again")
    check_status(session.request("MESSAGE", "text/plain; charset=UTF-8", b"does it live?"), 481)
    session.state = "ended"
    ann.tell(juliet.name, "does it live?")
    juliet.expect_message(ann.name, "does it live?", timeout=30)
    juliet.message(ann.name, "it does")
    ann.expect_message(juliet.name, "it does")
    check([e.body for e in juliet.seen.history if e.kind == "message" and e.body] == ["hello", "does it live?"], "one came twice")


@lync("the connections of the home break in a session: it goes on over new ones")
def reconnected(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)      # the answer to the last text may still be under way: it is asked for again, and nobody hears of a failure
    ups = len(lab.entented.events("sip/home-up", home="fourthcoffee"))
    lab.lync.drop()
    wait_until(lambda: len(lab.entented.events("sip/home-up", home="fourthcoffee")) > ups, 15, "entented did not connect again")
    juliet.message(ann.name, "over a new connection")
    ann.expect_message(juliet.name, "over a new connection")
    ann.tell(juliet.name, "here too")
    juliet.expect_message(ann.name, "here too")
    juliet.seen.refuse("been told of a failure", lambda e: e.kind == "error" and e.from_ == ann.name, 0.3)
    check([e.body for e in ann.seen.history if e.kind == "message"].count("hello, Ann") == 1, "a text came twice")
    # it had answered over the connection that broke, and has forgotten that: to it the repetition is a request with a number that was there before
    lab.lync.complaints[:] = [c for c in lab.lync.complaints if "CSeq 1 MESSAGE after 1" not in c]


@lync("entented restarts in a session: it goes on, and its client notices nothing")
def goes_on(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    session = ann.session(juliet.name)
    lab.entented.stop()
    lab.entented.start()
    wait_until(lambda: lab.entented.events("sip/home-up", home="fourthcoffee"), 15, "entented did not find the home again")
    check_status(session.request("MESSAGE", "text/plain; charset=UTF-8", b"still the same?"), 200)
    juliet.expect_message(ann.name, "still the same?", timeout=30)
    juliet.message(ann.name, "the same")
    check(ann.expect_message(juliet.name, "the same", timeout=30).call_id == session.call, "that was another session")
    check_status(session.end(), 200)


@lync("entented is interrupted (SIGINT): it leaves its sessions first")
def drained(lab):
    ann, juliet = couple(lab)
    introduce(ann, juliet)
    lab.entented.popen.send_signal(signal.SIGINT)
    ann.expect_session(juliet.name, "ended")
    lab.entented.popen.wait(30)
    lab.entented.start()
    wait_until(lambda: lab.entented.events("sip/home-up", home="fourthcoffee"), 15, "entented did not find the home again")
    ann.tell(juliet.name, "welcome back")
    juliet.expect_message(ann.name, "welcome back", timeout=30)


@scenario("SIPp: a crowd opens sessions, and another takes them", peers=["prosody"], rare=True, settings=CROWD)
def crowd(lab, callers=60, texts=3, called=40):
    _, other = lab.names()
    juliet = lab.xmpp_user(other)
    takers = Sipp(lab.run, "called", "127.0.0.51", 5060, called).start()
    askers = Sipp(lab.run, "caller", "127.0.0.51", 5070, callers, target="127.0.0.12:5060", rate=30, domain="fourthcoffee.test", to=juliet.name, texts=texts)
    lab.users += [takers, askers.start()]
    people = [f"ann{n + 1000}@fourthcoffee.test" for n in range(called)]
    for name in people:
        for n in range(texts):
            juliet.message(name, f"text {n}")
    askers.wait()
    wait_until(lambda: sum(e.kind == "message" and bool(e.body) for e in juliet.seen.history) >= callers * texts, 30, "not every text came")
    for name in people:
        juliet.chat(name, state="gone")
    takers.wait()
    texts_seen = [(e.from_, e.body) for e in juliet.seen.history if e.kind == "message" and e.body]
    check(len(texts_seen) == len(set(texts_seen)) == callers * texts, f"{len(texts_seen)} texts came, {len(set(texts_seen))} different ones")
    check(not [e for e in juliet.seen.history if e.kind == "error"], "some were refused")
