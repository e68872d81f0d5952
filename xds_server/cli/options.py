"""Options that commands share. Each is also an environment variable."""

from typing import Annotated

import typer

from xds_server.cli.client import DEFAULT_SERVER
from xds_server.cli.output import Format

__all__ = ["DEFAULT_SERVER", "Files", "Format", "Network", "Output", "Server", "Token"]

Server = Annotated[
    str, typer.Option("--server", envvar="SHADOWMESH_SERVER", metavar="URL", help="The manager's REST API.")
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=["SHADOWMESH_TOKEN", "SHADOWMESH_HTTP_TOKEN"],
        metavar="TEXT",
        help="Token for writes, when the manager wants one.",
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", envvar="SHADOWMESH_OUTPUT", help="How to print.")]
Network = Annotated[
    str | None,
    typer.Option(
        "-n",
        "--network",
        envvar="SHADOWMESH_NETWORK",
        metavar="NAME",
        help="Network, by name or id; not needed when there is only one.",
    ),
]
Files = Annotated[
    list[str],
    typer.Option(
        "-f",
        "--filename",
        metavar="PATH",
        help="Manifest, folder of manifests, or - for standard input; more than once.",
    ),
]
