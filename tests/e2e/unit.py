# SPDX-License-Identifier: Apache-2.0
"""Some scenarios in one lab, inside private namespaces: started by runner.py, prints one JSON line for each result."""
import json
import os
import shutil
import sys
import time

import topics
from lab import Lab
from units import Guard
from waiting import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
guarded = Guard(240, lambda path: os.path.dirname(path) == HERE and not path.endswith(("unit.py", "scenario.py")))


def tell(scenario, start=None, trouble=None, name=None, logs=None, cell=None, remark=None, final=True):
    """`final`: a second attempt would prove nothing."""
    seconds = time.monotonic() - start if start else 0
    print(json.dumps({"number": scenario.number, "name": name or str(scenario), "seconds": seconds, "trouble": trouble, "logs": logs,
                      "cell": cell, "remark": remark, "final": final}),
          flush=True)
    return not trouble


def attempt(lab, scenario, tries=3):
    """Run one scenario; returns what went wrong, or None. A Prosody that is proven to be in LuaSec's endless loop (../lab/README.md) is
    started anew, and the scenario too; the proof is printed."""
    trouble, found = once(lab, scenario), []
    while trouble and tries > 1 and lab.peer == "prosody" and (proof := lab.xmpp.spinning()):
        tries -= 1
        found.append(f"run again, Prosody was in an endless loop: {proof}")
        lab.xmpp.kill()
        lab.xmpp.start()
        trouble = once(lab, scenario)
    lab.remark = "; ".join(filter(None, [lab.remark, *found])) or None
    return trouble


def once(lab, scenario):
    lab.remark = None       # what a scenario wants to be printed, beside that it passed
    lab.broken = False      # entented died or complained: no matter what another attempt says

    def play():
        lab.partner(scenario.partner)
        scenario.function(lab, **scenario.arguments)
    trouble = guarded(play)
    lab.close_users()
    complaints = lab.entented.complaints()[lab.complaints:]
    if complaints:
        lab.complaints += len(complaints)
        lab.broken = True
        trouble = "\n".join(filter(None, [trouble, "entented's output has:", *complaints[:5]]))
    for program in lab.programs():
        if not program.alive():
            end = "was not started again"
            if program.popen and program.popen.returncode is not None:
                end = f"died with status {program.popen.returncode}"
                lab.broken |= program.ends_well
            trouble = "\n".join(filter(None, [trouble, f"{program.name} {end}; the end of its log:", program.tail(12)]))
            program.start()
    return trouble


def run(peer, workers, options, scenarios):
    try:
        lab = Lab(peer=peer, workers=workers, **options)
        lab.complaints = 0
        lab.start()
    except LabError as e:
        for scenario in scenarios:
            tell(scenario, trouble=f"the lab did not start: {e}", final=False)
        if "lab" in locals():
            lab.kill()
        return
    good = True
    for scenario in scenarios:
        start = time.monotonic()
        lab.cell = None     # of a table, for scenarios that have one
        trouble = attempt(lab, scenario)
        good &= tell(scenario, start, trouble, logs=lab.run, cell=lab.cell, remark=lab.remark, final=lab.broken)
    last, start = scenarios[-1], time.monotonic()
    try:
        status = lab.entented.stop()
        if status:
            raise LabError(f"entented ended with status {status}; the end of its log:\n{lab.entented.tail(12)}")
        leaks = lab.entented.complaints()[lab.complaints:]
        if leaks:
            raise LabError("entented complained at its end:\n" + "\n".join(leaks[:12]))
    except LabError as e:
        good = tell(last, start, str(e), f"{last.topic}/entented ends well", lab.run)
    try:
        lab.stop()
    except LabError:
        lab.kill()
    if good:
        shutil.rmtree(lab.run, ignore_errors=True)


def main():
    task = json.loads(sys.argv[1])
    scenarios = topics.load()
    run(task["peer"], task["workers"], task["options"], [scenarios[n] for n in task["scenarios"]])


if __name__ == "__main__":
    main()
