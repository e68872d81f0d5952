"""The link between engine and manager: names, and messages as orjson bytes.

One bidirectional gRPC stream, `Attach`, which the engine opens. Each message is an object with one key that says what
it is. Up: `hello`, `window` and `closing` (with `seq`), `status`, `flush`. Down: `ack`, `config`, `lastGood`,
`predecessor`. A `closing` makes whole what the windows since the one before began.

Guarantees: what cannot be read is None, never an exception.
"""

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from xds_server.cache.resource import Resource
from xds_server.cache.snapshot import Snapshot, make_snapshot

SERVICE = "shadowmesh.analysis.v1.Manager"
METHOD = "Attach"
PATH = f"/{SERVICE}/{METHOD}"
VERSION = 6


def encode(message: Mapping[str, Any]) -> bytes:
    """Return a message as bytes."""
    return orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)


def decode(data: bytes) -> dict[str, Any] | None:
    """Return the message, or None when it is none."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None


def version_of(snapshot: Snapshot) -> str:
    """Return a text that changes whenever a snapshot's content does."""
    return ",".join(f"{t.rpartition('.')[2]}={v}" for t, v in sorted(snapshot.versions.items()))


def pack_snapshot(snapshot: Snapshot) -> list[list[Any]]:
    """Return a snapshot for the link and the disk."""
    return [
        [r.name, r.type_url, base64.b64encode(r.body).decode(), r.version, r.ttl]
        for named in snapshot.resources.values()
        for r in named.values()
    ]


def unpack_snapshot(packed: list[list[Any]]) -> Snapshot:
    """Return the snapshot that `pack_snapshot` described. Raises: ValueError when it is something else."""
    return make_snapshot(
        Resource(name=str(name), type_url=str(url), body=base64.b64decode(body), version=str(version), ttl=ttl)
        for name, url, body, version, ttl in packed
    )
