"""One differing pair as a person reads it: both answers, the request, how to send it again. Nothing in it is secret.

Guarantees: redacted before anything is cut (`redact`); bounded: about `LARGEST` bytes as JSON. Comparable by (time,
id), so that keeping the newest is the same whatever the order in which examples are merged. Made only of pairs that
become examples, so its cost does not count for the rest.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from xds_server.analysis.clock import moment
from xds_server.analysis.diff.decode import unbase64
from xds_server.analysis.diff.descriptors import Descriptors
from xds_server.analysis.diff.difference import ABSENT, Difference, first_difference
from xds_server.analysis.diff.header_names import IGNORED
from xds_server.analysis.examples.curl import Asked, curl_line
from xds_server.analysis.examples.document import document, level_at
from xds_server.analysis.examples.excerpt import Captured, captured, excerpt, redacted_text
from xds_server.analysis.examples.places import exact_steps_of
from xds_server.analysis.examples.redact import ELIDED, Redactor
from xds_server.analysis.examples.secret_beside import is_value
from xds_server.analysis.examples.sensitive import Level
from xds_server.analysis.record import Record

EXCERPT = 2_000
"""Characters of a body that an example shows."""
SHORT = 300
"""Characters of it where all together would be too large."""
LARGEST = 12 * 1024
"""Bytes of an example; a window has up to 200, and a message of the link 4 MiB."""
MAX_DIFFERENCES = 20
"""Differences that one example lists."""
PATH = 500
MOST_HEADERS = 30
HEADER = 300
"""Characters of a header's value."""
SHORTEST = 3
"""Characters of a secret that is looked for elsewhere."""
AROUND = 60
"""Characters of text shown on each side of the first difference."""

_UNSHOWN = (":", "x-envoy-", "x-shadowmesh-", "grpc-status", "grpc-message")
_TEXTUAL = frozenset({"text", "same_kind"})
"""Classes of differences whose values are pieces of a text."""

_Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """A differing pair. `id` is the pair's unique id with the instance; `data` is the JSON form of all the rest."""

    time: float
    id: str
    data: dict[str, Any]

    def __hash__(self) -> int:
        return hash((self.time, self.id))

    @property
    def fields(self) -> set[tuple[str, str]]:
        """Field and class of each difference it shows."""
        return {(d["field"], d["class"]) for d in self.data["differences"]}

    def difference(self, field: tuple[str, str]) -> dict[str, Any] | None:
        """Return the one of its differences that a field is about; fields beyond the bounds are `other`, by class."""
        shown = self.data["differences"]
        alike = (d for d in shown if d["class"] == field[1])
        return next((d for d in shown if (d["field"], d["class"]) == field), None) or next(alike, None)

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        return {"id": self.id, "time": moment(self.time), **self.data}

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        return [self.time, self.id, self.data]


def unpack_example(packed: list[Any]) -> Example:
    """Return the example that `pack` described."""
    time, name, data = packed
    return Example(float(time), str(name), data)


def make_example(
    original: Record,
    shadow: Record,
    *,
    endpoint: str,
    differences: Sequence[Difference],
    redactor: Redactor,
    descriptors: Descriptors | None = None,
) -> Example:
    """Return the example of a differing pair.

    Args:
        original: the leg of the original.
        shadow: the leg of the copy.
        endpoint: a name without secrets.
        differences: what the comparison found.
        redactor: of the profile.
        descriptors: by which the comparison read messages.
    """
    bodies = [captured(r.head, unbase64(r.headers), size=r.size, cut_off=r.cut_off) for r in (original, shadow)]
    answers = [_answer(r, body, redactor) for r, body in zip((original, shadow), bodies, strict=True)]
    texts = _Texts(bodies, (original, shadow), redactor, descriptors)
    listed = [_difference(each, texts, redactor) for each in differences[:MAX_DIFFERENCES]]
    data: dict[str, Any] = {
        "endpoint": endpoint,
        "method": original.method,
        "path": _cut(redactor.path(original.path), PATH),
        "instanceID": shadow.shadow,
        "original": answers[0],
        "shadow": answers[1],
        "differences": listed,
    }
    if len(differences) > MAX_DIFFERENCES:
        data["moreDifferences"] = len(differences) - MAX_DIFFERENCES
    if shadow.request_headers is not None:
        _add_request(data, original, shadow, redactor)
    _shrink(data)
    return Example(original.started, f"{original.pair.partition('/')[2]}/{shadow.shadow}", data)


def _answer(record: Record, body: Captured, redactor: Redactor) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "status": record.status,
        "responseTimeMs": _ms(record.response_time),
        "bytes": record.size,
    }
    if record.grpc_status:
        answer["grpcStatus"] = record.grpc_status
    if record.grpc_message:
        answer["grpcMessage"] = _cut(redactor.text(record.grpc_message), HEADER)
    if record.details != "via_upstream":
        answer["details"] = _cut(redactor.text(record.details), HEADER)
    answer["headers"] = _shown_headers(_lines(record.headers), redactor)
    shown = excerpt(body, redactor, limit=EXCERPT)
    answer["body"], answer["truncated"] = shown.text, shown.cut
    return answer


def _add_request(data: dict[str, Any], original: Record, shadow: Record, redactor: Redactor) -> None:
    headers = _lines(shadow.request_headers)
    body = captured(shadow.request_head, unbase64(shadow.request_headers), size=shadow.request_size)
    shown = excerpt(body, redactor, limit=EXCERPT)
    data["request"] = {
        "method": shadow.method,
        "path": data["path"],
        "headers": _shown_headers(headers, redactor),
        "body": shown.text,
        "bytes": shadow.request_size,
        "truncated": shown.cut,
    }
    removed = original.carried_credentials and not shadow.carried_credentials
    curl = curl_line(Asked(shadow.method, shadow.path, headers, body, credentials_removed=removed), redactor)
    if curl:
        data["curl"] = curl


def _lines(block: str | None) -> _Headers:
    """Return captured headers; those that stand several times do so here too."""
    text = unbase64(block).decode("utf-8", "replace")
    found = []
    for line in text.split("\n"):
        pseudo = ":" if line.startswith(":") else ""
        name, colon, value = line.removeprefix(":").partition(":")
        if colon:
            found.append((f"{pseudo}{name}".lower(), value.strip()))
    return found


def _shown_headers(headers: _Headers, redactor: Redactor) -> dict[str, str]:
    """Return the headers that matter, redacted; values of one name joined as RFC 9110, 5.3 has it."""
    out: dict[str, str] = {}
    for name, value in headers:
        if name in IGNORED or name.startswith(_UNSHOWN) or (len(out) >= MOST_HEADERS and name not in out):
            continue
        shown = _cut(redactor.header(name, value), HEADER)
        out[name] = _cut(f"{out[name]}, {shown}", HEADER) if name in out else shown
    return out


class _Texts:
    """The texts of both bodies without their secrets, and which secrets those were; made when first asked for."""

    def __init__(
        self,
        bodies: Sequence[Captured],
        records: Sequence[Record],
        redactor: Redactor,
        descriptors: Descriptors | None,
    ) -> None:
        self._bodies = bodies
        self._records = records
        self._descriptors = descriptors
        self._redactor = redactor
        self._made: tuple[list[str], dict[str, str]] | None = None
        self._documents: list[Any] | None = None
        self._in_documents: dict[str, str] = {}

    def get(self) -> tuple[list[str], dict[str, str]]:
        """Return both texts, and what stands in the place of each secret."""
        if self._made is None:
            with self._redactor.recording() as secrets:
                texts = [redacted_text(body, self._redactor) for body in self._bodies]
            self._made = texts, dict(sorted(secrets.items(), key=lambda item: -len(item[0])))
        return self._made

    def level_at(self, place: str) -> Level:
        """Return what is hidden at a place of JSON by a name that stands beside it, in either body."""
        if self._documents is None:
            self._documents = [
                document(body, unbase64(record.headers), path=record.path, descriptors=self._descriptors)
                for body, record in zip(self._bodies, self._records, strict=True)
            ]
            with self._redactor.recording() as secrets:
                for each in self._documents:
                    self._redactor.value(each)
            self._in_documents = secrets
        return level_at(self._documents, exact_steps_of(place), self._redactor)

    def without(self, place: str, value: Any) -> Any:
        """Return a value of JSON without what a name beside it hides, where the sides have it in another order."""
        steps = exact_steps_of(place)
        last = steps[-1] if steps else ""
        if not isinstance(value, str) or not (last == 1 or is_value(str(last))):
            return value
        return self._in_documents.get(value, value)


def _difference(difference: Difference, texts: _Texts, redactor: Redactor) -> dict[str, Any]:
    field = difference.field
    level = texts.level_at(difference.at or field) if field.startswith("$") else Level.SHOWN
    sides = (difference.original, difference.shadow)
    values = [redactor.difference(field, difference.at, each, level=level) for each in sides]
    if field.startswith("$"):
        values = [texts.without(difference.at or field, each) for each in values]
    elif field == "body" and str(difference.kind) in _TEXTUAL:
        # What the comparison cut around the difference may have lost the name before a secret, or half of one.
        values = list(_around(*texts.get()[0]))
    elif field.startswith("body:"):
        # Of an element's value the name may stand beside it (`<input name=... value=...>`).
        values = [_without(each, texts.get()[1]) if isinstance(each, str) else each for each in values]
    at = redactor.at(difference.at) if difference.at else ""
    return Difference(redactor.field(field), difference.kind, values[0], values[1], at, difference.what).as_json()


def _without(text: str, secrets: Mapping[str, str]) -> str:
    for secret, mark in secrets.items():
        said = " ".join(html.unescape(secret.strip("\"'")).split())
        if len(said) >= SHORTEST:
            text = text.replace(said, mark)
    return text


def _around(left: str, right: str) -> tuple[Any, Any]:
    if left == right:
        return ABSENT, ABSENT
    at = first_difference(left, right)
    start = max(0, at - AROUND)
    ours, theirs = ((ELIDED if start else "") + text[start : at + AROUND] for text in (left, right))
    return ours, theirs


def _shrink(data: dict[str, Any]) -> None:
    """Make it as small as it must be: long bodies and the line first, the differences last."""
    if len(orjson.dumps(data)) <= LARGEST:
        return
    for part in (data[name] for name in ("original", "shadow", "request") if name in data):
        if len(part["body"]) > SHORT:
            part["body"], part["truncated"] = part["body"][:SHORT] + ELIDED, True
    if len(orjson.dumps(data)) > LARGEST and data.pop("curl", None):
        data["curl"] = "# too large to be kept"
    for part in (data[name] for name in ("original", "shadow", "request") if name in data):
        if len(orjson.dumps(data)) > LARGEST:
            part["headers"] = {}
    while len(orjson.dumps(data)) > LARGEST and len(data["differences"]) > 1:
        data["differences"].pop()
        data["moreDifferences"] = data.get("moreDifferences", 0) + 1


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + ELIDED


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
