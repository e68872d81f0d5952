"""A cold start with many networks: from the start of the manager until the Envoys of all networks are answered.

The state folder is written beforehand through the store itself. "Last one" is when an Envoy-like client of the last
network has its clusters, asked for alone as soon as the xDS port accepts; "all" is when a client of each network has,
all of them asking at once. A start with one network is what the process costs by itself (imports, engine).
"""

import asyncio
import datetime as dt
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from tests.bench._envoy import until
from tests.bench._mesh import START, component, serving, starting
from tests.bench._scale import quick
from tests.bench._stats import quantile
from tests.bench._table import milliseconds, show
from tests.bench._xds_client import first_clusters
from xds_server.model.ids import NetworkID
from xds_server.model.network import Address, Component, Endpoint, Protocol, VirtualNetwork
from xds_server.store.base import Changes
from xds_server.store.sqlite import SqliteStore

POSTERS = 4


def run() -> dict[str, Any]:
    """Run the bench, print its tables, return its figures (seconds)."""
    sizes, posts = ([1, 20, 40], 20) if quick() else ([1, 1000, 2000], 400)
    times = 1 if quick() else 3
    colds = [_summary(size, [_cold(size) for _ in range(times)]) for size in sizes]
    bulk = _bulk(posts)
    one, thousand, twice = (each["all"] for each in colds)
    ratio = (twice - one) / (thousand - one)
    _print(colds, bulk, ratio)
    return {"cold": colds, "times": times, "twice_the_networks_in": ratio, "bulk": bulk}


def _summary(size: int, rounds: list[dict[str, float]]) -> dict[str, Any]:
    return {"networks": size} | {key: quantile([each[key] for each in rounds], 0.5) for key in rounds[0]}


def _cold(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(_write(folder / "state" / "shadowmesh.db", size))
        begun = time.monotonic()
        with starting(folder) as manager:
            until(manager.accepts, START * 2, "the xDS port", every=0.005)
            accepted = time.monotonic()
            last = asyncio.run(first_clusters(manager.xds, [f"network-{size - 1}"])).moments[0]
            asked = time.monotonic()
            every = asyncio.run(first_clusters(manager.xds, [f"network-{n}" for n in range(size)]))
            until(manager.ready, START, "the REST API", every=0.005)
            return {
                "port": accepted - begun,
                "last": last - begun,
                "all": last - begun + max(every.moments) - asked,
                "refused": float(every.refused),
                "memory": float(psutil.Process(manager.pid).memory_info().rss),
            }


async def _write(path: Path, size: int) -> None:
    now = dt.datetime.now(tz=dt.UTC)
    store = SqliteStore(path)
    await store.open()
    try:
        await store.apply(Changes(networks=tuple(_network(number, now) for number in range(size))))
    finally:
        await store.close()


def _network(number: int, now: dt.datetime) -> VirtualNetwork:
    where = Endpoint(address=f"10.0.{number // 250}.{number % 250 + 1}", port=9000)
    one = Component("c", Protocol.HTTP1, Address("127.0.0.1", 10_000 + number), (where,))
    return VirtualNetwork(NetworkID(str(uuid.UUID(int=number + 1))), f"network-{number}", (one,), created_at=now)


def _bulk(count: int) -> dict[str, float]:
    """Return how fast networks are created over REST, a few clients at once."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as manager:
        seconds: list[float] = []

        def post(first: int) -> None:
            for number in range(first, count, POSTERS):
                body = {"name": f"network-{number}", "components": [component("c", 10_000 + number, 9000)]}
                begun = time.monotonic()
                manager.call("POST", "/networks", body)
                seconds.append(time.monotonic() - begun)

        threads = [threading.Thread(target=post, args=(first,)) for first in range(POSTERS)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - begun
        if len(seconds) != count:
            raise RuntimeError(f"{count - len(seconds)} of {count} networks were refused")
    return {
        "networks": count,
        "clients": POSTERS,
        "per_second": count / elapsed,
        "p50": quantile(seconds, 0.5),
        "p99": quantile(seconds, 0.99),
    }


def _print(colds: list[dict[str, Any]], bulk: dict[str, float], ratio: float) -> None:
    base, twice = (f"{cold['networks']:,}" for cold in colds[1:])
    show(
        "Cold start, one component a network",
        [
            "networks",
            "xDS port accepts",
            "last one has its clusters",
            "all have",
            "refused at first",
            "manager's memory",
        ],
        [
            [
                f"{cold['networks']:,}",
                *(milliseconds(cold[key]) for key in ("port", "last", "all")),
                f"{cold['refused']:,.0f}",
                f"{cold['memory'] / 1e6:,.0f} MB",
            ]
            for cold in colds
        ],
        notes=[
            f"goal: {base} networks within 5 s, {twice} in about twice the time",
            f"all have theirs: without the start of the process, {twice} took {ratio:.2f} times as long",
        ],
    )
    show(
        "POST /networks",
        ["clients at once", "networks", "a second", "p50", "p99"],
        [
            [
                f"{bulk['clients']}",
                f"{bulk['networks']}",
                f"{bulk['per_second']:,.0f}",
                milliseconds(bulk["p50"]),
                milliseconds(bulk["p99"]),
            ]
        ],
    )


if __name__ == "__main__":
    run()
