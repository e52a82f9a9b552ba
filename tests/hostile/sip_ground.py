# SPDX-License-Identifier: Apache-2.0
"""The ground of the hostile tests of the Access Edge: beside what ground.py has, an honest SIP partner, and a third organisation that is
a partner too and of which nobody has reason to hear anything."""
import time

import peers
from case import check
from ground import Ground
from names import A, SRV
from phone import Phone
from sip_peer import Caller, Partner
from waiting import LabError

HONEST_SIP, HONEST_SIP_AT = "partner.test", "127.0.0.33"
THIRD, THIRD_AT = "third.test", "127.0.0.34"
VOUCHED = ("--verification-level", "always-verifiable")


def refused(what, status):
    """An answer that lets nothing through; 0: the connection has ended."""
    check(status == 0 or status >= 400, f"{what}: answered {status}")


class SipGround(Ground):
    external = f"  external-listen:\n    - {{address: {peers.GATEWAY}, port: 5061}}\n"

    def start(self):
        self.partner = Partner(HONEST_SIP, HONEST_SIP_AT, self.certificates)
        self.third = Partner(THIRD, THIRD_AT, self.certificates)
        self.friend = None
        super().start()

    def lay(self):
        self.entente("access-edge", "set", "--federated-users", "--partner-discovery", "--discovered-partner-verification-level", "always-verifiable")
        for domain, address in ((HONEST_SIP, HONEST_SIP_AT), (THIRD, THIRD_AT)):
            self.sip_names(domain, address)
            self.allow(domain)

    def stop(self):
        for one in (self.friend, self.partner, self.third):
            if one:
                one.close()
        super().stop()

    # --- making enemies ---------------------------------------------------------------------------------------------

    def sip_names(self, domain, address, host=None, port=5061):
        host = host or f"gw.{domain}"
        self.names.put(host, (A, address))
        self.names.put(f"_sipfederationtls._tcp.{domain}", (SRV, (0, 0, port, host)))

    def allow(self, domain, *options):
        """An allowed partner domain; its SRV record leads nowhere unless it is there already."""
        if f"_sipfederationtls._tcp.{domain}" not in self.names.records:
            self.sip_names(domain, "127.0.0.99")
        self.entente("allowed-domain", "add", domain, *(options or VOUCHED))
        return domain

    def caller(self, domain="evil.test", leaf=None, source=None, **options):
        """A connection that claims to be the server of `domain`, by default with a certificate that proves it. leaf: another one, or
        False for none. The domain has an SRV record, so that its connection may be the one of a discovered partner."""
        if f"_sipfederationtls._tcp.{domain}" not in self.names.records:
            self.sip_names(domain, "127.0.0.99")
        leaf = self.certificates.leaf(domain, f"gw.{domain}") if leaf is None else leaf
        return self.keep(Caller(domain, self.certificates, leaf or None, source or self.source(), **options))

    def sip_server(self, domain, address, cls=Partner, **options):
        self.sip_names(domain, address)
        return self.keep(cls(domain, address, self.certificates, **options))

    def phone(self, name, cls=Phone):
        """A user of ours who can be called, signed in."""
        user = cls(f"{name}@contoso.test", next(self._addresses), "udp", f"{self.run}/sip-users.log", self.observer)
        self.keep(user)
        return user.online()

    # --- honest traffic ---------------------------------------------------------------------------------------------

    def friend_line(self):
        if not self.friend or self.friend.wire.ended():
            self.friend = Caller(HONEST_SIP, self.certificates, self.certificates.leaf(HONEST_SIP, f"gw.{HONEST_SIP}"), HONEST_SIP_AT)
        return self.friend

    def check_neighbour(self, timeout=20):
        """Also by SIP."""
        took = super().check_neighbour(timeout)
        return took + self.check_partner(timeout)

    def check_partner(self, timeout=20):
        begin = time.monotonic()
        word = self.word()
        status = self.friend_line().message(self.romeo.name, word, f"sip:tybalt@{HONEST_SIP}", timeout=timeout)
        if status != 200:
            raise LabError(f"the honest partner's MESSAGE was answered {status}")
        self.romeo.expect_message(f"tybalt@{HONEST_SIP}", word, timeout)
        word = self.word()
        self.romeo.say(f"tybalt@{HONEST_SIP}", word)
        self.partner.expect_message(word, timeout)
        return time.monotonic() - begin

    def allowed_after(self):
        return super().allowed_after() | {HONEST_SIP}

    def aftermath(self, authorised):
        strange = [e for e in self.third.seen.history if e.kind != "ended"]
        self.third.seen.history.clear()
        foreign = [e for e in self.partner.seen.history if e.kind == "MESSAGE" and e.from_ != f"sip:{self.romeo.name}"]
        self.partner.seen.history.clear()
        super().aftermath(authorised)
        if strange:
            raise LabError(f"the third organisation got {strange}")
        if foreign:
            raise LabError(f"the honest partner got {foreign}")
