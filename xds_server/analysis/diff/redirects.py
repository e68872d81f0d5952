"""Where two redirects lead, compared by parts.

Guarantees: scheme and authority of each leg's own do not count (`http://127.0.0.1:4001/a` and `/a` lead to the same
place of each version); another site does. Path, each parameter of the query and the fragment are told apart.
Not guaranteed: that a redirect to another private address is noticed; each version's own address is one.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from xds_server.analysis.diff.difference import ABSENT, Difference
from xds_server.analysis.diff.rules import Rules
from xds_server.analysis.kinds import Kind

MOST = 100
"""Parameters of a query."""
_FIELD = "header:location"


def redirect_differences(original: str, shadow: str, rules: Rules) -> Iterator[Difference]:
    """Return how two values of `location` differ, by part."""
    ours, theirs = _split(original), _split(shadow)
    if ours is None or theirs is None:
        yield from _judged(_FIELD, original, shadow, rules)
        return
    if _site(ours) != _site(theirs):
        yield from _judged(f"{_FIELD}.host", _site(ours), _site(theirs), rules)
    if (ours.path or "/") != (theirs.path or "/"):
        yield from _judged(f"{_FIELD}.path", ours.path or "/", theirs.path or "/", rules)
    if ours.query != theirs.query:
        left, right = _query(ours.query), _query(theirs.query)
        for name in sorted(left.keys() | right.keys())[:MOST]:
            if left.get(name) != right.get(name):
                yield from _judged(
                    f"{_FIELD}.query.{name[:100]}", left.get(name, ABSENT), right.get(name, ABSENT), rules
                )
    if ours.fragment != theirs.fragment:
        yield from _judged(f"{_FIELD}.fragment", ours.fragment, theirs.fragment, rules)


def _judged(field: str, original: Any, shadow: Any, rules: Rules) -> Iterator[Difference]:
    judged = rules.leaf(field, Kind.REDIRECT, original, shadow)
    if judged is not None:
        yield Difference(field, judged[0], original, shadow, what=judged[1])


def _split(location: str) -> SplitResult | None:
    try:
        parts = urlsplit(location)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _own(parts: SplitResult) -> bool:
    """Say whether it leads to the version itself: no authority, or an address rather than a name."""
    host = parts.hostname
    if not host or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _site(parts: SplitResult) -> str:
    if _own(parts):
        return ""
    # Envoy appends this to the host of a copy, unless it is told not to.
    return f"{parts.scheme}://{parts.netloc}".lower().replace("-shadow", "", 1)


def _query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST, errors="replace")
    except ValueError:
        return {"": query}
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
