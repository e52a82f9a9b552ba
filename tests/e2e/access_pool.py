# SPDX-License-Identifier: Apache-2.0
"""Two edges of one organisation: one of them dies or falls silent. New sessions succeed within one second and five, and what goes on within
sessions is carried by the other edge."""
import os
import signal
import time

from access_kinds import IM
from access_setting import AV, COUNT, LAB, TRUSTED, allow, reset, switch
from federation import AdatumEdge, adatum_user, contoso_user
from scenario import check, check_status, scenario, wait_until

# Promised seconds from the event to the 2xx of a new session. An instrumented build is slower by its nature.
PROMISE = {"dies": 1.0, "falls silent": 5.0}
SLOWER = 4 if any(os.environ.get(v) for v in ("ASAN_OPTIONS", "TSAN_OPTIONS", "ENTENTE_WRAPPER")) else 1
FOUND = {"one name, two addresses": "proseware.test", "two records": "wingtip.test"}


def edge_of(call):
    """Which of the two edges gave this request to adatum's home (0, 1)."""
    via = [v for v in call.invite.all("via") if "127.0.0.32" in v or "127.0.0.33" in v]
    check(len(via) == 1, f"one of the edges should be in {call.invite.all('via')}")
    return int("127.0.0.33" in via[0])


def timed(romeo, mercutio, what=IM):
    """A session is begun and answered: (call, seconds)."""
    start = time.monotonic()
    call = romeo.call(mercutio.name, what)
    seconds = time.monotonic() - start
    check_status(call.answer, 200)
    return call, seconds


@scenario("a pool behind {found}: an edge {fate}", each={"found": list(FOUND), "fate": list(PROMISE)}, **LAB)
def pool(lab, found, fate):
    domain = FOUND[found]
    switch(lab, [allow(domain)], [allow("contoso.test")])
    edges = [lab.adatum, AdatumEdge(lab.run, lab.certs, lab.adatum.workers, number=2)]
    edges[1].start()
    try:
        reset(edges[1].entente)
        edges[1].entente("allowed-domain", "add", "contoso.test")
        n = next(COUNT)
        romeo, mercutio = contoso_user(lab, f"romeo{n}"), adatum_user(lab, f"mercutio{n}", domain)
        before, baseline = timed(romeo, mercutio)
        there = mercutio.expect_call(romeo.name)
        victim = edges[edge_of(there)]
        if fate == "dies":
            victim.kill()
        else:
            os.killpg(victim.popen.pid, signal.SIGSTOP)
        event = time.monotonic()
        new, _ = timed(romeo, mercutio, AV)
        took = time.monotonic() - event
        lab.remark = f"{took:.2f} s, before {baseline:.2f} s"
        # on a loaded machine everything takes its time: as long as it took before is not the fail-over's
        check(took <= PROMISE[fate] * SLOWER + 5 * baseline, f"a new session took {took:.2f} s after an edge {fate}, before {baseline:.2f} s")
        check(edges[edge_of(mercutio.expect_call(romeo.name))] is not victim, "the new session went by the lost edge")
        check_status(romeo.message(mercutio.name, "page mode"), 200)
        for call in (before, new):
            check_status(call.request("MESSAGE", [("Content-Type", "text/plain")], b"still here"), 200)
            mercutio.expect_message(romeo.name, "still here")
        if fate == "dies":      # then adatum's home finds the other edge at once; how long it waits for a silent one is its own matter
            check_status(there.request("MESSAGE", [("Content-Type", "text/plain")], b"so am I"), 200)
            romeo.expect_message(mercutio.name, "so am I")
        check_status(before.end(), 200)
        mercutio.expect_request("BYE")
        if fate == "dies":
            victim.start()
        else:
            os.killpg(victim.popen.pid, signal.SIGCONT)
        check_status(new.request("INFO", [("Content-Type", "text/plain")], b"with both again"), 200)
        check_status(new.end(), 200)
        wait_until(lambda: timed(romeo, mercutio)[0].end().status == 200, 20, "no session with both edges")
    finally:
        for edge in edges:
            if edge.alive():
                os.killpg(edge.popen.pid, signal.SIGCONT)
        edges[1].stop()
        lab.adatum.start()
