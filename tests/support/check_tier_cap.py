#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_tier_cap.py <program>

Runs the program, which prints the tiers that are available, with every value of TARN_MAX_ISA: each caps what this CPU
offers, and a word that is no tier is reported and changes nothing.
"""
import os
import subprocess
import sys

TIERS = ["sse2", "avx2", "avx512"]


def run(program, cap):
    environment = {name: value for name, value in os.environ.items() if name != "TARN_MAX_ISA"}
    if cap is not None:
        environment["TARN_MAX_ISA"] = cap
    result = subprocess.run([program], env=environment, text=True, capture_output=True, check=True)
    return result.stdout.split(), result.stderr


def main():
    program = sys.argv[1]
    machine, noise = run(program, None)
    failures = 0
    if not machine or machine != TIERS[:len(machine)] or noise:
        failures += 1
        print(f"FAILED: without a cap: {machine} {noise}")
    cases = [(cap, machine[:TIERS.index(cap) + 1], "") for cap in TIERS] + [("", machine, "")]
    for word in ("avx", "AVX2", "avx2 ", "none"):
        cases.append((word, machine, f'tarn: TARN_MAX_ISA is "{word}", expected sse2, avx2 or avx512: ignored\n'))
    for cap, tiers, message in cases:
        found = run(program, cap)
        if found != (tiers, message):
            failures += 1
            print(f"FAILED: TARN_MAX_ISA=\"{cap}\": {found}, expected {(tiers, message)}")
    print(f"{len(cases)} caps on a CPU with {', '.join(machine)}: {failures} failures")
    sys.exit(failures > 0)


main()
