# SPDX-License-Identifier: Apache-2.0
"""What goes wrong within the process: no memory (R13), a message that ends it (R17); and what is idle (R19), and another version's files (R20)."""
import os
import resource
import signal
import sqlite3
import time

from asking import Control
from disk import has_setting, unboxed
from experiment import experiment
from faults import Faults, no_allocations, no_notes
from stage import INSTRUMENTED, Group, Stage, field, memory, tree, wait_until

RATE = 200


@experiment("memory", "R13", "R1", seconds=80, needs=no_allocations)
def no_memory(r):
    """one allocation fails, some time, again and again: the process ends (ADR 2), comes back, and nothing that was accepted is lost"""
    folder = f"{r.run}/memory"
    os.makedirs(f"{folder}/entente")
    faults = Faults(f"{r.run}/fault", f"{folder}/entente")
    count = 3 if r.quick else 15
    with Stage(folder, settings=unboxed(), env=faults.environment, log_level="warning") as s:
        s.expect(-signal.SIGABRT)       # mem.h
        s.rate(RATE, RATE)
        time.sleep(3)
        idle, ended = memory([s.services[0].pid], "VmRSS"), 0
        for n in range(count):
            generation, failed = s.services[0].generation, faults["allocs_failed"]
            faults.no_memory(r.rng.randrange(1, 3000), r.rng.choice([1, 1, 3]))
            looked = time.monotonic()
            end = looked + r.rng.uniform(3, 4.5)
            while time.monotonic() < end:
                now = time.monotonic()
                if faults["allocs_failed"] != failed:
                    s.mark("no memory", "kill", looked)     # of the process, or (an allocation of OpenSSL or libevent) of one connection
                    failed = faults["allocs_failed"]
                looked = now
                time.sleep(0.005)
            faults.no_memory(0)
            s.services[0].wait_ready()
            s.mark_deaths()
            ended += s.services[0].generation - generation
        time.sleep(3)
        account = s.end(90)
        r.complaints(s)
    r.check(faults["allocs_failed"] >= count / 2, f"only {faults['allocs_failed']} allocations failed: that is no fault")
    r.books("R1", f"{faults['allocs_failed']} allocations failed under {RATE} messages/s each way; the process ended {ended} times by it", account)
    r.show("R13", "memory of the process under this load", f"{idle / 1024:.1f} MiB", None)


@experiment("pressure", "R13", "R1", seconds=70, needs=no_allocations)
def pressure(r):
    """the system gives the process no more memory for some seconds, while it is written to five times as much and streams come back: at most it ends and is back"""
    count, ended, short = 2 if r.quick else 8, 0, 0
    with Stage(r.run, body=2000, users=50, think=5) as s:
        service = s.services[0]
        s.expect(-signal.SIGABRT)       # mem.h
        s.rate(RATE, RATE)
        time.sleep(3)
        for _ in range(count):
            pid, generation = service.pid, service.generation
            most = int(field(f"/proc/{pid}/status", "VmData").split()[0]) * 1024 + r.rng.randrange(256 << 10)
            resource.prlimit(pid, resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))
            s.tell("group sm cut")
            s.tell("group plain cut")
            s.rate(5 * RATE, 5 * RATE)
            s.mark("no memory")
            end = time.monotonic() + r.rng.uniform(3, 5)
            while time.monotonic() < end and service.generation == generation:
                time.sleep(0.02)
            s.rate(RATE, RATE)
            if service.generation == generation and service.pid == pid:
                short += int(field(f"/proc/{pid}/status", "VmData").split()[0]) * 1024 > most - (64 << 10)
                resource.prlimit(pid, resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            service.wait_ready()
            s.mark_deaths()
            s.mark("memory again")
            s.all_up(30)
            time.sleep(1)
            ended += service.generation - generation
        time.sleep(2)
        account = s.end(90)
        r.complaints(s)
        times = [g["seconds"] for g in s.gaps() if g["why"] == "died"]
    r.check(ended + short, "it never needed more memory than it had: that is no pressure")
    r.books("R1", f"no more memory for seconds, {count} times, under {5 * RATE} messages/s each way and new streams; the process ended {ended} times by it, and {short} times did without", account)
    r.timed("R13", "no more memory: from the end of the process to READY=1", f"worst {max(times, default=0) * 1000:.0f} ms of {len(times)}", max(times, default=0) <= 0.5, "each within 500 ms (R2)")


POISON = "poison-4711"


def until_aside(s, generation):
    """Until the deadly text is in quarantine: (its events or none, crashes since that generation, seconds)."""
    begin, listed = time.monotonic(), None
    while time.monotonic() < begin + 45 and not listed:
        time.sleep(0.1)
        listed = s.parts[-1].events("queue/quarantined")
    return listed, s.services[0].generation - generation, time.monotonic() - begin


def arrived(status):
    return sum(g[d]["arrived"] for g in status["groups"].values() for d in ("to_xmpp", "to_sip"))


@experiment("poison", "R17", seconds=60, needs=no_notes)
def poison(r):
    """a text that was accepted for later ends the process whenever it is handed on: it is set aside after two crashes"""
    folder = f"{r.run}/poison"
    os.makedirs(f"{folder}/entente")
    faults = Faults(f"{r.run}/fault", f"{folder}/entente")
    if not has_setting("queue.directory"):
        r.check(False, "this entented has no queue")
        return
    groups = [Group("sm", True, number=0), Group("plain", False, number=1), Group("away", True, 1, number=2)]
    with Stage(folder, settings=unboxed() + "queue:\n  unreachable: keep\n", groups=groups, users=2, env=faults.environment, unit={"StartLimitIntervalSec": "0"}) as s:
        s.expect(-signal.SIGABRT)       # fault.c
        for g in groups[:2]:
            s.tell("rate", g.name, 4, 25)
        s.tell("group away off")
        time.sleep(3)
        s.tell("say away to-xmpp before-it")
        s.tell("say away to-xmpp", POISON)
        wait_until(lambda: s.status()["groups"]["away"]["to_xmpp"]["accepted"] == 2, 40, "the texts for a partner that is away were not accepted")
        generation = s.services[0].generation
        faults.poison(POISON)
        s.mark("poison")
        s.tell("group away on")
        listed, crashes, aside = until_aside(s, generation)
        # from here on all is as it should be, with the text still deadly
        time.sleep(2)
        s.all_up(30)
        before = s.status()
        s.tell("say away to-xmpp after-it")
        time.sleep(4)
        after, later = s.status(), s.services[0].generation - generation
        going = arrived(after) - arrived(before)
        there = after["groups"]["away"]["to_xmpp"]["arrived"]
        shown = s.parts[-1].cli("queue", "list").stdout
        s.mark_deaths()
        account = s.end(5)
        r.complaints(s)
    r.figures.update(event=(listed or [])[:1], shown=shown, account=account)
    lost = account["groups"]["away"]["to_xmpp"]["lost"]
    r.show("R17", "a text that ends the process whenever it is handed on", f"{crashes} crashes, set aside {aside:.1f} s after its partner came back ({listed[0][1]} {listed[0][2]}); "
           f"{going} messages came in the 4 s after that, {there} of the 2 others for its partner" if listed else f"{crashes} crashes in {aside:.0f} s, never set aside",
           bool(listed) and crashes == 2 and later == crashes and going > 50 and there == 2 and lost == 1, "two crashes, no more after that")
    # the one that is set aside is neither lost nor delivered: it waits for an administrator
    r.books("R17", "all other messages meanwhile", {**account, "unsettled": account["unsettled"] - 1, "groups": {k: v for k, v in account["groups"].items() if k != "away"}})


@experiment("poison-again", "R17", seconds=60, needs=no_notes)
def poison_again(r):
    """a text that ends the process whenever it is handed on, and is in no journal: its partner acknowledges, and sends it again on each new stream"""
    folder = f"{r.run}/poison-again"
    os.makedirs(f"{folder}/entente")
    faults = Faults(f"{r.run}/fault", f"{folder}/entente")
    groups = [Group("sm", True, number=0), Group("plain", False, number=1)]
    with Stage(folder, settings=unboxed(), groups=groups, users=2, env=faults.environment, unit={"StartLimitIntervalSec": "0"}) as s:
        s.expect(-signal.SIGABRT)       # fault.c
        for g in groups:
            s.tell("rate", g.name, 4, 25)
        time.sleep(3)
        generation = s.services[0].generation
        faults.poison(POISON)
        s.mark("poison")
        s.tell("say sm to-sip", POISON)
        listed, crashes, aside = until_aside(s, generation)
        time.sleep(2)
        s.all_up(30)
        before = s.status()
        time.sleep(4)
        after, later = s.status(), s.services[0].generation - generation
        going = arrived(after) - arrived(before)
        s.mark_deaths()
        account = s.end(5)
        r.complaints(s)
    r.figures.update(event=(listed or [])[:1], account=account)
    r.show("R17", "a text that ends the process and that nobody has on disk: its partner sends it again after each start",
           f"{crashes} crashes, set aside {aside:.1f} s after it was sent first; {going} messages came in the 4 s after that" if listed
           else f"{crashes} crashes in {aside:.0f} s, never set aside", bool(listed) and crashes == 2 and later == crashes and going > 50, "two crashes, no more after that")
    # the one that is set aside is neither lost nor delivered: it waits for an administrator
    account["groups"]["sm"]["to_sip"]["lost"] -= 1
    r.books("R17", "all other messages meanwhile", {**account, "unsettled": account["unsettled"] - 1})


def resident(pid):
    """MiB of the process, and of its children what is theirs alone: the pages of the program and its libraries are the same ones, and are there once."""
    own = sum(int((field(f"/proc/{child}/smaps_rollup", name) or "0").split()[0]) for child in tree(pid)[1:] for name in ("Private_Clean", "Private_Dirty"))
    return (memory([pid], "VmRSS") + own) / 1024


@experiment("idle", "R19", "R13", seconds=80)
def idle(r):
    """streams that carry nothing are closed, and opened again when somebody writes"""
    with Stage(r.run, settings="timers:\n  stream-idle: 10s\n", think=5, groups=[Group("sm", True, number=0), Group("plain", False, number=1)]) as s:
        pid = s.services[0].pid

        rss = [resident(pid)]
        s.rate(40, 40)
        time.sleep(3)
        rounds = 1 if r.quick else 3
        closed = []
        for _ in range(rounds):
            s.rate(0, 0)
            time.sleep(14)
            status = s.status()
            rss.append(resident(pid))
            closed.append(sum(g["members"] - g["in"] for g in status["groups"].values()))
            # both directions at once, while some of the streams are just closing
            s.rate(40, 40)
            time.sleep(3)
        # and after work: what it has touched once it keeps
        s.rate(RATE, RATE)
        time.sleep(5 if r.quick else 20)
        s.rate(0, 0)
        time.sleep(3)
        rss.append(resident(pid))
        account = s.end(60)
        r.complaints(s)
    r.check(all(n == 8 for n in closed), f"not every stream was closed when nothing was said: {closed} of 8")
    r.books("R19", f"streams closed after 10 s of silence ({', '.join(map(str, closed))} of 8) and opened again by the next message", account)
    r.show("R13", f"memory of the process and its child (pages of both counted once), idle, with 16 streams: after the start; when its streams were closed; after {5 if r.quick else 20} s of {RATE} messages/s each way",
           f"{rss[0]:.1f}, {max(rss[1:-1]):.1f}, {rss[-1]:.1f} MiB", max(rss) <= 40 or (None if INSTRUMENTED else False), "40 MiB idle")


@experiment("versions", "R20", seconds=15)
def versions(r):
    """files of a newer version: refused with words, and left as they are"""
    with Stage(r.run, think=5) as s:
        s.rate(20, 20)
        time.sleep(2)
        account = s.end(20)
        state = s.parts[0].state
        s.services[0].stop()
        db = sqlite3.connect(f"{state}/entente.db")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute(f"PRAGMA user_version = {version + 1}")
        db.commit()
        db.close()
        with open(f"{state}/entente.db", "rb") as f:
            before = f.read()
        s.expect(*range(1, 128))        # it refuses: any exit, no signal
        try:
            s.services[0].start()
            said = "it started"
        except Exception as e:
            said = str(e)
        with open(f"{state}/entente.db", "rb") as f:
            same = f.read() == before
        words = [x for x in s.parts[0].output().splitlines() if "newer" in x or "version" in x]
        db = sqlite3.connect(f"{state}/entente.db")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
        db.close()
        s.services[0].start()
        with Control() as control:
            partners = str(control.ask("partner", "xmpp", "list"))
        there = all(d in partners for g in s.groups for d in g.domains())
        s.services[0].refused.clear()       # that it was not started again was right
        r.complaints(s)
    del account
    words = (words or [said])[-1].split("text=")[-1].strip('"')
    r.show("R20", f"a database of schema {version + 1} (ours is {version})",
           f"{words}; the file is {'as it was' if same else 'CHANGED'}, and all partners are there with the right version again",
           said != "it started" and same and there and "newer" in words)
