"""Row 25, and what else is on the port: fetch, client status, health, reflection."""

import grpc
import orjson
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.conformance.conftest import World
from tests.xds_resources import cluster, listener, routes, runtime
from xds_server.cache.resource import CLUSTER, ROUTES
from xds_server.protocol import fetch
from xds_server.translate.render import as_any

CSDS = "/envoy.service.status.v3.ClientStatusDiscoveryService/"
CLUSTERS = "/v3/discovery:clusters"


def post(world: World, path: str, **fields: object) -> tuple[int, bytes]:
    body = orjson.dumps({"node": {"id": "envoy-1", "cluster": "shop"}, **fields})
    return fetch(path, body, cache=world.cache, grouping=lambda node: node.cluster, printer=as_any)


async def test_a_rest_fetch_answers_with_json(world: World) -> None:
    world.serve(cluster("a"), cluster("b"), listener("l", "r"), routes("r", "a"))
    status, body = post(world, CLUSTERS)
    answer = orjson.loads(body)
    assert status == 200
    assert answer["typeUrl"] == CLUSTER
    assert [(r["@type"], r["name"]) for r in answer["resources"]] == [(CLUSTER, "a"), (CLUSTER, "b")]
    status, body = post(world, "/v3/discovery:listeners")
    manager = orjson.loads(body)["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert (status, manager["rds"]["route_config_name"]) == (200, "r")


async def test_a_rest_fetch_of_the_current_version_is_a_304(world: World) -> None:
    world.serve(cluster("a"))
    version = orjson.loads(post(world, CLUSTERS)[1])["versionInfo"]
    assert post(world, CLUSTERS, version_info=version) == (304, b"")
    world.serve(cluster("a", note=1))
    assert post(world, CLUSTERS, version_info=version)[0] == 200


async def test_a_rest_fetch_of_resources_with_a_ttl_is_never_a_304(world: World) -> None:
    world.serve(runtime(ttl=15))
    names = {"resource_names": ["shadowmesh"]}
    answer = orjson.loads(post(world, "/v3/discovery:runtime", **names)[1])
    assert answer["resources"][0]["ttl"] == "15s"
    assert answer["resources"][0]["resource"]["layer"] == {"key": 1.0}
    assert post(world, "/v3/discovery:runtime", version_info=answer["versionInfo"], **names)[0] == 200


async def test_a_rest_fetch_of_an_unknown_path_is_a_404(world: World) -> None:
    assert post(world, "/v3/discovery:unicorns")[0] == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"{}", b'{"node": 3}', b'{"node": {"id": "x"}, "type_url": "other"}']
)
async def test_a_rest_fetch_with_a_bad_body_is_a_400(world: World, body: bytes) -> None:
    status, answer = fetch(CLUSTERS, body, cache=world.cache, grouping=lambda node: node.cluster, printer=as_any)
    assert status == 400
    assert orjson.loads(answer)["detail"]


async def test_a_grpc_fetch_answers_once(world: World) -> None:
    world.serve(cluster("a"), routes("r", "a"), routes("s", "a"))
    call = world.channel.unary_unary("/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes")
    request = discovery_pb2.DiscoveryRequest(node={"id": "e", "cluster": "shop"}, resource_names=["r"])
    answer = discovery_pb2.DiscoveryResponse.FromString(await call(request.SerializeToString()))
    assert [r.type_url for r in answer.resources] == [ROUTES]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(discovery_pb2.DiscoveryRequest().SerializeToString())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("how", ["fetch", "stream"])
async def test_client_status_tells_what_each_envoy_has(world: World, how: str, mode: str) -> None:
    world.serve(cluster("good"), cluster("bad"))
    client = world.client(mode)
    await client.subscribe(CLUSTER)
    await client.nack(await client.get(), "bad: it is")
    assert await world.board.settled(["shop"], 5)
    world.serve(cluster("good", note=1), cluster("bad"))
    await client.get()

    async def status(**fields: object) -> csds_pb2.ClientStatusResponse:
        request = csds_pb2.ClientStatusRequest(**fields).SerializeToString()
        if how == "fetch":
            raw = await world.channel.unary_unary(CSDS + "FetchClientStatus")(request)
        else:
            call = world.channel.stream_stream(CSDS + "StreamClientStatus")()
            await call.write(request)
            raw = await call.read()
            call.cancel()
        return csds_pb2.ClientStatusResponse.FromString(raw)

    answer = await status()
    assert [c.node.id for c in answer.config] == ["envoy-1"]
    found = {each.name: each for each in answer.config[0].generic_xds_configs}
    if mode == "delta":
        assert found["bad"].config_status == csds_pb2.ERROR
        assert found["bad"].error_state.details == "bad: it is"
    assert found["good"].config_status == csds_pb2.STALE
    assert found["good"].xds_config.value == cluster("good", note=1).body
    bare = await status(exclude_resource_contents=True, node_matchers=[{"node_id": {"prefix": "envoy"}}])
    assert not bare.config[0].generic_xds_configs[0].HasField("xds_config")
    assert not (await status(node_matchers=[{"node_id": {"exact": "another"}}])).config


async def test_client_status_refuses_matchers_that_it_does_not_offer(world: World) -> None:
    request = csds_pb2.ClientStatusRequest(node_matchers=[{"node_id": {"safe_regex": {"regex": "x"}}}])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.channel.unary_unary(CSDS + "FetchClientStatus")(request.SerializeToString())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("service", ["", "envoy.service.discovery.v3.AggregatedDiscoveryService"])
async def test_health_says_serving(world: World, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    raw = await world.channel.unary_unary("/grpc.health.v1.Health/Check")(request)
    assert health_pb2.HealthCheckResponse.FromString(raw).status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_the_services(world: World) -> None:
    call = world.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString())
    answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
    names = {service.name for service in answer.list_services_response.service}
    assert {"envoy.service.discovery.v3.AggregatedDiscoveryService", "grpc.health.v1.Health"} <= names
    symbol = "envoy.service.runtime.v3.RuntimeDiscoveryService"
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol).SerializeToString())
    answer = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
    assert answer.file_descriptor_response.file_descriptor_proto
    call.cancel()
