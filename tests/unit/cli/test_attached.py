"""Files that manifests name are read beside them."""

import base64
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from tests.unit.api.fake import FakeController
from tests.unit.cli.conftest import SHOP, Shell

API = """
openapi: 3.0.3
paths:
  /items/{id}:
    get: {responses: {200: {description: an item, example: 2026-01-01}}}
"""

DESCRIPTORS = descriptor_pb2.FileDescriptorSet(file=[{"name": "shop.proto"}]).SerializeToString()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    there = tmp_path / "manifests"
    there.mkdir()
    (there / "api.yaml.txt").write_text(API)
    (there / "shop.pb").write_bytes(DESCRIPTORS)
    monkeypatch.chdir(tmp_path)
    return there


def manifest(folder: Path, analysis: str) -> str:
    path = folder / "shop.yaml"
    path.write_text(SHOP.replace("  performanceMetrics", f"  analysis: {analysis}\n  performanceMetrics"))
    return str(path)


def test_an_openapi_file_is_read_beside_the_manifest_and_the_second_time_nothing_changes(
    shell: Shell, folder: Path, desk: FakeController
) -> None:
    name = manifest(folder, "{openapi: ./api.yaml.txt, endpoints: [/mine]}")
    assert "created" in shell("apply", "-f", name).out
    profile = next(iter(desk.views.values())).profile
    assert profile.analysis.endpoints == ("/mine", "GET /items/{id}")
    done = shell("apply", "-f", name)
    assert (done.code, done.out.count("unchanged")) == (0, 2)


def test_a_descriptor_set_is_read_as_base64_and_base64_is_left_alone(
    shell: Shell, folder: Path, desk: FakeController
) -> None:
    encoded = base64.b64encode(DESCRIPTORS).decode()
    shell("apply", "-f", manifest(folder, "{descriptorSet: shop.pb}"))
    assert next(iter(desk.views.values())).profile.analysis.descriptor_set == encoded
    done = shell("apply", "-f", manifest(folder, f"{{descriptorSet: {encoded}}}"))
    assert done.out.count("unchanged") == 2


@pytest.mark.parametrize(
    ("analysis", "told"),
    [
        ("{openapi: ./nope.yaml}", "spec.analysis.openapi: ./nope.yaml cannot be read: No such file"),
        ("{openapi: .}", "spec.analysis.openapi: . cannot be read: Is a directory"),
        ("{descriptorSet: ./nope.pb}", "spec.analysis.descriptorSet: ./nope.pb cannot be read: No such file"),
        ("{openapi: broken.yaml}", "broken.yaml, line 1, column 5: ends in the middle of a value"),
        ("{openapi: list.yaml}", "spec.analysis.openapi: list.yaml: holds no object"),
        ("{openapi: two.yaml}", "holds 2 documents"),
        ("{openapi: other.yaml}", "spec.analysis.openapi: is no OpenAPI document"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_told_at_its_field(
    shell: Shell, folder: Path, analysis: str, told: str
) -> None:
    for name, text in {"broken": "a: [", "list": "[1]", "two": "a: 1\n---\nb: 1\n", "other": "a: 1"}.items():
        (folder / f"{name}.yaml").write_text(text)
    done = shell("apply", "-f", manifest(folder, analysis))
    assert done.code
    assert told in " ".join(done.err.split())
    assert "shop.yaml, document 2, line" in done.err
