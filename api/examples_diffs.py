"""The answers about differences that the OpenAPI document shows."""

from typing import Any

_NETWORK = "0b7e3f52-6e0a-4a63-9f0e-2f0f6a1f5c11"
_CLASS: dict[str, Any] = {
    "endpoint": "GET /items/{id}",
    "field": "$.price",
    "class": "type",
    "what": "",
    "count": 412,
    "countIs": "exact",
    "pairs": 5120,
    "rate": 0.0805,
    "nature": "difference",
    "noise": {"shadowRate": 0.08, "controlRate": 0.0, "evidence": 1.2e9},
    "surprise": 8.95,
    "firstSeen": "2026-01-31T12:00:03.120Z",
    "lastSeen": "2026-01-31T12:14:55.004Z",
    "profileID": "5f0c7a52-0e0c-4a38-b7b7-1b1de3a1f001",
    "profile": "catalog-v2",
    "componentName": "catalog",
    "variant": "v2",
    "instanceIDs": [_NETWORK],
    "archived": False,
    "timeline": {"from": "2026-01-31T12:00:00.000Z", "bucketSeconds": 60, "counts": [20, 31, 27]},
    "example": {
        "pairID": f"0a4a5f4e-2d2f-4d6e-9f64-0d6f2f3a7b01~{_NETWORK}",
        "time": "2026-01-31T12:14:55.004Z",
        "method": "GET",
        "path": "/items/7",
        "at": "$.price",
        "original": "9.5",
        "shadow": '"9.5"',
    },
}
_PAIR: dict[str, Any] = {
    "id": f"0a4a5f4e-2d2f-4d6e-9f64-0d6f2f3a7b01/{_NETWORK}",
    "pairID": _CLASS["example"]["pairID"],
    "time": "2026-01-31T12:14:55.004Z",
    "endpoint": "GET /items/{id}",
    "method": "GET",
    "path": "/items/7",
    "instanceID": _NETWORK,
    "profileID": _CLASS["profileID"],
    "profile": "catalog-v2",
    "componentName": "catalog",
    "variant": "v2",
    "archived": False,
    "nature": "difference",
    "surprise": 8.95,
    "original": {"status": 200, "responseTimeMs": 3.1, "bytes": 32, "body": '{"id":7,"price":9.5}'},
    "shadow": {"status": 200, "responseTimeMs": 3.4, "bytes": 34, "body": '{"id":7,"price":"9.5"}'},
    "differences": [
        {
            "field": "$.price",
            "class": "type",
            "at": "$.price",
            "original": "9.5",
            "shadow": '"9.5"',
            "nature": "difference",
            "surprise": 8.95,
            "count": 412,
        }
    ],
}


def _answers(**examples: Any) -> dict[int | str, dict[str, Any]]:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {200: {"content": {"application/json": {"examples": shown}}}}


def _page(group: str, sort: str, item: dict[str, Any]) -> dict[str, Any]:
    natures = {"difference": 1, "noise": 4, "recognised": 2}
    page = {"group": group, "sort": sort, "items": [item], "total": 7, "nextCursor": "AAAA", "natures": natures}
    return {**page, "window": None}


PAGE = _answers(classes=_page("class", "surprise", _CLASS), pairs=_page("pair", "newest", _PAIR))
PAIR = _answers(pair=_PAIR)
ARCHIVE = _answers(
    archive={
        "items": [
            {
                "profileID": _CLASS["profileID"],
                "name": "catalog-v2",
                "componentName": "catalog",
                "variants": ["v2"],
                "createdAt": "2026-01-31T12:00:00Z",
                "endedAt": "2026-01-31T12:15:00Z",
                "expiresAt": "2026-02-01T12:15:00Z",
                "pairs": 5120,
                "discrepancies": 412,
                "bytes": 18211,
            }
        ],
        "dropped": 0,
    }
)
