"""List networks, profiles, instances, faults, Envoys, nodes or the archive; with a name, only that one."""

import enum
from collections.abc import Callable, Iterable
from typing import Annotated

import typer
from rich.table import Table

from xds_server.cli import diff_views, views
from xds_server.cli.client import JSON, Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Network, Output, Server, Token
from xds_server.cli.output import emit
from xds_server.errors import NotFoundError


class Kind(enum.StrEnum):
    """What can be listed."""

    NETWORKS = "networks"
    PROFILES = "profiles"
    INSTANCES = "instances"
    FAULTS = "faults"
    ENVOYS = "envoys"
    NODES = "nodes"
    ARCHIVE = "archive"


_KEYS = {
    Kind.NETWORKS: ("name", "virtualNetworkID"),
    Kind.PROFILES: ("name", "profileID"),
    Kind.INSTANCES: ("instanceID", "variant"),
    Kind.FAULTS: ("faultID",),
    Kind.ENVOYS: ("nodeID",),
    Kind.NODES: ("name",),
    Kind.ARCHIVE: ("name", "profileID"),
}
_VIEWS: dict[Kind, Callable[[Iterable[JSON]], Table]] = {
    Kind.NETWORKS: views.networks,
    Kind.PROFILES: views.profiles,
    Kind.INSTANCES: views.instances,
    Kind.FAULTS: views.faults,
    Kind.ENVOYS: views.envoys,
    Kind.NODES: views.nodes,
    Kind.ARCHIVE: diff_views.archive,
}
_SINGULAR = {kind.value.removesuffix("s"): kind for kind in Kind}


def _kind(text: str) -> Kind:
    found = _SINGULAR.get(text.removesuffix("s"))
    if found is None:
        raise typer.BadParameter(f"'{text}' is not one of {', '.join(Kind)}.")
    return found


def command(
    kind: Annotated[Kind, typer.Argument(parser=_kind, metavar="KIND", help=", ".join(Kind))],
    name: Annotated[str | None, typer.Argument(help="Only the one with this name or id.")] = None,
    *,
    network: Network = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """List."""
    with Client(server, token) as client:
        items = _items(client, kind, network)
    if name is None:
        emit({"items": items}, output, lambda: _VIEWS[kind](items))
        return
    found = [item for item in items if name in {item.get(key) for key in _KEYS[kind]}]
    if not found:
        raise NotFoundError(f'there is no {kind.value.removesuffix("s")} "{name}"', hint=f"get {kind} lists them")
    emit(found[0] if len(found) == 1 else {"items": found}, output, lambda: _VIEWS[kind](found))


def _items(client: Client, kind: Kind, network: str | None) -> list[JSON]:
    if kind is Kind.NETWORKS:
        return client.items("networks")
    home = client.the_network(network)
    if kind is Kind.NODES:
        return client.items("networks", home, "nodes")
    if kind is Kind.ENVOYS:
        return list(client.get("networks", home, "shadowing", "status")["envoys"])
    if kind is Kind.ARCHIVE:
        return client.items("networks", home, "shadowing", "archive")
    if kind is Kind.FAULTS:
        return client.items("networks", home, "shadowing", "faults")
    found = client.items("networks", home, "shadowing", "profiles")
    return found if kind is Kind.PROFILES else [instance for one in found for instance in one["instances"]]
