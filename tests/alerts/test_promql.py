"""Metrics of the user's own, by a real Prometheus that scrapes a real exporter with a series for each version."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from tests.alerts.running import prometheus
from tests.envoy.stack import wait_for
from xds_server.analysis.verdict.readings import Reading
from xds_server.config import PrometheusSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.promql import SEVERAL, Prometheus, QueryError
from xds_server.lifecycle.questions import Question, Questions
from xds_server.model.ids import ProfileID
from xds_server.model.judging import Check, Metric

WINDOW = 5.0
RATES = {"original": 10, "v2": 20}
"""Orders each 50 ms."""
BY_VARIANT = '{network="{network}",component="{component}",variant="{variant}"}'
LABELS = ("network", "component", "variant", "pod")


@dataclass
class World:
    url: str

    def asked(self, url: str | None = None) -> Prometheus:
        return Prometheus(PrometheusSettings(url=url or self.url))


@pytest.fixture(scope="module")
def world(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("promql")
    rules = folder / "rules.yaml"
    rules.write_text("groups: []\n")
    registry = CollectorRegistry()
    orders = Counter("orders", "Orders taken.", LABELS, registry=registry)
    depth = Gauge("depth", "Below 0.", ("variant",), registry=registry)
    depth.labels("v2").set(-1)
    ended = threading.Event()

    def take_orders() -> None:
        while not ended.wait(0.05):
            for variant, rate in RATES.items():
                for pod in ("a", "b"):
                    orders.labels("shop", "catalog", variant, pod).inc(rate)

    server, serving = start_http_server(0, "127.0.0.1", registry)
    taking = threading.Thread(target=take_orders)
    taking.start()
    try:
        with prometheus(tools, folder, f"127.0.0.1:{server.server_port}", rules) as url:
            world = World(url)
            wait_for(lambda: _rate_is_there(world), "two scrapes give a rate")
            yield world
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        serving.join()
        taking.join()


def _rate_is_there(world: World) -> bool:
    async def ask() -> bool:
        asked = world.asked()
        try:
            return await asked.number("count(rate(orders_total[5s]) > 0)") == 4
        except QueryError:
            return False
        finally:
            await asked.close()

    return asyncio.run(ask())


def question(query: str) -> Question:
    return Question(
        check=Check(Metric.PROMETHEUS, max_ratio=1.1, name="orders", query=query),
        network="shop",
        component="catalog",
        reference="original",
        variants=("v2",),
        waiting={},
        window=WINDOW,
    )


async def read(world: World, *questions: Question, blocks: int = 1) -> list[Reading]:
    """Ask side by side until each has so many blocks or a reason."""
    asked = world.asked()
    found = Questions(asked, clock=SystemClock())
    keyed = [replace(q, check=replace(q.check, name=f"q{number}")) for number, q in enumerate(questions)]

    def done() -> bool:
        readings = found.readings(ProfileID("p"))
        return len(readings) == len(keyed) and all(r.blocks >= blocks or r.reason for r in readings.values())

    try:
        async with asyncio.timeout(30):
            while not done():
                for each in keyed:
                    found.ask(ProfileID("p"), each)
                await asyncio.sleep(0.05)
        readings = found.readings(ProfileID("p"))
        return [readings[each.check.label, "v2"] for each in keyed]
    finally:
        await found.close()
        await asked.close()


async def test_a_metric_of_the_users_own_is_compared_window_by_window(world: World) -> None:
    begun = time.monotonic()
    (found,) = await read(world, question(f"sum(rate(orders_total{BY_VARIANT}[{{window}}]))"), blocks=2)
    assert time.monotonic() - begun >= WINDOW
    assert found.reason == ""
    assert found.reference is not None
    assert found.candidate is not None
    assert 1.5 < found.candidate / found.reference < 2.5
    assert found.evidence.log_evidence_above(1.1) > found.evidence.log_evidence_below(1.1)


async def test_what_cannot_be_one_number_has_prometheus_own_words_or_ours(world: World) -> None:
    queries = {
        f"sum(rate(orders_total{BY_VARIANT}[{{window}}])": "bad_data: invalid parameter",
        "sum(nothing{v='{variant}'})": "returned nothing",
        f"rate(orders_total{BY_VARIANT}[{{window}}])": SEVERAL,
        f"orders_total{BY_VARIANT}[{{window}}]": "gives a range",
        f"sum(orders_total{BY_VARIANT}) * 0 / 0": "gives NaN",
        f"sum(orders_total{BY_VARIANT}) / 0": "gives +Inf",
        f"-sum(orders_total{BY_VARIANT})": "from 0 on",
        '"{variant}"': "gives no number",
        "sum(orders_total)": "no {variant}",
    }
    found = await read(world, *map(question, queries))
    for (query, why), reading in zip(queries.items(), found, strict=True):
        assert why in reading.reason, query
        assert (reading.blocks, reading.reference, reading.candidate) == (0, None, None), query


async def test_a_scalar_is_a_number(world: World) -> None:
    asked = world.asked()
    assert await asked.number(f"scalar(sum(orders_total{{variant='v2'}})) > bool {10}") == 1.0
    await asked.close()


async def test_a_url_that_is_no_prometheus_is_said(world: World) -> None:
    asked = world.asked(f"{world.url}/nowhere")
    with pytest.raises(QueryError, match="answered 404"):
        await asked.number("1")
    await asked.close()
