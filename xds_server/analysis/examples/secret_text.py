"""Named values in a text of any form: where they begin and end.

Finds `name=value`, `name: value`, `"name": "value"` (JSON that was cut or is none), `<input name=... value=...>`,
`<name>value</name>`, and the parts of multipart forms. What is found under a sensitive name is replaced, also when its
end was cut off.

Guarantees: linear in the text: an expression finds a name, whose length is bounded; a value that was replaced is not
looked into again.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

from xds_server.analysis.examples.sensitive import Level

LevelOf = Callable[[str], Level]
Mark = Callable[[str, str], str]
MARKED = "[redacted"

_NAME = re.compile(
    # Before a name stands no letter of ASCII; any other does not hide it.
    r"""(?:(?<![A-Za-z0-9_$])|(?<=%[0-9a-f]{2}))((?:[\w$]|%(?!3[AD])[0-9a-f]{2})(?:[\w.$-]|%(?!3[AD])[0-9a-f]{2}){0,63}"""
    r"""(?:\[[\w-]{0,40}\]){0,3})["']?((?:\\?["'])?\s{0,8}(?::=|=>|[:=]|%3D|%3A)\s{0,8})""",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"""(?:(?:bearer|basic|token|digest|negotiate)(?:\s|%20|\+){1,4})?+"""
    r"""(?:\\?"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s&;<>"'{\[][^\s&;<>"']*+)""",
    re.DOTALL | re.IGNORECASE,
)
_LINE = re.compile(r"[^\r\n]*+")
_LINES = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Headers whose value goes to the end of the line."""
_NUMBER = re.compile(r"[+-]?\d[\d.eE+-]*")
_PLAIN = frozenset({"true", "false", "null", "none", "nil", "undefined", ""})
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[{}\[\]]', re.DOTALL)
_TAG = re.compile(r"<(?:input|meta|param|button|option)\b([^<>]{1,4000})", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:.-]{1,64})\s{0,8}=\s{0,8}("[^"]*+"?|'[^']*+'?|[^\s"'<>]++)""")
_ELEMENT = re.compile(r"<([A-Za-z_][\w:.-]{0,63})((?:\s[^<>]{0,1000})?)>(<!\[CDATA\[[^\]]*+|[^<]++)")
_PART = re.compile(
    r"""(\bname="([^"\r\n]{1,200})"[^\r\n]{0,500}\r?\n(?:[^\r\n]{1,500}\r?\n){0,5}\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.DOTALL,
)


def hide_named(text: str, level_of: LevelOf, mark: Mark) -> str:
    """Return the text with the values of sensitive names replaced."""
    if 'name="' in text and "\n" in text:
        text = _PART.sub(lambda found: _part(found, level_of, mark), text)
    if "<" in text:
        text = _TAG.sub(lambda found: _tag(found, level_of, mark), text)
        text = _ELEMENT.sub(lambda found: _element(found, level_of, mark), text)
    return _assignments(text, level_of, mark)


def _assignments(text: str, level_of: LevelOf, mark: Mark) -> str:
    out, shown = [], 0
    for found in _NAME.finditer(text):
        if found.start() < shown:
            continue
        level = level_of(unquote(found[1]))
        if level is Level.SHOWN:
            continue
        begin, end = found.end(), _end_of_value(text, found)
        value = text[begin:end]
        if value.startswith(MARKED) or not is_secret(value, level):
            continue
        out += [text[shown:begin], quoted(value, mark)]
        shown = end
    return "".join([*out, text[shown:]])


def _end_of_value(text: str, found: re.Match[str]) -> int:
    at = found.end()
    if ":" in found[2] and found[1].lower() in _LINES and text[at : at + 1] not in {'"', "'", "[", "{"}:
        line = _LINE.match(text, at)
        return line.end() if line else at
    return value_end(text, at)


def value_end(text: str, at: int) -> int:
    """Return where the value that begins here ends: a text, a word, or a container of JSON."""
    if text[at : at + 1] in {"{", "["}:
        return _end_of_container(text, at)
    value = _VALUE.match(text, at)
    if value is None:
        return at
    end = value.end()
    if text[at] not in {'"', "'", "\\"}:
        end -= len(value[0]) - len(value[0].rstrip(",)}]."))
    return end


def _end_of_container(text: str, at: int) -> int:
    depth = 0
    for token in _JSON_TOKEN.finditer(text, at):
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth <= 0:
                return token.end()
    return len(text)


def is_secret(value: str, level: Level) -> bool:
    """Whether a value under a name of this level is hidden."""
    bare = value.strip("\"'\\ ")
    if bare.lower() in _PLAIN or bare.startswith(MARKED):
        return False
    return level is Level.ALL or not _NUMBER.fullmatch(bare)


def quoted(value: str, mark: Mark) -> str:
    """Keep the quotes, so that the text around stays readable."""
    quote = value[:1] if value[:1] in {'"', "'"} else ""
    closed = quote if quote and len(value) > 1 and value.endswith(quote) else ""
    return f"{quote}{mark('', value[len(quote) : len(value) - len(closed)])}{closed}"


def _part(found: re.Match[str], level_of: LevelOf, mark: Mark) -> str:
    secret = level_of(found[2]) is not Level.SHOWN and found[3] and not found[3].startswith(MARKED)
    return found[1] + (mark("", found[3]) if secret else found[3])


def _tag(found: re.Match[str], level_of: LevelOf, mark: Mark) -> str:
    inside = found[1]
    pairs = {each[1].lower(): each[2].strip("\"'") for each in _ATTRIBUTE.finditer(inside)}
    names = (pairs.get(key, "") for key in ("name", "id", "property", "itemprop", "http-equiv"))
    if pairs.get("type", "").lower() != "password" and all(level_of(name) is Level.SHOWN for name in names):
        return found[0]

    def attribute(one: re.Match[str]) -> str:
        if one[1].lower() in {"value", "content"} and one[2].strip("\"'"):
            return one[0][: one.start(2) - one.start()] + quoted(one[2], mark)
        return one[0]

    return found[0][: found.start(1) - found.start()] + _ATTRIBUTE.sub(attribute, inside)


def _element(found: re.Match[str], level_of: LevelOf, mark: Mark) -> str:
    name, attributes, content = found.groups()
    names = [name.rpartition(":")[2]]
    if attributes:
        pairs = {each[1].lower(): each[2].strip("\"'") for each in _ATTRIBUTE.finditer(attributes)}
        names += [pairs[key] for key in ("name", "key", "id") if key in pairs]
    if not content.strip() or all(level_of(each) is Level.SHOWN for each in names):
        return found[0]
    return found[0][: found.start(3) - found.start()] + mark("", content)
