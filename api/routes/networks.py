"""Virtual networks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from api import examples, openapi
from api.body import document
from api.conditions import etag, required_revision
from api.depends import Desk, IfMatch, NetworkRef, Reach
from api.guard import refuse_program, runs_programs
from api.schemas.network import NetworkBody
from api.schemas.views import NetworkView
from xds_server.config import HttpSettings

router = APIRouter(tags=["networks"], responses=openapi.PROBLEMS)
_Body = Annotated[NetworkBody, Depends(document(NetworkBody))]
_DOCUMENTED = openapi.body(NetworkBody, shop=examples.NETWORK)


class NetworkList(BaseModel):
    """All networks, oldest first."""

    items: list[NetworkView]


@router.post("/networks", status_code=201, openapi_extra=_DOCUMENTED)
async def create_network(body: _Body, desk: Desk, reach: Reach, response: Response) -> NetworkView:
    """Create a virtual network."""
    _check_reach(body, reach)
    network = await desk.create_network(body.to_model(body.name))
    response.headers["Location"] = f"/networks/{network.id}"
    response.headers["ETag"] = etag(network)
    return NetworkView.of(network)


@router.get("/networks")
async def list_networks(desk: Desk) -> NetworkList:
    """List the virtual networks."""
    return NetworkList(items=[NetworkView.of(network) for network in await desk.networks()])


@router.get("/networks/{network_id}")
async def read_network(network_id: NetworkRef, desk: Desk, response: Response) -> NetworkView:
    """Read a virtual network."""
    network = await desk.network(network_id)
    response.headers["ETag"] = etag(network)
    return NetworkView.of(network)


@router.put("/networks/{network_id}", openapi_extra=_DOCUMENTED)
async def replace_network(
    *, network_id: NetworkRef, body: _Body, desk: Desk, reach: Reach, response: Response, if_match: IfMatch = None
) -> NetworkView:
    """Replace a network's components and labels. The same definition again keeps its revision."""
    _check_reach(body, reach)
    network = await desk.network(network_id)
    revision = required_revision(if_match, network)
    network = await desk.replace_network(network.id, body.to_model(body.name), if_match=revision)
    response.headers["ETag"] = etag(network)
    return NetworkView.of(network)


@router.delete("/networks/{network_id}", status_code=204)
async def delete_network(network_id: NetworkRef, desk: Desk, if_match: IfMatch = None) -> None:
    """End a network's shadows and take it from its Envoys; answers when that is done."""
    await desk.settle_deletion(network_id)
    network = await desk.network(network_id)
    await desk.delete_network(network.id, if_match=required_revision(if_match, network))


def _check_reach(body: NetworkBody, settings: HttpSettings) -> None:
    for index, component in enumerate(body.components):
        program = component.version.program if component.version is not None else None
        if program is not None and not runs_programs(settings):
            refuse_program(settings, f"components[{index}].version.{program}")
