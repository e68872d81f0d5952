"""Delete networks and profiles.

Give manifests with -f, or name what is to go: `shadowmesh delete network shop`, `shadowmesh delete profile catalog-v2`.
Deleting a network ends its profiles and their shadows too.
"""

import enum
from typing import Annotated

import typer

from api.manifests import NetworkManifest
from xds_server.cli import files
from xds_server.cli.client import Client, reference
from xds_server.cli.entry import report
from xds_server.cli.options import DEFAULT_SERVER, Network, Server, Token
from xds_server.cli.output import console
from xds_server.errors import InvalidError, NotFoundError


class Kind(enum.StrEnum):
    """What can be deleted."""

    NETWORK = "network"
    PROFILE = "profile"


def command(
    kind: Annotated[Kind | None, typer.Argument(help="network or profile.")] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Names or ids.")] = None,
    *,
    filenames: Annotated[
        list[str] | None, typer.Option("-f", "--filename", metavar="PATH", help="Delete what these manifests name.")
    ] = None,
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="What is gone already is no error.")
    ] = False,
    network: Network = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> int:
    """Delete."""
    if bool(filenames) == bool(kind and names):
        raise InvalidError("name what to delete", hint="a kind and names, or manifests with -f, not both")
    worst, out = 0, console()
    with Client(server, token) as client:
        for label, path in _targets(client, kind, names or [], filenames or [], network):
            try:
                client.delete(*path)
            except NotFoundError as error:
                if not ignore_not_found:
                    worst = report(error)
            else:
                out.print(f"{label} deleted")
    return worst


def _targets(
    client: Client, kind: Kind | None, names: list[str], filenames: list[str], network: str | None
) -> list[tuple[str, tuple[str, ...]]]:
    if not filenames:
        # All of them before the first one is gone.
        names = [reference(name, "NAME") for name in names]
        if kind is Kind.NETWORK:
            return [(f"network/{name}", ("networks", name)) for name in names]
        home = client.the_network(network)
        return [(f"profile/{home}/{name}", ("networks", home, "shadowing", "profiles", name)) for name in names]
    # Profiles go first: a network takes its profiles with it, and they would not be found any more.
    bodies = sorted(
        ((one.label, one.body) for one in files.read(filenames)), key=lambda pair: isinstance(pair[1], NetworkManifest)
    )
    return [
        (
            label,
            ("networks", body.metadata.name)
            if isinstance(body, NetworkManifest)
            else ("networks", body.spec.network, "shadowing", "profiles", body.metadata.name),
        )
        for label, body in bodies
    ]
