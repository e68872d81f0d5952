"""The command line and a manager that wants a token; and the proxies of the environment."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.unit.cli.conftest import Shell
from xds_server.config import HttpSettings


@pytest.fixture
def http() -> HttpSettings:
    return HttpSettings(token=SecretStr("open-sesame"))


def test_writes_are_refused_without_the_token_and_reads_are_not(shell: Shell, shop: Path) -> None:
    for arguments in (["apply", "-f", str(shop)], ["apply", "-f", str(shop), "--token", "another"]):
        done = shell(*arguments)
        assert (done.code, done.out) == (5, "")
        assert "Authorization" in done.err
    assert shell("get", "networks", "-o", "json").json == {"items": []}


@pytest.mark.parametrize("variable", ["SHADOWMESH_TOKEN", "SHADOWMESH_HTTP_TOKEN"])
def test_the_token_is_taken_from_the_environment(
    shell: Shell, shop: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "open-sesame")
    assert shell("apply", "-f", str(shop)).code == 0
    assert shell("delete", "-f", str(shop)).code == 0


def test_a_manager_on_this_machine_is_asked_past_the_proxies(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert shell("get", "networks", "--token", "open-sesame").code == 0
