"""Show a network: its shadows, what was compared, and what its Envoys accepted."""

import sys
import time
from typing import Annotated, NoReturn

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from xds_server.cli import views
from xds_server.cli.client import JSON, Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import console, emit
from xds_server.errors import UnavailableError


def command(
    network: Annotated[
        str | None,
        typer.Argument(envvar="SHADOWMESH_NETWORK", help="Name or id; not needed when there is only one."),
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep showing it, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Show the status."""
    with Client(server, token) as client:
        home = client.the_network(network)
        if watch and output is Format.TABLE and sys.stdout.isatty():
            _watch(client, home, interval)
        _print(client, home, output)
        while watch:
            sys.stdout.flush()
            time.sleep(interval)
            _print(client, home, output)


def _print(client: Client, network: str, output: Format) -> None:
    data = _read(client, network)
    emit(data, output, lambda: views.status(data))


def _read(client: Client, network: str) -> JSON:
    return client.get("networks", network, "shadowing", "status")


def _watch(client: Client, network: str, interval: float) -> NoReturn:
    shown = Group(*views.status(_read(client, network)))
    with Live(shown, console=console(), auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            try:
                shown = Group(*views.status(_read(client, network)))
                live.update(shown, refresh=True)
            except UnavailableError as error:
                # A manager that restarts is worth waiting for; what was last seen stays on the screen.
                live.update(Group(shown, Text(f"not reached: {error}", style="red")), refresh=True)
