#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: bench/run.sh [family] [options]
#
#   bench/run.sh                                   the set that the targets are about (about 3 minutes)
#   bench/run.sh softmax --shape 4096x1000         one shape; ends with one line in plain words
#   bench/run.sh softmax --shape 1000x4096 --axis 0
#   bench/run.sh softmax --shape 64x1000 --hard    masks, wide ranges and NaN against ordinary input
#
#   --tier avx2        only this tier of the library (avx512, avx2, sse2)
#   --seconds s        time for each row of the table (default 5)
#   --update-targets   write what was reached into bench/targets.csv
#
# Prepares the machine, builds, measures on one core, prints every row when it is finished and then the targets. All figures
# are in build/bench/<family>.csv, or <family>-selection.csv if options choose what is measured. Control-C keeps the rows
# that are finished.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

family=softmax
if (($# > 0)) && [[ $1 != -* ]]; then
    family=$1
    shift
fi
if [[ ! -e $root/bench/bench_$family.cpp ]]; then
    echo "bench/run.sh: there is no bench of '$family'" >&2
    exit 2
fi

update=0
options=()
for option in "$@"; do
    case $option in
        -h | --help)
            sed -n '4,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --update-targets) update=1 ;;
        *) options+=("$option") ;;
    esac
done

"$root/cmake/bootstrap.sh" build bench
cd "$root"
cmake --preset release --log-level=NOTICE
cmake --build --preset release --target "bench_$family"

mkdir -p build/bench
figures=build/bench/$family.csv
((${#options[@]} == 0)) || figures=build/bench/$family-selection.csv

# Interrupted, the bench has already written its finished rows; the report is about those.
trap : INT
status=0
build/release/bench/"bench_$family" --csv "$figures" ${options[@]+"${options[@]}"} || status=$?
trap - INT
if ((status != 0 && status != 130)); then
    exit "$status"
fi

report=(/usr/bin/python3 bench/report/targets.py --figures "$figures" --targets bench/targets.csv)
if ((update)); then
    report+=(--update-targets "$(git describe --always --dirty 2>/dev/null || echo unknown)")
fi
"${report[@]}"
exit "$status"
