"""Elements of arrays by their codes (canonical JSON): which stand against their like, which have moved, which are new.

Guarantees: pure, linear in the elements.
Not guaranteed: of elements that repeat, that those which were moved are told from those which stayed.
"""

import re
from collections import Counter
from typing import Any

import orjson

_INTEGRAL = re.compile(rb"\d(?:\.0|e\d)")
_LARGEST = 2.0**63
_SORTED = orjson.OPT_SORT_KEYS


def one_kind_of_number(elements: list[Any], codes: list[bytes]) -> list[bytes]:
    """Encode 1.0 as 1, where there is any, so that elements which are equal are encoded alike."""
    return [
        orjson.dumps(whole(element), option=_SORTED) if _INTEGRAL.search(code) else code
        for element, code in zip(elements, codes, strict=True)
    ]


def whole(value: Any) -> Any:
    """Return the value with integral floats as integers; it could be encoded, so it is not nested deep."""
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < _LARGEST else value
    if kind is list:
        return [whole(x) for x in value]
    return {key: whole(x) for key, x in value.items()} if kind is dict else value


def unlike(left: list[bytes], right: list[bytes]) -> tuple[list[int], list[int]]:
    """Return the positions of elements that do not stand against their like: from the front, from the end, alike."""
    if len(left) == len(right):
        unlike = [i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b]
        return unlike, unlike
    shorter = min(len(left), len(right))
    start = next((i for i in range(shorter) if left[i] != right[i]), shorter)
    end = next((i for i in range(shorter - start) if left[-1 - i] != right[-1 - i]), shorter - start)
    return list(range(start, len(left) - end)), list(range(start, len(right) - end))


def split(codes: list[bytes], positions: list[int], both: Counter[bytes]) -> tuple[list[bytes], list[int]]:
    """Return the elements that the other side has too, in order, and the positions of the others."""
    left = both.copy()
    same, rest = [], []
    for index in positions:
        code = codes[index]
        if left[code] > 0:
            left[code] -= 1
            same.append(code)
        else:
            rest.append(index)
    return same, rest


def in_order(left: list[bytes], ours: list[int], right: list[bytes], theirs: list[int]) -> bool:
    """Say whether those that both have are in order after all, when of some that repeat the last are meant."""
    both = Counter(left[i] for i in ours) & Counter(right[i] for i in theirs)
    first = split(left, ours, both)[0], split(right, theirs, both)[0]
    last = split(left, ours[::-1], both)[0][::-1], split(right, theirs[::-1], both)[0][::-1]
    return last[0] in (last[1], first[1]) or first[0] == last[1]


def sortable(value: Any, code: bytes) -> tuple[int, float, bytes]:
    """Return by what an element is sorted: numbers by size, before all else."""
    return (0, float(value), code) if type(value) is int or type(value) is float else (1, 0.0, code)
