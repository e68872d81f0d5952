"""An application over a controller that starts nothing, and a client of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from api import create_app
from tests.unit.api.fake import FakeController
from xds_server.config import HttpSettings


@pytest.fixture
def desk() -> FakeController:
    return FakeController()


@pytest.fixture
def settings() -> HttpSettings:
    return HttpSettings()


@pytest.fixture
async def client(desk: FakeController, settings: HttpSettings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(desk, settings)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield client


@pytest.fixture
async def shop(client: httpx.AsyncClient) -> str:
    """Id of a network with a component `catalog`."""
    from api import examples

    answer = await client.post("/networks", json=examples.NETWORK)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["virtualNetworkID"])
