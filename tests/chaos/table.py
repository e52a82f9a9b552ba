# SPDX-License-Identifier: Apache-2.0
"""The promises, and the table of what was measured of them."""
import re

PROMISES = {
    "R1": ("kill -9 of any process under load, and a power cut, lose no accepted message", ""),
    "R2": ("A dead process is back within 500 ms", "There is one process and the keeper of its keys, with which it ends and comes back, no worker that could die alone: R2's \"other workers\" are partners of the other half of a split."),
    "R3": ("A planned restart or upgrade loses nothing and refuses no connection", ""),
    "R4": ("A reload drops no connection, takes at most 100 ms, and a bad one changes nothing", ""),
    "R5": ("An edge of a pool dies: new sessions within 1 s; falls silent: within 5 s",
           "How soon a connection that carries nothing is known to be dead (30 s) is not measured here."),
    "R6": ("Partners that stick to one edge: its address moves within 3 s", ""),
    "R7": ("2,000 partners are back within 60 s, p99 of the others at most 250 ms", ""),
    "R8": ("DNS is gone: open streams go on, unknown names are answered for in time, no thread is blocked",
           "The 24 hours of the promise are shortened to a minute. Partners that have to be called again meanwhile are found by answers whose time is over (RFC 8767), for 24 hours; their certificates are judged as ever."),
    "R9": ("A certificate is renewed and swapped under load; none expires unnoticed",
           "One renewal by a real ACME authority, and certificates replaced by hand, not a year of certificates of 160 hours. The warning is an event and a metric; mail is the affair of whoever watches these."),
    "R10": ("The clock jumps ten years: nothing is dropped, no timer fires", ""),
    "R11": ("The disk is full: refused with 503 and resource-constraint, nothing is corrupted, presence goes on, back within 1 s", "30 times, not 100."),
    "R12": ("A stalled partner costs at most 1 MiB, and others nothing",
            "The memory is missed. What waits for a partner is bounded by limits.queue-size (1 MiB) and limits.queue-messages (1,000), which count octets of text. In memory a text is there twice, for the stream and for "
            "whoever sends it again when the stream is lost, with one KiB beside it, and what was handed over and not confirmed counts as well: some 3 MiB of large texts, 2 MiB of small ones. A smaller limits.queue-size "
            "bounds it closer, and refuses sooner what comes while a stream is set up."),
    "R13": ("Memory: 40 MiB idle, 64 KiB per idle link",
            "10,000 connections that prove nothing, and 4,000 links, not 50,000 and 10,000: both sides of each are on this machine. MemoryMax of systemd is not there; RLIMIT_DATA takes its place."),
    "R14": ("2,000 translated messages a second, p99 at most 20 ms, at most 70 % of two cores, journal on", "The hour of the promise is shortened to 100 s; the soak goes on for hours with less."),
    "R15": ("72 hours: no slope of memory, no descriptor lost, sanitizers silent",
            "72 hours do not fit into a run of an hour: `make soak HOURS=n` is the program for it; of the short form the books are judged, memory and descriptors are shown."),
    "R16": ("30 % loss, 500 ms jitter, reordering: nothing lost, order kept", "The slowest line has 9600 bit/s, not 600: a TLS handshake of 5 KiB takes more than a minute there, and a stream is given up sooner."),
    "R17": ("A message that ends the process is set aside after two crashes", ""),
    "R18": ("Prosody, ejabberd and Kamailio restart in mid-traffic: nothing lost", ""),
    "R19": ("An idle stream is closed and comes back on demand without loss", ""),
    "R20": ("One version back: queue and state are readable, or cleanly refused",
            "There is one version so far. What can be shown: a database of a newer version is refused with words, and left as it is; of the journal's files a unit test says the same."),
}
MARK = "<!-- chaos%s: %s -->"


def rows_of(results):
    """[(promise, what, limit, figure, verdict, experiment)] of all promises, in order."""
    found = {}
    for e in results["experiments"]:
        for row in e["rows"]:
            ok = "not judged: busy" if row.get("busy") else {True: "held", False: "**NOT HELD**", None: "information"}[row["ok"]]
            found.setdefault(row["promise"], []).append((row["what"], row.get("limit", ""), row["figure"], ok, e["name"] + (", short run" if short(results, e) else "")))
    table = []
    for promise, (_, reason) in PROMISES.items():
        table += [(promise, *row) for row in found.get(promise, [])]
        if promise not in found:
            table.append((promise, reason or "not part of this run", "", "", "not measured", ""))
    return table


def failures(results):
    return [f"{e['name']}: {text}" for e in results["experiments"] for text in e["wrong"]]


def short(results, e):
    return e.get("quick", results["quick"])


def about(e):
    """The promises that an experiment is about: those that it names, and those of its rows."""
    return {*e.get("promises", ()), *(row["promise"] for row in e["rows"])}


def missing(results, promise):
    """What a whole run has for this promise and this one has not: [(experiment, why)]."""
    there = {e["name"]: e for e in results["experiments"]}
    return [(name, there[name]["skipped"] if name in there else "not part of this run")
            for name, promises in results.get("promises", {}).items() if promise in promises and (name not in there or there[name].get("skipped"))]


def verdict(results, promise):
    """Of everything that was measured of it: the worst."""
    ran = [e for e in results["experiments"] if promise in about(e) and not e.get("skipped")]
    rows = [(row, e) for e in ran for row in e["rows"] if row["promise"] == promise]
    if any(row["ok"] is False for row, _ in rows) or any(e.get("broken") for e in ran):
        return "**not held**"
    if any(row.get("busy") for row, _ in rows):
        return "not judged: the machine was busy"
    judged = [e for row, e in rows if row["ok"]]
    if not judged:
        return "see the text" if rows else "not measured"
    held = "held, in part" if PROMISES[promise][1] or missing(results, promise) else "held"
    return held + (" (short run)" if any(short(results, e) for e in judged) else "")


def again(results):
    """What was run once more, and took the place of what it had shown before."""
    return [f"Run again{' (quick)' if a['quick'] else ''} {a['date']}, {a['commit']}, seed {a['seed']}, load {a['load']}: {', '.join(a['names'])}." for a in results.get("again", [])]


def markdown(results):
    m, v = results["machine"], results["versions"]
    loads = [x for e in results["experiments"] for x in e.get("load", [])]
    programs = ", ".join(f"{k} {v[k]}" for k in v if v[k] and k not in ("entented", "commit"))
    words = ["tests/chaos/run", *results["patterns"], f"--seed {results['seed']}"]
    words += [f"--minutes {results['minutes']:g}"] if results["minutes"] != 10 else []
    words += ["--quick"] if results["quick"] else []
    lines = [f"Run of {results['date']}, {results.get('seconds', 0) / 60:.0f} minutes: `{' '.join(words)}`, entented {v['entented']} ({v['commit']}).",
             f"Machine: {m['cores']} cores ({m['cpu']}), {m['memory_mib']} MiB, {m['system']}, Linux {m['kernel']}; load before the run {m['load_before']}, "
             f"highest between experiments {max(loads, default=0)}. {programs}.",
             *again(results), "",
             "| | promise | verdict |", "|---|---|---|"]
    lines += [f"| {p} | {text} | {verdict(results, p)} |" for p, (text, _) in PROMISES.items()]
    lines += ["", "| | measured | promised | figure | verdict | experiment |", "|---|---|---|---|---|---|"]
    lines += [f"| {p} | {what} | {limit} | {figure} | {ok} | {name} |" for p, what, limit, figure, ok, name in rows_of(results)]
    if any(short(results, e) for e in results["experiments"]):
        lines += ["", "A short run is each experiment as short as it makes sense (`--quick`): fewer kills, cycles, partners and seconds than are promised. It says that the way works, and is no proof of the whole promise."]
    reasons = [f"* {p}: {reason}" for p, (_, reason) in PROMISES.items() if reason]
    measured = {row["promise"] for e in results["experiments"] for row in e["rows"]}
    reasons += [f"* {p}: without {', '.join(f'{name} ({why})' for name, why in missing(results, p))}." for p in PROMISES if p in measured and missing(results, p)]
    lines += ["", "What cannot be measured here, or only in part:", "", *reasons]
    wrong = failures(results)
    if wrong:
        lines += ["", "What went wrong in this run:", "", *(f"* {x.splitlines()[0][:300]}" for x in wrong)]
    return "\n".join(lines)


def clean(results):
    """What a run of a sanitizer build showed, in a few lines; its figures say nothing."""
    e = results["experiments"]
    skipped = {a["name"]: a["skipped"] for a in e if a.get("skipped")}
    reports = [a["name"] for a in e if any("anitizer" in x or "runtime error" in x for x in a["wrong"])]
    words = [*results["patterns"], *(["--quick"] if results["quick"] else []), *([f"--minutes {results['minutes']:g}"] if results["minutes"] != 10 else [])]
    lines = [f"`tests/chaos/run {' '.join(words)} --sanitizer {results['sanitizer']} --seed {results['seed']}`, "
             f"{results['date']}, {results['versions']['commit']}, {results.get('seconds', 0) / 60:.0f} minutes: {len(e) - len(skipped)} experiments, "
             f"{'no report' if not reports else 'REPORTS in ' + ', '.join(reports)}."]
    lines += [f"Left out, since {reason}: {', '.join(sorted(n for n, r in skipped.items() if r == reason))}." for reason in sorted(set(skipped.values()))]
    wrong = failures(results)
    return "\n".join([*lines, *again(results), *(["Wrong in this run:", "", *(f"* {x.splitlines()[0][:300]}" for x in wrong)] if wrong else [])])


def write(path, results):
    """The part between the two marks; that of a sanitizer build has marks of its own."""
    kind = "-" + results["sanitizer"] if results["sanitizer"] else ""
    begin, end = MARK % (kind, "begin"), MARK % (kind, "end")
    text = clean(results) if kind else markdown(results)
    with open(path, encoding="utf-8") as f:
        old = f.read()
    new, n = re.subn(f"{begin}.*{end}", lambda _: "\n".join([begin, text, end]), old, flags=re.S)
    if not n:
        raise SystemExit(f"chaos: {path} has no place for the table: {begin} ... {end}")
    with open(path, "w", encoding="utf-8") as f:
        f.write(new)


def finish(results, path):
    """Shows, writes; the exit status."""
    print()
    for promise, what, limit, figure, ok, name in rows_of(results):
        if figure:
            print(f"{promise:4} {ok.strip('*'):12} {what}: {figure}{f' (promised: {limit})' if limit else ''}  [{name}]")
    for e in results["experiments"]:
        if e.get("skipped"):
            print(f"skipped: {e['name']}: {e['skipped']}")
    wrong = failures(results)
    for text in wrong:
        print(f"wrong: {text}")
    print(f"# {results.get('seconds', 0):.0f} s, seed {results['seed']}")
    good = sum(e["ok"] for e in results["experiments"])
    print(f"{good} passed, {len(results['experiments']) - good} failed")
    if path:
        write(path, results)
    return 1 if wrong else 0
