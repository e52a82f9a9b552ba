#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The fault laboratory: seeded experiments, each in namespaces of its own, one after the other; what they measured of the promises R1 to R20
goes to build/chaos/results.json and into a table.

    tests/chaos/run                       # everything, less than an hour on two cores
    tests/chaos/run kill disk             # the experiments that have one of these words in their name
    tests/chaos/run --quick               # everything, each as short as it makes sense
    tests/chaos/run --list
    tests/chaos/run --seed 7 kill         # once more what was printed with this seed
    tests/chaos/run --minutes 2           # of the long one (10)
    tests/chaos/run --sanitizer asan      # entented from build/asan (or tsan), which is made when it is not there
    tests/chaos/run --write docs/reliability.md    # after the run, the table into this document
    tests/chaos/run --report --write docs/reliability.md    # without a run, from the last results"""
import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, f"{TOP}/tests/lab", f"{TOP}/bench"]
import experiments                                      # noqa: E402
import table                                            # noqa: E402
from experiment import EXPERIMENTS, Result, fail        # noqa: E402

BUILD = os.path.join(TOP, os.environ.get("B") or "build")
RESULTS = f"{BUILD}/chaos/results.json"
SANITIZERS = {
    "asan": (["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"],
             {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99"}),
    "tsan": (["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"], {"TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1"}),
}


def options():
    p = argparse.ArgumentParser(prog="tests/chaos/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    p.add_argument("--list", action="store_true", help="name the experiments")
    p.add_argument("--seed", type=int, help="of everything random; printed, and in the results (default: of the clock)")
    p.add_argument("--minutes", type=float, default=10.0, help="of the long kill -9 run (10)")
    p.add_argument("--quick", action="store_true", help="each as short as it makes sense, for a first look")
    p.add_argument("--sanitizer", choices=list(SANITIZERS), help="run a sanitizer build of entented")
    p.add_argument("--write", metavar="FILE", help="put the table into this document")
    p.add_argument("--add", action="store_true", help="keep what the last run has of other experiments")
    p.add_argument("--report", action="store_true", help="no run: show (and write) the last results")
    p.add_argument("--inside", metavar="JSON", help=argparse.SUPPRESS)
    return p.parse_args()


# --- one experiment, inside the namespaces --------------------------------------------------------------------------

def inside(task):
    found = next(e for e in EXPERIMENTS if e.name == task["name"])
    os.makedirs(f"{BUILD}/lab", exist_ok=True)
    run = tempfile.mkdtemp(prefix="chaos.", dir=f"{BUILD}/lab")
    r = Result(found.name, run, task["seed"], task["quick"], task["minutes"])
    try:
        found.function(r)
    except Exception as e:      # a LabError has words enough, everything else is a fault of ours
        text = (str(e) if type(e).__name__ == "LabError" else traceback.format_exc())[-1500:]
        r.check(False, f"it broke off: {text}")
    r.late_complaints()
    answer = r.as_dict()
    if r.wrong:
        answer["logs"] = run
    else:
        shutil.rmtree(run, ignore_errors=True)
    print("RESULT " + json.dumps(answer), flush=True)


def run_one(e, o, seed):
    why = e.needs and e.needs()
    if why:
        print(f"   skipped: {why}", flush=True)
        return {"name": e.name, "seconds": 0, "rows": [], "figures": {}, "wrong": [], "broken": [], "ok": True, "skipped": why}
    task = json.dumps({"name": e.name, "seed": seed, "quick": o.quick, "minutes": o.minutes})
    # however we end, the namespace and everything in it ends with us
    program = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", f"{TOP}/tests/lab/ns", "/usr/bin/python3", os.path.abspath(__file__), "--inside", task],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    answer, begin = None, time.monotonic()
    try:
        for line in program.stdout:
            if line.startswith("RESULT "):
                answer = json.loads(line[7:])
            else:
                print(line, end="", flush=True)
        program.wait()
    finally:
        program.kill()
    words = [f"it ended with status {program.returncode} and without a result"]
    return answer or {"name": e.name, "seconds": round(time.monotonic() - begin, 1), "rows": [], "figures": {}, "ok": False, "wrong": words, "broken": words}


# --- the whole ------------------------------------------------------------------------------------------------------

def first_line(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        return (done.stdout.strip().splitlines() or [""])[0] if not done.returncode else ""
    except OSError:
        return ""


def about(o, seed):
    def package(name):
        return first_line("dpkg-query", "-W", "-f=${Version}", name)
    with open("/proc/meminfo", encoding="ascii") as f:
        mib = int(f.readline().split()[1]) // 1024
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        cpu = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), platform.machine())
    with open("/etc/os-release", encoding="utf-8") as f:
        system = next((x.split("=", 1)[1].strip().strip('"') for x in f if x.startswith("PRETTY_NAME=")), "")
    return {
        "schema": 1, "seed": seed, "quick": o.quick, "minutes": o.minutes, "sanitizer": o.sanitizer, "patterns": o.patterns,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory_mib": mib, "kernel": platform.release(), "system": system,
                    "load_before": round(os.getloadavg()[0], 2)},
        "versions": {"entented": first_line(f"{BUILD}/entented", "--version").split(" ")[-1],
                     "commit": first_line("git", "-C", TOP, "describe", "--always", "--dirty", "--abbrev=12"),
                     **{name: package(name) for name in ("prosody", "ejabberd", "kamailio", "knot", "pebble", "libfaketime", "keepalived")},
                     "openssl": " ".join(first_line("openssl", "version").split()[:2])},
    }


def sanitizer(name):
    """The environment that makes the laboratory use that build."""
    words, environment = SANITIZERS[name]
    folder = f"{BUILD}/{name}"
    if not os.path.exists(f"{folder}/build.ninja"):
        subprocess.run(["meson", "setup", folder, "-Dtests=disabled", *words], cwd=TOP, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", folder, "entented", "entente"], check=True, stdout=subprocess.DEVNULL)
    return {**environment, "ENTENTE_BIN": folder}


def added(results, names):
    """(the last run, which tells of this one too; its seconds; its answers of other experiments)"""
    with open(RESULTS, encoding="utf-8") as f:
        last = json.load(f)
    if last["sanitizer"] != results["sanitizer"]:
        fail(f"the last run was of another build ({last['sanitizer'] or 'no sanitizer'}): nothing can be added to it")
    this = {"names": names, "commit": results["versions"]["commit"], "load": results["machine"]["load_before"], **{k: results[k] for k in ("seed", "date", "quick", "minutes")}}
    return {**last, "again": [*last.get("again", []), this]}, last["seconds"], [a for a in last["experiments"] if a["name"] not in names]


def main():
    o = options()
    if o.inside:
        inside(json.loads(o.inside))
        return 0
    chosen = [e for e in EXPERIMENTS if (any(p in e.name for p in o.patterns) if o.patterns else not e.rare)]
    if o.list:
        for e in chosen:
            print(f"{e.name:28} {e.seconds:5} s  {' '.join(e.promises):12} {e.text}")
        print(f"{len(chosen)} experiments, about {sum(e.seconds for e in chosen) / 60:.0f} minutes")
        return 0
    if o.report:
        with open(RESULTS, encoding="utf-8") as f:
            results = json.load(f)
        return table.finish(results, o.write)
    if not chosen:
        fail(f"no experiment has {' or '.join(o.patterns)} in its name; --list names them")
    if subprocess.run([f"{TOP}/tests/lab/ns", "--why"], check=False).returncode:
        return 1
    seed = o.seed if o.seed is not None else int(time.time())
    results = about(o, seed)
    os.environ.update(sanitizer(o.sanitizer) if o.sanitizer else {})
    print(f"chaos: seed {seed}, load {results['machine']['load_before']}, {len(chosen)} experiments, "
          f"about {sum(e.seconds for e in chosen) / 60:.0f} minutes{' (quick: less)' if o.quick else ''}", flush=True)
    begin, before, answers, commit = time.monotonic(), 0, [], results["versions"]["commit"]
    order = {e.name: i for i, e in enumerate(EXPERIMENTS)}
    if o.add:
        results, before, answers = added(results, [e.name for e in chosen])
    results["promises"] = {e.name: e.promises for e in EXPERIMENTS if not e.rare}       # of a whole run
    for number, e in enumerate(chosen):
        print(f"== {number + 1}/{len(chosen)} {e.name}: {e.text}", flush=True)
        load = os.getloadavg()[0]
        answer = {"quick": o.quick, **run_one(e, o, seed)}
        # with --add what stands beside it may be of another run
        answer.update(load=[round(load, 2), round(os.getloadavg()[0], 2)], promises=e.promises, seed=seed, commit=commit)
        answers.append(answer)
        answers.sort(key=lambda a: order.get(a["name"], len(order)))
        print(json.dumps({k: answer[k] for k in ("name", "ok", "seconds", "rows", "wrong")}), flush=True)
        results.update(experiments=answers, seconds=round(before + time.monotonic() - begin, 1))
        os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
        with open(RESULTS, "w", encoding="utf-8") as f:     # after each: what broke off is not lost
            json.dump(results, f, indent=1)
            f.write("\n")
    return table.finish(results, o.write)


if __name__ == "__main__":
    sys.exit(main())
