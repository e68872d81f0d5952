"""`performanceData`: what was measured, in the units it says."""

from dataclasses import replace

import pytest

from api.performance import performance_data
from tests.unit.analysis.entries import START, batch, pair_entries
from tests.unit.analysis.kept import of_shadows
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.windows.comparison import Comparison, comparison_of
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings
from xds_server.lifecycle.views import Gauge, Performance
from xds_server.runtime.base import Denied, Usage

ALL = ("cpu", "memory", "response_time", "error_rate", "difference_rate")


def compared() -> Comparison:
    analyser = Analyser(EngineSettings(), wall=lambda: START)
    for path in ("/a", "/b"):
        analyser.feed(batch(*pair_entries({"path": path}, {"path": path, "first": 0.021, "body": b"[]"})), 0.0)
        analyser.feed(batch(*pair_entries({"path": path}, {"path": path, "first": 0.021, "status": 500})), 0.0)
    for _ in range(4):
        analyser.feed(batch(*pair_entries({}, {"first": 0.021})), 0.0)
    (tally,) = of_shadows(analyser.take())
    return comparison_of(tally)


def test_what_was_measured_of_all_endpoints_is_told_for_each_leg_in_its_unit() -> None:
    usage = Performance(samples=3, cpu=Gauge(0.5, 0.25, 1.0), memory=Gauge(10.0, 20.0, 30.0))
    usage = replace(usage, cpu_per_request=Gauge(2.0, 1.5, 2.5))
    data = performance_data(usage, compared(), ALL)
    assert data["response_time"]["unit"] == "ms"
    assert data["response_time"]["original"]["p50"] == pytest.approx(10, rel=0.011)
    assert data["response_time"]["shadow"]["p99"] == pytest.approx(20, rel=0.011)
    assert data["error_rate"] == {"original": 0.0, "shadow": 0.25}
    assert data["difference_rate"] == {"pairs": 8, "rate": 0.5}
    assert data["cpu"] == {"unit": "cores", "latest": 0.5, "mean": 0.25, "max": 1.0}
    assert data["cpuPerRequest"] == {"unit": "core-milliseconds", "latest": 2.0, "mean": 1.5, "max": 2.5}
    assert data["memory"] == {"unit": "bytes", "latest": 10.0, "mean": 20.0, "max": 30.0}


def test_what_was_not_asked_for_or_not_measured_is_left_out() -> None:
    assert performance_data(Performance(), comparison_of(Tally("p", "")), ALL) == {}
    assert list(performance_data(Performance(), compared(), ("error_rate", "cpu"))) == ["error_rate"]


def test_what_a_containers_runtime_tells_is_there_whatever_the_profile_names() -> None:
    told = Usage(
        cpu_seconds=1.0,
        rss_bytes=10,
        received_bytes=5,
        sent_bytes=7,
        throttled_seconds=0.25,
        memory_limit=100,
        restarts=1,
        oom_kills=2,
        denied=(Denied("10.0.0.1:443", "tcp", 3),),
    )
    assert performance_data(Performance(usage=told), None, ()) == {
        "network": {"unit": "bytes", "received": 5, "sent": 7},
        "cpuThrottled": {"unit": "seconds", "total": 0.25},
        "memoryLimit": {"unit": "bytes", "latest": 100},
        "restarts": 1,
        "oomKills": 2,
        "deniedEgress": [{"destination": "10.0.0.1:443", "protocol": "tcp", "count": 3}],
    }
    assert performance_data(Performance(usage=Usage(1.0, 10)), None, ()) == {}
