#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks that every case of must_not_compile.cpp is refused, and with the message of cases.txt.

usage: run.py [--self-test] COMPILER [FLAG ...]

FLAGs go to the compiler as they are (-std=c++17, -isystem of Eigen and xsimd, -DTARN_DISPATCH=1). The library's include
directory is added. Prints a line per case; the exit status is the number of breaches, at most 100. --self-test
checks instead that this script notices a case that compiles, one with another message, and one broken otherwise.
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent.parent / "include"
SOURCE = HERE / "must_not_compile.cpp"
CONTROL = 0
FIRST_OF_LOGARITHMS = 50  # from here on, cases call their functions themselves: one way is enough


def read_cases():
    cases = {}
    for line in (HERE / "cases.txt").read_text().splitlines():
        number, fragment = line.split("\t")
        if int(number) in cases or not fragment:
            sys.exit(f"cases.txt: case {number} is there twice or has no message")
        cases[int(number)] = fragment
    in_source = {int(n) for n in re.findall(r"^#(?:el)?if TARN_CASE == (\d+)$", SOURCE.read_text(), re.M)}
    if not cases or in_source != cases.keys() | {CONTROL}:
        sys.exit(f"cases.txt and must_not_compile.cpp differ in cases {sorted(in_source ^ (cases.keys() | {CONTROL}))}")
    return cases


def breach(compiler, flags, case, fragment):
    """What is wrong with this case; None if it does what it must. No fragment: it must compile."""
    command = [compiler, *flags, f"-I{INCLUDE}", f"-DTARN_CASE={case}", "-fsyntax-only", str(SOURCE)]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    if fragment is None:
        return None if run.returncode == 0 else "must compile, but:\n" + run.stderr
    if run.returncode == 0:
        return "compiles"
    # Compilers quote source lines, with the text of every assertion nearby: only the line of the error counts.
    errors = [line for line in run.stderr.splitlines() if "error:" in line and "static" in line]
    if not any(fragment in line for line in errors):
        return f"no static assertion says '{fragment}', but:\n" + run.stderr
    if fragment not in errors[0]:
        return f"'{fragment}' is not the first assertion, but:\n" + run.stderr
    return None


def self_test(compiler, flags, cases):
    case = next(iter(cases))
    tests = {
        "a case that compiles": breach(compiler, flags, CONTROL, cases[case]) == "compiles",
        "another message": bool(breach(compiler, flags, case, "a message that nothing gives")),
        "no such case": bool(breach(compiler, flags, 99999, cases[case])),
        "a control that fails": bool(breach(compiler, flags, case, None)),
    }
    for name, noticed in tests.items():
        print(f"{'ok    ' if noticed else 'BREACH'} notices {name}")
    return sum(not noticed for noticed in tests.values())


def main(arguments):
    testing = arguments[:1] == ["--self-test"]
    if testing:
        arguments = arguments[1:]
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    compiler, flags = arguments[0], arguments[1:]
    cases = read_cases()
    if testing:
        return self_test(compiler, flags, cases)
    ways = {"views": []}
    if (INCLUDE / "tarn" / "softmax.hpp").exists():
        ways["softmax"] = ["-DTARN_THROUGH_SOFTMAX=1"]
    work = [(way, case) for way in ways for case in [CONTROL, *cases] if way == "views" or case < FIRST_OF_LOGARITHMS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda w: breach(compiler, flags + ways[w[0]], w[1], cases.get(w[1])), work))
    for (way, case), wrong in zip(work, results):
        print(f"{'BREACH' if wrong else 'ok    '} {way} {case}: {wrong or cases.get(case, 'compiles')}")
    breaches = sum(wrong is not None for wrong in results)
    print(f"{compiler}: {len(work)} cases, {breaches} breaches")
    return min(breaches, 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
