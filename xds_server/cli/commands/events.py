"""Show who did what to a network, when and why: its audit trail, oldest first.

\b
shadowmesh events                     the newest 50
shadowmesh events --follow            and what happens from now on, until Ctrl-C
shadowmesh events --since 10m         all of the last ten minutes
shadowmesh events --profile catalog   of one profile, also of one that was deleted
shadowmesh events --kind instance     transitions of shadows: from, event, to, reason
shadowmesh events shop -o json        as the API answers it; with --follow a document a line

WHO is `system` for what the manager did by itself. A name in quotes is what the caller said of themselves, and nothing
proves it; the address is where the request came from. The command line sends your login and host; SHADOWMESH_USER says
something else, SHADOWMESH_REASON says why. The trail of a deleted network is found by its id or its name.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import enum
import json
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from xds_server.cli import event_views
from xds_server.cli.client import JSON, Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import emit, to_yaml
from xds_server.errors import UnavailableError

TAIL = 50
"""Events that are shown when nothing else is said."""
PAGE = 1000
"""Events that are asked for at once."""


class Kind(enum.StrEnum):
    """What an event is about."""

    NETWORK = "network"
    PROFILE = "profile"
    ROLLOUT = "rollout"
    VERDICT = "verdict"
    FAULT = "fault"
    INSTANCE = "instance"


def command(
    network: Annotated[
        str | None,
        typer.Argument(envvar="SHADOWMESH_NETWORK", help="Name or id; not needed when there is only one."),
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what happens, until Ctrl-C.")] = False,
    profile: Annotated[str | None, typer.Option(help="Only of this profile, by id or the name it had.")] = None,
    instance: Annotated[str | None, typer.Option(help="Only of the instance with this id.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only what is about this.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 10m (ago), or 2026-01-31T12:00:00Z.")
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=1, max=PAGE, help=f"The newest so many; {TAIL}, or with --since all.")
    ] = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks, with --follow.")] = 1.0,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Show the audit trail."""
    filters = {"profile": profile, "instance": instance, "kind": kind}
    begin = {"since": since, "tail": TAIL if tail is None and since is None else tail}
    with Client(server, token) as client:
        home = client.the_network(network)
        pages = _pages(client, home, {**filters, **begin}, filters)
        if not follow:
            found = list(pages)
            whole = {**found[-1], "items": [item for page in found for item in page["items"]]}
            emit(whole, output, lambda: event_views.events(whole["items"]))
            _gone(whole, output)
            return
        while True:
            for page in pages:
                _print(page["items"], output)
                cursor = page["nextCursor"]
            time.sleep(interval)
            pages = _news(client, home, filters, cursor)


def _pages(client: Client, home: str, query: dict[str, Any], then: dict[str, Any]) -> Iterator[JSON]:
    """Yield the pages that there are by now; `then` is asked for behind the first one."""
    page = client.get("networks", home, "events", **query, limit=PAGE)
    yield page
    while page["more"]:
        page = client.get("networks", home, "events", **then, after=page["nextCursor"], limit=PAGE)
        yield page


def _news(client: Client, home: str, filters: dict[str, Any], after: str) -> Iterator[JSON]:
    try:
        yield from _pages(client, home, {**filters, "after": after}, filters)
    except UnavailableError as error:
        # A manager that restarts is worth waiting for: the trail goes on where it was.
        sys.stderr.write(f"not reached: {error}\n")


def _print(items: list[JSON], how: Format) -> None:
    for item in items:
        if how is Format.JSON:
            sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
        elif how is Format.YAML:
            sys.stdout.write("---\n" + to_yaml(item))
        else:
            sys.stdout.write(event_views.line(item) + "\n")
    sys.stdout.flush()


def _gone(whole: JSON, how: Format) -> None:
    if whole["dropped"] and how is Format.TABLE:
        sys.stderr.write(f"{whole['dropped']} older events are gone, for want of room\n")
