"""Shadowing profiles."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel

from api import examples, openapi
from api.body import document
from api.conditions import etag, required_revision
from api.depends import Desk, IfMatch, NetworkRef, ProfileRef, Reach
from api.guard import refuse_program, runs_programs
from api.schemas.profile import ProfileBody, ProfileChangeBody
from api.schemas.rollout import RolloutBody
from api.schemas.views import ProfileView
from xds_server.config import HttpSettings
from xds_server.model.profile import Control, DockerSpec, ProcessSpec

router = APIRouter(tags=["shadowing"], responses=openapi.PROBLEMS)
_Body = Annotated[ProfileBody, Depends(document(ProfileBody))]
_Change = Annotated[ProfileChangeBody, Depends(document(ProfileChangeBody))]
_Rollout = Annotated[RolloutBody, Depends(document(RolloutBody))]
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
    openapi_extra=openapi.body(
        ProfileBody,
        process=examples.PROFILE,
        endpoint=examples.PROFILE_OF_WHAT_RUNS,
        control=examples.PROFILE_WITH_CONTROL,
        checks=examples.PROFILE_WITH_CHECKS,
        split=examples.PROFILE_OF_A_SPLIT,
        steps=examples.PROFILE_WITH_STEPS,
    ),
)
async def create_profile(
    *, network_id: NetworkRef, body: _Body, desk: Desk, reach: Reach, response: Response, idempotency_key: _Key = None
) -> ProfileView:
    """Create a shadowing profile; its instances are Pending until they have answered their health check."""
    await _check_reach(body, network_id, desk, reach)
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
    """Change percentage, time to live, faults or the weights of a split of a living profile."""
    view = await desk.profile(network_id, profile_id)
    revision = required_revision(if_match, view.profile)
    view = await desk.change_profile(network_id, view.profile.id, body.to_model(), if_match=revision)
    response.headers["ETag"] = etag(view.profile)
    return ProfileView.of(view)


@router.post(
    "/networks/{network_id}/shadowing/profiles/{profile_id}/rollout",
    openapi_extra=openapi.body(RolloutBody, promote=examples.PROMOTE),
)
async def move_rollout(
    *,
    network_id: NetworkRef,
    profile_id: ProfileRef,
    body: _Rollout,
    desk: Desk,
    response: Response,
    if_match: IfMatch = None,
) -> ProfileView:
    """Pause, resume, promote or abort the way of a profile through its steps; what makes no sense now is a conflict."""
    view = await desk.profile(network_id, profile_id)
    revision = required_revision(if_match, view.profile)
    view = await desk.rollout(network_id, view.profile.id, body.to_model(), if_match=revision)
    response.headers["ETag"] = etag(view.profile)
    return ProfileView.of(view)


@router.delete("/networks/{network_id}/shadowing/profiles/{profile_id}", status_code=204)
async def delete_profile(network_id: NetworkRef, profile_id: ProfileRef, desk: Desk, if_match: IfMatch = None) -> None:
    """End a profile: mirroring off, instances ended; answers when that is done."""
    await desk.settle_deletion(network_id, profile_id)
    view = await desk.profile(network_id, profile_id)
    revision = required_revision(if_match, view.profile)
    await desk.delete_profile(network_id, view.profile.id, if_match=revision)


async def _check_reach(body: ProfileBody, network: str, desk: Desk, settings: HttpSettings) -> None:
    if runs_programs(settings):
        return
    for index, variant in enumerate(body.variants):
        if variant.program is not None:
            refuse_program(settings, f"variants[{index}].{variant.program}")
    control = body.control.to_model() if body.control else Control()
    component = (await desk.network(network)).component(body.component_name)
    version = component.version if component else None
    if isinstance(control.resolved(version).spec, ProcessSpec | DockerSpec):
        refuse_program(settings, f"control.{body.control.program}" if control.spec and body.control else "control")


def _digest(body: ProfileBody) -> str:
    return hashlib.sha256(body.model_dump_json(by_alias=True).encode()).hexdigest()
