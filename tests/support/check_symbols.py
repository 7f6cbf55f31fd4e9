#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_symbols.py --compiler C --source FILE --include DIR [--system DIR]... --archive FILE

A linker keeps one of several functions of the same name. Compiles one user's source in every mode, for several instruction
sets, with and without optimisation, takes the objects of the dispatch library beside them, and checks that

* no symbol of the library is defined in two objects of different mode or instruction set;
* kernel objects define no symbol that another file could define too: all of theirs name the backend. This is checked
  on the library's objects and on others made with -O1: with more optimisation, copies made for one use hide functions.
"""
import argparse
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

USERS = [("header-only", "x86-64"), ("header-only", "x86-64-v3"), ("header-only", "x86-64-v4"),
         ("dispatch", "x86-64"), ("dispatch", "x86-64-v4")]
OPTIMISATIONS = ["-O0", "-O2"]
LEVEL_OF_TIER = {"sse2": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}

# Defined by the compiler itself, without code of ours: a pointer to the personality routine, and a call of terminate.
COMPILER_SYMBOLS = {"DW.ref.__gxx_personality_v0", "__clang_call_terminate"}
OWNED = re.compile(r"^_Z(?:T[VISTCW]|G[VRTA]|Z)*N?[rVKRO]*4tarn")
BACKEND = re.compile(r"dispatch_kernels_[a-z0-9_]+")


def defined_symbols(path):
    """Yields (type, name) of the symbols that the object offers to others."""
    output = subprocess.run(["nm", "--defined-only", "--format=posix", path], text=True, capture_output=True, check=True)
    for line in output.stdout.splitlines():
        name, kind = line.split()[:2]
        if kind in "uVvWw" or kind.isupper():
            yield kind, name


def demangle(names):
    return subprocess.run(["c++filt"], input="\n".join(names), text=True, capture_output=True, check=True).stdout.splitlines()


def compile_object(arguments, path, *options):
    command = [arguments.compiler, "-std=c++17", f"-I{arguments.include}"]
    for system in arguments.system:
        command += ["-isystem", system]
    subprocess.run([*command, *options, "-o", path], check=True)


def compile_users(arguments, directory):
    """Yields (group, object) for the user's source in each mode, for each level, with each optimisation."""
    for (mode, level), optimisation in itertools.product(USERS, OPTIMISATIONS):
        path = os.path.join(directory, f"{mode} {level} {optimisation}")
        definitions = ["-DTARN_DISPATCH=1"] if mode == "dispatch" else []
        compile_object(arguments, path, optimisation, f"-march={level}", *definitions, "-c", arguments.source)
        yield f"{mode} {level}", path


def compile_kernels(arguments, directory):
    """Yields (group, object) for the kernels of each family and tier."""
    for header in sorted(pathlib.Path(arguments.include).glob("tarn/dispatch/*_kernels.hpp")):
        for tier, level in LEVEL_OF_TIER.items():
            path = os.path.join(directory, f"{header.stem} {tier} -O1")
            source = os.path.join(directory, "kernels.cpp")
            pathlib.Path(source).write_text(f"#define TARN_KERNEL_TIER_{tier} 1\n#include <tarn/dispatch/{header.name}>\n")
            compile_object(arguments, path, "-O1", f"-march={level}", "-c", source)
            yield f"kernels {level}", path


def extract_library(arguments, directory):
    """Yields (group, object) for the objects of the dispatch library."""
    subprocess.run(["ar", "x", os.path.abspath(arguments.archive)], cwd=directory, check=True)
    for path in sorted(pathlib.Path(directory).glob("*.cpp.o")):
        match = re.search(r"_(sse2|avx2|avx512)\.cpp\.o$", path.name)
        yield (f"kernels {LEVEL_OF_TIER[match.group(1)]}" if match else "dispatch x86-64"), str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--system", action="append", default=[])
    parser.add_argument("--archive", required=True)
    arguments = parser.parse_args()

    failures = []
    groups = {}  # name of a symbol of the library -> groups of the objects that define it
    with tempfile.TemporaryDirectory() as users, tempfile.TemporaryDirectory() as library:
        objects = [*compile_users(arguments, users), *compile_kernels(arguments, users), *extract_library(arguments, library)]
        kernel_objects = 0
        for group, path in objects:
            foreign = []
            for kind, name in defined_symbols(path):
                if OWNED.match(name):
                    groups.setdefault(name, set()).add(group)
                if group.startswith("kernels") and kind in "uVvWw" and name not in COMPILER_SYMBOLS and not BACKEND.search(name):
                    foreign.append(name)
            kernel_objects += group.startswith("kernels")
            failures += [f"{os.path.basename(path)}: symbol without a backend: {name}" for name in demangle(foreign)]

    shared = sorted(name for name, where in groups.items() if len(where) > 1)
    for name, text in zip(shared, demangle(shared)):
        failures.append(f"shared by {', '.join(sorted(groups[name]))}: {text}")
    if kernel_objects == 0 or not groups:
        failures.append("nothing to check: no kernel objects, or no symbols of the library")
    print("\n".join(failures))
    print(f"{len(objects)} objects, {len(groups)} symbols of the library, {len(failures)} failures ({arguments.compiler})")
    sys.exit(bool(failures))


main()
