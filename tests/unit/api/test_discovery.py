"""Discovery over REST: handed on to whoever answers it."""

import httpx

from api import create_app
from tests.unit.api.fake import FakeController
from xds_server.config import HttpSettings


def fetch(path: str, body: bytes) -> tuple[int, bytes]:
    if path != "/v3/discovery:clusters":
        return 404, b'{"detail": "no such type"}'
    return (304, b"") if body == b"{}" else (200, b'{"resources": []}')


async def test_an_envoy_is_answered_whatever_host_it_names() -> None:
    app = create_app(FakeController(), HttpSettings(), fetch=fetch)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shadowmesh-manager") as client:
        answer = await client.post("/v3/discovery:clusters", json={"node": {"id": "e"}})
        assert (answer.status_code, answer.json()) == (200, {"resources": []})
        answer = await client.post("/v3/discovery:clusters", json={})
        assert (answer.status_code, answer.content) == (304, b"")
        answer = await client.post("/v3/discovery:nothing", json={})
        assert (answer.status_code, answer.json()["detail"]) == (404, "no such type")


async def test_it_is_a_problem_document_where_it_is_not_offered(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v3/discovery:clusters", json={})
    assert (answer.status_code, answer.json()["hint"]) == (404, "gRPC, on the xDS port")
