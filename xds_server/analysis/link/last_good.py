"""The last good resources on the engine's disk, and what of them an Envoy gets while the manager is away.

An Envoy that starts then must serve the original (CORRECTIONS 2). So the resources are kept as they were, but nothing
is mirrored: every share and every fault in the runtime is 0, and nothing expires.

Guarantees: a file is replaced in one step, so a crash leaves the old or the new one; what cannot be read is left out
and logged. Not guaranteed: that the newest configuration arrived before the manager went away.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson
import structlog
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf.message import DecodeError

from xds_server.analysis.link.wire import pack_snapshot, unpack_snapshot
from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import RUNTIME, Resource, make_resource
from xds_server.cache.snapshot import Snapshot, make_snapshot
from xds_server.errors import InconsistentError
from xds_server.private_files import make_folder, write_private

log = structlog.get_logger(__name__)


class LastGoodStore:
    """Snapshots by group, in a folder and in a cache that is served from."""

    def __init__(self, folder: Path, cache: SnapshotCache) -> None:
        """Name the folder (made when missing) and the cache to fill."""
        self._folder = folder
        self._cache = cache
        self.versions: dict[str, str] = {}
        """Version of the manager's snapshot, by group; told to the manager so that it sends only what differs."""

    def load(self) -> None:
        """Put everything on disk in force."""
        make_folder(self._folder)
        for path in sorted(self._folder.glob("*.json")):
            try:
                kept = orjson.loads(path.read_bytes())
                self._cache.set(kept["group"], unpack_snapshot(kept["resources"]))
                self.versions[kept["group"]] = kept["version"]
            except (OSError, ValueError, KeyError, TypeError, InconsistentError) as error:
                log.warning("last good resources cannot be read", path=str(path), error=str(error))

    def take(self, group: str, version: str, resources: list[list[Any]]) -> None:
        """Put what the manager sent in force, and on disk. What is not consistent leaves the one before."""
        try:
            snapshot = without_mirroring(unpack_snapshot(resources))
            self._cache.set(group, snapshot)
        except (ValueError, TypeError, InconsistentError) as error:
            log.warning("the manager sent resources that cannot be used", group=group, error=str(error))
            return
        self.versions[group] = version
        kept = {"group": group, "version": version, "resources": pack_snapshot(snapshot)}
        write_whole(self._path(group), orjson.dumps(kept))

    def keep_only(self, groups: Collection[str]) -> None:
        """Drop the groups that are no longer there."""
        wanted = set(groups)
        for group in [group for group in self._cache.groups() if group not in wanted]:
            self._cache.drop(group)
            self.versions.pop(group, None)
            self._path(group).unlink(missing_ok=True)

    def _path(self, group: str) -> Path:
        return self._folder / f"{hashlib.blake2b(group.encode(), digest_size=16).hexdigest()}.json"


def without_mirroring(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with every share in the runtime 0, and without expiry."""
    return make_snapshot(_kept(resource) for named in snapshot.resources.values() for resource in named.values())


def _kept(resource: Resource) -> Resource:
    body = resource.body
    if resource.type_url == RUNTIME:
        body = _zeroed(body)
    elif resource.ttl is None:
        return resource
    return make_resource(resource.name, resource.type_url, body)


def _zeroed(body: bytes) -> bytes:
    try:
        runtime = rtds_pb2.Runtime.FromString(body)
    except DecodeError as error:
        raise ValueError("a runtime resource cannot be read") from error
    for key, value in list(runtime.layer.fields.items()):
        if value.HasField("struct_value"):
            value.struct_value.fields["numerator"].number_value = 0
        else:
            # The weight of a cluster. Without them routes have their own, by which the original has everything; were
            # all of them 0, Envoy would find no route at all.
            del runtime.layer.fields[key]
    return bytes(runtime.SerializeToString(deterministic=True))


def write_whole(path: Path, data: bytes) -> bool:
    """Replace a file in one step, for its owner only; a full disk is logged (False): the engine goes on without it."""
    try:
        write_private(path, data)
    except OSError as error:
        log.warning("cannot write", path=str(path), error=str(error))
        return False
    return True
