# SPDX-License-Identifier: Apache-2.0
"""What one worker holds: memory of a subscription in each direction, by decades, and of a conversation, and what a refresh, a change of presence and the
first text of a conversation cost. Part of bench.py."""
import time

from common import Generator, cpu, memory, peers
from partners import add_partners, zone

DOMAIN = "h0000.hold.test"
SAMPLE = 20_000     # users of a refresh and a change


class Holding:
    """One daemon and the generator; each step is timed and weighed."""

    def __init__(self, bench, dialect, subscriptions, progress):
        self.dialect, self.progress = dialect, progress
        self.server = peers.name_server(bench.run)
        zone(bench.run, {"xmpp.hold": ("127.0.0.24", [DOMAIN])})
        bench.start(self.server)
        self.daemon = bench.entented(f"{bench.run}/hold-{dialect}", "tls", dialect=dialect, extra=f"limits:\n  max-subscriptions: {2 * subscriptions}\n"
                                     "  partner-rate: 100000\n  sender-rate: 100000\n")
        self.bench, self.pid = bench, self.daemon.popen.pid
        add_partners([DOMAIN])
        self.g = Generator([bench.generator("hold"), "--certs", bench.certs, "--own", "/run/bench-hold"], f"{bench.run}/hold.log")
        self.g.hear("ready", 60)

    def step(self, word, n, start=0, settle=1.0):
        """The users start .. n-1 do it; the figures are of one."""
        self.progress(f"holding, {self.dialect}: {word} {n}")
        before, rss = cpu(self.pid)[0], memory([self.pid], "VmRSS")
        done = self.g.ask(f"{word} {n} {start}", word, 900)
        spent = cpu(self.pid)[0] - before
        time.sleep(settle)
        rss_now = memory([self.pid], "VmRSS")
        return {**done, "cpu_us": round(spent / done["n"] * 1e6, 1), "rss_kib": rss_now, "bytes": round((rss_now - rss) * 1024 / done["n"])}

    def close(self):
        self.g.stop()
        self.bench.stop(self.daemon, self.server)


def subscriptions_by_decades(h, most, out):
    """Half in each direction; each decade on top of those before."""
    have, size = 0, most
    sizes = []
    while size >= 1000:
        sizes.insert(0, size)
        size //= 10
    for size in sizes:
        n, sample = size // 2, min(size // 2, SAMPLE)
        row = {"subscriptions": size, "watch": h.step("watch", n, have), "watched": h.step("watched", n, have),
               "refresh": h.step("refresh", sample), "change": h.step("change", sample)}
        row["rss_kib"] = memory([h.pid], "VmRSS")
        out["decades"].append(row)
        have = n
    for name in ("watch", "watched", "refresh", "change"):
        out["steps"][f"{name} simple"] = out["decades"][-1][name]


def conversations_of(h, n, out):
    """What another n take, when n are there: the first ones leave free room behind, of INVITEs, which are kept for 32 s (RFC 6026)."""
    settle = 35.0 if h.dialect == "lync" else 1.0
    h.step("say", n, settle=settle)
    out["steps"][f"say {h.dialect}"] = h.step("say", 2 * n, n, settle=settle)
    out["steps"][f"more {h.dialect}"] = h.step("say", n)


def measure(bench, subscriptions, conversations, progress):
    """Subscriptions in both directions; conversations in page mode, and as sessions with a home of the Lync dialect."""
    out = {"subscriptions": subscriptions, "conversations": conversations, "decades": [], "steps": {}}
    for dialect in ("simple", "lync"):
        h = Holding(bench, dialect, subscriptions, progress)
        try:
            conversations_of(h, conversations, out)
            if dialect == "simple":
                subscriptions_by_decades(h, subscriptions, out)
            h.close()
        except BaseException:
            h.g.kill()
            raise
    every = list(out["steps"].values()) + [row[k] for row in out["decades"] for k in ("watch", "watched", "refresh", "change")]
    out["ok"] = all(s["done"] == s["n"] for s in every)
    progress("")
    return out
