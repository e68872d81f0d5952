"""Compared pairs a second of the whole path: Envoy with capture at 100 %, both legs, access log, engine, manager.

First at saturation (each connection of the load generator sends as soon as it has its answer), then at a share of the
rate that was reached. All parts share the cores there are, nothing is pinned; the load generator and both services are
part of what the cores carry. Each request is followed through the counts of everybody who saw it.
"""

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench._children import Load, Outcome, Service, backend
from tests.bench._cores import cpu_seconds
from tests.bench._envoy import Envoy, envoy, free_ports, until
from tests.bench._mesh import Manager, component, endpoint, profile, serving
from tests.bench._scale import quick
from tests.bench._table import show

NETWORK = "bench"
CONNECTIONS = 32
SHARES = (0.7, 0.4)
"""Of the requests a second at saturation, for the runs that follow."""
_SETTLE = 3.0
"""Seconds without a change after which the counts are final; several windows of the engine."""
_SETTLE_MOST = 60.0
_EXPLAIN = ("unpaired_shadow", "als_gap", "late", "dropped_waiting", "engine_stopped")
"""Kinds of loss that do not overlap; an original without its copy's record (`unpaired_original`) is in `als_gap`."""


@dataclass(frozen=True, slots=True)
class _Stack:
    manager: Manager
    envoy: Envoy
    load: Load
    original: Service
    shadow: Service
    port: int
    profile_id: str
    instance_id: str

    def counts(self) -> dict[str, Any]:
        """Return how often everybody has seen a request."""
        status = self.manager.call("GET", f"/networks/{NETWORK}/shadowing/status")
        comparison = status["profiles"][0]["comparison"] or {}
        lost = comparison.get("lost") or {}
        return {
            "answered by the original": self.original.answered(),
            "answered by the shadow": self.shadow.answered(),
            "copies in Envoy": self.envoy.counter(f"^http.shadow-{self.instance_id}.downstream_rq_completed$"),
            "records dropped by Envoy": self.envoy.counter("logs_dropped$"),
            "pairs": comparison.get("pairs", 0),
            "discrepancies": comparison.get("discrepancies", 0),
            "lost": dict(lost),
            "waiting": sum(engine.get("waiting", 0) for engine in status["engines"]),
        }

    def cpu(self) -> dict[str, float]:
        """Return the CPU time each part has had so far."""
        pids = {
            "Envoy": self.envoy.pid,
            "engine": self.manager.engine_pid(),
            "manager": self.manager.pid,
            "load generator": self.load.pid,
        }
        services = cpu_seconds(self.original.pid) + cpu_seconds(self.shadow.pid)
        return {**{name: cpu_seconds(pid) for name, pid in pids.items()}, "both services": services}


def run() -> dict[str, Any]:
    """Run the bench, print its tables, return its figures."""
    seconds = 1.5 if quick() else 15.0
    ports = free_ports(1)
    with (
        tempfile.TemporaryDirectory() as name,
        backend() as original,
        backend("--differ") as shadow,
        serving(folder := Path(name)) as manager,
    ):
        manager.call("POST", "/networks", {"name": NETWORK, "components": [component("c", ports[0], original.port)]})
        with envoy(manager.bootstrap(NETWORK), folder) as proxy, Load() as load:
            stack = _shadowed(manager, proxy, load, (original, shadow), ports[0])
            rows = [_measure(stack, "saturation", functools.partial(_closed, stack, seconds))]
            for share in SHARES:
                rate = rows[0]["requests_per_second"] * share
                rows.append(_measure(stack, f"{share:.0%} of it", functools.partial(_open, stack, seconds, rate)))
    _print(rows)
    return {"connections": CONNECTIONS, "seconds": seconds, "runs": rows}


def _shadowed(manager: Manager, proxy: Envoy, load: Load, services: tuple[Service, Service], port: int) -> _Stack:
    original, shadow = services
    body = profile("c", 1.0, endpoint(shadow.port))
    made = manager.call("POST", f"/networks/{NETWORK}/shadowing/create", body)
    running = manager.wait_running(NETWORK, made["profileID"])
    stack = _Stack(
        manager, proxy, load, original, shadow, port, made["profileID"], running["instances"][0]["instanceID"]
    )

    def compared() -> bool:
        load.run(port, seconds=0.2, connections=4, rate=100)
        return bool(stack.counts()["pairs"])

    until(compared, 30, "the first pair")
    return stack


def _closed(stack: _Stack, seconds: float) -> Outcome:
    return stack.load.run(stack.port, seconds=seconds, connections=CONNECTIONS)


def _open(stack: _Stack, seconds: float, rate: float) -> Outcome:
    return stack.load.run(stack.port, seconds=seconds, connections=CONNECTIONS * 4, rate=rate, seed=1)


def _measure(stack: _Stack, name: str, send: Callable[[], Outcome]) -> dict[str, Any]:
    before, _ = _settled(stack)
    cpu = stack.cpu()
    begun = time.monotonic()
    outcome = send()
    after, last_pair = _settled(stack)
    elapsed = max(last_pair - begun, outcome.seconds)
    used = {part: total - cpu[part] for part, total in stack.cpu().items()}
    seen = {key: after[key] - before[key] for key in after if key not in {"lost", "waiting"}}
    kinds = {*after["lost"], *before["lost"]}
    lost = {kind: after["lost"].get(kind, 0) - before["lost"].get(kind, 0) for kind in sorted(kinds)}
    copies = seen["copies in Envoy"]
    return {
        "name": name,
        "requests_per_second": outcome.answered / outcome.seconds,
        "pairs_per_second": seen["pairs"] / elapsed,
        "seconds_until_the_last_pair": elapsed,
        "seconds_of_load": outcome.seconds,
        "answered_to_clients": outcome.answered,
        "failed_to_clients": outcome.failed,
        **{key.replace(" ", "_"): value for key, value in seen.items()},
        "lost_by_kind": lost,
        "lost_share": 1 - seen["pairs"] / copies if copies else None,
        "unexplained": copies - seen["pairs"] - sum(lost.get(kind, 0) for kind in _EXPLAIN),
        "cpu_microseconds_per_request": {part: value / max(outcome.answered, 1) * 1e6 for part, value in used.items()},
    }


def _settled(stack: _Stack) -> tuple[dict[str, Any], float]:
    """Return the counts once they stand still and nothing waits for its other leg, and when the last pair was seen."""
    counts = stack.counts()
    changed = paired = time.monotonic()
    end = changed + _SETTLE_MOST
    while (time.monotonic() - changed < _SETTLE or counts["waiting"]) and time.monotonic() < end:
        time.sleep(0.2)
        if (now := stack.counts()) != counts:
            changed = time.monotonic()
            paired = changed if now["pairs"] != counts["pairs"] else paired
            counts = now
    return counts, paired


def _print(rows: list[dict[str, Any]]) -> None:
    parts = list(rows[0]["cpu_microseconds_per_request"])
    show(
        "Whole path, capture at 100 %, a tenth of the answers differ",
        ["load", "requests/s", "pairs/s", "lost", "failed clients", "last pair seen"],
        [
            [
                row["name"],
                f"{row['requests_per_second']:,.0f}",
                f"{row['pairs_per_second']:,.0f}",
                "-" if row["lost_share"] is None else f"{row['lost_share']:.3%}",
                f"{row['failed_to_clients']:,}",
                f"{row['seconds_until_the_last_pair'] - row['seconds_of_load']:.1f} s after the load",
            ]
            for row in rows
        ],
        notes=["pairs/s: until the last pair was seen in the status"],
    )
    show(
        "CPU µs a request",
        ["load", *parts, "together"],
        [
            [row["name"], *(f"{value:,.0f}" for value in (*used.values(), sum(used.values())))]
            for row in rows
            for used in [row["cpu_microseconds_per_request"]]
        ],
    )
    keys = [
        "answered_to_clients",
        "answered_by_the_original",
        "copies_in_Envoy",
        "answered_by_the_shadow",
        "records_dropped_by_Envoy",
    ]
    keys += ["pairs", "discrepancies", "unexplained"]
    show(
        "The same requests, counted by everybody who saw them",
        ["count", *(row["name"] for row in rows)],
        [
            *([key.replace("_", " "), *(f"{row[key]:,}" for row in rows)] for key in keys),
            *(
                [f"lost: {kind}", *(f"{row['lost_by_kind'].get(kind, 0):,}" for row in rows)]
                for kind in sorted({kind for row in rows for kind in row["lost_by_kind"]})
            ),
        ],
        notes=["unexplained: copies in Envoy, less pairs, less " + ", ".join(_EXPLAIN)],
    )


if __name__ == "__main__":
    run()
