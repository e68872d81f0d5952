"""The state of a network: its status, and the nodes that its shadows may run on."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from api import examples, openapi
from api.body import document
from api.depends import Desk, NetworkRef
from api.schemas.node import SelectNodeBody
from api.schemas.views import StatusView, plain

router = APIRouter(tags=["status"], responses=openapi.PROBLEMS)
_Select = Annotated[SelectNodeBody, Depends(document(SelectNodeBody))]


class NodeList(BaseModel):
    """Candidate nodes."""

    items: list[dict[str, Any]]


@router.get("/networks/{network_id}/shadowing/status")
async def status(network_id: NetworkRef, desk: Desk) -> StatusView:
    """Instances with their performance, the comparison so far, Envoys with what they accepted."""
    return StatusView.of(await desk.status(network_id))


@router.get("/networks/{network_id}/nodes")
async def list_nodes(network_id: NetworkRef, desk: Desk) -> NodeList:
    """List the nodes that shadows may run on: load, what shadows ask for, health, what is left alone for a while."""
    return NodeList(items=[plain(node) for node in await desk.nodes(network_id)])


@router.post("/networks/{network_id}/nodes:select", openapi_extra=openapi.body(SelectNodeBody, catalog=examples.SELECT))
async def select_node(network_id: NetworkRef, body: _Select, desk: Desk) -> dict[str, Any]:
    """Tell which node a shadow of a component would get now, each node's score, and why. Nothing is reserved."""
    chosen: dict[str, Any] = plain(await desk.select_node(network_id, body.component_name, body.to_model()))
    return chosen
