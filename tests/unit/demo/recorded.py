"""A status as the manager gave it in one run of the demo, cut to what the demo reads."""

import copy
from typing import Any

PROFILE, GOOD_PROFILE = "p1", "p3"
"""Those that judge version 2 and version 3."""

_TIMES = {"original": {"p50": 1.1, "p99": 4.8}, "shadow": {"p50": 1.2, "p99": 5.1}}
_SLOW = {"original": {"p50": 1.1, "p99": 4.8}, "shadow": {"p50": 81.2, "p99": 89.4}}


def _noise(field: str, kind: str, what: str = "", *, shadow: float = 1.0, control: float = 1.0) -> dict[str, Any]:
    """Return what the control has shown to be noise."""
    return {
        "field": field,
        "class": kind,
        "what": what,
        "count": 350,
        "nature": "noise",
        "noise": {"shadowRate": shadow, "controlRate": control, "evidence": 1.0},
        "example": {"original": "3", "shadow": "5"},
    }


_ENDPOINTS = [
    {
        "endpoint": "GET /api/items/{id}",
        "pairs": 400,
        "discrepancies": 390,
        **_TIMES,
        "differences": [
            {
                "field": "$.price",
                "class": "type",
                "count": 390,
                "example": {"original": "85.13", "shadow": '"85.13"'},
            },
            {
                "field": "$.warranty",
                "class": "missing",
                "count": 62,
                "example": {"original": '{"months": 12, "kind": "maker"}', "shadow": None},
            },
            _noise("$.servedAt", "same_kind", "clock"),
            _noise("$.requestId", "same_kind", "uuid"),
            _noise("$.shard", "value", shadow=0.86, control=0.88),
        ],
    },
    {
        "endpoint": "GET /api/search",
        "pairs": 380,
        "discrepancies": 300,
        **_TIMES,
        "differences": [
            {
                "field": "$.results",
                "class": "array_order",
                "count": 300,
                "example": {"original": "[13,43,56]", "shadow": "[43,13,56]"},
            },
            _noise("$.took", "value"),
        ],
    },
    {
        "endpoint": "GET /api/stock/{id}",
        "pairs": 401,
        "discrepancies": 20,
        **_TIMES,
        "differences": [
            {"field": "status", "class": "status", "count": 20, "example": {"original": "200", "shadow": "500"}},
            _noise("header:x-cost", "header", shadow=0.95),
        ],
    },
    {
        "endpoint": "GET /api/recommendations/{id}",
        "pairs": 399,
        "discrepancies": 0,
        **_SLOW,
        "differences": [_noise("$.recommended", "array_order", shadow=0.37, control=0.39)],
    },
    {
        "endpoint": "GET /api/items",
        "pairs": 390,
        "discrepancies": 0,
        **_TIMES,
        "differences": [_noise("$.servedAt", "same_kind", "clock")],
    },
    {"endpoint": "GET /api/export", "pairs": 388, "discrepancies": 0, **_TIMES, "differences": []},
]
_COMPARISON = {
    "pairs": 2358,
    "identical": 388,
    "noise": 1260,
    "discrepancies": 710,
    "noiseMeasured": {
        "byControl": True,
        "requests": 2300,
        "summary": "noise was measured by a control, in 2300 requests that it answered too",
    },
    "notJudged": {"injected": 121, "client_gone": 0},
    "injected": {"aborted": 121, "delayed": 300},
    "lost": {"unpaired_original": 0, "late": 0},
    "until": "2999-01-01T00:00:00.000Z",
    "endpoints": _ENDPOINTS,
}
_INSTANCE = {
    "instanceID": "i1",
    "status": "Running",
    "reason": "",
    "performanceData": {"cpu": {"mean": 0.07}, "memory": {"max": 20_000_000}},
}


_VERDICT = {
    "decision": "FAIL",
    "pairs": 2100,
    "reasons": [
        (
            "GET /api/items/{id}: difference_rate is 100 percentage points above the control's [52 %, 100 %], "
            "the limit is 1 %"
        )
    ],
    "checks": [{"critical": True, "judged": True, "pairsNeeded": 120}, {"critical": False, "pairsNeeded": 900}],
    "resilience": {"score": 1.0, "summary": "under the injected faults v2 answers 100 % of the copies as well"},
}
_CONTROL = {"instanceID": "c1", "status": "Running", "reason": "", "control": True}


def status(
    *,
    without: str = "",
    instance: dict[str, Any] | None = None,
    control: dict[str, Any] | None = None,
    verdicts: tuple[str, str] = ("FAIL", "PASS"),
    **comparison: Any,
) -> dict[str, Any]:
    """Return the status; `without` leaves out differences of version 2 whose field contains it, the others override."""
    made: dict[str, Any] = copy.deepcopy({**_COMPARISON, **comparison})
    for endpoint in made["endpoints"] if without else ():
        endpoint["differences"] = [d for d in endpoint.get("differences", []) if without not in d["field"]]
    instances = [{**_INSTANCE, **(instance or {})}, {**_CONTROL, **(control or {})}]
    return {
        "virtualNetworkID": "n1",
        "profiles": [
            {
                "profileID": PROFILE,
                "instances": instances,
                "comparison": made,
                "verdict": {**_VERDICT, "decision": verdicts[0]},
            },
            {
                "profileID": GOOD_PROFILE,
                "instances": [_INSTANCE, _CONTROL],
                "comparison": {**copy.deepcopy(_COMPARISON), "endpoints": _noise_alone()},
                "verdict": {"decision": verdicts[1], "pairs": 4500, "reasons": ["every critical check passes"]},
            },
        ],
    }


def _noise_alone() -> list[dict[str, Any]]:
    endpoints: list[dict[str, Any]] = copy.deepcopy(_ENDPOINTS)
    for endpoint in endpoints:
        endpoint.update(_TIMES)
        endpoint["differences"] = [d for d in endpoint["differences"] if d.get("nature") == "noise"]
    return endpoints
