"""Create or change what manifests say.

Says created, configured or unchanged for each object; networks come before profiles whatever their order in the files.
A living profile can change trafficShadowingPercentage, shadowInstanceTTL, faultInjectionParameters and split.weights;
any other change is refused, or with --replace the profile is ended and created anew. A profile that has ended stays
unchanged until --replace runs it again.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console

from xds_server.cli import files
from xds_server.cli.applying import Applied, Outcome, apply_one
from xds_server.cli.client import Client
from xds_server.cli.entry import report
from xds_server.cli.options import DEFAULT_SERVER, Files, Server, Token
from xds_server.cli.output import console
from xds_server.cli.waiting import wait_until_running
from xds_server.errors import ShadowmeshError, UnavailableError


def command(
    filenames: Files,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="End and recreate profiles whose change cannot be made alive.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every shadow is Running, or one Failed.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="Longest wait.")] = "1m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> int:
    """Apply manifests."""
    manifests = sorted(files.read(filenames), key=lambda manifest: manifest.body.kind != "VirtualNetwork")
    out, worst = console(), 0
    done: list[Applied] = []
    with Client(server, token) as client:
        for manifest in manifests:
            try:
                applied = apply_one(client, manifest, replace=replace, dry_run=dry_run)
            except UnavailableError:
                raise
            except ShadowmeshError as error:
                # The others are applied all the same, as with kubectl; the first failure decides the exit code.
                code = report(error, about=manifest.label)
                worst = worst or code
                continue
            done.append(applied)
            _say(out, applied, dry_run=dry_run)
        if wait and not dry_run:
            wait_until_running(client, [a for a in done if a.profile], timeout=timeout, say=out.print)
    return worst


def _say(out: Console, applied: Applied, *, dry_run: bool) -> None:
    note = f" ({applied.note})" if applied.note else ""
    would = " (dry run)" if dry_run and applied.outcome is not Outcome.UNCHANGED else ""
    out.print(f"{applied.label} {applied.outcome}{note}{would}")
    for warning in applied.warnings:
        sys.stderr.write(f"warning: {warning}\n")
