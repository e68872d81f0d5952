"""What the API answers about differences and about comparisons in the archive."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from api.schemas.views import View, as_json
from xds_server.lifecycle.views import ArchivedComparison


class WindowView(View):
    """The stretch of time that was asked about."""

    since: datetime | None
    """Its beginning."""
    until: datetime | None
    """Its end."""
    resolution_seconds: int
    """Width of the widest bucket that counts come from: one partly within counts whole. 0: times are exact."""


class DiffPage(View):
    """A page of differences."""

    group: str
    """How they are grouped."""
    sort: str
    """What comes first."""
    items: list[dict[str, Any]]
    """Differences (`group` endpoint, field, class) or pairs (`group` pair)."""
    total: int
    """How many there are now, on all pages."""
    next_cursor: str | None
    """For the next page; null on the last."""
    natures: dict[str, int]
    """How many differences (or pairs) of the filters are taken for what, whatever `nature` was asked for."""
    window: WindowView | None
    """Null without since and until."""

    @classmethod
    def of(cls, page: Mapping[str, Any]) -> "DiffPage":
        """Return the view of a page."""
        window = page["window"]
        return cls.model_construct(
            group=page["group"],
            sort=page["sort"],
            items=page["items"],
            total=page["total"],
            next_cursor=page["nextCursor"],
            natures=dict(page["natures"]),
            window=WindowView.model_validate(window) if window else None,
        )


class PairView(View):
    """One differing pair in full."""

    model_config = ConfigDict(extra="allow")

    pair_id: str = Field(alias="pairID")
    """Its id."""
    time: datetime
    """When the request came."""
    endpoint: str
    """Endpoint of the request."""
    method: str
    """Method of the request."""
    path: str
    """Path of the request."""
    profile_id: str = Field(alias="profileID")
    """Profile that it was mirrored for."""
    variant: str
    """Version that gave the other answer."""
    nature: str
    """What the pair is taken for: `difference` when any of its differences is."""
    surprise: float
    """Bits of its most surprising difference."""
    original: dict[str, Any]
    """The original's answer."""
    shadow: dict[str, Any]
    """The shadow's answer."""
    differences: list[dict[str, Any]]
    """Each difference, with both values and what it is taken for."""
    archived: bool
    """Whether the profile has been deleted."""


class ArchiveView(View):
    """The comparison of a profile that was deleted."""

    profile_id: str = Field(alias="profileID")
    """Id of the profile."""
    name: str
    """Its name."""
    component_name: str
    """Component that it was on."""
    variants: list[str]
    """Versions that were compared."""
    created_at: datetime | None
    """When the profile was created."""
    ended_at: datetime
    """When it was deleted."""
    expires_at: datetime
    """Until when this is kept."""
    pairs: int
    """Judged pairs."""
    discrepancies: int
    """Pairs that differ in more than noise."""
    bytes: int
    """What it takes on disk."""
    comparison: dict[str, Any] | None = Field(exclude_if=lambda value: value is None)
    """What was compared; left out in a list."""

    @classmethod
    def of(cls, archived: ArchivedComparison) -> "ArchiveView":
        """Return the view of an archived comparison."""
        record = archived.record
        return cls.model_construct(
            profile_id=record.profile_id,
            name=record.name,
            component_name=record.component_name,
            variants=sorted(set(record.variants.values())),
            created_at=record.created_at,
            ended_at=record.ended_at,
            expires_at=record.expires_at,
            pairs=record.pairs,
            discrepancies=record.discrepancies,
            bytes=record.size,
            comparison=as_json(archived.comparison),
        )


class ArchiveList(View):
    """Comparisons of deleted profiles, newest first."""

    items: list[ArchiveView]
    dropped: int
    """Comparisons of any network that were dropped before their day was over since the manager started: too many."""
