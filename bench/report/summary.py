# SPDX-License-Identifier: BSD-3-Clause
"""What the figures say, in plain words computed from them."""
import math

from figures import implementation_of

OTHERS = ("peer", "baseline")
NOT_ALGORITHMS = ("tarn", "tarn header-only", "tarn cached", "tarn streaming", "tarn with lse", "tarn one thread")
SPEED = ("row length in cache", "row length", "working set")  # sections
CLOSE = 1.03  # automatic, of the best algorithm named


def by_point(rows):
    """Lists of the rows of one measurement: times of one run on one input."""
    groups = {}
    for row in rows:
        groups.setdefault((row["point"], row["input"]), []).append(row)
    return groups.values()


def time_of(row):
    return float(row["ns per element"])


def ratios_to_best_other(rows):
    """(ratio of the library's time to the fastest other's, that other's row, shape) of every measurement."""
    found = []
    for group in by_point(rows):
        own = [row for row in group if row["method"] == "tarn" and row["role"] == "own"]
        others = [row for row in group if row["role"] in OTHERS]
        if own and others:
            best = min(others, key=time_of)
            found.append((time_of(own[0]) / time_of(best), best, own[0]["shape"]))
    return found


def span(values):
    low, high = min(values), max(values)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def sentence_of_speed(where, rows):
    ratios = ratios_to_best_other(rows)
    if not ratios:
        return ""
    slower = {}
    for ratio, other, shape in ratios:
        if round(ratio, 2) > 1:
            slower.setdefault(other["method"], []).append(shape)
    text = f"{where}, tarn takes {span([ratio for ratio, *_ in ratios])} of the time of the fastest other implementation"
    if slower:
        text += f" and is slower than it at {sum(map(len, slower.values()))} of {len(ratios)} shapes ("
        text += "; ".join(f"{method}: {', '.join(shapes)}" for method, shapes in slower.items()) + ")"
    return text + "."


def sentence_of_choice(rows, best_tier):
    """How the automatic choice compares with the best algorithm named."""
    ratios = []
    for group in by_point(rows):
        own = {row["method"]: row for row in group if row["role"] == "own" and row["tier"] == best_tier}
        named = [time_of(row) for method, row in own.items() if method not in NOT_ALGORITHMS]
        if named and "tarn" in own:
            ratios.append((time_of(own["tarn"]) / min(named), own["tarn"]["shape"]))
    if not ratios:
        return ""
    far = [shape for ratio, shape in ratios if round(ratio, 2) > CLOSE]
    text = f"Its automatic choice takes {span([ratio for ratio, _ in ratios])} of the time of the best algorithm named"
    return text + (f", and more than {CLOSE} at {', '.join(far)}." if far else ".")


def worst_ulp(rows):
    """Implementation -> its largest error."""
    worst = {}
    for row in rows:
        if row["max ULP"] and row["role"] != "movement":
            one = implementation_of(row)
            worst[one] = max(worst.get(one, 0), float(row["max ULP"]))
    return worst


def sentence_of_accuracy(rows):
    worst = worst_ulp(rows)
    own = [ulp for one, ulp in worst.items() if one.role == "own"]
    others = {one.method: ulp for one, ulp in worst.items() if one.role in OTHERS}
    if not own or not others:
        return ""
    right = {name: ulp for name, ulp in others.items() if math.isfinite(ulp)}
    wrong = sorted(set(others) - set(right))
    text = f"Over all scales and offsets measured its largest error is {max(own):.1f} units in the last place"
    if right:
        text += f"; that of the others is {ulp_text(min(right.values()))} to {ulp_text(max(right.values()))}"
        text += f" ({max(right, key=right.get)})"
    if wrong:
        text += f"; {', '.join(wrong)} returned values that are no numbers"
    return text + "."


def ulp_text(value):
    return f"{value / 1e6:.0f} million" if value >= 1e6 else f"{value:.0f}"


def sentence_of_hard_input(rows):
    slowdown = {}
    for row in rows:
        if row["of ordinary"]:
            one = implementation_of(row)
            slowdown[one] = max(slowdown.get(one, 0), float(row["of ordinary"]))
    own = [ratio for one, ratio in slowdown.items() if one.method == "tarn"]
    others = {one.method: ratio for one, ratio in slowdown.items() if one.role in OTHERS}
    if not own or not others:
        return ""
    slowest = max(others, key=others.get)
    return (f"Masked, wide-range and special input costs it at most {max(own):.1f} times what ordinary input does; "
            f"the others' worst cases are {min(others.values()):.1f} to {max(others.values()):.3g} times ({slowest}).")


def sentence_of_threads(figures):
    count = max(figures.threads())
    gains = [1 / float(row["of tarn one thread"]) for section in SPEED
             for row in figures.of(section, threads=count, method="tarn") if row["of tarn one thread"]]
    return f"On {count} threads it is {span(gains)} times as fast as on one." if gains else ""


def sentence_of_contents(figures):
    others = [one for one in figures.implementations() if one.role in OTHERS]
    return (f"How fast and how exact tarn's softmax is on one machine, beside {len(others)} other implementations and the "
            "cost of merely moving the data.")


def summary(figures):
    one_thread = {"threads": 1}
    sentences = [
        sentence_of_contents(figures),
        sentence_of_speed("With data in cache, on one thread", figures.of("row length in cache", **one_thread)),
        sentence_of_speed("With data in memory", figures.of("row length", **one_thread)),
        sentence_of_choice([row for section in SPEED for row in figures.of(section, **one_thread)], figures.best_tier),
        sentence_of_threads(figures),
        sentence_of_accuracy(figures.of("accuracy")),
        sentence_of_hard_input(figures.of("hard input")),
    ]
    return " ".join(sentence for sentence in sentences if sentence)
