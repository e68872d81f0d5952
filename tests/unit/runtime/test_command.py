"""What is refused before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from xds_server.errors import InvalidError
from xds_server.model.profile import EndpointSpec, ProcessSpec, Readiness
from xds_server.runtime.command import arguments, environment
from xds_server.runtime.endpoint import EndpointRuntime
from xds_server.runtime.process import ProcessRuntime

GOOD = ProcessSpec(command=("sh", "-c", "exec server {port}"))


@pytest.fixture
def runtime(tmp_path: Path) -> ProcessRuntime:
    return ProcessRuntime(tmp_path / "shadows", environ={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"command": ()}, "process.command", "is empty"),
        ({"command": ("", "{port}")}, "process.command", "is empty"),
        ({"command": ("sh", "\0{port}")}, "process.command", "NUL"),
        ({"command": ("sh", "server")}, "process.command", "write {port} where"),
        ({"command": ("no-such-program", "{port}")}, "process.command", "'no-such-program' does not exist"),
        ({"command": ("./no-such-program", "{port}")}, "process.command", "does not exist or cannot be executed"),
        ({"command": ("/etc/passwd", "{port}")}, "process.command", "cannot be executed"),
        ({"command": ("/etc", "{port}")}, "process.command", "cannot be executed"),
        ({"env": {"A=B": "x"}}, "process.env", "'A=B' cannot be set"),
        ({"env": {"": "x"}}, "process.env", "cannot be set"),
        ({"working_directory": "/no/such/folder"}, "process.workingDirectory", "'/no/such/folder' is not a folder"),
        ({"readiness": Readiness(path="a b")}, "process.readiness.path", "is not a path"),
        ({"readiness": Readiness(path="/\r\nx: y")}, "process.readiness.path", "is not a path"),
    ],
)
def test_a_wrong_variant_names_the_field_and_what_would_be_right(
    runtime: ProcessRuntime, change: dict[str, object], field: str, text: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        runtime.check(replace(GOOD, **change))  # type: ignore[arg-type]
    assert refused.value.field == field
    assert text in str(refused.value)
    assert refused.value.hint


def test_a_right_variant_passes_and_the_port_may_stand_in_the_environment(runtime: ProcessRuntime) -> None:
    runtime.check(GOOD)
    runtime.check(ProcessSpec(command=("sh", "server"), env={"LISTEN": "127.0.0.1:{port}"}))


def test_a_relative_program_is_looked_for_in_the_working_directory(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "app").write_text("#!/bin/sh\n")
    (tmp_path / "app").chmod(0o755)
    runtime.check(ProcessSpec(command=("./app", "{port}"), working_directory=str(tmp_path)))


def test_a_path_of_the_variant_is_where_its_program_is_looked_for(runtime: ProcessRuntime, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "mine").chmod(0o755)
    runtime.check(ProcessSpec(command=("mine", "{port}"), env={"PATH": str(tmp_path)}))


def test_only_the_placeholder_is_replaced() -> None:
    spec = ProcessSpec(command=("a", "{port}-{port}", "{other}", "$HOME", "%s"), env={"URL": "http://x:{port}/{id}"})
    assert arguments(spec, 7) == ["a", "7-7", "{other}", "$HOME", "%s"]
    made = environment(spec, port=7, instance="i", environ={"SHADOWMESH_TOKEN": "t"})
    assert made == {"PATH": made["PATH"], "PORT": "7", "URL": "http://x:7/{id}", "SHADOW_INSTANCE": "i"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (EndpointSpec("", 80), "endpoint.address"),
        (EndpointSpec("http://x", 80), "endpoint.address"),
        (EndpointSpec("x", 0), "endpoint.port"),
        (EndpointSpec("x", 65536), "endpoint.port"),
        (EndpointSpec("x", 80, Readiness(path="x")), "endpoint.readiness.path"),
    ],
)
def test_a_wrong_endpoint_is_refused(spec: EndpointSpec, field: str) -> None:
    with pytest.raises(InvalidError) as refused:
        EndpointRuntime().check(spec)
    assert refused.value.field == field


def test_a_spec_of_another_runtime_is_refused(runtime: ProcessRuntime) -> None:
    with pytest.raises(InvalidError, match="takes ProcessSpec"):
        runtime.check(EndpointSpec("127.0.0.1", 80))
