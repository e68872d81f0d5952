"""Watch the main job on a real Envoy: a new version with planted bugs is judged on live traffic, and no client is hurt.

Ends with a table of what differs, and one of the noise that a control has cancelled. Exit code 1 if a planted bug was
not found, if anything else was taken for a difference, or if any client was hurt.
"""

from typing import Annotated

import typer


def command(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running afterwards, until Ctrl-C.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="How long clients send requests, about.", show_default="as needed")
    ] = None,
) -> int:
    """Run the demo."""
    from xds_server.demo import SECONDS, run  # noqa: PLC0415 - --help does not wait for it

    return run(keep=keep, seconds=SECONDS if seconds is None else seconds)
