# SPDX-License-Identifier: BSD-3-Clause
"""One line about every problem of a bench, for a reader who knows no benchmark."""
import math
import re

# Those that write so little that reading is the limit.
REDUCTIONS = {"logsumexp", "softmax_state", "state_merge", "top_k", "softmax_top_k", "sparse_softmax_loss"}
OF_TWO = {"softmax_backward", "log_softmax_backward", "masked_softmax_backward", "causal_softmax_backward",
          "softpick_backward", "masked_softmax", "biased_softmax", "logaddexp"}  # read two arrays and write a third
BYTES = {"float": 4, "double": 8, "bfloat16": 2, "float16": 2}


def last_level_cache(facts):
    """In bytes; the machine's description ends its list of caches with the last level."""
    size = re.fullmatch(r".* (\d+)K", facts.get("caches", ""))
    return int(size.group(1)) * 1024 if size else 32 << 20


def limit_of(family):
    """What the sentence compares with: columns of the figures (the fastest counts), and their name in plain words."""
    if family in REDUCTIONS:
        return ("of read-only sum",), "reading the data"
    if family in OF_TWO:
        return ("of triad", "of NT triad"), "moving the data"
    return ("of memcpy", "of NT copy"), "copying the data"


def bytes_per_element(family, dtype):
    arrays = 1 if family in REDUCTIONS else 3 if family in OF_TWO else 2
    return arrays * BYTES[dtype]


def title_of(row):
    """What a row is about, beside the family: "64x1000", "64x1000 bfloat16 axis 0 2 threads"."""
    return (row["shape"] + (f" {row['dtype']}" if row["dtype"] != "float" else "") +
            (" axis 0" if row["axis"] == "0" else "") +
            (f" {row['threads']} threads" if row["threads"] not in ("", "1") else ""))


def sentence(family, title, rows, cache_bytes):
    count = math.prod(map(int, rows[0]["shape"].split("x")))
    fits = bytes_per_element(family, rows[0]["dtype"]) * count <= cache_bytes // 2
    conditions = {row["condition"] for row in rows}
    condition = "hot" if "hot" in conditions and (fits or "cold" not in conditions) else "cold"
    missing = sorted({row["method"] for row in rows if row["role"] == "peer" and row["missing"]})
    rows = [row for row in rows if row["condition"] == condition and not row["missing"]]
    own = [row for row in rows if row["method"] == "tarn" or (row["method"] == "tarn streaming" and condition == "cold")]
    peers = [row for row in rows if row["role"] == "peer"]
    if not own:
        return None

    limits, limit_name = limit_of(family)

    def of_limit(row):
        return max(float(row[column]) for column in limits)

    best = min(own, key=of_limit)
    where = "data in cache" if condition == "hot" else "data in memory"
    if best["method"] == "tarn streaming":
        where += ", results written past the caches"
    text = f"{family} {title}: {of_limit(best):.3g} of the time of {limit_name}"
    if best["of tarn softmax"]:
        text += f", {float(best['of tarn softmax']):.3g} of softmax"
    if peers:
        peer = min(peers, key=of_limit)
        year = f" of {peer['year']}" if peer["year"] != "0" else ""
        text += f"; best peer, {peer['method']} {peer['version']}{year}: {of_limit(peer):.3g}"
    if missing:
        text += f"; not there to compare with: {', '.join(missing)}"
    return f"{text} ({where})"


def print_sentences(rows, facts):
    problems = {}
    for row in rows:
        problems.setdefault((row["family"], title_of(row)), []).append(row)
    lines = [sentence(*problem, of_problem, last_level_cache(facts)) for problem, of_problem in problems.items()
             if any(row["role"] == "peer" for row in of_problem)]
    if lines:
        print("\n" + "\n".join(line for line in lines if line))
