# SPDX-License-Identifier: BSD-3-Clause
"""What the report measures: points, each one call of the bench program."""
from dataclasses import dataclass

ORDINARY = "normal"
HARD = ("normal", "half -inf", "half -1e9", "half -FLT_MAX", "normal*50", "normal-1000", "normal+1e6", "ascending 0..500",
        "NaN in every row", "all -inf", "denormal")
SCALES = tuple(f"normal*{scale}" for scale in ("0.1", "0.3", "1", "3", "10", "30", "100"))
OFFSETS = tuple(f"normal{offset}" for offset in ("-1000", "+0", "+10", "+100", "+1000", "+1e4", "+1e5", "+1e6"))
CLAIM_INPUTS = ("normal", "uniform*1000")

TOTAL = 1 << 22  # elements of a matrix in memory: 16 MB in, 16 MB out
TOTAL_IN_CACHE = 1 << 14  # 64 KB in, 64 KB out
WORKING_SET_COLUMNS = 1024


@dataclass(frozen=True)
class Point:
    section: str  # of the report
    shape: str
    condition: str
    threads: int = 1
    inputs: tuple = (ORDINARY,)
    tiers: tuple = ("best",)
    seconds: float = 5

    def arguments(self, peers):
        """Of the bench program."""
        listed = ["--shape", self.shape, "--condition", self.condition, "--threads", str(self.threads)]
        listed += [word for name in self.inputs for word in ("--input", name)]
        listed += [word for name in self.tiers for word in ("--tier", name)]
        return listed + ["--seconds", f"{self.seconds:g}"] + (["--peers"] if peers else [])

    def __str__(self):
        inputs = f"{len(self.inputs)} inputs" if len(self.inputs) > 1 else self.inputs[0]
        return f"{self.section}: {self.shape} {self.condition}, {inputs}, {self.threads} thread{'s' * (self.threads > 1)}"


def rows_of(total, columns):
    return f"{max(1, total // columns)}x{columns}"


def working_set(size):
    """A matrix that makes `size` bytes with its result."""
    return rows_of(size // 8, min(size // 8, WORKING_SET_COLUMNS))


def powers(first, last, factor):
    value = first
    while value <= last:
        yield value
        value *= factor


def plan(quick, threads):
    """All points, in the order of measuring. `threads`: 1 and, where there is a second core, 2."""
    seconds = 1 if quick else 5
    factor = 16 if quick else 4
    points = []
    for count in threads:
        for columns in (*powers(16, TOTAL, factor), *((1 << 24,) if quick else (1 << 24, 64_000_000))):
            longer = 3 if columns > TOTAL and not quick else 1
            points.append(Point("row length", rows_of(TOTAL, columns), "cold", count, seconds=longer * seconds))
        for size in powers(1 << 10, 1 << (27 if quick else 30), factor):
            longer = 3 if size >= 1 << 28 else 1
            points.append(Point("working set", working_set(size), "hot", count, seconds=longer * seconds))
    for columns in powers(16, TOTAL_IN_CACHE, 4 if quick else 2):
        points.append(Point("row length in cache", rows_of(TOTAL_IN_CACHE, columns), "hot", seconds=seconds / 2))
    for shape in ("64x1000",) if quick else ("64x1000", "8x65536"):
        points.append(Point("accuracy", shape, "hot", inputs=SCALES + OFFSETS, seconds=seconds / 4))
    for shape in ("64x1000",) if quick else ("64x1000", "1024x64", "4096x16"):
        points.append(Point("hard input", shape, "hot", inputs=HARD, seconds=2 * seconds))
    for shape in ("1x16777216",) if quick else ("1x16777216", "1x64000000"):
        for name in CLAIM_INPUTS:
            points.append(Point("claims", shape, "cold", inputs=(name,), tiers=(), seconds=2 * seconds))
    return points
