"""From `POST .../shadowing/create` to the first compared pair, as a user sees it in the status, under live traffic.

The shadow is a process that is up in a few milliseconds (its own start would otherwise be most of the figure), or a
version that already runs (`endpoint`). The status is asked every 10 ms; a figure is at most that much too long.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench._children import Load, backend
from tests.bench._envoy import envoy, free_ports
from tests.bench._mesh import JSON, Manager, component, endpoint, profile, serving
from tests.bench._scale import quick
from tests.bench._stats import quantile
from tests.bench._table import milliseconds, show

NETWORK = "bench"
RATE = 400
_TINY = Path(__file__).with_name("_tiny.py")
_POLL = 0.01
_LONGEST = 30.0
STEPS = ("answered", "running", "compared")


def run() -> dict[str, Any]:
    """Run the bench, print its table, return its figures (seconds)."""
    times = 2 if quick() else 20
    with _live() as (manager, shadow_port):
        process = {"process": {"command": [sys.executable, "-I", "-S", str(_TINY), "{port}"]}}
        kinds = {"process": process, "endpoint": endpoint(shadow_port)}
        # The first one of each kind warms imports and caches up, and is shown apart.
        taken = {kind: [_once(manager, variant) for _ in range(times + 1)] for kind, variant in kinds.items()}
    figures: dict[str, Any] = {"requests_per_second": RATE, "times": times}
    for kind, rounds in taken.items():
        figures[kind] = {"first": rounds[0]} | {
            step: {
                "p50": quantile([each[step] for each in rounds[1:]], 0.5),
                "p90": quantile([each[step] for each in rounds[1:]], 0.9),
                "max": max(each[step] for each in rounds[1:]),
            }
            for step in (*STEPS, "deleted")
        }
    _print(figures, list(taken))
    return figures


@contextlib.contextmanager
def _live() -> Iterator[tuple[Manager, int]]:
    """Yield a manager whose Envoy serves live traffic, and the port of a version that runs already."""
    port = free_ports(1)[0]
    with (
        tempfile.TemporaryDirectory() as name,
        backend() as original,
        backend() as shadow,
        serving(folder := Path(name)) as manager,
    ):
        manager.call("POST", "/networks", {"name": NETWORK, "components": [component("c", port, original.port)]})
        with envoy(manager.bootstrap(NETWORK), folder), Load() as load:
            order = {"port": port, "rate": RATE, "seconds": 600, "connections": 8, "seed": 1}
            load.begin(order)
            yield manager, shadow.port


def _once(manager: Manager, variant: JSON) -> dict[str, float]:
    """Create a profile, follow it to its first pair, delete it; return the seconds to each step."""
    begun = time.monotonic()
    path = f"/networks/{NETWORK}/shadowing"
    made = manager.call("POST", f"{path}/create", profile("c", 1.0, variant))
    seconds = {"answered": time.monotonic() - begun}
    while "compared" not in seconds:
        seen = manager.profile(NETWORK, made["profileID"])
        now = time.monotonic() - begun
        if seen["instances"][-1]["status"] == "Running":
            seconds.setdefault("running", now)
        if (seen["comparison"] or {}).get("pairs"):
            seconds["compared"] = now
        if seen["instances"][-1]["status"] in {"Failed", "Stopped"} or now > _LONGEST:
            raise RuntimeError(f"no pair after {now:.1f} s: {seen}")
        time.sleep(_POLL)
    begun = time.monotonic()
    manager.call("DELETE", f"{path}/profiles/{made['profileID']}")
    return {**seconds, "deleted": time.monotonic() - begun}


def _print(figures: dict[str, Any], kinds: list[str]) -> None:
    rows = []
    for kind in kinds:
        for step, words in zip(
            (*STEPS, "deleted"), ("POST answered", "Running", "first compared pair", "DELETE answered"), strict=True
        ):
            found = figures[kind][step]
            first = figures[kind]["first"][step]
            rows.append([f"{kind}: {words}", *(milliseconds(found[key]) for key in ("p50", "p90", "max"))])
            rows[-1].append(milliseconds(first))
    show(
        f"From POST create on, {figures['times']} times, {RATE} requests/s, all mirrored",
        ["step", "p50", "p90", "max", "the very first"],
        rows,
        notes=["goal: first compared pair within 1 s"],
    )


if __name__ == "__main__":
    run()
