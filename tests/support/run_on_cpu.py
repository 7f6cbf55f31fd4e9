#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: run_on_cpu.py <x86-64 | x86-64-v3 | x86-64-v4> <program> [argument]...

Runs the program if this CPU has the instructions of the level; else says which are missing and exits with 77.
"""
import os
import sys

V3 = "avx avx2 bmi1 bmi2 f16c fma abm movbe".split()
NEEDED = {
    "x86-64": [],
    "x86-64-v3": V3,
    "x86-64-v4": V3 + "avx512f avx512bw avx512cd avx512dq avx512vl".split(),
}
SKIPPED = 77


def cpu_flags():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                return set(line.split(":", 1)[1].split())
    return set()


def main():
    level, command = sys.argv[1], sys.argv[2:]
    missing = [flag for flag in NEEDED[level] if flag not in cpu_flags()]
    if missing:
        print(f"skipped: this CPU lacks {', '.join(missing)} of {level}")
        sys.exit(SKIPPED)
    os.execv(command[0], command)


main()
