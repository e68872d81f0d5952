"""JSONPath over the fields that differences carry, not over documents: `$.items[*].price`.

The subset of RFC 9535 that names places: `.name`, `['name']`, `[*]`, `[0]` (as any position: differences do not tell
them apart), `.*`, and `..` before each. A key that is an identifier is `.*` in a field, and in a path likewise.

Guarantees: matching is linear in the field for each step of the path; nothing but `compile_path` raises.
Not guaranteed: filters, slices, unions; they are refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from xds_server.analysis.diff.expressions import BadRuleError
from xds_server.analysis.recognise import kind_of_text

LONGEST_KEY = 100
"""Characters of a key in a field."""
MOST_STEPS = 50
HINT = """names, [*] and "..", like "$.items[*].price", "$..updatedAt" or "$['two words']\""""

_ANY, _ELEMENT = "*", "[*]"
_FIELD_STEP = re.compile(r"\[\*\]|\['(?:[^'\\]|\\.)*+'\]|\.[^.\[]+")
_PATH_STEP = re.compile(
    r"""(?P<deep>\.\.)?
    (?: (?P<any>\[\*\]|(?(deep)|\.)\*)
      | \[(?P<index>-?\d{1,9})\]
      | \['(?P<single>(?:[^'\\]|\\.)*+)'\]
      | \["(?P<double>(?:[^"\\]|\\.)*+)"\]
      | (?(deep)|\.)(?P<name>[^\s.\[\]'"()*?@$,:]+) )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@lru_cache(maxsize=8192)
def general_step(key: str) -> str:
    """Return the step of a field for a key of an object (the caller cuts it to `LONGEST_KEY` + 1 characters)."""
    return ".*" if kind_of_text(key) else exact_step(key)


def exact_step(key: str) -> str:
    """Return the step of a place for a key."""
    key = key if len(key) <= LONGEST_KEY else key[:LONGEST_KEY] + "…"
    if key.isidentifier():
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


@lru_cache(maxsize=8192)
def steps_of(field: str) -> tuple[str, ...] | None:
    """Return the steps of a field, or None when it is no place in a JSON document."""
    return tuple(_FIELD_STEP.findall(field)) if field.startswith("$") else None


@dataclass(frozen=True, slots=True)
class JSONPath:
    """A compiled path: for each step, what it is and whether any number of steps may stand before it."""

    steps: tuple[tuple[str, bool], ...]

    def matches(self, field: str) -> bool:
        """Say whether the field is such a place."""
        return self._at(field, below=False)

    def covers(self, field: str) -> bool:
        """Say whether the field is such a place, or within one."""
        return self._at(field, below=True)

    def _at(self, field: str, *, below: bool) -> bool:
        found = steps_of(field)
        if found is None:
            return False
        # States as bits: bit n is set when n steps of the path are matched.
        wanted, end, states = self.steps, 1 << len(self.steps), 1
        for step in found:
            if below and states & end:
                return True
            after = 0
            for number, (what, deep) in enumerate(wanted):
                if states & (1 << number):
                    if what in (_ANY, step):
                        after |= 1 << (number + 1)
                    if deep:
                        after |= 1 << number
            states = after
            if not states:
                return False
        return bool(states & end)


def compile_path(text: str) -> JSONPath:
    """Return the path. Raises: BadRuleError."""
    if not text.startswith("$"):
        raise BadRuleError("does not begin with $", HINT)
    position, steps = 1, []
    while position < len(text):
        found = _PATH_STEP.match(text, position)
        if found is None:
            raise BadRuleError(f"cannot be read from character {position + 1} on", HINT)
        position = found.end()
        steps.append((_step(found), found["deep"] is not None))
    if len(steps) > MOST_STEPS:
        raise BadRuleError(f"has {len(steps)} steps", f"at most {MOST_STEPS}")
    return JSONPath(tuple(steps))


def _step(found: re.Match[str]) -> str:
    if found["any"]:
        return _ANY
    if found["index"] is not None:
        return _ELEMENT
    name = found["name"]
    if name is None:
        quoted = found["single"] if found["single"] is not None else found["double"]
        name = _ESCAPED.sub(r"\1", quoted)
    return general_step(name[: LONGEST_KEY + 1])
