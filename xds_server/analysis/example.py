"""One differing pair as a person reads it.

Guarantees: bounded size: values cut to 200 characters, bodies to `EXCERPT`. Comparable by (time, id), so that keeping
the newest is the same whatever the order in which examples are merged.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from xds_server.analysis.bodies import decoded
from xds_server.analysis.difference import Difference
from xds_server.analysis.record import Record

EXCERPT = 500
"""Characters of a body that an example shows."""
MAX_DIFFERENCES = 20
"""Differences that one example lists."""
PATH = 500


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

    def as_json(self) -> dict[str, Any]:
        """Return it as REST shows it."""
        when = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"id": self.id, "time": when, **self.data}

    def pack(self) -> list[Any]:
        """Return it for the link and the disk."""
        return [self.time, self.id, self.data]


def unpack_example(packed: list[Any]) -> Example:
    """Return the example that `pack` described."""
    time, name, data = packed
    return Example(float(time), str(name), data)


def make_example(original: Record, shadow: Record, *, endpoint: str, differences: list[Difference]) -> Example:
    """Return the example of a differing pair."""
    data: dict[str, Any] = {
        "endpoint": endpoint,
        "method": original.method,
        "path": original.path[:PATH],
        "instanceID": shadow.shadow,
        "original": _answer(original),
        "shadow": _answer(shadow),
        "differences": [d.as_json() for d in differences[:MAX_DIFFERENCES]],
    }
    if len(differences) > MAX_DIFFERENCES:
        data["moreDifferences"] = len(differences) - MAX_DIFFERENCES
    return Example(original.started, f"{original.pair.partition('/')[2]}/{shadow.shadow}", data)


def _answer(record: Record) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "status": record.status,
        "responseTimeMs": _ms(record.response_time),
        "bytes": record.size,
    }
    if record.grpc_status:
        answer["grpcStatus"] = record.grpc_status
    if record.details != "via_upstream":
        answer["details"] = record.details
    body = decoded(record)
    text = body.data[: EXCERPT * 4].decode("utf-8", "replace")
    whole = len(text) <= EXCERPT and len(body.data) <= EXCERPT * 4 and body.complete
    answer["body"] = text if whole else text[:EXCERPT] + "…"
    return answer


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
