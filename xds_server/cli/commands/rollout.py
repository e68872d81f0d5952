"""Pause, resume, promote or abort the steps of a profile.

\b
pause     stay at the step it is at, whatever its verdict
resume    go on
promote   go to the next step now, without waiting for its verdict
abort     back to the original: no user and no copy goes to a version any more
"""  # noqa: D301 - \b keeps the lines of the list as they are

import enum
from typing import Annotated

import typer
from rich.text import Text

from xds_server.cli.client import JSON, Client, reference
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import clean, emit


class Action(enum.StrEnum):
    """What to do."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"


def command(
    action: Annotated[Action, typer.Argument(help="pause, resume, promote or abort.", show_choices=False)],
    network: Annotated[str, typer.Argument(help="Network, by name or id.")],
    profile: Annotated[str, typer.Argument(help="Profile, by name or id.")],
    *,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Steer a rollout."""
    path = ("networks", reference(network, "network"), "shadowing", "profiles", reference(profile, "profile"))
    with Client(server, token) as client:
        made = client.post(*path, "rollout", body={"action": action.value})
    emit(made, output, lambda: [_line(made, profile)])


def _line(made: JSON, profile: str) -> Text:
    rollout = made.get("rollout") or {}
    where = f", step {rollout['step']} of {rollout['steps']}" if rollout.get("steps") else ""
    reason = f": {rollout['reason']}" if rollout.get("reason") else ""
    return Text(clean(f"profile/{made.get('name') or profile} is {rollout.get('state', 'told')}{where}{reason}"))
