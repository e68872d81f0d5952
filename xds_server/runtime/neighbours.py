"""Processes of this machine that we did not start, found by the port that they listen on; what they use is only read.

What listens is taken with all that it has started: the workers of a server that forks, and several processes that share
the port. A wildcard listener counts where none has the exact address.

Guarantees: a process is told from a later one with its pid; when it has ended the port is looked up anew. Nothing is
sent to anybody. /proc is read in a thread, and the sockets of all processes at most once in `SCAN` seconds.
Not guaranteed: that what listens is what answers. Known forwarders (a container's proxy) are told apart by name, others
are not; another user's process has no visible sockets; DNS names other than `localhost` are not resolved, and an
address of loopback is taken for this machine's own, wherever the Envoy is that it was meant for.
"""

import asyncio
import ipaddress
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from xds_server.model.network import Address
from xds_server.runtime.base import Usage
from xds_server.runtime.processes import Identity, Processes
from xds_server.runtime.sockets import Listener, listeners, sockets_of
from xds_server.runtime.supervisor import all_pids, start_time, stat_fields

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

SCAN = 5.0
"""Seconds that one reading of everybody's sockets serves all look-ups."""
AGAIN = 30.0
"""Seconds after which a port is looked up again although its process lives: others may share it now."""
KNOWN = 1000
"""Addresses that are remembered."""
FORWARDERS = frozenset(
    {"docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "pasta", "pasta.avx2", "ssh", "sshd", "kubectl"}
)
"""Names of processes that listen for somebody else."""
_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What listens somewhere: its processes, topmost first found, and what they and theirs used; or why not known."""

    processes: tuple[Identity, ...] = ()
    usage: Usage | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    at: float
    roots: tuple[Identity, ...] = ()
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Tell whether it need not be looked up again yet."""
        if not self.roots:
            return now - self.at < SCAN
        return now - self.at < AGAIN and all(root.alive for root in self.roots)


class Neighbours:
    """Finds and measures them."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Measure time by `monotonic`."""
        self._monotonic = monotonic
        self._processes = Processes()
        self._found: dict[Address, _Found] = {}
        self._most: dict[tuple[Identity, ...], float] = {}
        self._scan: asyncio.Task[Mapping[str, set[int]]] | None = None
        self._scanned = float("-inf")

    async def at(self, address: Address) -> Neighbour:
        """Return what listens at an address, as it is now. Never raises for what cannot be known."""
        found = self._found.get(address)
        if found is None or not found.holds(self._monotonic()):
            found = await self._look(address)
            self._found.pop(address, None)
            self._found[address] = found
            if len(self._found) > KNOWN:
                self._found.pop(next(iter(self._found)))
        if not found.roots:
            return Neighbour(reason=found.reason)
        table = await self._processes.table()
        used = [table.whole(root.pid) for root in found.roots]
        if len(self._most) > KNOWN:
            self._most.clear()
        # A worker whose end nobody has waited for takes its figures along.
        cpu = self._most[found.roots] = max(sum(each.cpu_seconds for each in used), self._most.get(found.roots, 0.0))
        return Neighbour(found.roots, Usage(cpu_seconds=cpu, rss_bytes=sum(each.rss_bytes for each in used)))

    async def _look(self, address: Address) -> _Found:
        now = self._monotonic()
        where = f"{address.address}:{address.port}"
        wanted = local_address(address.address)
        if wanted is None:
            return _Found(now, reason=f"{where} is not on this machine, as far as is known")
        if self._scan is None or now - self._scanned >= SCAN:
            self._scanned = now
            self._scan = asyncio.create_task(asyncio.to_thread(_owners), name="socket-owners")
        owners = await asyncio.shield(self._scan)
        return await asyncio.to_thread(_resolved, now, where, wanted, address.port, owners)


def local_address(text: str) -> IpAddress | None:
    """Return the address if it is one of this machine's own; None for every other, and for names."""
    try:
        found = plain_ip(ipaddress.ip_address("127.0.0.1" if text in _LOCAL_NAMES else text))
    except ValueError:
        return None
    if found.is_loopback or found.is_unspecified:
        return found
    own = {each.address.partition("%")[0] for addresses in psutil.net_if_addrs().values() for each in addresses}
    return found if str(found) in own else None


def plain_ip(address: IpAddress) -> IpAddress:
    """Return the IPv4 address of one that is mapped into IPv6; any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _owners() -> dict[str, set[int]]:
    """Return who holds each listening socket."""
    wanted = {listener.inode for listener in listeners()}
    found: dict[str, set[int]] = {}
    for pid in all_pids():
        for inode in sockets_of([pid]) & wanted:
            found.setdefault(inode, set()).add(pid)
    return found


def _resolved(now: float, where: str, wanted: IpAddress, port: int, owners: Mapping[str, set[int]]) -> _Found:
    there = [listener for listener in listeners() if listener.port == port]
    exact = [listener for listener in there if _address_of(listener) == wanted]
    sockets = exact or [listener for listener in there if _address_of(listener).is_unspecified]
    if not sockets:
        return _Found(now, reason=f"nothing listens at {where} on this machine")
    holders = {pid for listener in sockets for pid in owners.get(listener.inode, ())}
    # Process 1 holds sockets that it opened for a service; its tree is everything.
    holders.discard(1)
    if not holders:
        return _Found(now, reason=f"the process that listens at {where} is not visible to this user")
    roots = sorted(pid for pid in holders if not holders & set(_ancestors(pid)))
    ours = {os.getpid(), *_ancestors(os.getpid())}
    if ours & set(roots):
        return _Found(now, reason=f"what listens at {where} has started the manager: its own use cannot be told apart")
    if forwarders := sorted({name for pid in roots if (name := _name(pid)) in FORWARDERS}):
        return _Found(now, reason=f"{forwarders[0]} listens at {where} for a process that is not known")
    known = [(pid, start_time(pid)) for pid in roots]
    return _Found(now, tuple(Identity(pid, start) for pid, start in known if start is not None))


def _address_of(listener: Listener) -> IpAddress:
    return plain_ip(ipaddress.ip_address(listener.address))


def _ancestors(pid: int) -> list[int]:
    found: list[int] = []
    while (fields := stat_fields(pid)) is not None and (pid := int(fields[1])) > 1 and pid not in found:
        found.append(pid)
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
