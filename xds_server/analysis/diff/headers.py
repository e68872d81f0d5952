"""Answer headers compared: those that matter, as sets of values by name; cookies and redirects in a file of their own.

Guarantees: hop-by-hop headers (RFC 9110, 7.6.1), those that differ from request to request and those that Envoy adds
are left out (`header_names`); an `etag` is taken for a hash, whatever it looks like. Pure, bounded by the headers.
"""

from collections.abc import Iterator

from xds_server.analysis.diff.cookies import cookie_differences
from xds_server.analysis.diff.difference import ABSENT, Difference
from xds_server.analysis.diff.header_names import NAMES_UNORDERED, PREFIXES, UNORDERED
from xds_server.analysis.diff.redirects import redirect_differences
from xds_server.analysis.diff.rules import DEFAULT_RULES, Rules
from xds_server.analysis.kinds import Kind


def header_differences(original: bytes, shadow: bytes, rules: Rules = DEFAULT_RULES) -> list[Difference]:
    """Return the differences of captured headers, lines `name: value`."""
    if original == shadow:
        return []
    left, right = original.split(b"\n"), shadow.split(b"\n")
    if len(left) == len(right):
        # Nearly always: the same names in the same order. Only lines that differ need a look.
        names = {name for a, b in zip(left, right, strict=True) if a != b for name in (_name(a), _name(b))}
    else:
        names = {_name(line) for line in left} | {_name(line) for line in right}
    ignored = rules.ignore_headers
    wanted = {name for name in names if name and name not in ignored and not name.startswith(PREFIXES)}
    return list(_differences(left, right, wanted, rules)) if wanted else []


def _name(line: bytes) -> str:
    # A pseudo-header starts with the colon that ends other names.
    return line.partition(b":")[0].decode("latin-1").strip().lower()


def _differences(left: list[bytes], right: list[bytes], wanted: set[str], rules: Rules) -> Iterator[Difference]:
    for name in sorted(wanted):
        ours, theirs = _values(left, name), _values(right, name)
        if name == "set-cookie":
            yield from cookie_differences(ours, theirs, rules)
        elif _listed(name, ours) == _listed(name, theirs):
            continue
        elif name == "location" and len(ours) == len(theirs) == 1:
            yield from redirect_differences(ours[0], theirs[0], rules)
        elif (found := _difference(name, ours, theirs, rules)) is not None:
            yield found


def _difference(name: str, ours: list[str], theirs: list[str], rules: Rules) -> Difference | None:
    field = f"header:{name}"
    values = _shown(ours), _shown(theirs)
    judged = rules.leaf(field, Kind.HEADER, *values)
    if judged is None:
        return None
    if judged[0] is Kind.HEADER and name == "etag" and ours and theirs and "hash" in rules.recognise:
        judged = Kind.SAME_KIND, "hash"
    return Difference(field, judged[0], *values, what=judged[1])


def _values(lines: list[bytes], name: str) -> list[str]:
    return [
        line.partition(b":")[2].strip().decode("utf-8", "backslashreplace") for line in lines if _name(line) == name
    ]


def _listed(name: str, values: list[str]) -> list[str]:
    """Several lines of one name mean the same as one line with commas (RFC 9110, 5.3)."""
    parts = [part.strip() for value in values for part in value.split(",")]
    if name in NAMES_UNORDERED:
        parts = [part.lower() for part in parts]
    return sorted(parts) if name in UNORDERED else parts


def _shown(values: list[str]) -> object:
    return ", ".join(values) if values else ABSENT
