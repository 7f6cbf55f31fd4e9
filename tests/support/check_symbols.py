#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_symbols.py --compiler C --source FILE --include DIR [--system DIR]... --archive FILE

A linker keeps one of several functions of the same name. Compiles one user's source in every mode, for several instruction
sets and flags, takes the objects of the dispatch library beside them, and checks that

* every mode, instruction set and set of flags has a backend name of its own;
* what an object defines of the library names the backend of that object, so no other object can define it;
* kernel objects define no symbol at all that another file could define too: all of theirs name the backend.
"""
import argparse
import concurrent.futures
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

MODES = {"header-only": [], "dispatch": ["-DTARN_DISPATCH=1"]}
LEVELS = ["x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"]
LEVEL_OF_TIER = {"sse2": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}
PLAIN, ABORTING, FAST_MATH = [], ["-fno-exceptions"], ["-ffast-math", "-DTARN_ALLOW_FAST_MATH"]

# What is compiled in full: all kernels, and every mode with all flags that change what code means. That each of these flags
# alone changes the name is checked without compiling.
USERS = [("header-only", "x86-64", PLAIN),
         ("header-only", "x86-64-v4", ABORTING + FAST_MATH),
         ("dispatch", "x86-64", PLAIN), ("dispatch", "x86-64-v4", PLAIN), ("dispatch", "x86-64", ABORTING + FAST_MATH[:1])]

# Defined by the compiler itself, without code of ours: a pointer to the personality routine, and a call of terminate.
COMPILER_SYMBOLS = {"DW.ref.__gxx_personality_v0", "__clang_call_terminate"}
# tarn::serial and tarn::none: constants without content, the same in every mode.
SHARED_CONSTANTS = {"_ZN4tarn2v06serialE", "_ZN4tarn2v04noneE"}
OWNED = re.compile(r"^_Z(?:T[VISTCW]|G[VRTA]|Z)*N?[rVKRO]*4tarn")
# The tag of functions that are inlined by order, where GCC is kept from doing it.
INLINED = "inlined"
# With optimisation compilers put a copy made for one use in the place of a function that others could define too.
COPY = re.compile(r"\.(?:constprop|isra|part)\b")


class Tools:
    def __init__(self, arguments):
        self.compile = [arguments.compiler, "-std=c++17", f"-I{arguments.include}"]
        for system in arguments.system:
            self.compile += ["-isystem", system]
        # Without optimisation every function that is not inlined by order is there. Both compilers know their names before
        # they have translated them, which takes most of the time. nm reads such objects of GCC through its plugin; GCC
        # is spared the inlining, and functions with the order have a tag in their names instead. Of clang the text of its
        # intermediate code is read, without the functions with the order.
        self.nm = ["nm", "--defined-only", "--format=posix"]
        if "__clang__" in self.output([arguments.compiler, "-dM", "-E", "-x", "c++", os.devnull]):
            self.names_only = ["-O0", "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-S"]
            self.suffix = ".ll"
        else:
            self.names_only = ["-O0", "-flto", "-fno-fat-lto-objects", f'-Dalways_inline=abi_tag("{INLINED}")', "-c"]
            self.suffix = ".o"
            self.nm += ["--plugin", self.output([arguments.compiler, "-print-file-name=liblto_plugin.so"]).strip()]

    @staticmethod
    def output(command, **options):
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True, **options).stdout

    def backend(self, flags):
        """The backend of a file compiled with these flags, as names of symbols have it."""
        source = "#include <tarn/config.hpp>\n#define TARN_TEXT TARN_BACKEND\nTARN_TEXT\n"
        name = self.output([*self.compile, *flags, "-E", "-P", "-x", "c++", "-"], input=source).split()[-1]
        return f"{len(name)}{name}"

    def symbols(self, path):
        """Yields (type, name) of the symbols that the object defines."""
        if path.endswith(".ll"):
            yield from symbols_of_text(pathlib.Path(path).read_text())
            return
        for line in self.output([*self.nm, path]).splitlines():
            name, kind = line.split()[:2]
            if f"B{len(INLINED)}{INLINED}" not in name:
                yield kind, name


def symbols_of_text(code):
    """The same of LLVM's intermediate code: W what other objects may define too, T the rest, nothing private."""
    inlined = {match.group(1) for match in re.finditer(r"^attributes (#\d+) = \{[^}]*\balwaysinline\b", code, re.M)}
    definition = re.compile(r'^(?:define ([^@\n]*)@"?([^"( ]+)"?\(.*?(#\d+)?(?: comdat| align \d+| personality [^{]*|\s)*\{$|'
                            r'@"?([^" ]+)"? = ([^\n]*))', re.M)
    for match in definition.finditer(code):
        linkage, function, attributes, variable, kind = match.groups()
        if function and attributes not in inlined and not re.match(r"(private|internal)\b", linkage):
            yield "W" if "_odr" in linkage or "weak" in linkage else "T", function
        elif variable and not re.match(r"(private|internal|external|available_externally|appending)\b", kind):
            yield "V" if "_odr" in kind or "weak" in kind else "D", variable


def demangle(names):
    return Tools.output(["c++filt"], input="\n".join(names)).splitlines()


def kernel_flags(tier):
    return [f"-march={LEVEL_OF_TIER[tier]}", f"-DTARN_KERNEL_TIER_{tier}=1"]


def all_flags():
    """Every set of flags that must have a backend of its own."""
    for mode, level, exceptions, mathematics in itertools.product(MODES, LEVELS, (PLAIN, ABORTING), (PLAIN, FAST_MATH)):
        yield [f"-march={level}", *MODES[mode], *exceptions, *mathematics]
    for tier in LEVEL_OF_TIER:
        yield kernel_flags(tier)


def objects_of_library(archive, directory):
    """Yields (path, flags, has kernels) for the objects of the dispatch library."""
    subprocess.run(["ar", "x", os.path.abspath(archive)], cwd=directory, check=True)
    for path in sorted(pathlib.Path(directory).glob("*.cpp.o")):
        match = re.search(r"_(sse2|avx2|avx512)\.cpp\.o$", path.name)
        yield str(path), kernel_flags(match.group(1)) if match else ["-march=x86-64", *MODES["dispatch"]], bool(match)


def check_user(tools, path, backend):
    """What the object of a user's file defines of the library without naming its backend."""
    return [name for kind, name in tools.symbols(path)
            if (kind in "uVvWw" or kind.isupper()) and OWNED.match(name) and name not in SHARED_CONSTANTS and backend not in name]


def check_library(tools, path, backend, kernels):
    """What an object of the library offers in the place of another file's, or would if it had not made a copy of it."""
    names = []
    for kind, name in tools.symbols(path):
        replaceable = kind in "uVvWw" or (kind == "t" and COPY.search(name))
        ours = name in COMPILER_SYMBOLS or (OWNED.match(name) is None and not kernels)
        if replaceable and not ours and backend not in name:
            names.append(name)
    return names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--system", action="append", default=[])
    parser.add_argument("--archive", required=True)
    arguments = parser.parse_args()
    tools = Tools(arguments)
    failures = []

    def user(job):
        number, (mode, level, flags) = job
        flags = [f"-march={level}", *MODES[mode], *flags]
        path = os.path.join(users, f"{number}{tools.suffix}")
        subprocess.run([*tools.compile, *tools.names_only, *flags, arguments.source, "-o", path], check=True)
        return " ".join(flags), check_user(tools, path, tools.backend(flags)), len(list(tools.symbols(path)))

    with tempfile.TemporaryDirectory() as users, tempfile.TemporaryDirectory() as library, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        flags_of = {}
        for flags, backend in zip(all_flags(), pool.map(tools.backend, all_flags())):
            if flags_of.setdefault(backend, flags) is not flags:
                failures.append(f"one backend, {backend}: {' '.join(flags_of[backend])} and {' '.join(flags)}")
        checked = list(pool.map(user, enumerate(USERS)))
        kernel_objects = 0
        for path, flags, kernels in objects_of_library(arguments.archive, library):
            kernel_objects += kernels
            wrong = check_library(tools, path, tools.backend(flags), kernels)
            checked.append((os.path.basename(path), wrong, len(list(tools.symbols(path)))))
    for what, wrong, symbols in checked:
        failures += [f"{what}: does not name its backend: {name}" for name in demangle(wrong)]
        if symbols == 0:
            failures.append(f"{what}: no symbols")
    if kernel_objects == 0:
        failures.append("no kernel objects")
    print("\n".join(failures))
    print(f"{len(flags_of)} backends, {len(checked)} objects, {sum(symbols for _, _, symbols in checked)} symbols, "
          f"{len(failures)} failures ({arguments.compiler})")
    sys.exit(bool(failures))


main()
