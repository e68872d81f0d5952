"""What every Envoy has, resource by resource, as `istioctl proxy-status` shows it.

Guarantees: states are read from the streams when somebody asks, so keeping the board costs the streams nothing; a
resource whose newest version is not the one sent is STALE. Envoys that went away stay for a while, up to a cap.
Not guaranteed: one entry a process; Envoys with one node id in one group share an entry.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.resource import Resource
from xds_server.cache.snapshot import EMPTY
from xds_server.protocol.node import NodeInfo
from xds_server.protocol.session import Session
from xds_server.protocol.subscription import AckState


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource at one Envoy. `version` is the one sent last; `error` is in Envoy's words."""

    type_url: str
    name: str
    version: str
    state: AckState
    error: str = ""


@dataclass(frozen=True, slots=True)
class EnvoyStatus:
    """One Envoy. Times are seconds since the epoch: `since` the state of `connected`, `last_seen` its last request."""

    node: NodeInfo
    group: str
    connected: bool
    since: float
    last_seen: float
    resources: tuple[ResourceStatus, ...]

    @property
    def node_id(self) -> str:
        """The node id."""
        return self.node.id


class Connection:
    """One open stream on the board."""

    def __init__(self, node: NodeInfo, group: str, session: Session, *, now: float) -> None:
        """Put a stream on the board; `now` is wall-clock time."""
        self.node = node
        self.group = group
        self.session = session
        self.since = now
        self.last_seen = now


class StatusBoard:
    """All Envoys that are or were connected."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        remember: int = 1000,
        remember_for: float = 3600.0,
    ) -> None:
        """Keep at most `remember` Envoys that went away, each for `remember_for` seconds."""
        self._cache = SnapshotCache()
        self._clock = clock
        self._remember = remember
        self._remember_for = remember_for
        self._open: dict[tuple[str, str], list[Connection]] = {}
        self._gone: OrderedDict[tuple[str, str], EnvoyStatus] = OrderedDict()
        self._waiting: set[asyncio.Event] = set()

    def compare_with(self, cache: SnapshotCache) -> None:
        """Take `cache` for what the Envoys should have; the server calls it."""
        self._cache = cache

    def connect(self, node: NodeInfo, group: str, session: Session) -> Connection:
        """Take in a stream; give the result back to `disconnect`."""
        connection = Connection(node, group, session, now=self._clock())
        self._open.setdefault((group, node.id), []).append(connection)
        self._gone.pop((group, node.id), None)
        return connection

    def seen(self, connection: Connection) -> None:
        """Take note of a request."""
        connection.last_seen = self._clock()

    def disconnect(self, connection: Connection) -> None:
        """Take note that a stream ended."""
        key = (connection.group, connection.node.id)
        connections = self._open.get(key, [])
        if connection not in connections:
            return
        if len(connections) == 1:
            gone = replace(self._status(connections), connected=False, since=self._clock())
            del self._open[key]
            self._gone[key] = gone
            if len(self._gone) > self._remember:
                self._gone.popitem(last=False)
        else:
            connections.remove(connection)
        self.progressed()

    def progressed(self) -> None:
        """Wake those who wait in `settled`; a stream calls it when it has nothing more to send."""
        for event in self._waiting:
            event.set()

    def envoys(self, groups: Collection[str] | None = None) -> list[EnvoyStatus]:
        """Return the Envoys of `groups` (all without), in order of node id."""
        horizon = self._clock() - self._remember_for
        while self._gone and next(iter(self._gone.values())).since < horizon:
            self._gone.popitem(last=False)
        found = [self._status(c) for (group, _), c in self._open.items() if groups is None or group in groups]
        found.extend(self._refreshed(gone) for (g, _), gone in self._gone.items() if groups is None or g in groups)
        return sorted(found, key=lambda envoy: (envoy.node.id, envoy.group))

    def connected(self, groups: Collection[str]) -> list[NodeInfo]:
        """Return who is connected of `groups`; cheaper than `envoys`."""
        return [connections[0].node for (group, _), connections in self._open.items() if group in groups]

    async def settled(
        self,
        group_filter: Callable[[str], bool] | Collection[str],
        timeout: float,  # noqa: ASYNC109 - the answer to "in time?" is the result, not an exception
    ) -> bool:
        """Wait until each connected stream of the groups answered everything that is in force, removals included.

        Args:
            group_filter: the groups, or a function that tells them.
            timeout: longest wait in seconds.

        Returns:
            Whether it came to that in time; true at once when no such Envoy is connected.
        """
        wanted = group_filter if callable(group_filter) else group_filter.__contains__
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                while not self._settled(wanted):
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return self._settled(wanted)
        finally:
            self._waiting.discard(event)
        return True

    def _settled(self, wanted: Callable[[str], bool]) -> bool:
        return all(
            connection.session.settled(self._cache.get(group))
            for (group, _), connections in self._open.items()
            if wanted(group)
            for connection in connections
        )

    def _status(self, connections: list[Connection]) -> EnvoyStatus:
        first = connections[0]
        statuses = {
            (type_url, name): ResourceStatus(type_url, name, held.version, held.state, held.error)
            for connection in connections
            for type_url, subscription in connection.session.subscriptions.items()
            for name, held in subscription.held.items()
        }
        found = EnvoyStatus(
            node=first.node,
            group=first.group,
            connected=True,
            since=min(c.since for c in connections),
            last_seen=max(c.last_seen for c in connections),
            resources=tuple(statuses[key] for key in sorted(statuses)),
        )
        return self._refreshed(found)

    def _refreshed(self, envoy: EnvoyStatus) -> EnvoyStatus:
        """Mark what is no longer the newest."""
        snapshot = self._cache.get(envoy.group) or EMPTY

        def stale(status: ResourceStatus) -> bool:
            newest: Resource | None = snapshot.of_type(status.type_url).get(status.name)
            return newest is None or newest.version != status.version

        resources = tuple(replace(s, state=AckState.STALE) if stale(s) else s for s in envoy.resources)
        return replace(envoy, resources=resources)
