"""Endpoints: requests with the same meaning under one name, `GET /items/{id}`.

Guarantees: as many names as asked for, then `other`; memory bounded whatever the paths.
Not guaranteed: that two services' templates agree with their own routing tables; a later version takes patterns.
"""

from urllib.parse import unquote

from xds_server.analysis.kinds import OTHER
from xds_server.analysis.recognise import kind_of_text

CACHED = 20_000
"""Paths remembered with their template."""
LONGEST_CACHED = 500
"""Characters of a path that is remembered; Envoy takes up to 60 KiB."""
DEEPEST = 12
"""Segments of a template; the rest is `…`."""
LONGEST = 200
"""Characters of a template."""

_SHOWN = {
    "uuid": "{uuid}",
    "date": "{date}",
    "hash": "{hash}",
    "token": "{token}",
    "number": "{number}",
    "id": "{id}",
    "email": "{email}",
}


def template(path: str) -> str:
    """Return the template of a path; query and fragment are left out."""
    path = path.split("?", 1)[0].split("#", 1)[0]
    segments = path.split("/")
    if len(segments) > DEEPEST + 1:
        segments = [*segments[: DEEPEST + 1], "…"]
    shown = "/".join(_segment(segment) for segment in segments) or "/"
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def _segment(segment: str) -> str:
    kind = kind_of_text(segment)
    if not kind and "%" in segment:
        kind = kind_of_text(unquote(segment))
    if kind:
        return _SHOWN[kind]
    stem, dot, suffix = segment.rpartition(".")
    if dot and suffix.isalpha() and (kind := kind_of_text(stem)):
        return f"{_SHOWN[kind]}.{suffix}"
    return segment


class Names:
    """At most `limit` names, first come; the rest are `other`. Which ones are kept never depends on what differs."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, name: str) -> str:
        """Return `name`, or `other` when there are too many."""
        if name in self._known:
            return name
        if len(self._known) >= self._limit or name == OTHER:
            return OTHER
        self._known.add(name)
        return name


class Endpoints:
    """Endpoints of one profile."""

    def __init__(self, limit: int) -> None:
        """Tell at most `limit` endpoints apart."""
        self._names = Names(limit)
        self._cache: dict[tuple[str, str], str] = {}

    def of(self, method: str, path: str) -> str:
        """Return the endpoint of a request."""
        key = (method, path)
        found = self._cache.get(key)
        if found is None:
            found = self._names.admit(f"{method} {template(path)}")
            if len(path) > LONGEST_CACHED:
                return found
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[key] = found
        return found
