#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: cmake/bootstrap.sh [build] [tests] [emulator] [bench] [peers] [report] [examples]
#
# Makes sure that what these parts need is on this machine: looks for what is there and installs only what is missing, from
# the distribution (Debian or a relative). Touches no network when nothing is missing. Without the right to install it
# prints the one line to run, and fails. `peers` are what the bench compares with beyond the distribution's packages: Python
# wheels in build/peers-venv (1.5 GB); one that cannot be had is named and left out.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python=/usr/bin/python3

# A wheel that carries the headers of a current xsimd: the tests run on it as well as on the distribution's older one.
xsimd_name=xsimd-14.1
xsimd_wheel='pythran==0.19.0 --hash=sha256:42ab2039b4eaec01084e92a2721a474e893047ba5ec87b14d45ee077ac883d08'
xsimd_wheel_folder=pythran/xsimd
xsimd_target="$root/build/deps/$xsimd_name"

# Further peers of the bench, each by its name and the wheels that it takes.
#   ATen       the wheel is built with CUDA, whose run-time library the CPU part wants to find as well.
#   oneDNN 3   the newest wheel with an engine for CPUs; those after it reach CPUs through SYCL devices only, and no wheel
#              brings such a device.
peers_venv="$root/build/peers-venv"
peers=(
    "ATen: torch==2.15.0 nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86"
    "oneDNN 3: onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0"
    "ONNX Runtime: onnxruntime==1.32.0"
)

missing=()
missing_optional=()

has_command() { command -v "$1" >/dev/null 2>&1; }
has_header() { [[ -e /usr/include/$1 || -e /usr/local/include/$1 ]]; }
has_package() { dpkg -s "$1" 2>/dev/null | grep -q '^Status: install ok installed$'; }

# need <package> <probe> [argument]: notes the package as missing unless the probe, or dpkg, finds it.
need() {
    local package=$1 probe=$2 argument=${3:-$1}
    "$probe" "$argument" || has_package "$package" || [[ " ${missing[*]} " == *" $package "* ]] || missing+=("$package")
}

# want ...: the same for what the part can do without.
want() {
    local package=$1 probe=$2 argument=${3:-$1}
    "$probe" "$argument" || has_package "$package" || missing_optional+=("$package")
}

need_for_build() {
    need g++ has_command
    need cmake has_command
    need ninja-build has_command ninja
    need libxsimd-dev has_header xsimd/xsimd.hpp
}

need_for_tests() {
    need libeigen3-dev has_header eigen3/Eigen/Core
    need libgtest-dev has_header gtest/gtest.h
    need librapidcheck-dev has_header rapidcheck.h
    need clang has_command clang++
    need libclang-rt-dev has_package
    need qemu-user has_command qemu-x86_64
    need pkgconf has_command pkg-config
    need python3 has_command "$python"
    [[ -d $xsimd_target ]] || "$python" -c 'import pip' 2>/dev/null || want python3-pip has_package
}

need_for_emulator() {
    need bochs has_command
    need bochsbios has_package
    need isolinux has_package
    need syslinux-common has_package
    need xorriso has_command
    need cpio has_command
    need busybox-static has_package
}

need_for_bench() {
    need libbenchmark-dev has_header benchmark/benchmark.h
    need libcli11-dev has_header CLI/CLI.hpp
    need libeigen3-dev has_header eigen3/Eigen/Core
    need python3 has_command "$python"
    want libdnnl-dev has_header oneapi/dnnl/dnnl.hpp
}

need_for_peers() {
    need python3 has_command "$python"
    "$python" -c 'import ensurepip' 2>/dev/null || need python3-venv has_package
    want libsleef-dev has_header sleef.h
}

need_for_report() {
    "$python" -c 'import matplotlib' 2>/dev/null || need python3-matplotlib has_package
}

need_for_examples() {
    need libeigen3-dev has_header eigen3/Eigen/Core
    need libcli11-dev has_header CLI/CLI.hpp
    need libstb-dev has_header stb/stb_image.h
    need_for_report # plots
}

# apt_install <package>...: tells what it does first.
apt_install() {
    local install=(apt-get install -y --no-install-recommends "$@") as_root=()
    if ! has_command apt-get; then
        echo "bootstrap: missing: $*. Install them with this system's package manager." >&2
        return 1
    fi
    if [[ $(id -u) != 0 ]]; then
        if ! has_command sudo || ! sudo -n true 2>/dev/null; then
            echo "bootstrap: run this, then start again:" >&2
            echo "    sudo apt-get update && sudo ${install[*]}" >&2
            return 1
        fi
        as_root=(sudo -n)
    fi
    echo "bootstrap: installing $*"
    "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=600 update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -o DPkg::Lock::Timeout=600 -qq
}

# Brings the newer xsimd into the build tree, once.
provide_newer_xsimd() {
    [[ ! -d $xsimd_target ]] || return 0
    local scratch
    mkdir -p "$root/build/deps"
    scratch="$(mktemp -d "$root/build/deps/$xsimd_name.XXXXXX")"
    echo "bootstrap: fetching the headers of $xsimd_name"
    echo "$xsimd_wheel" >"$scratch/requirements.txt"
    if "$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --requirement "$scratch/requirements.txt" --dest "$scratch" &&
        "$python" -m zipfile -e "$scratch"/*.whl "$scratch/wheel"; then
        mkdir -p "$scratch/tree/include"
        mv "$scratch/wheel/$xsimd_wheel_folder" "$scratch/tree/include/xsimd"
        mv "$scratch/tree" "$xsimd_target"
    else
        echo "skipped: tests on $xsimd_name (the download was refused); the tests run on the installed xsimd only" >&2
    fi
    rm -rf "$scratch"
}

# Brings a kernel for the emulated machine into the build tree, once; it is not installed.
provide_kernel() {
    local target="$root/build/deps/emulator" package scratch
    [[ ! -e $target/vmlinuz ]] || return 0
    package="$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')"
    if [[ -z $package ]]; then
        echo "bootstrap: the lists of packages are missing: run apt-get update, then start again" >&2
        return 1
    fi
    mkdir -p "$target"
    scratch="$(mktemp -d "$target/kernel.XXXXXX")"
    echo "bootstrap: fetching $package"
    (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg-deb -x ./*.deb files)
    mv "$scratch"/files/boot/vmlinuz-* "$target/vmlinuz"
    rm -rf "$scratch"
}

# has_wheel <name>==<version>: whether the environment of the peers has it.
has_wheel() {
    local name=${1%%==*} version=${1##*==}
    compgen -G "$peers_venv/lib/python3*/site-packages/${name//-/_}-$version.dist-info" >/dev/null
}

# Installs the further peers that are missing, each for itself.
provide_peers() {
    local peer wheel wheels lacks
    for peer in "${peers[@]}"; do
        read -ra wheels <<<"${peer#*: }"
        lacks=0
        for wheel in "${wheels[@]}"; do
            has_wheel "$wheel" || lacks=1
        done
        ((lacks)) || continue
        echo "bootstrap: installing ${peer%%:*} into build/peers-venv: ${wheels[*]}"
        [[ -x $peers_venv/bin/pip ]] || "$python" -m venv "$peers_venv"
        "$peers_venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: "${wheels[@]}" ||
            echo "skipped: ${peer%%:*} (could not be installed); the bench goes on without it" >&2
    done
}

for part in "$@"; do
    case $part in
        build | tests | emulator | bench | peers | report | examples) "need_for_$part" ;;
        *)
            echo "usage: cmake/bootstrap.sh [build] [tests] [emulator] [bench] [peers] [report] [examples]" >&2
            exit 2
            ;;
    esac
done

if ((${#missing[@]})); then
    apt_install "${missing[@]}"
fi
if ((${#missing_optional[@]})); then
    apt_install "${missing_optional[@]}" || echo "skipped: ${missing_optional[*]} (optional)" >&2
fi

if [[ " $* " == *" tests "* ]]; then
    provide_newer_xsimd
fi
if [[ " $* " == *" emulator "* ]]; then
    provide_kernel
fi
if [[ " $* " == *" peers "* ]]; then
    provide_peers
fi
