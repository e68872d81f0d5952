"""What a container may connect to, as rules of nftables in its own network namespace; and what was denied.

Guarantees: everything is dropped that is not an answer, its own loopback, or listed; what is denied fails at once, and
is counted by destination (the first `MOST_DENIED` of each family). Pure but for `look_up`.
Not guaranteed: names are looked up by the manager, once; an address that changes later is not followed.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xds_server.errors import RuntimeFailedError
from xds_server.model.destination import HOST_GATEWAY, Destination, parse_destination
from xds_server.model.profile import Egress, EgressMode
from xds_server.runtime.base import Denied

TABLE = "shadowmesh"
MOST_DENIED = 128
"""Destinations told apart in each of the two families."""
LONGEST = 128_000
"""Characters of rules: they are one argument of a program (MAX_ARG_STRLEN, execve(2))."""
LOOK_UP = 5.0
"""Seconds for the names of a list."""
_PROTOCOLS = {"6": "tcp", "17": "udp"}
"""As a guard writes them, which has no /etc/protocols."""
_RESOLVER = "127.0.0.11"
"""Docker's own name server, which would carry anything outside."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`addresses` are those of the names; `destinations` is None where all is allowed."""

    destinations: tuple[Destination, ...] | None
    addresses: Mapping[str, tuple[str, ...]]

    @property
    def hosts(self) -> dict[str, str]:
        """Return what belongs in the container's /etc/hosts, so that it needs no name server."""
        fixed = {name: found[0] for name, found in self.addresses.items()}
        names = {d.name for d in self.destinations or ()}
        return fixed | ({HOST_GATEWAY: "host-gateway"} if HOST_GATEWAY in names else {})


async def look_up(egress: Egress) -> Rules:
    """Return the rules of a list, its names looked up.

    Raises:
        RuntimeFailedError: a name is not known.
    """
    if egress.mode is EgressMode.OPEN:
        return Rules(None, {})
    wanted = tuple(filter(None, map(parse_destination, egress.allow)))
    names = sorted({d.name for d in wanted if d.name and d.name != HOST_GATEWAY})
    found = await asyncio.gather(*map(_addresses, names))
    return Rules(wanted, dict(zip(names, found, strict=True)))


async def _addresses(name: str) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(LOOK_UP):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise RuntimeFailedError(
            f'"{name}" is not known to the manager: {error or "no answer"}',
            field="docker.egress",
            hint="correct the name, or give the address",
        ) from error
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def script(rules: Rules, *, gateway: str) -> str | None:
    """Return the rules for `nft -f -`; None where all is allowed.

    Args:
        rules: from `look_up`.
        gateway: address of the node as the container sees it, for `host.docker.internal`.
    """
    if rules.destinations is None:
        return None
    known = {**rules.addresses, HOST_GATEWAY: (gateway,) if gateway else ()}
    counted = f"inet_proto . inet_service; flags dynamic; size {MOST_DENIED}; counter;"
    allowed = [line for d in rules.destinations for line in _allowed(d, known)]
    return "\n".join(
        [
            f"table inet {TABLE} {{",
            f" set denied4 {{ type ipv4_addr . {counted} }}",
            f" set denied6 {{ type ipv6_addr . {counted} }}",
            " chain out { type filter hook output priority 0; policy drop;",
            "  ct state established,related accept",
            f"  ip daddr {_RESOLVER} reject with icmpx admin-prohibited",
            "  oif lo accept",
            "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept",
            *allowed,
            "  meta nfproto ipv4 meta l4proto { tcp, udp } update @denied4 { ip daddr . meta l4proto . th dport }",
            "  meta nfproto ipv6 meta l4proto { tcp, udp } update @denied6 { ip6 daddr . meta l4proto . th dport }",
            "  reject with icmpx admin-prohibited",
            " }",
            "}",
            "",
        ]
    )


def _allowed(destination: Destination, known: Mapping[str, Sequence[str]]) -> list[str]:
    places = [destination.network] if destination.network else list(known.get(destination.name, ()))
    ports = "" if destination.port is None else f" meta l4proto {{ tcp, udp }} th dport {destination.port}"
    return [f"  {_family(place)} daddr {place}{ports} accept" for place in places]


def _family(place: str) -> str:
    return "ip6" if ipaddress.ip_network(place, strict=False).version == 6 else "ip"  # noqa: PLR2004 - IPv6


def denied(listed: bytes) -> tuple[Denied, ...]:
    """Return what was denied, most often first, of what `nft -j list table` wrote; what cannot be read is nothing."""
    try:
        entries: list[dict[str, Any]] = json.loads(listed)["nftables"]
    except (ValueError, KeyError, TypeError):
        return ()
    found = []
    for entry in entries:
        for element in entry.get("set", {}).get("elem", ()):
            one = element.get("elem", {})
            address, protocol, port = one["val"]["concat"]
            count = int(one.get("counter", {}).get("packets", 0))
            host = f"[{address}]" if ":" in address else address
            found.append(Denied(f"{host}:{port}", _PROTOCOLS.get(str(protocol), str(protocol)), count))
    return tuple(sorted(found, key=lambda d: (-d.count, d.destination)))
