#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Joins the figures of a bench with the targets: what is met, what is missed, and one sentence for every shape.

A target names a figure by family (the operator), shape, axis, dtype, threads, tier, condition, input and method, and what it is
compared with by yardstick: a column "of <yardstick>" of the figures (a ratio of times), or the column "ns per call" itself.
It is met if the figure is not above `bound`; `aim` is what the next version should reach. `reached` is a figure of `machine`
alone: every machine has its own row of a target, and a row without a machine waits for the first. The figures say in comment
lines which machine they are of, and which tiers it has.
"""
import argparse
import csv
import sys

import sentences

KEY = ("family", "shape", "axis", "dtype", "threads", "tier", "condition", "input", "method")
TIERLESS = ("native", "-")  # whatever the machine has


def read_csv(path):
    """The facts in comment lines ("# name: value") and the rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = file.read().splitlines()
    facts = dict(line[1:].strip().split(": ", 1) for line in lines if line.startswith("#"))
    return facts, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def key_of(row):
    """What tells figures apart; a target that names no threads is about one."""
    return tuple(row[name] or "1" if name == "threads" else row[name] for name in KEY)


def problem_of(row):
    """What a row is about, whoever solves it."""
    return key_of(row)[:KEY.index("tier")]


def target_key(row):
    return key_of(row) + (row["yardstick"],)


def measured(target, figures):
    """The figure a target speaks of, or None."""
    yardstick = target["yardstick"]
    column = yardstick if yardstick == "ns per call" else "of " + yardstick
    # A figure on ordinary input may come twice: among the peers and among the hard inputs, with different yardsticks.
    return next((float(row[column]) for row in figures.get(key_of(target), []) if row.get(column)), None)


def verdict(value, target):
    if value > float(target["bound"]):
        return "MISSED"
    return "met, aim reached" if value <= float(target["aim"]) else "met"


def targets_of(machine, rows):
    """Every target once: this machine's row, or another's without what that one reached."""
    targets = {}
    for row in rows:
        known = targets.get(target_key(row))
        if row["machine"] == machine or known is None:
            own = {} if row["machine"] == machine else {"machine": machine, "reached": "", "commit": ""}
            targets[target_key(row)] = {**row, **own}
    return list(targets.values())


def print_targets(targets, figures, facts):
    tiers = facts["tiers"].split()
    lacking = sorted({target["tier"] for target in targets}.difference(tiers, TIERLESS))
    line = "  {:<22} {:<5} {:<7} {:<16} {:<16} {:<16} {:>7} {:>7} {:>7} {:>8}  {}"
    print(f"\ntargets on {facts['machine']}, tiers {', '.join(tiers)}" +
          (f" (left out: tier {', '.join(lacking)}, which it lacks)" if lacking else ""))
    print("bound: must; aim: should; before: as noted for this machine in targets.csv")
    print(line.format("shape", "", "tier", "method", "input", "relative to", "bound", "aim", "now", "before", "verdict"))
    counts = {}
    family = None
    for target in targets:
        if target["tier"] in lacking:
            continue
        value = measured(target, figures)
        result = "not measured in this run" if value is None else verdict(value, target)
        counts[result] = counts.get(result, 0) + 1
        if value is not None:
            if target["family"] != family:
                family = target["family"]
                print(f" {family}")
            print(line.format(sentences.title_of(target), target["condition"], target["tier"], target["method"],
                              target["input"], target["yardstick"], target["bound"], target["aim"], f"{value:.3g}",
                              target["reached"] or "-", result))
    print("targets: " + "; ".join(f"{count} {result}" for result, count in sorted(counts.items())))


def update(path, rows, targets, figures, machine, commit):
    """Writes what was measured into this machine's rows, or those of no machine yet, and adds the rows that it lacks."""
    for target in targets:
        value = measured(target, figures)
        if value is None:
            continue
        reached = {"machine": machine, "reached": f"{value:.3g}", "commit": commit}
        places = [row for row in rows if target_key(row) == target_key(target) and row["machine"] in (machine, "")]
        if places:
            places[0].update(reached)
        else:
            rows.append({**target, **reached})
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"\n{path}: column reached of {machine} is now what was measured")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", required=True, help="CSV written by a bench")
    parser.add_argument("--targets", required=True, help="targets.csv")
    parser.add_argument("--update-targets", metavar="COMMIT", help="write column reached, measured at COMMIT")
    arguments = parser.parse_args()

    facts, rows = read_csv(arguments.figures)
    if not rows:
        sys.exit("no row was finished: nothing to report")
    figures = {}
    for row in rows:
        figures.setdefault(key_of(row), []).append(row)
    problems = {problem_of(row) for row in rows}
    _, noted = read_csv(arguments.targets)
    targets = targets_of(facts["machine"], noted)
    if arguments.update_targets:
        update(arguments.targets, noted, targets, figures, facts["machine"], arguments.update_targets)
    of_problems = [target for target in targets if problem_of(target) in problems]
    if of_problems:
        print_targets(of_problems, figures, facts)
    sentences.print_sentences(rows, facts)


if __name__ == "__main__":
    main()
