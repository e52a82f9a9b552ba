# SPDX-License-Identifier: Apache-2.0
"""Some tests on one ground, inside private namespaces: started by runner.py, prints one JSON line for each result."""
import json
import os
import shutil
import sys
import time

import case     # finds the lab
import files
from ground import SETTINGS, Ground
from sip_ground import SipGround
from units import Guard
from waiting import LabError

guarded = Guard(120, lambda path: os.path.basename(path).startswith("on_"))


def attempt(ground, one):
    trouble = guarded(one.function, ground)
    after = guarded(ground.aftermath, one.authorised)
    if after:
        trouble = "\n".join(filter(None, [trouble, f"afterwards: {after}"]))
    complaints = ground.entented.complaints()[ground.complaints:]
    ground.complaints += len(complaints)
    if complaints:
        trouble = "\n".join(filter(None, [trouble, "entented's output has:", *complaints[:5]]))
    for program in ground.programs():
        if not program.alive():
            trouble = "\n".join(filter(None, [trouble, f"{program.name} ended; the end of its log:", program.tail(12)]))
            program.start()
    return trouble


def tell(number, start, trouble, name=None, logs=None, note=""):
    print(json.dumps({"number": number, "name": name, "seconds": time.monotonic() - start, "trouble": trouble, "logs": logs,
                      "note": note, "unjudged": case.UNJUDGED}), flush=True)
    case.UNJUDGED.clear()


def run(cases, workers):
    start = time.monotonic()
    ground = (SipGround if cases[0].file.startswith("on_sip") else Ground)(workers, SETTINGS + cases[0].settings)
    ground.complaints = 0
    good = True
    try:
        ground.start()
    except LabError as e:
        ground.kill()
        for one in cases:
            tell(one.number, start, f"the ground was not laid: {e}", logs=ground.run)
        return
    for one in cases:
        start = time.monotonic()
        ground.note = ""
        trouble = attempt(ground, one)
        good &= not trouble
        tell(one.number, start, trouble, logs=ground.run, note=ground.note)
    start = time.monotonic()
    leaks = ground.leaks()
    trouble = "the log has message bodies:\n" + "\n".join(leaks[:3]) if leaks else None
    ended = guarded(ground.stop)
    trouble = "\n".join(filter(None, [trouble, ended])) or None
    tell(-1, start, trouble, f"T47 no body in the log of {cases[0].file}; all programs end as they should", ground.run)
    if good and not trouble:
        shutil.rmtree(ground.run, ignore_errors=True)


def main():
    task = json.loads(sys.argv[1])
    everything = files.load()
    run([everything[n] for n in task["cases"]], task["workers"])


main()
