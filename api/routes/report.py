"""What a report of a profile is made of beyond its status: distributions for pictures."""

from typing import Any

from fastapi import APIRouter

from api import openapi
from api.depends import Desk, NetworkRef, ProfileRef
from api.schemas.views import View

router = APIRouter(tags=["status"], responses=openapi.PROBLEMS)


class ReportView(View):
    """What a report shows beyond the status."""

    response_times: dict[str, Any]
    """Histograms: `endpoints`, the first one (`""`) all of them together, each with the `bounds` of its buckets in
    milliseconds and for each leg (original, shadow by variant, control) the `counts`."""


@router.get("/networks/{network_id}/shadowing/profiles/{profile_id}/report")
async def read_report(network_id: NetworkRef, profile_id: ProfileRef, desk: Desk) -> ReportView:
    """Read the response times of both legs as histograms; also of a profile that was deleted within a day."""
    return ReportView.model_construct(response_times=dict(await desk.response_times(network_id, profile_id)))
