"""The table, row by row, and its print in the docs."""

from pathlib import Path

import pytest

from xds_server.errors import ConflictError
from xds_server.lifecycle.transitions import IGNORED, TABLE, Action, Event, Status, Step, markdown, pairs, transition
from xds_server.model.shadow import InstanceStatus

PENDING, RUNNING = InstanceStatus.PENDING, InstanceStatus.RUNNING
STOPPED, FAILED = InstanceStatus.STOPPED, InstanceStatus.FAILED
ENDED = (STOPPED, FAILED)
DOCS = Path(__file__).parents[3] / "docs" / "lifecycle.md"


@pytest.mark.parametrize(("pair", "step"), TABLE.items(), ids=str)
def test_every_row_of_the_table_is_what_a_transition_gives(pair: tuple[Status, Event], step: Step) -> None:
    assert transition(*pair) is step


def test_no_pair_is_both_a_row_and_ignored() -> None:
    assert not IGNORED & TABLE.keys()


def test_every_pair_is_defined() -> None:
    for status, event in pairs():
        if (status, event) in TABLE or (status, event) in IGNORED:
            assert transition(status, event).to is not None or status is None
        else:
            with pytest.raises(ConflictError, match="cannot happen"):
                transition(status, event)


def test_an_ignored_event_changes_nothing() -> None:
    for status, event in IGNORED:
        assert transition(status, event) == Step(status)


def test_what_has_ended_never_comes_back() -> None:
    for (status, _), step in TABLE.items():
        if status in ENDED:
            assert step.to is status
            assert Action.START not in step.actions
            assert Action.PUBLISH not in step.actions


def test_only_ready_makes_a_shadow_running() -> None:
    ways = {event for (status, event), step in TABLE.items() if step.to is RUNNING and status is not RUNNING}
    assert ways == {Event.READY}


def test_a_running_shadow_is_no_longer_mirrored_to_before_it_is_stopped() -> None:
    for (status, _), step in TABLE.items():
        if status is RUNNING and Action.STOP in step.actions:
            assert step.actions.index(Action.PUBLISH) < step.actions.index(Action.STOP)
            if step.to is STOPPED:
                assert step.actions.index(Action.SETTLE) < step.actions.index(Action.STOP)


def test_the_intent_to_end_is_recorded_before_anything_is_stopped() -> None:
    for (status, _), step in TABLE.items():
        if Action.STOP in step.actions and status not in ENDED:
            assert step.actions.index(Action.RECORD) < step.actions.index(Action.STOP)


def test_mirroring_to_a_dead_shadow_stops_before_anything_else() -> None:
    assert transition(RUNNING, Event.EXITED).actions[0] is Action.PUBLISH


def test_every_end_is_forgotten_in_the_end() -> None:
    for step in TABLE.values():
        assert (Action.STOP in step.actions) == (Action.FORGET in step.actions)
        if step.to in ENDED:
            assert step.actions[-1] is Action.FORGET


def test_every_event_and_every_action_is_used() -> None:
    assert {event for _, event in TABLE} == set(Event)
    assert {action for step in TABLE.values() for action in step.actions} == set(Action)


def test_the_docs_print_this_very_table() -> None:
    assert markdown() in DOCS.read_text()
