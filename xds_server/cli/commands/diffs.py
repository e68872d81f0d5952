"""Show pairs whose answers differ: a bounded sample of each kind of difference."""

from typing import Annotated

import typer

from xds_server.cli import views
from xds_server.cli.client import Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import emit


def command(
    network: Annotated[
        str | None,
        typer.Argument(envvar="SHADOWMESH_NETWORK", help="Name or id; not needed when there is only one."),
    ] = None,
    *,
    profile: Annotated[str | None, typer.Option(help="Only of this profile.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint, like 'GET /items/{}'.")] = None,
    field: Annotated[str | None, typer.Option(help="Only differences of this field.")] = None,
    kind: Annotated[str | None, typer.Option("--class", help="Only differences of this class.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="nextCursor of the page before.")] = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Show differing pairs."""
    query = {"profile": profile, "endpoint": endpoint, "field": field, "class": kind, "limit": limit, "cursor": cursor}
    with Client(server, token) as client:
        page = client.get("networks", client.the_network(network), "shadowing", "diffs", **query)
    emit(page, output, lambda: views.diff_page(page))
