"""Verdict, report, rollout and what the status shows of a verdict."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.unit.analysis.differing import a_tally, judged, seen, versions
from tests.unit.api.fake import FakeController, compared
from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_manager import HOME, Manager, running
from tests.unit.report.samples import differences, histograms, profile, two, verdict
from xds_server.cli import verdict_views, views
from xds_server.cli.output import console


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with running(Manager([profile(verdict("fail"))])) as made:
        made.more[f"{HOME}/diffs"] = {"items": differences(), "total": 6}
        made.more[f"{HOME}/profiles/catalog-v2/report"] = {"responseTimes": histograms()}
        monkeypatch.setenv("SHADOWMESH_SERVER", made.url)
        yield made


def test_the_verdict_is_a_table_of_checks(offline: Shell, manager: Manager) -> None:
    done = offline("verdict", "shop", "catalog-v2")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("FAIL  v2 of catalog, 4,810 pairs, since ")
    row = next(line for line in done.out.splitlines() if "POST /orders" in line and "Errors" in line)
    assert "Errors *" in row
    assert row.split()[-2:] == ["612", "240"]
    assert "not judged" in done.out
    assert "12 copies are missing (0.249 %): 9 refused by the circuit breaker, 3 whose answer" in done.out
    assert "under faults: " in done.out
    assert offline("verdict", "shop", "catalog-v2", "-o", "json").json == verdict("fail")


def test_on_80_columns_the_table_keeps_what_is_checked_and_where() -> None:
    out = Console(file=io.StringIO(), width=80)
    out.print(verdict_views.checks(verdict("fail")["checks"]))
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    head = shown.splitlines()[0].split()
    assert head[:3] == ["DECISION", "CHECK", "WHERE"]
    assert "INTERVAL" in head
    assert not {"ORIGINAL", "SHADOW", "PAIRS"} & set(head)
    assert any("Errors *" in line and "POST /orders" in line for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) <= 80


def test_while_one_waits_80_columns_show_what_and_where() -> None:
    out = Console(file=io.StringIO(), width=80)
    out.print(verdict_views.waiting(verdict("fail")["checks"], width=80))
    assert isinstance(out.file, io.StringIO)
    assert any("Errors" in line and "POST /orders" in line for line in out.file.getvalue().splitlines())


def test_versions_are_ranked_in_a_table(offline: Shell, manager: Manager) -> None:
    manager.profiles = [two().profile]
    out = offline("verdict", "shop", "catalog-v2").out
    ranks = [line.split()[:3] for line in out.splitlines() if line.startswith(("1 ", "2 "))]
    assert ranks == [["1", "v3", "PASS"], ["2", "v2", "FAIL"]]
    only = offline("verdict", "shop", "catalog-v2", "--variant", "v2").out
    assert only.startswith("FAIL  v2 of catalog")
    assert "v3" not in only


def test_before_anything_was_judged_it_says_so(offline: Shell, manager: Manager) -> None:
    manager.profiles = [profile(None)]
    assert "nothing was judged yet" in offline("verdict", "shop", "catalog-v2").out
    assert offline("verdict", "shop", "catalog-v2", "-o", "json").out == "null\n"


def test_the_status_shows_each_verdict_with_the_worst_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    found = verdict("fail")
    found["reasons"] += ["a fourth reason", "a fifth reason"]
    data = {"name": "shop", "virtualNetworkID": "n", "envoys": [], "profiles": [profile(found), profile(None)]}
    for each in data["profiles"][0]["instances"], data["profiles"][1]["instances"]:  # type: ignore[index]
        each.clear()
    for each in data["profiles"]:  # type: ignore[attr-defined]
        each["comparison"] = None
    for part in views.status(data):
        console().print(part)
    out = capsys.readouterr().out
    assert out.count("verdict FAIL  v2 of catalog, 4,810 pairs, since ") == 1
    assert "GET /items/{id}: error_rate is 4.1 percentage points above" in out
    assert "a fourth reason" not in out
    assert "and 2 more reasons" in out


@pytest.mark.parametrize(
    ("options", "name", "begin"),
    [
        ((), "report.html", "<!doctype html>"),
        (("-o", "x.md"), "x.md", "### "),
        (("-o", "x.xml"), "x.xml", "<?xml"),
        (("--format", "json"), "report.json", "{"),
        (("-o", "x.txt", "--format", "junit"), "x.txt", "<?xml"),
    ],
)
def test_a_report_is_written_in_the_form_of_its_name(
    offline: Shell,
    manager: Manager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    options: tuple[str, ...],
    name: str,
    begin: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = offline("report", "shop", "catalog-v2", *options)
    assert (done.code, done.out) == (0, f"{name} written: FAIL\n")
    assert (tmp_path / name).read_text().startswith(begin)


def test_a_report_goes_to_standard_output_too(offline: Shell, manager: Manager) -> None:
    out = offline("report", "shop", "catalog-v2", "-o", "-").out
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>")


def test_the_api_of_a_manager_has_all_that_a_report_needs(shell: Shell, shop: Path, desk: FakeController) -> None:
    assert shell("apply", "-f", str(shop)).code == 0
    tally = a_tally()
    judged(tally, 20, trios=10)
    seen(tally, "$.price", count=7)
    tally.endpoints["GET /items/{id}"].shadow.response.add(0.012)
    desk.sources = [replace(source, profile="catalog-v2") for source in versions(tally)]
    desk.views = {name: replace(view, comparison=compared()) for name, view in desk.views.items()}
    found = shell("report", "shop", "catalog-v2", "--format", "json", "-o", "-").json
    assert (found["decision"], found["comparison"]["pairs"]) == ("INCONCLUSIVE", 2)
    assert [each["field"] for each in found["differences"]] == ["$.price"]
    assert [each["endpoint"] for each in found["responseTimes"]["endpoints"]] == ["", "GET /items/{id}"]
    page = shell("report", "shop", "catalog-v2", "-o", "-").out
    assert "<code>$.price</code> another value in 7 pairs" in page
    assert "Response times of GET /items/{id}" in page


def test_a_file_whose_name_tells_no_form_is_refused(offline: Shell, manager: Manager) -> None:
    done = offline("report", "shop", "catalog-v2", "-o", "report.pdf")
    assert done.code == 2
    assert "does not tell how to write it" in done.err
    assert manager.asked == []


def test_a_deleted_profile_has_a_report_without_a_verdict(offline: Shell, manager: Manager) -> None:
    old = profile(None, variants=["v2"], endedAt="2026-05-04T10:00:00Z")
    manager.more[f"{HOME}/archive/old"] = {k: v for k, v in old.items() if k not in {"verdict", "instances"}}
    done = offline("report", "shop", "old", "-o", "-")
    assert done.code == 0
    assert "the archive keeps the comparison, not the verdict" in done.out
    assert "&#34;12.50&#34;" in done.out
    assert offline("report", "shop", "older", "-o", "-").code == 3


@pytest.mark.parametrize("command", ["verdict", "gate"])
def test_of_a_deleted_profile_it_is_said_what_there_still_is(offline: Shell, manager: Manager, command: str) -> None:
    manager.more[f"{HOME}/archive/old"] = profile(None)
    done = offline(command, "shop", "old")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "it was deleted; shadowmesh report still has its comparison" in done.err
    assert "deleted" not in offline(command, "shop", "older").err


@pytest.mark.parametrize("action", ["pause", "resume", "promote", "abort"])
def test_a_rollout_is_steered(offline: Shell, manager: Manager, action: str) -> None:
    path = f"{HOME}/profiles/catalog-v2/rollout"
    rollout = {"step": 2, "steps": 2, "state": "paused", "reason": "by hand"}
    manager.more[path] = profile(None, rollout=rollout)
    done = offline("rollout", action, "shop", "catalog-v2")
    assert (done.code, manager.posted) == (0, [(path, {"action": action})])
    assert done.out == "profile/catalog-v2 is paused, step 2 of 2: by hand\n"


def test_an_unknown_action_is_refused(offline: Shell, manager: Manager) -> None:
    assert offline("rollout", "undo", "shop", "catalog-v2").code == 2
    assert manager.posted == []
