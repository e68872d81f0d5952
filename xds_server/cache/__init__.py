"""Discovery resources as bytes with a hash, the sets they form, and the cache that streams watch."""

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import Resource, make_resource
from xds_server.cache.snapshot import EMPTY, Snapshot, make_snapshot

__all__ = ["EMPTY", "Resource", "Snapshot", "SnapshotCache", "make_resource", "make_snapshot"]
