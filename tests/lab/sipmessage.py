# SPDX-License-Identifier: Apache-2.0
"""SIP messages as bytes and as objects; as much of RFC 3261 section 7 as a well-behaved client needs."""
import re
from urllib.parse import unquote

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type", "o": "event", "u": "allow-events", "k": "supported", "s": "subject", "e": "content-encoding"}


class SipMessage:
    """A request (method, uri) or a response (status, reason); headers are a list of [name, value] in order."""

    def __init__(self, method=None, uri=None, status=None, reason="", headers=(), body=b""):
        self.method, self.uri, self.status, self.reason = method, uri, status, reason
        self.headers = [list(h) for h in headers]
        self.body = body

    def get(self, name, default=None):
        """The first value of a header."""
        return next(iter(self.all(name)), default)

    def all(self, name):
        """All values of a header, in order; not split at commas."""
        name = name.lower()
        return [v for k, v in self.headers if COMPACT.get(k.lower(), k.lower()) == name]

    def listed(self, name):
        """All values of a header whose values may stand together behind commas."""
        return [part for value in self.all(name) for part in split_list(value)]

    def add(self, name, value):
        self.headers.append([name, str(value)])

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def cseq(self):
        number, method = self.get("cseq", "0 NONE").split()
        return int(number), method

    @property
    def branch(self):
        return parameter(self.get("via", ""), "branch")

    def first_line(self):
        return f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.status} {self.reason}"

    def encode(self):
        lines = [self.first_line()]
        lines += [f"{k}: {v}" for k, v in self.headers if k.lower() != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + self.body


def parse(data):
    """bytes of one whole message -> SipMessage; ValueError when it is none."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"not a header: {line!r}")
        headers.append([name.strip(), value.strip()])
    first = lines[0].split(" ", 2)
    if len(first) < 3:
        raise ValueError(f"not a SIP start line: {lines[0]!r}")
    if first[0] == "SIP/2.0":
        return SipMessage(status=int(first[1]), reason=first[2], headers=headers, body=body)
    return SipMessage(method=first[0], uri=first[1], headers=headers, body=body)


def cut(stream):
    """The first whole message at the start of TCP bytes -> (SipMessage or None, the rest)."""
    stream = stream.lstrip(b"\r\n")
    head, found, rest = stream.partition(b"\r\n\r\n")
    if not found:
        return None, stream
    match = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)", head)
    size = int(match.group(1)) if match else 0
    if len(rest) < size:
        return None, stream
    return parse(head + found + rest[:size]), rest[size:]


def split_list(value):
    """Split at commas that stand outside quotes and angle brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, c in enumerate(value):
        if c == '"' and value[i - 1:i] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif c == "<":
            depth += 1
        elif c == ">":
            depth -= 1
        elif c == "," and not depth:
            parts.append(value[start:i].strip())
            start = i + 1
    parts.append(value[start:].strip())
    return [p for p in parts if p]


def address(value):
    """The URI of a From, To, Contact or Route value."""
    match = re.search(r"<([^>]*)>", value)
    return match.group(1) if match else value.split(";")[0].strip()


def parameter(value, name):
    """A header parameter (what follows the closing bracket), or None."""
    tail = value.rsplit(">", 1)[-1]
    match = re.search(rf";\s*{name}\s*(?:=\s*(\"[^\"]*\"|[^;,\s]*))?", tail, re.I)
    return (match.group(1) or "").strip('"') if match else None


def aor(uri):
    """sip:juliet@Fabrikam.test:5060;gr=x -> juliet@fabrikam.test, percent escapes undone."""
    match = re.match(r"(?:sips?|pres|im):(?:([^@]*)@)?([^;?:>]*)", uri, re.I)
    if not match:
        return uri
    user, host = match.groups()
    return (unquote(user) + "@" if user else "") + host.lower()


def instance(uri):
    """The gr parameter of a URI, or None."""
    match = re.search(r";gr=([^;?>]*)", uri)
    return unquote(match.group(1)) if match else None
