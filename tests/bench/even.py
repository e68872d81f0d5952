"""A version against itself, on the real Envoy: what our own path and the smaller load add to a shadow's response time.

Each service is there four times: mirrored at 10 % and at 100 %, with and without a control. Original, shadow and
control are the same program; requests leave in a seeded Poisson process, more of them where a tenth is mirrored, so
that there is something to compare. A tap notes each leg's response time (the product keeps them to 2 %). Figures are of
blocks of time: in each, a leg's p50 and p99 less (or over) those of the *same requests'* originals (or controls);
beside them the verdict, looked at all the time.
Services: one computes 0.2 ms, two also wait (as for a database) about 5 and 30 ms, and one does so for one request at
a time, so that an original with ten times the load has queues that its shadow has not.
"""

import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from sys import executable
from typing import Any, Self

import orjson

from tests.bench import _backend
from tests.bench._children import Load, backend, child
from tests.bench._envoy import envoy, free_ports, until
from tests.bench._mesh import JSON, Manager, component, profile, serving
from tests.bench._scale import quick
from tests.bench._stats import Mean, Ratio, mean_of, paired_ratio, quantile
from tests.bench._table import show
from xds_server.analysis.windows.profile_evidence import ALLOWANCE

NETWORK = "bench"
CONNECTIONS = 16
SHARES = (0.1, 1.0)
BLOCK = 10.0
WARM_UP = 5.0
QUANTILES = (0.5, 0.99)
METRICS = ["response_time", "error_rate", "difference_rate", "cpu", "memory"]
LEAST = 20
"""Pairs of a block that counts."""
_LOOK = 0.5
_SETTLE = 3.0
_MS = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A program, and how many requests a second it gets where all are mirrored, and where a tenth is."""

    name: str
    flags: tuple[str, ...]
    rates: tuple[float, float]


SERVICES = (
    Service("0.2 ms", ("--work", "0.2"), (25, 100)),
    Service("5 ms", ("--work", "0.2", "--wait", "5"), (25, 100)),
    Service("30 ms", ("--work", "0.2", "--wait", "30"), (25, 100)),
    Service("5 ms, one at a time", ("--work", "0.2", "--wait", "5", "--serial"), (20, 60)),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One profile."""

    service: Service
    share: float
    controlled: bool

    @property
    def rate(self) -> float:
        """Requests a second."""
        full, tenth = self.service.rates
        return full if self.share == 1 else tenth

    @property
    def name(self) -> str:
        """How it is called in the table."""
        return f"{self.service.name}, {self.share:.0%}{' + control' if self.controlled else ''}"


@dataclass(slots=True)
class Run:
    """A cell while it runs."""

    cell: Cell
    port: int
    profile_id: str
    shadow: str
    control: str
    passed_after: int | None = None
    """Pairs at which the whole verdict was PASS first."""
    last: JSON = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    """Checks that said FAIL at any look."""
    looks: int = 0

    def look(self, manager: Manager) -> None:
        """Take note of the verdict."""
        self.last = verdict = manager.profile(NETWORK, self.profile_id)["verdict"] or {}
        self.looks += bool(verdict)
        self.failed |= {f"{c['name']} {c['endpoint']}" for c in verdict.get("checks", ()) if c["decision"] == "FAIL"}
        if verdict.get("decision") == "FAIL":
            self.failed.add("the whole")
        if verdict.get("decision") == "PASS" and self.passed_after is None:
            self.passed_after = verdict["pairs"]


class Tap:
    """The tap in a process of its own (see `_tap`), for the length of a `with`."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        command = [executable, "-m", "tests.bench._tap", "--engine", self._engine]
        self._process = self._stack.enter_context(child(command, stdin=PIPE, stdout=PIPE))
        self.port = int(self._line())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self) -> list[tuple[str, str, float, float]]:
        """Return pair, shadow (empty: original), start and response time of each leg since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return [tuple(each) for each in orjson.loads(self._line())]

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the tap ended: {self._process.wait()}")
        return bytes(line)


@dataclass(frozen=True, slots=True)
class Stack:
    """A manager, its tap, and what runs of one service."""

    manager: Manager
    tap: Tap
    runs: Sequence[Run]
    loads: Sequence[Load]


def run() -> dict[str, Any]:
    """Run the bench, print its table, return its figures (ms, and ratios)."""
    seconds = 12.0 if quick() else 120.0
    rows: dict[str, Any] = {}
    for service in SERVICES[:2] if quick() else SERVICES:
        with _stack(service) as stack:
            rows |= _measure(stack, seconds)
    _print(rows, seconds)
    return {"seconds": seconds, "block": _block(), "allowance_ms": ALLOWANCE * _MS, "cells": rows}


def _block() -> float:
    return 3.0 if quick() else BLOCK


@contextlib.contextmanager
def _stack(service: Service) -> Iterator[Stack]:
    cells = [Cell(service, share, controlled) for share in SHARES for controlled in (False, True)]
    ports = free_ports(len(cells))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        manager = stack.enter_context(serving(folder))
        tap = stack.enter_context(Tap(manager.engine))
        originals = [stack.enter_context(backend(*service.flags)) for _ in cells]
        components = [component(f"c{n}", port, originals[n].port) for n, port in enumerate(ports)]
        manager.call("POST", "/networks", {"name": NETWORK, "components": components})
        bootstrap = orjson.loads(
            orjson.dumps(manager.bootstrap(NETWORK)).replace(
                b'"port_value":' + manager.engine.rpartition(":")[2].encode(), b'"port_value":%d' % tap.port
            )
        )
        stack.enter_context(envoy(bootstrap, folder))
        runs = [_run(manager, cell, n, port) for n, (cell, port) in enumerate(zip(cells, ports, strict=True))]
        yield Stack(manager, tap, runs, [stack.enter_context(Load()) for _ in runs])


def _run(manager: Manager, cell: Cell, number: int, port: int) -> Run:
    command = [executable, str(Path(_backend.__file__)), "--port", "{port}", *cell.service.flags]
    itself = {"process": {"command": command, "readiness": {"path": "/healthz"}}}
    control = {"control": itself} if cell.controlled else {}
    more: JSON = {"performanceMetrics": METRICS, "analysis": {"warmUp": f"{WARM_UP:g}s"}, "shadowTimeout": "2s"}
    body = profile(f"c{number}", cell.share, itself, **control, **more)
    made = manager.call("POST", f"/networks/{NETWORK}/shadowing/create", body)
    instances = manager.wait_running(NETWORK, made["profileID"])["instances"]
    ids = {instance["control"]: instance["instanceID"] for instance in instances}
    return Run(cell, port, made["profileID"], ids[False], ids.get(True, ""))


def _measure(stack: Stack, seconds: float) -> JSON:
    def send(each: Run, load: Load, length: float) -> None:
        load.begin(
            {
                "port": each.port,
                "seconds": length,
                "connections": CONNECTIONS,
                "rate": each.cell.rate,
                "seed": each.port,
            }
        )

    def all_finished(length: float) -> list[Any]:
        for each, load in zip(stack.runs, stack.loads, strict=True):
            send(each, load, length)
        end = time.monotonic() + length
        while time.monotonic() < end:
            time.sleep(_LOOK)
            for each in stack.runs:
                each.look(stack.manager)
        return [load.finish() for load in stack.loads]

    until(lambda: _mirrored(stack, all_finished), 60, "the first pairs", every=0.2)
    time.sleep(WARM_UP)
    stack.tap.take()
    begun = time.time()
    outcomes = all_finished(seconds)
    time.sleep(_SETTLE)
    for each in stack.runs:
        each.look(stack.manager)
    noted = stack.tap.take()
    legs: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for pair, shadow, started, took in noted:
        legs[pair][shadow] = started, took
    found = {}
    for each, outcome in zip(stack.runs, outcomes, strict=True):
        mine = [legs[pair] for pair in legs if pair.startswith(f"{each.profile_id}/")]
        found[each.cell.name] = _figures(each, mine, begun) | {
            "requests": outcome.answered,
            "requests_failed": outcome.failed,
        }
    return found


def _mirrored(stack: Stack, send: Any) -> bool:
    send(1.0)
    return all((stack.manager.profile(NETWORK, r.profile_id)["comparison"] or {}).get("pairs") for r in stack.runs)


def _figures(each: Run, legs: Sequence[dict[str, tuple[float, float]]], begun: float) -> JSON:
    beside: JSON = {}
    for name, reference in (("original", ""), ("control", each.control)):
        if name == "control" and not reference:
            continue
        blocks: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for legs_of in legs:
            if "" in legs_of and reference in legs_of and each.shadow in legs_of:
                number = int((legs_of[""][0] - begun) // _block())
                blocks[number].append((legs_of[reference][1] * _MS, legs_of[each.shadow][1] * _MS))
        whole = [pairs for _, pairs in sorted(blocks.items()) if len(pairs) >= LEAST]
        if len(whole) > 1:
            beside[name] = {f"p{q * 100:g}": _compared(whole, q) for q in QUANTILES}
    checks = {c["name"]: c for c in each.last.get("checks", ()) if not c["endpoint"]}
    return {
        "share": each.cell.share,
        "beside": beside,
        "verdict": each.last.get("decision"),
        "pairs": each.last.get("pairs"),
        "passed_after": each.passed_after,
        "said_fail": sorted(each.failed),
        "looks": each.looks,
        "reasons": each.last.get("reasons"),
        "harm": (each.last.get("harm") or {}).get("decision"),
        "checks": {
            name: {key: check[key] for key in ("decision", "original", "shadow", "effect", "interval", "pairs")}
            for name, check in checks.items()
        },
    }


def _compared(blocks: Sequence[Sequence[tuple[float, float]]], q: float) -> JSON:
    references = [quantile([reference for reference, _ in block], q) for block in blocks]
    shadows = [quantile([shadow for _, shadow in block], q) for block in blocks]
    difference = mean_of([b - a for a, b in zip(references, shadows, strict=True)])
    return {
        "reference_ms": quantile(references, 0.5),
        "shadow_ms": quantile(shadows, 0.5),
        "difference_ms": difference.as_json(),
        "ratio": paired_ratio(shadows, references).as_json(),
        "covered": True if difference.high <= ALLOWANCE * _MS else False if difference.low > ALLOWANCE * _MS else None,
    }


def _print(rows: dict[str, Any], seconds: float) -> None:
    lines = []
    for name, row in rows.items():
        verdict = "FAIL seen" if row["said_fail"] else row["verdict"] or "none"
        after = f"PASS after {row['passed_after']:,}" if row["passed_after"] else f"{verdict}, {row['pairs'] or 0:,}"
        title = name
        for reference, figures in row["beside"].items():
            beside = reference
            for quantile_name, figure in figures.items():
                less, over = Mean(**figure["difference_ms"]), Ratio(**figure["ratio"])
                lines.append(
                    [title, beside, quantile_name, f"{figure['reference_ms']:.2f}", str(less), str(over), after]
                )
                title = beside = after = ""
    seen = [f for row in rows.values() for f in row["beside"].get("original", {}).values()]
    covered = [f["covered"] for f in seen]
    harmed = [name for name, row in rows.items() if row["harm"] == "HARM"]
    told = f"{covered.count(True)} for certain, {covered.count(None)} perhaps, {covered.count(False)} not"
    said = sorted({f"{name}: {check}" for name, row in rows.items() for check in row["said_fail"]})
    show(
        f"A version against itself, {seconds:g} s each, blocks of {_block():g} s",
        ["service, share", "beside", "", "ms", "shadow less it, ms", "shadow over it", "verdict, pairs"],
        lines,
        notes=[
            "ms: median over the blocks; less and over: mean over the blocks with its 95 % interval",
            f"checks that ever said FAIL: {'; '.join(said) or 'none'}; HARM: {', '.join(harmed) or 'none'}",
            f"of {len(seen)} differences beside the original, the allowance of {ALLOWANCE * _MS:g} ms covers {told}",
        ],
    )


if __name__ == "__main__":
    run()
