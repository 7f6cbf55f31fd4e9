# SPDX-License-Identifier: BSD-3-Clause
"""The page: sections with plots and tables of what was measured, in one file that needs nothing else."""
import re

import plots
import tables
from claims import findings, reason
from figures import bytes_of, columns_of, implementation_of, lines, max_ulp, rate
from plan import OFFSETS, SCALES, TOTAL, TOTAL_IN_CACHE, WORKING_SET_COLUMNS
from summary import summary

STYLE = """
body { font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; color: #1d2733; background: #f7f8fa; margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 28px 64px; }
h1 { font-size: 30px; margin: 0 0 4px; } h2 { font-size: 21px; margin: 44px 0 6px; }
p { max-width: 60em; margin: 6px 0 12px; }
.lead { font-size: 18px; max-width: 52em; } .facts { color: #5a6675; font-size: 14px; }
figure { margin: 14px 0 26px; background: white; border: 1px solid #e1e5ea; border-radius: 8px; padding: 14px 14px 8px; }
figure svg { display: block; height: auto; }
figcaption { color: #5a6675; font-size: 14px; max-width: 75em; margin: 4px 6px 6px; }
.scroll { overflow-x: auto; background: white; border: 1px solid #e1e5ea; border-radius: 8px;
  margin: 12px 0 20px; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%; } th, td { padding: 5px 10px; text-align: left; }
th { color: #5a6675; font-weight: 600; white-space: nowrap; border-bottom: 1px solid #d6dbe1; }
tr + tr td { border-top: 1px solid #eef0f3; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } td.name { font-weight: 600; white-space: nowrap; }
.absent { color: #8a94a0; font-style: italic; white-space: nowrap; } .met { color: #1b7a3d; } .missed { color: #b3261e; font-weight: 600; }
.heat { font-size: 12.5px; } .heat th, .heat td { padding: 5px 7px; } .heat th { text-align: right; }
.heat .fine { background: #e9f5ec; } .heat .warm { background: #fff4d6; } .heat .hot { background: #ffdfc7; }
.heat .worst { background: #f8c4bf; }
details { margin: 8px 0; } summary { cursor: pointer; color: #0b4f8a; }
"""


def caches_of(facts):
    """(bytes, name) of the levels in "L1 32K, L2 512K"."""
    return [(int(size) * 1024, name) for name, size in re.findall(r"(L\d) (\d+)K", facts.get("caches", ""))]


def figure(svg, caption):
    return f"<figure>{svg}<figcaption>{tables.text(caption)}</figcaption></figure>"


def threads_text(count):
    return "1 thread" if count == 1 else f"{count} threads"


def two_panels(found, styles, **options):
    """Everybody on the left, the library's algorithms on the right; the limits and the library in both."""
    def chosen(keep):
        return {one: points for one, points in found.items()
                if one.role == "movement" or one.method == "tarn" or keep(one)}
    left, right = chosen(lambda one: one.role in ("peer", "baseline")), chosen(lambda one: one.role == "own")
    return plots.panels([left, right], ["tarn and others", "tarn's algorithms"], styles, **options)



RATE = "billion elements per second"
ULP_TEXT = ("Units in the last place of the exact result (double exponentials, summed in long double); results below the least "
            "normal float count as right when they are that small or 0. Lower is better.")
CLAIMS_TEXT = """The Two-Pass Softmax Algorithm (arXiv:2001.04438) reports 28 % (AVX-512) and 18 % (AVX2) over both three-pass
forms beyond the last-level cache; Online normalizer calculation for softmax (arXiv:1805.02867) reports 1.3 times, on a GPU. All
algorithms here are tarn's own, at their full accuracy; one row, cold, float, one thread. Factors of speed: what the paper found, what the
words read and written would make it, what was found here. Last columns: the time of the old and of the new algorithm, moving
their words at the speed of a non-temporal copy being 1."""
HARD_TEXT = """Time on such input, ordinary input of the same implementation being 1. What others return for it is another
matter: see bench/report/semantics.md."""


def speed_section(figures, styles, section, abscissa, caption, **options):
    parts = []
    for count in figures.threads():
        found = lines(figures.of(section, threads=count), abscissa, rate)
        if found:
            parts.append(figure(two_panels(found, styles, y_label=RATE, **options),
                                f"{threads_text(count).capitalize()}. {caption}"))
    return parts


def accuracy_section(figures, styles):
    parts = []
    rows = [row for row in figures.of("accuracy") if row["role"] != "movement"]
    for shape in dict.fromkeys(row["shape"] for row in rows):
        of_shape = [row for row in rows if row["shape"] == shape]
        wrong = sorted({row["method"] for row in of_shape if not plots.finite(max_ulp(row))})
        note = f" Not drawn where results were no numbers: {', '.join(wrong)}." if wrong else ""
        for names, x_label in ((SCALES, "logits: N(0,1) times"), (OFFSETS, "logits: N(0,1) plus")):
            found = lines([row for row in of_shape if row["input"] in names], lambda row: names.index(row["input"]),
                          lambda row: max_ulp(row) if plots.finite(max_ulp(row)) else None)
            shown = [name.removeprefix("normal").lstrip("*+") for name in names]
            if found:
                parts.append(figure(plots.steps(found, shown, styles, x_label, "largest error, ULP"),
                                    f"{shape}, float. {ULP_TEXT}{note}"))
    return parts


def hard_section(figures):
    parts = []
    order = figures.implementations()
    rows = sorted(figures.of("hard input"), key=lambda row: order.index(implementation_of(row)))
    for shape in dict.fromkeys(row["shape"] for row in rows):
        parts.append(f"<p>{shape}, float, hot, one thread:</p>")
        parts.append(tables.hard_table([row for row in rows if row["shape"] == shape]))
    return parts


def claims_section(figures):
    found = findings(figures)
    why = reason(found)
    return ([f"<p>{tables.text(why)}</p>"] if why else []) + ([tables.claims_table(found)] if found else [])


def targets_section(figures, path):
    machine = figures.facts["machine"]
    rows = tables.target_rows(path, machine)
    if not rows:
        return [f"<p>bench/targets.csv has no figure of this machine ({tables.text(machine)}) yet: "
                "<code>bench/run.sh --update-targets</code> writes them.</p>"]
    missed = [row for row in rows if row[1] == "MISSED"]
    met = [row for row in rows if row[1] != "MISSED"]
    aims = sum("aim" in result for _, result in met)
    return [f"<p>{len(met)} of {len(rows)} targets are met, {aims} of them with what the next version should reach. Figures "
            "are ratios of times as noted in bench/targets.csv at the commits named.</p>",
            f"<details open><summary>{len(missed)} missed</summary>{tables.targets_table(missed)}</details>",
            f"<details><summary>{len(met)} met</summary>{tables.targets_table(met)}</details>"]


def versions_text(figures):
    parts = []
    for one in figures.implementations():
        version, year = figures.versions.get(one.method, ("", "0"))
        if one.role == "baseline":
            parts.append(f"{one.method} (written for this comparison)")
        elif version and one.role == "peer":
            parts.append(f"{one.method} {version}" + (f" ({year})" if year != "0" else ""))
    return ", ".join(dict.fromkeys(parts))


def facts_section(figures):
    facts = figures.facts
    own = next((figures.versions[one.method][0] for one in figures.implementations() if one.method == "tarn"), "")
    rows = [("date", ", ".join(figures.dates())), ("tarn", f"{own}, commit {', '.join(figures.commits())}"),
            *((name, value) for name, value in facts.items()), ("compared with", versions_text(figures)),
            *((f"missing: {name}", reason) for name, reason in figures.missing.items())]
    return tables.table([], [[(name, "name"), value] for name, value in rows])


def write_page(path, figures, targets_path):
    styles = plots.Styles(figures.implementations())
    total, in_cache = plots.count_text(TOTAL), plots.count_text(TOTAL_IN_CACHE)
    sections = [
        ("Row length, data in memory", "", speed_section(
            figures, styles, "row length", columns_of,
            f"Softmax along rows, float, N(0,1), cold: as many rows as make {total} elements, at least one, in a ring of arrays "
            "far larger than the last-level cache. Higher is better. Grey: moving the data without computing.",
            x_label="elements in a row", x_text=plots.count_text)),
        ("Row length, data in cache", "", speed_section(
            figures, styles, "row length in cache", columns_of,
            f"Softmax along rows, float, N(0,1), hot: {in_cache} elements, the same arrays again and again. Higher is better.",
            x_label="elements in a row", x_text=plots.count_text)),
        ("Working set", "", speed_section(
            figures, styles, "working set", bytes_of,
            f"Softmax along rows of {WORKING_SET_COLUMNS} elements (fewer where all is smaller), float, N(0,1), hot: the same "
            "arrays again and again. Size of input and result together. Higher is better.",
            x_label="input and result", x_text=plots.bytes_text, marks=caches_of(figures.facts))),
        ("Accuracy", "", accuracy_section(figures, styles)),
        ("Masks, wide ranges and special values", HARD_TEXT, hard_section(figures)),
        ("What the papers claim", CLAIMS_TEXT, claims_section(figures)),
        ("Targets", "", targets_section(figures, targets_path)),
    ]
    facts = figures.facts
    body = [f"<h1>tarn: softmax on {tables.text(facts['machine'])}</h1>",
            f"<p class=\"facts\">{tables.text(', '.join(figures.dates()))} · {tables.text(facts['caches'])} · "
            f"{tables.text(facts['compiler'])} · tier {tables.text(figures.best_tier)}</p>",
            f"<p class=\"lead\">{tables.text(summary(figures))}</p>"]
    for title, introduction, parts in sections:
        content = parts or ["<p class=\"absent\">not measured</p>"]
        body += [f"<h2>{title}</h2>", f"<p>{introduction}</p>" if introduction else "", *content]
    body += ["<h2>Machine and versions</h2>", facts_section(figures)]
    document = ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>tarn: softmax measured</title>\n"
                f"<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><main>\n"
                + "\n".join(body) + "\n</main></body></html>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(document)
