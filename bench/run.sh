#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: bench/run.sh [family] [options]
#
#   bench/run.sh                                   all families, the shapes that the targets are about (20 minutes with --seconds 1)
#   bench/run.sh --list                            the families
#   bench/run.sh log_softmax                       one family; softmax_backward is the gradients of all
#   bench/run.sh softmax --shape 4096x1000         one shape; ends with one line in plain words
#   bench/run.sh logsumexp --shape 1000x4096 --axis 0
#   bench/run.sh softmax --shape 64x1000 --hard    masks, wide ranges and NaN against ordinary input
#   bench/run.sh softmax --type bfloat16 --type float16 --peers    the same set in 16 bits
#   bench/run.sh softmax --shape 1x64000000 --condition cold --threads 2
#
#   bench/run.sh --peers --report                  one page about softmax with plots, build/report/index.html (20 minutes);
#                      --quick: coarse, 3 minutes; interrupted, it goes on where it was, unless --fresh
#
#   bench/run.sh --semantics                       what tarn and others return for special values: bench/report/semantics.md
#
#   --peers            with further peers: ATen, oneDNN 3, ONNX Runtime, SLEEF (installs them: 1.5 GB)
#   --type double      elements of another type (double, bfloat16, float16), against float and peers that have it
#   --threads n        for the library and those peers that have threads
#   --input "normal*50" --input "half -inf"        with --shape: logits, for everybody
#   --condition hot    with --shape: hot or cold only
#   --tier avx2        only this tier of the library (avx512, avx2, sse2)
#   --seconds s        time for each row of the table (default 5)
#   --update-targets   write what was reached on this machine into bench/targets.csv
#
# Prepares the machine, builds, measures on one core, prints every row when it is finished and then the targets. All figures
# are in build/bench/<family>.csv, or <family>-selection.csv if options choose what is measured. Control-C keeps the rows
# that are finished.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# The families in the order in which they are measured.
all_families() {
    local file
    for file in "$root"/bench/bench_*.cpp; do
        file=${file##*/bench_}
        echo "${file%.cpp}"
    done | awk '{ print ($1 == "softmax" ? 0 : 1), $1 }' | sort | cut -d' ' -f2
}

# Every family with the sentence that its program begins with.
list_families() {
    local family
    for family in $(all_families); do
        printf '%-16s %s\n' "$family" "$(sed -n '3s|^// ||p' "$root/bench/bench_$family.cpp")"
    done
}

mapfile -t families < <(all_families)
if (($# > 0)) && [[ $1 != -* ]]; then
    families=("$1")
    shift
    if [[ ! -e $root/bench/bench_${families[0]}.cpp ]]; then
        echo "bench/run.sh: there is no bench of '${families[0]}'; the families are:" >&2
        list_families >&2
        exit 2
    fi
fi

update=0
parts=(build bench)
report=0
report_options=()
semantics=0
environment=
peers=()
options=()

add_peers() {
    parts+=(peers)
    environment=$root/build/peers-venv
    peers=(--peers)
}

for option in "$@"; do
    case $option in
        -h | --help)
            sed -n '4,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --list)
            list_families
            exit 0
            ;;
        --update-targets) update=1 ;;
        --report)
            report=1
            parts+=(report)
            families=(softmax)
            ;;
        --semantics)
            semantics=1
            families=()
            add_peers
            ;;
        --quick | --fresh) report_options+=("$option") ;;
        --peers) add_peers ;;
        *) options+=("$option") ;;
    esac
done

"$root/cmake/bootstrap.sh" "${parts[@]}"
cd "$root"
cmake --preset release --log-level=NOTICE -DTARN_BUILD_EXAMPLES=OFF -DTARN_BENCH_PEERS="$environment"
targets=(${families[@]+"${families[@]/#/bench_}"})
((!semantics)) || targets+=(semantics)
cmake --build --preset release --target "${targets[@]}"
if [[ $environment ]]; then
    cmake --build --preset release --target tarn_bench_further_peers -- -k 0 ||
        echo "skipped: peers that could not be built; the bench goes on without them" >&2
fi
mkdir -p build/bench
# What is measured; the targets file, which changes on the way, is no part of it.
version="$(git describe --always 2>/dev/null || echo unknown)"
if ! git diff --quiet HEAD -- . ':(exclude)bench/targets.csv' 2>/dev/null; then
    version+=-dirty
    ((!update)) || echo "bench/run.sh: the figures are of changes that are not committed: noted as $version" >&2
fi

# measure <family>: measures and reports.
measure() {
    local family=$1 figures=build/bench/$1.csv status=0
    ((${#options[@]} == 0)) || figures=build/bench/$family-selection.csv

    # Interrupted, the bench has already written its finished rows; the report is about those.
    trap : INT
    build/release/bench/"bench_$family" --csv "$figures" ${peers[@]+"${peers[@]}"} ${options[@]+"${options[@]}"} || status=$?
    trap - INT
    if ((status != 0 && status != 130)); then
        return "$status"
    fi

    local report=(/usr/bin/python3 bench/report/targets.py --figures "$figures" --targets bench/targets.csv)
    if ((update)); then
        report+=(--update-targets "$version")
    fi
    "${report[@]}" || status=$?
    return "$status"
}

if ((semantics)); then
    /usr/bin/python3 bench/report/semantics.py --program build/release/bench/semantics --page bench/report/semantics.md \
        ${peers[@]+"${peers[@]}"}
fi

if ((report)); then
    trap : INT # the report ends by itself and keeps what it has
    status=0
    /usr/bin/python3 bench/report/make_report.py --program build/release/bench/bench_softmax --targets bench/targets.csv \
        --folder build/report --commit "$version" \
        ${peers[@]+"${peers[@]}"} ${report_options[@]+"${report_options[@]}"} || status=$?
    exit "$status"
fi

for family in "${families[@]}"; do
    measure "$family"
done
