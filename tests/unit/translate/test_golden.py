"""What Envoy gets, written down.

`UPDATE_GOLDEN=1 hack/test tests/unit/translate` writes it anew, for a look at the diff.
"""

import os
from pathlib import Path

import pytest

from tests.unit.translate.scenarios import RUNTIME_TTL, SCENARIOS
from xds_server.cache.resource import LISTENER, make_resource
from xds_server.cache.snapshot import make_snapshot
from xds_server.model.network import Address
from xds_server.translate import BootstrapOptions, bootstrap, to_yaml, translate
from xds_server.translate.assets import asset
from xds_server.translate.fastbytes import fast_bytes
from xds_server.translate.render import _TYPES

GOLDEN = Path(__file__).parent / "golden"
BOOTSTRAPS = {
    "bootstrap": BootstrapOptions("shop", "envoy-1"),
    "bootstrap_elsewhere": BootstrapOptions(
        "shop",
        "n",
        manager=Address("manager.example", 443),
        engine=Address("::1", 18001),
        admin=Address("127.0.0.1", 0),
        mode="sotw",
        region="eu-1",
        zone="eu-1a",
        stats_interval=5.0,
        listen={"catalog": Address("127.0.0.1", 10001), "blog": Address("::", 80)},
    ),
}


def compare(name: str, text: str) -> None:
    """Compare with the golden file; the capture scripts, which are files of their own, are left out."""
    path = GOLDEN / f"{name}.yaml"
    text = _without_script(text)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_network_becomes_what_was_written_down(name: str) -> None:
    compare(name, to_yaml(translate(SCENARIOS[name], runtime_ttl=RUNTIME_TTL)))


@pytest.mark.parametrize("name", BOOTSTRAPS)
def test_a_bootstrap_is_what_was_written_down(name: str) -> None:
    compare(name, bootstrap(BOOTSTRAPS[name]))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_encoding_is_betterprotos_own(name: str) -> None:
    for resource in translate(SCENARIOS[name], runtime_ttl=RUNTIME_TTL):
        message = _TYPES[resource.type_url].parse(resource.body)
        assert fast_bytes(message) == bytes(message)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_network_is_a_consistent_set_of_unique_names(name: str) -> None:
    from xds_server.cache.consistency import check

    resources = translate(SCENARIOS[name], runtime_ttl=RUNTIME_TTL)
    assert len({(r.type_url, r.name) for r in resources}) == len(resources)
    check(make_snapshot(resources))


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_listener_of_a_component_depends_on_profiles(name: str) -> None:
    whole = SCENARIOS[name]
    bare = type(whole)(whole.network)

    def listeners(state: object) -> set[tuple[str, str]]:
        made = translate(state, runtime_ttl=RUNTIME_TTL)  # type: ignore[arg-type]
        return {(r.name, r.version) for r in made if r.type_url == LISTENER and r.name.startswith("component/")}

    assert listeners(whole) == listeners(bare)


def test_only_what_the_original_does_not_need_has_a_ttl() -> None:
    for state in SCENARIOS.values():
        made = translate(state, runtime_ttl=RUNTIME_TTL)
        assert {(r.name, r.ttl) for r in made if r.ttl is not None} == {("shadowmesh", RUNTIME_TTL)}


def test_a_resource_that_is_made_again_is_the_same() -> None:
    from xds_server.translate import network

    for state in SCENARIOS.values():
        first = translate(state, runtime_ttl=RUNTIME_TTL)
        for each in (network._original, network._leg, network._listener, network._routes):
            each.cache_clear()
        assert translate(state, runtime_ttl=RUNTIME_TTL) == first
        assert [make_resource(r.name, r.type_url, r.body, ttl=r.ttl) for r in first] == first


def _without_script(text: str) -> str:
    for name in ("capture.lua", "capture_request.lua"):
        lines = asset(name).splitlines()
        for indent in (14, 16):
            script = "\n".join(" " * indent + line if line else "" for line in lines)
            text = text.replace(script, " " * indent + f"(envoy/{name})")
    return text
