# SPDX-License-Identifier: Apache-2.0
"""What an administrator sees: tests of a partner, traces, streams, attempts, metrics."""
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request

import exposition
from daemon import binary
from scenario import MODERN, PARTNER, check, scenario, wait_until
from xmppserver import Stance

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


def sockets(lab):
    """The control sockets: of the edge first, when it is a process of its own."""
    return [part.socket for part in getattr(lab.entented, "parts", [lab.entented])]


class Tracer:
    """`entente trace` in the background, one for each process of entented; the lines that they printed."""

    def __init__(self, lab, *options):
        before = len(lab.entented.events("admin/trace"))
        self.programs = [subprocess.Popen([binary("entente"), "--socket", socket, "trace", "--json", *options], stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for socket in sockets(lab)]
        self.lines = []
        for program in self.programs:
            threading.Thread(target=self._read, args=[program], daemon=True).start()
        wait_until(lambda: len(lab.entented.events("admin/trace")) >= before + len(self.programs), 10, "the trace began")

    def _read(self, program):
        for line in program.stdout:
            self.lines.append(json.loads(line))

    def find(self, **fields):
        return [x for x in self.lines if all(x.get(k) == v for k, v in fields.items())]

    def expect(self, wanted, **fields):
        return wait_until(lambda: self.find(**fields), 10, f"{wanted}: {self.lines}")[0]

    def close(self):
        for program in self.programs:
            program.terminate()
            program.wait(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@scenario("a trace shows a message on its way, without what is written")
def trace_hidden(lab):
    romeo, juliet = lab.couple()
    with Tracer(lab, "--partner", PARTNER) as trace:
        romeo.say(juliet.name, "nobody's business")
        juliet.expect_message(romeo.name, "nobody's business", timeout=20)
        juliet.message(romeo.name, "nor this")
        romeo.expect_message(juliet.name, "nor this", timeout=20)
        sip = trace.expect("the SIP request", event="sip", direction="in", what="MESSAGE")
        check(sip["body_size"] == len("nobody's business"), f"size of the body: {sip}")
        trace.expect("its answer", event="sip", direction="out", what="200 OK (MESSAGE)")
        stanza = trace.expect("the stanza", event="xmpp", direction="out", what="message chat")
        check(juliet.name in stanza["to"] and romeo.name in stanza["from"], f"addresses: {stanza}")
        back = trace.expect("the way back", event="xmpp", direction="in", what="message chat")
        check(juliet.name in back["from"] and romeo.name in back["to"], f"addresses: {back}")
        trace.expect("the way back", event="sip", direction="out", what="MESSAGE")
        check(not any("body" in x for x in trace.lines), "a body was shown")
        check("business" not in json.dumps(trace.lines), "what was written was shown")
    check(not lab.entented.events("admin/trace", bodies="shown"), "no bodies were asked for")


@scenario("a trace with --bodies shows what is written, and the log tells who asked")
def trace_bodies(lab):
    romeo, juliet = lab.couple()
    with Tracer(lab, "--user", romeo.name, "--bodies", "--for", "1m") as trace:
        romeo.say(juliet.name, "for your eyes")
        juliet.expect_message(romeo.name, "for your eyes", timeout=20)
        sip = trace.expect("the SIP request", event="sip", direction="in", what="MESSAGE")
        stanza = trace.expect("the stanza", event="xmpp", direction="out", what="message chat")
        check(sip["body"] == stanza["body"] == "for your eyes", f"bodies: {sip} {stanza}")
        check(not trace.find(event="step"), "steps of streams are nobody's in particular")
    log = lab.entented.events("admin/trace", bodies="shown")
    check(log and log[-1][1] == "warning" and log[-1][3]["user"] == romeo.name, f"the log: {log}")


@scenario("a trace ends by itself, and when its reader goes")
def trace_ends(lab):
    done = lab.entented.cli("trace", "--for", "1s")
    check(done.returncode == 0 and done.stdout.rstrip().endswith("events"), f"{done.returncode} {done.stdout!r} {done.stderr!r}")
    for _ in range(20):     # more than may run at once
        Tracer(lab, "--for", "1h").close()
    wait_until(lambda: lab.entented.cli("trace", "--for", "1s").returncode == 0, 10, "traces that are gone make room")


@scenario("nothing to find in DNS: its operator has to act, and no partner is needed")
def no_dns(lab):
    answer = test_partner(lab, "nowhere.test", status=1)
    check((answer["verdict"], answer["failed_step"], answer["reason"], answer["who"]) == ("fails", "dns", "xmpp/dns-not-found", "dns"), f"{answer}")
    check(not answer["partner"], "it is no partner")


@scenario("nobody listens: the partner has to act")
def port_closed(lab):
    answer = test_partner(lab, "northwind.test", status=1)
    check((answer["failed_step"], answer["reason"], answer["who"]) == ("tcp", "xmpp/unreachable", "partner"), f"{answer}")
    attempts = lab.entente("show", "attempts", "northwind.test")["attempts"]
    check(attempts and attempts[0]["purpose"] == "test" and attempts[0]["step"] == "tcp" and "tcp" in attempts[0]["took"], f"{attempts}")


@scenario("{auth}: a domain that is not a partner yet, with the settings that it would get", each={"auth": BOTH})
def not_yet(lab, auth):
    options = ["--no-sasl"] if auth == "dialback" else []
    if auth == "dialback" and lab.peer == "prosody":    # proves itself to us before it asks about our key
        answer = test_partner(lab, "litware.test", *options, status=1)
        check(answer["verdict"] == "undecided" and answer["who"] == "us" and "partner xmpp add" in answer["next_step"], f"{answer}")
        return
    answer = test_partner(lab, "litware.test", *options)
    check(answer["verdict"] == "works" and not answer["partner"], f"{answer}")
    check("litware.test" in answer["next_step"], f"what to do: {answer['next_step']}")
    ping = next(s for s in answer["steps"] if s["step"] == "ping")
    check(ping["outcome"] == "skipped", f"{ping}")
    proof = next(s for s in answer["steps"] if s["step"] == "auth" and s["outcome"] == "ok")
    check(proof["facts"]["method"] == auth, f"{proof}")
    streams = [s for s in lab.entente("show", "streams")["streams"] if s.get("remote") == "litware.test" and s["purpose"] == "messages"]
    check(not streams, f"a test lets nobody in: {streams}")


@scenario("a running stream is not disturbed by a test")
def undisturbed(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "before")
    juliet.expect_message(romeo.name, "before", timeout=20)
    mine = [s["id"] for s in lab.entente("show", "streams", "--partner", PARTNER)["streams"] if s["direction"] == "out"]
    test_partner(lab, PARTNER)
    after = [s["id"] for s in lab.entente("show", "streams", "--partner", PARTNER)["streams"] if s["direction"] == "out" and s["purpose"] == "messages"]
    check(mine == after, f"streams before {mine}, after {after}")
    one = lab.entente("show", "stream", str(after[0]))
    check(one["certificate"]["matched_by"] == "dNSName" and one["certificate"]["trusted"] == (lab.peer != "jabberd2") and one["stanzas_out"] >= 1, f"{one}")


@scenario("metrics over HTTP, for Prometheus", layout="one", settings="metrics:\n  listen: 127.0.0.12:9464\n")
def metrics(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "count me")
    juliet.expect_message(romeo.name, "count me", timeout=20)
    with urllib.request.urlopen("http://127.0.0.12:9464/metrics", timeout=10) as answer:
        text = answer.read().decode()
        check(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), f"{answer.headers}")
    sent = re.search(r"^entente_messages_to_xmpp_total (\d+)$", text, re.M)
    check(sent and int(sent.group(1)) >= 1, "the message was not counted")
    check('entente_partner_up{partner="fabrikam.test",proto="xmpp"} 1' in text, "the partner is not up")
    check('entente_refused_total{reason="policy/partner-unknown"}' in text, "no refusals by reason")
    have = exposition.parse(text)
    def of(name, **labels):
        return exposition.value(have, name, **labels)
    check(of("entente_messages_total", **{"in": "sip"}, out="xmpp", outcome="delivered") >= 1, "the message is not in entente_messages_total")
    check(of("entente_message_latency_seconds_count", **{"in": "sip"}, out="xmpp") >= 1, "its latency is not told")
    check(of("entente_connections", proto="xmpp", direction="out", state="up") >= 1, "the stream is not counted")
    check(of("entente_auth_total", proto="xmpp", direction="out", result="ok") >= 1 and of("entente_tls_handshakes_total", result="ok") >= 1, "nothing was proven")
    check(of("entente_policy_decisions_total", decision="allow") >= 1, "no decision is counted")
    check(of("entente_dns_lookups_total", result="ok") >= 1, "no lookup is counted")
    check(of("entente_ready") == 1 and of("entente_home_up", home="contoso") == 1, "not ready, or the home is down")
    check(of("process_resident_memory_bytes") > 1e6 and of("process_cpu_seconds_total") > 0 and of("process_open_fds") > 5, "nothing of the process")
    for path, words in (("/healthz", "ok\n"), ("/readyz", "ok   listeners: ")):
        with urllib.request.urlopen("http://127.0.0.12:9464" + path, timeout=10) as answer:
            check(words in answer.read().decode(), f"{path} does not say {words!r}")
    for path, method, status in (("/", "GET", 404), ("/metrics", "POST", (405, 501))):
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.12:9464{path}", method=method), timeout=10)
            check(False, f"{method} {path} was answered")
        except urllib.error.HTTPError as e:
            check(e.code == status or (isinstance(status, tuple) and e.code in status), f"{method} {path}: {e.code}")


@scenario("partners are probed by themselves: one answers, one does not, and it is said who", layout="one", peers=MODERN,
          settings="probes:\n  interval: 1s\nmetrics:\n  listen: 127.0.0.12:9464\n")
def probes(lab):
    lab.entente("partner", "xmpp", "add", "nobody.invalid", "--type", "federated")
    def rows():
        return {r["partner"]: r for r in lab.entente("show", "probes")["probes"] if r["protocol"] == "xmpp"}
    def settled():
        have = rows()
        return have.get(PARTNER, {}).get("at") and have.get("nobody.invalid", {}).get("at") and have
    wait_until(settled, 60, "the probes did not come")
    wait_until(lambda: rows()[PARTNER]["result"] == "up", 60, "the partner that works is not up")
    bad = wait_until(lambda: rows()["nobody.invalid"]["failures"] >= 2 and rows()["nobody.invalid"], 60, "the other one is not probed again")
    check(bad["step"] == "dns" and bad["reason"] == "xmpp/dns-not-found" and bad["who"], f"{bad}")
    have = exposition.parse(urllib.request.urlopen("http://127.0.0.12:9464/metrics", timeout=10).read().decode())
    success = {p: exposition.value(have, "entente_probe_success", partner=p, proto="xmpp") for p in (PARTNER, "nobody.invalid")}
    check(success == {PARTNER: 1, "nobody.invalid": 0}, f"{success}")
    check(exposition.value(have, "entente_partner_up", partner="nobody.invalid", proto="xmpp") == 0, "it is up")
    code, status = lab.entente("status", check=False)
    check(code == 1 and any("nobody.invalid does not answer" in x for x in status["problems"]), f"{status['problems']}")
    lab.entente("partner", "xmpp", "remove", "nobody.invalid")
    wait_until(lambda: "nobody.invalid" not in rows(), 20, "what is no partner any more is still probed")
    check(lab.entente("status")["ready"] is True, "not ready")


def hops(answer):
    return [h["step"] for h in answer["hops"] if h["outcome"] != "note"]


@scenario("a test message from our user arrives, each hop told, and nobody has a new contact of it")
def test_message_out(lab):
    romeo, juliet = lab.couple()
    answer = lab.entente("test", "im", "sip:" + romeo.name, juliet.name, "--text", "hop, hop")
    check(answer["verdict"] == "delivered" and answer["way"] == "sip-to-xmpp" and len(answer["unseen"]) == 3, f"{answer}")
    check(hops(answer) == ["taken", "policy", "given", "sent", "told"], f"{hops(answer)}")
    check(all(h["at"] >= 0 and h["took"] >= 0 and h["text"] for h in answer["hops"]), f"{answer['hops']}")
    got = juliet.expect_message(romeo.name, timeout=20)
    check("This is a test message" in got.body and "hop, hop" in got.body, f"it came as {got.body!r}")
    check(not [x for x in lab.entente("contact", "list")["contacts"] if x["local"] == romeo.name], "the sender has a new contact")
    said = lab.entente("explain", "--message", answer["trace"])
    check(said, "its record is not there")
    page = lab.entented.cli("test", "im", "sip:" + romeo.name, juliet.name, "--html").stdout
    check(page.startswith("<!DOCTYPE html>") and "<h1>Test message: delivered</h1>" in page and page.rstrip().endswith("</html>"), f"{page[:200]}")
    text = lab.entented.cli("test", "im", "sip:" + romeo.name, juliet.name).stdout
    check("verdict     delivered after" in text and "policy" in text and "not seen" in text, text)


@scenario("a test message from a partner's user arrives, and what the home says is told")
def test_message_in(lab):
    romeo, juliet = lab.couple()
    answer = lab.entente("test", "im", juliet.name, "sip:" + romeo.name)
    check(answer["verdict"] == "delivered" and answer["way"] == "xmpp-to-sip", f"{answer}")
    check(hops(answer) == ["taken", "policy", "sent", "answer"], f"{hops(answer)}")
    got = romeo.expect_message(juliet.name, timeout=20)
    check("This is a test message" in got.body, f"it came as {got.body!r}")
    code, answer = lab.entente("test", "im", juliet.name, f"sip:nobody@{romeo.name.split('@')[1]}", check=False)
    check(code == 1 and answer["verdict"] == "failed" and "answered 4" in answer["hops"][-2]["text"] + answer["hops"][-1]["text"], f"{answer}")
    check(answer["next_step"].startswith("entente explain --message "), f"{answer}")


@scenario("a test message to where nobody is let in, and other ways that are none", layout="one")
def test_message_refused(lab):
    romeo, juliet = lab.couple()
    code, answer = lab.entente("test", "im", "sip:" + romeo.name, "someone@stranger.example", check=False)
    check(code == 1 and answer["verdict"] == "refused" and answer["reason"] == "policy/partner-unknown", f"{answer}")
    check("policy" in hops(answer) and answer["hops"][-1]["step"] == "told", f"{answer['hops']}")
    for words, code in ((("sip:" + romeo.name, "sip:" + romeo.name), 2), (("a@b.example", "c@d.example"), 2), (("sip:" + romeo.name, PARTNER), 2)):
        status, said = lab.entente("test", "im", *words, check=False)
        check(status == code, f"{words}: {status} {said}")


@scenario("the live view: one picture, and what it counts", layout="one")
def live_view(lab):
    romeo, juliet = lab.couple()
    view = subprocess.Popen([binary("entente"), "--socket", sockets(lab)[0], "top", "--json", "--count", "30", "--interval", "1s"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    picture = None
    for number, line in enumerate(view.stdout):
        picture = json.loads(line)
        if picture.get("rates", {}).get("sip_to_xmpp") and any(p["partner"] == PARTNER for p in picture["partners"]):
            break
        romeo.say(juliet.name, f"look {number}")
        juliet.expect_message(romeo.name, f"look {number}", timeout=20)
    view.kill()
    view.wait()
    check(picture and picture["latency"]["sip_to_xmpp"]["messages"] >= 1 and picture["memory"] > 1e6, f"the message is in no picture; the last: {picture}")
    text = lab.entented.cli("top", "--once").stdout
    check("SIP to XMPP" in text and "cpu" in text and PARTNER in text, text)


DEFECTS = {"expired": "expired", "wrong": "not valid for the name", "self": "self-signed", "rogue": "unable to get local issuer"}


def defect(kind):
    """A server whose certificate proves nothing. rrn.stance.test is one of its domains, and no partner."""
    @scenario(f"{kind}: the certificate proves nothing, and the partner has to act", stance=Stance(f"stance-{kind}"), peers=MODERN)
    def bad_certificate(lab):
        answer = test_partner(lab, "rrn.stance.test", "--no-dialback", status=1)
        check((answer["verdict"], answer["reason"], answer["who"]) == ("fails", "xmpp/certificate", "partner"), f"{answer}")
        tls = next(s for s in answer["steps"] if s["step"] == "tls" and s["outcome"] == "warning")
        check(DEFECTS[kind] in tls["text"], f"{tls}")
        check(tls["facts"]["issuer"] and tls["facts"]["not-after"], f"{tls}")
        seen = lab.entente("show", "attempts", "rrn.stance.test")["attempts"][0]
        check(seen["result"] == "failed" and seen["reason"] == "xmpp/certificate" and "tls" in seen["took"], f"{seen}")


for KIND in DEFECTS:
    defect(KIND)


@scenario("a server that does dialback only", stance=Stance("stance", external=False), peers=["ejabberd"])
def dialback_only(lab):
    answer = test_partner(lab, "rnd.stance.test", "--no-sasl")
    check(answer["verdict"] == "works", f"{answer}")
    proof = next(s for s in answer["steps"] if s["step"] == "auth" and s["outcome"] == "ok")
    check(proof["facts"]["method"] == "dialback", f"{proof}")


@scenario("a partner that is disabled can be tested all the same", partner=None, peers=MODERN)
def disabled(lab):
    lab.entente("partner", "xmpp", "add", "litware.test", "--type", "federated", "--disabled")
    try:
        answer = test_partner(lab, "litware.test")
        check(answer["verdict"] == "works" and answer["steps"][0]["outcome"] == "warning", f"{answer}")
        check(not answer["partner"] and "set litware.test --enabled" in answer["next_step"], f"{answer['next_step']}")
    finally:
        lab.entente("partner", "xmpp", "remove", "litware.test")


@scenario("they cannot come to us: one way", peers=["prosody"], world="deaf")
def one_way(lab):
    answer = test_partner(lab, PARTNER, status=1)
    check((answer["verdict"], answer["failed_step"]) == ("one-way", "ping"), f"{answer['verdict']} at {answer.get('failed_step')}: {answer}")
    check(steps(answer) == ["policy", "dns", "tcp", "stream", "tls", "auth"], f"steps {steps(answer)}")
    streams = lab.entente("show", "streams", "--partner", PARTNER)["streams"]
    check(not [s for s in streams if s["direction"] == "in"], f"somebody came in: {streams}")
