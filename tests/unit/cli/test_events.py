"""The audit trail on the command line, and what the command line says of itself."""

import getpass
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.api.fake import FakeController
from tests.unit.api.test_events import CHANGED, READY
from tests.unit.cli.conftest import Shell
from xds_server.cli.commands import events as module
from xds_server.model.audit import AuditKind, Who


@pytest.fixture(autouse=True)
def _network(shell: Shell, shop: Any) -> None:
    assert shell("apply", "-f", str(shop)).code == 0


def test_the_trail_is_a_table_of_who_what_and_why(shell: Shell, desk: FakeController) -> None:
    desk.trail = [
        replace(CHANGED, what="catalog-v2 changed: percentage 0.5 -> 0.1\x1b[2J"),
        replace(READY, what="v2: ready", why="it did"),
    ]
    done = shell("events")
    assert done.code == 0
    head, first, second = done.out.splitlines()
    assert head.split() == ["TIME", "WHO", "KIND", "WHAT", "WHY"]
    assert '2026-01-31 12:00:00   "anna" from 10.0.0.7   profile ' in first
    assert "catalog-v2 changed: percentage 0.5 -> 0.1\\x1b[2J   ticket 7" in first
    assert "2026-01-31 12:00:01   system " in second
    assert done.err == "3 older events are gone, for want of room\n"
    assert desk.asked_events[-1].tail == 50


def test_filters_are_handed_on_and_since_shows_all(shell: Shell, desk: FakeController) -> None:
    desk.trail = [CHANGED]
    done = shell("events", "shop", "--profile", "catalog-v2", "--kind", "profile", "--since", "10m", "-o", "json")
    assert done.code == 0
    assert [item["event"] for item in done.json["items"]] == ["changed"]
    asked = desk.asked_events[-1]
    assert (asked.profile, asked.kind, asked.tail) == ("catalog-v2", AuditKind.PROFILE, None)
    assert asked.since is not None


def test_more_than_a_page_is_read_to_its_end(
    shell: Shell, desk: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    desk.trail = [replace(CHANGED, event=str(number)) for number in range(5)]
    done = shell("events", "--since", "2026-01-01T00:00:00Z", "-o", "json")
    assert [item["event"] for item in done.json["items"]] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("output", ["table", "json"])
def test_to_follow_is_to_be_shown_what_comes_once(
    shell: Shell, desk: FakeController, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    desk.trail = [replace(CHANGED, what="before")]
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise KeyboardInterrupt
        if looks == 2:
            desk.trail += [replace(CHANGED, what="first"), replace(CHANGED, what="second", who=Who(address="::1"))]

    monkeypatch.setattr(time, "sleep", sleep)
    done = shell("events", "--follow", "-o", output)
    assert done.code == 130
    lines = done.out.splitlines()
    if output == "json":
        assert [json.loads(line)["what"] for line in lines] == ["before", "first", "second"]
    else:
        assert [line.split("  ")[3] for line in lines] == ["before", "first", "second"]
        assert "  ::1  " in lines[-1]


def test_what_cannot_be_asked_for_is_one_line(shell: Shell, desk: FakeController) -> None:
    desk.trail = [CHANGED]
    done = shell("events", "--since", "yesterday")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "since" in done.err
    done = shell("events", "--profile", "cataloge")
    assert (done.code, done.err) == (3, 'error: profile: the audit trail has no profile "cataloge"\n')
    assert shell("events", "shoppe").code == 3
    assert shell("events", "--tail", "0").code == 2


def test_the_command_line_says_who_it_is_and_why(
    shell: Shell, desk: FakeController, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.acted[0][0].name.startswith(f"{getpass.getuser()}@")
    assert desk.acted[0][0].agent.startswith("shadowmesh/")
    assert desk.acted[0][1] == ""
    monkeypatch.setenv("SHADOWMESH_USER", "Jürgen Ω")
    monkeypatch.setenv("SHADOWMESH_REASON", "ticket 7, 100 %")
    shell("delete", "-f", str(shop))
    assert shell("apply", "-f", str(shop)).code == 0
    assert (desk.acted[1][0].name, desk.acted[1][1]) == ("Jürgen Ω", "ticket 7, 100 %")
