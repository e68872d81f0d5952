"""Templates by looks: identifiers in a path become what kind of identifier they are, `/items/{id}`.

Guarantees: a pure function of the path; the result has at most `LONGEST` characters and one more.
Not guaranteed: that every identifier looks like one; those that do not are learnt (`learning.py`).
"""

from urllib.parse import unquote

from xds_server.analysis.recognise import kind_of_segment

DEEPEST = 12
"""Segments of a template; the rest is `…`."""
LONGEST = 200
"""Characters of a template."""
WILD = "{*}"
"""Stands for the segments of a position that was learnt to be a parameter."""
REST = "…"

_SHOWN = {kind: f"{{{kind}}}" for kind in ("uuid", "date", "hash", "token", "number", "id", "email")}
FIXED = frozenset({*_SHOWN.values(), WILD, REST, ""})
"""Segments that stand for themselves, however many others there are beside them."""


def template(path: str) -> str:
    """Return the template of a path; query and fragment are left out."""
    path = path.split("?", 1)[0].split("#", 1)[0]
    segments = path.split("/", DEEPEST + 1)
    if len(segments) > DEEPEST + 1:
        segments[-1] = REST
    shown = "/".join(map(_segment, segments)) or "/"
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + REST


def _segment(segment: str) -> str:
    kind = kind_of_segment(segment)
    if not kind and "%" in segment:
        kind = kind_of_segment(unquote(segment))
    if kind:
        return _SHOWN[kind]
    stem, dot, suffix = segment.rpartition(".")
    if dot and suffix.isalpha() and (kind := kind_of_segment(stem)):
        return f"{_SHOWN[kind]}.{suffix}"
    # A client that writes the sign itself must not be taken for one who has learnt something.
    return "%7B*%7D" if segment == WILD else segment
