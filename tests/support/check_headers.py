#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_headers.py --compiler C --include DIR [--system DIR]... [--together]

Compiles every header under DIR/tarn alone, without warnings, in each mode that it is meant for, and checks what it brings
along: no xsimd where a user of tarn::dispatch includes it, Eigen only from the adapters. Not the tables of kernels, which
the dispatch library includes alone, for every instruction set and with the same warnings.

--together: all headers of a mode and an instruction set in one file, for a second compiler. Whether a header includes all
that it uses is the same for all compilers; what they warn of is not.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
LEVELS = ["x86-64", "x86-64-v3", "x86-64-v4"]
NEWEST = LEVELS[-1]
XSIMD = re.compile(r"/xsimd/xsimd\.hpp\b")
EIGEN = re.compile(r"/Eigen/\S*Core\b")
INCLUDES_XSIMD = "tarn/simd/arch.hpp"


def is_table(header):
    """Tells whether the header is a file of the dispatch library."""
    return header.parts[0] == "dispatch" and header.name.endswith("_kernels.hpp")


def holds_kernels(header):
    """Tells whether the header is compiled for a tier, and so includes xsimd in every mode."""
    return header.parts[0] in ("simd", "kernels")


def ways_of_use(headers):
    """Yields (name, headers, flags, may include xsimd): every header alone in every mode that it is meant for.

    Headers with kernels are alone for the newest instruction set, and together for each of the older ones.
    """
    for header in headers:
        if holds_kernels(header):
            yield f"{header}, header-only, {NEWEST}", [header], [f"-march={NEWEST}"], True
        else:
            yield f"{header}, dispatch", [header], ["-DTARN_DISPATCH=1"], False
            if header.parts[0] != "dispatch":
                yield f"{header}, header-only", [header], [], True
    with_kernels = [header for header in headers if holds_kernels(header)]
    for level in LEVELS[:-1]:
        yield f"headers with kernels, header-only, {level}", with_kernels, [f"-march={level}"], True


def ways_of_use_together(headers):
    """As ways_of_use, but with one file for all headers of a mode and an instruction set."""
    with_kernels = [header for header in headers if holds_kernels(header)]
    for_users = [header for header in headers if not holds_kernels(header)]
    # First a file without the adapters, which may not include Eigen.
    without_adapters = [header for header in for_users if not header.name.startswith("eigen")]
    adapters_first = sorted(for_users, key=lambda header: not header.name.startswith("eigen"))
    for used in (without_adapters, adapters_first):
        yield f"{len(used)} headers, dispatch", used, ["-DTARN_DISPATCH=1"], False
    header_only = [header for header in adapters_first if header.parts[0] != "dispatch"]
    yield f"{len(header_only)} headers, header-only", header_only, [], True
    for level in LEVELS:
        yield f"{len(with_kernels)} headers with kernels, header-only, {level}", with_kernels, [f"-march={level}"], True


class Compiler:
    """Compiles nothing into nothing. xsimd, most of what it reads, is precompiled for every set of flags."""

    def __init__(self, arguments, directory):
        self.command = [arguments.compiler, "-std=c++17", *WARNINGS, f"-I{arguments.include}"]
        for system in arguments.system:
            self.command += ["-isystem", system]
        self.directory = directory
        self.precompiled = {}

    def run(self, source, *flags):
        command = [*self.command, *flags, "-x", "c++", "-"]
        return subprocess.run(command, input=source, text=True, capture_output=True, check=False)

    def with_xsimd(self, flags):
        """The flags that include what is precompiled of xsimd for these."""
        key = " ".join(flags)
        if key not in self.precompiled:
            header = self.directory / f"xsimd{len(self.precompiled)}.hpp"
            header.write_text("#include <xsimd/xsimd.hpp>\n")
            command = [*self.command, *flags, "-x", "c++-header", str(header), "-o", f"{header}.gch"]
            subprocess.run(command, check=True)
            self.precompiled[key] = ["-Winvalid-pch", "-include", str(header)]
        return self.precompiled[key]

    def check(self, headers, flags, may_include_xsimd):
        """Returns what is wrong with the headers used this way."""
        dependencies = self.directory / "dependencies"
        source = "".join(f"#include <tarn/{header.as_posix()}>\n" * 2 for header in headers)
        to_check = [*flags, "-MD", "-MF", str(dependencies), "-MT", "x", "-fsyntax-only"]
        result = self.run(source, *(self.with_xsimd(flags) if may_include_xsimd else []), *to_check)
        # Only a header that includes xsimd may use what is precompiled.
        if may_include_xsimd and result.returncode == 0 and INCLUDES_XSIMD not in dependencies.read_text():
            result = self.run(source, *to_check)
        if result.returncode != 0:
            return result.stderr.strip() or f"the compiler ended with {result.returncode}"
        included = dependencies.read_text()
        if not may_include_xsimd and XSIMD.search(included):
            return "includes xsimd, which users of tarn::dispatch need not have"
        if not headers[0].name.startswith("eigen") and EIGEN.search(included):
            return "includes Eigen, which only the adapters may"
        return ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True, type=pathlib.Path)
    parser.add_argument("--system", action="append", default=[])
    parser.add_argument("--together", action="store_true")
    arguments = parser.parse_args()

    root = arguments.include / "tarn"
    headers = sorted(path.relative_to(root) for path in root.rglob("*.hpp") if not is_table(path.relative_to(root)))
    count = failures = 0
    reported = set()
    ways = ways_of_use_together if arguments.together else ways_of_use
    with tempfile.TemporaryDirectory() as directory:
        compiler = Compiler(arguments, pathlib.Path(directory))
        for name, used, flags, may_include_xsimd in ways(headers):
            count += 1
            problem = compiler.check(used, flags, may_include_xsimd)
            if not problem:
                continue
            failures += 1
            errors = tuple(line for line in problem.splitlines() if "error:" in line)
            print(f"FAILED {name}")
            print("  as above" if errors and errors in reported else problem)
            reported.add(errors)
    print(f"{len(headers)} headers, {count} ways of use, {failures} failures ({arguments.compiler})")
    sys.exit(failures > 0 or count == 0)


main()
