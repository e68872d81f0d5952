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
