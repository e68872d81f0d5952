"""Show a profile's verdict: each check with its interval and limit, and the ranking of its versions."""

from typing import Annotated

import typer

from xds_server.cli import verdict_views
from xds_server.cli.client import Client, reference
from xds_server.cli.gating import check_variant
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import emit
from xds_server.cli.reporting import read_profile
from xds_server.report.subject import Subject


def command(
    network: Annotated[str, typer.Argument(help="Network, by name or id.")],
    profile: Annotated[str, typer.Argument(help="Profile, by name or id.")],
    *,
    variant: Annotated[str, typer.Option(help="Only of this version.", show_default=False)] = "",
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Show the verdict."""
    with Client(server, token) as client:
        found = read_profile(client, reference(network, "network"), profile)
    check_variant(found, variant)
    subject = Subject.now(network, found, variant=variant)
    emit(found.get("verdict"), output, lambda: verdict_views.verdict(subject))
