"""The document of the question which node a shadow would get."""

from typing import Annotated, Literal

from api.schemas.base import OMITTED, Document
from api.schemas.placement import PlacementBody
from api.schemas.values import Memory, Number, Reference
from xds_server.lifecycle.places import Asked
from xds_server.model.nodes import ANY_NODE


class SelectNodeBody(Document):
    """The body of `POST /networks/{network_id}/nodes:select`."""

    component_name: Reference
    """Component that the shadow would be a version of."""
    runtime: Literal["process", "docker", "endpoint"] | None = OMITTED
    """What would run it; `process` where nodes can run processes when left out, else `docker`."""
    cpus: Annotated[float, Number(0.0, 10_000.0, "processors")] | None = OMITTED
    """Processors that it would ask for; as a variant that says nothing of it when left out."""
    memory: Annotated[int, Memory(0, 2**50)] | None = OMITTED
    """Memory that it would ask for, like `512Mi`; as a variant that says nothing of it when left out."""
    placement: PlacementBody | None = OMITTED
    """What its profile would ask of nodes."""

    def to_model(self) -> Asked:
        """Return what it is like."""
        placement = self.placement.to_model() if self.placement else ANY_NODE
        return Asked(self.runtime, None if self.cpus is None else float(self.cpus), self.memory, placement)
