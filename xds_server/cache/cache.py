"""The snapshots in force, one a group of Envoys, and who wants to know when one changes.

Guarantees: an inconsistent snapshot is refused and the one before stays; an equal one changes nothing and tells nobody.
Not guaranteed: anything across threads; every call belongs on the event loop.
"""

from collections.abc import Callable, Collection

from xds_server.cache.consistency import check
from xds_server.cache.snapshot import Snapshot
from xds_server.model.names import CONTROL_CLUSTER, ENGINE_CLUSTER

Callback = Callable[[Snapshot | None], None]
"""Called with the new snapshot of a group, or None when the group was dropped. Must not raise or wait."""


class SnapshotCache:
    """Snapshots by group, with watchers."""

    def __init__(self, *, static_clusters: Collection[str] = (CONTROL_CLUSTER, ENGINE_CLUSTER)) -> None:
        """Name the clusters that Envoys have from their bootstrap; routes may lead there."""
        self._static = frozenset(static_clusters)
        self._snapshots: dict[str, Snapshot] = {}
        self._watchers: dict[str, list[Callback]] = {}
        self._checked: Snapshot | None = None

    def set(self, group: str, snapshot: Snapshot) -> None:
        """Put `snapshot` in force for `group`.

        Raises:
            InconsistentError: it names what it does not hold; the one before stays in force.
        """
        before = self._snapshots.get(group)
        if before is not None and (before is snapshot or before.versions == snapshot.versions):
            return
        # A publisher sets one object under several groups.
        if self._checked is not snapshot:
            check(snapshot, static_clusters=self._static)
            self._checked = snapshot
        self._snapshots[group] = snapshot
        self._tell(group, snapshot)

    def get(self, group: str) -> Snapshot | None:
        """Return what is in force for `group`; None when the group is not known."""
        return self._snapshots.get(group)

    def drop(self, group: str) -> None:
        """Forget `group`; its Envoys are told that it has no resources."""
        if self._snapshots.pop(group, None) is not None:
            self._tell(group, None)

    def groups(self) -> tuple[str, ...]:
        """Return the groups that have a snapshot."""
        return tuple(self._snapshots)

    def subscribe(self, group: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` at each change of `group` from now on; return the function that ends it."""
        watchers = self._watchers.setdefault(group, [])
        watchers.append(callback)

        def unsubscribe() -> None:
            if callback in watchers:
                watchers.remove(callback)
            if not watchers and self._watchers.get(group) is watchers:
                del self._watchers[group]

        return unsubscribe

    @property
    def watches(self) -> int:
        """How many callbacks are subscribed; none when no stream is open."""
        return sum(map(len, self._watchers.values()))

    def _tell(self, group: str, snapshot: Snapshot | None) -> None:
        for callback in tuple(self._watchers.get(group, ())):
            callback(snapshot)
