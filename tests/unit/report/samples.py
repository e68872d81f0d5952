"""Documents as REST answers them, of a version that fails, one that passes, and of two together."""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xds_server.analysis.query.distribution import histograms_of
from xds_server.analysis.windows.tally import EndpointTally, Tally
from xds_server.report.subject import Subject

NOW = datetime(2026, 5, 4, 9, 35, tzinfo=UTC)
HERE = Path(__file__).parent
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'`|@everyone [a](http://evil) \x1b[31m\x00\ud800"
)
"""What a name or a value may be, if somebody wants it to be."""
Json = dict[str, Any]


def verdict(name: str) -> Json:
    """The verdict `fail` or `pass`."""
    found: Json = json.loads((HERE / f"{name}.json").read_text())
    return found


def instance(variant: str = "v2", status: str = "Running", *, control: bool = False) -> Json:
    return {
        "instanceID": f"{variant}-1",
        "variant": variant,
        "control": control,
        "status": status,
        "reason": "" if status == "Running" else "its time to live is over",
        "performanceData": {
            "cpu": {"unit": "cores", "latest": 0.11, "mean": 0.12, "max": 0.31},
            "memory": {"unit": "bytes", "latest": 9.1e7, "mean": 9.0e7, "max": 9.3e7},
        },
    }


def profile(verdict: Json | None, **more: Any) -> Json:
    """A profile with a verdict."""
    legs = {
        "GET /items/{id}": (12.1, 20.0, 80.0, 17.9, 31.0, 120.0),
        "GET /cart": (8.0, 12.0, 41.0, 8.2, 12.3, 42.0),
        "POST /orders": (22.0, 40.0, 95.0, 22.6, 41.0, 99.0),
        "GET /health": (0.4, 0.6, 1.1, 0.4, 0.6, 1.2),
    }
    names = ("p50", "p90", "p99")
    return {
        "profileID": "5b9b5f0e-5b43-4f6e-9a27-6b2f0e6b8a11",
        "name": "catalog-v2",
        "componentName": "catalog",
        "variants": [{"name": "v2"}],
        "summary": "mirrors 50 % of GET and POST requests to catalog v2 for 10 minutes",
        "createdAt": "2026-05-04T09:25:00Z",
        "ended": False,
        "warnings": [],
        "instances": [instance(), instance("control", control=True)],
        "comparison": {
            "pairs": 4810,
            "identical": 4209,
            "noise": 388,
            "undecided": 25,
            "discrepancies": 188,
            "noiseMeasured": {"byControl": True, "summary": "noise was measured by a control, in 4790 requests"},
            "notJudged": {"conditional": 14},
            "lost": {"overflow": 9, "unpaired_original": 3, "late": 0},
            "hint": "",
            "endpoints": [
                {
                    "endpoint": name,
                    "pairs": 1000,
                    "discrepancies": 10,
                    "original": dict(zip(names, values[:3], strict=True)),
                    "shadow": dict(zip(names, values[3:], strict=True)),
                }
                for name, values in legs.items()
            ],
        },
        "verdict": verdict,
    } | more


def difference(field: str, kind: str, *values: tuple[Any, Any], **more: Any) -> Json:
    shown = [
        {
            "pairID": f"{index}a4a5f4e~v2-1",
            "method": "GET",
            "path": f"/items/{index + 17}",
            "at": field,
            "original": original,
            "shadow": shadow,
        }
        for index, (original, shadow) in enumerate(values)
    ]
    return {
        "endpoint": "GET /items/{id}",
        "field": field,
        "class": kind,
        "what": "",
        "count": 177,
        "countIs": "exact",
        "pairs": 2604,
        "rate": 0.068,
        "nature": "difference",
        "noise": {"controlRate": 0.0},
        "firstSeen": "2026-05-04T09:26:11.000Z",
        "lastSeen": "2026-05-04T09:34:58.000Z",
        "variant": "v2",
        "values": shown,
        "example": shown[0] if shown else None,
    } | more


def differences() -> list[Json]:
    body = '{\n  "name": "Espresso cup",\n  "price": 12.5,\n  "stock": {"warehouse": "north", "left": 41}\n}'
    return [
        difference("/price", "type", ("12.5", '"12.50"'), ("8", '"8.00"'), ("103.99", '"103.99"')),
        difference("x-cache", "header", ("HIT", "MISS"), count=81, rate=0.031),
        difference("body", "missing", (body, None), count=2, rate=0.0007, nature="undecided"),
        difference("status", "status", ("200", "500"), endpoint="POST /orders", pairs=612, count=2, rate=0.0033),
        difference("$.servedAt", "same_kind", nature="noise", what="timestamp", rate=1.0, noise={"controlRate": 1.0}),
        difference("$.requestId", "same_kind", nature="recognised", what="uuid", rate=1.0, noise={}),
    ]


def histograms(factors: Mapping[str, float] | None = None) -> Json:
    """Response times; those of a version are `factor` times the original's."""
    chance = random.Random(5)
    tallies = []
    versions = dict(factors or {"v2": 1.42})
    for version, factor in {**versions, "control": 1.0}.items():
        tally = Tally("p", version, control=version == "control")
        for name, median in (("GET /items/{id}", 12.0), ("GET /cart", 8.0), ("POST /orders", 22.0)):
            endpoint = tally.endpoints.setdefault(name, EndpointTally())
            for _ in range(1500):
                endpoint.pairs += 1
                slow = 6 if chance.random() < 0.03 else 1
                endpoint.original.response.add(chance.lognormvariate(0, 0.35) * slow * median / 1000)
                endpoint.shadow.response.add(chance.lognormvariate(0, 0.35) * slow * factor * median / 1000)
        tallies.append(tally)
    return histograms_of(tallies, {name: name for name in versions})


def subject(name: str = "fail", **more: Any) -> Subject:
    """The whole of it, by the name of the verdict."""
    found = differences() if name == "fail" else differences()[-2:]
    given = {"network": "shop", "profile": profile(verdict(name)), "made_at": NOW, "differences": found}
    factors = {"v2": 1.42 if name == "fail" else 1.01}
    return Subject(**{**given, "total": len(found), "histograms": histograms(factors), **more})


def two() -> Subject:
    """Two versions: v2 fails, v3 passes."""
    whole, other = verdict("fail"), verdict("pass")
    for check in other["checks"]:
        check["variant"] = "v3"
    whole["checks"] += other["checks"]
    whole |= {"decision": "PASS", "reasons": ["v3: every critical check passes"]}
    whole["variants"] = [{**other["variants"][0], "variant": "v3"}, {**whole["variants"][0], "rank": 2}]
    whole["between"] = [
        {
            "a": "v3",
            "b": "v2",
            "metric": "response_time p50",
            "endpoint": "",
            "effect": 0.71,
            "interval": [0.66, 0.77],
            "decision": "A",
        }
    ]
    document = profile(whole, variants=[{"name": "v2"}, {"name": "v3"}])
    return subject(profile=document, histograms=histograms({"v2": 1.42, "v3": 1.02}))


def hostile() -> Subject:
    """Every text is hostile."""
    return subject(
        network=HOSTILE,
        profile=poisoned(profile(verdict("fail"))),
        differences=[poisoned(each) for each in differences()],
        histograms=poisoned(histograms()),
    )


KEPT = {"decision", "nature", "unit", "metric", "class", "leg", "countIs", "status", "since"}


def poisoned(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {
            (key + HOSTILE if name in {"kinds", "lost", "notJudged", "original", "v2"} else key): poisoned(each, key)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [poisoned(each, name) for each in value]
    return value + HOSTILE if isinstance(value, str) and name not in KEPT else value
