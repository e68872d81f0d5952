"""Shadowing profiles."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel

from api import examples, openapi
from api.body import document
from api.conditions import etag, required_revision
from api.depends import Desk, IfMatch, NetworkRef, ProfileRef, Reach
from api.guard import is_loopback
from api.schemas.profile import ProfileBody, ProfileChangeBody
from api.schemas.views import ProfileView
from xds_server.config import HttpSettings
from xds_server.errors import RefusedError

router = APIRouter(tags=["shadowing"], responses=openapi.PROBLEMS)
_Body = Annotated[ProfileBody, Depends(document(ProfileBody))]
_Change = Annotated[ProfileChangeBody, Depends(document(ProfileChangeBody))]
_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="For 24 hours, the same key with the same body answers with what was created the first time (200); "
        "with another body, or once that was deleted, it is a conflict (409)",
        min_length=1,
        max_length=255,
    ),
]


class ProfileList(BaseModel):
    """A network's profiles, oldest first."""

    items: list[ProfileView]


@router.post(
    "/networks/{network_id}/shadowing/create",
    status_code=201,
    responses={200: {"model": ProfileView, "description": "Created before, under the same Idempotency-Key"}},
    openapi_extra=openapi.body(ProfileBody, process=examples.PROFILE, endpoint=examples.PROFILE_OF_WHAT_RUNS),
)
async def create_profile(
    *, network_id: NetworkRef, body: _Body, desk: Desk, reach: Reach, response: Response, idempotency_key: _Key = None
) -> ProfileView:
    """Create a shadowing profile; its instances are Pending until they have answered their health check."""
    _check_reach(body, reach)
    view, created = await desk.create_profile(
        network_id, body.to_model(body.name or ""), idempotency_key=idempotency_key, body_hash=_digest(body)
    )
    profile = view.profile
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/networks/{profile.network_id}/shadowing/profiles/{profile.id}"
    response.headers["ETag"] = etag(profile)
    return ProfileView.of(view)


@router.get("/networks/{network_id}/shadowing/profiles")
async def list_profiles(network_id: NetworkRef, desk: Desk) -> ProfileList:
    """List a network's profiles."""
    return ProfileList(items=[ProfileView.of(view) for view in await desk.profiles(network_id)])


@router.get("/networks/{network_id}/shadowing/profiles/{profile_id}")
async def read_profile(network_id: NetworkRef, profile_id: ProfileRef, desk: Desk, response: Response) -> ProfileView:
    """Read a profile with its instances."""
    view = await desk.profile(network_id, profile_id)
    response.headers["ETag"] = etag(view.profile)
    return ProfileView.of(view)


@router.patch(
    "/networks/{network_id}/shadowing/profiles/{profile_id}",
    openapi_extra=openapi.body(ProfileChangeBody, less=examples.CHANGE, noFaults=examples.NO_FAULTS),
)
async def change_profile(
    *,
    network_id: NetworkRef,
    profile_id: ProfileRef,
    body: _Change,
    desk: Desk,
    response: Response,
    if_match: IfMatch = None,
) -> ProfileView:
    """Change percentage, time to live or faults of a living profile."""
    view = await desk.profile(network_id, profile_id)
    revision = required_revision(if_match, view.profile)
    view = await desk.change_profile(network_id, view.profile.id, body.to_model(), if_match=revision)
    response.headers["ETag"] = etag(view.profile)
    return ProfileView.of(view)


@router.delete("/networks/{network_id}/shadowing/profiles/{profile_id}", status_code=204)
async def delete_profile(network_id: NetworkRef, profile_id: ProfileRef, desk: Desk, if_match: IfMatch = None) -> None:
    """End a profile: mirroring off, instances ended; answers when that is done."""
    view = await desk.profile(network_id, profile_id)
    revision = required_revision(if_match, view.profile)
    await desk.delete_profile(network_id, view.profile.id, if_match=revision)


def _check_reach(body: ProfileBody, settings: HttpSettings) -> None:
    if settings.token is not None or is_loopback(settings.address):
        return
    for index, variant in enumerate(body.variants):
        if variant.process is not None:
            hint = "start the manager with --http-token, or let it listen on 127.0.0.1; endpoint variants are allowed"
            told = f"the API listens on {settings.address} without a token, so it starts no processes"
            raise RefusedError(told, field=f"variants[{index}].process", hint=hint)


def _digest(body: ProfileBody) -> str:
    return hashlib.sha256(body.model_dump_json(by_alias=True).encode()).hexdigest()
