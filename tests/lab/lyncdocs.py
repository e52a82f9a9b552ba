# SPDX-License-Identifier: Apache-2.0
"""The documents of the Lync dialect: presence that a front end gives to federated clouds, presence as its clients read ours, session
descriptions, KeyboardActivity."""
import base64
import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

PIDF = "{urn:ietf:params:xml:ns:pidf}"
EP = "{urn:ietf:params:xml:ns:pidf:status:rpid-status}"
CI = "{urn:ietf:params:xml:ns:pidf:cipid}"
CATEGORIES = "application/msrtc-event-categories+xml"
MSRTC = "text/xml+msrtc.pidf"
STANDARD = "application/pidf+xml"

ACCEPT_TYPES = "text/plain text/html image/gif multipart/alternative application/im-iscomposing+xml application/ms-imdn+xml text/x-msmsgsinvite"

# availability (an aggregate number): the first of its range, what the document says
STATES = [(0, "closed", None), (3000, "open", None), (4500, "open", "away"), (6000, "open", "busy"), (7500, "open", "busy"),
          (9000, "open", "do-not-disturb"), (12000, "open", "be-right-back"), (15000, "open", "away"), (18000, "closed", None)]


def state(availability):
    return [s for s in STATES if s[0] <= availability][-1][1:]


def pidf_of(user):
    """What a front end makes for a watcher in another cloud: one tuple, the activity of a draft of RPID inside its status."""
    basic, activity = state(user.availability)
    activity = f"<ep:activities><ep:activity>{activity}</ep:activity></ep:activities>" if activity else ""
    note = f"<note>{escape(user.note)}</note>" if user.note else ""
    return ('<?xml version="1.0" encoding="utf-8"?>\r\n'
            '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:ep="urn:ietf:params:xml:ns:pidf:status:rpid-status"'
            ' xmlns:et="urn:ietf:params:xml:ns:pidf:rpid-tuple" xmlns:ci="urn:ietf:params:xml:ns:pidf:cipid"'
            f' entity={quoteattr("sip:" + user.name)}><tuple id="0"><status><basic>{basic}</basic>{activity}</status>{note}</tuple>'
            f"<ci:display-name>{escape(user.display)}</ci:display-name></presence>").encode()


def categories_of(user):
    """What it makes for a watcher that accepts categories: its own clients, and whoever says so."""
    note = (f'<category name="note" instance="0"><note xmlns="http://schemas.microsoft.com/2006/09/sip/note"><body type="personal" uri="">'
            f"{escape(user.note)}</body></note></category>") if user.note else ""
    return (f'<categories xmlns="http://schemas.microsoft.com/2006/09/sip/categories" uri={quoteattr("sip:" + user.name)}>'
            '<category name="state" instance="1"><state xmlns="http://schemas.microsoft.com/2006/09/sip/state"'
            ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="aggregateState">'
            f"<availability>{user.availability}</availability></state></category>{note}</categories>").encode()


def read_presence(body):
    """(entity, basic, activity, note, display name) of a document as clients of this dialect read it: the first tuple, activities inside
    its status, the draft's namespace. ValueError when it is none."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as e:
        raise ValueError(f"not XML: {e}") from None
    if root.tag != PIDF + "presence":
        raise ValueError(f"not PIDF: {root.tag}")
    first = root.find(PIDF + "tuple")
    if first is None:
        raise ValueError("no tuple")
    return (root.get("entity") or "", first.findtext(f"{PIDF}status/{PIDF}basic"), first.findtext(f"{PIDF}status/{EP}activities/{EP}activity"),
            first.findtext(PIDF + "note"), root.findtext(CI + "display-name"))


def contact_list(contacts):
    """What a client gets when it signs in."""
    one = '<contact uri="{0}" name="" groups="1" subscribed="true" externalURI=""/>'
    return ('<contactList deltaNum="1"><group id="1" name="~" externalURI=""/>' + "".join(one.format(escape(c)) for c in contacts)
            + "</contactList>").encode()


def sdp(to=None, word="message", address="192.0.2.77", types=ACCEPT_TYPES):
    """An offer or an answer; `to`: the peer, for `sip sip:peer` in the place of `sip null`."""
    return (f"v=0\r\no=- 0 0 IN IP4 {address}\r\ns=session\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
            f"m={word} 5060 sip {to or 'null'}\r\na=accept-types:{types}\r\n").encode()


def read_sdp(body):
    """(word, accept-types) of an offer or an answer for messages; ValueError says what a front end's client would not take."""
    text = body.decode("utf-8", "replace")
    if not text.endswith("\r\n"):
        raise ValueError("its last line does not end with CRLF")
    lines = text.split("\r\n")[:-1]
    order = "".join(line[:1] for line in lines if line[1:2] == "=")
    if len(order) != len(lines) or not re.match(r"^vosi?u?e?p?c?b*t+[rz]*k?a*(mi?c*b*k?a*)+$", order):
        raise ValueError(f"its lines are {order} (RFC 8866 5)")
    media = re.findall(r"(?m)^m=(\S+) (\d+) (\S+) (.*?)\r?$", text)
    if len(media) != 1:
        raise ValueError(f"{len(media)} media")
    word, port, proto, fmt = media[0]
    if word not in ("message", "x-ms-message") or proto.lower() != "sip" or not re.match(r"^(null|sips?:\S+)$", fmt):
        raise ValueError(f"m={word} {port} {proto} {fmt}")
    if port == "0":
        raise ValueError("the medium is refused (port 0)")
    types = re.findall(r"(?m)^a=accept-types:(.*?)\r?$", text)
    if len(types) != 1 or "text/plain" not in types[0].split() and "*" not in types[0].split():
        raise ValueError(f"accept-types is {types}")
    return word, types[0].split()


def msgr(line="X-MMS-IM-Format: FN=MS%20Shell%20Dlg; EF=; CO=0; CS=0; PF=0"):
    """The font, as it stands in Content-Type: the octets of UTF-16LE in base64."""
    return base64.b64encode(f"{line}\r\n\r\n".encode("utf-16-le")).decode().rstrip("=")


def text_format(text):
    """The header that carries a first message in an INVITE."""
    return f"text/plain; charset=UTF-8;msgr={msgr()};ms-body={base64.b64encode(text.encode()).decode()}"


def first_message(value):
    """The text of such a header, or None."""
    found = re.search(r"ms-body=([A-Za-z0-9+/=]*)", value or "")
    return base64.b64decode(found.group(1)).decode("utf-8", "replace") if found else None


def keyboard(status):
    return f'<?xml version="1.0"?>\r\n<KeyboardActivity>\r\n  <status status="{status}" />\r\n</KeyboardActivity>\r\n'.encode()


def read_keyboard(body):
    """type or idle; ValueError when it is something else."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as e:
        raise ValueError(f"not XML: {e}") from None
    found = root.find("status") if root.tag == "KeyboardActivity" else None
    if found is None or found.get("status") not in ("type", "idle"):
        raise ValueError(f"not KeyboardActivity: {body!r}")
    return found.get("status")
