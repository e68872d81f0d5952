"""Lift a fault early.

A profile's own faults live as long as their instances; change the profile to be rid of them.
"""

from typing import Annotated

import typer

from xds_server.cli.client import Client, reference
from xds_server.cli.options import DEFAULT_SERVER, Network, Server, Token
from xds_server.cli.output import console
from xds_server.errors import ConflictError, InvalidError, NotFoundError


def command(
    fault: Annotated[str | None, typer.Argument(help="Its id, or the beginning of it.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that were injected.")] = False,
    network: Network = None,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Lift faults."""
    if every == (fault is not None):
        raise InvalidError("name the fault to lift", hint="its id, or --all for all that were injected")
    if fault is not None:
        reference(fault, "fault")
    with Client(server, token) as client:
        home = client.the_network(network)
        there = [one for one in client.items("networks", home, "shadowing", "faults") if not one["fromProfile"]]
        ids = [str(one["faultID"]) for one in there if every or str(one["faultID"]).startswith(fault or "")]
        if not ids and not every:
            raise NotFoundError(f'no injected fault is called "{fault}"', field="fault", hint="get faults lists them")
        if len(ids) > 1 and not every:
            raise ConflictError(f'"{fault}" may be {len(ids)} faults', field="fault", hint=f"one of {', '.join(ids)}")
        for one in ids:
            client.delete("networks", home, "shadowing", "faults", one)
            console().print(f"fault/{one} lifted")
