"""The nodes of a manager, put together from the settings."""

from pathlib import Path

import pytest

from xds_server.config import DockerSettings, NodeSettings, Settings
from xds_server.errors import InvalidError
from xds_server.nodes import make_nodes


def settings(folder: Path, text: str = "", *, docker: str = "none") -> Settings:
    file = folder / "nodes.yaml"
    file.write_text(text)
    return Settings(
        state=folder / "state",
        nodes=file if text else None,
        node=NodeSettings(name="here", zone="z", cpus=3.0),
        docker=DockerSettings(host=docker),
    )


async def test_without_an_inventory_there_is_this_machine_with_what_the_flags_say(tmp_path: Path) -> None:
    nodes = make_nodes(settings(tmp_path))
    await nodes.inventory.refresh()
    (node,) = nodes.inventory.nodes({})
    assert (node.name, node.zone, node.cpus, node.healthy) == ("here", "z", 3.0, True)
    assert set(node.runtimes) == {"process", "endpoint", "self"}
    await nodes.close()


async def test_an_engine_that_is_away_takes_the_containers_of_this_machine_and_nothing_else(tmp_path: Path) -> None:
    nodes = make_nodes(settings(tmp_path, docker=f"unix://{tmp_path}/none.sock"))
    await nodes.inventory.refresh()
    (node,) = nodes.inventory.nodes({})
    assert node.healthy
    assert set(node.runtimes) == {"process", "docker", "endpoint", "self"}
    assert set(node.away) == {"docker"}
    assert "does not answer" in node.away["docker"]
    await nodes.close()


async def test_an_inventory_says_what_each_node_can_run(tmp_path: Path) -> None:
    text = """
nodes:
  - {name: home, local: true}
  - {name: beyond, docker: {host: "unix:///no/such.sock"}}
"""
    nodes = make_nodes(settings(tmp_path, text))
    await nodes.inventory.refresh()
    home, beyond = nodes.inventory.nodes({})
    assert set(home.runtimes) == {"process", "endpoint", "self"}
    assert home.healthy
    assert set(beyond.runtimes) == {"docker", "endpoint", "self"}
    assert not beyond.healthy
    assert 'the Docker engine of node "beyond"' in beyond.reason
    await nodes.close()


def test_an_inventory_that_cannot_be_right_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"nodes\[0\]"):
        make_nodes(settings(tmp_path, "nodes: [{name: a}]"))
