# SPDX-License-Identifier: Apache-2.0
"""What one worker holds: memory of a subscription in each direction and of a conversation, and what a refresh, a change of presence and the
first text of a conversation cost. Part of bench.py."""
import time

from common import Generator, cpu, memory, peers
from partners import add_partners, zone

DOMAIN = "h0000.hold.test"


def measure(bench, subscriptions, conversations, progress):
    """Half of the subscriptions in each direction; conversations in page mode, and as sessions with a home of the Lync dialect."""
    out = {"subscriptions": subscriptions, "conversations": conversations, "steps": {}}
    for dialect in ("simple", "lync"):
        folder = f"{bench.run}/hold-{dialect}"
        server = peers.name_server(bench.run)
        zone(bench.run, {"xmpp.hold": ("127.0.0.24", [DOMAIN])})
        bench.start(server)
        daemon = bench.entented(folder, "tls", dialect=dialect,
                                extra=f"limits:\n  max-subscriptions: {2 * subscriptions}\n  partner-rate: 100000\n  sender-rate: 100000\n")
        pid = daemon.popen.pid
        add_partners([DOMAIN])
        g = Generator([bench.generator("hold"), "--certs", bench.certs, "--own", "/run/bench-hold"], f"{bench.run}/hold.log")
        try:
            g.hear("ready", 60)
            steps = [("watch", subscriptions // 2), ("refresh", subscriptions // 2), ("change", subscriptions // 2),
                     ("watched", subscriptions // 2)] if dialect == "simple" else []
            for word, n, name in [("say", 1, None), *((w, k, w) for w, k in steps), ("say", conversations, "say"), ("say", conversations, "more")]:
                progress(f"holding, {dialect}: {word} {n}")
                before, rss = cpu(pid), memory([pid], "VmRSS")
                done = g.ask(f"{word} {n}", word, 600)
                spent = cpu(pid)[0] - before[0]
                time.sleep(35.0 if dialect == "lync" and name == "say" else 1.0)     # an INVITE is kept for 32 s (RFC 6026)
                done.update(cpu_us=round(spent / n * 1e6, 1), rss_kib=memory([pid], "VmRSS") - rss, bytes=round((memory([pid], "VmRSS") - rss) * 1024 / n))
                if name:
                    out["steps"][f"{name} {dialect}"] = done
            g.stop()
            bench.stop(daemon, server)
        except BaseException:
            g.kill()
            raise
    out["ok"] = all(s["done"] == s["n"] for s in out["steps"].values())
    progress("")
    return out
