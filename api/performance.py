"""The specification's `performanceData` of an instance: what was measured of the metrics that its profile names.

Units are said with each value: response times in milliseconds (from the last byte sent to the service to the first one
it sends back), CPU in cores and in core-milliseconds a request, memory in bytes; rates are shares of the judged pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from xds_server.analysis.windows.comparison import QUANTILES, Comparison
from xds_server.analysis.windows.tally import LegTally
from xds_server.lifecycle.views import Gauge, Jsonable, Performance
from xds_server.runtime.base import Usage

JSON = dict[str, Any]


def performance_data(performance: Performance, comparison: Jsonable | None, metrics: Sequence[str]) -> JSON:
    """Return an entry for each metric that was asked for and measured, and what a container's runtime tells beside."""
    data: JSON = {}
    gauges = {
        "cpu": [("cpu", performance.cpu, "cores"), ("cpuPerRequest", performance.cpu_per_request, "core-milliseconds")],
        "memory": [("memory", performance.memory, "bytes")],
    }
    compared = comparison if isinstance(comparison, Comparison) and comparison.pairs else None
    for metric in metrics:
        if metric in gauges:
            for name, gauge, unit in gauges[metric]:
                if gauge is not None:
                    data[name] = _gauge(gauge, unit)
        elif compared is not None and metric in _COMPARED:
            data[metric] = _COMPARED[metric](compared)
    return data | _told(performance.usage)


def _told(usage: Usage | None) -> JSON:
    """Return what a runtime tells beside the metrics: of containers."""
    if usage is None:
        return {}
    told: JSON = {}
    if usage.received_bytes is not None and usage.sent_bytes is not None:
        told["network"] = {"unit": "bytes", "received": usage.received_bytes, "sent": usage.sent_bytes}
    if usage.throttled_seconds is not None:
        told["cpuThrottled"] = {"unit": "seconds", "total": round(usage.throttled_seconds, 3)}
    if usage.memory_limit is not None:
        told["memoryLimit"] = {"unit": "bytes", "latest": usage.memory_limit}
    if usage.restarts is not None:
        told["restarts"] = usage.restarts
    if usage.oom_kills is not None:
        told["oomKills"] = usage.oom_kills
    if usage.denied is not None:
        told["deniedEgress"] = [asdict(one) for one in usage.denied]
    return told


def _gauge(gauge: Gauge, unit: str) -> JSON:
    return {"unit": unit, "latest": gauge.latest, "mean": gauge.mean, "max": gauge.max}


def _response_time(compared: Comparison) -> JSON:
    return {"unit": "ms", **{name: _quantiles(leg) for name, leg in _legs(compared).items()}}


def _error_rate(compared: Comparison) -> JSON:
    return {name: leg.errors / leg.count if leg.count else None for name, leg in _legs(compared).items()}


def _difference_rate(compared: Comparison) -> JSON:
    return {"pairs": compared.pairs, "rate": compared.discrepancies / compared.pairs}


_COMPARED: dict[str, Callable[[Comparison], JSON]] = {
    "response_time": _response_time,
    "error_rate": _error_rate,
    "difference_rate": _difference_rate,
}


def _legs(compared: Comparison) -> dict[str, LegTally]:
    original, shadow = LegTally(), LegTally()
    for endpoint in compared.endpoints:
        original.merge(endpoint.tally.original)
        shadow.merge(endpoint.tally.shadow)
    return {"original": original, "shadow": shadow}


def _quantiles(leg: LegTally) -> JSON:
    found = zip(QUANTILES, leg.response.quantiles(QUANTILES), strict=True)
    return {f"p{round(q * 100)}": None if value is None else round(value * 1000, 3) for q, value in found}
