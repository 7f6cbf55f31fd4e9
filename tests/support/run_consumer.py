#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: run_consumer.py <kind> --source DIR --build DIR --compiler C --xsimd DIR

Builds and runs a project that uses tarn the way <kind> says. The installed trees are moved before they are used.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

SKIPPED = 77


class Consumer:
    def __init__(self, arguments):
        self.source = arguments.source
        self.projects = arguments.source / "tests" / "consumer"
        self.library_build = arguments.build
        self.compiler = arguments.compiler
        self.xsimd = arguments.xsimd
        self.work = arguments.build / "consumer" / arguments.kind
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)

    def run(self, *command, **options):
        print("+", shlex.join(map(str, command)), flush=True)
        return subprocess.run(list(map(str, command)), check=True, **options)

    def configure(self, project, *options):
        self.run("cmake", "-S", self.projects / project, "-B", self.work / "build", "-G", "Ninja",
                 f"-DCMAKE_CXX_COMPILER={self.compiler}", *options)

    def build(self):
        self.run("cmake", "--build", self.work / "build", "-j", "2")

    def run_program(self, name):
        self.run(self.work / "build" / name)

    def installed(self):
        """Returns a prefix with an installed tarn that lies elsewhere than it was installed."""
        self.run("cmake", "--install", self.library_build, "--prefix", self.work / "first", stdout=subprocess.DEVNULL)
        prefix = self.work / "moved"
        (self.work / "first").rename(prefix)
        for file in prefix.rglob("*.[cp]*"):
            if file.suffix in (".cmake", ".pc") and str(self.work.parent.parent) in file.read_text():
                sys.exit(f"{file} names the place where it was built or installed")
        return prefix

    def version(self):
        text = (self.source / "include" / "tarn" / "version.hpp").read_text()
        return ".".join(re.findall(r"#define TARN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))

    def compile(self, name, sources, flags):
        self.run(self.compiler, "-std=c++17", *(self.projects / source for source in sources), *flags,
                 "-o", self.work / name)
        self.run(self.work / name)


def fetch_content(consumer):
    consumer.configure("fetch_content", f"-DCONSUMED_SOURCE_DIR={consumer.source}")
    consumer.build()
    consumer.run_program("consumer")
    if list(consumer.work.rglob("*tarn_dispatch.a")):
        sys.exit("tarn::dispatch was built although nothing links it")


def add_subdirectory(consumer):
    consumer.configure("add_subdirectory", f"-DCONSUMED_SOURCE_DIR={consumer.source}", "-DCMAKE_BUILD_TYPE=Debug",
                       "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    flags_of_tier = {}
    families = set()
    for entry in json.loads((consumer.work / "build" / "compile_commands.json").read_text()):
        if "tarn_dispatch" in entry["command"]:
            if re.findall(r"\s-(O\S*|f(?:no-)?lto)\b", entry["command"])[-2:] != ["O2", "fno-lto"]:
                sys.exit(f"not optimised, or with link-time optimisation: {entry['command']}")
            found = re.fullmatch(r"(\w+)_(sse2|avx2|avx512)", pathlib.Path(entry["file"]).stem)
            if found:
                family, tier = found.groups()
                families.add(family)
                flags_of_tier.setdefault(tier, set()).add(entry["command"].replace(f"{family}_{tier}", ""))
    if len(flags_of_tier) != 3 or any(len(flags) != 1 for flags in flags_of_tier.values()):
        sys.exit(f"not one set of flags for every tier: {flags_of_tier}")
    # To build one of them is enough.
    only = "softmax_state"
    print(f"families with the same flags: {', '.join(sorted(families))}; built: {only}")
    consumer.configure("add_subdirectory", f"-DTARN_DISPATCH_FAMILIES={only}")
    consumer.build()
    consumer.run_program("consumer")
    consumer.run(sys.executable, pathlib.Path(__file__).with_name("check_instructions.py"),
                 consumer.work / "build" / "tarn" / "libtarn_dispatch.a")


def find_package(consumer):
    consumer.configure("find_package", f"-DCMAKE_PREFIX_PATH={consumer.installed()}",
                       f"-DEXPECTED_VERSION={consumer.version()}")
    consumer.build()
    consumer.run_program("consumer_header_only")
    consumer.run_program("consumer_dispatch")


def pkg_config(consumer):
    if subprocess.run(["pkg-config", "--exists", "xsimd >= 8.1"], check=False).returncode != 0:
        print("skipped: pkg-config knows no xsimd, which the header-only library requires")
        sys.exit(SKIPPED)
    prefix = consumer.installed()
    folders = [str(folder) for folder in prefix.rglob("pkgconfig")]
    environment = {**os.environ, "PKG_CONFIG_PATH": os.pathsep.join(folders)}
    for package in ("tarn", "tarn-dispatch"):
        query = ["pkg-config", "--cflags", "--libs", f"{package} = {consumer.version()}"]
        flags = subprocess.run(query, env=environment, text=True, capture_output=True, check=True).stdout
        consumer.compile(package, ["state.cpp"] if package == "tarn" else ["main.cpp", "sum.cpp"], shlex.split(flags))


def plain_include(consumer):
    # Naming the compiler's own header directory again would break its search order.
    xsimd = [] if consumer.xsimd == pathlib.Path("/usr/include") else ["-isystem", consumer.xsimd]
    flags = ["-I", consumer.source / "include", *xsimd]
    # Two files of a program: what headers define stands in both.
    other = consumer.work / "other.o"
    consumer.run(consumer.compiler, "-std=c++17", "-Dmain=other", "-c", consumer.projects / "state.cpp", *flags, "-o", other)
    consumer.compile("program", ["state.cpp"], [*flags, other])


def xsimd_search(consumer):
    from_source = f"-DCONSUMED_SOURCE_DIR={consumer.source}"
    from_package = f"-DCMAKE_PREFIX_PATH={consumer.installed()}"
    nowhere = f"-DTARN_XSIMD_INCLUDE_DIR={consumer.work / 'nowhere'}"
    old = consumer.work / "old" / "xsimd"
    (old / "config").mkdir(parents=True)
    (old / "xsimd.hpp").touch()
    (old / "config" / "xsimd_config.hpp").write_text(
        "#define XSIMD_VERSION_MAJOR 8\n#define XSIMD_VERSION_MINOR 0\n#define XSIMD_VERSION_PATCH 5\n")
    tree = consumer.work / "tree"
    (tree / "include").mkdir(parents=True)
    (tree / "include" / "xsimd").symlink_to(consumer.xsimd / "xsimd")
    package = tree / "lib" / "cmake" / "xsimd"
    package.mkdir(parents=True)

    # (what, options, linked target, does it configure?, text in the output)
    stopped = "needs_xsimd_8.1.0_or_newer"
    cases = [
        ("none, unused", [from_source, nowhere], "", True, "no xsimd headers there"),
        ("none, header-only", [from_source, nowhere], "tarn::tarn", False, stopped),
        ("none, dispatch", [from_source, nowhere], "tarn::dispatch", False, stopped),
        ("too old", [from_source, f"-DTARN_XSIMD_INCLUDE_DIR={old.parent}"], "tarn::tarn", False, "found 8.0.5"),
        ("none, installed header-only", [from_package, nowhere], "tarn::tarn", False, stopped),
        ("none, installed dispatch", [from_package, nowhere], "tarn::dispatch", True, "no xsimd headers there"),
        ("named", [from_source, f"-DTARN_XSIMD_INCLUDE_DIR={tree / 'include'}"], "tarn::tarn", True, f"in {tree}"),
        ("target of the project", [from_source, f"-DOWN_XSIMD={tree / 'include'}"], "tarn::tarn", True, "(target xsimd)"),
        ("found", [from_source], "tarn::dispatch", True, "tarn: xsimd "),
        ("in a prefix", [from_source, f"-DCMAKE_PREFIX_PATH={tree}"], "tarn::tarn", True, f"in {tree}/include (header search)"),
        ("by root", [from_source, f"-Dxsimd_ROOT={tree}"], "tarn::tarn", True, f"in {tree}/include (header search)"),
        ("by package", [from_source, f"-Dxsimd_DIR={package}"], "tarn::tarn", True, f"in {tree}/include (header search)"),
        ("downloaded", [from_source, nowhere, "-DTARN_FETCH_DEPS=ON", f"-DFETCHCONTENT_SOURCE_DIR_XSIMD={tree}"],
         "tarn::tarn", True, "(downloaded)"),
    ]
    failures = 0
    for what, options, linked, configures, text in cases:
        build = consumer.work / "build"
        shutil.rmtree(build, ignore_errors=True)
        result = subprocess.run(["cmake", "-S", consumer.projects / "xsimd_search", "-B", build, "-G", "Ninja",
                                 f"-DCMAKE_CXX_COMPILER={consumer.compiler}", f"-DLINKED={linked}", *options],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        good = (result.returncode == 0) == configures and text in result.stdout
        print(f"{'ok' if good else 'FAILED'}: {what}")
        if not good:
            failures += 1
            print(result.stdout)
    sys.exit(failures > 0)


KINDS = {function.__name__: function for function in
         (fetch_content, add_subdirectory, find_package, pkg_config, plain_include, xsimd_search)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--xsimd", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        KINDS[arguments.kind](Consumer(arguments))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{shlex.join(map(str, error.cmd))}: exit code {error.returncode}\n{error.stderr or ''}")


main()
