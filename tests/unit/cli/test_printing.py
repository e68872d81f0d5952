"""Render and bootstrap: no server, the same every time."""

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import SHOP, Shell

EXAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "examples").glob("*.yaml"))


def test_render_prints_what_envoy_would_get(offline: Shell, shop: Path) -> None:
    done = offline("render", "-f", str(shop))
    assert (done.code, done.err) == (0, "")
    resources = [document for document in yaml.safe_load_all(done.out) if document]
    kinds = {str(r.get("@type") or r["resource"]["@type"]).rpartition(".")[2] for r in resources}
    assert kinds == {"Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration", "Runtime"}
    assert '# profile "catalog-v2": mirrors 50 % of GET /… to v2 for 10m' in done.out
    assert "v2 is pending; made up: id and address" in done.out
    assert offline("render", "-f", str(shop)).out == done.out


def test_render_takes_all_examples_at_once(offline: Shell) -> None:
    done = offline("render", "-f", str(EXAMPLES[0].parent))
    assert (done.code, done.err) == (0, "")
    assert "component/ledger" in done.out


def test_render_of_a_profile_without_its_network_says_what_is_missing(offline: Shell, shop: Path) -> None:
    shop.write_text(SHOP.split("---\n")[1])
    done = offline("render", "-f", str(shop))
    assert done.code == 3
    assert 'network "shop" is not among the manifests (add its manifest; render asks no server)' in done.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("componentName: catalog", "componentName: nope", "spec.componentName"),
        ("protocol: http1", "protocol: grpc", "spec.match.grpc"),
    ],
)
def test_render_says_what_cannot_be_translated_and_where(
    offline: Shell, shop: Path, old: str, new: str, told: str
) -> None:
    shop.write_text(SHOP.replace(old, new))
    done = offline("render", "-f", str(shop))
    assert done.code == 2
    assert f"{shop}, document 2, line 18: {told}: " in done.err


def test_a_bootstrap_names_manager_engine_node_and_network(offline: Shell) -> None:
    done = offline("bootstrap", "shop", "--manager", "mesh.example:1", "--engine", "[::1]:2", "--admin", "127.0.0.1:0")
    assert (done.code, done.err) == (0, "")
    made = yaml.safe_load(done.out)
    assert made["node"]["cluster"] == "shop"
    assert made["node"]["id"].startswith("shop-")
    assert "mesh.example" in done.out
    assert "::1" in done.out
    assert "metadata" not in made["node"], "nobody knows the port that Envoy picks"


def test_a_bootstrap_tells_where_the_admin_interface_is(offline: Shell) -> None:
    made = yaml.safe_load(offline("bootstrap", "shop", "--admin", "[::1]:9999").out)
    assert made["node"]["metadata"] == {"shadowmesh.admin": "[::1]:9999"}


def test_a_bootstrap_names_the_ports_that_the_environment_gives_to_serve(
    offline: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHADOWMESH_XDS_PORT", "18100")
    monkeypatch.setenv("SHADOWMESH_ENGINE_PORT", "18101")
    done = offline("bootstrap", "shop")
    assert re.findall("port_value: (18...)", done.out) == ["18100", "18101"]


def test_a_bootstrap_takes_place_mode_and_listen_addresses(offline: Shell) -> None:
    arguments = ["--region", "eu", "--zone", "eu-1", "--node-id", "edge-7", "--mode", "sotw"]
    made = yaml.safe_load(offline("bootstrap", "shop", *arguments, "--listen", "catalog=127.0.0.1:10001").out)
    assert made["node"]["locality"] == {"region": "eu", "zone": "eu-1"}
    assert made["node"]["metadata"]["shadowmesh.listen"] == {"catalog": "127.0.0.1:10001"}
    assert made["dynamic_resources"]["ads_config"]["api_type"] == "GRPC"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--manager", "nowhere"], '--manager: "nowhere" is not an address'),
        (["--manager", "h:0"], "--manager"),
        (["--engine", "h:99999"], "--engine"),
        (["--listen", "10001"], "COMPONENT=HOST:PORT"),
        (["--listen", "catalog=localhost:1"], "no IP address"),
        (["--mode", "both"], "'both' is not one of"),
        (["--stats-interval", "5"], "--stats-interval"),
        (["--stats-interval", "0s"], "--stats-interval"),
        (["--stats-interval", "0.5ms"], "--stats-interval"),
        (["--stats-interval", "5m"], "--stats-interval"),
    ],
)
def test_a_bad_flag_of_the_bootstrap_is_one_clear_line(offline: Shell, arguments: list[str], told: str) -> None:
    done = offline("bootstrap", "shop", *arguments)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert told in done.err


def test_render_shows_the_control_of_a_components_version_and_refuses_one_that_cannot_be(
    offline: Shell, shop: Path
) -> None:
    text = shop.read_text()
    version = "port: 9001}\n      version: {endpoint: {address: 127.0.0.9, port: 9099}}"
    shop.write_text(text.replace("port: 9001}", version))
    out = offline("render", "-f", str(shop)).out
    assert "control is pending" in out
    assert "127.0.0.9" in out
    shop.write_text(text.replace("10m", "10m\n  control: {self: true}"))
    assert "the original answers them twice" in offline("render", "-f", str(shop)).out
    shop.write_text(text.replace("10m", "10m\n  control: {}"))
    done = offline("render", "-f", str(shop))
    assert done.code == 2
    assert "spec.control" in done.err


@pytest.mark.parametrize("network", ["", "bad name", "a/b", ".."])
def test_a_bootstrap_for_what_is_no_network_is_refused(offline: Shell, network: str) -> None:
    done = offline("bootstrap", network)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith("error: NETWORK: ")


@pytest.mark.parametrize("interval", ["1ms", "299s"])
def test_a_bootstrap_takes_every_interval_that_envoy_takes(offline: Shell, interval: str) -> None:
    assert offline("bootstrap", "shop", "--stats-interval", interval).code == 0
