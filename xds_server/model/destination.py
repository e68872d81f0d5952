"""Where a shadow may open connections to: an entry of an egress allow list. Pure; nothing is looked up.

db.shop.svc:5432      a name (looked up when the shadow starts) and a port, TCP and UDP
10.1.0.0/16:443       a network and a port
10.1.2.3              an address, each port
[fd00::1]:443         IPv6 in brackets where a port follows
"""

import ipaddress
import re
from dataclasses import dataclass

DESTINATION_HINT = 'host:port, host, network/bits:port or network/bits, like "db.shop.svc:5432" or "10.1.0.0/16:443"'
HOST_GATEWAY = "host.docker.internal"
"""Name of the node itself, as Docker knows it."""
_PORTS = 65535
_LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)(?=.*[A-Za-z]){_LABEL}(\.{_LABEL})*")
_SIX = "[0-9A-Fa-f:.]+"
_BITS = "(?:/[0-9]{1,3})?"
_PLACE = re.compile(
    rf"(?:\[(?P<six>{_SIX})\](?P<bits>{_BITS})|(?P<host>[^\[\]:]+)|(?P<bare>{_SIX}{_BITS}))(?::(?P<port>[0-9]{{1,5}}))?"
)


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry. `name` is empty when `network` (`10.0.0.0/8`, a single address with all its bits) is given."""

    name: str = ""
    network: str = ""
    port: int | None = None
    """None: each port."""


def parse_destination(text: str) -> Destination | None:
    """Return what an entry means; None when it means nothing."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port <= _PORTS:
        return None
    host = found["host"] or found["bare"] or found["six"] + found["bits"]
    try:
        return Destination(network=str(ipaddress.ip_network(host, strict=False)), port=port)
    except ValueError:
        return Destination(name=host.lower(), port=port) if _NAME.fullmatch(host) else None
