"""What Envoys count themselves, read from their admin interfaces and summed over the Envoys of a network.

An Envoy tells the address of its admin interface in its node's metadata (`shadowmesh bootstrap` writes it). That is a
claim of whoever connects, so only loopback and private addresses are asked unless a setting allows others, only ever
with GET for two paths, and only what names the same node is believed.

Guarantees: each Envoy is asked at most once an interval, bounded in time and bytes; sums never fall, also when an Envoy
is started anew. `count` is what was served since the manager first saw an Envoy, and None unless all of them told.
Not guaranteed: what an Envoy counted between the last reading and its end; Envoys that share a node id count as one.
"""

import asyncio
import ipaddress
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import orjson
import structlog

from xds_server.config import EnvoySettings
from xds_server.errors import cut
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.groups import MAX_PORT
from xds_server.model.ids import NetworkID
from xds_server.model.names import ADMIN_METADATA
from xds_server.model.network import Address
from xds_server.protocol.board import EnvoyStatus
from xds_server.runtime.neighbours import plain_ip

log = structlog.get_logger(__name__)

COUNTERS = (
    "upstream_rq_total",
    "upstream_rq_completed",
    "upstream_rq_2xx",
    "upstream_rq_3xx",
    "upstream_rq_4xx",
    "upstream_rq_5xx",
    "upstream_rq_timeout",
    "upstream_rq_retry",
    "upstream_rq_pending_overflow",
    "upstream_rq_rx_reset",
    "upstream_rq_tx_reset",
    "upstream_cx_connect_fail",
)
"""Of each cluster."""
COMPLETED = "upstream_rq_completed"
MOST_BYTES = 4 * 1024 * 1024
"""Of an answer."""
AT_ONCE = 16
"""Envoys asked at once."""
KNOWN = 1000
"""Envoys of which it is remembered what they said last."""
AT_ONE_GO = 100
"""Clusters asked for in one request: its line may have 60 KiB."""
PATIENCE = 0.3
"""Seconds that a sample waits for the Envoys; an answer that takes longer is taken in with the next."""
NOT_READ = "not read yet"
_PRIVATE = [
    ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})")


class Board(Protocol):
    """The part of the status board that is meant here."""

    def envoys(self, groups: Collection[str] | None = None) -> list[EnvoyStatus]:
        """Return the Envoys of groups."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read of a network: from the Envoys of these groups, these clusters."""

    groups: frozenset[str]
    clusters: frozenset[str]


@dataclass(slots=True)
class _Network:
    sums: dict[str, Counter[str]] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    last: dict[tuple[str, str], dict[str, dict[str, int]]] = field(default_factory=dict)
    """By Envoy (node id and group), by cluster."""
    reason: str = NOT_READ
    complete: bool = False
    told: set[tuple[str, str]] = field(default_factory=set)
    """The Envoys that were read the last time."""
    epoch: int = 0
    """Counts the changes of which Envoys there are."""


class _UnreadableError(Exception):
    """An Envoy could not be read; the text says why."""


class EnvoyStats:
    """See the module. All methods belong on the event loop."""

    def __init__(self, *, board: Board, settings: EnvoySettings, clock: Clock) -> None:
        self._board = board
        self._settings = settings
        self._clock = clock
        self._networks: dict[NetworkID, _Network] = {}
        self._verified: dict[tuple[str, str], tuple[Address, float]] = {}
        """By Envoy: the address that names its node, and since when the Envoy was connected then."""
        self._client: httpx.AsyncClient | None = None
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._next = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def poll(self, wanted: Mapping[NetworkID, Wanted]) -> bool:
        """Read if it is time to. True: just now there are new figures, good for a moment that is now.

        Never waits longer than `PATIENCE`.
        """
        if not self._settings.admin or not wanted:
            for network in [n for n in self._networks if n not in wanted]:
                del self._networks[network]
            return False
        now = self._clock.monotonic()
        if self._reading is None and now >= self._next:
            self._next = now + self._settings.admin_interval
            self._reading = asyncio.create_task(self._read(dict(wanted)), name="envoy-stats")
            await asyncio.wait({self._reading}, timeout=PATIENCE)
            if self._reading.done():
                self._take_result()
                return True
        elif self._reading is not None and self._reading.done():
            self._take_result()
        return False

    def counters(self, network: NetworkID, clusters: Iterable[str]) -> dict[str, int]:
        """Return the counters of clusters, summed; empty when nothing was read."""
        known = self._networks.get(network)
        found = [known.sums[cluster] for cluster in clusters if cluster in known.sums] if known else []
        return {name: sum(each[name] for each in found) for name in COUNTERS} if found else {}

    def count(self, network: NetworkID, clusters: Iterable[str]) -> int | None:
        """Return how many requests the Envoys completed at clusters since the first reading; None: not known."""
        known = self._networks.get(network)
        return sum(known.served[cluster] for cluster in clusters) if known and known.complete else None

    def epoch(self, network: NetworkID) -> int:
        """Return a number that is another one once `count` has a gap."""
        known = self._networks.get(network)
        return known.epoch if known else 0

    def reason(self, network: NetworkID) -> str:
        """Return why not all Envoys were read; empty when they were."""
        if not self._settings.admin:
            return "reading Envoys' own counters is switched off (--no-envoy-admin)"
        known = self._networks.get(network)
        return known.reason if known else NOT_READ

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _take_result(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None and not reading.cancelled() and (error := reading.exception()) is not None:
            log.error("Envoys' counters could not be read", exc_info=error)

    async def _read(self, wanted: Mapping[NetworkID, Wanted]) -> None:
        for gone in [network for network in self._networks if network not in wanted]:
            del self._networks[gone]
        await asyncio.gather(*(self._read_network(network, each) for network, each in wanted.items()))

    async def _read_network(self, network: NetworkID, wanted: Wanted) -> None:
        known = self._networks.setdefault(network, _Network())
        envoys = [envoy for envoy in self._board.envoys(wanted.groups) if envoy.connected]
        results = await asyncio.gather(*(self._read_envoy(envoy, wanted.clusters) for envoy in envoys))
        problems = []
        told: set[tuple[str, str]] = set()
        for envoy, result in zip(envoys, results, strict=True):
            key = (envoy.node_id, envoy.group)
            if isinstance(result, str):
                problems.append(f"{cut(envoy.node_id, 80)}: {result}")
            else:
                told.add(key)
                _add(known, key, result)
        if told != known.told:
            # What another one serves, seen no longer or not before, belongs to no stretch of time.
            known.told, known.epoch = told, known.epoch + 1
        while len(known.last) > KNOWN and (gone := [key for key in known.last if key not in told]):
            del known.last[gone[0]]
        for cluster in set(known.sums) - wanted.clusters:
            del known.sums[cluster]
            del known.served[cluster]
        known.complete = bool(envoys) and not problems
        known.reason = _said(len(envoys), problems)

    async def _read_envoy(self, envoy: EnvoyStatus, clusters: frozenset[str]) -> dict[str, dict[str, int]] | str:
        """Return its counters by cluster, or why not."""
        try:
            address = admin_address(envoy.node.metadata.get(ADMIN_METADATA), anywhere=self._settings.admin_anywhere)
            async with self._limit, asyncio.timeout(self._settings.admin_timeout):
                await self._verify(envoy, address)
                found: dict[str, dict[str, int]] = {cluster: {} for cluster in clusters}
                names = sorted(clusters)
                for first in range(0, len(names), AT_ONE_GO):
                    some = names[first : first + AT_ONE_GO]
                    answer = await self._get(address, "/stats", {"format": "json", "filter": _pattern(some)})
                    _sort(answer, found)
        except _UnreadableError as error:
            self._verified.pop((envoy.node_id, envoy.group), None)
            return str(error)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            self._verified.pop((envoy.node_id, envoy.group), None)
            return f"its admin interface does not answer: {cut(str(error), 100) or 'timeout'}"
        return found

    async def _verify(self, envoy: EnvoyStatus, address: Address) -> None:
        """See that the node there is the one that connected. Raises: _UnreadableError."""
        key = (envoy.node_id, envoy.group)
        if self._verified.get(key) == (address, envoy.since):
            return
        answer = await self._get(address, "/server_info", {})
        node = answer.get("node") if isinstance(answer, Mapping) else None
        name = node.get("id") if isinstance(node, Mapping) else None
        if name != envoy.node_id:
            there = f"node {cut(name, 80)}" if isinstance(name, str) else "no Envoy"
            raise _UnreadableError(f"at the address that it tells, {_text(address)}, is {there}")
        self._verified[key] = (address, envoy.since)
        while len(self._verified) > KNOWN:
            self._verified.pop(next(iter(self._verified)))

    async def _get(self, address: Address, path: str, params: Mapping[str, str]) -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._settings.admin_timeout,
                trust_env=False,
                follow_redirects=False,
                verify=False,  # noqa: S501 - plain HTTP: the certificates of the system need not be loaded
            )
        async with self._client.stream("GET", f"http://{_text(address)}{path}", params=params) as answer:
            if not answer.is_success:
                raise _UnreadableError(f"its admin interface answers {answer.status_code}")
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise _UnreadableError("its admin interface answers too much")
        try:
            return orjson.loads(body)
        except ValueError as error:
            raise _UnreadableError(f"what answers at {_text(address)} is no Envoy's admin interface") from error


def admin_address(told: Any, *, anywhere: bool) -> Address:
    """Return where an admin interface is that a node's metadata tells. Raises: _UnreadableError."""
    if told is None:
        raise _UnreadableError("its bootstrap names no admin interface (shadowmesh bootstrap --admin HOST:PORT)")
    found = _PLACE.fullmatch(told) if isinstance(told, str) else None
    if found is None or not 0 < int(found[3]) <= MAX_PORT:
        raise _UnreadableError(f"its metadata {ADMIN_METADATA} cannot be read: HOST:PORT is wanted")
    host, port = found[1] or found[2], int(found[3])
    allowed = anywhere or host == "localhost"
    with suppress(ValueError):
        ip = plain_ip(ipaddress.ip_address(host))
        if ip.is_unspecified:  # it listens everywhere; here is where we can look
            ip = ipaddress.ip_address("::1" if ip.version == 6 else "127.0.0.1")  # noqa: PLR2004 - IPv6
        allowed = allowed or ip.is_loopback or any(ip in net for net in _PRIVATE if net.version == ip.version)
        host = str(ip)
    if not allowed:
        raise _UnreadableError(f"{cut(told, 80)} is not on loopback or a private network (--envoy-admin-anywhere)")
    return Address(host, port)


def _pattern(clusters: Sequence[str]) -> str:
    # Envoy's stats have no colons.
    names = "|".join(re.escape(cluster.replace(":", "_")) for cluster in clusters)
    return rf"^cluster\.({names})\.({'|'.join(COUNTERS)})$"


def _sort(answer: Any, found: dict[str, dict[str, int]]) -> None:
    """Take the counters of an answer in."""
    by_stat = {cluster.replace(":", "_"): cluster for cluster in found}
    stats = answer.get("stats") if isinstance(answer, Mapping) else None
    for stat in stats if isinstance(stats, list) else ():
        name, value = (stat.get("name"), stat.get("value")) if isinstance(stat, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(value, int) or not name.startswith("cluster."):
            continue
        cluster, _, counter = name.removeprefix("cluster.").rpartition(".")
        if cluster in by_stat and counter in COUNTERS:
            found[by_stat[cluster]][counter] = value


def _add(known: _Network, key: tuple[str, str], found: Mapping[str, dict[str, int]]) -> None:
    before = known.last.get(key)
    for cluster, values in found.items():
        # A cluster that was not wanted before may have served for long; one of a new instance begins at 0.
        last = None if before is None else before.get(cluster)
        sums = known.sums.setdefault(cluster, Counter())
        for name, value in values.items():
            earlier = (last or {}).get(name, 0)
            grown = value - earlier if value >= earlier else value
            sums[name] += grown
            if name == COMPLETED and last is not None:
                known.served[cluster] += grown
    known.last[key] = dict(found)


def _said(envoys: int, problems: Sequence[str]) -> str:
    if not envoys:
        return "no Envoy of the network is connected"
    if not problems:
        return ""
    which = "the Envoy" if envoys == 1 else f"{len(problems)} of {envoys} Envoys"
    return f"{which} could not be read: {problems[0]}"


def _text(address: Address) -> str:
    return f"[{address.address}]:{address.port}" if ":" in address.address else f"{address.address}:{address.port}"
