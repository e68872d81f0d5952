"""How a profile's pairs are compared: rules of the user, what to recognise, what to redact, when to raise alerts.

Frozen values; `analysis_to` and `analysis_from` are their JSON form, shared by the store and the link to the engines.
Each field is named there on purpose: renaming one must not silently lose what is on disk.

Patterns: `endpoint` is a glob over endpoint names (`GET /items/*`; empty: all), `path` a JSONPath (RFC 9535) of names,
`*`, `[*]` and `..` (`$.items[*].updated`); expressions are RE2, so no input makes them slow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xds_server.model.judging import DEFAULT_JUDGING, Judging, judging_from, judging_to

RECOGNISED = ("timestamp", "uuid", "trace_id", "token", "hash")
"""Kinds of values that are told by their looks; a value that differs and is of the same kind is a class of its own."""

_Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ignore:
    """Differences that do not count. All that is given must hold; with only `endpoint`, all of that endpoint's do not.

    `field` is an expression over the whole reported field, `value` one that both values must match somewhere.
    """

    endpoint: str = ""
    path: str = ""
    header: str = ""
    field: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Normalize:
    """What is done to both values before they are compared: matches of `regex` become `replace`; or arrays are sets.

    Where: a JSON `path`, a `header`, or with neither, all texts of the body.
    """

    endpoint: str = ""
    path: str = ""
    header: str = ""
    regex: str = ""
    replace: str = ""
    ignore_case: bool = False
    unordered: bool = False


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Numbers that differ by at most `absolute`, or by at most `relative` times the larger of the two, are equal."""

    endpoint: str = ""
    path: str = ""
    absolute: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class ArrayKey:
    """The elements of the array at `path` are told apart by their member `key`."""

    path: str
    key: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Alerting:
    """When to raise alerts. A rate of None raises none."""

    new_differences: bool = True
    """On a class of difference that an endpoint did not have before."""
    difference_rate: float | None = None
    """On a share of differing pairs above this, at an endpoint."""
    loss_rate: float | None = 0.05
    """On a share of lost pairs above this."""
    dead_shadow: bool = True
    """On a shadow that failed."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All of it.

    `endpoints` are path templates, first match wins: `/items/{id}`, `GET /items/{id}`. `redact` adds names of headers,
    query parameters and fields (or JSONPaths) to those whose values are never shown. `descriptor_set` is a base64
    FileDescriptorSet by which gRPC messages are read.
    """

    ignore: tuple[Ignore, ...] = ()
    normalize: tuple[Normalize, ...] = ()
    tolerance: tuple[Tolerance, ...] = ()
    array_keys: tuple[ArrayKey, ...] = ()
    recognise: tuple[str, ...] = RECOGNISED
    redact: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    descriptor_set: str = ""
    alerts: Alerting = Alerting()
    judging: Judging = DEFAULT_JUDGING


DEFAULT_ANALYSIS = Analysis()


def analysis_to(analysis: Analysis) -> dict[str, Any]:
    """Return the JSON value."""
    return {
        "ignore": [
            {"endpoint": i.endpoint, "path": i.path, "header": i.header, "field": i.field, "value": i.value}
            for i in analysis.ignore
        ],
        "normalize": [
            {
                "endpoint": n.endpoint,
                "path": n.path,
                "header": n.header,
                "regex": n.regex,
                "replace": n.replace,
                "ignore_case": n.ignore_case,
                "unordered": n.unordered,
            }
            for n in analysis.normalize
        ],
        "tolerance": [
            {"endpoint": t.endpoint, "path": t.path, "absolute": t.absolute, "relative": t.relative}
            for t in analysis.tolerance
        ],
        "array_keys": [{"endpoint": k.endpoint, "path": k.path, "key": k.key} for k in analysis.array_keys],
        "recognise": list(analysis.recognise),
        "redact": list(analysis.redact),
        "endpoints": list(analysis.endpoints),
        "descriptor_set": analysis.descriptor_set,
        "alerts": {
            "new_differences": analysis.alerts.new_differences,
            "difference_rate": analysis.alerts.difference_rate,
            "loss_rate": analysis.alerts.loss_rate,
            "dead_shadow": analysis.alerts.dead_shadow,
        },
        "judging": judging_to(analysis.judging),
    }


def analysis_from(d: _Json) -> Analysis:
    """Return what a JSON value describes. Raises: KeyError, TypeError."""
    return Analysis(
        ignore=tuple(Ignore(i["endpoint"], i["path"], i["header"], i["field"], i["value"]) for i in d["ignore"]),
        normalize=tuple(
            Normalize(
                endpoint=n["endpoint"],
                path=n["path"],
                header=n["header"],
                regex=n["regex"],
                replace=n["replace"],
                ignore_case=n["ignore_case"],
                unordered=n["unordered"],
            )
            for n in d["normalize"]
        ),
        tolerance=tuple(Tolerance(t["endpoint"], t["path"], t["absolute"], t["relative"]) for t in d["tolerance"]),
        array_keys=tuple(ArrayKey(k["path"], k["key"], k["endpoint"]) for k in d["array_keys"]),
        recognise=tuple(d["recognise"]),
        redact=tuple(d["redact"]),
        endpoints=tuple(d["endpoints"]),
        descriptor_set=d["descriptor_set"],
        alerts=Alerting(
            new_differences=d["alerts"]["new_differences"],
            difference_rate=d["alerts"]["difference_rate"],
            loss_rate=d["alerts"]["loss_rate"],
            dead_shadow=d["alerts"]["dead_shadow"],
        ),
        judging=judging_from(d["judging"]) if "judging" in d else DEFAULT_JUDGING,
    )
