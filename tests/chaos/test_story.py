"""A trail that is no story is found out."""

from typing import Any

import pytest

from tests.chaos.story import broken
from tests.envoy.stack import JSON


def _step(number: int, event: str, before: str | None, after: str, why: str = "") -> JSON:
    told = {"eventID": number, "kind": "instance", "instanceID": "i", "event": event, "to": after, "why": why}
    return told | ({"from": before} if before else {})


WHOLE: list[JSON] = [
    {"eventID": 1, "kind": "network", "event": "created", "why": ""},
    _step(2, "created", None, "Pending"),
    _step(3, "ready", "Pending", "Running"),
    _step(4, "found alive", "Running", "Running"),
    _step(5, "exited", "Running", "Failed", "killed"),
]


def test_a_whole_life_is_a_story() -> None:
    assert broken(WHOLE, {"i": "Failed"}) == []
    assert broken(WHOLE, {}) == []
    assert broken([*WHOLE[:3], WHOLE[4]], {}) == []
    assert broken([*WHOLE, _step(6, "found alive", "Failed", "Failed")], {}) == []


@pytest.mark.parametrize(
    ("left_out", "changed", "living"),
    [
        (1, {}, {}),
        (2, {}, {}),
        (4, {}, {}),
        (None, {}, {"i": "Running"}),
        (None, {}, {"j": "Running"}),
        (None, {4: {"why": ""}}, {}),
        (None, {3: {"to": "Stopped"}, 4: {"from": "Stopped"}}, {}),
        (None, {4: {"eventID": 3}}, {}),
    ],
)
def test_what_is_left_out_or_wrong_is_found(
    left_out: int | None, changed: dict[int, Any], living: dict[str, str]
) -> None:
    events = [each | changed.get(number, {}) for number, each in enumerate(WHOLE) if number != left_out]
    assert broken(events, living)
