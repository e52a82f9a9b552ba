# SPDX-License-Identifier: Apache-2.0
"""From runs to rows, ratios, and the table on the terminal."""
import statistics
import sys

AIM_CPU_US, AIM_IDLE_MIB = 30, 40
NAMES = {"sip-to-xmpp": "SIP to XMPP", "xmpp-to-sip": "XMPP to SIP", "sip-to-sip": "Kamailio, SIP to SIP"}


def progress(text):
    """What runs now, on a line that the next one replaces; on a terminal only."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)} if values else None


def finish(results, rows):
    """Fills in what follows from the runs."""
    done = []
    for row in rows:
        row["runs"] = [r if r and r["messages"] else None for r in row["runs"]]
        runs = [r for r in row["runs"] if r]
        row["ok"] = len(runs) == len(row["runs"]) and all(r["ok"] for r in runs)
        for key in ("cpu_per_message_us", "user_per_message_us", "system_per_message_us", "rate", "busy", "generator_busy"):
            row[key] = spread([r[key] for r in runs])
        for key in ("latency_us", "answer_us"):
            timed = [r[key] for r in runs if r[key]["n"]]
            row[key] = {q: statistics.median(t[q] for t in timed) for q in ("p50", "p95", "p99", "max")} if timed else None
        for key in ("refused", "lost", "doubled", "stray", "unsent"):
            row[key] = sum(r[key] for r in runs)
        row["failed_runs"] = len(row["runs"]) - len(runs)
        # an overloaded server has finished less than was sent when the measured time ends; what is late is no loss
        row["behind"] = row["load"] == "rate" and any(r["messages"] < 0.95 * r["sent"] for r in runs)
        done.append(row)
    results["rows"] = done
    results["ratios"] = list(ratios(done))
    results["aims"] = list(aims(results))
    results["ok"] = all(r["ok"] for r in done)


def ratios(rows):
    """entented over Kamailio: the same load, the same transport."""
    by_id = {r["id"]: r for r in rows}
    for row in rows:
        other = by_id.get(f"kamailio.{row['transport']}.{row['load']}")
        if row["server"] == "kamailio" or not other or not row["cpu_per_message_us"] or not other["cpu_per_message_us"]:
            continue
        # repeats stand in pairs: run n of both came one after the other
        pairs = [(a, b) for a, b in zip(row["runs"], other["runs"]) if a and b]
        yield {"id": row["id"], "against": other["id"],
               "cpu": spread([a["cpu_per_message_us"] / b["cpu_per_message_us"] for a, b in pairs]),
               "rate": spread([a["rate"] / b["rate"] for a, b in pairs])}


# --- the table ------------------------------------------------------------------------------------------------------

def milliseconds(us):
    return f"{us / 1000:.2f}" if us < 100000 else f"{us / 1000:.0f}"


def trouble(row):
    words = [f"{row[k]} {k}" for k in ("refused", "lost", "doubled", "stray", "unsent") if row[k]]
    if row["behind"]:
        words.append("cannot keep the rate")
    if row["failed_runs"]:
        words.append(f"{row['failed_runs']} runs failed")
    return ", ".join(words)


def line(row, ratio):
    cpu = row["cpu_per_message_us"]
    if not cpu:
        return [NAMES[row["direction"]], *[""] * 9, trouble(row)]
    user, system = row["user_per_message_us"]["median"], row["system_per_message_us"]["median"]
    t = row["latency_us"] or {"p50": 0, "p95": 0, "p99": 0}
    return [NAMES[row["direction"]], f"{cpu['median']:.1f}", f"{cpu['min']:.1f}-{cpu['max']:.1f}", f"{user:.0f}+{system:.0f}",
            f"{ratio['cpu']['median']:.2f}" if ratio else "", f"{row['rate']['median']:.0f}",
            f"{row['busy']['median'] * 100:.0f} %", *(milliseconds(t[q]) for q in ("p50", "p95", "p99")), trouble(row)]


HEAD = [["", "CPU", "min-max", "user+", "against", "messages", "of its", "p50", "p95", "p99", ""],
        ["", "µs/message", "", "system", "Kamailio", "/s", "core", "ms", "ms", "ms", ""]]


def show(results):
    s, m, v = results["settings"], results["machine"], results["versions"]
    by_id = {r["id"]: r for r in results["ratios"]}
    built = ", ".join(x for x in (v["commit"], v["build"]) if x)
    print(f"\nentented {v['entented']} ({built}), Kamailio {v['kamailio']}, {v['openssl']}, {v['system']}")
    print(f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; load average before: {m['load_before']:.1f}")
    where = f"server on core {s['server_core']}, generator on core {s['generator_core']}"
    where = "not pinned" if s["server_core"] is None else where
    print(f"One worker; {where}. {s['repeats']} x {s['measure_ms'] / 1000:g} s after {s['warm_ms'] / 1000:g} s of warm-up; "
          f"{s['users']} pairs of users, texts of {s['body']} octets.")
    groups = {}
    for row in results["rows"]:
        groups.setdefault((row["transport"], row["load"]), []).append(row)
    table = [*HEAD]
    titles = {}
    for (transport, load), rows in groups.items():
        pace = f"{s['rate']} messages/s" if load == "rate" else f"flat out, {s['window']} under way"
        titles[len(table)] = f"SIP over {transport.upper()}{', TLS towards XMPP' if transport == 'tcp' else ''}: {pace}"
        table += [line(row, by_id.get(row["id"])) for row in rows]
    width = [max(len(x[i]) for x in table) for i in range(len(table[0]))]
    print()
    for n, cells in enumerate(table):
        if n in titles:
            print(titles[n])
        print(("  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(cells, width)))).rstrip())
    print()
    for x in results["memory"]:
        print(f"Memory of {x['server']}, SIP over {x['transport'].upper()}: {x['idle_kib'] / 1024:.1f} MiB idle, "
              f"{x['peak_kib'] / 1024:.1f} MiB at most")
    verdict(results)


def aims(results):
    """What the project wants of one worker, and what this run says."""
    cpu = [r["cpu_per_message_us"]["median"] for r in results["rows"] if r["server"] == "entented" and r["transport"] == "tls"
           and r["load"] == "flat" and r["cpu_per_message_us"]]
    idle = [x["idle_kib"] / 1024 for x in results["memory"] if x["server"] == "entented"]
    for name, words, unit, most, values in (
            ("cpu_per_message", "CPU per message, TLS on both sides, flat out", "µs", AIM_CPU_US, cpu),
            ("idle_memory", "idle memory", "MiB", AIM_IDLE_MIB, idle)):
        if values:
            yield {"name": name, "words": words, "unit": unit, "at_most": most, "is": round(max(values), 1),
                   "met": max(values) <= most}


def verdict(results):
    for a in results["aims"]:
        words = f"{a['words']}, at most {a['at_most']} {a['unit']}"
        print(f"Aim: {words}: {'met' if a['met'] else 'missed'} ({a['is']:.1f} {a['unit']})")
