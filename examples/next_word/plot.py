#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: plot.py <table> <picture>
#
# Draws what next_word --table writes: the weights of all words, the likeliest first, one line for each way to get them.
import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

table, picture = sys.argv[1:]
with open(table, encoding="utf-8", newline="") as file:
    rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

STYLES = ["-", "--", ":", "o", "x"]
names = [name for name in rows[0] if name not in ("word", "logit")]
figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
for name, style in zip(names, STYLES):
    weights = [(i + 1, float(row[name])) for i, row in enumerate(rows)]
    # A logarithmic axis has no 0.
    shown = [(i, w) for i, w in weights if w > 0]
    zeros = len(weights) - len(shown)
    label = name + (f" ({zeros} of {len(weights)} words are 0)" if zeros else "")
    axes.plot([i for i, _ in shown], [w for _, w in shown], style, label=label, markersize=4)
axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xlabel("words, the likeliest first")
axes.set_ylabel("weight")
axes.set_title("One row of logits, weighed in five ways")
axes.legend()
axes.grid(alpha=0.3)
figure.savefig(picture, dpi=110)
