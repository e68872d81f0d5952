"""What is secret is hidden in the engine, before anything leaves it.

Secret are the values under sensitive names (`sensitive`, and those that the profile adds, by name or by JSONPath), and
whatever looks like a secret wherever it stands (`secret_looks`). In its place stands `[redacted 5f3a9c]` or `[redacted
e-mail 5f3a9c]`: the digits are a hash keyed with a random key of this engine's process, so two values that differ are
seen to differ, and nobody can try out values against it.

Guarantees: nothing raises; time is linear in what is looked at, and that is bounded (`SCANNED`, `NODES`, `DEPTH`).
Redaction comes before cutting: of a text that goes on beyond what was looked at (or captured), the last word is left
out, so no secret shows half.
Not guaranteed: that a secret under a name that says nothing, in a form that says nothing, is found; messages in a
binary form have no names.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from xds_server.analysis.diff.difference import ABSENT
from xds_server.analysis.diff.json_diff import CUT
from xds_server.analysis.examples import secret_looks as looks
from xds_server.analysis.examples.places import INDEX, Patterns, steps_of
from xds_server.analysis.examples.secret_beside import hide_beside, is_value, level_beside, level_in_pair
from xds_server.analysis.examples.secret_text import MARKED, hide_named
from xds_server.analysis.examples.secret_urls import CODE, hide_codes, is_sign_in
from xds_server.analysis.examples.sensitive import Level, Names

SCANNED = 16 * 1024
"""Characters of a text that are looked at; no more of it is ever shown."""
NODES = 2_500
"""Values of a JSON document that are shown."""
DEPTH = 40
"""How deep."""
SHORT = 40
"""Characters of a text of which it is remembered whether it needs a closer look: keys and words come again."""
ELIDED = "…"

_TAIL = 320
"""Characters at the end of a cut text in which the start of its last word is looked for."""
_BREAK = re.compile(r"""[\s"'<>;&,](?:(?<![\d\s-]\s)|(?![\s\d-]*\Z))""")
"""Where a word ends; not inside a run of digits and gaps, which may be a card."""
_PROBABLE = re.compile(r"""[@:=<]|%40|%3[ad]|&#|\d{4}|eyj|bearer|basic|akia|asia|_|-|\[|\n""", re.IGNORECASE)
"""What a text must hold to be worth a closer look."""
_CAPABILITY = frozenset(
    {"reset", "verify", "verification", "confirm", "confirmation", "invite", "magic", "unsubscribe"}
)
"""Steps of a path behind which a secret stands in the next one (`/reset/8f3a...`)."""
_WORDLIKE = re.compile(r"[A-Za-z_.-]{1,15}")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}(?:\.\w+)?|\*|…")
_COOKIE_ATTRIBUTES = frozenset({"path", "domain", "max-age", "samesite", "expires", "priority"})
_COOKIE_FLAGS = frozenset(
    {
        "secure",
        "httponly",
        "partitioned",
        "lax",
        "strict",
        "none",
        "low",
        "medium",
        "high",
        "present",
        "absent",
        "/",
        "",
    }
)
_FLAG = re.compile("|".join(sorted(_COOKIE_FLAGS)), re.IGNORECASE)
_ATTRIBUTE_FORMS = {
    "path": re.compile(r"/.*"),
    "domain": re.compile(r"[\w-]*(?:\.[\w-]+)+"),
    "max-age": re.compile(r"-?\d{1,12}"),
    "expires": re.compile(r"\w{3},? [\w :-]{1,40}"),
    **dict.fromkeys(("samesite", "priority", "secure", "httponly", "partitioned"), _FLAG),
}
"""What values of a cookie's attributes look like."""
_NEXT_COOKIE = re.compile(r",\s*(?=[^\s;,=]+=)")
_FIELD_STEP = re.compile(r"\.[^.\[\]'\"]+|\['(?:[^'\\]|\\.)*+(?:'\]|\Z)")


class Redactor:
    """Hides what a profile's answers must not show.

    Args:
        added: names and JSONPaths of the profile.
        key: of the marks; random, one for the process.
    """

    def __init__(self, added: Iterable[str] = (), *, key: bytes) -> None:
        added = tuple(added)
        self._names = Names(name for name in added if not name.startswith("$"))
        paths = [name for name in added if name.startswith("$")]
        self._paths = Patterns(paths)
        # In what should be JSON and cannot be read, a place is known by its last name.
        self._in_documents = Names([name for name in added if name not in paths] + _last_names(paths))
        self._key = key[:64]
        self.marks = 0
        """Secrets hidden so far."""
        self._record: dict[str, str] | None = None
        self.endpoint = lru_cache(maxsize=4096)(self._endpoint)
        self.field = lru_cache(maxsize=4096)(self._field)

    def mark(self, what: str, secret: str) -> str:
        """Return what stands in a secret's place."""
        self.marks += 1
        digits = blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=3, key=self._key).hexdigest()
        mark = f"{MARKED} {what} {digits}]" if what else f"{MARKED} {digits}]"
        if self._record is not None:
            self._record[secret] = mark
        return mark

    @contextmanager
    def recording(self) -> Iterator[dict[str, str]]:
        """Write down, for the length of a `with`, which secrets are hidden, and by what."""
        found: dict[str, str] = {}
        self._record = found
        try:
            yield found
        finally:
            self._record = None

    def text(self, text: str, *, whole: bool = True, document: bool = False) -> str:
        """Return a text of any kind without its secrets; at most about `SCANNED` characters of it.

        Args:
            text: with or without names and values in it.
            whole: False when its end was cut off before.
            document: whether it is a whole body, of which the profile's JSONPaths tell the names.
        """
        if whole and len(text) <= SHORT and not _may_hide(text):
            return text
        text, cut = _bounded(text, whole=whole)
        names = self._in_documents if document else self._names
        if _PROBABLE.search(text):
            text = hide_named(hide_beside(text, names.level, self.mark), names.level, self.mark)
            text = looks.hide(hide_codes(text, self.mark), self.mark)
        return text + ELIDED if cut else text

    def header(self, name: str, value: str) -> str:
        """Return the value of a header, as much of it as may be shown."""
        name = name.lower()
        if name == "set-cookie":
            return ", ".join(self._set_cookie(each) for each in _NEXT_COOKIE.split(value))
        if name == "cookie":
            return "; ".join(self._cookie(each.strip()) for each in value.split(";"))
        if self._names.level(name) is not Level.SHOWN:
            return self.mark("", value) if value else value
        return self.text(value)

    def level(self, name: str) -> Level:
        """Return what is hidden under a name."""
        return self._names.level(name)

    @property
    def chooses(self) -> bool:
        """Whether the profile has JSONPaths at all."""
        return bool(self._paths)

    def is_chosen(self, steps: Sequence[str]) -> bool:
        """Whether the profile's JSONPaths mean this place."""
        return bool(self._paths) and self._paths.match(steps)

    def path(self, path: str) -> str:
        """Return a path with its query, as much of it as may be shown."""
        path, cut = _bounded(path, whole=True)
        path, mark, query = path.partition("?")
        before, steps = "", []
        for step in path.split("/"):
            steps.append(self._step(step, before))
            before = unquote(step)
        shown = "/".join(steps) + (f"?{self.form(query, path=path)}" if mark else "")
        return shown + ELIDED if cut else shown

    def form(self, text: str, *, path: str = "") -> str:
        """Return a query or a form (`application/x-www-form-urlencoded`), as much of it as may be shown."""
        parts = text.split("&")
        names = {unquote_plus(each.partition("=")[0]).lower() for each in parts}
        secret = CODE if is_sign_in(names, path) else ""
        return "&".join(self._parameter(each, secret) for each in parts)

    def value(self, value: Any, steps: Sequence[str] = (), *, nodes: int = NODES, level: Level = Level.SHOWN) -> Any:
        """Return a JSON value without its secrets, cut to `nodes` values and `DEPTH`.

        Args:
            value: as parsed.
            steps: where it stands in its document.
            nodes: how many values are shown.
            level: what is hidden of it for other reasons.
        """
        return _Walk(self, [*steps], nodes).shown(value, max(level, self._level_at(steps)))

    def at(self, place: str) -> str:
        """Return a place in a document without the secrets that are keys."""
        return self._keys(place, lambda key: f"['{self.mark('', key)}']")

    def difference(self, field: str, at: str, value: Any, *, level: Level = Level.SHOWN) -> Any:
        """Return one of the two values of a difference; `level`: what is hidden there by what stands beside it."""
        if value is ABSENT:
            return value
        if field.startswith("$"):
            return self.value(value, steps_of(at or field), level=level)
        if not isinstance(value, str):
            return self.value(value)
        kind, _, name = field.partition(":")
        if kind == "header":
            return self._of_header(name.lower(), value)
        steps = name.split("/")
        secret = any(self._names.level(step) is not Level.SHOWN for step in steps)
        if kind == "cookie":
            # `cookie:sid` is its value, `cookie:sid.path` one of its attributes, or the value of one with such a name.
            form = _ATTRIBUTE_FORMS.get(name.rpartition(".")[2].lower() if "." in name else "")
            secret = form is None or not form.fullmatch(value)
        return self.mark("", value) if secret and value else self.text(value, whole=not value.endswith(ELIDED))

    def _of_header(self, name: str, value: str) -> str:
        if name.startswith("set-cookie"):
            return self.header("set-cookie", value)
        if name.endswith(f".query.{CODE}"):
            # Of a redirect: what stood beside it is not known here.
            return self.mark("", value)
        return self.path(value) if name.endswith(".path") else self.header(name, value)

    def _endpoint(self, name: str) -> str:
        """Return an endpoint's name without secrets: `GET /users/{email}`."""
        method, gap, path = name.partition(" ")
        before, steps = "", []
        for step in path.split("/"):
            known = looks.kind_of(unquote(step))
            if _PLACEHOLDER.fullmatch(step):
                steps.append(step)
            elif known:
                steps.append("{email}" if known == looks.EMAIL else "{card}")
            else:
                steps.append("{redacted}" if self._step(step, before) != step else step)
            before = unquote(step)
        return f"{method}{gap}{'/'.join(steps)}"

    def _field(self, field: str) -> str:
        """Return the name of a field without secrets; those that are keys become `*`, as other keys of maps do."""
        if field.startswith("$"):
            return self._keys(field, lambda _: ".*")
        return looks.hide(field, lambda *_: "*") if _PROBABLE.search(field) else field

    def _keys(self, place: str, shown: Any) -> str:
        if not place.startswith("$"):
            return self.text(place)
        out, end, below = [], 0, False
        for found in _FIELD_STEP.finditer(place):
            out.append(looks.hide(place[end : found.start()], self.mark))
            end = found.end()
            key = ".".join(steps_of(found[0]))
            secret = looks.hide(key, lambda *_: MARKED) != key or (below and not _WORDLIKE.fullmatch(key))
            out.append(shown(key) if secret and key != "*" else found[0])
            below = below or self._names.level(key) is not Level.SHOWN
        return "".join([*out, looks.hide(place[end:], self.mark)])

    def _level_at(self, steps: Sequence[str]) -> Level:
        if self.is_chosen(steps):
            return Level.ALL
        return max((self._names.level(step) for step in steps if step != INDEX), default=Level.SHOWN)

    def _step(self, step: str, before: str) -> str:
        if not step or _PLACEHOLDER.fullmatch(step):
            return step
        plain = unquote(step)
        secret = self._names.level(before) is not Level.SHOWN or before.lower() in _CAPABILITY
        if secret and not _WORDLIKE.fullmatch(plain):
            return self.mark("", plain)
        shown = self.text(plain)
        return step if shown == plain else shown

    def _parameter(self, text: str, secret: str) -> str:
        name, equals, value = text.partition("=")
        plain, said = unquote_plus(value), unquote_plus(name)
        level = Level.ALL if secret and said.lower() == secret else self._names.level(said)
        if value and (level is Level.ALL or (level is Level.TEXTS and not plain.isdigit())):
            return f"{self._shown(name)}{equals}{self.mark('', plain)}"
        return f"{self._shown(name)}{equals}{self._shown(value)}"

    def _shown(self, encoded: str) -> str:
        plain = unquote_plus(encoded)
        shown = self.text(plain)
        return encoded if shown == plain else shown

    def _cookie(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals:
            return self.mark("", name) if name else name
        return f"{self.text(name)}={self.mark('', value)}" if value else pair

    def _set_cookie(self, value: str) -> str:
        first, *attributes = (part.strip() for part in value.split(";"))
        name, equals, _ = first.partition("=")
        known = name.lower() in (_COOKIE_ATTRIBUTES if equals else _COOKIE_FLAGS)
        return "; ".join([first if known else self._cookie(first), *map(self.text, attributes)])


class _Walk:
    """One JSON value shown."""

    def __init__(self, redactor: Redactor, steps: list[str], nodes: int) -> None:
        self._redactor = redactor
        self._chooses = redactor.chooses
        self._steps = steps
        self._left = nodes

    def shown(self, value: Any, level: Level, depth: int = 0) -> Any:
        redactor = self._redactor
        self._left -= 1
        if value is None or value is True or value is False:
            return value
        if level is Level.ALL:
            return redactor.mark("", _encoded(value))
        if isinstance(value, dict | list):
            return self._container(value, level, depth)
        if isinstance(value, int | float):
            card = isinstance(value, int) and abs(value) >= looks.LEAST_CARD and looks.is_card(str(abs(value)))
            return redactor.mark(looks.CARD, str(value)) if card else value
        text = str(value)
        shown = redactor.mark("", text) if level is Level.TEXTS and text else redactor.text(text)
        # A text may be of a class of its own, which says how it was written.
        return value if shown == text else shown

    def _container(self, value: dict[str, Any] | list[Any], level: Level, depth: int) -> Any:
        if depth >= DEPTH or self._left <= 0:
            return ELIDED
        return self._object(value, level, depth) if isinstance(value, dict) else self._array(value, level, depth)

    def _object(self, value: dict[str, Any], level: Level, depth: int) -> dict[str, Any]:
        redactor, out = self._redactor, {}
        beside = level_beside(value, redactor.level)
        for key, inside in value.items():
            if self._left <= 0 or key == CUT:
                # The mark of a container whose end was cut off, see `json_head`.
                out[ELIDED] = ELIDED
                break
            name = redactor.text(key) if level is Level.SHOWN or _WORDLIKE.fullmatch(key) else redactor.mark("", key)
            self._steps.append(key)
            below = max(level, redactor.level(key))
            if beside is not Level.SHOWN and is_value(key):
                below = max(below, beside)
            if self._chooses and redactor.is_chosen(self._steps):
                below = Level.ALL
            out[name] = self.shown(inside, below, depth + 1)
            self._steps.pop()
        return out

    def _array(self, value: Sequence[Any], level: Level, depth: int) -> list[Any]:
        out: list[Any] = []
        self._steps.append(INDEX)
        below = Level.ALL if self._redactor.is_chosen(self._steps) else level
        second = max(below, level_in_pair(value, self._redactor.level))
        for at, inside in enumerate(value):
            if self._left <= 0 or inside == CUT:
                out.append(ELIDED)
                break
            out.append(self.shown(inside, second if at == 1 else below, depth + 1))
        self._steps.pop()
        return out


@lru_cache(maxsize=4096)
def _may_hide(text: str) -> bool:
    return _PROBABLE.search(text) is not None


def _last_names(paths: Iterable[str]) -> list[str]:
    steps = (steps_of(path) for path in paths)
    return [path[-1] for path in steps if path and path[-1] not in {INDEX, "*"}]


def _encoded(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, RecursionError):
        return type(value).__name__


def _bounded(text: str, *, whole: bool) -> tuple[str, bool]:
    """Cut to `SCANNED`; of a text whose end is missing, leave the last word out: it may be half a secret."""
    if whole and len(text) <= SCANNED:
        return text, False
    text = text[:SCANNED]
    start = max(0, len(text) - _TAIL)
    end = max((found.end() for found in _BREAK.finditer(text, start)), default=start)
    return text[:end], True
