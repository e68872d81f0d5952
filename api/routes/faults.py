"""Faults on shadow instances."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from api import examples, openapi
from api.body import document
from api.depends import Desk, NetworkRef
from api.schemas.fault import InjectFaultBody
from api.schemas.views import FaultView
from xds_server.errors import NotFoundError
from xds_server.model.ids import FaultID, InstanceID

router = APIRouter(tags=["shadowing"], responses=openapi.PROBLEMS)
_Body = Annotated[InjectFaultBody, Depends(document(InjectFaultBody))]
_FaultRef = Annotated[str, Path(description="Id of the fault", max_length=255)]


class FaultList(BaseModel):
    """Faults in force, oldest first."""

    items: list[FaultView]


@router.post(
    "/networks/{network_id}/shadowing/inject_fault",
    status_code=201,
    openapi_extra=openapi.body(InjectFaultBody, abort=examples.FAULT),
)
async def inject_fault(network_id: NetworkRef, body: _Body, desk: Desk, response: Response) -> FaultView:
    """Inject a fault into a shadow instance, for a duration or until it is lifted."""
    network = await desk.network(network_id)
    fault = await desk.inject_fault(
        network.id,
        InstanceID(body.instance_id),
        body.fault_injection_parameters.to_model(),
        duration=body.duration,
    )
    response.headers["Location"] = f"/networks/{network.id}/shadowing/faults/{fault.id}"
    return FaultView.of(fault)


@router.get("/networks/{network_id}/shadowing/faults")
async def list_faults(network_id: NetworkRef, desk: Desk) -> FaultList:
    """List the faults in force."""
    return FaultList(items=[FaultView.of(fault) for fault in await desk.faults(network_id)])


@router.get("/networks/{network_id}/shadowing/faults/{fault_id}")
async def read_fault(network_id: NetworkRef, fault_id: _FaultRef, desk: Desk) -> FaultView:
    """Read a fault in force."""
    for fault in await desk.faults(network_id):
        if fault.id == fault_id:
            return FaultView.of(fault)
    raise NotFoundError(f"there is no fault {fault_id:.80} in force", field="fault_id")


@router.delete("/networks/{network_id}/shadowing/faults/{fault_id}", status_code=204)
async def lift_fault(network_id: NetworkRef, fault_id: _FaultRef, desk: Desk) -> None:
    """Lift a fault early."""
    await desk.lift_fault(network_id, FaultID(fault_id))
