"""`python -m xds_server.cli` is `shadowmesh`."""

import sys

from xds_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
