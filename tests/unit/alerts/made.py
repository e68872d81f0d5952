"""Profiles to look at, made to measure. Times are seconds since the epoch."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from xds_server.alerts.alert import Alert, labels_of
from xds_server.alerts.watched import Watched
from xds_server.analysis.examples.example import Example
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally
from xds_server.config import AlertSettings
from xds_server.model.analysis import Alerting
from xds_server.model.ids import InstanceID, NetworkID, ProfileID
from xds_server.model.shadow import InstanceStatus, ShadowInstance

START = 1_800_000_000.0
SETTINGS = AlertSettings(window=300, quiet=300, min_pairs=100, max_alerts=3)
ITEMS = "GET /items/{id}"
PRICE = ("$.price", "type")


def instance(
    name: str = "i1", variant: str = "v2", status: str = "Running", *, created: float = START, reason: str = ""
) -> ShadowInstance:
    moment = datetime.fromtimestamp(created, UTC)
    ended = status in {"Stopped", "Failed"}
    return ShadowInstance(
        id=InstanceID(name),
        network_id=NetworkID("n"),
        profile_id=ProfileID("p"),
        component_name="catalog",
        variant=variant,
        node="local",
        status=InstanceStatus(status),
        created_at=moment,
        expires_at=moment,
        reason=reason,
        stopped_at=moment if ended else None,
    )


def seen(
    tally: Tally,
    moment: float,
    *,
    pairs: int = 1,
    differ: int = 0,
    field: tuple[str, str] = PRICE,
    endpoint: str = ITEMS,
    both: int = 0,
) -> Tally:
    """Add judged pairs, so many of which differ in one field (in `both` of them the control did too)."""
    tally.seen(moment)
    counted = tally.endpoints.setdefault(endpoint, EndpointTally())
    counted.pairs += pairs
    counted.timeline.add(moment, pairs)
    for leg in (counted.original, counted.shadow):
        leg.count += pairs
        for _ in range(pairs):
            leg.response.add(0.02)
    if differ:
        counted.differing += differ
        counted.trios += both
        counted.sign((field,), differ)
        found = counted.fields.setdefault(field, FieldTally(first=moment, last=moment))
        found.count += differ
        found.both += both
        found.last = moment
        found.timeline.add(moment, differ)
        shown = {"field": field[0], "class": field[1], "at": field[0], "original": "1", "shadow": '"1"'}
        found.examples = [Example(moment, "e1", {"path": "/items/7", "differences": [shown]})]
        tally.classes[field[1]] += differ
    return tally


def watched(tallies: Mapping[str, Tally] | None = None, **changes: Any) -> Watched:
    fields: dict[str, Any] = {
        "network": "shop",
        "component": "catalog",
        "profile": "catalog-v2",
        "profile_id": "p",
        "variants": ("v2",),
        "alerting": Alerting(),
        "share": 0.5,
        "controlled": False,
        "instances": (instance(),),
        "tallies": tuple((tallies or {}).values()),
    }
    return Watched(**{**fields, **changes})


def verdict(decision: str = "FAIL", *, harm: str = "NONE", **variants: str) -> dict[str, Any]:
    """A verdict in its JSON form; on `v2` alone unless variants are given."""
    return {
        "decision": decision,
        "since": "2027-01-15T08:00:00.000Z",
        "pairs": 900,
        "reasons": ["it fails more often", "it takes longer", "it differs", "and more"],
        "checks": [{"variant": v, "pairs": 900 + i} for i, v in enumerate(variants or {"v2": ""})],
        "harm": {"decision": harm, "reason": "mirrored requests take longer"},
        "variants": [
            {"variant": v, "decision": d, "reasons": [f"{v} fails more often"]}
            for v, d in (variants or {"v2": decision}).items()
        ],
    }


def alert(name: str = "ShadowmeshNewDifference", *, ended: float | None = None, **labels: str) -> Alert:
    given = {"network": "shop", "component": "catalog", "profile": "p", "variant": "v2", **labels}
    return Alert(
        labels_of(name, **given),
        {"summary": "it differs", "description": "3 of 4 pairs"},
        datetime.fromtimestamp(START, UTC),
        None if ended is None else datetime.fromtimestamp(ended, UTC),
    )


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so; give up (and fail) after a while."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event for what tests wait for
            await asyncio.sleep(0.002)
