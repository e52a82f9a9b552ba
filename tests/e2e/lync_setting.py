# SPDX-License-Identifier: Apache-2.0
"""What the scenarios with the Lync-dialect home share (../lab/lynchome.py)."""
import functools

from scenario import scenario

# One server has to do: what is different between them is below the conversations. Where something of theirs takes part, MODERN.
SERVERS = ["prosody"]


def lync(name, peers=SERVERS, rare=False, **options):
    """As scenario(), in a lab with that home, which must have nothing to complain of at the end. What a scenario provokes it takes off."""
    def add(function):
        @functools.wraps(function)
        def run(lab, **arguments):
            try:
                function(lab, **arguments)
            except BaseException:
                lab.lync.forget()
                raise
            lab.lync.check()
        scenario(name, peers=peers, rare=rare, **{"lync": True, **options})(run)
        return function
    return add


def couple(lab, endpoints=1, **options):
    """(a user of fourthcoffee.test, an XMPP user) who do not know each other yet."""
    name, other = lab.names()
    return lab.lync.user(name.replace("romeo", "ann"), endpoints), lab.xmpp_user(other, **options)


def introduce(ann, juliet):
    """A session of theirs in which each has said something."""
    ann.tell(juliet.name, "hello")
    juliet.expect_message(ann.name, "hello")
    juliet.message(ann.name, "hello, Ann")
    ann.expect_message(juliet.name, "hello, Ann")
