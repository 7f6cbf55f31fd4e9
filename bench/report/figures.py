# SPDX-License-Identifier: BSD-3-Clause
"""The measured figures as the report reads them: selections of rows, names, and what is in a row."""
from dataclasses import dataclass

ROLES = ("own", "peer", "baseline", "movement")
MORE_THAN_SOFTMAX = ("tarn with lse",)


@dataclass(frozen=True)
class Implementation:
    """One line of a plot. The version is not part of what it is."""
    method: str
    tier: str
    role: str


class Figures:
    def __init__(self, facts, rows):
        self.facts = facts
        self.rows = [row for row in rows if not row["missing"]]
        self.missing = {row["method"]: row["missing"] for row in rows if row["missing"]}
        self.best_tier = facts["tiers"].split()[0]
        self.versions = {row["method"]: (row["version"], row["year"]) for row in self.rows if row["version"]}

    def of(self, section, **wanted):
        """Rows of a section whose columns are as wanted; of the library those of its best tier."""
        return [row for row in self.rows if row["section"] == section and is_shown(row, self.best_tier) and
                all(row[name] == str(value) for name, value in wanted.items())]

    def implementations(self):
        """Everybody in the order of the bench, the library first and of it what a user calls."""
        found = dict.fromkeys(implementation_of(row) for row in self.rows if is_shown(row, self.best_tier))
        return sorted(found, key=lambda one: (ROLES.index(one.role), one.method != "tarn"))

    def commits(self):
        return sorted({row["commit"] for row in self.rows})

    def dates(self):
        return sorted({row["date"] for row in self.rows})

    def threads(self):
        return sorted({int(row["threads"]) for row in self.rows})


def is_shown(row, best_tier):
    """Of the library: its best tier, where it computes what the others compute."""
    return row["role"] != "own" or (row["tier"] in (best_tier, "native") and row["method"] not in MORE_THAN_SOFTMAX)


def implementation_of(row):
    return Implementation(row["method"], row["tier"], row["role"])


def extents(row):
    return tuple(map(int, row["shape"].split("x")))


def columns_of(row):
    return extents(row)[1]


def bytes_of(row):
    """Of the matrix and its result."""
    rows, columns = extents(row)
    return 8 * rows * columns


def rate(row):
    """In elements per nanosecond, which is billions per second."""
    return 1 / float(row["ns per element"])


def lines(rows, abscissa, ordinate):
    """Implementation -> sorted points; what has no ordinate is left out."""
    found = {}
    for row in rows:
        value = ordinate(row)
        if value is not None:
            found.setdefault(implementation_of(row), {})[abscissa(row)] = value
    return {one: sorted(points.items()) for one, points in found.items()}


def max_ulp(row):
    return float(row["max ULP"]) if row["max ULP"] else None


def of_ordinary(row):
    return float(row["of ordinary"]) if row["of ordinary"] else None
