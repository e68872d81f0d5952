"""Differences, from the whole to the request: endpoints, fields, classes, pairs, and one pair in full.

What cursors guarantee is said in `xds_server.analysis.query.walk`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from api import examples_diffs, openapi
from api.depends import Desk, NetworkRef
from api.moments import stretch
from api.schemas.diffs import DiffPage, PairView
from xds_server.analysis.query.diff_query import DiffQuery, Group, Sort
from xds_server.analysis.windows.noise import Nature
from xds_server.errors import InvalidError

router = APIRouter(tags=["diffs"], responses=openapi.PROBLEMS)

_Profile = Annotated[
    str | None,
    Query(description="Id or name of a profile, also of one that was deleted within a day; all living ones without"),
]
_Moment = "a time like `2026-01-31T12:00:00Z`, or how long ago, like `10m`"


@router.get("/networks/{network_id}/shadowing/diffs", responses=examples_diffs.PAGE)
async def list_diffs(
    *,
    network_id: NetworkRef,
    desk: Desk,
    group: Annotated[Group, Query(description="How far down: `endpoint`, `field`, `class` or `pair`")] = Group.PAIR,
    sort: Annotated[
        Sort | None, Query(description="What comes first; groups: `surprise` when left out, pairs: `newest`")
    ] = None,
    profile: _Profile = None,
    variant: Annotated[str | None, Query(description="Only of this variant")] = None,
    instance: Annotated[str | None, Query(description="Only of the instance with this id")] = None,
    endpoint: Annotated[str | None, Query(description="Only of this endpoint, like `GET /items/{id}`")] = None,
    field: Annotated[str | None, Query(description="Only differences of this field, like `$.items[*].price`")] = None,
    kind: Annotated[str | None, Query(alias="class", description="Only differences of this class")] = None,
    nature: Annotated[
        Nature | None,
        Query(description="Only differences that are taken for this: `difference`, `undecided`, `noise`, `recognised`"),
    ] = None,
    since: Annotated[str | None, Query(description=f"Only from this moment on: {_Moment}")] = None,
    until: Annotated[str | None, Query(description=f"Only up to this moment: {_Moment}")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Items on a page")] = 100,
    cursor: Annotated[
        str | None, Query(description="`nextCursor` of the page before; same parameters otherwise")
    ] = None,
) -> DiffPage:
    """List differences, grouped by endpoint, field or class, or the sampled pairs themselves."""
    if variant is not None and instance is not None:
        raise InvalidError("given together with variant", field="instance", hint="one of the two")
    begin, end = stretch(since, until)
    query = DiffQuery(
        group=group,
        sort=sort,
        version=instance if instance is not None else variant,
        endpoint=endpoint,
        field=field,
        kind=kind,
        nature=nature,
        since=begin,
        until=end,
        limit=limit,
        cursor=cursor,
    )
    return DiffPage.of(await desk.diffs(network_id, query, profile=profile))


@router.get("/networks/{network_id}/shadowing/diffs/{pair_id:path}", responses=examples_diffs.PAIR)
async def read_diff(
    network_id: NetworkRef,
    pair_id: Annotated[str, Path(description="`pairID` of an item", max_length=255)],
    desk: Desk,
    profile: _Profile = None,
) -> PairView:
    """Read one differing pair in full: both answers, and every difference with what it is taken for."""
    found: Mapping[str, Any] = await desk.diff(network_id, pair_id, profile=profile)
    return PairView.model_validate(found)
