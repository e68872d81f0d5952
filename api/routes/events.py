"""The audit trail of a network."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api import examples_events, openapi
from api.depends import Desk
from api.moments import moment
from api.schemas.events import EventList, EventView
from xds_server.analysis.query.walk import number_of, numbered
from xds_server.errors import InvalidError
from xds_server.model.audit import AuditKind, EventQuery
from xds_server.model.ids import NetworkID

router = APIRouter(tags=["events"], responses=openapi.PROBLEMS)

_Network = Annotated[str, Path(description="Id or name of the network, also of one that was deleted", max_length=255)]
_Moment = "a time like `2026-01-31T12:00:00Z`, or how long ago, like `10m`"


@router.get("/networks/{network_id}/events", responses=examples_events.EVENTS)
async def list_events(
    *,
    network_id: _Network,
    desk: Desk,
    after: Annotated[
        str | None,
        Query(description="`nextCursor` of the page before, to go on behind it; same filters. Not with `tail`"),
    ] = None,
    tail: Annotated[
        int | None, Query(ge=1, le=1000, description="Begin with the newest so many; with the oldest when left out")
    ] = None,
    since: Annotated[str | None, Query(description=f"Only what happened from this moment on: {_Moment}")] = None,
    profile: Annotated[
        str | None, Query(description="Only of this profile, by id or by the name that it had", max_length=255)
    ] = None,
    instance: Annotated[str | None, Query(description="Only of the instance with this id", max_length=255)] = None,
    kind: Annotated[AuditKind | None, Query(description="Only what is about this")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events on a page")] = 100,
) -> EventList:
    """List who did what, when and why: every change, every transition of an instance; oldest first, newest 10,000 kept.

    The trail outlives its network: it is found under the id, and under the name as long as no other network has it.
    """
    if after is not None and tail is not None:
        raise InvalidError("given together with after", field="tail", hint="one of the two")
    scope = "\0".join(map(str, ("events", network_id, profile, instance, kind)))
    begin = moment(since, "since", now=desk.now())  # by the clock that events are dated by
    query = EventQuery(
        network_id=NetworkID(""),  # whose name or id it is, the desk knows
        after=None if after is None else number_of(after, scope, field="after"),
        tail=tail,
        since=None if begin is None else datetime.fromtimestamp(begin, UTC),
        profile=profile,
        instance=instance,
        kind=kind,
        limit=limit,
    )
    network, page = await desk.events(network_id, query)
    return EventList(
        virtualNetworkID=network,
        items=[EventView.of(number, event) for number, event in page.events],
        nextCursor=numbered(page.last, scope),
        more=page.more,
        dropped=page.dropped,
    )
