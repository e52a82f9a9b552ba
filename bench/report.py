# SPDX-License-Identifier: Apache-2.0
"""From runs to rows, ratios, and the table on the terminal."""
import statistics
import sys

import aims

HELD = {"watch simple": "SIP users watch XMPP users", "refresh simple": "  each refreshes", "change simple": "  each sees a change",
        "watched simple": "XMPP users watch SIP users", "say simple": "conversations, page mode", "more simple": "  one more text in each",
        "say lync": "conversations, sessions (Lync)", "more lync": "  one more text in each"}
NAMES = {"sip-to-xmpp": "SIP to XMPP", "xmpp-to-sip": "XMPP to SIP", "sip-to-sip": "Kamailio, SIP to SIP"}


def progress(text):
    """What runs now, on a line that the next one replaces; on a terminal only."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="", flush=True)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)} if values else None


def sum_up(row, counts, what, keys):
    """The figures of a row from those of its runs; what: how the generator calls what it counts."""
    row["runs"] = [r if r and r[counts] else None for r in row["runs"]]
    runs = [r for r in row["runs"] if r]
    row["ok"] = len(runs) == len(row["runs"]) and all(r["ok"] for r in runs)
    row["failed_runs"] = len(row["runs"]) - len(runs)
    for key, name in keys.items():
        row[name] = spread([r[key] for r in runs])
    for key in ("latency_us", "answer_us"):
        timed = [r[key] for r in runs if r.get(key, {}).get("n", 1) and key in r]
        row[key] = {q: statistics.median(t[q] for t in timed) for q in ("p50", "p95", "p99", "max")} if timed else None
    for key in what:
        row[key] = sum(r[key] for r in runs)
    return runs


BUSY = {"rate": "rate", "busy": "busy", "generator_busy": "generator_busy"}
COUNTS = ("refused", "lost", "doubled", "stray", "unsent")


def finish(results):
    """Fills in what follows from the runs."""
    rows, relays, sips = results["rows"], results["relay"], results["sip"]
    for row in relays:
        sum_up(row, "stanzas", ("refused", "lost", "doubled"),
               {**{k: k for k in ("cpu_per_stanza_us", "user_per_stanza_us", "system_per_stanza_us")}, **BUSY})
    for row in rows + sips:
        word = "transaction" if row in sips else "message"
        runs = sum_up(row, "messages", COUNTS, {**{f"{k}per_message_us": f"{k}per_{word}_us" for k in ("cpu_", "user_", "system_")}, **BUSY})
        # an overloaded server has finished less than was sent when the measured time ends; what is late is no loss
        row["behind"] = row["load"] == "rate" and any(r["messages"] < 0.95 * r["sent"] for r in runs)
    for row in results.get("sip_quiet", []):
        for key in ("cpu_us", "rate", "busy"):
            row[key] = spread([r[key] for r in row["runs"]])
    for row in results.get("sip_workers", []):
        sum_up(row, "messages", COUNTS, {"cpu_per_message_us": "cpu_per_transaction_us", "least_share": "least_share", **BUSY})
    results["ratios"] = list(ratios(rows)) + list(relay_ratios(relays)) + list(sip_ratios(sips))
    strained(results)
    results["aims"] = list(aims.all_of(results))
    parts = rows + relays + sips + results.get("sip_workers", []) + results.get("latency", []) + results.get("workers", []) + results.get("durable", {}).get("rows", [])
    results["ok"] = not results.get("stopped") and all(r["ok"] for r in parts) and all(results.get(k, {"ok": True})["ok"] for k in ("partners", "hold", "grow"))


def strained(results):
    """What follows from the runs with two workers, and with and without a journal."""
    rows = {r["workers"]: r for r in results.get("workers", [])}
    if len(rows) == 2:
        cost = {n: statistics.median(x["cpu_us"] for x in r["runs"]) for n, r in rows.items()}
        rate = {n: statistics.median(x["rate"] for x in r["runs"]) for n, r in rows.items()}
        most = statistics.median(x["most_share"] for x in rows[2]["runs"])
        # with a core for each the busier one is full first: it has carried 1/most of what it could alone; what a message costs less with two is the load's doing
        results["workers_speedup"] = {"cpu_us": cost[1], "cpu_us_two": cost[2], "most_share": most, "by_cpu": round(min(cost[1] / cost[2], 1) / most, 3),
                                      "measured": round(rate[2] / rate[1], 3)}
    results["durable_ratios"] = []
    for r in results.get("durable", {}).get("rows", []):
        pairs = [(a, b) for a, b in zip(r["none"], r["acks"]) if a and b]
        if pairs:
            results["durable_ratios"].append({"id": r["id"], "rate": round(statistics.median(a["rate"] / b["rate"] for a, b in pairs), 3),
                                              "cpu": round(statistics.median(a["cpu_per_message_us"] / b["cpu_per_message_us"] for a, b in pairs), 3)})


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


def relay_ratios(rows):
    """entented over each of the others, repeat by repeat."""
    by_server = {r["server"]: r for r in rows}
    ours = by_server.get("entented")
    for row in rows:
        pairs = [(a, b) for a, b in zip(ours["runs"], row["runs"]) if a and b] if ours else []
        if row is ours or not pairs:
            continue
        yield {"id": "relay.entented", "against": row["id"],
               "cpu": spread([a["cpu_per_stanza_us"] / b["cpu_per_stanza_us"] for a, b in pairs]),
               "rate": spread([a["rate"] / b["rate"] for a, b in pairs])}


def sip_ratios(rows):
    """entented over each of the others: the same work, repeat by repeat; TCP also over those that have no TLS at all."""
    for row in rows:
        if row["server"] != "entented":
            continue
        for other in rows:
            pairs = [(a, b) for a, b in zip(row["runs"], other["runs"]) if a and b]
            if other["server"] == "entented" or any(row[k] != other[k] for k in ("kind", "transport", "load")) or not pairs:
                continue
            yield {"id": row["id"], "against": other["id"],
                   "cpu": spread([a["cpu_per_message_us"] / b["cpu_per_message_us"] for a, b in pairs]),
                   "least": min(a["cpu_per_message_us"] for a, _ in pairs) / min(b["cpu_per_message_us"] for _, b in pairs),
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
    print()
    if results["rows"]:
        print_table(table, titles)
    show_relay(results)
    show_sip(results)
    show_sip_quiet(results)
    show_sip_workers(results)
    show_partners(results.get("partners"))
    show_strain(results)
    show_grow(results.get("grow"))
    show_hold(results.get("hold"))
    for x in results["memory"]:
        print(f"Memory of {x['server']}{', between organisations' if x.get('what') == 'federation' else ''}, SIP over {x['transport'].upper()}: {x['idle_kib'] / 1024:.1f} MiB idle, "
              f"{x['peak_kib'] / 1024:.1f} MiB at most")
    verdict(results)


def show_relay(results):
    if not results["relay"]:
        return
    by_id = {r["against"]: r for r in results["ratios"] if r["id"] == "relay.entented"}
    octets = next((x["octets"] for r in results["relay"] for x in r["runs"] if x), 0)
    table = [["", "CPU", "min-max", "user+", "entented", "stanzas", "of its", "generator's", "p50", "p99", "memory MiB", ""],
             ["", "µs/stanza", "", "system", "uses", "/s", "core", "core", "ms", "ms", "idle, peak", ""]]
    for row in results["relay"]:
        cpu = row["cpu_per_stanza_us"]
        words = ", ".join(f"{row[k]} {k}" for k in ("refused", "lost", "doubled") if row[k])
        if row["failed_runs"]:
            words = ", ".join(x for x in (words, f"{row['failed_runs']} runs failed") if x)
        if not cpu:
            table.append([row["server"], *[""] * 10, words])
            continue
        ratio = by_id.get(row["id"])
        table.append([row["server"], f"{cpu['median']:.1f}", f"{cpu['min']:.1f}-{cpu['max']:.1f}",
                      f"{row['user_per_stanza_us']['median']:.0f}+{row['system_per_stanza_us']['median']:.0f}",
                      f"{ratio['cpu']['median']:.3f}" if ratio else "", f"{row['rate']['median']:.0f}", f"{row['busy']['median'] * 100:.0f} %",
                      f"{row['generator_busy']['median'] * 100:.0f} %", milliseconds(row["latency_us"]["p50"]),
                      milliseconds(row["latency_us"]["p99"]), f"{row['idle_kib'] / 1024:.0f}, {row['peak_kib'] / 1024:.0f}", words])
    v = results["versions"]
    print(f"XMPP: a stanza of {octets} octets in on one stream, its answer out on another, {results['settings']['window']} under way "
          f"(Prosody {v['prosody']}, ejabberd {v['ejabberd']}, jabberd2 {v['jabberd2']})")
    print_table(table, {})


SIP_NAMES = {("entented", "out"): "entented, to the partner", ("entented", "in"): "entented, from the partner", ("kamailio", "out"): "Kamailio",
             ("haproxy", "out"): "haproxy, octets only", ("kamailio", "plain"): "Kamailio, TCP to TCP", ("haproxy", "plain"): "haproxy, TCP to TCP"}


def show_sip(results):
    if not results["sip"]:
        return
    s, v = results["settings"], results["versions"]
    ratio = {(r["id"], r["against"]): r["least"] for r in results["ratios"] if "least" in r}
    table = [["", "CPU", "", "user+", "entented", "", "of its", "p50", "p99", ""],
             ["", "us, least", "median-max", "system", "uses", "/s", "core", "ms", "ms", ""]]
    titles = {}
    last = None
    for row in results["sip"]:
        group = (row["kind"], row["transport"], row["load"])
        if group != last:
            words = "MESSAGE 200" if row["kind"] == "message" else "INVITE 180 200 ACK BYE 200"
            pace = s["rate"] if row["load"] == "rate" else s["window"]
            pace = pace // 8 if row["kind"] == "call" else pace
            titles[len(table)] = f"{words}, home {row['transport'].upper()}, partner TLS: " + (
                f"{pace}/s" if row["load"] == "rate" else f"flat out, {pace} under way")
            ours = row["id"]
            last = group
        cpu = row["cpu_per_transaction_us"]
        name = SIP_NAMES[row["server"], row["way"]]
        if not cpu:
            table.append([name, *[""] * 8, trouble(row)])
            continue
        r = ratio.get((ours, row["id"]))
        t = row["answer_us"] or {"p50": 0, "p99": 0}
        table.append([name, f"{cpu['min']:.1f}", f"{cpu['median']:.1f}-{cpu['max']:.1f}",
                      f"{row['user_per_transaction_us']['median']:.0f}+{row['system_per_transaction_us']['median']:.0f}", f"{r:.2f}" if r else "",
                      f"{row['rate']['median']:.0f}", f"{row['busy']['median'] * 100:.0f} %", milliseconds(t["p50"]), milliseconds(t["p99"]),
                      trouble(row)])
    print(f"SIP between organisations: entented's Access Edge, Kamailio {v['kamailio']} as stateful proxy, haproxy {v['haproxy']} relaying octets")
    print_table(table, titles)


def show_sip_quiet(results):
    rows = results.get("sip_quiet", [])
    if not rows:
        return
    table = [["", "connections", "KiB each", "handshakes", "CPU us each", "", "a second,", "of its"],
             ["", "", "", "/s", "least", "median-max", "one core", "core"]]
    for row in rows:
        c = row["cpu_us"]
        table.append([{"openssl": "OpenSSL, bare"}.get(row["server"], row["server"]), str(row["connections"]), f"{row['per_connection_kib']:.1f}",
                      f"{row['rate']['median']:.0f}", f"{c['min']:.0f}", f"{c['median']:.0f}-{c['max']:.0f}", f"{1e6 / c['min']:.0f}",
                      f"{row['busy']['median'] * 100:.0f} %"])
    print(f"SIP partners that say nothing: mutual TLS, P-256, full handshakes; {results['versions']['openssl']}")
    print_table(table, {})


def show_sip_workers(results):
    rows = results.get("sip_workers", [])
    if not rows:
        return
    table = [["", "CPU us, least", "median-max", "/s", "cores used", "least of a worker", ""]]
    for row in rows:
        c = row["cpu_per_transaction_us"]
        words = trouble({**row, "behind": False})
        if not c:
            table.append([f"{row['kind']}, {row['workers']} workers", *[""] * 5, words])
            continue
        table.append([f"{row['kind']}, {row['workers']} worker{'s' if row['workers'] > 1 else ''}", f"{c['min']:.1f}", f"{c['median']:.1f}-{c['max']:.1f}",
                      f"{row['rate']['median']:.0f}", f"{row['busy']['median']:.2f}", f"{row['least_share']['median'] * 100:.0f} %", words])
    print("SIP between organisations, eight connections on the partner's side, server and generator on all cores")
    print_table(table, {})


def print_table(table, titles):
    """The first column to the left; titles: {row: line before it}."""
    width = [max(len(x[i]) for x in table) for i in range(len(table[0]))]
    for n, cells in enumerate(table):
        if n in titles:
            print(titles[n])
        print(("  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(cells, width)))).rstrip())
    print()


def show_hold(h):
    if not h:
        return
    print(f"Held by one worker: {h['subscriptions']} subscriptions, {h['conversations']} conversations (TLS with home and partner; the database included)")
    print(f"  {'':34}{'number':>8}{'a second':>10}{'CPU us':>9}{'octets':>9}   each")
    for name, words in HELD.items():
        s = h["steps"].get(name)
        if s:
            print(f"  {words:34}{s['done']:>8}{s['n'] / s['seconds']:>10.0f}{s['cpu_us']:>9.1f}{s['bytes']:>9}" + (f"   {s['failed']} FAILED" if s["failed"] else ""))
    for row in h["decades"]:
        print(f"  with {row['subscriptions']:,} subscriptions: {row['watch']['bytes']} and {row['watched']['bytes']} octets each, {row['watch']['cpu_us']:.0f} and "
              f"{row['watched']['cpu_us']:.0f} µs, a refresh {row['refresh']['cpu_us']:.0f} µs, a change {row['change']['cpu_us']:.0f} µs; {row['rss_kib'] / 1024:.0f} MiB")
    print()


def show_strain(results):
    for row in results.get("latency", []):
        if not row["ok"]:
            print(f"{row['id']}: FAILED")
            continue
        t, low, steady = row["steady"]["latency_us"], row["low"]["latency_us"], row["steady"]
        print(f"{row['id']}: {row['flat']['rate']:.0f}/s flat out; at {row['rate']}/s, {row['share'] * 100:.0f} % of it: p50 {milliseconds(t['p50'])}, p95 {milliseconds(t['p95'])}, "
              f"p99 {milliseconds(t['p99'])} ms, the server {steady['busy'] * 100:.0f} % and the generator {steady['generator_busy'] * 100:.0f} % busy; "
              f"at {low['rate'] if 'rate' in low else row['low']['rate']:.0f}/s: p99 {milliseconds(low['p99'])} ms")
    for row in results.get("workers", []):
        r = row["runs"]
        print(f"{row['workers']} worker{'s' if row['workers'] > 1 else ''}, both ways, {statistics.median(x['rate'] for x in r):.0f} messages/s, {statistics.median(x['cpu_us'] for x in r):.1f} µs of CPU each, "
              f"the busiest worker has {statistics.median(x['most_share'] for x in r) * 100:.0f} %{'' if row['ok'] else ', FAILED'}")
    if "workers_speedup" in results:
        w = results["workers_speedup"]
        print(f"Two workers over one: {w['by_cpu']:.2f} by processor time and balance; {w['measured']:.2f} measured, where the generator has to share the two cores with them")
    for r in results["durable_ratios"]:
        journal = results["durable"]["journal"]
        print(f"{r['id']}: a partner without XEP-0198 over one with it: {r['rate']:.2f} of the throughput, {r['cpu']:.2f} of the CPU{'' if journal else ' (there is no journal in this build)'}")
    if any(k in results for k in ("latency", "workers", "durable")):
        print()


def show_grow(g):
    if not g:
        return
    for kind, rows in g["room"].items():
        print(f"The policy with so many {kind}:")
        print_table([["", "octets", "ns a decision", "", "", "to build"], ["", "each", "any", "the same", "unknown", "s"],
                     *([f"{r['n']:,}", f"{r['bytes_each']:.0f}", f"{r['decide_ns']:.0f}", f"{r['decide_one_ns']:.0f}", f"{r['decide_unknown_ns']:.0f}", f"{r['build_s']:.4f}"]
                       for r in rows)], {})
    for kind, rows in g["daemon"].items():
        print(f"The daemon with so many {kind}:")
        table = [["", "memory", "start, s", "", "one change, s", "", "reload, s", "", "CPU of a message, µs", ""],
                 ["", "MiB", "until ready", "CPU", "", "CPU", "", "CPU", "to XMPP", "to SIP"]]
        for r in rows:
            table.append([f"{r['n']:,}", f"{r['rss_kib'] / 1024:.0f}", *(f"{r[what][k]:.3f}" for what in ("start", "change", "reload") for k in ("wall_s", "cpu_s")),
                          *(f"{r[w]['cpu_us']:.1f}" if r[w] else "FAILED" for w in ("sip-to-xmpp", "xmpp-to-sip"))])
        print_table(table, {})


def show_partners(p):
    if not p:
        return
    up, storm, m = p["up"], p["storm"], p["memory"]
    print(f"XMPP: {p['partners']} partners, {p['links']} authenticated streams (TLS 1.3, EXTERNAL), one worker; "
          f"{p['talkers']} others exchange {p['rate']} messages/s")
    streams = up["streams_in"] + up["streams_out"]
    print(f"  brought up {partners_at_once(up)} in {up['seconds']:.1f} s, {up['cpu_s']:.1f} s of CPU "
          f"({up['cpu_s'] * 1000 / max(streams, 1):.2f} ms a stream); messages of the others meanwhile: {lap(up['others'])}")
    print(f"  at rest: {m['per_link_kib']} KiB of memory a stream ({m['before_kib'] / 1024:.0f} -> {m['after_kib'] / 1024:.0f} MiB), "
          f"{m['descriptors']} descriptors; the others: {lap(p['calm']['others'])}")
    print(f"  storm, all cut and back at once: {storm['there']} of {storm['partners']} back, half of them within {storm['p50']:.1f} s, "
          f"all within {storm['seconds']:.1f} s; {storm['failed']} attempts failed; {storm['cpu_s']:.1f} s of CPU")
    print(f"  the others in the storm: {lap(storm['others'])}; memory after it {m['after_storm_kib'] / 1024:.0f} MiB")
    words = [f"{p[k]} {k}" for k in ("refused", "lost", "missing") if p[k]]
    print(f"  {', '.join(words) or 'nothing was refused, nothing was lost, nobody is missing'}\n")


def partners_at_once(up):
    return f"{up['there']} of {up['partners']}"


def lap(x):
    return f"p50 {milliseconds(x['p50'])} ms, p99 {milliseconds(x['p99'])} ms, at most {milliseconds(x['max'])} ms"


def verdict(results):
    for a in results["aims"]:
        limit = f"at least {a['at_least']:g}" if "at_least" in a else f"at most {a['at_most']:g}"
        print(f"Aim: {a['words']}, {limit} {a['unit']}: {'met' if a['met'] else 'missed'} ({a['is']:g} {a['unit']})")
