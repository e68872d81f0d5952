"""The gate of a pipeline: what it waits for, and what its exit code says."""

import io
import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_manager import AWAY, HOME, Manager, running
from tests.unit.report.samples import HOSTILE, differences, histograms, instance, poisoned, profile, two, verdict
from xds_server.cli import gating
from xds_server.cli.gating import Look, settled, span, wait
from xds_server.cli.verdict_views import line, progress
from xds_server.errors import UnavailableError
from xds_server.report.subject import Subject

Json = dict[str, Any]
GATE = ("gate", "shop", "catalog-v2", "--interval", "0.05")
UNDECIDED = verdict("pass") | {"decision": "INCONCLUSIVE", "reasons": ["too few pairs"]}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with running(Manager([profile(verdict("pass"))])) as made:
        made.more[f"{HOME}/diffs"] = {"items": differences(), "total": 6}
        made.more[f"{HOME}/profiles/catalog-v2/report"] = {"responseTimes": histograms()}
        monkeypatch.setenv("SHADOWMESH_SERVER", made.url)
        yield made


@pytest.mark.parametrize(("name", "code"), [("pass", 0), ("fail", 1)])
def test_a_decision_ends_it_at_once_and_is_the_exit_code(
    offline: Shell, manager: Manager, name: str, code: int
) -> None:
    manager.profiles = [profile(verdict(name))]
    done = offline(*GATE)
    assert done.code == code
    assert done.out.startswith(f"{name.upper()}  v2 of catalog, ")
    assert "Response time p99" in done.out
    assert done.err == ""
    assert len(manager.asked) == 1


def test_it_waits_until_there_is_a_decision(offline: Shell, manager: Manager) -> None:
    manager.profiles = [profile(None), profile(UNDECIDED), profile(verdict("fail"))]
    done = offline(*GATE)
    assert (done.code, len(manager.asked)) == (1, 3)
    first = done.err.splitlines()[0]
    assert first.startswith("INCONCLUSIVE, 0 pairs, 10m 00s left")


@pytest.mark.parametrize("arguments", [("gate", "shop", "unknown"), (*GATE, "--timeout", "soon")])
def test_a_gate_that_ends_with_an_error_leaves_no_old_report(
    offline: Shell, manager: Manager, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (old := tmp_path / "old.xml").write_text("PASS")
    (tmp_path / "link.md").symlink_to(aim := tmp_path / "aim.md")
    aim.write_text("PASS")
    done = offline(*arguments, "--junit", str(old), "--markdown", str(tmp_path / "link.md"), "--json", "/dev/null")
    assert done.code not in {0, 1, 2}
    assert (old.exists(), aim.exists(), Path("/dev/null").exists()) == (False, False, True)


def test_two_reports_to_one_file_are_refused(offline: Shell, manager: Manager, tmp_path: Path) -> None:
    done = offline(*GATE, "--junit", str(tmp_path / "x"), "--json", f"{tmp_path}/../{tmp_path.name}/x")
    assert (done.code, manager.asked) == (7, [])
    assert "is that of --junit too" in done.err
    assert offline(*GATE, "--junit", "/dev/null", "--json", "/dev/null").code == 0


def test_when_the_time_is_over_it_is_inconclusive_and_the_reports_are_written(
    offline: Shell, manager: Manager, tmp_path: Path
) -> None:
    manager.profiles = [profile(UNDECIDED)]
    done = offline(*GATE, "--timeout", "2s", "--junit", str(tmp_path / "j.xml"))
    assert done.code == 2
    assert "no decision within 2s" in done.out
    assert len(manager.asked) > 2
    assert "no decision within 2s" in (tmp_path / "j.xml").read_text()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            profile(UNDECIDED, ended=True, instances=[instance(status="Stopped"), instance("control", control=True)]),
            "no shadow is running, so nothing more can be judged: v2 is Stopped (its time to live is over)",
        ),
        (
            profile(None, instances=[instance(status="Failed") | {"reason": "exited with code 1"}]),
            "nothing more can be judged: v2 is Failed (exited with code 1)",
        ),
        (profile(None, ended=True, instances=[]), "no shadow is running"),
    ],
)
def test_when_nothing_more_can_be_judged_it_is_inconclusive_at_once(
    offline: Shell, manager: Manager, document: Json, reason: str
) -> None:
    manager.profiles = [document]
    begin = time.monotonic()
    done = offline(*GATE)
    assert (done.code, len(manager.asked)) == (2, 1)
    assert reason in done.out
    assert time.monotonic() - begin < 60


def test_what_has_ended_with_a_decision_keeps_it(offline: Shell, manager: Manager) -> None:
    manager.profiles = [profile(verdict("fail"), ended=True, instances=[instance(status="Stopped")])]
    assert offline(*GATE).code == 1


def test_a_new_instance_of_a_version_that_ended_is_waited_for() -> None:
    again = profile(None, instances=[instance(status="Stopped"), instance(status="Pending")])
    assert settled(Subject.now("shop", again)) is None


def test_one_version_of_several_has_its_own_exit_code(offline: Shell, manager: Manager) -> None:
    manager.profiles = [two().profile]
    assert offline(*GATE).code == 0
    assert offline(*GATE, "--variant", "v3").code == 0
    assert offline(*GATE, "--variant", "v2").code == 1
    done = offline(*GATE, "--variant", "v4")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert 'has no variant "v4" (one of v2, v3)' in done.err


BEFORE, AFTER = "2026-05-04T09:30:00Z", "2026-05-04T09:40:00Z"
"""The verdicts are of a moment between them."""


@pytest.mark.parametrize(
    ("step", "state", "since", "decision", "result"),
    [
        (1, "running", BEFORE, "pass", None),
        (2, "running", BEFORE, "pass", ""),
        (2, "running", AFTER, "pass", None),
        (1, "paused", BEFORE, "pass", None),
        (1, "running", BEFORE, "fail", ""),
        (2, "done", AFTER, "pass", ""),
        (2, "aborted", AFTER, "pass", "the rollout was aborted: by hand"),
        (2, "running", "soon", "pass", None),
    ],
)
def test_of_a_profile_with_steps_only_the_pass_of_the_last_one_counts(
    step: int, state: str, since: str, decision: str, result: str | None
) -> None:
    rollout = {"step": step, "steps": 2, "state": state, "since": since, "reason": "by hand"}
    assert settled(Subject.now("shop", profile(verdict(decision), rollout=rollout))) == result


def test_a_rollout_that_a_person_led_to_its_end_has_no_verdict() -> None:
    rollout = {"step": 2, "steps": 2, "state": "done", "since": AFTER, "reason": "all users are at v2"}
    found = settled(Subject.now("shop", profile(UNDECIDED, rollout=rollout)))
    assert found == "the rollout is done, without a verdict of its last step: all users are at v2"


def test_an_aborted_rollout_is_no_pass(offline: Shell, manager: Manager) -> None:
    rollout = {"step": 2, "steps": 2, "state": "aborted", "since": AFTER, "reason": "by hand"}
    manager.profiles = [profile(verdict("pass"), rollout=rollout)]
    done = offline(*GATE)
    assert done.code == 2
    assert "the rollout was aborted: by hand" in done.out


def test_a_manager_that_goes_away_is_waited_for(offline: Shell, manager: Manager) -> None:
    manager.profiles = [profile(UNDECIDED), AWAY, AWAY, profile(verdict("pass"))]
    done = offline(*GATE)
    assert (done.code, len(manager.asked)) == (0, 4)
    assert "not reached: " in done.err


def test_a_manager_that_stays_away_is_an_error_when_the_time_is_over(offline: Shell, manager: Manager) -> None:
    manager.profiles = [profile(UNDECIDED), AWAY]
    done = offline(*GATE, "--timeout", "300ms")
    assert done.code == 6
    assert done.err.splitlines()[-1].startswith(f"error: {manager.url}")


def test_a_manager_that_was_never_there_is_an_error_before_that(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1000))

    def read() -> Json:
        raise UnavailableError("no manager")

    looks: list[Look] = []
    with pytest.raises(UnavailableError):
        wait(
            read,
            network="shop",
            variant="",
            timeout=600,
            interval=1,
            show=looks.append,
            clock=lambda: float(next(moments)),
            sleep=lambda _: None,
        )
    assert len(looks) == gating.START - 1
    assert line(looks[0]) == "waiting for a manager, 9m 59s left, not reached: no manager"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("gate", "shop", "nope"), 3, "not there"),
        (("gate", "no such network", "p"), 7, "is no name or id"),
        (("gate", "shop"), 7, "Missing argument"),
        (("gate", "shop", "catalog-v2", "--bogus"), 7, "No such option"),
        (("gate", "shop", "catalog-v2", "--timeout", "soon"), 7, "--timeout"),
        (("gate", "shop", "catalog-v2", "--interval", "0"), 7, "--interval"),
        (("gate", "shop", "catalog-v2", "--junit", "/no/such/folder/j.xml"), 7, "--junit"),
        (("gate", "shop", "catalog-v2", "--junit", "-", "--json", "-"), 7, "only one report fits"),
    ],
)
def test_no_error_is_taken_for_a_decision(
    offline: Shell, manager: Manager, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = offline(*arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_the_unexpected_is_no_fail(offline: Shell, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.profiles = [profile(verdict("pass")) | {"instances": 7, "verdict": None}]
    done = offline(*GATE)
    assert (done.code, done.err[:17]) == (7, "error: unexpected")
    manager.profiles = [{"type": "urn:shadowmesh:problems:internal", "status": 500, "detail": "broken"}]
    assert offline(*GATE).code == 7


def test_nobody_who_reads_is_no_pass(offline: Shell, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("xds_server.cli.commands.gate.put", closed)
    monkeypatch.setattr("xds_server.cli.entry.os.dup2", lambda *_: None)
    assert offline(*GATE, "--json", "-").code == 7


def test_reports_are_written_in_every_form(offline: Shell, manager: Manager, tmp_path: Path) -> None:
    manager.profiles = [profile(verdict("fail"))]
    files = {name: tmp_path / f"report.{name}" for name in ("junit", "markdown", "json")}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    assert offline(*GATE, *options, "--quiet") == type(offline(*GATE))(1, "", "")
    assert ET.parse(files["junit"]).getroot().tag == "testsuites"  # noqa: S314 - our own
    assert files["markdown"].read_text().startswith("### ❌ FAIL")
    assert "<code>/price</code>" in files["markdown"].read_text()
    found = json.loads(files["json"].read_text())
    assert (found["decision"], len(found["differences"])) == ("FAIL", 6)


def test_a_report_on_standard_output_is_alone_there(offline: Shell, manager: Manager) -> None:
    done = offline(*GATE, "--json", "-")
    assert done.json["decision"] == "PASS"
    assert done.err.startswith("PASS  v2 of catalog")
    assert offline(*GATE, "--json", "-", "--quiet").err == ""


def test_differences_that_are_gone_do_not_hide_the_decision(offline: Shell, manager: Manager) -> None:
    manager.more.clear()
    done = offline(*GATE, "--json", "-", "-q")
    assert (done.code, done.json["differences"]) == (0, [])


def test_hostile_names_are_harmless(offline: Shell, manager: Manager, tmp_path: Path) -> None:
    manager.profiles = [poisoned(profile(verdict("fail")))]
    done = offline(*GATE, "--junit", str(tmp_path / "j.xml"), "--json", str(tmp_path / "j.json"))
    assert done.code == 1
    assert "\x1b" not in done.out
    assert HOSTILE in json.loads((tmp_path / "j.json").read_text())["profile"]


def test_ctrl_c_ends_it(manager: Manager) -> None:
    manager.profiles = [profile(UNDECIDED)]
    command = [sys.executable, "-m", "xds_server.cli", *GATE, "--server", manager.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("INCONCLUSIVE")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, "")


def test_the_picture_of_the_waiting_shows_each_critical_check_against_its_limit() -> None:
    out = Console(width=160, record=True, file=io.StringIO())
    subject = Subject.now("shop", profile(verdict("fail")))
    for part in progress(Look(subject, 245.0, away="no manager"), width=160):
        out.print(part)
    text = out.export_text()
    assert "about 240 more needed, 4m 05s left" in text
    assert "not reached: no manager" in text
    assert "Response time p50" in text
    assert "p99" not in text
    row = next(each for each in text.splitlines() if "POST /orders" in each)
    assert "-0.71 to +1.18 %" in row
    assert "●━━┃─" in row
    for part in progress(Look(subject, 245.0), width=80):
        narrow = Console(width=80, file=io.StringIO())
        narrow.print(part)
        assert all(len(each.rstrip()) <= 80 for each in narrow.file.getvalue().splitlines())


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0s"), (42.4, "42s"), (60, "1m 00s"), (605, "10m 05s"), (-1, "0s")]
)
def test_time_left_reads_as_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert span(seconds) == shown
