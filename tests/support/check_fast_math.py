#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_fast_math.py --compiler C --include DIR [--system DIR]...

Kernels must not be compiled as if there were no NaN or as if additions had no order: header-only, files with such flags are
refused with a message, unless TARN_ALLOW_FAST_MATH is defined; files that call tarn::dispatch may have any flags.
"""
import argparse
import subprocess
import sys

MESSAGE = "tarn's kernels need NaN, infinity and the order of their additions"
ALLOWED, DISPATCH = "-DTARN_ALLOW_FAST_MATH", "-DTARN_DISPATCH=1"


def macros(arguments, flags):
    command = [arguments.compiler, *flags, "-dM", "-E", "-x", "c++", "/dev/null"]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def complaint(arguments, flags):
    """What the compiler has against a file with these flags that includes the library."""
    command = [arguments.compiler, "-std=c++17", *flags, f"-I{arguments.include}"]
    for system in arguments.system:
        command += ["-isystem", system]
    result = subprocess.run([*command, "-fsyntax-only", "-x", "c++", "-"], input="#include <tarn/softmax.hpp>\n",
                            text=True, capture_output=True, check=False)
    return result.stderr if result.returncode != 0 else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--system", action="append", default=[])
    arguments = parser.parse_args()

    refused = [["-ffast-math"], ["-ffinite-math-only"]]
    # g++ alone tells the preprocessor that additions may be regrouped.
    if "__ASSOCIATIVE_MATH__" in macros(arguments, ["-funsafe-math-optimizations"]):
        refused.append(["-funsafe-math-optimizations"])
    harmless = [[], ["-fno-math-errno"], ["-ffast-math", "-fno-fast-math"]]
    cases = [(flags, False) for flags in refused] + [(flags, True) for flags in harmless]
    cases += [([*flags, definition], True) for flags in refused for definition in (ALLOWED, DISPATCH)]
    failures = 0
    for flags, compiles in cases:
        text = complaint(arguments, flags)
        good = text == "" if compiles else MESSAGE in text
        print(f"{'ok' if good else 'FAILED'}: {' '.join(flags) or 'no flags'}")
        if not good:
            failures += 1
            print(text or "  compiles")
    print(f"{len(cases)} sets of flags, {failures} failures ({arguments.compiler})")
    sys.exit(failures > 0)


main()
