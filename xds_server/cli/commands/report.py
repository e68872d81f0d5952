"""Write a profile's report: verdict, checks with their intervals, response times, differences with examples, losses.

\b
shadowmesh report shop catalog-v2                     report.html: one page that loads nothing else
shadowmesh report shop catalog-v2 -o comment.md       for a comment on a change
shadowmesh report shop catalog-v2 -o verdict.xml      JUnit
shadowmesh report shop catalog-v2 --format json -o -  for programs

The form is that of --format, else that of the file's name. A profile that was deleted within a day has a report of its
comparison; its verdict is not kept.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import sys
from pathlib import Path
from typing import Annotated

import typer

from xds_server.cli.client import Client
from xds_server.cli.options import DEFAULT_SERVER, Server, Token
from xds_server.cli.reporting import STDOUT, check_places, put, read_subject
from xds_server.errors import InvalidError
from xds_server.report.formats import SUFFIXES, Form

_NAMES = {Form.HTML: "report.html", Form.MARKDOWN: "report.md", Form.JUNIT: "report.xml", Form.JSON: "report.json"}


def command(
    network: Annotated[str, typer.Argument(help="Network, by name or id.")],
    profile: Annotated[str, typer.Argument(help="Profile, by name or id; also one that was deleted within a day.")],
    *,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to; - is standard output.  [default: report.html]"),
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="How to write it.", show_default=False)] = None,
    variant: Annotated[str, typer.Option(help="The verdict of this version, of several.", show_default=False)] = "",
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Write a report."""
    how = form or _form_of(output)
    place = output or _NAMES[how]
    check_places({"--output": place})
    with Client(server, token) as client:
        subject = read_subject(client, network, profile, variant=variant)
    put(subject, how, place)
    if place != STDOUT:
        sys.stdout.write(f"{place} written: {subject.decision}\n")


def _form_of(output: str | None) -> Form:
    if output is None or output == STDOUT:
        return Form.HTML
    found = SUFFIXES.get(Path(output).suffix.lower())
    if found is None:
        hint = f"--format, or a name that ends in {', '.join(SUFFIXES)}"
        raise InvalidError(f'"{output}" does not tell how to write it', field="--output", hint=hint)
    return found
