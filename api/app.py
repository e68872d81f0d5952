"""The REST API as an ASGI application.

Guarantees: handlers only ask the controller, on its event loop, and never block; every error is a problem document.
Importing this module does nothing.
"""

from collections.abc import Callable
from importlib import metadata

from fastapi import FastAPI

from api import openapi, problems
from api.dated import Dated
from api.guard import Guard
from api.routes import archive, diffs, events, faults, health, networks, profiles, report, status
from xds_server.config import HttpSettings
from xds_server.lifecycle.controller import Controller

_DESCRIPTION = "Judges new versions of a service on live traffic, behind Envoy, before a user depends on them."


def make(
    controller: Controller,
    settings: HttpSettings,
    *,
    unready: Callable[[], str] | None = None,
    trouble: Callable[[], str] | None = None,
    fetch: Callable[[str, bytes], tuple[int, bytes]] | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        controller: answers everything; already started.
        settings: whom to answer.
        unready: says why the manager is not ready (empty: it is), for `/readyz`; always ready when left out.
        trouble: says what is wrong although the manager serves (empty: nothing), for `/readyz`.
        fetch: answers `POST /v3/discovery:<type>` from path and body with status and body (`protocol.fetch.fetch`
            with its cache and grouping); not offered when left out.
    """
    app = FastAPI(
        title="Shadowmesh",
        version=metadata.version("shadowmesh"),
        description=_DESCRIPTION,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    app.state.controller = controller
    app.state.settings = settings
    app.state.fetch = fetch
    app.state.unready = unready or (lambda: "")
    app.state.trouble = trouble or (lambda: "")
    parts = (networks, profiles, faults, status, diffs, archive, report, events, health)
    for part in parts:
        app.include_router(part.router)
    app.state.routes = [route for part in parts for route in part.router.routes]
    problems.install(app)
    openapi.install(app)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Dated, now=controller.now)
    return app
