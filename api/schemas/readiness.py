"""The document of when a version is taken to be up."""

from typing import Annotated

from api.schemas.base import Document
from api.schemas.values import Duration, Text
from xds_server.model.profile import Readiness

_READY_TIMEOUT = 30.0
_READY_INTERVAL = 0.1


class ReadinessBody(Document):
    """When a shadow is taken to be up."""

    path: Annotated[str, Text("(/\\S*)?", 'a path that begins with "/"', most=2048)] = ""
    """HTTP GET of this path answers 200-399; a TCP connect is enough when left out."""
    timeout: Annotated[float, Duration(0.1, 600.0)] = _READY_TIMEOUT
    """When it counts as failed."""
    interval: Annotated[float, Duration(0.01, 60.0)] = _READY_INTERVAL
    """Time between two tries."""

    def to_model(self) -> Readiness:
        """Return the condition."""
        return Readiness(path=self.path, timeout=self.timeout, interval=self.interval)

    @classmethod
    def of(cls, readiness: Readiness) -> "ReadinessBody":
        """Return the document of a condition."""
        return cls.model_construct(path=readiness.path, timeout=readiness.timeout, interval=readiness.interval)
