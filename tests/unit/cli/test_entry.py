"""The command line as a whole: help, errors, exit codes, flags."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.unit.cli.conftest import SHOP, Shell
from xds_server.cli.client import error_of
from xds_server.cli.entry import COMMANDS, load, report
from xds_server.cli.flags import flags, settings_of
from xds_server.config import Settings
from xds_server.errors import FieldProblem, InvalidFieldsError, NotFoundError, ShadowmeshError, StaleError


def test_help_names_every_command_and_the_exit_codes(offline: Shell) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        done = offline(*arguments)
        assert done.code == 0
        assert all(f" {name} " in done.out for name in COMMANDS)
        assert "Exit codes" in done.out


def test_each_problem_of_an_object_names_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidFieldsError([FieldProblem("a", "is wrong"), FieldProblem("b", "is wrong too", "like this")])
    assert report(error, about="network/shop") == 2
    lines = ["error: network/shop: a: is wrong", "error: network/shop: b: is wrong too (like this)"]
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_the_exit_codes(offline: Shell, name: str) -> None:
    done = offline(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Exit codes" in done.out


def test_help_loads_none_of_the_heavy_libraries() -> None:
    heavy = {"grpc", "fastapi", "uvicorn", "httpx", "pydantic", "betterproto2", "numpy"}
    code = f"from xds_server.cli.entry import run; import sys; run(['--help']); print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_the_module_runs_like_the_script() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xds_server.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"shadowmesh \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(offline: Shell, shell_name: str) -> None:
    done = offline("completion", shell_name)
    assert done.code == 0
    assert "_SHADOWMESH_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["stats"], 2, "Did you mean 'status'?"),
        (["get", "nets"], 2, "'nets' is not one of networks, profiles"),
        (["get", "networks", "-o", "xml"], 2, "'xml' is not one of"),
        (["get", "networks", "--server", "nowhere"], 2, '--server: "nowhere" is not the URL of a manager'),
        (["get", "networks", "--server", "http://127.0.0.1:abc"], 2, '--server: "http://127.0.0.1:abc" is not the URL'),
        (["get", "networks", "--server", "http://[::1"], 2, '--server: "http://[::1" is not the URL of a manager'),
        (["get", "networks", "--server", "http://exa mple"], 2, '--server: "http://exa mple" is not the URL of a'),
        (["get", "networks", "--server", "http://a<b"], 2, '--server: "http://a<b" is not the URL of a manager'),
        (
            ["get", "networks", "--server", "http://h:70000"],
            2,
            '--server: "http://h:70000" is not the URL of a manager',
        ),
        (["serve", "--http-address", "nonsense"], 2, "--http-address"),
        (["serve", "--http-address", "203.0.113.7"], 2, "--http-address"),
        (["serve", "--node-ports", "30000-20000"], 2, "--node-ports FIRST-LAST, like 20000-29999"),
        (["analyze", "--engine-manager", "foo"], 2, "--engine-manager (SHADOWMESH_ENGINE_MANAGER)"),
        (["analyze", "--engine-manager", "foo:0"], 2, "HOST:PORT, like 127.0.0.1:18000"),
        (["apply"], 2, "-f"),
        (["apply", "-f", "/nowhere.yaml"], 3, "/nowhere.yaml: there is no such file"),
        (["lift"], 2, "name the fault to lift"),
        (["serve", "--xds-port", "70000"], 2, "--xds-port (SHADOWMESH_XDS_PORT)"),
        (["serve", "--node-ports", "5"], 2, "FIRST-LAST"),
        (["serve", "--no-such-flag"], 2, "--no-such-flag"),
    ],
)
def test_wrong_usage_is_one_clear_line(offline: Shell, arguments: list[str], code: int, told: str) -> None:
    done = offline(*arguments)
    assert (done.code, len(done.err.splitlines())) == (code, 1)
    assert done.err.startswith("error: ")
    assert told in done.err


def test_a_manager_that_is_not_there_is_one_line_that_says_how_to_start_one(offline: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = offline("status", "--server", url)
    assert (done.code, done.err) == (
        6,
        f"error: no manager at {url} (start one with `shadowmesh serve`, or set --server / SHADOWMESH_SERVER)\n",
    )


def test_bad_manifests_are_a_line_a_problem(offline: Shell, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(SHOP.replace("0.5", "5").replace("10m", "0s"))
    done = offline("apply", "-f", str(path))
    assert done.code == 2
    assert [line.split(": ")[2] for line in done.err.splitlines()] == [
        "spec.trafficShadowingPercentage",
        "spec.shadowInstanceTTL",
    ]


def test_the_unexpected_is_a_line_too(offline: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("xds_server.cli.files.read", broken)
    done = offline("apply", "-f", "x")
    assert done.code == 1
    assert done.err == "error: unexpected: RuntimeError: planted (SHADOWMESH_DEBUG=1 shows where)\n"


def test_every_setting_is_a_flag_with_its_docstring_and_its_variable() -> None:
    known = {flag.option: flag for flag in flags()}
    assert {"--state", "--xds-port", "--http-token", "--engine-spawn", "--node-ports"} <= set(known)
    assert known["--xds-max-streams"].variable == "SHADOWMESH_XDS_MAX_STREAMS"
    assert all(flag.field.description for flag in known.values())


def test_a_flag_wins_over_the_environment_and_leaves_the_rest_of_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_XDS_PORT", "1")
    monkeypatch.setenv("SHADOWMESH_XDS_MAX_STREAMS", "7")
    settings = settings_of(flags(), {"xds_port": "2"})
    assert (settings.xds.port, settings.xds.max_streams) == (2, 7)


def test_flags_of_every_kind_reach_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Settings] = []

    async def serve(settings: Settings) -> None:
        seen.append(settings)

    import types

    module = types.ModuleType("xds_server.app")
    module.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xds_server.app", module)
    arguments = ["--no-engine-spawn", "--node-ports", "21000-22000", "--http-token", "t", "--state", str(tmp_path)]
    arguments += ["--http-allowed-hosts", "a", "--http-allowed-hosts", "b", "--xds-debounce", "0.5"]
    assert load("serve").main(arguments, standalone_mode=False) == 0
    settings = seen[0]
    assert settings.engine.spawn is False
    assert settings.node.ports == (21000, 22000)
    assert settings.http.token == SecretStr("t")
    assert settings.http.allowed_hosts == ("a", "b")
    assert (settings.state, settings.xds.debounce) == (tmp_path, 0.5)


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        ({"type": "urn:shadowmesh:problems:stale", "status": 412, "detail": "d"}, StaleError, "d"),
        (
            {
                "type": "urn:shadowmesh:problems:not-found",
                "status": 404,
                "detail": "f: d (h)",
                "errors": [{"field": "f", "detail": "d", "hint": "h"}],
            },
            NotFoundError,
            "f: d (h)",
        ),
        (
            {
                "type": "urn:shadowmesh:problems:invalid",
                "status": 422,
                "detail": "a: b",
                "errors": [{"field": "a", "detail": "b", "hint": ""}, {"field": "c", "detail": "d", "hint": ""}],
            },
            InvalidFieldsError,
            "a: b",
        ),
        ({"type": "about:blank", "status": 500, "detail": "d", "hint": "h"}, ShadowmeshError, "d (h)"),
    ],
)
def test_a_problem_document_becomes_the_error_that_it_was(
    problem: dict[str, object], kind: type[ShadowmeshError], text: str
) -> None:
    error = error_of(problem)
    assert type(error) is kind
    assert str(error) == text
