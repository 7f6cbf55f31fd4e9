#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: examples/run.sh [text file] [--words n]
#
# Builds the examples and runs them: softmax of a std::vector, of an Eigen matrix, and a next-word model counted from the
# text file (default: the GPL that comes with Debian), of which at most n words are read (default 200000). Draws the
# weights that it gives the words, to build/examples/next_word.png.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

for option in "$@"; do
    case $option in
        -h | --help)
            sed -n '4,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
    esac
done

# The preset `release` in a build tree of its own: that of the benches needs more than the examples do.
build="$root/build/examples"
"$root/cmake/bootstrap.sh" build examples
(
    cd "$root"
    cmake --preset release -B "$build" -DTARN_BUILD_BENCH=OFF --log-level=NOTICE >/dev/null
    cmake --build "$build" --target tarn_examples
)

# show <program> [argument]...: runs an example below a headline.
show() {
    printf '\n== examples/%s.cpp\n\n' "$1"
    "$build/examples/$1" "${@:2}"
}

show softmax_vector
show softmax_eigen
table="$build/next_word.tsv" picture="$build/next_word.png"
show next_word --table "$table" "$@"
/usr/bin/python3 "$root/examples/next_word/plot.py" "$table" "$picture"
printf '\nThe weights as a plot: %s\n' "${picture#"$root"/}"
