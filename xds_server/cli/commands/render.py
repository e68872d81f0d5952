"""Print what Envoy would get for manifests, without a server.

The shadows are taken to run; their ids, and the addresses of processes, are made up (the same each time) and named in
comments.
"""

import sys

from xds_server.cli import files
from xds_server.cli.options import Files
from xds_server.config import XdsSettings


def command(filenames: Files) -> None:
    """Print resources."""
    manifests = files.read(filenames)
    from xds_server.cli.rendering import render  # noqa: PLC0415 - wrong manifests and --help do not wait for it

    sys.stdout.write(render(manifests, runtime_ttl=XdsSettings().runtime_ttl))
