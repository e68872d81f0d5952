"""From the state of a network to what its Envoys are served.

Guarantees: a network is translated anew only when its state has changed; a state that cannot be translated, or whose
resources are not consistent, leaves the last good ones in force, and `problem` says why; the groups of one network
that want the same share one snapshot.
Not guaranteed: that Envoys have it when `publish` returns; the status board tells.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from xds_server.cache.cache import SnapshotCache
from xds_server.cache.consistency import check as check_consistency
from xds_server.cache.snapshot import Snapshot, make_snapshot
from xds_server.config import Settings
from xds_server.errors import ShadowmeshError
from xds_server.lifecycle.configs import ProfileConfig, profile_configs
from xds_server.lifecycle.groups import Group, group_of
from xds_server.model.ids import NetworkID
from xds_server.model.names import CONTROL_CLUSTER, ENGINE_CLUSTER
from xds_server.model.network import Address
from xds_server.model.state import NetworkState
from xds_server.protocol.board import StatusBoard
from xds_server.protocol.node import NodeInfo
from xds_server.translate import translate

log = structlog.get_logger(__name__)

MAX_OVERRIDES = 10_000
"""Groups with listen addresses of their own that are kept; beyond it the one least recently asked for goes."""

OFFER_AFTER = 0.25
"""Seconds that changes are collected before the engines are offered the new last good snapshots."""


class Analysis(Protocol):
    """What the publisher tells the analysis (the `Collector`)."""

    def configure(self, profiles: Sequence[ProfileConfig]) -> None:
        """Take these profiles for all there are."""

    def offer_last_good(self, groups: Mapping[str, Snapshot]) -> None:
        """Hand the engines what they serve to an Envoy that cannot reach the manager."""


@dataclass(slots=True)
class _Published:
    """What is in force for one network."""

    state: NetworkState
    problem: str = ""
    groups: set[str] = field(default_factory=set)
    configs: tuple[ProfileConfig, ...] = ()


class Publisher:
    """Translates and serves; see the module.

    Args:
        cache: what the xDS server reads.
        board: what the Envoys have.
        collector: told which profiles there are, and given the last good snapshots for the engines.
        settings: of the whole process.
        wall: turns a moment of the records into what Envoys' clocks have for it.
    """

    def __init__(
        self,
        *,
        cache: SnapshotCache,
        board: StatusBoard,
        collector: Analysis,
        settings: Settings,
        wall: Callable[[datetime], datetime] = lambda when: when,
    ) -> None:
        self._cache = cache
        self._board = board
        self._collector = collector
        self._settings = settings
        self._wall = wall
        self._networks: dict[NetworkID, _Published] = {}
        self._by_ref: dict[str, NetworkID] = {}
        self._overrides: OrderedDict[str, Group] = OrderedDict()
        self._overrides_of: dict[str, dict[str, Group]] = {}
        self._checked: tuple[NetworkState, Snapshot] | None = None
        self._telling: asyncio.Handle | None = None
        self._offering: asyncio.TimerHandle | None = None

    def group_of(self, node: NodeInfo) -> str:
        """Return the group of an Envoy and see to it that the group is served. The xDS server's `Grouping`."""
        group = group_of(node)
        if group.listen:
            known = group.name in self._overrides
            self._overrides[group.name] = group
            self._overrides.move_to_end(group.name)
            self._overrides_of.setdefault(group.cluster, {})[group.name] = group
            network = self._networks.get(self._by_ref.get(group.cluster, NetworkID("")))
            if not known and network is not None:
                self._serve(network, only=group)
            if len(self._overrides) > MAX_OVERRIDES:
                self._evict()
        if group.cluster not in self._by_ref:
            log.warning("an Envoy asks for a network that is not there (yet)", node=node.id, network=group.cluster)
        return group.name

    def check(self, state: NetworkState) -> None:
        """Refuse a state that could not be served, before anything of it is accepted. Changes nothing.

        Raises:
            InvalidError, ConflictError: from the translation, naming the field.
            InconsistentError: the resources refer to what is not there.
        """
        snapshot = self._translate(state, {})
        check_consistency(snapshot, static_clusters=frozenset((CONTROL_CLUSTER, ENGINE_CLUSTER)))
        self._checked = (state, snapshot)

    def publish(self, state: NetworkState) -> None:
        """Serve this state to all groups of its network. Never raises: `problem` tells."""
        network = self._networks.get(state.network.id)
        if network is not None and network.state == state and not network.problem:
            return
        if network is None:
            network = self._networks[state.network.id] = _Published(state)
        network.state = state
        self._by_ref[state.network.name] = self._by_ref[state.network.id] = state.network.id
        self._serve(network)
        configs = tuple(profile_configs(state, wall=self._wall))
        if configs != network.configs:
            network.configs = configs
            self._tell_soon()
        self._offer_soon()

    def withdraw(self, network: NetworkID) -> None:
        """Take a network from its Envoys: they are told that there is nothing for them any more."""
        published = self._networks.pop(network, None)
        if published is None:
            return
        for ref in (published.state.network.name, published.state.network.id):
            self._by_ref.pop(ref, None)
        for group in published.groups:
            self._cache.drop(group)
        if published.configs:
            self._tell_soon()
        self._offer_soon()

    def problem(self, network: NetworkID) -> str:
        """Say why the newest state of a network is not what is served; empty when it is."""
        published = self._networks.get(network)
        return published.problem if published else ""

    def groups(self, network: NetworkID) -> frozenset[str]:
        """Return the groups of the cache that belong to a network."""
        published = self._networks.get(network)
        return frozenset(published.groups) if published else frozenset()

    def close(self) -> None:
        """Tell the analysis what it has not been told yet, and wait for nothing."""
        if self._telling is not None:
            self._telling.cancel()
            self._tell()
        if self._offering is not None:
            self._offering.cancel()
            self._offer()

    def _serve(self, network: _Published, *, only: Group | None = None) -> None:
        """Translate and set; a failure stays with its network."""
        name, key = network.state.network.name, network.state.network.id
        groups = [Group(name, name, {}), Group(key, key, {})] if only is None else [only]
        if only is None:
            groups += [g for ref in (name, key) for g in self._overrides_of.get(ref, {}).values()]
        snapshots: dict[tuple[tuple[str, Address], ...], Snapshot] = {}
        problem = ""
        for group in groups:
            alike = tuple(sorted(group.listen.items(), key=lambda item: item[0]))
            try:
                if alike not in snapshots:
                    snapshots[alike] = self._translate(network.state, group.listen)
                self._cache.set(group.name, snapshots[alike])
            except Exception as error:
                problem = problem or str(error) or type(error).__name__
                if not isinstance(error, ShadowmeshError):
                    log.exception("a network could not be translated", network=name, group=group.name)
            network.groups.add(group.name)
        if only is None or problem:
            network.problem = problem
        if problem:
            log.error("the last good configuration stays in force", network=name, problem=problem)

    def _translate(self, state: NetworkState, listen: Mapping[str, Address]) -> Snapshot:
        if not listen and self._checked is not None and self._checked[0] == state:
            return self._checked[1]
        there = {c.name for c in state.network.components}
        return make_snapshot(
            translate(
                state,
                listen={name: address for name, address in listen.items() if name in there},
                runtime_ttl=self._settings.xds.runtime_ttl,
            )
        )

    def _evict(self) -> None:
        connected = {e.group for e in self._board.envoys() if e.connected}
        for name, group in list(self._overrides.items()):
            if name not in connected:
                del self._overrides[name]
                alike = self._overrides_of[group.cluster]
                del alike[name]
                if not alike:
                    del self._overrides_of[group.cluster]
                self._cache.drop(name)
                network = self._networks.get(self._by_ref.get(group.cluster, NetworkID("")))
                if network is not None:
                    network.groups.discard(name)
                return

    def _tell_soon(self) -> None:
        # Within this turn of the loop: the engine has to know a profile before its first pair comes.
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._collector.configure([config for network in self._networks.values() for config in network.configs])

    def _offer_soon(self) -> None:
        # All groups are offered at once, so a thousand new networks must not be a thousand offers.
        if self._offering is None:
            self._offering = asyncio.get_running_loop().call_later(OFFER_AFTER, self._offer)

    def _offer(self) -> None:
        self._offering = None
        groups = (group for network in self._networks.values() for group in network.groups)
        self._collector.offer_last_good({g: s for g in groups if (s := self._cache.get(g)) is not None})
