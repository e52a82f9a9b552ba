# SPDX-License-Identifier: Apache-2.0
"""Presence documents (RFC 3863 PIDF with RFC 4480 activities): written and read."""
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

PIDF = "{urn:ietf:params:xml:ns:pidf}"
MODEL = "{urn:ietf:params:xml:ns:pidf:data-model}"
RPID = "{urn:ietf:params:xml:ns:pidf:rpid}"
JABBER = "{jabber:client}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SHOWS = {"away": "away", "busy": "dnd"}     # the activities that entented and clients in the lab write


def write(aor, tuple_id, basic="open", activity=None, note=None, priority=None, contact=None):
    """The document that a SIP client publishes for one device."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf"'
             ' xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model" xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"'
             f' entity={quoteattr("sip:" + aor)}>\n <tuple id={quoteattr(tuple_id)}><status><basic>{basic}</basic></status>']
    if contact:
        rank = "" if priority is None else f" priority={quoteattr(str(priority))}"
        parts.append(f"<contact{rank}>{escape(contact)}</contact>")
    if note is not None:
        parts.append(f"<note>{escape(note)}</note>")
    parts.append("</tuple>\n")
    if activity:
        parts.append(f' <dm:person id={quoteattr("p" + tuple_id)}><rpid:activities><rpid:{activity}/></rpid:activities>'
                     "</dm:person>\n")
    parts.append("</presence>\n")
    return "".join(parts).encode("utf-8")


class Device:
    """One tuple of a document."""

    def __init__(self, element):
        self.id = element.get("id")
        status = element.find(PIDF + "status")
        self.basic = status.findtext(PIDF + "basic") if status is not None else None
        self.show = status.findtext(JABBER + "show") if status is not None else None
        self.notes = {n.get(LANG): n.text or "" for n in element.findall(PIDF + "note")}
        contact = element.find(PIDF + "contact")
        self.priority = contact.get("priority") if contact is not None else None
        self.activities = [a.tag.split("}")[1] for s in element.iter(RPID + "activities") for a in s]


class Document:
    """A document as a watcher sees it. ValueError when it is no PIDF."""

    def __init__(self, body):
        try:
            root = ElementTree.fromstring(body)
        except ElementTree.ParseError as e:
            raise ValueError(f"not XML: {e}") from None
        if root.tag != PIDF + "presence":
            raise ValueError(f"not PIDF: {root.tag}")
        self.entity = root.get("entity")
        self.devices = [Device(t) for t in root.findall(PIDF + "tuple")]
        self.activities = [a.tag.split("}")[1] for s in root.iter(RPID + "activities") for a in s]
        self.person_notes = [n.text or "" for p in root.findall(MODEL + "person") for n in p.findall(MODEL + "note")]
        self.notes = [t for d in self.devices for t in d.notes.values()] + self.person_notes
        self.notes += [n.text or "" for n in root.findall(PIDF + "note")]

    @property
    def basic(self):
        return "open" if any(d.basic == "open" for d in self.devices) else "closed"

    @property
    def show(self):
        """What an XMPP user would call it: away, dnd, xa, chat, or None for plain available."""
        for device in self.devices:
            if device.basic == "open" and device.show:
                return device.show
        return next((SHOWS[a] for a in self.activities if a in SHOWS), None)

    @property
    def note(self):
        return self.notes[0] if self.notes else None
