"""What the audit trail is made of: who did what to a network, when, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID


class AuditKind(StrEnum):
    """What an event is about."""

    NETWORK = "network"
    """A network was created, replaced, deleted, or is gone."""
    PROFILE = "profile"
    """A profile was created, changed, deleted, or is gone."""
    ROLLOUT = "rollout"
    """The steps of a profile: what a person said, and where they went by themselves."""
    VERDICT = "verdict"
    """Something was taken from a version because of a verdict."""
    FAULT = "fault"
    """A fault was injected, or lifted."""
    INSTANCE = "instance"
    """A transition of a shadow instance, or another node for it."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who did it: the manager itself, or somebody who came over the API."""

    system: bool = False
    """The manager itself."""
    name: str = ""
    """What the caller calls themselves: a claim that nobody has proved. Empty: nothing was said."""
    address: str = ""
    """Where the request came from; of a proxy, when one is between."""
    agent: str = ""
    """What program the caller says it was."""
    token: bool = False
    """The request bore the manager's token."""


SYSTEM = Who(system=True)
"""The manager itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One event. It holds copies of names, so that it can be read when what it tells of is gone."""

    network_id: NetworkID
    network: str
    """Name of the network."""
    at: datetime
    kind: AuditKind
    event: str
    """What happened to it, in a word or few: `created`; of an instance, the event of the table of transitions."""
    who: Who = SYSTEM
    what: str = ""
    """The same in a sentence."""
    why: str = ""
    """The cause; of what somebody did, the reason they gave, if any."""
    profile_id: ProfileID | None = None
    profile: str = ""
    """Name of the profile."""
    instance_id: InstanceID | None = None
    variant: str = ""
    fault_id: FaultID | None = None
    before: str | None = None
    """Of an instance: its status before. None: it was not there."""
    after: str | None = None
    """Of an instance: its status then."""
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Of a definition: fields as the API names them, before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """What is asked for. Of the filters, None leaves everything in."""

    network_id: NetworkID
    after: int | None = None
    """Only events with a larger number."""
    tail: int | None = None
    """Begin with the newest so many; not with `after`."""
    since: datetime | None = None
    profile: str | None = None
    """Id or name, as it was then."""
    instance: str | None = None
    kind: AuditKind | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class EventPage:
    """A stretch of a trail, oldest first."""

    events: Sequence[tuple[int, AuditEvent]]
    """Each with its number."""
    last: int
    """Number to go on after."""
    more: bool
    """There are more by now."""
    dropped: int
    """Events of the network that are gone, for want of room."""
    known: bool = True
    """The profile and the instance that were asked for occur in the trail."""
