#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: tests/run.sh [all | softmax | masks | pooling | tokens | preset...]
#
# Installs what is missing, builds, and runs every test. Without an argument: everything on the kernels of clang, which
# compile fastest, with thinned sweeps. all: both compilers, full sweeps, and the sanitizers. softmax (with log_softmax,
# gradients and state), masks (with softpick and top_k), pooling, tokens: clang's kernels of these operators and their
# tests alone. The exit code tells whether all passed; the last lines tell what was skipped, which steps were slowest, and
# the counts.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

# Of the operators that can be tested alone: their families of kernels, with those of softmax, which all tests of programs
# call; and the names of their tests.
declare -A kernels_of=(
    [softmax]="softmax;log_softmax;softmax_backward;softmax_state"
    [masks]="softmax_backward;masked_softmax;masked_softmax_backward;softpick;top_k;sparse_softmax"
    [pooling]="softmax;pool;pool_backward;gem;gem_backward;soft_pool;soft_pool_backward;ada_pool;ada_pool_backward;ada_unpool"
    [tokens]="softmax;token_pool;token_merge;token_cluster"
)
declare -A tests_of=(
    [softmax]='^((log_)?softmax|logsumexp|logaddexp|double|long_rows|adjacent_axes|operator_threads|stored_operators)'
    [masks]='^(masked_softmax|softpick|top_k|sparse_softmax)'
    [pooling]='^(pool|gem|soft_pool|ada)'
    [tokens]='^(token|tome|merge)'
)

kernels=all include=. checks=()
if (($# == 1)) && [[ ${kernels_of[$1]-} ]]; then
    kernels=${kernels_of[$1]} include=${tests_of[$1]} checks=(-DTARN_TEST_CHECKS=none -DTARN_TEST_HEADER_ONLY_LEVELS=)
    echo "left out: other operators, header-only kernels, and checks of headers, symbols and errors of compilation"
    set --
fi

if (($# == 0)); then
    presets=(clang)
    export TARN_TEST_THINNED="for a short run; tests/run.sh all sweeps in full"
elif [[ $* == all ]]; then
    presets=(clang dev asan-ubsan)
else
    presets=("$@")
fi
jobs="$(nproc)"
results="$root/build/test-results"
newer_xsimd="$root/build/deps/xsimd-14.1/include"

# step <name> <command>...: runs the command and notes the seconds it took.
step() {
    local name=$1 start=$EPOCHREALTIME
    shift
    echo "== $name"
    "$@"
    printf '%s\t%s\n' "$(/usr/bin/python3 -c "print($EPOCHREALTIME - $start)")" "$name" >>"$results/steps.tsv"
}

mkdir -p "$results"
: >"$results/steps.tsv"
cmake/bootstrap.sh build tests

# One CTest run over the build trees of all presets.
: >"$results/CTestTestfile.cmake"
for preset in "${presets[@]}"; do
    options=("-DTARN_DISPATCH_FAMILIES=$kernels" ${checks[@]+"${checks[@]}"})
    if [[ $preset == clang && -d $newer_xsimd ]]; then
        options+=("-DTARN_XSIMD_INCLUDE_DIR=$newer_xsimd")
    fi
    # One after the other, the programs of dev test the kernels of both compilers.
    others=
    if [[ " ${presets[*]} " == *" clang dev "* ]]; then
        include='^(views|include_order)|_header_only'
        others="clang=$root/build/clang/libtarn_dispatch.a"
    fi
    case $preset in
    clang) options+=("-DTARN_TEST_INCLUDE=$include") ;;
    dev) options+=("-DTARN_TEST_OTHER_LIBRARIES=$others") ;;
    esac
    step "$preset: configure" cmake --preset "$preset" "${options[@]}"
    step "$preset: build" cmake --build --preset "$preset" -j "$jobs"
    echo "subdirs(\"$root/build/$preset\")" >>"$results/CTestTestfile.cmake"
done

status=0
ctest --test-dir "$results" -j "$jobs" --output-on-failure --no-tests=error --test-output-size-passed 10000000 \
    --output-junit "$results/junit.xml" | tee "$results/ctest.log" || status=$?
/usr/bin/python3 tests/support/summarize.py "$results" || status=1
exit "$status"
