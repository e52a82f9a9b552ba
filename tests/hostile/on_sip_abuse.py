# SPDX-License-Identifier: Apache-2.0
"""SIP partners that want us to work for them: spam, telephone calls, relaying (threats 42 to 44)."""
import socket
import threading

from case import check, hostile, same, wait_until
from ground import ROMEO
from names import A
from sip_ground import HONEST_SIP as P
from sip_ground import THIRD, THIRD_AT, refused
from sip_peer import OURS, request

@hostile("T42 SIP: a stranger that nobody vouches for reaches only who knows it", authorised=("t42.test",))
def spam(g):
    g.sip_server("t42.test", "127.0.0.54")
    g.entente("allowed-domain", "add", "t42.test", "--verification-level", "always-unverifiable")
    c = g.caller("t42.test")
    mark = ["Content-Type: text/plain", "ms-asserted-verification-level: ms-source-verified-user=verified"]
    for method in ("MESSAGE", "INVITE", "SUBSCRIBE", "OPTIONS", "NOTIFY", "REFER"):
        refused(f"{method} of a stranger", c.status(method, f"sip:{ROMEO}", body=g.word(), headers=mark))
    refused("in a dialog that is none", c.status("MESSAGE", f"sip:{ROMEO}", body=g.word(), tag="x"))
    g.romeo.say("mallory@t42.test", g.word())
    same("after the user has written", c.message(ROMEO, g.word()), 200)
    refused("another user of the same domain", c.message(ROMEO, g.word(), "sip:other@t42.test"))
    refused("to another user of ours", c.message(f"mercutio@{OURS}", g.word()))


@hostile("T43 SIP: telephone numbers cannot be dialled from outside", authorised=("t43.test",))
def tolls(g):
    g.allow("t43.test")
    c = g.caller("t43.test")
    g.mark()
    sdp = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    for uri in ("tel:+19005551234", "tel:911;phone-context=contoso.test", f"sip:+19005551234@{OURS};user=phone", f"sip:9011@{OURS};USER=Phone",
                f"sip:+1900@{OURS};transport=tcp;user=phone", f"sips:+19005551234@{OURS};user=phone", f"sip:+1900;ext=1@{OURS};user=phone",
                f"sip:+19005551234@{OURS}", f"sip:%2B19005551234@{OURS}", f"sip:%2b%31900@{OURS}", f"sip:9011@{OURS};user=%70hone"):
        for method, tag in (("INVITE", ""), ("INVITE", "invented"), ("MESSAGE", ""), ("REFER", "")):
            m = c.ask(method, uri, to=f"sip:{ROMEO}", tag=tag, headers=["Content-Type: application/sdp", "Contact: <sip:gw.t43.test>"], body=sdp)
            check(m is not None and m.status in (403, 404, 416), f"{method} {uri} {tag}: {m and m.status}")
            same(f"{method} {uri} at the home", g.events("trace/sip-out", **{"from": "sip:mallory@t43.test"}), [])


class Ear(threading.Thread):
    """Whether anything comes to a place where nothing should: UDP and TCP."""

    def __init__(self, address, port=5060):
        super().__init__(daemon=True)
        self.heard = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, port))
        self._tcp = socket.create_server((address, port))
        self._tcp.settimeout(0.1)
        self._udp.settimeout(0.1)
        self._open = True
        self.start()

    def run(self):
        while self._open:
            for take in (lambda: self._udp.recvfrom(65536), self._tcp.accept):
                try:
                    self.heard.append(take())
                except OSError:
                    pass

    def close(self):
        self._open = False
        self.join()
        self._udp.close()
        self._tcp.close()


@hostile("T44 SIP: we carry nothing from one stranger to another", authorised=("t44.test",))
def relay(g):
    g.allow("t44.test")
    g.names.put(THIRD, (A, THIRD_AT))
    ear = g.keep(Ear(THIRD_AT))
    us, third = f"sip:gw.{OURS}:5061;transport=tls;lr", f"sip:gw.{THIRD}:5061;transport=tls;lr"
    victim, romeo = f"sip:victim@{THIRD}", f"sip:{ROMEO}"
    ways = [(victim, victim, [], None), (victim, romeo, [], None), (victim, romeo, [f"Route: <{us}>"], None), (romeo, romeo, [f"Route: <{third}>"], None),
            (romeo, romeo, [f"Route: <{us}>", f"Route: <{third}>"], None), (romeo, romeo, [f"Route: <{us}>, <{third}>"], None),
            (us, romeo, [f"Route: <{third}>"], None), (us, romeo, [f"Route: <{victim}>"], None), (us, victim, [f"Route: <{us}>, <{victim}>"], None),
            (f"{romeo};maddr={THIRD_AT}", romeo, [], None), (f"sip:victim%40{THIRD}@{OURS}", romeo, [], None), (f"sip:{THIRD_AT}", romeo, [], None),
            (f"sip:victim@{OURS}@{THIRD}", romeo, [], None), (f"sip:gw.{OURS}:5061", romeo, [], None), (f"sip:x@gw.{OURS}:5061", romeo, [], None),
            (f"sip:victim@{THIRD};x=@{OURS}", romeo, [], None), (f"sip:{ROMEO}?Route=%3C{third}%3E", romeo, [], None),
            # a tag in To does not make a dialog
            (victim, victim, [], "x"), (victim, romeo, [], "x"), (f"sip:victim@{THIRD_AT}", romeo, [], "x"), (romeo, romeo, [f"Route: <{third}>"], "x"),
            (victim, romeo, [f"Route: <{us}>"], "x"), (victim, romeo, [f"Route: <{us}>", "Route: <sip:127.0.0.11;lr>"], "x"),
            (us, romeo, [f"Route: <{us}>, <sip:victim@{THIRD_AT}>"], "x"), (romeo, romeo, [f"Route: <{us}>, <sip:{THIRD_AT};lr>"], "x"),
            (f"sip:victim@{THIRD_AT};transport=tcp", romeo, [f"Route: <{us}>, <sip:127.0.0.11;transport=tcp;lr>"], "x")]
    c = g.caller("t44.test")
    through = []
    for method in ("MESSAGE", "INVITE", "BYE", "SUBSCRIBE", "ACK"):
        for uri, to, headers, tag in ways:
            if c.wire.ended():
                c = g.caller("t44.test")
            lines = ["Content-Type: text/plain", "Contact: <sip:gw.t44.test>", *headers]
            if method == "ACK":
                c.send(request(method, uri, "sip:mallory@t44.test", to=to, tag=tag, headers=lines, body=g.word()))
                continue
            status = c.status(method, uri, to=to, tag=tag, headers=lines, body=g.word(), timeout=40)
            if 0 < status < 400 and not uri.startswith(romeo):
                through.append(f"{method} {uri} {headers}: {status}")
            if ear.heard:
                through.append(f"{method} {uri} To {to} ;tag={tag} {headers} came to the third: {ear.heard[:1]}")
                ear.heard.clear()
    check(not through, "\n".join(through[:10]))
    wait_until(lambda: c.ask("OPTIONS", f"sip:gw.{OURS}:5061;transport=tls"), 10, "the last ones were read")
    g.romeo.message(f"x@{P}", g.word())     # and the home, too
    check(not ear.heard, f"the third heard {ear.heard}")
    own = g.romeo.name
    try:
        for g.romeo.name in ("m@t44.test", f"victim@{THIRD}"):      # nor is it carried when the home asks in a foreign name
            status = g.romeo.request("MESSAGE", f"sip:x@{P}", [("Content-Type", "text/plain")], g.word().encode()).status
            refused(f"our user as {g.romeo.name}", status)
    finally:
        g.romeo.name = own
