"""Print an Envoy bootstrap for a network: `shadowmesh bootstrap shop > envoy.yaml && envoy -c envoy.yaml`.

It names the manager, the node's analysis engine (which is also where Envoy finds its configuration while the manager
is away), the admin port, and the internal listener that mirroring needs.
"""

import enum
import ipaddress
import os
import re
import socket
import sys
from typing import Annotated

import typer

from api.schemas.base import shown
from api.schemas.values import is_ip, is_reference
from xds_server.cli.waiting import seconds
from xds_server.errors import InvalidError
from xds_server.model.network import Address

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_PORTS = 65535
_LEAST_INTERVAL, _BELOW_INTERVAL = 0.001, 300.0


class Mode(enum.StrEnum):
    """How an Envoy asks for its configuration."""

    DELTA = "delta"
    SOTW = "sotw"


def command(
    network: Annotated[str, typer.Argument(help="Name or id of the network that the Envoy belongs to.")],
    *,
    manager: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWMESH_BOOTSTRAP_MANAGER",
            metavar="HOST:PORT",
            help="The manager's xDS server.",
            show_default="127.0.0.1:18000, or the port of SHADOWMESH_XDS_PORT",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWMESH_BOOTSTRAP_ENGINE",
            metavar="HOST:PORT",
            help="The analysis engine of the Envoy's node.",
            show_default="127.0.0.1:18001, or the port of SHADOWMESH_ENGINE_PORT",
        ),
    ] = None,
    admin: Annotated[
        str,
        typer.Option(
            envvar="SHADOWMESH_BOOTSTRAP_ADMIN",
            metavar="HOST:PORT",
            help="Envoy's admin port, told to the manager, which reads counters there; 0 picks a free one, untold.",
        ),
    ] = "127.0.0.1:9901",
    node_id: Annotated[
        str | None,
        typer.Option(envvar="SHADOWMESH_BOOTSTRAP_NODE_ID", help="Its name.", show_default="NETWORK-HOSTNAME"),
    ] = None,
    region: Annotated[str, typer.Option(envvar="SHADOWMESH_BOOTSTRAP_REGION", help="Its region.")] = "",
    zone: Annotated[str, typer.Option(envvar="SHADOWMESH_BOOTSTRAP_ZONE", help="Its zone.")] = "",
    node: Annotated[
        str,
        typer.Option(
            envvar="SHADOWMESH_BOOTSTRAP_NODE",
            metavar="NAME",
            help="Name of the node of the inventory that it runs on; shadows are placed near it.",
        ),
    ] = "",
    mode: Annotated[
        Mode, typer.Option(envvar="SHADOWMESH_BOOTSTRAP_MODE", help="How it asks: changes, or the state of the world.")
    ] = Mode.DELTA,
    stats_interval: Annotated[
        str,
        typer.Option(
            envvar="SHADOWMESH_BOOTSTRAP_STATS_INTERVAL",
            metavar="DURATION",
            help="How often it sends its counters to the engine.",
        ),
    ] = "1s",
    listen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMPONENT=HOST:PORT", help="Listen there for a component on this Envoy alone; more than once."
        ),
    ] = None,
) -> None:
    """Print a bootstrap."""
    if not is_reference(network):
        raise InvalidError(f"{shown(network)} is no name or id", field="NETWORK", hint="letters, digits, '-' and '.'")
    overridden = dict(_override(one) for one in listen or ())
    # Whoever moved `serve` by its variables would get a bootstrap that finds nobody.
    manager = manager or f"127.0.0.1:{os.environ.get('SHADOWMESH_XDS_PORT') or 18000}"
    engine = engine or f"127.0.0.1:{os.environ.get('SHADOWMESH_ENGINE_PORT') or 18001}"
    where = {"manager": manager, "engine": engine, "admin": admin}
    places = {name: address(text, f"--{name}", free=name == "admin") for name, text in where.items()}
    interval = seconds(stats_interval, "--stats-interval")
    if not _LEAST_INTERVAL <= interval < _BELOW_INTERVAL:
        # Envoy refuses a bootstrap with any other.
        raise InvalidError(f"{shown(stats_interval)} is out of range", field="--stats-interval", hint="1ms to 299s")
    from xds_server.translate import BootstrapOptions, bootstrap  # noqa: PLC0415 - --help does not wait for it

    options = BootstrapOptions(
        network=network,
        node_id=node_id or f"{network}-{socket.gethostname()}",
        **places,
        mode=mode.value,
        region=region,
        zone=zone,
        node=node,
        stats_interval=interval,
        listen=overridden,
    )
    sys.stdout.write(bootstrap(options))


def address(text: str, field: str, *, free: bool = False) -> Address:
    """Return the address of `host:port` or `[IPv6]:port`; port 0 only where a free one may be picked.

    Raises:
        InvalidError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found[3]) if found else -1
    if found is None or not (0 if free else 1) <= port <= _PORTS:
        raise InvalidError(f"{shown(text)} is not an address", field=field, hint="HOST:PORT, like 127.0.0.1:18000")
    return Address(found[1] or found[2], port)


def _override(text: str) -> tuple[str, Address]:
    component, equals, where = text.partition("=")
    if not equals or not component:
        hint = "COMPONENT=HOST:PORT, like catalog=127.0.0.1:10001"
        raise InvalidError(f"{shown(text)} names no component", field="--listen", hint=hint)
    found = address(where, "--listen")
    if not is_ip(found.address):
        raise InvalidError(f"{shown(where)} is no IP address", field="--listen", hint="an Envoy listens on addresses")
    return component, Address(str(ipaddress.ip_address(found.address)), found.port)
