# SPDX-License-Identifier: Apache-2.0
"""Presence between two who watch each other (interworking 3.3 to 3.5)."""
from scenario import MARKUP, STRANGE, check, scenario


@scenario("available, away, busy with a note and offline reach the SIP user")
def to_sip(lab):
    romeo, juliet = lab.friends()
    juliet.show("away")
    romeo.expect_presence(juliet.name, basic="open", show="away", note=None)
    juliet.show("dnd", "rehearsing")
    event = romeo.expect_presence(juliet.name, basic="open", show="dnd", note="rehearsing")
    check("busy" in event.document.activities, "dnd should be written as the activity busy too")
    juliet.show()
    romeo.expect_presence(juliet.name, basic="open", show=None, note=None)
    juliet.logout()
    romeo.expect_presence(juliet.name, basic="closed", state="active")
    juliet.login()
    romeo.expect_presence(juliet.name, basic="open", show=None)


@scenario("available, away, busy with a note and offline reach the XMPP user")
def to_xmpp(lab):
    romeo, juliet = lab.friends()
    romeo.publish(activity="away")
    juliet.expect_presence(romeo.name, show="away", note=None)
    romeo.publish(activity="busy", note="duelling")
    juliet.expect_presence(romeo.name, show="dnd", note="duelling")
    romeo.publish()
    juliet.expect_presence(romeo.name, show=None, note=None)
    romeo.publish(basic="closed")
    juliet.expect_presence(romeo.name, "unavailable")
    romeo.publish()
    juliet.expect_presence(romeo.name, show=None)
    romeo.offline()
    juliet.expect_presence(romeo.name, "unavailable")


@scenario("xa and free for chat reach the SIP user")
def more_shows(lab):
    romeo, juliet = lab.friends()
    juliet.show("xa")
    event = romeo.expect_presence(juliet.name, basic="open", show="xa")
    check("away" in event.document.activities, "xa should be written as the activity away too")
    juliet.show("chat")
    romeo.expect_presence(juliet.name, basic="open", show="chat")


@scenario("what SIP users do becomes away, busy or extended away: {activity}",
          each={"activity": ["on-the-phone", "meal", "vacation", "meeting", "working"]})
def activities(lab, activity):
    show, words = {"on-the-phone": ("dnd", "On the phone"), "meeting": ("dnd", "In a meeting"), "meal": ("away", "Having a meal"),
                   "vacation": ("xa", "On vacation"), "working": (None, None)}[activity]
    romeo, juliet = lab.friends()
    romeo.publish(activity="busy" if show != "dnd" else None, note="before")    # so that there is a change to see
    juliet.expect_presence(romeo.name, note="before")
    romeo.publish(activity=activity)
    juliet.expect_presence(romeo.name, show=show, note=words)


@scenario("notes with non-ASCII and markup, both ways")
def strange_notes(lab):
    romeo, juliet = lab.friends()
    for note in (STRANGE, MARKUP):
        romeo.publish(note=note)
        juliet.expect_presence(romeo.name, note=note)
        juliet.show(None, note)
        romeo.expect_presence(juliet.name, note=note)


@scenario("notes in several languages reach the SIP user")
def note_languages(lab):
    romeo, juliet = lab.friends()
    juliet.show("away", {"en": "out", "de": "außer Haus"})
    event = romeo.expect_presence(juliet.name, show="away")
    notes = event.document.devices[0].notes
    check(notes.get("de") == "außer Haus" and notes.get("en") == "out", f"the notes are {notes}")


@scenario("several devices of an XMPP user are in every document")
def xmpp_devices(lab):
    romeo, juliet = lab.friends()
    phone = lab.xmpp_device(juliet.name, "phone").login(present=False)
    phone.show("away", priority=5)
    event = romeo.expect_presence(juliet.name, match=lambda d: len(d.devices) == 2)
    ids = [d.id for d in event.document.devices]
    check(len(set(ids)) == 2 and all(i[:1].isalpha() for i in ids), f"the tuples are {ids}")
    away = next(d for d in event.document.devices if d.show == "away")
    check(away.priority == "0.039", f"priority 5 should be 0.039, but is {away.priority}")
    phone.logout()
    event = romeo.expect_presence(juliet.name, match=lambda d: [x for x in d.devices if x.basic == "open" and not x.show]
                                  and not [x for x in d.devices if x.show == "away" and x.basic == "open"])
    juliet.logout()
    romeo.expect_presence(juliet.name, basic="closed")


@scenario("a device with negative priority has no priority in the document")
def negative_priority(lab):
    romeo, juliet = lab.friends()
    juliet.show("away", priority=-1)
    event = romeo.expect_presence(juliet.name, basic="open", show="away")
    check(event.document.devices[0].priority is None, f"it has {event.document.devices[0].priority}")


@scenario("several devices of a SIP user are several resources")
def sip_devices(lab):
    romeo, juliet = lab.friends()
    desk = lab.sip_user(romeo.name.split("@")[0], activity="busy", note="at the desk")
    at_desk = juliet.expect_presence(romeo.name, note="at the desk")
    check(at_desk.resource, "presence of a device should come from a full address")
    desk.unpublish()
    juliet.expect_presence(romeo.name, "unavailable", resource=at_desk.resource)
    romeo.unpublish()
    gone = juliet.expect_presence(romeo.name, "unavailable")
    check(gone.resource != at_desk.resource, "the first device should have gone now, not the second again")


@scenario("a document tells who it is about, and nothing of anybody else")
def entity(lab):
    romeo, juliet = lab.friends()
    juliet.show("away")
    event = romeo.expect_presence(juliet.name, show="away")
    check(event.entity in (f"sip:{juliet.name}", f"pres:{juliet.name}"), f"the entity is {event.entity}")


@scenario("who did not ask sees nothing")
def no_leak(lab):
    romeo, juliet = lab.friends()
    nurse = lab.xmpp_user("nurse" + juliet.name[6:])
    juliet.message(romeo.name, "hello")
    nurse.message(romeo.name, "hello too")
    romeo.publish(activity="busy", note="private")
    juliet.expect_presence(romeo.name, show="dnd", note="private")
    nurse.expect_no_presence(romeo.name, seconds=1)


@scenario("an XMPP user who comes back sees who is there")
def login_again(lab):
    romeo, juliet = lab.friends()
    juliet.logout()
    romeo.expect_presence(juliet.name, basic="closed")
    romeo.publish(activity="away", note="still here")
    juliet.seen.forget()
    juliet.login()
    juliet.expect_presence(romeo.name, show="away", note="still here")


@scenario("a SIP user who comes back sees who is there")
def sip_login_again(lab):
    romeo, juliet = lab.friends()
    romeo.offline()
    juliet.expect_presence(romeo.name, "unavailable")
    juliet.show("away", "still here")
    romeo.online()
    romeo.subscribe(juliet.name)
    romeo.expect_presence(juliet.name, basic="open", show="away", note="still here")
    juliet.expect_presence(romeo.name, "available")
    juliet.expect_no_presence(romeo.name, "subscribe", seconds=0)


@scenario("quick changes: the last one counts")
def quick(lab):
    romeo, juliet = lab.friends()
    for n in range(10):
        juliet.show("away" if n % 2 else "dnd", f"change {n}")
        romeo.publish(activity="away" if n % 2 else "busy", note=f"change {n}")
    romeo.expect_presence(juliet.name, show="away", note="change 9")
    juliet.expect_presence(romeo.name, show="away", note="change 9")
