# SPDX-License-Identifier: Apache-2.0
"""The text format of Prometheus 0.0.4, read strictly: what promtool check metrics would find, and what else we promise."""
import re

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|\+Inf|NaN))$')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


class Bad(Exception):
    pass


def need(good, why):
    if not good:
        raise Bad(why)


def parse(text):
    """{(name, ((label, value), ...)): number}. Raises Bad."""
    kinds, helps, samples, closed, family = {}, set(), {}, set(), None
    need(text.endswith("\n"), "the last line has no end")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            need(len(line.split(" ", 3)) == 4, f"{name}: the help is empty")
            need(name not in helps, f"{name} has two HELP lines")
            need(name not in closed, f"{name} is in two places")
            helps.add(name)
            if family:
                closed.add(family)
            family = name
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            need(name == family and name not in kinds, f"TYPE of {name} is out of place")
            need(kind in ("counter", "gauge", "histogram"), f"{name}: kind {kind}")
            need((kind == "counter") == name.endswith("_total"), f"{name} is a {kind}")
            kinds[name] = kind
        else:
            m = SAMPLE.match(line)
            need(m, f"no sample: {line!r}")
            name, labels = m.group(1), tuple(sorted(LABEL.findall(m.group(2) or "")))
            base = re.sub(r"_(bucket|sum|count)$", "", name) if kinds.get(family) == "histogram" else name
            need(base == family and family in kinds, f"{line!r} stands under {family}")
            need(len({k for k, _ in labels}) == len(labels), f"{line!r}: a label twice")
            need((name, labels) not in samples, f"{line!r} is there twice")
            samples[name, labels] = float(m.group(3))
            need(kinds[family] != "counter" or samples[name, labels] >= 0, f"{line!r}: a counter below 0")
    for name in (n for n, k in kinds.items() if k == "histogram"):
        histogram(name, samples)
    return samples


def histogram(name, samples):
    series = {}
    for (n, labels), v in samples.items():
        if n == name + "_bucket":
            rest = tuple(x for x in labels if x[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), v))
    need(series, f"{name} has no buckets")
    for labels, buckets in series.items():
        need([b for b, _ in buckets] == sorted(b for b, _ in buckets) and buckets[-1][0] == float("inf"), f"{name}: buckets out of order")
        need(all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:])), f"{name}: buckets are not cumulative")
        need(samples.get((name + "_count", labels)) == buckets[-1][1], f"{name}: the count is not the last bucket")
        need((name + "_sum", labels) in samples, f"{name} has no sum")


def value(samples, name, **labels):
    """The sum of all samples that have these labels; None: there is none."""
    found = [v for (n, have), v in samples.items() if n == name and labels.items() <= dict(have).items()]
    return sum(found) if found else None
