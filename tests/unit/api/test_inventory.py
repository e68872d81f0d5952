"""The inventory, as a user writes it."""

from pathlib import Path

import pytest

from api.inventory import read_nodes
from xds_server.errors import InvalidFieldsError
from xds_server.model.docker_host import DockerHost, TLSFiles
from xds_server.model.nodes import Capacity, NodeEntry, Taint, TaintEffect

WHOLE = """
nodes:
  - name: here
    region: eu
    zone: eu-1
    labels: {disk: ssd, example.com/rack: "7"}
    taints:
      - {key: gpu, value: "yes", effect: NoSchedule}
      - {key: old, effect: PreferNoSchedule}
    docker: {host: "unix:///run/docker.sock"}
    capacity: {cpus: 3.5, memory: 4Gi, shadows: 10}
    local: true
  - name: there
    docker:
      host: tcp://there.example:2376
      tls: {ca: ca.pem, cert: cert.pem, key: key.pem}
  - name: beyond
    docker: {host: "ssh://ops@10.0.0.3:2222", address: 192.0.2.3}
    capacity: {memory: 500M}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "nodes.yaml"
    path.write_text(text)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(InvalidFieldsError) as caught:
        read_nodes(path)
    return [str(problem) for problem in caught.value.problems]


def test_an_inventory_is_read(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("a file")
    here, there, beyond = read_nodes(write(tmp_path, WHOLE))
    assert here == NodeEntry(
        name="here",
        region="eu",
        zone="eu-1",
        labels={"disk": "ssd", "example.com/rack": "7"},
        taints=(Taint("gpu", "yes"), Taint("old", "", TaintEffect.PREFER_NO_SCHEDULE)),
        docker=DockerHost("unix:///run/docker.sock"),
        capacity=Capacity(3.5, 4 * 1024**3, 10),
        local=True,
    )
    files = TLSFiles(*(str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")))
    assert there.docker == DockerHost("tcp://there.example:2376", files, "there.example")
    assert beyond.docker == DockerHost("ssh://ops@10.0.0.3:2222", None, "192.0.2.3")
    assert (beyond.capacity, beyond.local) == (Capacity(None, 500_000_000, 100), False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty (an object with nodes: [...])"),
        ("- name: a", "is a list, not an object (an object with nodes: [...])"),
        ("nodes: [", "ends in the middle of a value"),
        ("nodes: [}", "is not YAML"),
        ("nodes: []", "nodes: has no entries (at least 1)"),
        ("nodes: [{local: true}]", "nodes[0].name: is required (Name, unique.)"),
        ("nodes: [{name: a}]", "nodes[0]: has nothing that could run a shadow"),
        ("nodes: [{name: a, local: true}, {name: a, local: false, docker: {host: 'unix:///x'}}]", "nodes[1].name"),
        ("nodes: [{name: a, local: true}, {name: b, local: true}]", "nodes[1].local: is true twice"),
        ("nodes: [{name: a, local: true, zon: z}]", "nodes[0].zon: is not a known field (did you mean zone?)"),
        ("nodes: [{name: a, name: b, local: true}]", "nodes[0].name: is there twice"),
        ("nodes: [{name: a, docker: {}}]", "nodes[0].docker.host: is required"),
        ("nodes: [{name: a, docker: {host: 'http://x:1'}}]", 'nodes[0].docker.host: "http://x:1" is not an engine'),
        ("nodes: [{name: a, docker: {host: 'tcp://x'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'tcp://x:99999'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'tcp://x:1/path'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'tcp://u:p@x:1'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'ssh://-oProxyCommand=x'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'ssh://-l@x'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'unix://'}}]", "nodes[0].docker.host"),
        ("nodes: [{name: a, docker: {host: 'unix://x/y'}}]", "nodes[0].docker.host"),
        (
            "nodes: [{name: a, docker: {host: 'unix:///x', tls: {ca: c}}}]",
            "nodes[0].docker.tls: is for tcp:// alone (leave it out, or tcp://host:port)",
        ),
        ("nodes: [{name: a, docker: {host: 'tcp://x:1', tls: {ca: c, key: k}}}]", "nodes[0].docker.tls.cert"),
        ("nodes: [{name: a, local: true, capacity: {memory: 4GB}}]", "nodes[0].capacity.memory"),
        ("nodes: [{name: a, local: true, capacity: {cpus: 0}}]", "nodes[0].capacity.cpus"),
        ("nodes: [{name: a, local: true, taints: [{key: k, effect: NoExecute}]}]", "nodes[0].taints[0].effect"),
    ],
)
def test_what_cannot_be_right_is_told_by_its_field(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert told in problem
    assert "nodes.yaml" in problem


def test_all_problems_are_told_with_their_lines(tmp_path: Path) -> None:
    text = "nodes:\n  - name: A B\n    local: true\n  - name: b\n    local: 1\n"
    first, second = problems(write(tmp_path, text))
    assert "line 2: nodes[0].name" in first
    assert "line 5: nodes[1].local" in second


def test_two_nodes_of_one_name_are_told_with_both_places(tmp_path: Path) -> None:
    text = "nodes:\n  - {name: a, local: true}\n  - {name: a, docker: {host: 'unix:///x'}}\n"
    (problem,) = problems(write(tmp_path, text))
    assert 'line 3: nodes[1].name: "a" is there twice (a name of its own; nodes[0] has it)' in problem


def test_a_file_that_is_not_there_or_no_file_is_told_by_the_flag(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml")[0].startswith("--nodes (SHADOWMESH_NODES): ")
    assert "is not there" in problems(tmp_path / "none.yaml")[0]
    assert "cannot be read: Is a directory" in problems(tmp_path)[0]


def test_files_of_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a file")
    (tmp_path / "cert.pem").write_text("a file")
    (problem,) = problems(write(tmp_path, WHOLE))
    assert "nodes[1].docker.tls.key" in problem
    assert "No such file" in problem


def test_text_that_is_no_utf_8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_bytes(b"nodes: \xff")
    assert "is not YAML" in problems(path)[0]
