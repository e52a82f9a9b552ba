# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/fuzzing.md: between two comments each, so what stands around them is prose. The hours come from the committed record and the
records named; the coverage from the last `run --coverage` of this build, if there was one."""
import os
import re

import record
import targets


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(str(c) for c in r) + " |" for r in rows])


def number(n):
    return "{:,}".format(n)


def hours(sums, names):
    rows = []
    processor, clock = [[sums.get(n, record.EMPTY).get(kind, 0) / 3600 for n in names] for kind in ("cpu", "clock")]
    for n in names:
        s, (kind, check, _) = sums.get(n, record.EMPTY), targets.TARGETS.get(n, ("?", "", []))
        rows.append(("`%s`" % n, kind, targets.DIFFERENTIAL.get(n) or check, number(s["executions"]), "%.2f" % (s.get("clock", 0) / 3600), "%.2f" % (s["cpu"] / 3600), number(s["edges"]), s["crashes"],
                     "%s, %s" % (s["date"], s["revision"]) if s["date"] else "not yet"))
    last = max((sums.get(n, record.EMPTY)["date"] for n in names), default="")
    say = ("%d targets, %s executions, last run %s. On the clock: %d of %d have run an hour or more, the shortest %.2f hours. Processor time: %.1f hours in all; "
           "%d have an hour or more, the least %.2f hours.") % (len(names), number(sum(sums.get(n, record.EMPTY)["executions"] for n in names)), last or "never",
                                                              sum(1 for h in clock if h >= 1), len(names), min(clock, default=0), sum(processor),
                                                              sum(1 for h in processor if h >= 1), min(processor, default=0))
    return say + "\n\n" + table(("target", "input", "what must hold beside \"no crash\"", "executions", "hours on the clock", "of processor time", "edges", "crashes", "last run, revision"), rows)


def found():
    rows = [("`%s`" % t, date, what, "`%s`" % test) for t, date, what, test in targets.FOUND]
    return table(("target", "found", "what it was", "the test that it became"), rows) if rows else "Nothing yet."


def coverage(c, names):
    def percent(pair):
        return "%.0f %%" % (100.0 * pair[0] / pair[1]) if pair[1] else "-"
    rows = [("`%s`" % n, number(c["targets"][n]["lines"]), ", ".join("`%s` %s" % (f, percent(v)) for f, v in c["targets"][n]["own"].items())) for n in names if n in c["targets"]]
    parsers = sorted({f for t in targets.TARGETS.values() for f in t[2]})
    files = [("`%s`" % f, number(c["files"][f][0]), number(c["files"][f][1]), percent(c["files"][f])) for f in parsers if f in c["files"]]
    return "Measured %s.\n\n%s\n\nAll targets together, file by file:\n\n%s" % (
        c["date"], table(("target", "lines of `src/` reached", "of the files that it is there for"), rows), table(("file", "lines reached", "lines", ""), files))


def write(top, records, names):
    path = os.path.join(top, "docs", "fuzzing.md")
    sums, taken = record.sums(*records)
    here = os.path.join(os.path.dirname(records[0]), "coverage.json") if records else ""
    taken["coverage"] = record.load(here, None) or taken.get("coverage")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    parts = {"hours": hours(sums, names), "found": found()}
    if taken["coverage"]:
        parts["coverage"] = coverage(taken["coverage"], names)
    for part, content in parts.items():
        text = re.sub(r"(<!-- %s: .*? -->\n).*?(<!-- end -->)" % part, lambda m, c=content: m.group(1) + "\n" + c + "\n\n" + m.group(2), text, count=1, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    record.save(record.COMMITTED, taken)
    print("docs/fuzzing.md and tests/fuzz/record.json are written: %s" % hours(sums, names).split("\n", 1)[0])
    return 0
