"""Sampled pairs whose answers differ.

A page ends in a cursor that names the last example that was on it, so that examples which come and go between two
pages neither repeat nor hide others (but for the cursor's own example going away: then its position is used).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from api import openapi
from api.depends import Desk, NetworkRef
from api.schemas.base import shown
from api.schemas.views import plain
from xds_server.errors import InvalidError

router = APIRouter(tags=["status"], responses=openapi.PROBLEMS)


class DiffPage(BaseModel):
    """A page of examples."""

    model_config = ConfigDict(alias_generator=to_camel)

    items: list[dict[str, Any]]
    total: int
    next_cursor: str | None


@router.get("/networks/{network_id}/shadowing/diffs")
async def list_diffs(
    *,
    network_id: NetworkRef,
    desk: Desk,
    profile: Annotated[str | None, Query(description="Id or name of a profile; all when left out")] = None,
    endpoint: Annotated[str | None, Query(description="Only of this endpoint, like `GET /items/{}`")] = None,
    field: Annotated[str | None, Query(description="Only differences of this field, like `$.items[*].price`")] = None,
    kind: Annotated[str | None, Query(alias="class", description="Only differences of this class")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Examples on a page")] = 100,
    cursor: Annotated[str | None, Query(description="`nextCursor` of the page before")] = None,
) -> DiffPage:
    """List sampled pairs whose answers differ, by profile, endpoint, field and class of difference."""
    refs = [profile] if profile is not None else [view.profile.id for view in await desk.profiles(network_id)]
    items: list[dict[str, Any]] = []
    for one in refs:
        found = await desk.examples(network_id, one, endpoint=endpoint, field=field, kind=kind)
        items += [plain(example) for example in found]
    begin = _begin(items, cursor) if cursor else 0
    end = begin + limit
    following = _cursor(items[end - 1], end) if end < len(items) else None
    return DiffPage.model_construct(items=items[begin:end], total=len(items), next_cursor=following)


def _key(item: dict[str, Any]) -> str:
    if "id" in item:
        return str(item["id"])
    return hashlib.blake2b(orjson.dumps(item, option=orjson.OPT_SORT_KEYS), digest_size=9).hexdigest()


def _cursor(item: dict[str, Any], position: int) -> str:
    return base64.urlsafe_b64encode(f"{position}:{_key(item)}".encode()).decode()


def _begin(items: Sequence[dict[str, Any]], cursor: str) -> int:
    try:
        position, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
        fallback = int(position[:12])
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        hint = "the nextCursor of the page before, as it was"
        raise InvalidError(f"{shown(cursor)} is not a cursor", field="cursor", hint=hint) from error
    return next((index + 1 for index, item in enumerate(items) if _key(item) == key), max(fallback, 0))
