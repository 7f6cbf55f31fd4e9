#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs every special value through every implementation and writes what they return as a page of tables."""
import argparse
import datetime
import subprocess

METHODS = ("tarn", "ATen", "oneDNN", "oneDNN 3", "ONNX Runtime", "Eigen expression")
ABSENT = "no such operator"
HEAD = """# What softmax libraries return for special values

Written by `bench/run.sh --semantics` on {date}, with {versions}, on {machine}: other code paths of these libraries may
return something else.

Each case is one row of 40 float elements (or as many as named) beside an ordinary row. A cell has what the elements in
question become and, after "elsewhere", the other elements of the row; *right* is within 1e-4 of the exact result, and a
number that is not says the exact one. **Bold** differs from tarn; - is an operator that the library does not have.
"""


def run_method(program, method, peers):
    """[(operator, case, version, result)] of every case; a case that ends the program is noted and left behind."""
    results = []
    while True:
        call = [program, method, "--first", str(len(results))] + (["--peers"] if peers else [])
        run = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
        for line in run.stdout.splitlines():
            case, version, result = line.split("\t")
            operator, name = case.split(": ", 1)
            results.append((operator, name, version, result))
        if run.returncode >= 0:
            run.check_returncode()
            return results
        results.append(("", "", "", f"ends the program (signal {-run.returncode})"))


def cell(result, own):
    if result == ABSENT:
        return "-"
    return result if result == own else f"**{result}**"


def machine_of(program):
    return subprocess.run([program, "--machine"], stdout=subprocess.PIPE, text=True, check=True).stdout


def write_page(path, machine, columns):
    """`columns`: method -> results, tarn first."""
    own = columns[METHODS[0]]
    versions = {method: next((version for _, _, version, _ in results if version), "(not there)")
                for method, results in columns.items()}
    listed = ", ".join(f"{method} {version}" for method, version in versions.items())
    parts = [HEAD.format(date=datetime.date.today().isoformat(), versions=listed, machine=machine)]
    for operator in dict.fromkeys(operator for operator, *_ in own):
        parts.append(f"## {operator}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n")
        for k, (of, name, _, result) in enumerate(own):
            if of == operator:
                cells = " | ".join(cell(results[k][3], result) for results in columns.values())
                parts[-1] += f"| {name} | {cells} |\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="bench/semantics of the build")
    parser.add_argument("--page", required=True, help="the page to write")
    parser.add_argument("--peers", action="store_true", help="with further peers")
    arguments = parser.parse_args()
    write_page(arguments.page, machine_of(arguments.program),
               {method: run_method(arguments.program, method, arguments.peers) for method in METHODS})
    print(f"special values: {arguments.page}")


if __name__ == "__main__":
    main()
