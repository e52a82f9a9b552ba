# SPDX-License-Identifier: Apache-2.0
"""Edge and gateway as two processes: either goes and comes back, and nobody loses anything. What `--layout split` runs besides are all
the other scenarios."""
import concurrent.futures
import json
import subprocess

from restarts import friends, no_flap, still_friends
from scenario import PARTNER, check, check_status, gets_through, reason_of, scenario, wait_until
from daemon import binary   # noqa: E402
from process import Process     # noqa: E402

IMPATIENT = "timers:\n  notify-interval: 200ms\n  queue: 3s\n"


def split(name, **options):
    return scenario(name, layout="split", peers=["prosody"], **options)


def again(lab, part, how):
    getattr(part, how)()
    part.start()
    lab.entented.linked()


@split("the {part} goes by {how} and comes back", each={"part": ["edge", "gateway"], "how": ["stop", "kill"]})
def comes_back(lab, part, how):
    romeo, juliet, subscription = friends(lab)
    again(lab, getattr(lab.entented, part), how)
    still_friends(romeo, juliet, subscription)
    no_flap(juliet, romeo)


@split("what changed while the {part} was away is seen when it is back", each={"part": ["edge", "gateway"]})
def changed_meanwhile(lab, part):
    romeo, juliet, subscription = friends(lab)
    half = getattr(lab.entented, part)
    half.kill()
    romeo.publish(activity="away", note="changed meanwhile")
    juliet.show("dnd", "changed meanwhile")
    half.start()
    lab.entented.linked()
    juliet.expect_presence(romeo.name, show="away", note="changed meanwhile", timeout=30)
    romeo.expect_presence(juliet.name, show="dnd", note="changed meanwhile", timeout=30)
    no_flap(juliet, romeo)


@split("a message to a partner waits while the edge is away")
def waits_for_edge(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "before")
    juliet.expect_message(romeo.name, "before")
    lab.entented.edge.stop()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(romeo.message, juliet.name, "patience")
        wait_until(lambda: lab.entented.gateway.metric("entente_link_waiting"), 10, "the gateway does not hold it")
        lab.entented.edge.start()
        check_status(answer.result(), 200)
    juliet.expect_message(romeo.name, "patience", timeout=20)


@split("a message to a partner is refused when the edge stays away", settings=IMPATIENT)
def refused_without_edge(lab):
    romeo, juliet = lab.couple()
    romeo.say(juliet.name, "before")
    juliet.expect_message(romeo.name, "before")
    lab.entented.edge.kill()
    try:
        answer = romeo.message(juliet.name, "nobody there", timeout=20)
        check_status(answer, 504)
        check(reason_of(answer) == "link/down", f"the reason is {reason_of(answer)}")
        status = lab.entented.gateway.cli("status")
        check(status.returncode == 1 and "links to edges are down" in status.stdout, f"status: {status.stdout}")
    finally:
        lab.entented.edge.start()
        lab.entented.linked()
    juliet.expect_no_message(romeo.name)


@split("a partner's message waits while the gateway is away")
def waits_for_gateway(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "before")
    romeo.expect_message(juliet.name, "before")
    lab.entented.gateway.kill()
    for i in range(5):
        juliet.message(romeo.name, f"patience {i}")
    wait_until(lambda: lab.entented.edge.metric("entente_link_waiting") >= 5, 15, "the edge does not hold them")
    lab.entented.gateway.start()
    lab.entented.linked()
    for i in range(5):
        romeo.expect_message(juliet.name, f"patience {i}", timeout=20)


@split("a partner's message is answered when the gateway stays away", settings=IMPATIENT)
def refused_without_gateway(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "before")
    romeo.expect_message(juliet.name, "before")
    lab.entented.gateway.kill()
    try:
        number = juliet.message(romeo.name, "nobody there")
        error = juliet.expect_error(romeo.name, id=number, timeout=20)
        check(error.error_type == "wait", f"the type is {error.error_type}")
        check(error.condition == "resource-constraint", f"the condition is {error.condition}")
        status = lab.entented.edge.cli("status")
        check(status.returncode == 1 and "the gateway is not connected" in status.stdout, f"status: {status.stdout}")
    finally:
        lab.entented.gateway.start()
        lab.entented.linked()


@split("an edge without its gateway serves nobody before the first policy")
def nobody_before_policy(lab):
    lab.entented.gateway.stop()
    lab.entented.edge.stop()
    lab.entented.edge.start()
    check(not lab.entented.edge.events("net/listening", service="xmpp"), "it listens for partners without a policy")
    lab.entented.gateway.start()
    lab.entented.linked()
    check(lab.entented.edge.events("net/listening", service="xmpp"), "it does not listen")


@split("commands say where they belong, links are shown on both sides")
def commands(lab):
    edge, gateway = lab.entented.edge, lab.entented.gateway
    asked = edge.cli("partner", "xmpp", "list")
    check(asked.returncode == 69 and "ask the gateway" in asked.stderr, f"{asked.returncode}: {asked.stderr}")
    asked = gateway.cli("show", "streams")
    check(asked.returncode == 69 and "ask the edge" in asked.stderr, f"{asked.returncode}: {asked.stderr}")
    for part in (edge, gateway):
        rows = json.loads(part.cli("show", "links", "--json").stdout)["links"]
        check(len(rows) == lab.entented.workers and all(r["state"] == "up" for r in rows), f"{part.name}: {rows}")
        check(part.events("link/up"), "it is not in the log")
    listed = json.loads(edge.cli("status", "--json").stdout)
    check(listed["role"] == "edge" and listed["local_domains"] == ["contoso.test"] and listed["partners"] == 1, f"the edge knows {listed}")


@split("a partner that is removed at the gateway is one no more at the edge")
def removed(lab):
    romeo, juliet = lab.couple()
    juliet.message(romeo.name, "before")
    romeo.expect_message(juliet.name, "before")
    lab.partner(None)
    wait_until(lambda: not json.loads(lab.entented.edge.cli("show", "streams", "--json").stdout)["streams"], 15, "the streams stay")
    lab.partner("federated")


@split("a partner is tested from the edge")
def tested(lab):
    said = lab.entented.edge.cli("partner", "test", PARTNER, timeout=40)
    check(said.returncode == 0, f"{said.returncode}: {said.stdout}{said.stderr}")
    asked = lab.entented.gateway.cli("partner", "test", PARTNER)
    check(asked.returncode == 69 and "ask the edge" in asked.stderr, f"{asked.returncode}: {asked.stderr}")


@split("what passes is traced on both halves")
def traced(lab):
    romeo, juliet = lab.couple()
    for part in lab.entented.parts:
        show = subprocess.Popen([binary("entente"), "--socket", part.socket, "trace", "--json"], stdout=subprocess.PIPE, text=True)
        try:
            wait_until(lambda p=part: p.events("admin/trace"), 10, f"{part.name} traces")
            romeo.say(juliet.name, f"seen by {part.name}")
            juliet.expect_message(romeo.name, f"seen by {part.name}")
            line = show.stdout.readline()
            check(line.startswith("{"), f"{part.name} shows {line!r}")
        finally:
            show.kill()
            show.wait()


@split("a stanza that the edge can read and the gateway cannot: its sender is told, the next one passes")
def too_large_for_gateway(lab):
    edge = lab.entented.edge
    with open(edge.config, encoding="utf-8") as f:
        before = f.read()
    much = "<b " + " ".join(f"{c}=''" for c in "abcdefghijklmnopqrstuvwxyz") + "/>"     # short, and large in memory
    try:
        with open(edge.config, "w", encoding="utf-8") as f:
            f.write(before + "limits:\n  max-stanza: 16MiB\n  queue-size: 32MiB\n")
        again(lab, edge, "stop")
        romeo, juliet = lab.couple()
        gets_through(juliet, romeo, "before")
        number = juliet.message(romeo.name, "with much beside it", extra=f"<a xmlns='urn:example:large'>{much * 1300}</a>")
        error = juliet.expect_error(romeo.name, id=number, timeout=20)
        check("limit/size" in error.text, f"not for its size: {error.raw[:600]}")
        check(lab.entented.gateway.events("link/stanza-unreadable"), "the gateway did not say what it could not read")
        gets_through(juliet, romeo, "after")
        romeo.expect_no_message(juliet.name, 0)
    finally:
        with open(edge.config, "w", encoding="utf-8") as f:
            f.write(before)
        again(lab, edge, "stop")


@split("two edges: one serves the partner, the other when that is gone")
def two_edges(lab):
    first, gateway = lab.entented.edge, lab.entented.gateway
    second = Process("entented-edge2", [*first.argv[:-1], f"{lab.run}/edge2.yaml"], f"{lab.run}/edge2.log", first.ready, env=first.env)
    with open(first.config, encoding="utf-8") as f, open(second.argv[-1], "w", encoding="utf-8") as to:
        to.write(f.read().replace("127.0.0.12", "127.0.0.13").replace("edge.sock", "edge2.sock").replace("name: edge.", "name: edge2."))
    with open(gateway.config, encoding="utf-8") as f:
        alone = f.read()

    def sent():
        rows = json.loads(gateway.cli("show", "links", "--json").stdout)["links"]
        return {edge: sum(r["stanzas_out"] for r in rows if r["address"].startswith(ip)) for edge, ip in ((first, "127.0.0.12"), (second, "127.0.0.13"))}
    gateway.stop()
    try:
        with open(gateway.config, "w", encoding="utf-8") as f:
            f.write(alone.replace("edges: [edge.contoso.test]", "edges: [edge.contoso.test, 127.0.0.13]")
                    .replace("link:\n", "link:\n  peers: [edge.contoso.test]\n"))
        second.start()
        gateway.start()
        n = 2 * lab.entented.workers
        wait_until(lambda: f"{n} of {n} with edges" in gateway.cli("status").stdout, 15, "the links to both edges")
        romeo, juliet = lab.couple()
        before = sent()
        for i in range(3):
            romeo.say(juliet.name, f"by one edge {i}")
            juliet.expect_message(romeo.name, f"by one edge {i}")
        now = sent()
        out = {edge: now[edge] - before[edge] for edge in now}     # what began earlier may have begun before both were there
        check(sorted(n > 0 for n in out.values()) == [False, True], f"a partner is served by one edge, but they sent {list(out.values())}")
        serving = max(out, key=out.get)
        serving.kill()
        wait_until(lambda: gateway.events("link/down"), 10, "the gateway notices")
        romeo.say(juliet.name, "by the other edge")
        juliet.expect_message(romeo.name, "by the other edge", timeout=20)
    finally:
        second.kill()
        gateway.stop()
        with open(gateway.config, "w", encoding="utf-8") as f:
            f.write(alone)
        first.start()
        gateway.start()
        lab.entented.linked()
