"""Answer headers compared: those that matter, as sets of values by name.

Guarantees: hop-by-hop headers (RFC 9110, 7.6.1), those that differ from request to request and those that Envoy adds
are left out; cookies are compared by name and attributes, not by value.
Not guaranteed: that a header which a service fills with chance is known here; `ignoreHeaders` of a profile adds to
them.
"""

from collections.abc import Collection, Iterator

from xds_server.analysis.difference import ABSENT, Difference
from xds_server.analysis.kinds import Kind

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
PER_REQUEST = frozenset(
    {
        "age",
        "alt-svc",
        "cf-ray",
        # The body is compared itself, by its size too.
        "content-length",
        "content-md5",
        "date",
        "digest",
        "expires",
        "nel",
        "report-to",
        "request-id",
        "server",
        "server-timing",
        "traceparent",
        "traceresponse",
        "tracestate",
        "via",
        "x-correlation-id",
        "x-process-time",
        "x-request-id",
        "x-request-start",
        "x-response-time",
        "x-runtime",
        "x-trace-id",
    }
)
PREFIXES = ("x-envoy-", "x-b3-", "x-amz", "x-cloud-trace", "x-datadog-", "x-shadowmesh-", ":", "grpc-")
"""Names that start so are ignored; gRPC's status is compared apart."""
IGNORED = HOP_BY_HOP | PER_REQUEST


def header_differences(original: bytes, shadow: bytes, ignored: Collection[str] = IGNORED) -> list[Difference]:
    """Return the differences of captured headers, one a name.

    Args:
        original: lines `name: value`.
        shadow: likewise.
        ignored: names in lower case.
    """
    if original == shadow:
        return []
    left, right = original.split(b"\n"), shadow.split(b"\n")
    if len(left) == len(right):
        # Nearly always: the same names in the same order. Only lines that differ need a look.
        names = {name for a, b in zip(left, right, strict=True) if a != b for name in (_name(a), _name(b))}
    else:
        names = {_name(line) for line in left} | {_name(line) for line in right}
    wanted = {name for name in names if name and name not in ignored and not name.startswith(PREFIXES)}
    return list(_differences(left, right, wanted)) if wanted else []


def _name(line: bytes) -> str:
    # A pseudo-header starts with the colon that ends other names.
    return line.partition(b":")[0].decode("latin-1").strip().lower()


def _differences(left: list[bytes], right: list[bytes], wanted: set[str]) -> Iterator[Difference]:
    for name in sorted(wanted):
        ours, theirs = _values(left, name), _values(right, name)
        if name == "set-cookie":
            if sorted(map(_cookie, ours)) == sorted(map(_cookie, theirs)):
                continue
        elif _listed(ours) == _listed(theirs):
            continue
        yield Difference(f"header:{name}", Kind.HEADER, _shown(ours), _shown(theirs))


def _values(lines: list[bytes], name: str) -> list[str]:
    return [
        line.partition(b":")[2].strip().decode("utf-8", "backslashreplace") for line in lines if _name(line) == name
    ]


def _listed(values: list[str]) -> list[str]:
    """Several lines of one name mean the same as one line with commas (RFC 9110, 5.3)."""
    return [part.strip() for value in values for part in value.split(",")]


def _cookie(value: str) -> tuple[str, ...]:
    pair, *attributes = (part.strip() for part in value.split(";"))
    kept = sorted(a for a in attributes if not a.lower().startswith("expires"))
    return (pair.partition("=")[0], *kept)


def _shown(values: list[str]) -> object:
    return ", ".join(values) if values else ABSENT
