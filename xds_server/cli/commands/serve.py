"""Run the manager: xDS server, REST API, and an analysis engine for this machine, until SIGTERM or SIGINT.

Every flag is also an environment variable; the flag wins. Durations are seconds.
"""

import asyncio
import os
import sys
import threading

from xds_server.cli.flags import with_flags
from xds_server.config import Settings


def _run(settings: Settings) -> int:
    from xds_server.app import serve  # noqa: PLC0415 - --help and wrong flags do not wait for it

    asyncio.run(serve(settings))
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # All is written and let go of. A thread that still waits for a Docker engine is no reason to stay.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


command = with_flags(_run)
