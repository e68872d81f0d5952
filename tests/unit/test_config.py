"""Settings: validated once, the environment mirrors the flags."""

import pytest
from pydantic import ValidationError

from xds_server.config import Settings


def test_a_setting_is_read_from_the_environment_variable_of_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_XDS_MAX_STREAMS", "7")
    monkeypatch.setenv("SHADOWMESH_STATE", "elsewhere")
    settings = Settings()
    assert settings.xds.max_streams == 7
    assert str(settings.state) == "elsewhere"


def test_ranges_and_lists_are_written_in_the_environment_as_people_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_NODE_PORTS", "21000-22000")
    monkeypatch.setenv("SHADOWMESH_HTTP_ALLOWED_HOSTS", "manager.example, localhost")
    settings = Settings()
    assert settings.node.ports == (21000, 22000)
    assert settings.http.allowed_hosts == ("manager.example", "localhost")


@pytest.mark.parametrize("name", ["SHADOWMESH_NODE_PORTS", "SHADOWMESH_NODE"])
def test_a_variable_that_cannot_be_read_is_refused_by_its_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "node" in refused.value.errors()[0]["loc"]


def test_everything_listens_on_loopback_unless_told_otherwise() -> None:
    settings = Settings()
    assert {settings.xds.address, settings.http.address, settings.engine.address} == {"127.0.0.1"}


def test_a_port_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_HTTP_PORT", "70000")
    with pytest.raises(ValidationError, match="less than or equal to 65535"):
        Settings()


def test_a_token_does_not_show_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_HTTP_TOKEN", "planted-secret")
    assert "planted-secret" not in repr(Settings())
