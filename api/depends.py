"""What handlers are given."""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from xds_server.config import HttpSettings
from xds_server.lifecycle.controller import Controller


def _controller(request: Request) -> Controller:
    controller: Controller = request.app.state.controller
    return controller


def _settings(request: Request) -> HttpSettings:
    settings: HttpSettings = request.app.state.settings
    return settings


Desk = Annotated[Controller, Depends(_controller)]
"""The controller."""
Reach = Annotated[HttpSettings, Depends(_settings)]
"""Where the API listens and whom it answers."""
NetworkRef = Annotated[str, Path(description="Id or name of the network", max_length=255)]
ProfileRef = Annotated[str, Path(description="Id or name of the profile", max_length=255)]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="Change only what still has this ETag")]
