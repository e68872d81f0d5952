"""Run the manager: xDS server, REST API, and an analysis engine for this machine, until SIGTERM or SIGINT.

Every flag is also an environment variable; the flag wins. Durations are seconds.
"""

import asyncio

from xds_server.cli.flags import with_flags
from xds_server.config import Settings


def _run(settings: Settings) -> int:
    from xds_server.app import serve  # noqa: PLC0415 - --help and wrong flags do not wait for it

    asyncio.run(serve(settings))
    return 0


command = with_flags(_run)
