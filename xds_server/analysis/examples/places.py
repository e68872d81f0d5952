"""Places in JSON: paths as the comparison writes them, taken apart; and the user's JSONPaths, matched against them.

Guarantees: linear in the path; a path that was cut is read as far as it goes. Patterns know names, `*`, `[*]`, `[3]`
and `..`; matching cannot backtrack (RE2).
"""

import re
from collections.abc import Iterable, Sequence

import re2

_STEP = re.compile(r"""(\.\.)|\.?([^.\[\]'"\\]+)|\[(\*|\d+)\]|\['((?:[^'\\]|\\.)*+)(?:'\]|\Z)""")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SEPARATOR = "\x1f"
DESCENDANT = ".."
INDEX = "[]"
"""Stands for any position in an array."""


def steps_of(path: str) -> list[str]:
    """Return the steps of a path below `$`: keys, `INDEX`, `DESCENDANT`, `*`."""
    steps = []
    for found in _STEP.finditer(path.removeprefix("$")):
        if found[1]:
            steps.append(DESCENDANT)
        elif found[3]:
            steps.append(INDEX)
        else:
            steps.append(_ESCAPE.sub(r"\1", found[4]) if found[4] is not None else found[2])
    return steps


def exact_steps_of(path: str) -> list[str | int]:
    """Return the steps of a path below `$` to one place: keys and positions; as far as it is exact."""
    steps: list[str | int] = []
    for found in _STEP.finditer(path.removeprefix("$")):
        if found[1] or found[3] == "*":
            break
        key = _ESCAPE.sub(r"\1", found[4]) if found[4] is not None else found[2]
        steps.append(int(found[3]) if found[3] else key)
    return steps


class Patterns:
    """JSONPaths of the user."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Take them; what is no JSONPath matches nothing."""
        expressions = [_expression(steps_of(path)) for path in paths]
        self._compiled = re2.compile("|".join(expressions)) if expressions else None

    def __bool__(self) -> bool:
        return self._compiled is not None

    def match(self, steps: Sequence[str]) -> bool:
        """Whether the place that these steps lead to, or one above it, is meant."""
        if self._compiled is None:
            return False
        text = "".join(_SEPARATOR + step.replace(_SEPARATOR, " ") for step in steps) + _SEPARATOR
        return self._compiled.match(text) is not None


def _expression(steps: Sequence[str]) -> str:
    if not steps:
        # `$`: all of it.
        return "(?:)"
    out = []
    for step in steps:
        if step == DESCENDANT:
            out.append(f"(?:{_SEPARATOR}[^{_SEPARATOR}]*)*")
        elif step in {INDEX, "*"}:
            out.append(f"{_SEPARATOR}[^{_SEPARATOR}]*")
        else:
            # A generalised step may stand for any key.
            out.append(f"{_SEPARATOR}(?:{re2.escape(step)}|\\*)")
    return f"(?:{''.join(out)}{_SEPARATOR})"
