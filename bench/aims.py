# SPDX-License-Identifier: Apache-2.0
"""What the project wants, and what a run says of it."""
import statistics

CPU_US, IDLE_MIB, RELAY_US = 30, 40, 8
MESSAGE_RATIO = 1 / 3                           # of Kamailio's proxied MESSAGE over TLS
RELAY_RATIO = {"prosody": 1 / 5, "ejabberd": 1 / 3}
SIP_RATIO = {"kamailio": 1 / 3, "haproxy": 2}
LINK_KIB, LINK_WISH_KIB, SIP_LINK_KIB, HANDSHAKE = 64, 20, 32, 1.25
STORM_P99_MS, P99_MS = 250, 20
SPEEDUP, DURABLE_COST = 1.7, 0.2
SUBSCRIPTION, CONVERSATION = 1024, 4096
FLAT_DECIDE, FLAT_MESSAGE = 2.0, 1.15           # of 100,000 over 10: what is not flat grows by a factor of thousands
LOADS = {"flat": "flat out", "rate": "at a fixed rate"}


def all_of(results):
    """One object for each aim that this run has a figure for."""
    for name, words, unit, limit, values in [*messages(results), *relay(results), *sip(results), *strain(results), *grow(results), *held(results)]:
        if values:
            least = limit < 0
            worst = min(values) if least else max(values)
            yield {"name": name, "words": words, "unit": unit, "at_least" if least else "at_most": round(abs(limit), 3),
                   "is": round(worst, 3 if unit in ("times", "share") else 1), "met": worst >= -limit if least else worst <= limit}


def messages(results):
    rows = [r for r in results.get("rows", []) if r["server"] == "entented" and r["transport"] == "tls" and r["load"] == "flat" and r["cpu_per_message_us"]]
    yield "cpu_per_message", "CPU of a translated message, TLS on both sides, flat out", "µs", CPU_US, [r["cpu_per_message_us"]["median"] for r in rows]
    for load, words in LOADS.items():
        yield (f"message_kamailio_{load}", f"... over Kamailio's, which proxies the same MESSAGE over TLS, {words}", "times", MESSAGE_RATIO,
               [r["cpu"]["median"] for r in results["ratios"] if r["id"] in (f"sip-to-xmpp.tls.{load}", f"xmpp-to-sip.tls.{load}")])
    yield "idle_memory", "idle memory", "MiB", IDLE_MIB, [x["idle_kib"] / 1024 for x in results["memory"] if x["server"] == "entented"]


def relay(results):
    relays = [r["cpu_per_stanza_us"]["median"] for r in results.get("relay", []) if r["server"] == "entented" and r["cpu_per_stanza_us"]]
    yield "relay_cpu", "CPU of a relayed stanza, in and out", "µs", RELAY_US, relays
    for server, most in RELAY_RATIO.items():
        yield (f"relay_{server}", f"... over {server}'s", "times", most, [r["cpu"]["median"] for r in results["ratios"] if r["against"] == f"relay.{server}"])


def sip(results):
    for kind, words in (("message", "a MESSAGE"), ("call", "a call")):
        for server, most in SIP_RATIO.items():
            for load in ("flat", "rate"):
                found = [r["least"] for r in results["ratios"] if r["id"].startswith(f"sip.{kind}.tls.") and r["id"].endswith(f".{load}.entented")
                         and r["against"].endswith(f".{load}.{server}")]
                yield f"sip_{kind}_{server}_{load}", f"CPU of {words} through the Access Edge, TLS, over {server}'s, {LOADS[load]}", "times", most, found
    quiet = {r["server"]: r for r in results.get("sip_quiet", [])}
    if quiet:
        pairs = [a["cpu_us"] / b["cpu_us"] for a, b in zip(quiet["entented"]["runs"], quiet["openssl"]["runs"])]
        yield "sip_connection_memory", "memory of an idle SIP connection", "KiB", SIP_LINK_KIB, [quiet["entented"]["per_connection_kib"]]
        yield "sip_handshake", "CPU of a full mutual handshake over bare OpenSSL's", "times", HANDSHAKE, [statistics.median(pairs)]
    p = results.get("partners")
    if p:
        yield "link_memory_promise", "memory of an idle stream, promised", "KiB", LINK_KIB, [p["memory"]["per_link_kib"]]
        yield "link_memory", "memory of an idle stream, wished", "KiB", LINK_WISH_KIB, [p["memory"]["per_link_kib"]]
        yield "storm_p99", "p99 of the others in the storm", "ms", STORM_P99_MS, [p["storm"]["others"]["p99"] / 1000]


def strain(results):
    yield ("latency_p99", "p99 of all latency at 70 % of the rate flat out", "ms", P99_MS,
           [r["steady"]["latency_us"]["p99"] / 1000 for r in results.get("latency", []) if r["steady"]])
    w = results.get("workers_speedup")
    if w:
        yield "two_workers", "two workers over one, by processor time and balance", "times", -SPEEDUP, [w["by_cpu"]]
    d = results.get("durable")
    if d and d["journal"]:
        yield "durable", "what durable acceptance takes of the throughput, as measured", "share", DURABLE_COST, [1 - r["rate"] for r in results["durable_ratios"] if r["rate"]]
        yield "durable_cpu", "... of that of a core that is full, by processor time", "share", DURABLE_COST, [1 - 1 / r["cpu"] for r in results["durable_ratios"] if r["cpu"]]


def grow(results):
    for kind, rows in results.get("grow", {}).get("room", {}).items():
        if kind == "partners":
            yield "decision_flat", f"a decision with {rows[-1]['n']:,} partners over one with {rows[0]['n']}", "times", FLAT_DECIDE, [rows[-1]["decide_ns"] / rows[0]["decide_ns"]]
    rows = results.get("grow", {}).get("daemon", {}).get("partners")
    if rows:
        ways = ("sip-to-xmpp", "xmpp-to-sip")
        yield ("message_flat", f"CPU of a message with {rows[-1]['n']:,} partners over one with {rows[0]['n']}", "times", FLAT_MESSAGE,
               [rows[-1][w]["cpu_us"] / rows[0][w]["cpu_us"] for w in ways if rows[0][w] and rows[-1][w]])


def held(results):
    steps = results.get("hold", {}).get("steps", {})
    for way, words, most in (("watch simple", "memory of a SIP user's subscription", SUBSCRIPTION), ("watched simple", "memory of an XMPP user's subscription", SUBSCRIPTION),
                             ("say simple", "memory of a conversation in page mode", CONVERSATION), ("say lync", "memory of a conversation with a session", CONVERSATION)):
        if way in steps:
            yield way.replace(" ", "_"), words, "octets", most, [steps[way]["bytes"]]
