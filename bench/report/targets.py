#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Joins the figures of a bench with the targets: what is met, what is missed, and one sentence for every shape.

A target names a figure by family, shape, axis, dtype, tier, condition, input and method, and what it is compared with by
yardstick: a column "of <yardstick>" of the figures (a ratio of times), or the column "ns per call" itself. It is met if the
figure is not above `bound`; `aim` is what the next version should reach.
"""
import argparse
import csv
import re
import sys

KEY = ("family", "shape", "axis", "dtype", "tier", "condition", "input", "method")


def read_csv(path):
    """The comment lines (#) and the rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = file.read().splitlines()
    comments = [line[1:].strip() for line in lines if line.startswith("#")]
    return comments, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def key_of(row):
    return tuple(row[name] for name in KEY)


def measured(target, figures):
    """The figure a target speaks of, or None."""
    yardstick = target["yardstick"]
    column = yardstick if yardstick == "ns per call" else "of " + yardstick
    # A figure on ordinary input may come twice: among the peers and among the hard inputs, with different yardsticks.
    return next((float(row[column]) for row in figures.get(key_of(target), []) if row[column]), None)


def verdict(value, target):
    if value > float(target["bound"]):
        return "MISSED"
    return "met, aim reached" if value <= float(target["aim"]) else "met"


def print_targets(targets, figures):
    line = "  {:<16} {:<5} {:<7} {:<16} {:<16} {:<16} {:>7} {:>7} {:>7} {:>8}  {}"
    print("\ntargets (bound: must; aim: should; before: as noted in targets.csv)")
    print(line.format("shape", "", "tier", "method", "input", "relative to", "bound", "aim", "now", "before", "verdict"))
    counts = {}
    for target in targets:
        value = measured(target, figures)
        result = "not measured in this run" if value is None else verdict(value, target)
        counts[result] = counts.get(result, 0) + 1
        if value is not None:
            shape = target["shape"] + (" axis 0" if target["axis"] == "0" else "")
            print(line.format(shape, target["condition"], target["tier"], target["method"], target["input"],
                              target["yardstick"], target["bound"], target["aim"], f"{value:.3g}",
                              target["reached"] or "-", result))
    print("targets: " + "; ".join(f"{count} {result}" for result, count in sorted(counts.items())))


def last_level_cache(comments):
    """In bytes; the machine's description ends its list of caches with the last level."""
    for comment in comments:
        size = re.fullmatch(r"caches: .* (\d+)K", comment)
        if size:
            return int(size.group(1)) * 1024
    return 32 << 20


def sentence(family, shape, axis, rows, cache_bytes):
    """One line about one shape, for a reader who knows no benchmark."""
    count, columns = map(int, shape.split("x"))
    fits = 8 * count * columns <= cache_bytes // 2
    conditions = {row["condition"] for row in rows}
    condition = "hot" if "hot" in conditions and (fits or "cold" not in conditions) else "cold"
    missing = sorted({row["method"] for row in rows if row["role"] == "peer" and row["missing"]})
    rows = [row for row in rows if row["condition"] == condition and not row["missing"]]
    own = [row for row in rows if row["method"] == "tarn" or (row["method"] == "tarn streaming" and condition == "cold")]
    peers = [row for row in rows if row["role"] == "peer"]
    if not own:
        return None

    def of_a_copy(row):
        return max(float(row["of memcpy"]), float(row["of NT copy"]))

    best = min(own, key=of_a_copy)
    where = "data in cache" if condition == "hot" else "data in memory"
    if best["method"] == "tarn streaming":
        where += ", results written past the caches"
    text = f"{family} {shape}{', axis 0' if axis == '0' else ''}: {of_a_copy(best):.3g} of the time of copying the data"
    if peers:
        peer = min(peers, key=of_a_copy)
        year = f" of {peer['year']}" if peer["year"] != "0" else ""
        text += f"; best peer, {peer['method']} {peer['version']}{year}: {of_a_copy(peer):.3g}"
    if missing:
        text += f"; not there to compare with: {', '.join(missing)}"
    return f"{text} ({where})"


def print_sentences(rows, cache_bytes):
    shapes = {}
    for row in rows:
        shapes.setdefault((row["family"], row["shape"], row["axis"]), []).append(row)
    lines = [sentence(*shape, of_shape, cache_bytes) for shape, of_shape in shapes.items()
             if any(row["role"] == "peer" for row in of_shape)]
    if lines:
        print("\n" + "\n".join(line for line in lines if line))


def update(path, targets, figures, commit):
    for target in targets:
        value = measured(target, figures)
        if value is not None:
            target["reached"], target["commit"] = f"{value:.3g}", commit
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, targets[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(targets)
    print(f"\n{path}: column reached is now what was measured")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", required=True, help="CSV written by a bench")
    parser.add_argument("--targets", required=True, help="targets.csv")
    parser.add_argument("--update-targets", metavar="COMMIT", help="write column reached, measured at COMMIT")
    arguments = parser.parse_args()

    comments, rows = read_csv(arguments.figures)
    if not rows:
        sys.exit("no row was finished: nothing to report")
    figures = {}
    for row in rows:
        figures.setdefault(key_of(row), []).append(row)
    shapes = {(row["family"], row["shape"], row["axis"]) for row in rows}
    _, targets = read_csv(arguments.targets)
    if arguments.update_targets:
        before = [dict(target) for target in targets]
        update(arguments.targets, targets, figures, arguments.update_targets)
        targets = before
    of_shapes = [target for target in targets if (target["family"], target["shape"], target["axis"]) in shapes]
    if of_shapes:
        print_targets(of_shapes, figures)
    print_sentences(rows, last_level_cache(comments))


if __name__ == "__main__":
    main()
