"""An example of an audit trail, for the OpenAPI document."""

from typing import Any

_NETWORK = "b0a5c1de-3a86-4a0e-9d0e-5b8f0a6f2f11"
_PROFILE = "6f1d0c8e-6a1b-4f3c-8a53-0f6f1c2d3e4f"
_INSTANCE = "0a4a5f4e-7c2d-4b69-9a77-3a1f5e9b8c7d"
_SYSTEM = {"by": "system", "name": "", "address": "", "agent": "", "token": False}
_ANNA = {"by": "user", "name": "anna@desk", "address": "127.0.0.1", "agent": "shadowmesh/0.6.0", "token": True}


def _event(number: int, second: int, **fields: Any) -> dict[str, Any]:
    return {
        "eventID": number,
        "time": f"2026-01-31T12:00:{second:02d}Z",
        "kind": "instance",
        "event": "ready",
        "who": _SYSTEM,
        "what": "",
        "why": "",
        "profileID": _PROFILE,
        "profile": "catalog-v2",
        "instanceID": None,
        "variant": "",
        "faultID": None,
        "from": None,
        "to": None,
        "changes": {},
        **fields,
    }


_ITEMS = [
    _event(
        17,
        1,
        kind="profile",
        event="changed",
        who=_ANNA,
        what="catalog-v2 changed: trafficShadowingPercentage 0.5 -> 0.1",
        why="ticket 4711",
        changes={"trafficShadowingPercentage": {"from": 0.5, "to": 0.1}},
    ),
    _event(
        18,
        7,
        event="exited",
        what="v2 of catalog-v2: exited: Running -> Failed",
        why="exited with code 1",
        instanceID=_INSTANCE,
        variant="v2",
        **{"from": "Running", "to": "Failed"},
    ),
]
_VALUE = {"virtualNetworkID": _NETWORK, "items": _ITEMS, "nextCursor": "AAAA", "more": False, "dropped": 0}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"examples": {"events": {"value": _VALUE}}}}}
}
