#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures what the report shows and writes the page. Interrupted, it keeps what is measured, writes the page of that, and
goes on from there when it is started again."""
import argparse
import os
import sys

from figures import Figures
from measure import PointFile, measure_points
from page import write_page
from plan import plan


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the bench of softmax")
    parser.add_argument("--targets", required=True, help="targets.csv")
    parser.add_argument("--folder", required=True, help="for points.csv and index.html")
    parser.add_argument("--commit", default="unknown", help="of the library that is measured")
    parser.add_argument("--peers", action="store_true", help="with further peers")
    parser.add_argument("--quick", action="store_true", help="few points, each for a short time")
    parser.add_argument("--fresh", action="store_true", help="forget what is measured already")
    arguments = parser.parse_args()

    os.makedirs(arguments.folder, exist_ok=True)
    path = os.path.join(arguments.folder, "points.csv")
    if arguments.fresh and os.path.exists(path):
        os.remove(path)
    file = PointFile(path)
    threads = (1, 2) if os.cpu_count() > 1 else (1,)
    points = plan(arguments.quick, threads)
    complete = measure_points(arguments.program, points, arguments.peers, arguments.commit, file)
    rows = file.of(points, arguments.peers)
    if not rows:
        sys.exit("no point is measured: nothing to report")
    page = os.path.join(arguments.folder, "index.html")
    write_page(page, Figures(file.facts, rows), arguments.targets)
    print(f"{'' if complete else 'unfinished '}report: {page}")
    return 0 if complete else 130


if __name__ == "__main__":
    sys.exit(main())
