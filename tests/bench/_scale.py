"""How long the benches take: minutes for figures, seconds to see that they run."""

import os
import sys

VARIABLE = "SHADOWMESH_BENCH_QUICK"


def quick() -> bool:
    """Tell whether this run is only to see that the bench works; its figures mean nothing."""
    return os.environ.get(VARIABLE, "") not in {"", "0"} or "--quick" in sys.argv[1:]
