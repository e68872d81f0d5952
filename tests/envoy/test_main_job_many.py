"""Several of everything: components, networks, Envoys, profiles on one component; and the other protocols."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import pytest

from tests.envoy.backend import Backend
from tests.envoy.stack import JSON, NETWORK, Proxy, Stack, answers, at, running, until, wait_for
from xds_server.envoy_binary import find_envoy

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

SERVICE = "demo.Greeter"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("many")) as made:
        yield made


@pytest.fixture(scope="module")
def second(stack: Stack) -> Proxy:
    """A second Envoy of the same network on the same machine: it listens elsewhere."""
    return stack.start_envoy("second", listen={name: stack.household.free_port() for name in stack.listens})


@pytest.fixture(autouse=True)
def alone(stack: Stack) -> Iterator[None]:
    yield
    stack.clear()


async def all_paired(stack: Stack, profile: JSON, count: int, network: str = NETWORK) -> JSON:
    """Wait until exactly so many pairs were compared; return the comparison."""

    async def there() -> JSON | None:
        found = await stack.comparison(profile, network)
        return found if found.get("pairs", 0) >= count and not found["lost"] else None

    found: JSON = await until(there, f"{count} pairs are compared")
    assert (found["pairs"], found["lost"], found["notJudged"]) == (count, {}, {})
    return found


async def test_two_profiles_on_one_component_share_its_requests_over_two_envoys(stack: Stack, second: Proxy) -> None:
    count = 400
    async with (
        Backend("original", port=stack.originals["echo"]),
        Backend("first") as first,
        Backend("other") as other,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        profiles = [
            await stack.create(componentName="echo", trafficShadowingPercentage=share, variants=at(backend.port))
            for share, backend in ((0.3, first), (0.7, other))
        ]
        for number in range(count):
            proxy = (stack.proxy, second)[number % 2]
            answer = await client.get(f"http://127.0.0.1:{proxy.ports['echo']}/ok?n={number}")
            assert answer.json() == {"from": "original"}
        expected = {f"/ok?n={number}" for number in range(count)}

        async def all_there() -> bool:
            return len(first.asked) + len(other.asked) >= count

        await until(all_there, "each request is mirrored")
        paths = [[asked.path for asked in backend.asked] for backend in (first, other)]
        assert sorted(paths[0] + paths[1]) == sorted(expected)
        assert 0.2 * count < len(paths[0]) < 0.4 * count
        for profile, got in zip(profiles, paths, strict=True):
            instance = profile["instances"][0]["instanceID"]

            async def ended(instance: str = instance, sent: int = len(got)) -> list[int] | None:
                copies = [proxy.copies(instance) for proxy in (stack.proxy, second)]
                return copies if sum(copies) == sent else None

            assert min(await until(ended, "each copy has ended")) > 0
            found = await all_paired(stack, profile, len(got))
            assert found["byClass"] == {"value": len(got)}
        envoys = (await stack.status())["envoys"]
        assert {e["nodeID"]: e["connected"] for e in envoys} == {"envoy": True, "second": True}
        assert len({e["group"] for e in envoys}) == 2
        for profile in profiles:
            await stack.delete(profile)


async def test_components_and_networks_do_not_see_each_other(stack: Stack) -> None:
    listen = stack.household.free_port()
    bank = stack.component("catalog") | {"listen": {"address": "127.0.0.1", "port": listen}}
    await stack.acall("POST", "/networks", {"name": "bank", "components": [bank]})
    proxy = stack.start_envoy("bank-envoy", network="bank")
    proxy.ports = {"catalog": listen}
    async with Backend("original", port=stack.originals["echo"]), Backend("shadow") as shadow:
        of_bank = await stack.create("bank")
        of_catalog = await stack.create()
        of_echo = await stack.create(componentName="echo", variants=at(shadow.port))
        expected = list(await stack.expected())
        gets = [request for request in expected if request.method == "GET"]
        await stack.send(gets * 2, proxy=proxy)
        await stack.send(gets * 3)
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(10):
                await client.get(f"http://127.0.0.1:{stack.listens['echo']}/ok")
        await all_paired(stack, of_bank, len(gets) * 2, "bank")
        await all_paired(stack, of_catalog, len(gets) * 3)
        await all_paired(stack, of_echo, 10)
        assert [e["nodeID"] for e in (await stack.status("bank"))["envoys"]] == ["bank-envoy"]
        instance = of_catalog["instances"][0]["instanceID"]
        assert not proxy.stats(instance)
        await stack.acall("DELETE", "/networks/bank")
    stack.end(proxy.child)


class Greeter:
    """A gRPC service on raw bytes; `says` is how it greets. Greeting `nobody` is NOT_FOUND where `strict`."""

    def __init__(self, says: bytes, *, strict: bool = False) -> None:
        self.says = says
        self.strict = strict
        self.called: list[str] = []

    async def greet(self, name: bytes, context: Any) -> bytes:
        self.called.append("Greet")
        if self.strict and name == b"nobody":
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody is not there")
        return self.says + b" " + name

    async def forget(self, name: bytes, _context: Any) -> bytes:
        self.called.append("Forget")
        return name

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[int]:
        server = grpc.aio.server()
        methods = {
            "Greet": grpc.unary_unary_rpc_method_handler(self.greet),
            "Forget": grpc.unary_unary_rpc_method_handler(self.forget),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(0.2)


async def test_grpc_calls_are_mirrored_and_compared(stack: Stack) -> None:
    original, shadow = Greeter(b"hello"), Greeter(b"hello", strict=True)
    async with (
        original.serving(stack.originals["greeter"]),
        shadow.serving() as port,
        grpc.aio.insecure_channel(
            f"127.0.0.1:{stack.listens['greeter']}", options=[("grpc.enable_http_proxy", 0)]
        ) as channel,
    ):
        greet, forget = (channel.unary_unary(f"/{SERVICE}/{name}", None, None) for name in ("Greet", "Forget"))
        profile = await stack.create(componentName="greeter", variants=at(port), match={"grpc": [f"{SERVICE}/Gr*"]})
        for name in (b"ada", b"nobody") * 20:
            assert await greet(name, wait_for_ready=True, timeout=10) == b"hello " + name
            assert await forget(name, timeout=10) == name
        found = await all_paired(stack, profile, 40)
        assert (found["identical"], found["byClass"]) == (20, {"grpc_status": 20})
        assert set(shadow.called) == {"Greet"}
        instance = profile["instances"][0]["instanceID"]
        abort = {"instanceID": instance, "faultInjectionParameters": {"abort": {"grpcStatus": 14, "percentage": 100}}}
        await stack.acall("POST", f"/networks/{NETWORK}/shadowing/inject_fault", abort)
        await stack.settled()

        async def reached() -> bool:
            # Copies leave the listener of before within half a second.
            assert await greet(b"ada", timeout=10) == b"hello ada"
            return stack.proxy.stat(f"http.shadow-{instance}.fault.aborts_injected") > 0

        await until(reached, "the fault is in force")
        calls = len(shadow.called)
        for _ in range(20):
            assert await greet(b"ada", timeout=10) == b"hello ada"

        async def injected() -> bool:
            found = await stack.comparison(profile)
            return bool(found["injected"]["aborted"] == stack.proxy.copies(instance) - calls >= 20)

        await until(injected, "the copies were aborted")
        assert len(shadow.called) == calls
        await stack.delete(profile)


def says(port: int, who: str) -> JSON:
    """Return a listener of a static Envoy that speaks HTTP/2 alone and always says the same."""
    body = {"status": 200, "body": {"inline_string": json.dumps({"from": who})}}
    route = {"match": {"prefix": "/"}, "direct_response": body}
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "HTTP2",
        "stat_prefix": who,
        "route_config": {
            "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": who,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [chain],
    }


async def test_an_http2_component_is_mirrored_and_compared(stack: Stack) -> None:
    ports = {"original": stack.originals["two"], "shadow": stack.household.free_port()}
    config = stack.folder / "two.json"
    listeners = [says(port, who) for who, port in ports.items()]
    config.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
    command = [str(find_envoy()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    backends = stack.household.start("two", command)
    # Not by trying to listen there: Envoy would find its port taken.
    wait_for(lambda: all(answers(port) for port in ports.values()), "the backends listen")
    profile = await stack.create(componentName="two", variants=at(ports["shadow"]))
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(30):
            answer = await client.get(f"http://127.0.0.1:{stack.listens['two']}/")
            assert answer.json() == {"from": "original"}
    found = await all_paired(stack, profile, 30)
    assert found["byClass"] == {"value": 30}
    await stack.delete(profile)
    stack.end(backends)
