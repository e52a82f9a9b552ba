# SPDX-License-Identifier: Apache-2.0
"""Real servers in every stance against partners with every setting, whoever begins: what happens is what oracle.py says.

One lab for a server in a stance: XYZ.stance.test is the partner with TLS X, SASL Y (r required, o optional, n not supported),
dialback Z (d yes, n no), all of them virtual hosts of the one server. A cell is one message between strangers."""
import oracle
from scenario import STANCE_DOMAINS, check, reason_of, scenario, wait_until
from xmppserver import Stance

STANCES = {
    "certificates only": Stance("stance", dialback=False, strict=True),
    "dialback only": Stance("stance", external=False),
    "dialback without TLS": Stance("stance", tls="off", external=False),
    "TLS required": Stance("stance"),
    "TLS optional": Stance("stance", tls="optional"),
    "a certificate for servers only": Stance("stance-server"),
    "a certificate for clients only": Stance("stance-client"),
    "an expired certificate": Stance("stance-expired"),
    "a self-signed certificate": Stance("stance-self"),
    "a certificate for another name": Stance("stance-wrong"),
    "a certificate of an unknown authority": Stance("stance-rogue"),
    "a self-signed certificate, no dialback": Stance("stance-self", dialback=False, strict=True),
}
PROVING = {"stance", "stance-server"}
ROWS = [d.split(".")[0] for d in STANCE_DOMAINS]
# defaults, certificates only, dialback in the clear: the others only when the topic is named
CORE = ["rod", "rrn", "nnd"]


def policy(row):
    return oracle.Policy(oracle.WORDS[row[0]], oracle.WORDS[row[1]], row[2] == "d")


def facts(peer, stance):
    """What this server does in this stance, its own ways included."""
    base = oracle.Facts(tls=stance.tls, proves=stance.certificate in PROVING, dialback=stance.dialback,
                        offers_external=stance.external, takes_external=stance.external)
    if peer == "prosody":       # uses what is offered, whatever is switched off
        return base._replace(takes_external=True, gives_up={"another method": "xmpp/stream-error", "TLS": "xmpp/tls-required"})
    if peer == "ejabberd":      # EXTERNAL cannot be switched off; hangs up without a word
        return base._replace(offers_external=True, takes_external=True,
                             gives_up={"another method": "xmpp/not-authorized", "TLS": "xmpp/tls-required", "their TLS": "xmpp/stream-error"})
    # jabberd2 does dialback and nothing else, whatever it is told. It does not say that it requires TLS: it waits in silence
    ways = {"another method": "xmpp/not-authorized", "TLS": "xmpp/dialback-failed", "their TLS": "xmpp/not-authorized"}
    return base._replace(offers_external=False, takes_external=False, dialback=True, gives_up=ways)


def partner(lab, row):
    """Make row.stance.test a partner with the settings of its name; its domain."""
    domain, p = f"{row}.stance.test", policy(row)
    if domain not in lab.rows:
        lab.entente("partner", "xmpp", "add", domain, "--type", "federated", "--tls", p.tls, "--sasl", p.sasl,
                    "--dialback" if p.dialback else "--no-dialback")
        lab.rows.add(domain)
        # The log hides the sixth complaint about one address in a minute; jabberd2 proves its other domains on the same stream.
        if len(lab.rows) % 4 == 0 or lab.peer == "jabberd2":
            lab.entented.stop()
            lab.entented.start()
    return domain


def proof(lab, direction, domain):
    up = lab.entented.events("xmpp/stream-up", direction=direction, partner=domain)
    return (up[-1][3]["proof"], "tls" in up[-1][3]) if up else None


def complaint(lab, domain):
    """Why our side refused a stream from there, as the log has it; None when it says nothing."""
    lines = [f for _, _, event, f in lab.entented.events(partner=domain)
             if event in ("xmpp/stream-failed", "xmpp/pair-refused") and f.get("direction") != "out"]
    return lines[0]["reason"] if lines else None    # what follows follows from it


def judge(lab, expected, got):
    lab.cell.update(expected=str(expected), got=str(got))
    check(got.passed == expected.passed and got[1:3] == expected[1:3] and (got.passed or got.reasons[0] in expected.reasons),
          f"it should be {expected}, but is {got}")


def we_begin(lab, romeo, juliet, domain):
    answer = romeo.message(juliet.name, domain)
    if 200 <= answer.status < 300:
        juliet.expect_message(romeo.name, domain)
        how = proof(lab, "out", domain)
        check(how, "it arrived without a stream")
        return oracle.passed(*how)
    juliet.expect_no_message(romeo.name, 0.1)
    return oracle.refused(reason_of(answer))


def they_begin(lab, romeo, juliet, domain):
    number = juliet.message(romeo.name, domain)

    def done():
        back = [e for e in juliet.seen.history if e.kind == "error" and e.id == number]
        return [e for e in romeo.seen.history if e.body == domain] or back
    event = wait_until(done, 20, "neither arrived nor came back")[0]
    if event.kind == "message":
        how = proof(lab, "in", domain)
        check(how, "it arrived without a stream")
        return oracle.passed(*how)
    check(not [e for e in romeo.seen.history if e.body == domain], "it arrived and came back")
    return oracle.refused(wait_until(lambda: complaint(lab, domain), 10, "our log says nothing about it"))


def make(title, stance, rows, rare):
    @scenario(f"S14 S18 {title}, {{row}}: {{begins}}", partner=None, each={"row": rows, "begins": ["we begin", "they begin"]}, rare=rare,
              stance=stance, settings="timers:\n  dialback: 3s\n  stream-setup: 4s\n")
    def cell(lab, row, begins):
        lab.rows = getattr(lab, "rows", set())
        lab.cell = {"peer": lab.peer, "stance": title, "row": row, "begins": begins, "expected": "", "got": ""}
        domain, outgoing = partner(lab, row), begins == "we begin"
        romeo, juliet = lab.sip_user(lab.names()[0]), lab.xmpp_user(f"juliet@{domain}", resource=begins.split()[0])
        expected = (oracle.outgoing if outgoing else oracle.incoming)(policy(row), facts(lab.peer, stance))
        judge(lab, expected, (we_begin if outgoing else they_begin)(lab, romeo, juliet, domain))


ROWS = [row for row in ROWS if oracle.valid(policy(row))]
for title_, stance_ in STANCES.items():
    make(title_, stance_, CORE, False)
    make(title_, stance_, [row for row in ROWS if row not in CORE], True)


@scenario("one partner, all domains below one", partner=None, stance=Stance("stance"))
def below(lab):
    lab.entente("partner", "xmpp", "add", "wide.example", "--type", "federated", "--additional-domain", "*.stance.test")
    romeo = lab.sip_user(lab.names()[0])
    for domain in ("rod.stance.test", "rrd.stance.test"):
        juliet = lab.xmpp_user(f"juliet@{domain}")
        check(romeo.message(juliet.name, "to " + domain).status == 200, f"{domain} is below stance.test")
        juliet.expect_message(romeo.name, "to " + domain)
        juliet.message(romeo.name, "from " + domain)
        romeo.expect_message(juliet.name, "from " + domain)
    check(reason_of(romeo.message("juliet@stance.test", "no")) == "policy/partner-unknown", "stance.test itself is not below it")
