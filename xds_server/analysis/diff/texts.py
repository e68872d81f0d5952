"""Plain texts compared line by line, as far as lines stand against each other.

Guarantees: lines that differ only in what the rules even out or ignore do not count; lines that differ only in
recognised values are `same_kind`; of the rest the first difference is told, with its line. Bounded in lines.
Not guaranteed: that after an inserted line anything more is told; the first difference is enough to know that.
"""

from xds_server.analysis.diff.difference import Difference, first_difference, window
from xds_server.analysis.diff.rules import Rules
from xds_server.analysis.kinds import Kind

MOST_LINES = 2_000
"""Differing lines that are looked at."""
FIELD = "body"


def text_differences(left: str, right: str, rules: Rules) -> list[Difference]:
    """Return how two texts differ: at most one that counts and one of the same kind."""
    at = rules.at(FIELD)
    if at.ignored:
        return []
    found: list[Difference] = []
    # Lines before the first difference are equal, and need not be looked at one by one.
    start = left.rfind("\n", 0, first_difference(left, right)) + 1
    mine, yours = start, start
    number, looked = left.count("\n", 0, start) + 1, 0
    lines = left[start:].split("\n"), right[start:].split("\n")
    for ours, theirs in zip(*lines, strict=False):
        if ours != theirs:
            looked += 1
            judged = (Kind.TEXT, "") if looked > MOST_LINES else rules.leaf(FIELD, Kind.TEXT, ours, theirs)
            if judged is not None and (judged[0] is not Kind.SAME_KIND or not found):
                place = first_difference(ours, theirs)
                values = window(left, mine + place), window(right, yours + place)
                where = f"line {number}, character {mine + place}"
                found.append(Difference(FIELD, judged[0], *values, where, judged[1]))
                if judged[0] is not Kind.SAME_KIND:
                    return found
        mine, yours, number = mine + len(ours) + 1, yours + len(theirs) + 1, number + 1
    if len(lines[0]) != len(lines[1]):
        mine, yours = min(mine, len(left)), min(yours, len(right))
        values = window(left, mine), window(right, yours)
        if at.counts(*values):
            found.append(Difference(FIELD, Kind.TEXT, *values, f"line {number}, character {mine}"))
    return found
