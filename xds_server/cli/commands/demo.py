"""Watch the main job on a real Envoy: a bad and a good new version are judged on live traffic, and no client is hurt.

Ends with a table of what differs, one of the noise that a control has cancelled, and the verdict on each version. Exit
code 1 if a planted bug was not found, if anything else was taken for a difference, if a verdict is wrong, or if any
client was hurt.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running afterwards, until Ctrl-C.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(min=1.0, help="How long version 2 is looked at, about.", show_default="as needed"),
    ] = None,
    runtime: Annotated[
        Literal["process", "docker"], typer.Option(help="What shadows are; docker needs an engine on this machine.")
    ] = "process",
    reports: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a page on each version there.", show_default="none")
    ] = None,
) -> int:
    """Run the demo."""
    from xds_server.demo import SECONDS, run  # noqa: PLC0415 - --help does not wait for it

    return run(keep=keep, seconds=SECONDS if seconds is None else seconds, runtime=runtime, reports=reports)
