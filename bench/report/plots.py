# SPDX-License-Identifier: BSD-3-Clause
"""Plots as SVG text: an implementation has one colour in all of them and its name at the end of its line."""
import io
import itertools
import math
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

COLOURS = {
    "own": ("#0b57b0", "#4aa3df", "#12a594", "#7b5ccc", "#2c7a4b", "#2f4858", "#86b817", "#b08fe0", "#00b8d4", "#5d3fa2"),
    "peer": ("#c8102e", "#f28e2b", "#d9b300", "#8c564b", "#d6409f", "#7a1f3d", "#7c8c1f", "#ff8a75", "#b5651d", "#a61e8c"),
    "baseline": ("#222222", "#6d4c41"),
    "movement": ("#444444", "#777777", "#a0a0a0", "#5f7f7f", "#8a8a70"),
}
DASHES = {"own": "-", "peer": "-", "baseline": (0, (5, 1)), "movement": (0, (1, 1.4))}
MARKERS = {"own": "osDv^PX<>h", "peer": "sDvP^X<>hp", "baseline": "*", "movement": " "}
NUMBERS = itertools.count()  # of the figures, to keep the names inside them apart
LABEL_GAP = 0.043  # between names, as a share of the height

plt.rcParams.update({
    "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4", "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333", "xtick.color": "#333333", "ytick.color": "#333333", "figure.facecolor": "white",
})


class Styles:
    """Colour and width of every implementation; the library itself is the widest line."""

    def __init__(self, implementations):
        self.styles = {}
        counts = dict.fromkeys(COLOURS, 0)
        for one in implementations:
            number = counts[one.role]
            colours, markers = COLOURS[one.role], MARKERS[one.role]
            self.styles[one] = {"color": colours[number % len(colours)], "marker": markers[number % len(markers)]}
            counts[one.role] += 1

    def of(self, one):
        own = one.method == "tarn"
        return {**self.styles[one], "linestyle": DASHES[one.role], "linewidth": 2.8 if own else 1.5,
                "markersize": 5 if own else 4, "zorder": 4 if own else 3}


def count_text(value, _=None):
    """16, 1024 -> 1Ki, 64000000 -> 64M."""
    for size, unit in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if value >= size and value % size == 0:
            return f"{int(value // size)} {unit}"
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value:g}"


def bytes_text(value, _=None):
    for size, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g} B"


def plain_text(value, _=None):
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value:g}"


def spread(places):
    """Moves places in 0..1 apart until LABEL_GAP is between each two, as little as possible."""
    def centre_of(members):
        half = LABEL_GAP * (len(members) - 1) / 2
        return min(max(sum(places[k] for k in members) / len(members), half), 1 - half)
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups = []  # [centre of the wished places, members]
    for i in order:
        groups.append([centre_of([i]), [i]])
        while len(groups) > 1:
            low, high = groups[-2], groups[-1]
            room = LABEL_GAP * (len(low[1]) + len(high[1])) / 2
            if high[0] - low[0] >= room:
                break
            members = low[1] + high[1]
            groups[-2:] = [[centre_of(members), members]]
    result = [0.0] * len(places)
    for centre, members in groups:
        for position, i in enumerate(members):
            result[i] = centre + LABEL_GAP * (position - (len(members) - 1) / 2)
    return result


def alike(lines):
    """Implementations with equal lines, together: [(implementations, points)]."""
    groups = {}
    for one, points in sorted(lines.items(), key=lambda line: line[0].method != "tarn"):
        groups.setdefault(tuple(points), []).append(one)
    return [(members, list(points)) for points, members in groups.items()]


def name_of_group(members):
    names = [one.method for one in members]
    return ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} alike"


def draw_lines(axes, lines, styles):
    """The lines, and their names to the right of the axes. The limits of the axes must be set."""
    groups = alike(lines)
    for members, points in groups:
        axes.plot(*zip(*points), clip_on=False, **styles.of(members[0]))
    ends = [points[-1] for _, points in groups]
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = [to_axes.transform(end)[1] for end in ends]
    for (members, _), end, height in zip(groups, ends, spread(heights)):
        style = styles.of(members[0])
        axes.annotate(name_of_group(members), xy=end, xytext=(1.035, height), textcoords="axes fraction", fontsize=8.5,
                      va="center", color=style["color"], annotation_clip=False,
                      fontweight="bold" if members[0].method == "tarn" else "normal",
                      arrowprops={"arrowstyle": "-", "color": style["color"], "lw": 0.6, "alpha": 0.6,
                                  "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2})


def set_height(axes, values):
    """A logarithmic axis that shows all values with some air, and few enough numbers to read."""
    low, high = min(values), max(values)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.25, high * 1.25)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if high < 3000 * low else (1,), numticks=30))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_text))
    axes.yaxis.set_minor_formatter(NullFormatter())


def panels(lines_of_panels, titles, styles, x_label, y_label, x_text=plain_text, marks=()):
    """Panels side by side with common logarithmic axes; `marks` are (x, text) of vertical lines. Returns SVG."""
    points = [point for lines in lines_of_panels for series in lines.values() for point in series]
    figure, all_axes = plt.subplots(1, len(lines_of_panels), figsize=(13, 5.6), squeeze=False)
    figure.subplots_adjust(left=0.055, right=0.865, top=0.9, bottom=0.12, wspace=0.5)
    xs = sorted({x for x, _ in points})
    for axes, lines, title in zip(all_axes[0], lines_of_panels, titles):
        axes.set_xscale("log", base=2)
        axes.set_xlim(xs[0], xs[-1] if xs[-1] > xs[0] else xs[0] * 2)
        set_height(axes, [y for _, y in points])
        axes.set_title(title, loc="left", fontsize=11, color="#222222", pad=18 if marks else 8)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.set_xticks(xs[::2] if len(xs) > 9 else xs)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(x_text))
        for x, text in marks:
            if xs[0] < x < xs[-1]:
                axes.axvline(x, color="#bbbbbb", linewidth=1, zorder=1)
                axes.text(x, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", fontsize=8, color="#777777")
        draw_lines(axes, lines, styles)
    return svg_of(figure)


def steps(lines_by_name, names, styles, x_label, y_label):
    """One panel with names instead of numbers along x. `lines_by_name` has (index, y) points."""
    points = [point for series in lines_by_name.values() for point in series]
    figure, axes = plt.subplots(figsize=(13, 4.8))
    figure.subplots_adjust(left=0.065, right=0.8, top=0.95, bottom=0.14)
    axes.set_xlim(-0.2, len(names) - 1)
    set_height(axes, [y for _, y in points])
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    draw_lines(axes, lines_by_name, styles)
    return svg_of(figure)


def svg_of(figure):
    """The SVG element alone, fit to stand in a page beside others."""
    matplotlib.rcParams["svg.hashsalt"] = f"figure {next(NUMBERS)}"
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    element = text.getvalue()
    element = element[element.index("<svg"):]
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%"', element, count=1)


def finite(value):
    return value is not None and math.isfinite(value) and value > 0
