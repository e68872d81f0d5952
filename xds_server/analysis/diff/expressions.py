"""The regular expressions of rules: RE2, so that no expression and no value makes one slow.

Guarantees: a bad expression is refused when it is given, with what is wrong; the size of its program and the length of
values are bounded, and matching is linear in both. Replacing stops at the longest value and at what its meter allows.
Not guaranteed: anything about a value longer than `LONGEST_VALUE`: it is left as it is and matches nothing.
"""

import re
from typing import Any

import re2

LARGEST = 5_000
"""Steps of a compiled expression; `[0-9a-f]{64}` is some 200."""
LONGEST_VALUE = 65_536
"""Characters of a value that an expression is tried on."""
MOST_REFERENCES = 10
"""References to groups in one replacement."""
HINT = "RE2 syntax: no looking around, no references back"

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_REPLACED = re.compile(r"\\(.?)", re.DOTALL)


class BadRuleError(ValueError):
    """A rule cannot be followed. `hint` says what would be right."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint


_MATCH, _UNIT = 8, 24
"""What a match costs beside its groups and the parts that it becomes, and how much of that is a unit of a meter."""


class Meter:
    """What is spent on rules for one pair, in units of about 10 microseconds."""

    __slots__ = ("most", "spent")

    def __init__(self, most: int) -> None:
        self.most, self.spent = most, 0

    @property
    def exhausted(self) -> bool:
        """Whether it was enough."""
        return self.spent > self.most


class Expression:
    """A compiled expression. Nothing raises on any value."""

    __slots__ = ("_compiled",)

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """Compile. Raises: BadRuleError."""
        options = _OPTIONS
        if ignore_case:
            options = re2.Options()
            options.log_errors, options.case_sensitive = False, False
        try:
            self._compiled = re2.compile(text, options)
            size = self._compiled.programsize
        except re2.error as error:
            said = error.args[0] if error.args else ""
            detail = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise BadRuleError(f"is not a regular expression: {detail}", HINT) from error
        except UnicodeEncodeError as error:
            raise BadRuleError("is not a regular expression: not Unicode text", HINT) from error
        if size > LARGEST:
            raise BadRuleError(f"is too large: compiled it has {size} steps", f"at most {LARGEST}")

    def found_in(self, text: str) -> bool:
        """Say whether it matches somewhere."""
        return self._try(self._compiled.search, text)

    def is_all_of(self, text: str) -> bool:
        """Say whether it matches the whole."""
        return self._try(self._compiled.fullmatch, text)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self._compiled.groups)

    def replaced(self, text: str, by: tuple[str | int, ...], meter: Meter) -> str:
        """Return the text with each match replaced; as it was when that is too long, or the meter is exhausted."""
        if len(text) > LONGEST_VALUE:
            return text
        parts: list[str] = []
        each = _MATCH + len(by) + self.groups
        position, length, work, most = 0, 0, 0, (meter.most - meter.spent) * _UNIT
        try:
            for match in self._compiled.finditer(text):
                start, end = match.span()
                made = [text[position:start], *(part if isinstance(part, str) else (match[part] or "") for part in by)]
                position, work = end, work + each
                length += sum(map(len, made))
                parts += made
                if length > LONGEST_VALUE or work > most:
                    return text
        except UnicodeEncodeError:
            return text
        finally:
            meter.spent += work // _UNIT + 1
        parts.append(text[position:])
        return "".join(parts)

    @staticmethod
    def _try(match: Any, text: str) -> bool:
        if len(text) > LONGEST_VALUE:
            return False
        try:
            return match(text) is not None
        except UnicodeEncodeError:
            return False


def compile_replacement(text: str, groups: int) -> tuple[str | int, ...]:
    r"""Return the parts of a replacement: text, and numbers of groups (`\1`). Raises: BadRuleError."""
    parts: list[str | int] = []
    position = references = 0
    for found in _REPLACED.finditer(text):
        parts.append(text[position : found.start()])
        position = found.end()
        if found[1] == "\\":
            parts.append("\\")
        elif found[1] and found[1] in "0123456789":
            if int(found[1]) > groups:
                raise BadRuleError(f"refers to group {found[1]}", f"the expression has {groups} groups")
            references += 1
            parts.append(int(found[1]))
        else:
            raise BadRuleError(f'has "{found[0]}"', r"\0 to \9 for groups, \\ for a backslash")
    if references > MOST_REFERENCES:
        raise BadRuleError(f"has {references} references to groups", f"at most {MOST_REFERENCES}")
    parts.append(text[position:])
    return tuple(part for part in parts if part != "")
