# SPDX-License-Identifier: Apache-2.0
"""What becomes of what was accepted when the disk fails: the power goes, it is full, it errs. R1, R11."""
import errno
import os
import sqlite3
import subprocess
import time

import asking
from experiment import experiment, percentile
from faults import Faults, impossible
from stage import INSTRUMENTED, Stage

RATE = 200
# The preloaded library opens files of its own: the sandbox would end the process for it.
OPEN = 'server:\n  sandbox: "off"\n'


def has_setting(name):
    """Whether this entented knows a setting: what is not built yet is not asked for."""
    from stage import BUILD
    done = subprocess.run([os.path.join(os.environ.get("ENTENTE_BIN") or BUILD, "entente"), "config", "explain", name], capture_output=True, text=True, check=False, timeout=20)
    return done.returncode == 0


def unboxed():
    return OPEN if has_setting("server.sandbox") else ""


def intact(r, state):
    """The database says so itself."""
    path = f"{state}/entente.db"
    db = sqlite3.connect(path, timeout=10)
    try:
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()
    r.check(said == "ok", f"the database is damaged: {said}")
    return said == "ok"


@experiment("power-cut", "R1", seconds=120, needs=impossible)
def power_cut(r):
    """the power goes again and again under load: what was written and not synced is lost, torn, or there"""
    folder = f"{r.run}/power"
    state = f"{folder}/entente"
    os.makedirs(state, exist_ok=True)
    faults = Faults(f"{r.run}/fault", state, undo=True)
    cuts, undone, changes = 3 if r.quick else 15, 0, 0
    with Stage(folder, settings=unboxed(), env=faults.environment) as s:
        s.rate(RATE, RATE)
        for n in range(cuts):
            time.sleep(r.rng.uniform(2.0, 4.0))
            s.mark("power cut", "power", time.monotonic())
            s.services[0].end()
            lost, of = faults.cut(r.rng)
            undone, changes = undone + lost, changes + of
            r.say(f"cut {n + 1}: {of} changes were not synced, {lost} undone")
            s.services[0].start()
        time.sleep(3)
        account = s.end(90)
        r.complaints(s)
    intact(r, state)
    r.check(undone > 0, "no cut undid anything: that is no power cut")
    r.books("R1", f"power cut, {cuts} times under {RATE} messages/s each way ({undone} of {changes} changes that no sync had made good were undone, whole or in part)", account)


@experiment("write-fails", "R1", "R11", seconds=90, needs=impossible)
def write_fails(r):
    """each so many-th write or sync of the database and the journal fails with EIO or ENOSPC"""
    folder = f"{r.run}/fails"
    state = f"{folder}/entente"
    os.makedirs(state, exist_ok=True)
    faults = Faults("/run/chaos", state)
    # the kill comes at the end of such a turn: what was confirmed in it may have no end on the disk, as before a power cut
    with Stage(folder, settings=unboxed(), env=faults.environment, log_level="info", ends=4500) as s:
        s.rate(RATE, RATE)
        time.sleep(2)
        rounds, kills = 3 if r.quick else 9, 0
        for n in range(rounds):
            every, error = r.rng.choice([1, 2, 5, 17]), r.rng.choice([errno.EIO, errno.ENOSPC])
            s.mark("writes fail")
            (faults.write_fails if n % 2 == 0 else faults.sync_fails)(every, error)
            time.sleep(r.rng.uniform(2, 4))
            faults.write_fails(0)
            faults.sync_fails(0)
            if n % 3 == 2:
                kills += bool(s.kill_part(0, kind="power"))     # what is on the disk then is what counts
                s.wait_ready()
            time.sleep(r.rng.uniform(1, 3))
            r.say(f"each {every}-th {'write' if n % 2 == 0 else 'sync'} failed ({errno.errorcode[error]}): {faults['writes_failed']} writes, {faults['syncs_failed']} syncs so far")
        time.sleep(2)
        account = s.end(90)
        r.complaints(s)
    intact(r, state)
    r.check(faults["writes_failed"] + faults["syncs_failed"] > 10, "hardly a write failed: that is no fault")
    r.check(kills >= rounds // 3, f"only {kills} kills")
    r.books("R1", f"writes and syncs fail in {rounds} turns ({faults['writes_failed']} and {faults['syncs_failed']}), then {kills} times with a kill -9", account)


def mounted(folder, size):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)


def fill(path):
    """Every octet of its file system, also what others have given back since the last time. Returns when it is full."""
    with open(path, "ab", buffering=0) as f:
        for block in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(b"x" * block)
            except OSError as e:
                if e.errno != errno.ENOSPC:
                    raise


def no_mount():
    return None if os.geteuid() == 0 else "mounting a small file system needs root"


@experiment("disk-full", "R11", "R1", seconds=200, needs=no_mount)
def disk_full(r):
    """the disk of the state directory is full and has room again, in cycles, in every third with a kill"""
    folder = f"{r.run}/full"
    state = f"{folder}/entente"
    mounted(state, "64m")
    cycles, kills, times, refused, went_on, answers = 3 if r.quick else 30, 0, [], [], [], []
    # what waits for the home must not be refused for another reason
    small = "limits:\n  queue-messages: 100000\n  queue-size: 512MiB\n" + "queue:\n  reserve: 4MiB\n"
    with Stage(folder, log_level="warning", think=5, settings=small, body=4000, users=50) as s:
        # while the home is slow so much waits that the journal needs more segments than it has
        s.tell("rate sm", RATE // 2, RATE // 2)
        s.tell("rate plain", RATE // 2, 4 * RATE)
        time.sleep(2)
        r.check(s.status()["groups"]["plain"]["to_xmpp"]["accepted"] > 50, "partners without acknowledgements are not written to even with an empty disk")
        for n in range(cycles):
            s.mark("disk full")
            fill(f"{state}/filler")
            s.tell("home-thinks 3000")
            before, during, since = s.status(), None, None
            end = time.monotonic() + 12
            while time.monotonic() < (since + 1.5 if since else end):
                time.sleep(0.05)
                fill(f"{state}/filler")     # segments that are over give theirs back
                during = s.status()
                if not since and count(during, "refused") > count(before, "refused"):
                    since, first = time.monotonic(), during
            refused.append(count(during, "refused") - count(before, "refused"))
            if since:       # what needs no disk goes on
                went_on.append(during["groups"]["sm"]["to_xmpp"]["arrived"] - first["groups"]["sm"]["to_xmpp"]["arrived"])
                answers.append(asking.subscribe("juliet1@sm0000.chaos.test", f"watcher{n}"))
            if n % 3 == 1:
                kills += bool(s.kill_part(0))
                s.wait_ready()
                time.sleep(1)
            s.mark("disk has room")
            s.tell("home-thinks 5")
            os.unlink(f"{state}/filler")
            times.append(works_again(s, time.monotonic()))
            time.sleep(1.5)       # what waited is delivered
            if n % 5 == 4:
                r.say(f"{n + 1} cycles, {sum(refused)} messages were refused, {kills} kills")
        time.sleep(2)
        account = s.end(90)
        r.complaints(s)
    whole = intact(r, state)
    subprocess.run(["umount", "-l", state], check=False)
    said = [(name, x, n) for name, g in account["groups"].items() for d in ("to_xmpp", "to_sip") for x, n in g[d]["reasons"].items()]
    reasons = sorted({x for _, x, _ in said if x in FULL})
    # just after a start the home is not known before DNS has answered: 503, and that is not the disk's fault
    others = {x: sum(n for _, y, n in said if y == x) for _, x, _ in said if x not in FULL}
    untouched = sum(n for name, x, n in said if name == "sm" and x in FULL) + sum(account["groups"]["sm"][d]["failed"] for d in ("to_xmpp", "to_sip"))
    r.figures.update(reasons=reasons, others=others, refused=refused, went_on=went_on, answers=answers, works_again_s=times)
    r.check(kills >= cycles // 3, f"only {kills} kills")
    r.books("R1", f"disk full {cycles} times, {kills} times with a kill -9 while it was full", account)
    r.show("R11", f"disk of 64 MiB full, {cycles} cycles: what was refused meanwhile",
           f"{sum(refused)} messages ({', '.join(reasons) or 'nothing needed the disk'}), in {sum(map(bool, refused))} of the cycles; of partners that acknowledge: {untouched}; "
           + (f"for other reasons, after the kills: {', '.join(f'{n} {x}' for x, n in others.items())}; " if others else "") +
           f"the database is {'intact' if whole else 'DAMAGED'}", all(refused) and not untouched and whole and sum(others.values()) <= (30 if INSTRUMENTED else 5) * kills, "in each cycle, of partners without XEP-0198 only, nothing damaged")
    known = [t for t in times if t is not None]
    r.timed("R11", "from room on the disk to texts that are taken by partners without acknowledgements again", f"median {percentile(known, 0.5) * 1000:.0f} ms, worst {max(known, default=0) * 1000:.0f} ms"
            f" of {len(times)}{f'; {len(times) - len(known)} times never' if len(known) < len(times) else ''}", len(known) == len(times) and max(known) <= 1.0, "each within 1 s")
    good = sum(200 <= status < 300 for status, _, _ in answers)
    r.show("R11", "while it was full: texts that came to partners that acknowledge in the 1.5 s after the first refusal, and requests for somebody's presence",
           f"{min(went_on, default=0)} to {max(went_on, default=0)} texts in each cycle; {good} of {len(answers)} requests answered with 2xx, the slowest after {max((a[2] for a in answers), default=0) * 1000:.0f} ms",
           bool(went_on) and min(went_on) > 0 and good == len(answers), "both go on")


FULL = ("503 server/queue-disk", "resource-constraint")     # what is said for want of disk


def count(status, key):
    return sum(g[d][key] for g in status["groups"].values() for d in ("to_xmpp", "to_sip"))


def works_again(s, begin, limit=30):
    """Seconds until a partner that acknowledges nothing is written to again: such a text needs the journal."""
    start = s.status()["groups"]["plain"]["to_xmpp"]["accepted"]
    while time.monotonic() < begin + limit:
        if s.status()["groups"]["plain"]["to_xmpp"]["accepted"] > start + 5:
            return time.monotonic() - begin
        time.sleep(0.02)
    return None
