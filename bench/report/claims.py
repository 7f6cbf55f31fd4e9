# SPDX-License-Identifier: BSD-3-Clause
"""What the papers say and what this machine says."""
from dataclasses import dataclass
from typing import Optional

from figures import extents

NOT_MEASURED = "not measured"
MEMORY_BOUND = 1.2  # of the time of moving the words: up to here memory sets the pace


@dataclass(frozen=True)
class Claim:
    paper: str
    new: str  # algorithms of the library, by name
    old: str
    factor: dict  # tier -> how much faster the paper found it


TWO_PASS = {"avx512": 1.28, "avx2": 1.18}
ONLINE = {"avx512": 1.3, "avx2": 1.3}  # on a GPU: no tier of ours
CLAIMS = (
    Claim("arXiv:2001.04438", "two_pass", "three_pass_recompute", TWO_PASS),
    Claim("arXiv:2001.04438", "two_pass", "three_pass_reload", TWO_PASS),
    Claim("arXiv:1805.02867", "online", "three_pass_recompute", ONLINE),
    Claim("arXiv:1805.02867", "online", "three_pass_reload", ONLINE),
)

# Words read and written for each element of rows beyond the caches. Results are written past these, but for those of
# three_pass_reload: it writes its weights to read them again, and every line that is written is read first.
WORDS = {"three_pass_recompute": 4, "three_pass_reload": 6, "two_pass": 3, "online": 3}


def time_of(rows, method, tier):
    return next((float(row["ns per element"]) for row in rows
                 if row["method"] == method and row["tier"] in (tier, "-")), None)


def of_moving(rows, algorithm, tier):
    """The time of an algorithm, of the time that its words take at the speed of a non-temporal copy."""
    copy, time = time_of(rows, "NT copy", tier), time_of(rows, f"tarn {algorithm}", tier)
    return time / (copy * WORDS[algorithm] / 2) if copy and time else None


def verdict(found, claimed):
    if found is None:
        return NOT_MEASURED
    if found >= claimed:
        return "as fast as claimed, or faster"
    return "faster, less than claimed" if found > 1.02 else "no faster" if found > 0.98 else "slower"


@dataclass(frozen=True)
class Finding:
    claim: Claim
    shape: str
    input: str
    tier: str
    factor: Optional[float]  # how much faster the new algorithm is here
    of_moving: tuple  # old and new: time, that of moving its words being 1

    @property
    def by_words(self):
        """The factor if memory alone counted."""
        return WORDS[self.claim.old] / WORDS[self.claim.new]


def findings(figures):
    """Every claim on everything that was measured for it."""
    rows = [row for row in figures.rows if row["section"] == "claims"]
    found = []
    measurements = dict.fromkeys((row["shape"], row["input"]) for row in rows)
    for claim in CLAIMS:
        for shape, name in sorted(measurements, key=lambda key: (extents({"shape": key[0]}), key[1])):
            group = [row for row in rows if (row["shape"], row["input"]) == (shape, name)]
            for tier in figures.facts["tiers"].split():
                if tier not in claim.factor:
                    continue
                new, old = (time_of(group, f"tarn {algorithm}", tier) for algorithm in (claim.new, claim.old))
                factor = old / new if new and old else None
                moving = tuple(of_moving(group, algorithm, tier) for algorithm in (claim.old, claim.new))
                found.append(Finding(claim, shape, name, tier, factor, moving))
    return found


def reason(found):
    """Why the claims hold or do not: whether the passes wait for memory or for arithmetic."""
    ratios = [ratio for one in found if one.factor for ratio in one.of_moving if ratio]
    if not ratios:
        return ""
    text = (f"The algorithms take {min(ratios):.1f} to {max(ratios):.1f} times as long as moving their words at the speed of "
            "a copy: ")
    if min(ratios) > MEMORY_BOUND:
        return text + "arithmetic and not memory sets the pace here, so a pass saved gains less than its share of the words."
    if max(ratios) <= MEMORY_BOUND:
        return text + "memory sets the pace, so a pass saved gains its share of the words."
    return text + "memory sets the pace of some, arithmetic that of others, and a pass saved counts where memory does."
