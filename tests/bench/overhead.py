"""What a client of the original feels: its p50 and p99 with mirroring and capture, as ratios to those without.

One Envoy holds all modes at once, a listener each, so a block measures them one after another (in an order drawn anew)
with nothing reconfigured in between, and the same moments of sending. A ratio is the geometric mean over blocks, with
its interval; beside it stands A/A, the plain mode against its twin. Requests leave in a seeded Poisson process (open
loop) at a modest rate; a latency counts from the moment that was meant.
Modes:
 - `no Shadowmesh`: a listener as an Envoy user writes it: router, nothing else.
 - `plain`, `plain again`: a component of a virtual network without a profile; the base of all ratios.
 - `Envoy's mirror 10 %`, `100 %`: the hand-written listener with a mirror policy; what copying costs without us.
 - `mirroring 100 %`: a profile that keeps no byte of the answers (`capture.headBytes` 0). The access log is still
   written, and so is the size of each answer: Shadowmesh has no mirroring without counting.
 - `capture 10 %`, `capture 100 %`: a profile as it is by default.
"""

import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench._children import Load, Service, backend
from tests.bench._cores import cpu_seconds, layout, place
from tests.bench._envoy import Envoy, envoy, free_ports, plain_cluster, plain_listener, until
from tests.bench._mesh import JSON, Manager, component, endpoint, profile, serving
from tests.bench._scale import quick
from tests.bench._stats import Ratio, paired_ratio, quantile
from tests.bench._table import show

NETWORK = "bench"
RATE = 1000
CONNECTIONS = 16
BASE, TWIN = "plain", "plain again"
STATIC = {"no Shadowmesh": 0, "Envoy's mirror 10 %": 10, "Envoy's mirror 100 %": 100}
"""Hand-written listeners, and the percentage that they mirror."""
PROFILES: dict[str, tuple[float, JSON]] = {
    "mirroring 100 %": (1.0, {"capture": {"headBytes": 0, "checksum": False}}),
    "capture 10 %": (0.1, {}),
    "capture 100 %": (1.0, {}),
}
MODES = (BASE, TWIN, *STATIC, *PROFILES)
FIGURES = ("p50", "p99", "cpu")
_PAUSE = 0.15
"""Seconds after each measurement in which the access log of its requests goes out (flushed each 100 ms)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One mode in one block. Latencies and `cpu` (Envoy's, a request) in µs."""

    p50: float
    p99: float
    cpu: float
    late: float
    """p99 of how late requests left."""
    requests: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Stack:
    manager: Manager
    envoy: Envoy
    load: Load
    shadow: Service
    ports: dict[str, int]
    profiles: dict[str, str]


def run() -> dict[str, Any]:
    """Run the bench, print its table, return its figures (µs, and ratios with intervals)."""
    blocks, seconds = (3, 0.2) if quick() else (36, 0.8)
    chance = random.Random(1)
    with _stack() as stack:
        for port in stack.ports.values():
            stack.load.run(port, seconds=max(seconds, 0.5), connections=CONNECTIONS, rate=RATE)
        copied = stack.shadow.answered()
        taken: dict[str, list[Cell]] = {mode: [] for mode in MODES}
        for block in range(blocks):
            for mode in chance.sample(MODES, len(MODES)):
                taken[mode].append(_cell(stack, mode, seconds=seconds, seed=block))
        copied = stack.shadow.answered() - copied
        pairs = {mode: _pairs(stack, mode) for mode in PROFILES}
    ratios = {mode: {figure: _ratio(taken, mode, figure) for figure in FIGURES} for mode in MODES if mode != BASE}
    _print(taken, ratios, blocks=blocks, seconds=seconds)
    return {
        "blocks": blocks,
        "seconds": seconds,
        "requests_per_second": RATE,
        "layout": layout().words,
        "ratios": {mode: {name: ratio.as_json() for name, ratio in each.items()} for mode, each in ratios.items()},
        "inside_the_A/A_interval": {
            mode: {name: ratio.within(ratios[TWIN][name]) for name, ratio in each.items()}
            for mode, each in ratios.items()
            if mode != TWIN
        },
        "medians": {
            mode: {figure: _typical(cells, figure) for figure in (*FIGURES, "late")} for mode, cells in taken.items()
        },
        "requests": {mode: sum(cell.requests for cell in cells) for mode, cells in taken.items()},
        "failed": {mode: sum(cell.failed for cell in cells) for mode, cells in taken.items()},
        "copies_answered": copied,
        "pairs": pairs,
    }


@contextlib.contextmanager
def _stack() -> Iterator[_Stack]:
    """Yield everything, running and on its core."""
    ports = dict(zip(MODES, free_ports(len(MODES)), strict=True))
    with (
        tempfile.TemporaryDirectory() as name,
        backend() as original,
        backend() as shadow,
        serving(folder := Path(name)) as manager,
    ):
        meshed = [mode for mode in MODES if mode not in STATIC]
        components = [component(f"c{n}", ports[mode], original.port) for n, mode in enumerate(meshed)]
        manager.call("POST", "/networks", {"name": NETWORK, "components": components})
        bootstrap = manager.bootstrap(NETWORK)
        resources = bootstrap["static_resources"]
        resources["clusters"] += [plain_cluster("original", original.port), plain_cluster("shadow", shadow.port)]
        resources["listeners"] = [
            plain_listener(mode, ports[mode], "original", mirror="shadow" if percent else "", percent=percent)
            for mode, percent in STATIC.items()
        ]
        with envoy(bootstrap, folder) as proxy, Load() as load:
            profiles = {}
            for mode, (share, more) in PROFILES.items():
                body = profile(f"c{meshed.index(mode)}", share, endpoint(shadow.port), **more)
                made = manager.call("POST", f"/networks/{NETWORK}/shadowing/create", body)
                profiles[mode] = made["profileID"]
                manager.wait_running(NETWORK, made["profileID"])
            stack = _Stack(manager, proxy, load, shadow, ports, profiles)
            _pin(stack, original)
            for mode in PROFILES:
                until(lambda mode=mode: _first_pair(stack, mode), 30, f"a pair of {mode}")
            yield stack


def _pin(stack: _Stack, original: Service) -> None:
    cores = layout()
    stack.manager.engine_pid()
    place(stack.envoy.pid, cores.envoy)
    place(stack.load.pid, cores.load)
    place(original.pid, cores.load)
    # The engine is the manager's child and moves with it.
    place(stack.shadow.pid, cores.rest, idle=True)
    place(stack.manager.pid, cores.rest, idle=True)


def _first_pair(stack: _Stack, mode: str) -> bool:
    stack.load.run(stack.ports[mode], seconds=0.3, connections=CONNECTIONS, rate=RATE)
    return _pairs(stack, mode) > 0


def _pairs(stack: _Stack, mode: str) -> int:
    comparison = stack.manager.profile(NETWORK, stack.profiles[mode])["comparison"] or {}
    return int(comparison.get("pairs", 0))


def _cell(stack: _Stack, mode: str, *, seconds: float, seed: int) -> Cell:
    before = cpu_seconds(stack.envoy.pid)
    outcome = stack.load.run(stack.ports[mode], seconds=seconds, connections=CONNECTIONS, rate=RATE, seed=seed)
    time.sleep(_PAUSE)
    used = cpu_seconds(stack.envoy.pid) - before
    return Cell(
        p50=quantile(outcome.latencies, 0.5),
        p99=quantile(outcome.latencies, 0.99),
        cpu=used / max(outcome.answered, 1) * 1e6,
        late=quantile(outcome.late, 0.99),
        requests=outcome.answered,
        failed=outcome.failed,
    )


def _ratio(taken: dict[str, list[Cell]], mode: str, figure: str) -> Ratio:
    return paired_ratio([getattr(c, figure) for c in taken[mode]], [getattr(c, figure) for c in taken[BASE]])


def _typical(cells: list[Cell], figure: str) -> float:
    return quantile([getattr(cell, figure) for cell in cells], 0.5)


def _print(taken: dict[str, list[Cell]], ratios: dict[str, dict[str, Ratio]], *, blocks: int, seconds: float) -> None:
    rows = []
    for mode in MODES:
        row = [f"{mode} (A/A)" if mode == TWIN else mode]
        for figure in FIGURES:
            row.append(f"{_typical(taken[mode], figure):,.0f}")
            row.append("1" if mode == BASE else str(ratios[mode][figure]))
        rows.append(row)
    failed = sum(cell.failed for cells in taken.values() for cell in cells)
    late = _typical([cell for cells in taken.values() for cell in cells], "late")
    goal = "inside" if ratios["capture 10 %"]["p99"].within(ratios[TWIN]["p99"]) else "outside"
    show(
        f"The original's latency and Envoy's CPU a request: {blocks} interleaved blocks of {seconds:g} s a mode, "
        f"{RATE} requests/s",
        ["mode", "p50 µs", "ratio", "p99 µs", "ratio", "CPU µs", "ratio"],
        rows,
        notes=[
            "µs: median over the blocks; ratio: to plain, paired by block, with its 95 % interval",
            layout().words,
            f"requests left up to {late:,.0f} µs late (p99): the generator's own share of the latencies",
            f"requests that failed: {failed}",
            f"goal: p99 at capture 10 % inside the A/A interval; it is {goal}",
        ],
    )


if __name__ == "__main__":
    run()
