"""Comparisons of profiles that were deleted within a day."""

from fastapi import APIRouter

from api import examples_diffs, openapi
from api.depends import Desk, NetworkRef, ProfileRef
from api.schemas.diffs import ArchiveList, ArchiveView

router = APIRouter(tags=["diffs"], responses=openapi.PROBLEMS)


@router.get("/networks/{network_id}/shadowing/archive", responses=examples_diffs.ARCHIVE)
async def list_archive(network_id: NetworkRef, desk: Desk) -> ArchiveList:
    """List the comparisons of deleted profiles, newest first; `.../diffs?profile=` looks into one."""
    items, dropped = await desk.archive(network_id)
    return ArchiveList(items=[ArchiveView.of(item) for item in items], dropped=dropped)


@router.get("/networks/{network_id}/shadowing/archive/{profile_id}")
async def read_archive(network_id: NetworkRef, profile_id: ProfileRef, desk: Desk) -> ArchiveView:
    """Read the comparison of a deleted profile as it was in the end."""
    return ArchiveView.of(await desk.archived(network_id, profile_id))
