"""What survives a restart: networks, profiles, instances, faults, summaries."""

from xds_server.store.base import Changes, Contents, IdempotencyRecord, Store
from xds_server.store.sqlite import SqliteStore

__all__ = ["Changes", "Contents", "IdempotencyRecord", "SqliteStore", "Store"]
