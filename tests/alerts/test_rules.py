"""The rules for Prometheus, checked by its own tool."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.alerts.conftest import ROOT

MANIFESTS = ROOT / "manifests/prometheus"


def promtool(tools: Path, *words: str) -> str:
    done = subprocess.run([tools / "promtool", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_and_the_scrape_config_are_right(tools: Path) -> None:
    assert "SUCCESS" in promtool(tools, "check", "rules", str(MANIFESTS / "rules.yaml"))
    assert "SUCCESS" in promtool(tools, "check", "config", str(MANIFESTS / "prometheus.yaml"))


def test_each_rule_fires_when_it_should_and_only_then(tools: Path) -> None:
    assert "SUCCESS" in promtool(tools, "test", "rules", str(MANIFESTS / "rules_test.yaml"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("rate5m > 0.05", "rate5m > 0.2"),
        ('unless (sum without (instance, job, status) (shadowmesh_shadows{status="Running"}) > 0)', ""),
        ("sum without (instance, job) (increase(shadowmesh_pairs_total[10m]))", "0"),
        ("sink_up) == 0", "sink_up) == 2"),
        ('up{job="shadowmesh"} == 0', 'up{job="shadowmesh"} == 7'),
    ],
)
def test_the_tests_of_the_rules_can_fail(tools: Path, tmp_path: Path, right: str, wrong: str) -> None:
    text = (MANIFESTS / "rules.yaml").read_text()
    assert right in text
    (tmp_path / "rules.yaml").write_text(text.replace(right, wrong))
    shutil.copy(MANIFESTS / "rules_test.yaml", tmp_path)
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(tools, "test", "rules", str(tmp_path / "rules_test.yaml"))
