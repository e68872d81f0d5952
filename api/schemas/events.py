"""What the API answers about the audit trail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.views import View
from xds_server.model.audit import AuditEvent, Who


class WhoView(View):
    """Who did something."""

    by: Literal["user", "system"]
    """`system`: the manager itself, for the cause in `why`. `user`: somebody over the API."""
    name: str
    """What the caller calls themselves (header `X-Shadowmesh-User`): a claim, proved by nobody. Empty: not said."""
    address: str
    """Address that the request came from; a proxy's, when one is between."""
    agent: str
    """Program that the caller says it was (`User-Agent`)."""
    token: bool
    """Whether the request bore the manager's token."""

    @classmethod
    def of(cls, who: Who) -> "WhoView":
        """Return the view of somebody."""
        by: Literal["user", "system"] = "system" if who.system else "user"
        return cls.model_construct(by=by, name=who.name, address=who.address, agent=who.agent, token=who.token)


class EventView(View):
    """An event of the audit trail. Names are those of its time."""

    event_id: int = Field(alias="eventID")
    """Number of the event; it grows."""
    time: datetime
    """When it happened."""
    kind: str
    """What it is about: `network`, `profile`, `rollout`, `verdict`, `fault` or `instance`."""
    event: str
    """What happened to it. Of an instance: the event of the table in docs/lifecycle.md, `moved` or `orphan ended`."""
    who: WhoView
    """Who did it."""
    what: str
    """The same in words."""
    why: str
    """The cause. Of what a user did: the reason they gave (header `X-Shadowmesh-Reason`), or empty."""
    profile_id: str | None = Field(alias="profileID")
    """Profile that it is about."""
    profile: str
    """Name of the profile; empty when it has none."""
    instance_id: str | None = Field(alias="instanceID")
    """Instance that it is about."""
    variant: str
    """Version that the instance is."""
    fault_id: str | None = Field(alias="faultID")
    """Fault that it is about."""
    before: str | None = Field(alias="from")
    """Of an instance: its status before; null: it was not there."""
    after: str | None = Field(alias="to")
    """Of an instance: its status from then on."""
    changes: dict[str, dict[str, Any]]
    """Fields of a definition that changed, each with `from` and `to`."""

    @classmethod
    def of(cls, number: int, event: AuditEvent) -> "EventView":
        """Return the view of an event."""
        return cls.model_construct(
            event_id=number,
            time=event.at,
            kind=event.kind.value,
            event=event.event,
            who=WhoView.of(event.who),
            what=event.what,
            why=event.why,
            profile_id=event.profile_id,
            profile=event.profile,
            instance_id=event.instance_id,
            variant=event.variant,
            fault_id=event.fault_id,
            before=event.before,
            after=event.after,
            changes=_changes(event.changes),
        )


class EventList(View):
    """A stretch of a network's audit trail, oldest first."""

    virtual_network_id: str = Field(alias="virtualNetworkID")
    """Id of the network; it may have been deleted."""
    items: list[EventView]
    """The events."""
    next_cursor: str
    """For `after`: what comes behind these, also what has not happened yet."""
    more: bool
    """Whether there is more already."""
    dropped: int
    """Older events of the network that are gone, for want of room."""


def _changes(changes: Mapping[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    return {field: {"from": before, "to": after} for field, (before, after) in changes.items()}
