"""Values whose name stands beside them, not before.

`{"name": "password", "value": ...}`, `["password", ...]`, and the column under a header of CSV.

Guarantees: linear in the text: each expression is bounded, and what was replaced is not looked into again.
Not guaranteed: that a list of two names (`["password", "email"]`) is told from a name and its value; the second is
hidden. A table of one column is no table.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xds_server.analysis.examples.secret_text import MARKED, LevelOf, Mark, is_secret, quoted, value_end
from xds_server.analysis.examples.sensitive import Level, words_of

LONGEST = 64
"""Characters of what is taken for a name."""
_NAMING = ("name", "key", "field", "id", "param", "parameter", "header", "property", "attribute", "label", "k", "n")
_KEYS = tuple(form for key in _NAMING for form in (key, key.capitalize(), key.upper()))
_VALUES = frozenset({"value", "values", "val", "v", "content", "default"})
_BACK = 1_000
"""Characters before a name in which its value is looked for."""
_PAIR = 2

_NAMED = re.compile(
    rf"""\\?["'](?:{"|".join(_NAMING)})\\?["']\s{{0,8}}:\s{{0,8}}\\?["']([^"'\\]{{1,{LONGEST}}})\\?["']""",
    re.IGNORECASE,
)
_VALUE_KEY = r"""\\?["'](?:\w{0,20}(?:value|val|content|default)|values|v)\\?["']\s{0,8}:\s{0,8}"""
_AFTER = re.compile(rf"\s{{0,8}},[^{{}}\[\]]{{0,200}}?{_VALUE_KEY}", re.IGNORECASE)
_BEFORE = re.compile(_VALUE_KEY, re.IGNORECASE)
_CONTAINERS = re.compile(r"[{}\[\]]")
_LISTED = re.compile(rf"""\[\s{{0,8}}\\?["']([^"'\\\[\]]{{1,{LONGEST}}})\\?["']\s{{0,8}},\s{{0,8}}""")
_LIST_END = re.compile(r"\s*+(?:\]|\Z)")
_HEADER = re.compile(
    r"""^[\ufeff\w."'\[\]* -]{1,64}+([,;\t|])[\w."'\[\]* -]{1,64}+(?:\1[\w."'\[\]* -]{1,64}+){0,100}\r?$""",
    re.MULTILINE,
)
_CELL = r"""[ ]{{0,8}}(?:"(?:[^"]|"")*+"?[^{0}\r\n]*+|[^{0}\r\n]*+)"""
_CELLS = {delimiter: re.compile(_CELL.format(re.escape(delimiter))) for delimiter in ",;\t|"}


def is_value(key: str) -> bool:
    """Whether a key says that the value stands here, and its name elsewhere."""
    return bool(words := words_of(key)) and words[-1] in _VALUES


def level_beside(value: Mapping[str, Any], level_of: LevelOf) -> Level:
    """Return what is hidden under the values of an object, by the name that stands in it."""
    names = (name for key in _KEYS if isinstance(name := value.get(key), str) and len(name) <= LONGEST)
    return max(map(level_of, names), default=Level.SHOWN)


def level_in_pair(value: Sequence[Any], level_of: LevelOf) -> Level:
    """Return what is hidden of the second of two values, by the first."""
    name = value[0] if len(value) == _PAIR else None
    return level_of(name) if isinstance(name, str) and len(name) <= LONGEST else Level.SHOWN


def hide_beside(text: str, level_of: LevelOf, mark: Mark) -> str:
    """Return the text with values replaced whose sensitive name stands beside them."""
    if ":" in text:
        text = _replaced(text, _siblings(text, level_of), mark)
    if "[" in text:
        text = _replaced(text, _pairs(text, level_of), mark)
    if "\n" in text:
        text = _replaced(text, _columns(text, level_of), mark)
    return text


def _replaced(text: str, spans: Iterator[tuple[int, int, Level]], mark: Mark) -> str:
    out, shown = [], 0
    for begin, end, level in spans:
        value = text[begin:end]
        if begin >= shown and not value.startswith(MARKED) and is_secret(value, level):
            out += [text[shown:begin], quoted(value, mark)]
            shown = end
    return "".join([*out, text[shown:]])


def _siblings(text: str, level_of: LevelOf) -> Iterator[tuple[int, int, Level]]:
    done = 0
    for found in _NAMED.finditer(text):
        if found.start() < done or (level := level_of(found[1])) is Level.SHOWN:
            continue
        start = max(done, found.start() - _BACK)
        before = text[start : found.start()]
        for key in list(_BEFORE.finditer(before))[-3:]:
            end = value_end(before, key.end())
            if not _CONTAINERS.search(before, end):
                yield start + key.end(), start + end, level
        done = found.end()
        if after := _AFTER.match(text, found.end()):
            done = value_end(text, after.end())
            yield after.end(), done, level


def _pairs(text: str, level_of: LevelOf) -> Iterator[tuple[int, int, Level]]:
    done = 0
    for found in _LISTED.finditer(text):
        if found.start() < done or (level := level_of(found[1])) is Level.SHOWN:
            continue
        end = value_end(text, found.end())
        if _LIST_END.match(text, end):
            done = end
            yield found.end(), end, level


def _columns(text: str, level_of: LevelOf) -> Iterator[tuple[int, int, Level]]:
    done = 0
    for header in _HEADER.finditer(text):
        if header.start() < done:
            continue
        delimiter = header[1]
        levels = [level_of(each.strip(" \"'\ufeff\r")) for each in header[0].split(delimiter)]
        first = next((at for at, level in enumerate(levels) if level is not Level.SHOWN), None)
        if first is None:
            continue
        done = header.end()
        while row := _row(text, done + 1, delimiter):
            for at, (begin, end) in enumerate(row):
                # A row with more cells than the header has a delimiter in a value that is not quoted.
                level = levels[at] if len(row) <= len(levels) else levels[first] if at >= first else Level.SHOWN
                if level is not Level.SHOWN:
                    yield begin, end, level
            done = row[-1][1] + text.startswith("\r", row[-1][1])


def _row(text: str, at: int, delimiter: str) -> list[tuple[int, int]]:
    """Return where the cells of a row begin and end; nothing when no row begins here."""
    cells = []
    while at <= len(text) and (found := _CELLS[delimiter].match(text, at)):
        begin = found.end() - len(found[0].lstrip(" "))
        cells.append((begin, found.end()))
        at = found.end() + 1
        if not text.startswith(delimiter, found.end()):
            break
    return cells if len(cells) > 1 else []
