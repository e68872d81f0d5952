"""The life of a shadow instance as a table: (status, event) -> (status, actions).

Guarantees: every pair of a status and an event is defined: a transition, nothing to do (a late event), or impossible
(then `transition` raises, and nothing has changed). The same table is printed in docs/lifecycle.md; a test holds the
two together. Pure: no I/O, no clock.
Not guaranteed: that an action succeeds; the actor that performs them says what happens then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from xds_server.errors import ConflictError
from xds_server.model.shadow import InstanceStatus

Status = InstanceStatus | None
"""None: there is no instance (of this variant of this profile)."""


class Event(StrEnum):
    """What can happen to an instance."""

    CREATED = "created"
    READY = "ready"
    READINESS_FAILED = "readiness failed"
    EXITED = "exited"
    TTL_OVER = "TTL over"
    TTL_CHANGED = "TTL changed"
    PROFILE_DELETED = "profile deleted"
    PERCENTAGE_ZERO = "percentage to 0"
    PERCENTAGE_LOWERED = "percentage lowered"
    PERCENTAGE_RAISED = "percentage raised"
    NETWORK_DELETED = "network deleted"
    COMPONENT_CHANGED = "component changed"
    COMPONENT_REMOVED = "component removed"
    MANAGER_STOPPING = "manager stopping"
    MANAGER_LEAVING = "manager stopping, shadows kept"
    FOUND_ALIVE = "manager restarted, found alive"
    FOUND_DEAD = "manager restarted, found dead"
    FOUND_UNSTARTED = "manager restarted, never started"


class Action(StrEnum):
    """What is done about it, one after the other."""

    START = "start"
    """Have the runtime start it, record its handle, and wait until it is ready."""
    AWAIT = "await readiness"
    """It runs already: wait until it is ready."""
    WATCH = "watch"
    """Wait for it to end."""
    RECORD = "record"
    """Write status and reason to the store; the faults of an ended instance are dropped with it."""
    PUBLISH = "publish"
    """Give the Envoys what the statuses say now: mirrored to is what is Running."""
    DRAIN = "drain"
    """In a split, real users first: its weight goes to 0, Envoys ACK that, and what is under way gets its time (both
    bounded). In mode shadow, nothing."""
    SETTLE = "settle"
    """Wait (bounded) until the Envoys have ACKed that, so that no copy is sent to what is about to stop."""
    STOP = "stop"
    """Have the runtime end it and clear up."""
    EXTEND = "extend"
    """Tell the runtime the new deadline."""
    FORGET = "forget"
    """Record that nothing of it is left."""
    LEAVE = "leave"
    """Let go of it without ending it."""


@dataclass(frozen=True, slots=True)
class Step:
    """The status after an event, and what is done, in order."""

    to: Status
    actions: tuple[Action, ...] = ()


_PENDING, _RUNNING = InstanceStatus.PENDING, InstanceStatus.RUNNING
_STOPPED, _FAILED = InstanceStatus.STOPPED, InstanceStatus.FAILED
_E, _A = Event, Action

_CLEAR = (_A.STOP, _A.FORGET)
_ABANDON = (_A.RECORD, *_CLEAR)
"""End what was never mirrored to: the intent first, then the deed."""
_RETIRE = (_A.RECORD, _A.DRAIN, _A.PUBLISH, _A.SETTLE, *_CLEAR)
"""End what is mirrored to: mirroring goes first (make before break, and back)."""

TABLE: dict[tuple[Status, Event], Step] = {
    (None, _E.CREATED): Step(_PENDING, (_A.START,)),
    (None, _E.PERCENTAGE_RAISED): Step(_PENDING, (_A.START,)),
    (_PENDING, _E.READY): Step(_RUNNING, (_A.RECORD, _A.PUBLISH, _A.WATCH)),
    (_PENDING, _E.READINESS_FAILED): Step(_FAILED, _ABANDON),
    (_PENDING, _E.EXITED): Step(_FAILED, _ABANDON),
    (_PENDING, _E.TTL_OVER): Step(_STOPPED, _ABANDON),
    (_PENDING, _E.TTL_CHANGED): Step(_PENDING, (_A.EXTEND,)),
    (_PENDING, _E.PROFILE_DELETED): Step(_STOPPED, _ABANDON),
    (_PENDING, _E.NETWORK_DELETED): Step(_STOPPED, _ABANDON),
    (_PENDING, _E.COMPONENT_REMOVED): Step(_STOPPED, _ABANDON),
    (_PENDING, _E.MANAGER_STOPPING): Step(_STOPPED, _ABANDON),
    (_PENDING, _E.MANAGER_LEAVING): Step(_PENDING, (_A.LEAVE,)),
    # Its TTL may have been moved, and the runtime not have been told.
    (_PENDING, _E.FOUND_ALIVE): Step(_PENDING, (_A.AWAIT, _A.EXTEND)),
    (_PENDING, _E.FOUND_DEAD): Step(_FAILED, _ABANDON),
    (_PENDING, _E.FOUND_UNSTARTED): Step(_PENDING, (_A.START,)),
    # A dead shadow answers nothing: mirroring stops before anything is written.
    (_RUNNING, _E.EXITED): Step(_FAILED, (_A.PUBLISH, _A.RECORD, *_CLEAR)),
    (_RUNNING, _E.TTL_OVER): Step(_STOPPED, _RETIRE),
    (_RUNNING, _E.TTL_CHANGED): Step(_RUNNING, (_A.EXTEND,)),
    (_RUNNING, _E.PROFILE_DELETED): Step(_STOPPED, _RETIRE),
    (_RUNNING, _E.NETWORK_DELETED): Step(_STOPPED, _RETIRE),
    (_RUNNING, _E.COMPONENT_REMOVED): Step(_STOPPED, _RETIRE),
    (_RUNNING, _E.COMPONENT_CHANGED): Step(_RUNNING, (_A.PUBLISH,)),
    (_RUNNING, _E.PERCENTAGE_ZERO): Step(_RUNNING, (_A.PUBLISH,)),
    (_RUNNING, _E.PERCENTAGE_LOWERED): Step(_RUNNING, (_A.PUBLISH,)),
    (_RUNNING, _E.PERCENTAGE_RAISED): Step(_RUNNING, (_A.PUBLISH,)),
    (_RUNNING, _E.MANAGER_STOPPING): Step(_STOPPED, _RETIRE),
    (_RUNNING, _E.MANAGER_LEAVING): Step(_RUNNING, (_A.LEAVE,)),
    (_RUNNING, _E.FOUND_ALIVE): Step(_RUNNING, (_A.PUBLISH, _A.WATCH, _A.EXTEND)),
    (_RUNNING, _E.FOUND_DEAD): Step(_FAILED, (_A.PUBLISH, _A.RECORD, *_CLEAR)),
    # Ended before the restart, and the end was not finished.
    (_STOPPED, _E.FOUND_ALIVE): Step(_STOPPED, _CLEAR),
    (_STOPPED, _E.FOUND_DEAD): Step(_STOPPED, _CLEAR),
    (_FAILED, _E.FOUND_ALIVE): Step(_FAILED, _CLEAR),
    (_FAILED, _E.FOUND_DEAD): Step(_FAILED, _CLEAR),
}
"""Every pair that changes something."""

_ANY_TIME = (
    _E.PROFILE_DELETED,
    _E.NETWORK_DELETED,
    _E.COMPONENT_CHANGED,
    _E.COMPONENT_REMOVED,
    _E.MANAGER_STOPPING,
    _E.MANAGER_LEAVING,
    _E.PERCENTAGE_ZERO,
    _E.PERCENTAGE_LOWERED,
)
_LATE = (*_ANY_TIME, _E.PERCENTAGE_RAISED, _E.READY, _E.READINESS_FAILED, _E.EXITED, _E.TTL_OVER, _E.TTL_CHANGED)

IGNORED: frozenset[tuple[Status, Event]] = frozenset(
    [
        *((None, event) for event in _ANY_TIME),
        (_PENDING, _E.PERCENTAGE_ZERO),
        (_PENDING, _E.PERCENTAGE_LOWERED),
        (_PENDING, _E.PERCENTAGE_RAISED),
        (_PENDING, _E.COMPONENT_CHANGED),
        *((ended, event) for ended in (_STOPPED, _FAILED) for event in _LATE),
        (_STOPPED, _E.FOUND_UNSTARTED),
        (_FAILED, _E.FOUND_UNSTARTED),
    ]
)
"""Pairs that may happen (two events can cross) and change nothing. The rest is impossible."""


def transition(status: Status, event: Event) -> Step:
    """Return what an event does to an instance of this status.

    Raises:
        ConflictError: the event cannot happen to it.
    """
    step = TABLE.get((status, event))
    if step is not None:
        return step
    if (status, event) in IGNORED:
        return Step(status)
    raise ConflictError(f'"{event}" cannot happen to {_name(status)}', hint="see the table in docs/lifecycle.md")


def pairs() -> Iterator[tuple[Status, Event]]:
    """Return every pair of a status and an event."""
    return ((status, event) for status in (None, *InstanceStatus) for event in Event)


def markdown() -> str:
    """Return the table as it is printed in docs/lifecycle.md."""
    lines = ["| status | event | becomes | then |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {_title(status)} | {event} | {_title(step.to)} | {', '.join(step.actions)} |"
        for (status, event), step in TABLE.items()
    ]
    for title, wanted in (("Nothing to do", True), ("Impossible, refused", False)):
        lines += ["", f"{title}:", ""]
        for status in (None, *InstanceStatus):
            events = [e for e in Event if (status, e) not in TABLE and ((status, e) in IGNORED) is wanted]
            if events:
                lines.append(f"- {_title(status)}: {', '.join(events)}")
    return "\n".join(lines) + "\n"


def _title(status: Status) -> str:
    return "(none)" if status is None else status.value


def _name(status: Status) -> str:
    return "an instance that is not there" if status is None else f"an instance that is {status.value}"
