"""Run the analysis engine of a node, until SIGTERM or SIGINT. `serve` runs one for its own machine by itself.

Every flag is also an environment variable; the flag wins. Durations are seconds.
"""

import asyncio

from xds_server.cli.flags import with_flags
from xds_server.config import Settings


def _run(settings: Settings) -> int:
    from xds_server.app import analyze  # noqa: PLC0415 - --help and wrong flags do not wait for it

    asyncio.run(analyze(settings))
    return 0


command = with_flags(_run, ("engine", "node", "log"))
