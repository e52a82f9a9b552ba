# SPDX-License-Identifier: Apache-2.0
"""The table of the topic stances: a line for each server in each stance, a column for each of our settings and each direction."""
SHORT = {"external/TLS": "EXTERNAL", "dialback/TLS": "dialback", "dialback/TCP": "clear db"}


def short(outcome):
    return SHORT.get(outcome, outcome.replace("xmpp/", "-").replace("not-authorized", "auth").replace("certificate", "cert")
                     .replace("tls-required", "tls").replace("dialback-failed", "dialback").replace("stream-error", "stream"))


def table(cells):
    """The text. cells: [{peer, stance, row, begins, expected, got, trouble}]."""
    rows = list(dict.fromkeys(c["row"] for c in cells))
    places = {(c["peer"], c["stance"], c["begins"], c["row"]): c for c in cells}
    lines = ["Columns: our settings for the partner: TLS and SASL (r required, o optional, n not supported), dialback (d yes, n no).",
             "EXTERNAL, dialback: proven so inside TLS. clear db: dialback without TLS. -...: refused with the reason xmpp/...:",
             "-cert certificate, -tls tls-required, -auth not-authorized, -stream stream-error, -dialback dialback-failed.",
             "*: not as the oracle says, whose word follows.", ""]
    for begins in dict.fromkeys(c["begins"] for c in cells):
        lines.append(f"{begins:<52}" + "".join(f"{row:<10}" for row in rows).rstrip())
        for peer, stance in dict.fromkeys((c["peer"], c["stance"]) for c in cells):
            texts = []
            for row in rows:
                cell = places.get((peer, stance, begins, row))
                text = "" if not cell else short(cell["got"]) or "?"
                texts.append(f"{text if not cell or not cell['trouble'] else '*' + text + '|' + short(cell['expected']):<10}")
            lines.append(f"{peer + ': ' + stance:<52}" + "".join(texts).rstrip())
        lines.append("")
    right = sum(not c["trouble"] for c in cells)
    lines.append(f"{len(cells)} cells, {right} as the oracle says, {len(cells) - right} not")
    return "\n".join(lines) + "\n"
