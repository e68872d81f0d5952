"""The part of the codec (see `codec`) for events of the audit trail, as JSON values; empty fields are left out."""

from collections.abc import Mapping
from typing import Any

from xds_server.model.audit import AuditEvent, AuditKind, Who
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.store.codec_time import time_from, time_to

_Json = Mapping[str, Any]


def event_to(event: AuditEvent) -> dict[str, Any]:
    """Return the JSON value of an event."""
    who = event.who
    full = {
        "network_id": event.network_id,
        "network": event.network,
        "at": time_to(event.at),
        "kind": event.kind.value,
        "event": event.event,
        "who": _filled(
            {"system": who.system, "name": who.name, "address": who.address, "agent": who.agent, "token": who.token}
        ),
        "what": event.what,
        "why": event.why,
        "profile_id": event.profile_id,
        "profile": event.profile,
        "instance_id": event.instance_id,
        "variant": event.variant,
        "fault_id": event.fault_id,
        "before": event.before,
        "after": event.after,
        "changes": {field: list(pair) for field, pair in event.changes.items()},
    }
    return _filled(full)


def event_from(d: _Json) -> AuditEvent:
    """Return the event of a JSON value. Raises: KeyError, TypeError, ValueError."""
    return AuditEvent(
        network_id=NetworkID(d["network_id"]),
        network=d["network"],
        at=time_from(d["at"]),
        kind=AuditKind(d["kind"]),
        event=d["event"],
        who=Who(**d.get("who", {})),
        what=d.get("what", ""),
        why=d.get("why", ""),
        profile_id=ProfileID(d["profile_id"]) if "profile_id" in d else None,
        profile=d.get("profile", ""),
        instance_id=InstanceID(d["instance_id"]) if "instance_id" in d else None,
        variant=d.get("variant", ""),
        fault_id=FaultID(d["fault_id"]) if "fault_id" in d else None,
        before=d.get("before"),
        after=d.get("after"),
        changes={field: (before, after) for field, (before, after) in d.get("changes", {}).items()},
    )


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each not in (None, "", False, {})}
