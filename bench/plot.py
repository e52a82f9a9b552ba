# SPDX-License-Identifier: Apache-2.0
"""Plots as SVG, with nothing but this file: lines over a linear, logarithmic or percentile axis, and bars of ratios on a logarithmic one. Every plot says
what its axes are, in which units, and when and where it was measured."""
import math
from xml.sax.saxutils import escape

COLOURS = ("#1f6fb4", "#d1602c", "#2c8a4b", "#8a4fb0", "#b08a1f", "#5a5a5a")
DASHES = ("", "7 4", "2 4", "9 4 2 4", "", "7 4")
W, LEFT, RIGHT, TOP, BOTTOM = 780, 84, 44, 64, 84


def short(value):
    """A number as one says it: 1,000,000; 0.05; 1.5."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Axis:
    """From values to places between two ends of the paper. kind: linear, log, percentile (values are shares below 1)."""

    def __init__(self, kind, low, high, begin, end):
        self.kind, self.begin, self.end = kind, begin, end
        if kind == "linear":
            step = 10 ** math.floor(math.log10(max(high, 1e-9)))
            step = next(s for s in (step / 5, step / 2, step, 2 * step) if high / s <= 8)
            self.low, self.high = 0, math.ceil(high / step - 1e-9) * step
            self.ticks = [i * step for i in range(round(self.high / step) + 1)]
        elif kind == "log":
            first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
            last = max(last, first + 1)
            self.low, self.high = first, last
            self.ticks = [10.0 ** n for n in range(first, last + 1)]
        else:
            self.low, self.high = 0, self.place_of(high)
            self.ticks = [t for t in (0, 0.5, 0.9, 0.99, 0.999, 0.9999) if t <= high]

    def place_of(self, v):
        return {"linear": lambda: v, "log": lambda: math.log10(v), "percentile": lambda: -math.log10(1 - v)}[self.kind]()

    def at(self, v):
        return self.begin + (self.place_of(v) - self.low) / (self.high - self.low) * (self.end - self.begin)

    def label(self, v):
        return f"{v * 100:g} %" if self.kind == "percentile" else short(v)


class Paper:
    def __init__(self, height, title, note):
        self.height, self.out = height, []
        self.out.append(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {height}" width="{W}" height="{height}" '
                        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="13">')
        self.out.append(f"<title>{escape(title)}</title>")
        self.out.append(f'<rect width="{W}" height="{height}" fill="#ffffff"/>')
        self.text(LEFT, 26, title, size=16, weight="bold")
        self.text(LEFT, height - 10, note, size=11, fill="#666666")

    def text(self, x, y, words, anchor="start", size=13, fill="#222222", weight="normal", turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn is not None else ""
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}" font-weight="{weight}"{turned}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour="#dddddd", width=1.0, dash=""):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"'
                        + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join([*self.out, "</svg>"]) + "\n")


def lines(path, title, x_words, y_words, series, note, x="log", y="linear", aims=()):
    """series: [(name, [(x, y)])]; aims: [(y, words)]: a level that is not to be exceeded."""
    series = [(name, [(a, b) for a, b in points if b is not None and (y != "log" or b > 0)]) for name, points in series]
    series = [s for s in series if s[1]]
    if not series:
        return False
    height = 430
    xs, ys = [a for _, p in series for a, _ in p], [b for _, p in series for _, b in p] + [v for v, _ in aims]
    p = Paper(height, title, note)
    h, v = Axis(x, min(xs), max(xs), LEFT, W - RIGHT), Axis(y, min(ys), max(ys), height - BOTTOM, TOP + 18 * ((len(series) + 2) // 3))
    for t in v.ticks:
        p.line(LEFT, v.at(t), W - RIGHT, v.at(t))
        p.text(LEFT - 8, v.at(t) + 4, v.label(t), "end")
    for t in h.ticks:
        p.line(h.at(t), v.begin, h.at(t), v.end)
        p.text(h.at(t), v.begin + 18, h.label(t), "middle")
    p.line(LEFT, v.begin, W - RIGHT, v.begin, "#444444", 1.2)
    p.line(LEFT, v.begin, LEFT, v.end, "#444444", 1.2)
    p.text((LEFT + W - RIGHT) / 2, v.begin + 40, x_words, "middle")
    p.text(18, (v.begin + v.end) / 2, y_words, "middle", turn=-90)
    for level, words in aims:
        p.line(LEFT, v.at(level), W - RIGHT, v.at(level), "#c02020", 1.4, "5 3")
        p.text(LEFT + 6, v.at(level) - 5, words, size=11, fill="#c02020")
    for i, (name, points) in enumerate(series):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        path_words = " ".join(f"{h.at(a):.1f},{v.at(b):.1f}" for a, b in points)
        p.out.append(f'<polyline points="{path_words}" fill="none" stroke="{colour}" stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")
        p.out += [f'<circle cx="{h.at(a):.1f}" cy="{v.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in points]
        lx, ly = LEFT + (i % 3) * 232, 48 + 18 * (i // 3)
        p.line(lx, ly - 4, lx + 26, ly - 4, colour, 2.4, dash)
        p.text(lx + 32, ly, name, size=12)
    p.save(path)
    return True


def bars(path, title, x_words, rows, note):
    """rows: [(name, value, aim or None)]: a bar of each on a logarithmic axis, in green where the aim is met; a mark where the aim is."""
    rows = [r for r in rows if r[1]]
    if not rows:
        return False
    left, step = 330, 26
    height = TOP + step * len(rows) + BOTTOM - 10
    p = Paper(height, title, note)
    values = [r[1] for r in rows] + [r[2] for r in rows if r[2]] + [1]
    h = Axis("log", min(values) * 0.8, max(values) * 1.2, left, W - RIGHT - 46)
    bottom = TOP + step * len(rows)
    for t in h.ticks:
        p.line(h.at(t), TOP - 10, h.at(t), bottom, "#444444" if t == 1 else "#dddddd", 1.2 if t == 1 else 1.0)
        p.text(h.at(t), bottom + 18, h.label(t), "middle")
    p.text((left + W - RIGHT) / 2, bottom + 40, x_words, "middle")
    for i, (name, value, aim) in enumerate(rows):
        y = TOP + i * step
        good = aim is None or value <= aim
        p.text(left - 10, y + 14, name, "end", size=12)
        p.out.append(f'<rect x="{left}" y="{y + 2}" width="{max(h.at(value) - left, 1):.1f}" height="{step - 10}" fill="{"#2c8a4b" if good else "#d1602c"}"/>')
        p.text(max(h.at(value), h.at(aim) if aim else 0) + 6, y + 15, short(round(value, 3)), size=12)
        if aim:
            p.line(h.at(aim), y - 1, h.at(aim), y + step - 5, "#c02020", 2.4)
    p.text(left, 46, "green: the aim (red mark) is met", size=11, fill="#666666")
    p.save(path)
    return True
