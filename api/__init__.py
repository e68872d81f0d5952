"""The REST API: documents, routes, problem documents, and manifests (which are the same documents as YAML)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from xds_server.config import HttpSettings
    from xds_server.lifecycle.controller import Controller


def create_app(
    controller: "Controller",
    settings: "HttpSettings",
    *,
    unready: Callable[[], str] | None = None,
    trouble: Callable[[], str] | None = None,
    fetch: Callable[[str, bytes], tuple[int, bytes]] | None = None,
) -> "FastAPI":
    """Return the REST API as an ASGI application; see `api.app.make`."""
    from api.app import make  # noqa: PLC0415 - the command line uses the documents without waiting for FastAPI

    return make(controller, settings, unready=unready, trouble=trouble, fetch=fetch)
