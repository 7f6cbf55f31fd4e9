# SPDX-License-Identifier: BSD-3-Clause
"""The tables of the page as HTML."""
import html

import claims
import targets
from figures import implementation_of, of_ordinary

INPUT_TEXT = {
    "normal": "N(0,1)", "uniform*1000": "U(−1000,1000)", "normal*50": "N(0,1)·50", "normal-1000": "N(0,1) − 1000",
    "normal+1e6": "N(0,1) + 10⁶", "half -inf": "half −∞", "half -1e9": "half −10⁹", "half -FLT_MAX": "half −FLT_MAX",
    "all -inf": "all −∞",
}


def text(value):
    return html.escape(str(value))


def input_text(name):
    return INPUT_TEXT.get(name, name)


def table(head, rows, classes=""):
    """`rows` are lists of cells: text, or (text, class)."""
    def cell(value, tag):
        content, css = value if isinstance(value, tuple) else (value, "")
        return f"<{tag}{f' class={chr(34)}{css}{chr(34)}' if css else ''}>{text(content)}</{tag}>"
    body = "".join(f"<tr>{''.join(cell(value, 'td') for value in row)}</tr>\n" for row in rows)
    titles = f"<thead><tr>{''.join(cell(value, 'th') for value in head)}</tr></thead>" if head else ""
    return f"<div class=\"scroll\"><table class=\"{classes}\">{titles}<tbody>\n{body}</tbody></table></div>"


def heat(ratio):
    """A class of cells by how much slower than ordinary."""
    for limit, name in ((1.2, "fine"), (2, "warm"), (5, "hot")):
        if ratio < limit:
            return name
    return "worst"


def hard_table(rows):
    """Implementations by inputs: the time of ordinary input = 1."""
    inputs = list(dict.fromkeys(row["input"] for row in rows if row["role"] != "movement"))
    lines = {}
    for row in rows:
        if row["role"] != "movement":
            lines.setdefault(implementation_of(row), {})[row["input"]] = row
    body = []
    for one, by_input in lines.items():
        cells = [(one.method, "name")]
        for name in inputs[1:]:
            ratio = of_ordinary(by_input[name]) if name in by_input else None
            cells.append((f"{ratio:.1f}", f"number {heat(ratio)}") if ratio is not None else "")
        body.append(cells)
    return table(["", *(input_text(name) for name in inputs[1:])], body, "heat")


def claims_table(found):
    def number(value):
        return (f"{value:.2f}", "number") if value else ""
    body = []
    for one in found:
        claimed = one.claim.factor[one.tier]
        result = [number(one.factor), (claims.verdict(one.factor, claimed), "" if one.factor else "absent")]
        body.append([one.claim.paper, f"{one.claim.new} against {one.claim.old}", one.shape, input_text(one.input), one.tier,
                     number(claimed), number(one.by_words), *result, *(number(ratio) for ratio in one.of_moving)])
    return table(["paper", "algorithms", "shape", "logits", "tier", "paper", "by words", "here", "verdict", "old / words",
                  "new / words"], body)


def target_rows(path, machine):
    """(target, verdict) of what was noted for a machine."""
    _, noted = targets.read_csv(path)
    return [(row, targets.verdict(float(row["reached"]), row)) for row in noted
            if row["machine"] == machine and row["reached"]]


def targets_table(rows):
    body = []
    for target, result in rows:
        state = "missed" if result == "MISSED" else "met"
        body.append([
            target["family"], target["shape"] + (", axis 0" if target["axis"] == "0" else ""), target["dtype"],
            (target["threads"] or "1", "number"), target["condition"], target["tier"], target["method"],
            input_text(target["input"]), target["yardstick"], (target["bound"], "number"), (target["aim"], "number"),
            (target["reached"], f"number {state}"), (result.lower(), state), target["commit"]])
    return table(["operator", "shape", "type", "threads", "data", "tier", "method", "logits", "relative to", "bound", "aim",
                  "reached", "verdict", "commit"], body)
