"""What a point is judged by finds what is planted: holes in an archive, in a trail."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos import looks
from tests.chaos.act import Act
from tests.chaos.points import Blow, Moment, Point
from tests.envoy.stack import JSON

SENT = 400


class _Desk:
    """Answers what a test says."""

    def __init__(self, *, comparison: JSON | None = None, events: tuple[JSON, ...] = ()) -> None:
        self._comparison, self._events = comparison, events

    async def insist(self, _method: str, path: str) -> Any:
        assert path == f"{looks.ARCHIVE}/p"
        comparison = self._comparison
        return SimpleNamespace(is_success=comparison is not None, json=lambda: {"comparison": comparison})

    async def trail(self, after: str) -> list[JSON]:
        assert after == "7"
        return list(self._events)


def _act(desk: _Desk, blow: Blow = Blow.KILL_SHADOW) -> Any:
    theatre = SimpleNamespace(counted=lambda _: (SENT, 0.0))
    counters = SimpleNamespace(seen={"i": {0: SENT - 3}})
    made: Any = Act(theatre, None, counters, desk, Point(1, blow, Moment.DELETE, 0.0, 0.0))  # type: ignore[arg-type]
    made._profile, made._deleted, made._struck = "p", ["p"], ["i"]
    return made


@pytest.mark.parametrize(
    ("comparison", "blow", "wrong"),
    [
        ({"pairs": SENT, "lost": {}}, Blow.KILL_SHADOW, False),
        ({"pairs": SENT - 60, "lost": {"als_gap": 60, "unpaired_original": 60}}, Blow.KILL_SHADOW, False),
        ({"pairs": SENT - 60, "lost": {"unpaired_original": 60, "late_original": 60}}, Blow.KILL_SHADOW, True),
        ({"pairs": SENT + 60, "lost": {}}, Blow.KILL_SHADOW, True),
        ({"pairs": SENT - 140, "lost": {}}, Blow.KILL_ENGINE, False),
        ({"pairs": SENT - 160, "lost": {}}, Blow.KILL_ENGINE, True),
        (None, Blow.KILL_ENGINE, True),
    ],
)
async def test_a_hole_in_the_archive_of_the_profile_that_was_struck_is_wrong(
    monkeypatch: pytest.MonkeyPatch, comparison: JSON | None, blow: Blow, *, wrong: bool
) -> None:
    monkeypatch.setattr(looks, "ADDED_UP", 2.5)
    made = _act(_Desk(comparison=comparison), blow)
    await made._judge_struck_books()
    assert made.result.struck_sent == SENT
    assert bool(made.result.wrong) is wrong


def _event(number: int, **fields: str) -> JSON:
    return {"eventID": number, "kind": "instance", "instanceID": "i", "why": "", **fields}


WHOLE = (
    _event(8, event="created", to="Pending"),
    _event(9, **{"event": "ready", "from": "Pending", "to": "Running"}),
    _event(10, **{"event": "exited", "from": "Running", "to": "Failed", "why": "killed"}),
    {"eventID": 11, "kind": "profile", "profileID": "p", "event": "gone", "why": ""},
)


@pytest.mark.parametrize("left_out", [None, 0, 1, 2, 3])
async def test_a_hole_in_the_trail_is_wrong(left_out: int | None) -> None:
    made = _act(_Desk(events=tuple(each for number, each in enumerate(WHOLE) if number != left_out)))
    await made._judge_trail("7")
    assert bool(made.result.wrong) is (left_out is not None)
