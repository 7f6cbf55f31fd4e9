#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""usage: check_instructions.py <archive>

Disassembles the dispatch library and checks that no object holds instructions beyond its tier: no AVX and no later bit
manipulation in objects for the oldest CPU, no AVX-512 in the AVX2 tier; and that the AVX2 and AVX-512 tiers use theirs.
"""
import re
import subprocess
import sys

MEMBER = re.compile(r"^(\S+\.o):\s+file format")
INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\t(?:\S+\s+)*?([a-z][a-z0-9]+)(?:\s+(\S.*))?$")
BIT_MANIPULATION = "andn bextr blsi blsmsk blsr bzhi lzcnt movbe mulx pdep pext popcnt rorx sarx shlx shrx".split()
AFTER_SSE2 = ("haddp", "hsubp", "addsubp", "movsldup", "movshdup", "movddup", "lddqu", "pshufb", "palignr", "pabs", "psign",
              "phadd", "phsub", "pmaddubs", "pmulhrs", "round", "blend", "pblend", "ptest", "dpp", "insertps", "extractps",
              "pinsrb", "pinsrd", "pinsrq", "pextrb", "pextrd", "pextrq", "pmovzx", "pmovsx", "pmulld", "pmuldq", "pminsb",
              "pminsd", "pminu", "pmaxsb", "pmaxsd", "pmaxu", "packusdw", "pcmpeqq", "pcmpgtq", "crc32", "aes", "pclmul")
SSE2_LIKEWISE = ("pminub", "pmaxub", "pminsw", "pmaxsw")
AVX512_OPERAND = re.compile(r"%zmm|%k[0-7]\b|%[xy]mm(?:1[6-9]|2\d|3[01])\b")
AVX_OPERAND = re.compile(r"%ymm")


def is_beyond_sse2(mnemonic):
    if mnemonic in SSE2_LIKEWISE:
        return False
    return mnemonic.startswith("v") or mnemonic in BIT_MANIPULATION or mnemonic.startswith(AFTER_SSE2)


def tier_of(member):
    match = re.search(r"_(sse2|avx2|avx512)\.cpp\.o$", member)
    return match.group(1) if match else "sse2"


def main():
    archive = sys.argv[1]
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", archive], text=True, capture_output=True, check=True)
    member = ""
    members = {}
    failures = []
    for line in listing.stdout.splitlines():
        found = MEMBER.match(line)
        if found:
            member = found.group(1)
            members[member] = 0
            continue
        found = INSTRUCTION.match(line)
        if not found:
            continue
        mnemonic, operands = found.group(1), found.group(2) or ""
        tier = tier_of(member)
        beyond = (tier == "sse2" and is_beyond_sse2(mnemonic)) or (tier != "avx512" and AVX512_OPERAND.search(operands))
        if beyond:
            failures.append(f"{member}: beyond {tier}: {line.strip()}")
        if (tier == "avx2" and AVX_OPERAND.search(operands)) or (tier == "avx512" and AVX512_OPERAND.search(operands)):
            members[member] += 1

    for name, uses in members.items():
        if tier_of(name) != "sse2" and uses == 0:
            failures.append(f"{name}: has none of the instructions of {tier_of(name)}")
    if not members:
        failures.append(f"{archive}: no objects")
    print("\n".join(failures[:20]))
    print(f"{len(members)} objects, {len(failures)} failures")
    sys.exit(bool(failures))


main()
