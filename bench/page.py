# SPDX-License-Identifier: Apache-2.0
"""The results as a part of docs/bench.md: the aims and what came of them, tables, plots (docs/bench/*.svg). Written by bench/run --write."""
import json
import os
import statistics

import plot
from common import BUILD, HERE

DOCS = os.path.join(HERE, "..", "docs")
BEGIN, END = "<!-- written by bench/run --write: begin -->", "<!-- written by bench/run --write: end -->"
SERVERS = {"prosody": "Prosody", "kamailio": "Kamailio", "haproxy": "haproxy"}


def table(head, rows):
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(text + ["| " + " | ".join(str(c) for c in r) + " |" for r in rows]) + "\n"


def ms(us):
    return f"{us / 1000:.1f}" if us >= 1000 else f"{us / 1000:.2f}"


def where(results):
    m, v = results["machine"], results["versions"]
    return f"{results['date'][:10]}, entented {v['commit']}, {m['cores']} cores of {m['cpu']}, load average before {m['load_before']:.1f}"


# --- plots ----------------------------------------------------------------------------------------------------------

def plots(results, folder):
    """Writes what there is; [(file, words)]."""
    os.makedirs(folder, exist_ok=True)
    note, found = where(results), []

    def keep(name, words, made):
        if made:
            found.append((name, words))

    short = {"message_kamailio_flat": "translated message / Kamailio's MESSAGE, flat out", "message_kamailio_rate": "translated message / Kamailio's MESSAGE, paced", "relay_prosody": "relayed stanza / Prosody", "relay_ejabberd": "relayed stanza / ejabberd",
             "sip_handshake": "TLS handshake / OpenSSL"}
    for kind, words in (("message", "SIP MESSAGE"), ("call", "SIP call")):
        for server in ("kamailio", "haproxy"):
            for load, pace in (("flat", "flat out"), ("rate", "paced")):
                short[f"sip_{kind}_{server}_{load}"] = f"{words} / {SERVERS[server]}, {pace}"
    keep("ratios.svg", "processor time against other servers", plot.bars(
        f"{folder}/ratios.svg", "CPU of entented over that of others: same work, same run", "times (1: the same)",
        [(short[a["name"]], a["is"], a["at_most"]) for a in results["aims"] if a["name"] in short], note))
    latency = []
    for row in results.get("latency", []):
        for key, words in (("low", "500/s"), ("steady", f"70 %: {row['rate']:,}/s")):
            if row[key]:
                latency.append((f"{row['id'].split('.')[1]}, {words}", [(q, us / 1000) for q, us in row[key]["latency_us"]["curve"]]))
    keep("latency.svg", "how long messages take", plot.lines(f"{folder}/latency.svg", "Time from the moment a message was due to its arrival", "share of the messages that took no longer",
                                                             "ms", latency, note, x="percentile", y="log", aims=[(20, "aim: p99 below 20 ms")]))
    g = results.get("grow", {"room": {}, "daemon": {}})
    keep("decision.svg", "a decision", plot.lines(f"{folder}/decision.svg", "A decision of the policy, by the size of the policy", "number of partners, domains or users", "ns of CPU",
                                                 [(kind, [(r["n"], r["decide_ns"]) for r in rows]) for kind, rows in g["room"].items()], note))
    messages = [(f"{kind}, {way}", [(r["n"], r[way]["cpu_us"]) for r in rows if r[way]]) for kind, rows in g["daemon"].items() for way in ("sip-to-xmpp", "xmpp-to-sip")
                if kind in ("partners", "contacts", "users")]
    keep("messages.svg", "a message", plot.lines(f"{folder}/messages.svg", "A translated message, by what the daemon holds besides", "number of partners, contacts or users",
                                                "µs of CPU", messages, note))
    partners = g["daemon"].get("partners", [])
    keep("change.svg", "start and change", plot.lines(f"{folder}/change.svg", "Start, reload and one change, by the number of partners", "partners", "s of CPU", [
        (words, [(r["n"], r[key]["cpu_s"]) for r in partners]) for key, words in (("start", "start"), ("reload", "reload"), ("change", "one partner added"))], note, y="log"))
    decades = results.get("hold", {}).get("decades", [])
    keep("subscriptions.svg", "a subscription", plot.lines(f"{folder}/subscriptions.svg", "Memory of a subscription, by how many there are", "subscriptions held by one worker", "octets each", [
        (words, [(r["subscriptions"], r[key]["bytes"]) for r in decades]) for key, words in (("watch", "SIP user watches XMPP user"), ("watched", "XMPP user watches SIP user"))],
        note, aims=[(1024, "aim: 1 KiB")]))
    return found


# --- tables ---------------------------------------------------------------------------------------------------------

def aims(results):
    rows = []
    for a in results["aims"]:
        limit = f"at least {a['at_least']:g}" if "at_least" in a else f"at most {a['at_most']:g}"
        rows.append([a["words"], f"{limit} {a['unit']}", f"**{a['is']:g}**", "met" if a["met"] else "**missed**"])
    return table(["", "aim", "measured", ""], rows)


def messages(results):
    by_id = {r["id"]: r for r in results["ratios"]}
    rows = []
    for r in results["rows"]:
        cpu, t = r["cpu_per_message_us"], r["latency_us"] or {"p50": 0, "p95": 0, "p99": 0}
        if cpu:
            ratio = by_id.get(r["id"])
            rows.append([r["direction"].replace("-", " ").upper().replace("TO", "to") if r["server"] == "entented" else "Kamailio, SIP to SIP", f"{r['transport'].upper()}, {'flat out' if r['load'] == 'flat' else 'paced'}",
                         f"{cpu['median']:.1f} ({cpu['min']:.1f}-{cpu['max']:.1f})", f"{ratio['cpu']['median']:.2f}" if ratio else "", f"{r['rate']['median']:.0f}",
                         f"{r['busy']['median'] * 100:.0f} %", f"{ms(t['p50'])} / {ms(t['p95'])} / {ms(t['p99'])}"])
    return rows and table(["messages", "SIP by", "CPU µs, median (min-max)", "over Kamailio", "a second", "of its core", "p50 / p95 / p99 ms"], rows)


def relay(results):
    by = {r["against"]: r for r in results["ratios"] if r["id"] == "relay.entented"}
    rows = []
    for r in results["relay"]:
        cpu = r["cpu_per_stanza_us"]
        if cpu:
            ratio = by.get(r["id"])
            rows.append([SERVERS.get(r["server"], r["server"]), f"{cpu['median']:.1f} ({cpu['min']:.1f}-{cpu['max']:.1f})", f"{ratio['cpu']['median']:.3f}" if ratio else "", f"{r['rate']['median']:.0f}",
                         f"{r['busy']['median'] * 100:.0f} %", f"{ms(r['latency_us']['p50'])} / {ms(r['latency_us']['p99'])}", f"{r['idle_kib'] / 1024:.0f}"])
    return rows and table(["a stanza in, its answer out", "CPU µs, median (min-max)", "entented uses", "a second", "of its core", "p50 / p99 ms", "MiB idle"], rows)


def sip(results):
    ratio = {(r["id"], r["against"]): r["least"] for r in results["ratios"] if "least" in r}
    rows, groups = [], {}
    for r in results["sip"]:
        groups.setdefault((r["kind"], r["transport"], r["load"]), []).append(r)
    for (kind, transport, load), found in groups.items():
        cells = []
        for server, way in (("entented", "out"), ("entented", "in"), ("kamailio", "out"), ("haproxy", "out")):
            r = next((x for x in found if x["server"] == server and x["way"] == way and x["cpu_per_transaction_us"]), None)
            over = r and ratio.get((f"sip.{kind}.{transport}.{load}.entented", r["id"]))
            cells.append((f"{r['cpu_per_transaction_us']['min']:.1f}" + (f" ({over:.2f})" if over else "")) if r else "")
        rows.append([f"{'MESSAGE' if kind == 'message' else 'call'}, {transport.upper()} to TLS, {'flat out' if load == 'flat' else 'paced'}", *cells])
    return rows and table(["SIP between organisations; least CPU µs of a transaction", "entented, to the partner", "from the partner", "Kamailio (entented uses)", "haproxy (entented uses)"], rows)


def idle(results):
    rows = [[{"openssl": "OpenSSL, bare"}.get(r["server"], r["server"]), r["connections"], f"{r['per_connection_kib']:.1f}", f"{r['cpu_us']['min']:.0f}", f"{1e6 / r['cpu_us']['min']:.0f}"]
            for r in results.get("sip_quiet", [])]
    return rows and table(["mutual TLS", "idle connections", "KiB each", "CPU µs of a full handshake, least", "a second on one core"], rows)


def crowd(results):
    p = results.get("partners")
    if not p:
        return ""
    up, storm, m = p["up"], p["storm"], p["memory"]
    return table([f"{p['partners']:,} partners, {p['links']:,} streams", ""], [
        ["brought up, 50 at a time", f"{up['there']} in {up['seconds']:.1f} s, {up['cpu_s'] * 1000 / max(up['streams_in'] + up['streams_out'], 1):.2f} ms of CPU a stream"],
        ["memory at rest", f"{m['per_link_kib']} KiB a stream"],
        ["the storm: all cut, all back at once", f"{storm['there']} back, half within {storm['p50']:.1f} s, all within {storm['seconds']:.1f} s; {storm['failed']} attempts failed"],
        ["messages of others", f"at rest p50 {ms(p['calm']['others']['p50'])}, p99 {ms(p['calm']['others']['p99'])} ms; in the storm p50 {ms(storm['others']['p50'])}, p99 {ms(storm['others']['p99'])} ms"]])


def strain(results):
    out = []
    rows = [[r["id"].split(".")[1], f"{r['flat']['rate']:.0f}", f"{r['rate']}", *(" / ".join(ms(r[k]["latency_us"][q]) for q in ("p50", "p95", "p99")) for k in ("steady", "low")),
             f"{r['steady']['busy'] * 100:.0f} %, {r['steady']['generator_busy'] * 100:.0f} %"] for r in results.get("latency", []) if r["ok"]]
    if rows:
        out.append(table(["latency under load", "flat out, a second", "70 %", "p50 / p95 / p99 ms there", "at 500 a second", "busy: server, generator"], rows))
    rows = [[r["workers"], f"{statistics.median(x['cpu_us'] for x in r['runs']):.1f}", f"{statistics.median(x['rate'] for x in r['runs']):.0f}",
             f"{statistics.median(x['busy'] for x in r['runs']):.2f}, {statistics.median(x['generator_busy'] for x in r['runs']):.2f}",
             f"{statistics.median(x['most_share'] for x in r['runs']) * 100:.0f} %"] for r in results.get("workers", [])]
    if rows:
        w = results.get("workers_speedup")
        out.append(table(["workers, messages both ways", "CPU µs each", "a second", "cores: server, generator", "of the busiest worker"], rows)
                   + (f"\nTwo over one: **{w['by_cpu']:.2f}** by processor time and balance; {w['measured']:.2f} measured on this machine's cores, which the generator needs, too.\n" if w else ""))
    d = results.get("durable")
    if d:
        rows = []
        ratios = {x["id"]: x for x in results["durable_ratios"]}
        for r in d["rows"]:
            if r["id"] not in ratios:
                continue
            x, both = ratios[r["id"]], [[a for a in r[k] if a] for k in ("acks", "none")]
            rows.append([r["id"].split(".")[1], *(f"{statistics.median(a['rate'] for a in b):.0f}, {statistics.median(a['cpu_per_message_us'] for a in b):.1f} µs" for b in both),
                         *(f"{statistics.median(a.get('written', 0) for a in b) * 100:.0f} %" for b in both), x["rate"], x["cpu"]])
        out.append(table(["durable acceptance", "partner with XEP-0198: a second, CPU", "without", "written to the disk, with", "without", "of the throughput", "of the CPU"], rows)
                   + ("" if d["journal"] else "\nThere was no journal in this build: the rows show the cost of acknowledgements alone.\n"))
    return "\n".join(out)


def grow(results):
    g, out = results.get("grow"), []
    if not g:
        return ""
    sizes = sorted({r["n"] for rows in g["room"].values() for r in rows})
    rows = []
    for kind, found in g["room"].items():
        by = {r["n"]: r for r in found}
        rows.append([kind, *(f"{by[n]['decide_ns']:.0f}" if n in by else "" for n in sizes), f"{found[-1]['bytes_each']:.0f}", f"{found[-1]['build_s']:.2f}"])
    if rows:
        out.append(table(["ns of a decision with ...", *(f"{n:,}" for n in sizes), "octets each", "s to build the largest"], rows))
    rows = []
    for kind, found in g["daemon"].items():
        for r in found:
            rows.append([f"{r['n']:,} {kind}", f"{r['rss_kib'] / 1024:.0f}", *(f"{r[k]['wall_s']:.2f}, {r[k]['cpu_s']:.2f}" for k in ("start", "change", "reload")),
                         *(f"{r[w]['cpu_us']:.1f}" if r[w] else "failed" for w in ("sip-to-xmpp", "xmpp-to-sip"))])
    if rows:
        out.append(table(["the daemon with", "MiB", "start: s, CPU", "one change", "reload", "CPU µs of a message to XMPP", "to SIP"], rows))
    return "\n".join(out)


def hold(results):
    h = results.get("hold")
    if not h:
        return ""
    each = ("watch", "watched", "refresh", "change")
    rows = [[f"{r['subscriptions']:,}", r["watch"]["bytes"], r["watched"]["bytes"], *(f"{r[k]['cpu_us']:.0f}" for k in each), f"{r['rss_kib'] / 1024:.0f}"] for r in h["decades"]]
    out = table(["subscriptions", "octets: SIP user watches", "XMPP user watches", "CPU µs: SIP user begins", "XMPP user begins", "a refresh", "a change", "MiB in all"], rows) if rows else ""
    says = [(k, words) for k, words in (("say simple", "first text of a conversation, page mode"), ("more simple", "one more"), ("say lync", "first text, session of Lync's dialect"), ("more lync", "one more"))
            if k in h["steps"]]
    rows = [[words, f"{h['steps'][k]['n'] / h['steps'][k]['seconds']:.0f}", h["steps"][k]["cpu_us"], h["steps"][k]["bytes"] if k.startswith("say") else ""] for k, words in says]
    return out + "\n" + table([f"{h['conversations']:,} conversations", "a second", "CPU µs", "octets each"], rows)


def profiles():
    out = []
    for tool, words in (("callgrind", "Instructions of each, by callgrind (user space only), and the functions that take most"), ("perf", "Samples of processor time, by perf (with the kernel), flat out")):
        path = f"{BUILD}/bench/profile-{tool}.json"
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
        rows = [[t["words"], f"{t['each']:.0f}" if t["messages"] else "", ", ".join(f"{r['name']} {r['share'] * 100:.0f} %" for r in t["rooms"][:9] if r["share"] >= 0.01),
                 ", ".join(f"{f['room']}/{f['name']} {f['share'] * 100:.1f}" for f in t["functions"][:8] if not f["name"].startswith("0x"))] for t in found]
        out.append(f"{words}:\n\n" + table(["", "each", "room", "function, %"], rows))
    return "\n".join(out)


# --- the page -------------------------------------------------------------------------------------------------------

def text(results, pictures):
    m, v = results["machine"], results["versions"]
    peers = ", ".join(f"{name} {v[key]}" for key, name in (("kamailio", "Kamailio"), ("haproxy", "haproxy"), ("prosody", "Prosody"), ("ejabberd", "ejabberd"), ("jabberd2", "jabberd2")) if v.get(key))
    quick = "**A short run for a first look (`--quick`): small sizes, one repeat.** " if results["quick"] else ""
    out = [f"{quick}{results['date']}, entented {v['entented']} ({v['commit']}, {v['build']}); {peers}, {v['openssl']}, {v['system']}; {m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, "
           f"load average before {m['load_before']:.1f}; {results['settings']['repeats']} x {results['settings']['measure_ms'] / 1000:g} s"
           + (f"; {results['seconds'] / 60:.0f} minutes in all" if results.get("seconds") else "") + ". Written by the run itself (`bench/run --write`).\n"]
    if results.get("parts"):
        out.append("Measured at other times: " + ", ".join(f"{k} ({v})" for k, v in results["parts"].items()) + ".\n")
    out += ["### The aims\n", aims(results)]
    out += [f"![{words}](bench/{name})\n" for name, words in pictures]
    for title, words in (("Messages", messages(results)), ("Relayed stanzas", relay(results)), ("SIP between organisations", "\n".join(x for x in (sip(results), idle(results)) if x)),
                         ("Thousands of partners", crowd(results)), ("Latency, workers, durable acceptance", strain(results)), ("By decades", grow(results)), ("Subscriptions and conversations", hold(results)),
                         ("Where the time goes", profiles())):
        if words:
            out += [f"### {title}\n", words]
    return "\n".join(out)


def write(results):
    """The section of docs/bench.md, and the plots. The path that was written."""
    path = os.path.normpath(f"{DOCS}/bench.md")
    pictures = plots(results, os.path.normpath(f"{DOCS}/bench"))
    with open(path, encoding="utf-8") as f:
        page = f.read()
    before, found, rest = page.partition(BEGIN)
    if not found or END not in rest:
        raise ValueError(f"{path} has lost the lines between which results are written")
    after = rest.partition(END)[2]
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n{text(results, pictures)}\n{END}{after}")
    return path
