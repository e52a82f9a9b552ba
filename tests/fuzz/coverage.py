# SPDX-License-Identifier: Apache-2.0
"""What of src/ the corpora reach (those in the tree and what this build has found): the targets once more, with clang's counters of lines instead of
sanitizers, each with its inputs and no mutation. A file that a target is there for and hardly reaches is a failure: a name proves nothing."""
import concurrent.futures
import datetime
import json
import os
import subprocess

import record
import targets

ENOUGH = 45     # percent of the lines of a file that a target names
FLAGS = ["-Db_sanitize=none", "-Dc_args=-fprofile-instr-generate -fcoverage-mapping", "-Dc_link_args=-fprofile-instr-generate"]


def tool(name):
    return name + "-19"     # that of the compiler


def profile(top, where, name, program, inputs):
    raw, done = os.path.join(where, "profile", name + ".raw"), os.path.join(where, "profile", name + ".data")
    dirs = [d for d in inputs if os.path.isdir(d)]
    p = subprocess.run([program, "-runs=0", "-timeout=60"] + dirs, cwd=where, env={**os.environ, "LLVM_PROFILE_FILE": raw}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, errors="replace", check=False)
    if p.returncode:
        return name, None, p.stdout[-2000:]
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse", raw, "-o", done], check=True)
    os.remove(raw)
    return name, lines(top, done, [program]), ""


def lines(top, data, programs):
    """file of src/ -> (lines reached, lines)"""
    objects = [programs[0]] + [a for p in programs[1:] for a in ("-object", p)]
    out = subprocess.run([tool("llvm-cov"), "export", "-summary-only", "-instr-profile=" + data] + objects, stdout=subprocess.PIPE, check=True).stdout
    src = os.path.join(top, "src") + os.sep
    files = json.loads(out)["data"][0]["files"]
    real = ((os.path.realpath(os.path.join(programs[0], "..", "..", "..", f["filename"])) if not os.path.isabs(f["filename"]) else os.path.realpath(f["filename"]), f) for f in files)
    return {n[len(src):]: (f["summary"]["lines"]["covered"], f["summary"]["lines"]["count"]) for n, f in real if n.startswith(src) and n.endswith(".c")}


def percent(pair):
    return 100.0 * pair[0] / pair[1] if pair[1] else 0.0


def measure(top, b, names, full, build, program, inputs):
    where = b + "-coverage"
    build(where, FLAGS, names)
    os.makedirs(os.path.join(where, "profile"), exist_ok=True)
    bad, result = 0, {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        work = [pool.submit(profile, top, where, n, program(n, where), inputs(n)) for n in names]
        for f in work:
            name, reached, why = f.result()
            if reached is None:
                print("not ok %s: an input of its corpus ends it\n%s" % (name, why), flush=True)
                bad += 1
                continue
            own = {s: reached.get(s, (0, 0)) for s in targets.TARGETS.get(name, ("", "", []))[2]}
            short = [s for s in own if percent(own[s]) < ENOUGH]
            result[name] = {"lines": sum(v[0] for v in reached.values()), "own": {s: list(v) for s, v in own.items()}}
            bad += 1 if short or not own else 0
            print("%s %s: %d lines of src; %s" % ("not ok" if short or not own else "ok", name, result[name]["lines"],
                                                   ", ".join("%s %.0f %%" % (s, percent(v)) for s, v in own.items()) or "no files are named for it in targets.py"), flush=True)
    path = os.path.join(b, "coverage.json")
    before = record.load(path, {"targets": {}, "files": {}})
    here = {"date": datetime.date.today().isoformat(), "targets": {**before["targets"], **result}, "files": before["files"]}
    if not full:    # what all reach together is as it was
        record.save(path, here)
        return 1 if bad else 0
    everything = os.path.join(where, "profile", "all.data")
    subprocess.run([tool("llvm-profdata"), "merge", "-sparse"] + [os.path.join(where, "profile", n + ".data") for n in result] + ["-o", everything], check=True)
    files = lines(top, everything, [program(n, where) for n in result])
    record.save(path, {**here, "targets": result, "files": {n: list(v) for n, v in files.items() if v[0]}})
    rooms = {}
    for n, v in files.items():
        r = rooms.setdefault(n.split("/")[0], [0, 0])
        r[0] += v[0]
        r[1] += v[1]
    for r, v in sorted(rooms.items()):
        print("  %-10s %6d of %6d lines, %.0f %%" % (r, v[0], v[1], percent(v)))
    return 1 if bad else 0
