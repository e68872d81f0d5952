"""Wait for a profile's verdict, for a pipeline: the exit code is the decision.

\b
shadowmesh gate shop catalog-v2 --timeout 10m
shadowmesh gate shop catalog-v2 --junit verdict.xml --markdown comment.md
shadowmesh gate shop catalog-v2 --json - --quiet | jq .decision

It ends with the first PASS or FAIL; INCONCLUSIVE when the time is over, and at once when no shadow runs any more, so
that nothing more can be judged. Of a profile with steps, only the PASS of the last one counts. A manager that goes away
is waited for until the time is over, one that was never reached for ten seconds. Old reports of the same names are
removed before it begins, so an error leaves none behind.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import sys
from typing import Annotated

import typer

from xds_server.cli import verdict_views
from xds_server.cli.client import Client, reference
from xds_server.cli.entry import OTHERWISE
from xds_server.cli.gating import EXIT_CODES as BY_DECISION
from xds_server.cli.gating import wait
from xds_server.cli.options import DEFAULT_SERVER, Server, Token
from xds_server.cli.output import console
from xds_server.cli.reporting import STDOUT, clear_places, put, read_profile, with_details
from xds_server.cli.showing import shower
from xds_server.cli.waiting import seconds
from xds_server.errors import NotFoundError, UnavailableError
from xds_server.report.formats import NEEDS_MORE, Form

EXIT_CODES = (
    "Exit codes: 0 PASS; 1 FAIL; 2 INCONCLUSIVE; and nothing else is one of these: 3 no such network, profile or "
    "variant; 5 refused (token, host); 6 no manager, also when the time is over; "
    f"{OTHERWISE} wrong usage or input, a report that cannot be written, the unexpected; 130 interrupted."
)
PATIENCE = 10.0
"""Seconds for one answer of the manager."""


def command(
    network: Annotated[str, typer.Argument(help="Network, by name or id.")],
    profile: Annotated[str, typer.Argument(help="Profile, by name or id.")],
    *,
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait.")] = "10m",
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    variant: Annotated[str, typer.Option(help="The verdict of this version, of several.", show_default=False)] = "",
    junit: Annotated[str | None, typer.Option(metavar="FILE", help="Write a JUnit file; - is standard output.")] = None,
    markdown: Annotated[str | None, typer.Option(metavar="FILE", help="Write a comment in Markdown.")] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE", help="Write everything as JSON.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors and reports for -.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> int:
    """Wait for a verdict."""
    places = {Form.JUNIT: junit, Form.MARKDOWN: markdown, Form.JSON: json}
    clear_places({f"--{form}": place for form, place in places.items()})
    limit = seconds(timeout, "--timeout")
    home, name = reference(network, "network"), reference(profile, "profile")
    with Client(server, token, patience=PATIENCE) as client:
        with shower(quiet=quiet) as show:
            found = wait(
                lambda: read_profile(client, home, name),
                network=home,
                variant=variant,
                timeout=limit,
                interval=interval,
                show=show,
            )
        if any(places[form] for form in NEEDS_MORE if form in places):
            try:
                found = with_details(client, found, name)
            except (NotFoundError, UnavailableError) as error:
                sys.stderr.write(f"warning: the report has no differences: {error}\n")
    if not quiet:
        out = console(to=sys.stderr if STDOUT in places.values() else None)
        for part in verdict_views.verdict(found):
            out.print(part)
    for form, place in places.items():
        if place:
            put(found, form, place)
    return BY_DECISION[found.decision]
