# SPDX-License-Identifier: Apache-2.0
"""A connection as pieces of an XML stream."""
import time
import xml.etree.ElementTree as ET

from pipe import Gone, Pipe    # noqa: F401
from waiting import LabError

STREAMS = "http://etherx.jabber.org/streams"
SERVER = "jabber:server"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
DIALBACK = "jabber:server:dialback"
SM = "urn:xmpp:sm:3"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def local(tag):
    """{namespace}name -> name"""
    return tag.rsplit("}", 1)[-1]


def space(tag):
    return tag[1:].split("}", 1)[0] if tag.startswith("{") else ""


class Opened:
    """A stream header."""
    tag = "stream"

    def __init__(self, attributes):
        self.attributes = attributes

    def get(self, name, default=None):
        return self.attributes.get(name, default)


class Ended:
    """A closing tag of a stream."""
    tag = "/stream"
    get = staticmethod(lambda name, default=None: default)


class Wire(Pipe):
    """A pipe through which XML comes."""

    def restart(self):
        """What comes next is a new XML document."""
        self._parser = ET.XMLPullParser(("start", "end"))
        self._depth = 0
        self._items = []

    def take(self, data):
        try:
            self._parser.feed(data)
        except ET.ParseError as e:
            raise LabError(f"what came is not well-formed: {e}: {bytes(data[-200:])!r}") from None
        for what, el in self._parser.read_events():
            if what == "start":
                self._depth += 1
                if self._depth == 1:
                    self._root = el
                    self._items.append(Opened(dict(el.attrib)))
            else:
                self._depth -= 1
                if self._depth == 1:
                    self._items.append(el)
                    self._root.remove(el)
                elif self._depth == 0:
                    self._items.append(Ended())

    def next(self, timeout=10):
        """The next header, element or closing tag. Gone when the connection ends before, LabError after the time."""
        end = time.monotonic() + timeout
        while not self._items:
            left = end - time.monotonic()
            if left <= 0:
                raise LabError(f"nothing came within {timeout:g} s")
            if self.pump(left) is False and not self._items:
                raise Gone(f"the connection ended: {self.eof}")
        return self._items.pop(0)

    def expect(self, name, timeout=10, **attributes):
        """The next element of this name with these attributes; others are passed over. LabError with a stream error."""
        end = time.monotonic() + timeout
        while True:
            item = self.next(max(end - time.monotonic(), 0.001))
            if local(item.tag) == name and all(item.get(k) == v for k, v in attributes.items()):
                return item
            if local(item.tag) == "error" and space(item.tag) == STREAMS and name != "error":
                raise LabError(f"instead of <{name}/> came the stream error {condition(item)}")

    def expect_end(self, timeout=10):
        """Waits until the other side has ended the connection, and says good-bye too when it did; returns the stream error that came
        before, or ''."""
        end = time.monotonic() + timeout
        found = ""
        while True:
            try:
                item = self.next(max(end - time.monotonic(), 0.001))
            except Gone:
                return found
            if local(item.tag) == "error" and space(item.tag) == STREAMS:
                found = condition(item)
            elif local(item.tag) == "/stream":
                try:
                    self.send("</stream:stream>")
                    self.half_close()
                except (Gone, OSError):
                    pass

    def expect_silence(self, seconds):
        """LabError when anything but white space comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._items:
                raise LabError(f"something came: {local(self._items[0].tag)}")
            if self.pump(max(end - time.monotonic(), 0.001)) is False:
                return


def condition(error):
    """The condition in a stream or stanza error element."""
    for child in error:
        if space(child.tag) in (ERRORS, STANZAS) and local(child.tag) != "text":
            return local(child.tag)
    return ""


def error_of(stanza):
    """The condition of a stanza of type error."""
    for child in stanza:
        if local(child.tag) == "error":
            return condition(child)
    return ""


def child(el, name):
    return next((c for c in el if local(c.tag) == name), None)
