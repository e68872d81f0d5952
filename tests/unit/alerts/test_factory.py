"""Which sinks there are, and what is refused before anything starts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from xds_server.alerts.sinks.factory import make_sinks
from xds_server.config import AlertSettings, Settings
from xds_server.errors import InvalidError


def made(**given: Any) -> list[tuple[str, str]]:
    return [(s.name, s.target) for s in make_sinks(AlertSettings(**given), now=lambda: datetime.now(UTC))]


def test_the_settings_choose_the_sinks() -> None:
    assert made() == [("log", "standard error")]
    assert made(
        log=False,
        alertmanager=("http://127.0.0.1:9093", "https://am.example/prefix/"),
        webhook="https://hooks.example/services/T0/secret",
    ) == [
        ("alertmanager", "http://127.0.0.1:9093"),
        ("alertmanager-2", "https://am.example"),
        ("webhook", "https://hooks.example"),
    ]


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADOWMESH_ALERTS_ALERTMANAGER", "http://a:1, http://b:2")
    monkeypatch.setenv("SHADOWMESH_ALERTS_WEBHOOK", "http://c/planted-secret")
    settings = Settings().alerts
    assert settings.alertmanager == ("http://a:1", "http://b:2")
    assert settings.webhook is not None
    assert "planted-secret" not in repr(settings)


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://a/secret", "http://", "http://a:99999/", "http://[::1/secret"])
def test_a_bad_url_is_one_line_that_names_the_setting_and_not_the_url(url: str) -> None:
    with pytest.raises(InvalidError) as refused:
        made(webhook=url)
    assert refused.value.field == "alerts.webhook"
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    with pytest.raises(InvalidError):
        made(alertmanager=(url,)) if url else made(alertmanager=("http://",))


def test_a_file_of_certificates_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(InvalidError, match=r"alerts.ca_file"):
            made(webhook="https://a/", ca_file=tmp_path / name)
