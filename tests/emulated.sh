#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# usage: tests/emulated.sh <program>... [-- <argument>...]
#
# Runs test programs on an emulated CPU with AVX-512, for machines that have none: a small Linux in the emulator Bochs. A
# second takes minutes, so sweeps are thinned; without arguments, GoogleTest programs leave out the tests of the other
# tiers. The last line counts, the exit code tells whether all passed.
#
#     tests/run.sh softmax
#     tests/emulated.sh build/clang/tests/tarn_unit_{softmax,log_softmax}_{bits_golden,guard_pages}
#
# The emulator is not exact: floats that lie halfway between two float16 become the one further from 0 (2049 becomes 2050),
# which some tests of float16 notice, and its logarithms of long doubles, which oracles of doubles use, are off by 2^-50.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cmd_line=("--gtest_filter=-*sse2*:*avx2*" --gtest_brief=1 --gtest_color=no)
programs=()
while (($#)); do
    [[ $1 != -- ]] || { shift; cmd_line=("$@"); break; }
    programs+=("$(realpath "$1")")
    shift
done
if ((${#programs[@]} == 0)); then
    sed -n '4s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
"$root/cmake/bootstrap.sh" emulator

work="$(mktemp -d "$root/build/emulated.XXXXXX")"
emulator=
trap '[[ -z $emulator ]] || kill "$emulator" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

# The machine's only file system: a shell, the programs, what they are linked to, and the first process.
mkdir -p files/{bin,lib64,lib/x86_64-linux-gnu,tests,proc,sys,dev,tmp} disk
cp /bin/busybox files/bin/
cp -L /lib64/ld-linux-x86-64.so.2 files/lib64/
for program in "${programs[@]}"; do
    strip -o "files/tests/$(basename "$program")" "$program"
    ldd "$program" | awk '/=> \//{print $3}' | xargs -rI{} cp -L {} files/lib/x86_64-linux-gnu/
done
{
    echo '#!/bin/busybox sh'
    echo '/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t devtmpfs dev /dev; cd /tests'
    echo "/bin/busybox grep -q avx512bw /proc/cpuinfo || { /bin/busybox echo 'Linux found no AVX-512'; /bin/busybox poweroff -f; }"
    echo 'export TARN_TEST_THINNED="for an emulated CPU"'
    for program in "${programs[@]}"; do
        name="$(basename "$program")"
        echo "/bin/busybox echo '== $name'; ./$name ${cmd_line[*]@Q}; /bin/busybox echo '== $name: exit code '\$?"
    done
    echo '/bin/busybox stty -F /dev/ttyS0 sane; /bin/busybox sleep 1' # until all has been printed
    echo '/bin/busybox poweroff -f'
} >files/init
chmod +x files/init
(cd files && find . | cpio --quiet -o -H newc) | gzip -6 >disk/files

# Linux turns AVX off where it distrusts the sizes that a CPU gives for compacted states, as it does those of the emulator:
# 321 and 323 are the bits of XSAVEC and XSAVES.
cp "$root/build/deps/emulator/vmlinuz" /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 disk/
cat >disk/isolinux.cfg <<'end'
default linux
label linux
 kernel vmlinuz
 append initrd=files console=ttyS0,115200 quiet panic=1 nokaslr mitigations=off clearcpuid=321,323 noxsaves
end
xorriso -as mkisofs -quiet -o disk.iso -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table disk \
    2>/dev/null
cat >bochsrc <<'end'
cpu: model=corei7_skylake_x, ips=100000000
clock: sync=none
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=disk.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=output
display_library: rfb, options="timeout=0"
speaker: enabled=0
log: log
end
echo c >commands # Debian's emulator is built with a debugger, which waits to be told to go on

: >output
bochs -q -f bochsrc -rc commands </dev/null >console 2>&1 &
emulator=$!
tail -n +1 -f --pid="$emulator" output | sed -u 's/\r$//'
wait "$emulator" || true
emulator=

passed=$(grep -ac '^== .*: exit code 0' output) || true
echo "$passed of ${#programs[@]} programs passed on an emulated CPU"
((passed == ${#programs[@]}))
