# SPDX-License-Identifier: Apache-2.0
"""What has to come of a stream between entented and a partner's server, by the settings of both. Pure; written from RFC 6120,
RFC 7590, XEP-0178, XEP-0220 and the meaning of Lync's three settings, not from the product.

A cell of the table is an Outcome: passed (and how the domain was proven), or refused and the reason ID that our side must name.
Where RFCs leave the other server a choice of how it gives up, what it does is data (Facts)."""
from typing import NamedTuple

REQUIRED, OPTIONAL, OFF = "required", "optional", "not-supported"
WORDS = {"r": REQUIRED, "o": OPTIONAL, "n": OFF}


class Policy(NamedTuple):
    """Our settings for a partner; `lenient` is xmpp.negotiation lync."""
    tls: str
    sasl: str
    dialback: bool
    lenient: bool = False


class Facts(NamedTuple):
    """What the partner's server does."""
    tls: str                        # off | optional | required
    proves: bool = True             # its certificate proves its domain to us, for a server's use
    offers_external: bool = True    # to us, inside TLS
    takes_external: bool = True     # when we offer it
    dialback: bool = True           # asks for it and grants it
    likes_us: bool = True           # accepts our certificate for EXTERNAL
    demands: bool = False           # a certificate that proves us, dialback or not
    gives_up: dict = {}             # how it ends a stream that lacks something, as far as we can know: what -> reason


class Outcome(NamedTuple):
    passed: bool
    proof: str = ""                 # external | dialback
    secured: bool = False           # inside TLS
    reasons: tuple = ()             # of the refusal, any one of them

    def __str__(self):
        return f"{self.proof}{'/TLS' if self.secured else '/TCP'}" if self.passed else " or ".join(self.reasons)


def passed(proof, secured):
    return Outcome(True, proof, secured)


def refused(*reasons):
    return Outcome(False, reasons=reasons)


def methods(p):
    """(EXTERNAL, dialback inside TLS, dialback in the clear) that our settings allow."""
    external = p.tls != OFF and p.sasl != OFF
    dialback = p.dialback and (p.lenient or p.sasl != REQUIRED)
    return external, dialback and p.tls != OFF and not (p.tls == REQUIRED and p.sasl == REQUIRED), dialback and p.tls != REQUIRED


def valid(p):
    return any(methods(p))


def outgoing(p, q):
    """We connect."""
    external, dialback_tls, dialback_tcp = methods(p)
    if p.tls == OFF:
        if q.tls == "required":
            return refused(q.gives_up["TLS"])
    elif q.tls != "off":            # TLS it is, and there is no way back to clear text
        if external and q.proves and q.offers_external and q.likes_us:
            return passed("external", True)
        if dialback_tls and q.dialback and not q.demands:
            return passed("dialback", True)
        if external and not q.proves:
            return refused("xmpp/certificate")
        return refused("xmpp/not-authorized")
    elif p.tls == REQUIRED:
        return refused("xmpp/tls-required")
    # in the clear
    if not dialback_tcp:
        return refused("xmpp/tls-required")
    if q.dialback and not q.demands:
        return passed("dialback", False)
    return refused("xmpp/not-authorized")


def incoming(p, q):
    """They connect, and prove their domain to us."""
    external, dialback_tls, dialback_tcp = methods(p)
    if p.tls == OFF and q.tls == "required":
        return refused(q.gives_up.get("their TLS", q.gives_up["TLS"]))
    if p.tls != OFF and q.tls != "off":
        if external and q.proves and q.takes_external and not (q.demands and not q.likes_us):
            return passed("external", True)
        if dialback_tls and q.dialback and not q.demands:
            return passed("dialback", True)
        if not dialback_tls and not (external and q.proves):
            # nothing is left that we could offer: we say so, and end the stream
            return refused("xmpp/certificate" if external else "xmpp/not-authorized")
        return refused(q.gives_up["another method"])
    if p.tls == REQUIRED:
        return refused("xmpp/tls-required")
    if dialback_tcp and q.dialback and not q.demands:
        return passed("dialback", False)
    if not dialback_tcp:
        return refused("xmpp/tls-required")
    return refused(q.gives_up["another method"])
