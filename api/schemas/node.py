"""The document of the question which node a shadow would get."""

from api.schemas.base import Document
from api.schemas.values import Reference


class SelectNodeBody(Document):
    """The body of `POST /networks/{network_id}/nodes:select`."""

    component_name: Reference
    """Component that the shadow would be a version of."""
