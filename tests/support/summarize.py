#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: summarize.py <directory>

Prints, from what tests/run.sh left in the directory, the skipped tests and thinned sweeps with their reasons, the ten
slowest steps and CTest's line of counts.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree

SLOWEST = 10
FEW = 5
GTEST_SKIPPED = re.compile(r"^\[  SKIPPED \] (\S+) \(\d+ ms\)$")
THINNED = re.compile(r"^Thinned: (.+)$", re.MULTILINE)
COUNTS = re.compile(r"^\d+% tests passed, \d+ tests failed out of \d+$")


def skipped_in_output(output):
    """Yields (test, reason) for every GoogleTest test that skipped itself."""
    reason = ""
    for line in output.splitlines():
        match = GTEST_SKIPPED.match(line)
        if match:
            yield match.group(1), reason
        if line.strip():
            reason = line.strip()


def gathered(skipped):
    """Yields lines for (test, reason): one for a reason that many tests share, with their programs."""
    tests_of = {}
    for test, reason in skipped:
        tests_of.setdefault(reason, []).append(test)
    for reason, tests in tests_of.items():
        if len(tests) <= FEW:
            yield from (f"{test}: {reason}" for test in tests)
        else:
            programs = sorted({test.split(": ")[0] for test in tests})
            yield f"{len(tests)} tests: {reason}. In {', '.join(programs)}"


def thinned(programs):
    """Yields a line for every reason of programs, (name, output), to thin their sweeps."""
    names_of = {}
    for name, output in programs:
        for reason in sorted(set(THINNED.findall(output))):
            names_of.setdefault(reason, []).append(name)
    for reason, names in names_of.items():
        yield f"part of the sweeps of {len(names)} programs: {reason}. {', '.join(sorted(names))}"


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def main():
    directory = pathlib.Path(sys.argv[1])
    steps = []
    for line in (directory / "steps.tsv").read_text().splitlines():
        seconds, name = line.split("\t")
        steps.append((float(seconds), name))

    skipped = []
    outputs = []
    for case in xml.etree.ElementTree.parse(directory / "junit.xml").iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        steps.append((float(case.get("time")), name))
        outputs.append((name, output))
        if case.find("skipped") is not None:
            skipped.append((name, last_line(output) or case.find("skipped").get("message")))
        skipped += [(f"{name}: {test}", reason) for test, reason in skipped_in_output(output)]

    if not (directory.parent / "deps" / "xsimd-14.1").is_dir():
        skipped.append(("tests on xsimd 14.1", "its headers could not be fetched"))
    lines = [*gathered(skipped), *thinned(outputs)]
    print("\nSkipped:" if lines else "\nSkipped: nothing")
    for line in lines:
        print(f"  {line}")
    print("Slowest steps:")
    for seconds, name in sorted(steps, reverse=True)[:SLOWEST]:
        print(f"  {seconds:7.1f} s  {name}")
    print(f"  {sum(seconds for seconds, _ in steps):7.1f} s  all steps, one after the other\n")

    counts = [line for line in (directory / "ctest.log").read_text().splitlines() if COUNTS.match(line)]
    if not counts:
        sys.exit("no counts: CTest did not finish")
    print(counts[-1])


main()
