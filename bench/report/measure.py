# SPDX-License-Identifier: BSD-3-Clause
"""Measures points one by one into a file that an interrupted run leaves whole and the next one goes on with."""
import csv
import datetime
import io
import os
import subprocess
import sys
import tempfile
import time

from targets import read_csv

ADDED = ("section", "point", "commit", "date")  # columns before those of the bench
SAME = ("machine", "compiler", "glibc")  # facts that figures of one file share


class PointFile:
    """Figures of finished points, with the facts about the machine in comment lines."""

    def __init__(self, path):
        self.path = path
        self.facts, self.rows = read_csv(path) if os.path.exists(path) else ({}, [])

    def of(self, points, peers):
        """The rows of these points."""
        keys = {" ".join(point.arguments(peers)) for point in points}
        return [row for row in self.rows if row["point"] in keys]

    def append(self, point, peers, commit, facts, rows):
        different = [name for name in SAME if self.facts and self.facts.get(name) != facts.get(name)]
        if different:
            sys.exit(f"{self.path} is of another {', '.join(different)}: start anew with --fresh")
        if self.rows and list(self.rows[0]) != [*ADDED, *rows[0]]:
            sys.exit(f"{self.path} has other columns than the bench writes now: start anew with --fresh")
        date = datetime.date.today().isoformat()
        added = dict(zip(ADDED, (point.section, " ".join(point.arguments(peers)), commit, date)))
        rows = [{**added, **row} for row in rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        if not self.facts:
            text.writelines(f"# {name}: {value}\n" for name, value in facts.items())
            writer.writeheader()
        writer.writerows(rows)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text.getvalue())
        self.facts = self.facts or facts
        self.rows += rows


def run_point(program, point, peers):
    """The facts and the rows of one point; raises CalledProcessError if the program fails."""
    with tempfile.TemporaryDirectory() as folder:
        figures = os.path.join(folder, "figures.csv")
        subprocess.run([program, *point.arguments(peers), "--csv", figures], check=True, stdout=subprocess.DEVNULL)
        return read_csv(figures)


def readable(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def measure_points(program, points, peers, commit, file):
    """Measures what the file lacks. False if Control-C ended it early."""
    missing = [point for point in points if not file.of([point], peers)]
    if len(missing) < len(points):
        print(f"{len(points) - len(missing)} of {len(points)} points are measured already (--fresh starts anew)")
    started = time.monotonic()
    budget = sum(point.seconds for point in missing)
    done = 0.0
    try:
        for number, point in enumerate(missing, 1):
            spent = time.monotonic() - started
            # Before anything is known: setting up a point takes about as long as measuring it.
            left = spent / done * (budget - done) if done else 2 * budget
            print(f"[{number}/{len(missing)}] {point} (about {readable(left)} left)", flush=True)
            try:
                facts, rows = run_point(program, point, peers)
                file.append(point, peers, commit, facts, rows)
            except subprocess.CalledProcessError as failure:
                print(f"skipped: {point}: the bench ended with status {failure.returncode}", file=sys.stderr)
            done += point.seconds
    except KeyboardInterrupt:
        print("\ninterrupted: what is measured is kept, the next run goes on from here")
        return False
    return True
